"""Tables of the operational store that the privacy side owns. Values are sealed; numbers are internal."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text, text

from identity.tables import BigKey, metadata

records = Table(
    "records",
    metadata,
    Column("record_no", BigKey, primary_key=True, autoincrement=False),
    Column("channel", Text, nullable=False),
    Column("key_id", BigInteger, nullable=False, unique=True),  # the data key of this content
    Column("observed_at", BigInteger, nullable=False),  # ms since the epoch, UTC
    Column("recorded_at", BigInteger, nullable=False),
    Column("linking", SmallInteger, nullable=False),  # 1: identity_linking is permitted (projection)
    Column("linking_until", BigInteger),  # ms; the permission lapses by itself at this time
    Column("verified", Text, nullable=False),  # comma-separated identifier types this channel verified
    Column("sealed", LargeBinary, nullable=False),  # packed fields, each sealed by itself
    Column("comparable", LargeBinary, nullable=False),  # sealed comparable form, opened for linkage only
    Column("change_sequence", BigInteger, nullable=False),
    Index("records_by_change", "change_sequence"),
)

# Deleted records keep a row here so that a run sees that they went (`changed_since`).
departures = Table(
    "departures",
    metadata,
    Column("record_no", BigKey, primary_key=True, autoincrement=False),
    Column("change_sequence", BigInteger, nullable=False),
    Index("departures_by_change", "change_sequence"),
)

# Written in the transaction that drops the last use of a key; removed once the key store confirms.
pending_destructions = Table(
    "pending_destructions",
    metadata,
    Column("key_id", BigKey, primary_key=True, autoincrement=False),
    Column("requested_at", BigInteger, nullable=False),
)

IN_PERSON = text("state = 'granted' AND method IN ('direct', 'verified', 'guardian', 'verified_guardian')")


# One row an erasure. The job (whose records, how far) is sealed under its own key, destroyed at the end.
erasures = Table(
    "erasures",
    metadata,
    Column("erasure_no", BigKey, primary_key=True, autoincrement=False),
    Column("request_id", Text),  # of the request that it fulfils
    Column("started_at", BigInteger, nullable=False),  # ms since the epoch, UTC
    Column("finished_at", BigInteger),
    Column("sealed", LargeBinary),  # the job; NULL once it is finished
    Column("receipt", Text),  # JSON: numbers and proofs
    Index("erasures_by_request", "request_id", unique=True),
)

# Columns up to leaf_hash are the proof and never change; the rest is the state that can be shredded.
ledger = Table(
    "ledger",
    metadata,
    Column("idx", BigKey, primary_key=True, autoincrement=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("sealed", LargeBinary),  # payload and salt under the subject's evidence key
    Column("subject_kind", SmallInteger),  # 1 record, 2 contact point, 3 erasure
    Column("subject_no", BigInteger),
    Column("purpose", Text),
    Column("state", Text),  # granted, refused, withdrawn, objected, restricted
    Column("source", Text),  # who said it: `channel:<name>` or `client:<id>`
    Column("method", Text),  # import, api, direct, verified
    Column("notice", Text),
    Column("event_time", BigInteger),
    Column("expires_at", BigInteger),
    Index("ledger_by_subject", "subject_kind", "subject_no"),
    Index("ledger_in_person", "idx", sqlite_where=IN_PERSON, postgresql_where=IN_PERSON),
)

# Roots of complete 256-leaf tiles and above, so that a proof reads hundreds of rows, not millions.
ledger_nodes = Table(
    "ledger_nodes",
    metadata,
    Column("level", SmallInteger, primary_key=True),  # height of the subtree in steps of 8
    Column("idx", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", BigKey, primary_key=True, autoincrement=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),  # c2sp.org/tlog-checkpoint signed note
)

# Where recipients are told of changes. The signing secret is derived from the keyring and stored nowhere.
webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_no", BigKey, primary_key=True, autoincrement=False),
    Column("client_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("cursor", Text, nullable=False),  # the change feed is queued up to here
    Column("created_at", BigInteger, nullable=False),  # ms since the epoch, UTC
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_no", BigKey, primary_key=True, autoincrement=False),
    Column("webhook_no", BigInteger, nullable=False),
    Column("golden_no", BigInteger, nullable=False),  # so that an erasure finds what is queued about it
    Column("url", Text),  # of a callback; NULL: the webhook's
    # golden IDs as the client knows them, or a controller's ids and a status; nothing else of anyone
    Column("body", LargeBinary, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("dead", SmallInteger, nullable=False),  # 1: given up, until an operator sends it again
    Column("error", Text),  # why the last attempt failed: a status or a kind of error, never an answer
    Index("deliveries_by_due", "dead", "due_at"),
    Index("deliveries_by_golden", "golden_no"),
)

# Data-subject requests. Columns hold types, dates, record numbers and reasons of closed lists; what the
# person said is in `sealed`, under the request's own evidence key (subject kind 4, request_no).
requests = Table(
    "requests",
    metadata,
    Column("request_no", BigKey, primary_key=True, autoincrement=False),
    Column("request_id", Text, nullable=False),
    Column("type", Text, nullable=False),  # access, rectification, erasure, ...
    Column("asked", Text, nullable=False),  # as asked: the type, or know, delete, correct, opt_out
    Column("jurisdiction", Text, nullable=False),
    Column("purposes", Text, nullable=False),  # comma-separated; those of an objection and the like
    Column("golden_no", BigInteger),  # whom the identifiers fitted when it was opened
    Column("state", Text, nullable=False),
    Column("failures", SmallInteger, nullable=False),  # verifications that failed
    Column("verified", SmallInteger, nullable=False),
    Column("approved", SmallInteger, nullable=False),
    Column("members", Text),  # JSON list: the record numbers that an officer approved
    Column("denial", Text),
    Column("extension", Text),
    Column("received_at", BigInteger, nullable=False),  # ms since the epoch, UTC, as are the next three
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("forget_at", BigInteger),  # when the request's key is to be destroyed
    Column("forgotten", SmallInteger, nullable=False),  # 1: it is destroyed
    Column("confirm_by", Text),  # dates, ISO 8601
    Column("due", Text, nullable=False),
    Column("extended_due", Text),
    Column("outcome", Text),  # JSON: numbers, names of attributes and purposes, never values
    Column("sealed", LargeBinary, nullable=False),  # identifiers and corrections
    Index("requests_by_id", "request_id", unique=True),
    Index("requests_by_state", "state", "type"),
)

# Every step of a request: who did it and when. Rows are only added.
request_steps = Table(
    "request_steps",
    metadata,
    Column("request_no", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("step", Text, nullable=False),  # opened, verified, verification_failed, approved, ...
    Column("client", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("detail", Text),  # the method, or a reason of a closed list
    Column("sealed", LargeBinary),  # the evidence of a verification, under the request's key
    sqlite_with_rowid=False,
)

# Records that must be kept (kind law), or are not served (kind doubt), until somebody decides. Rows stay.
holds = Table(
    "holds",
    metadata,
    Column("hold_no", BigKey, primary_key=True, autoincrement=False),
    Column("record_no", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),  # of a closed list
    Column("attributes", Text),  # JSON list; NULL: all
    Column("request_id", Text),  # of the erasure that met it
    Column("until", BigInteger),  # ms since the epoch, UTC, as are the times below
    Column("declared_by", Text, nullable=False),
    Column("declared_at", BigInteger, nullable=False),
    Column("lifted_by", Text),
    Column("lifted_at", BigInteger),
    Index("holds_by_record", "record_no"),
)

# Requests that came by OpenDSR, under the controller's own id. No identity is here.
opendsr_requests = Table(
    "opendsr_requests",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("subject_request_id", Text, primary_key=True),
    Column("request_no", BigInteger, nullable=False),
    Column("said_hash", Text, nullable=False),  # SHA-256 of what was asked, identities left out
    Column("callbacks", Text, nullable=False),  # JSON list of URLs
    Column("received_at", BigInteger, nullable=False),  # ms since the epoch, UTC
    Column("told_steps", BigInteger, nullable=False),  # how many steps of the request were told of
    Index("opendsr_requests_by_no", "request_no", unique=True),
)
