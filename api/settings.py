"""Settings: the only reader of the environment (`AUREA_*`). Everything else is handed this object."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

DEFAULT_HOME = "aurea-home"
DEFAULT_ORIGIN = "aurea.localhost/consent"
DRAIN_SECONDS = 5  # a load balancer looks at readiness every few seconds
TOKEN_SECONDS = 600  # the contract allows at most 10 minutes
# Brakes for a client that runs wild or was stolen, above what two cores answer; set what yours need.
CLIENT_RATE = 5_000
PEOPLE_PER_DAY = 1_000_000
KEPT_PROFILES = 10_000  # of each worker
_NO_LIMIT = 2**31  # what no limit can be above
SECRETS = (
    "AUREA_KEYRING",
    "AUREA_CLIENT_SECRET",
    "AUREA_DATABASE_URL",
    "AUREA_KEYS_URL",
    "AUREA_VAULT_TOKEN",
)
"""Variables that are, or may carry, a secret (a database URL may carry a password)."""

NAMES: Final = frozenset({
    "AUREA_CLIENT_RATE", "AUREA_CLIENT_SECRET", "AUREA_DATABASE_URL", "AUREA_DEFAULT_REGION",
    "AUREA_DRAIN_SECONDS", "AUREA_ERASURE_LOG", "AUREA_HOME", "AUREA_KEPT_PROFILES", "AUREA_KEYRING",
    "AUREA_KEYS_URL", "AUREA_LEDGER_ORIGIN", "AUREA_LOG_LEVEL", "AUREA_OIDC_AUDIENCE",
    "AUREA_OIDC_ISSUER", "AUREA_OIDC_LOOPBACK", "AUREA_OPENDSR_CERTIFICATE", "AUREA_OPENDSR_KEY",
    "AUREA_OTLP_ENDPOINT", "AUREA_PEOPLE_PER_DAY", "AUREA_PURPOSES", "AUREA_SPARK_MASTER",
    "AUREA_SPARK_MEMORY", "AUREA_TOKEN_SECONDS", "AUREA_VAULT_ADDR", "AUREA_VAULT_KEY",
    "AUREA_VAULT_TOKEN", "AUREA_WEBHOOKS_PRIVATE",
})  # fmt: skip
"""Every variable there is; each of SECRETS may have `_FILE` added."""
_OF_TESTS: Final = "AUREA_TEST_"


class SettingsError(Exception):
    """An environment variable or the home directory is unusable; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the stores are and how the service behaves. Made once, by the composition root's caller."""

    home: Path  # embedded stores, keyring, access-log segments, run reports
    database_url: str  # operational store
    keys_url: str  # key store, never the same database as the operational store
    keyring_text: str | None = None  # AUREA_KEYRING: the keyring itself, instead of a file in the home
    purposes_file: Path | None = None  # None: `purposes.toml` of the home, else the default policy
    ledger_origin: str = DEFAULT_ORIGIN  # first line of checkpoints; name it once, then keep it
    default_region: str | None = None  # ISO 3166 alpha-2: how to read phone numbers without a country
    token_seconds: int = TOKEN_SECONDS  # lifetime of an access token
    idempotency_hours: int = 24  # how long an Idempotency-Key is remembered
    metrics_dir: Path | None = None  # set by `aurea serve --workers N`: where workers pool their counters
    client_secret: str | None = None  # AUREA_CLIENT_SECRET: of the client that `--as` names
    vault_address: str | None = None  # AUREA_VAULT_ADDR: HashiCorp Vault, which then opens the keyring file
    vault_token: str | None = None
    vault_key: str = "aurea"  # of the transit engine
    opendsr_certificate: Path | None = None  # PEM, of the domain at which controllers reach the service
    opendsr_key: Path | None = None
    otlp_endpoint: str | None = None  # AUREA_OTLP_ENDPOINT: where traces go, over HTTP; None: nowhere
    log_level: str = "info"
    spark_master: str = "local[*]"  # where `aurea link --engine spark` links
    spark_memory: str | None = None  # of its driver, such as "8g"; None: see `api.linkage`
    drain_seconds: int = DRAIN_SECONDS  # from SIGTERM until no new requests are taken
    erasure_log_file: Path | None = None  # AUREA_ERASURE_LOG: receipts of erasures, best on another disk
    webhooks_private: bool = False  # whether webhooks may go to private addresses, and without TLS
    client_rate: int = CLIENT_RATE  # requests a second of a client that has no rate of its own; 0: no limit
    people_per_day: int = PEOPLE_PER_DAY  # golden IDs that such a client may be told; 0: no limit
    kept_profiles: int = KEPT_PROFILES  # that are given again while nothing has changed; 0: none
    oidc_issuer: str | None = None  # whose access tokens are taken beside our own
    oidc_audience: str | None = None  # how such a token names this service
    oidc_loopback: bool = False  # whether that issuer may be on this machine, without TLS

    def __repr__(self) -> str:  # URLs carry passwords, the keyring is a secret
        return f"Settings(home={str(self.home)!r})"

    @property
    def keyring_file(self) -> Path:
        """The keyring of the home, mode 0600; unused when the environment carries the keyring."""
        return self.home / "keyring"

    @property
    def access_log_dir(self) -> Path:
        """Append-only access-log segments, one file per worker process."""
        return self.home / "access-log"

    @property
    def runs_dir(self) -> Path:
        """Run reports: JSON and HTML, no values."""
        return self.home / "runs"

    @property
    def erasure_log(self) -> Path:
        """Signed receipts of every erasure, one a line: what a restore replays."""
        return self.erasure_log_file or self.home / "erasures.jsonl"

    @property
    def restoring(self) -> Path:
        """A mark that is there while a backup is being restored: until it goes nothing is served."""
        return self.home / "restoring"

    @property
    def purposes_path(self) -> Path | None:
        """The policy in force: the one set, else the home's, else None for the default policy."""
        if self.purposes_file is not None:
            return self.purposes_file
        of_home = self.home / "purposes.toml"
        return of_home if of_home.is_file() else None

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, default_home: str = DEFAULT_HOME
    ) -> "Settings":
        """Read `AUREA_*`, by default of this process, whose secrets are then taken out of its environment.

        What this process starts does not inherit them; a second call no longer sees them. Raises
        SettingsError naming the variable that is unusable, never its value.
        """
        if environ is None:
            environ = dict(os.environ)
            for name in SECRETS:
                os.environ.pop(name, None)
        env = _with_files(environ)
        home = Path(env.get("AUREA_HOME") or default_home).expanduser()
        database_url = env.get("AUREA_DATABASE_URL") or _sqlite_url(home, "aurea.db")
        keys_url = env.get("AUREA_KEYS_URL") or _sqlite_url(home, "keys.db")
        if database_url == keys_url:
            raise SettingsError("AUREA_KEYS_URL must not be AUREA_DATABASE_URL: keys live apart from data")
        return cls(
            home=home,
            database_url=database_url,
            keys_url=keys_url,
            keyring_text=env.get("AUREA_KEYRING") or None,
            purposes_file=_optional_file(env, "AUREA_PURPOSES"),
            ledger_origin=_origin(env.get("AUREA_LEDGER_ORIGIN") or DEFAULT_ORIGIN),
            default_region=_region(env.get("AUREA_DEFAULT_REGION")),
            token_seconds=_integer(env, "AUREA_TOKEN_SECONDS", TOKEN_SECONDS, 1, 600),
            metrics_dir=Path(env["PROMETHEUS_MULTIPROC_DIR"])
            if env.get("PROMETHEUS_MULTIPROC_DIR")
            else None,
            client_secret=env.get("AUREA_CLIENT_SECRET") or None,
            drain_seconds=_integer(env, "AUREA_DRAIN_SECONDS", DRAIN_SECONDS, 0, 600),
            erasure_log_file=_erasure_log(env.get("AUREA_ERASURE_LOG"), home),
            webhooks_private=env.get("AUREA_WEBHOOKS_PRIVATE") == "1",
            vault_address=env.get("AUREA_VAULT_ADDR") or None,
            vault_token=env.get("AUREA_VAULT_TOKEN") or None,
            vault_key=env.get("AUREA_VAULT_KEY") or "aurea",
            opendsr_certificate=_optional_file(env, "AUREA_OPENDSR_CERTIFICATE"),
            opendsr_key=_optional_file(env, "AUREA_OPENDSR_KEY"),
            otlp_endpoint=_http_url(env, "AUREA_OTLP_ENDPOINT"),
            spark_master=_spark_master(env.get("AUREA_SPARK_MASTER") or "local[*]"),
            spark_memory=_spark_memory(env.get("AUREA_SPARK_MEMORY")),
            log_level=_log_level(env.get("AUREA_LOG_LEVEL") or "info"),
            client_rate=_integer(env, "AUREA_CLIENT_RATE", CLIENT_RATE, 0, _NO_LIMIT),
            people_per_day=_integer(env, "AUREA_PEOPLE_PER_DAY", PEOPLE_PER_DAY, 0, _NO_LIMIT),
            kept_profiles=_integer(env, "AUREA_KEPT_PROFILES", KEPT_PROFILES, 0, 1_000_000),
            **_oidc(env),
        )


def unknown_names(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence on each `AUREA_*` that is no setting: its name, and the one it may be meant for."""
    known = NAMES | {f"{name}_FILE" for name in SECRETS}
    said = []
    for name in sorted(os.environ if environ is None else environ):
        if name.startswith("AUREA_") and not name.startswith(_OF_TESTS) and name not in known:
            like = get_close_matches(name, known, n=1, cutoff=0.85)
            said.append(f"{name} is no setting" + (f": is {like[0]} meant?" if like else ""))
    return said


def _with_files(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Add the secrets that stand in files: `NAME_FILE` names the file of `NAME`."""
    found = dict(environ)
    for name in SECRETS:
        path = environ.get(f"{name}_FILE")
        if path and environ.get(name):
            raise SettingsError(f"{name} and {name}_FILE: set one of them")
        if path:
            try:
                found[name] = Path(path).expanduser().read_text(encoding="utf-8").strip()
            except (OSError, ValueError):
                raise SettingsError(f"{name}_FILE names no file that can be read as text") from None
            if not found[name]:  # else the default would be in force: embedded stores, say
                raise SettingsError(f"{name}_FILE names an empty file")
    return found


def _sqlite_url(home: Path, name: str) -> str:
    return f"sqlite:///{home.resolve() / name}"


def _optional_file(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_file():
        raise SettingsError(f"{name} names no readable file")
    return path


def _erasure_log(value: str | None, home: Path) -> Path | None:
    if not value:
        return None
    path = Path(value).expanduser()
    if path.is_dir() or not (path.parent.is_dir() or path.parent.resolve() == home.resolve()):
        raise SettingsError("AUREA_ERASURE_LOG must name a file in a folder that exists: is its disk there?")
    return path


def _origin(raw: str) -> str:
    if not raw.isprintable() or " " in raw or "+" in raw:  # c2sp.org/signed-note: what a key's name may be
        raise SettingsError("AUREA_LEDGER_ORIGIN must be one line without spaces and +: shop.example/consent")
    return raw


def _integer(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    raw = env.get(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise SettingsError(f"{name} must be a whole number from {low} to {high}") from None
    if not low <= value <= high:
        raise SettingsError(f"{name} must be a whole number from {low} to {high}")
    return value


def _http_url(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name) or None
    if value is not None and not value.startswith(("http://", "https://")):
        raise SettingsError(f"{name} must be an http:// or https:// URL")
    return value


def _oidc(env: Mapping[str, str]) -> dict[str, Any]:
    issuer, audience = env.get("AUREA_OIDC_ISSUER") or None, env.get("AUREA_OIDC_AUDIENCE") or None
    if (issuer is None) != (audience is None):
        raise SettingsError(
            "AUREA_OIDC_ISSUER and AUREA_OIDC_AUDIENCE go together: whose tokens, and their name for us"
        )
    loopback = env.get("AUREA_OIDC_LOOPBACK") == "1"
    return {"oidc_issuer": issuer, "oidc_audience": audience, "oidc_loopback": loopback}


def _region(raw: str | None) -> str | None:
    if not raw:
        return None
    if len(raw) != 2 or not raw.isascii() or not raw.isalpha():
        raise SettingsError("AUREA_DEFAULT_REGION must be a two-letter ISO 3166 country code")
    return raw.upper()


def _spark_master(raw: str) -> str:
    if not re.fullmatch(r"local(-cluster)?(\[[0-9,*]+\])?|spark://\S+|k8s://\S+|yarn", raw):
        raise SettingsError("AUREA_SPARK_MASTER must be local[*], spark://HOST:PORT, k8s://URL or yarn")
    return raw


def _spark_memory(raw: str | None) -> str | None:
    if not raw:
        return None
    if not re.fullmatch(r"[1-9][0-9]*[mg]", raw):
        raise SettingsError('AUREA_SPARK_MEMORY must be a number of megabytes or gigabytes, such as "8g"')
    return raw


def _log_level(raw: str) -> str:
    level = raw.lower()
    if level not in {"debug", "info", "warning", "error"}:
        raise SettingsError("AUREA_LOG_LEVEL must be debug, info, warning or error")
    return level
