"""The composition root: builds every object of the service from settings, once per process."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property

from sqlalchemy.exc import SQLAlchemyError

from api.access import Access
from api.arrivals import Arrivals
from api.auth import Caller, Tokens
from api.changes import ChangeFeed
from api.clients import Clients, Limits
from api.disclosures import Disclosures
from api.gauges import StoreGauges
from api.housekeeping import only_one
from api.idempotency import Idempotency
from api.oidc import OutsideIssuer
from api.oidc_keys import IssuerKeys
from api.opendsr import OpenDsr
from api.pairwise import GoldenNames
from api.people_quota import PeopleQuota
from api.rate_limits import RateLimits
from api.readiness import Readiness
from api.requests import request_desk
from api.resolution import Resolver
from api.settings import Settings, SettingsError
from api.spill import sweep_spill
from api.store_places import lost_store
from api.stores import check_home, check_usable, is_ready, load_keyring, open_keys, open_operational
from api.token_limits import TokenLimits
from api.webhooks import Webhooks
from consent.access_log import AccessLog
from consent.birth_facts import birth_facts
from consent.conflicts import Conflicts
from consent.enforcement import Door
from consent.erasure import Erasure
from consent.erasure_log import ErasureLog
from consent.errors import ConsentError, DestructionIncompleteError
from consent.holds import Holds
from consent.kept_answers import KeptAnswers
from consent.key_rotation import KeyRotation
from consent.linkable import LinkableRecords
from consent.lookup import Lookup
from consent.people import People
from consent.purposes import Purposes
from consent.receipt_issuing import Receipts
from consent.recipients import Recipients
from consent.record_facts import StoredFacts
from consent.recording import ConsentRecorder
from consent.records import RecordWriter
from consent.renewals import Renewals
from consent.retention_run import Retention
from consent.sealed_records import SealedRecords
from consent.source_keys import SourceKeys
from consent.subjects import Subjects
from consent.worker_stores import StoreAccess, record_stores
from identity.errors import IdentityError
from identity.judging import Judge
from identity.online import OnlineResolver
from identity.store import MembershipReader


def wall_clock() -> int:
    """Return milliseconds since the epoch, UTC: the only clock of the service."""
    return time.time_ns() // 1_000_000


class Services:
    """Every object of one process. Made by `open_services`, closed by whoever opened it."""

    def __init__(self, settings: Settings, clock: Callable[[], int] = wall_clock) -> None:
        self.settings, self.clock = settings, clock
        self.keyring = load_keyring(settings)
        self.purposes = Purposes.load(settings.purposes_path)
        self.db, self.keys = open_operational(settings), open_keys(settings)
        self.stores = record_stores(
            self.db,
            self.keys,
            self.keyring,
            self.purposes,
            origin=settings.ledger_origin,
            default_region=settings.default_region,
        )
        self.key_store, self.ledger = self.stores.key_store, self.stores.ledger
        self.access_log = AccessLog(settings.access_log_dir)
        self._identity()
        self._people()
        self._border()
        self.holds = Holds(self.db)
        self.renewals = Renewals(
            db=self.db,
            keys=self.keys,
            key_store=self.key_store,
            memberships=self.memberships,
            people=self.people,
            purposes=self.purposes,
        )
        self.conflicts = Conflicts(
            db=self.db, memberships=self.memberships, people=self.people, purposes=self.purposes
        )
        self.opendsr = OpenDsr(self)
        self.desk = request_desk(self, eraser=self.erasure, notifier=self.recipients, receipts=self.receipts)

    def _identity(self) -> None:
        """Build golden IDs: reading them, and keeping them right as records come and go."""
        self.memberships = MembershipReader()
        self.facts = StoredFacts()
        access = StoreAccess.to(self.stores, self.keyring)
        self.linkable = LinkableRecords(self.stores, self.clock, access=access)
        self.source_keys = SourceKeys(self.stores, access=access)
        self.online = OnlineResolver(self.db, self.facts)
        self.judge = Judge(self.db, self.facts, self.online)
        self.resolver = Resolver(self.stores, self.linkable, self.online)
        self.recipients = Recipients(self.db, self.memberships)
        self.writer = RecordWriter(self.stores, detach=self.online.detach_in, tell=self.recipients.withdrawn)
        self.arrivals = Arrivals(
            db=self.db,
            writer=self.writer,
            resolver=self.resolver,
            memberships=self.memberships,
            clock=self.clock,
        )
        self.erasure = Erasure(
            self.writer,
            signing_key=self.keyring.signing_key(),
            recipients=self.recipients,
            log=ErasureLog(self.settings.erasure_log).append,
        )
        self.rotation = KeyRotation(self.keys, self.key_store, self.stores.vault, self.keyring)
        self.sealed = SealedRecords(self.db, self.keys, self.key_store, self.stores.vault)
        self.retention = Retention(self.writer, self.sealed)

    def _people(self) -> None:
        """Build profiles and consent: the door, and who may pass."""
        self.people = People(
            db=self.db,
            keys=self.keys,
            key_store=self.key_store,
            memberships=self.memberships,
            events=self.ledger,
            births=birth_facts(self.stores.vault, self.purposes),
        )
        self.lookup = Lookup(
            db=self.db,
            keys=self.keys,
            key_store=self.key_store,
            index=self.stores.index,
            memberships=self.memberships,
            default_region=self.settings.default_region,
        )
        self.door = Door(
            db=self.db,
            memberships=self.memberships,
            people=self.people,
            lookup=self.lookup,
            opener=self.sealed,
            purposes=self.purposes,
            access_log=self.access_log,
            kept=KeptAnswers(self.db, self.keys, self.stores.vault, most=self.settings.kept_profiles),
        )
        self.subjects = Subjects(
            db=self.db,
            keys=self.keys,
            key_store=self.key_store,
            memberships=self.memberships,
            people=self.people,
            lookup=self.lookup,
        )
        self.recorder = ConsentRecorder(
            db=self.db,
            keys=self.keys,
            key_store=self.key_store,
            vault=self.stores.vault,
            ledger=self.ledger,
            purposes=self.purposes,
            subjects=self.subjects,
            detach=self.online.detach_in,
            tell=self.recipients.withdrawn,
        )
        self.receipts = Receipts(
            db=self.db,
            ledger=self.ledger,
            key_store=self.key_store,
            vault=self.stores.vault,
            purposes=self.purposes,
        )

    def _border(self) -> None:
        """Build what HTTP and the command line add: clients, tokens, names, feeds."""
        root = self.keyring.index_root()
        self._access()
        self.names = GoldenNames(root)
        self.disclosures = Disclosures(self.db)
        self.changes = ChangeFeed(self.memberships, self.disclosures, self.names)
        hours = self.settings.idempotency_hours
        self.idempotency = Idempotency(self.db, root, self.clock, hours=hours)
        self.gauges = StoreGauges(self.db, self.keyring)
        self.readiness = Readiness(self)
        self.webhooks = Webhooks(
            db=self.db,
            recipients=self.recipients,
            changes=self.changes,
            memberships=self.memberships,
            root=root,
            clock=self.clock,
            private=self.settings.webhooks_private,
            sign_callback=self._sign_callback,
        )

    def _access(self) -> None:
        """Build who may call, and how much."""
        settings = self.settings
        self.clients = Clients(self.db, self.clock)
        self.tokens = Tokens(self.keyring, self.clock, seconds=settings.token_seconds)
        self.access = Access(
            tokens=self.tokens,
            clients=self.clients,
            purposes=[purpose.name for purpose in self.purposes],
            clock=self.clock,
            defaults=Limits(settings.client_rate, settings.people_per_day),
            outside=self._outside_issuer(),
        )
        self.rates = RateLimits(self.db, self.clock)
        self.token_limits = TokenLimits(self.rates, self.keyring.index_root())
        self.quota = PeopleQuota(self.db, self.clock)

    def _outside_issuer(self) -> OutsideIssuer | None:
        issuer, audience = self.settings.oidc_issuer, self.settings.oidc_audience
        if issuer is None or audience is None:
            return None
        keys = IssuerKeys(issuer, self.clock, loopback=self.settings.oidc_loopback)
        return OutsideIssuer(issuer, audience, keys, self.clock)

    def share_limits(self) -> None:
        """Tell the other workers what clients used of their limits, and learn what they did."""
        self.rates.tell()
        self.quota.tell()

    def _sign_callback(self, body: bytes) -> Mapping[str, str]:
        return self.opendsr.signer.headers(body)  # a key is read, or made, for the first callback only

    @cached_property
    def operator(self) -> Caller:
        """Who acts on the command line of this machine."""
        return Caller("operator", "operator", frozenset(), False, 2**62)

    def ready(self) -> bool:
        """Whether both stores answer at the schema this version works with."""
        try:
            return is_ready(self.db, self.keys)
        except (SQLAlchemyError, IdentityError):
            return False

    def recover(self) -> None:
        """Finish what a crash may have left half done. Safe at any time, in any process.

        Erasures under way and destructions that were noted are completed, records that left are detached,
        keys that no record took up are swept, and so is what a run had spilled; what ended requests had
        sealed is destroyed on its date; the token index is merged. What an abandoned run has staged is
        invisible, and the next run removes it.
        """
        sweep_spill(self.settings.home)
        now = self.clock()
        with suppress(ConsentError):  # a reader is at work, or a key is gone: the next start tries again
            self.erasure.resume(now)
        with suppress(DestructionIncompleteError):
            self.desk.fulfilment.go_on(now)
            self.writer.finish_destructions(now)
            self.key_store.sweep_orphans(self.db, now)
        with suppress(DestructionIncompleteError):
            self.desk.requests.forget_due(now)
        with suppress(IdentityError):
            self.resolver.detach_departed(now)
        self.key_store.merge_recent(pause_ms=20)  # as long for other writers as for itself

    def housekeep(self) -> None:
        """Recover, unless another process of this machine is at it."""
        with only_one(self.settings.home) as first:
            if first:
                self.recover()

    def tell_recipients(self) -> None:
        """Queue and attempt what webhooks and controllers are told; several processes may at once."""
        self.opendsr.queue()
        self.webhooks.work()

    def close(self) -> None:
        """Release the stores and finish the access log's segment."""
        with suppress(SQLAlchemyError, IdentityError):  # what is not given back is lost until midnight only
            self.quota.give_back()
        self.resolver.close()
        self.access_log.close()
        self.db.close()
        self.keys.close()


def open_services(settings: Settings, clock: Callable[[], int] = wall_clock) -> Services:
    """Open the home that `settings` names. Raises SettingsError with the remedy if it is not usable."""
    check_home(settings)
    services = Services(settings, clock)
    try:
        _check_ready(services)
        services.key_store.initialise(services.keyring.home_id)  # raises if this keyring is another home's
    except BaseException:
        services.close()
        raise
    return services


def _check_ready(services: Services) -> None:
    """Raise if a store is damaged, does not answer, has moved, or is of another version."""
    if not is_ready(services.db, services.keys):
        check_usable(services.db, services.keys)
        settings = services.settings
        not_ours = f"the stores of {settings.home} are not at this version: run `aurea init`"
        raise SettingsError(lost_store(settings) or not_ours)
