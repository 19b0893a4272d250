"""The roles of the contract and what each may do over HTTP. One table, read by the routes and the docs."""

from typing import Final, Literal

Role = Literal["consumer", "ingest", "steward", "officer", "auditor", "operator"]

# Operation -> roles that may perform it. Everything else is refused with 403 before anyone is looked up.
PERMITTED: Final[dict[str, frozenset[Role]]] = {
    "write records": frozenset({"ingest"}),
    "delete records": frozenset({"ingest"}),
    "read profiles": frozenset({"consumer"}),
    "look up": frozenset({"consumer", "steward"}),  # a steward: only whether an identifier is shared
    "inspect golden ids": frozenset({"steward", "officer", "auditor"}),
    "explain links": frozenset({"steward"}),  # weights and levels
    "explain to people": frozenset({"officer"}),  # plain words for the person concerned
    "review links": frozenset({"steward", "officer"}),  # the queue, and deciding what scores do not
    "read judgements": frozenset({"steward", "officer", "auditor"}),
    "declare sources": frozenset({"steward", "operator"}),  # which hold no duplicates; on the command line
    "record consents": frozenset({"ingest", "officer"}),
    "record verified consents": frozenset({"officer"}),  # beside the above, where the method is `verified`
    "handle requests": frozenset({"officer"}),  # open, verify, decide, fulfil, fetch the bundle
    "read requests": frozenset({"officer", "steward"}),  # states, dates, record numbers with confidence
    "query consents": frozenset({"ingest", "steward", "officer", "auditor"}),
    "see what to ask again": frozenset({"steward", "officer"}),  # golden IDs whose consent ends soon
    "read receipts": frozenset({"ingest", "steward", "officer", "auditor"}),
    "see what is out of view": frozenset({"officer"}),  # in answers about consent: record numbers
    "read changes": frozenset({"consumer", "steward", "officer", "auditor", "operator"}),
    "read proofs": frozenset({"consumer", "ingest", "steward", "officer", "auditor", "operator"}),
    "destroy key epochs": frozenset({"officer", "operator"}),  # on the command line; two of them
    "read status": frozenset({"steward", "officer", "auditor", "operator"}),
}
