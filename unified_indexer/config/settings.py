"""The worker's settings: environment and .env in, one checked value out; all faults in one message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from unified_indexer.config.chosen import Chosen
from unified_indexer.config.environment import environment, with_files
from unified_indexer.config.stream_url import StreamAddress
from unified_indexer.config.values import MOST_SHARES, Address, Values
from unified_indexer.errors import OperatorError
from unified_indexer.log.formats import LogFormat
from unified_indexer.shares import Share

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
MAX_POOL_SIZE = 200  # connections; a server of usual size allows 100 in all
MAX_IDLE_TIMEOUT = 86_400.0  # seconds: a day without an event is no longer a matter of patience
MAX_PLC_RATE = 1_000  # look-ups a second: an own replica on the same machine
MAX_AUDIT_RATE = 600  # repos a minute
MAX_NOTIFY_REPAIRED = 365  # days
MAX_FETCHES = 256  # at once
MAX_RECORDS_PER_SECOND = 1_000_000
MAX_DATABASE_LIMIT = 1_000_000  # GB
MAX_IDENTITY_TTL = 86_400.0 * 30  # seconds
MAX_PUBLISH_LENGTH = 1_000_000_000  # entries
MAX_READY_LAG = 86_400.0 * 30  # seconds


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable: its name, its default as it would be written (empty: none), and what it means. `off`: an empty
    value says so; of any other setting it counts as not set. `secret`: it may hold a password, so a file may hold it."""

    name: str
    default: str
    meaning: str
    off: bool = False
    secret: bool = False


SETTINGS = (
    Setting(
        "DATABASE_URL",
        "",
        "The PostgreSQL database, as postgresql://user:password@host:5432/database. Required, except with --embedded.",
        secret=True,
    ),
    Setting(
        "RELAY_URL",
        "wss://bsky.network",
        "The relay to follow: a host, or a ws:// or wss:// URL. Or the Redis or Valkey server that holds its stream, as "
        "redis://user:password@host:6379/0?relay=wss://bsky.network (rediss:// with TLS).",
        secret=True,
    ),
    Setting("DB_POOL_SIZE", "20", f"The largest number of open connections to the database, 1 to {MAX_POOL_SIZE}."),
    Setting("LOG_LEVEL", "INFO", "The lowest level that is logged: DEBUG, INFO, WARNING or ERROR."),
    Setting(
        "CURSOR",
        "live",
        "Where to start when no cursor is stored for this relay: live (from now on), oldest (all that the relay holds), or a "
        "seq (an event's number). Ignored when a cursor is stored; --reset-cursor removes that one.",
    ),
    Setting(
        "SYNCHRONOUS_COMMIT",
        "on",
        "on: everything up to the cursor survives a crash of the database server too. off: faster on slow disks.",
    ),
    Setting(
        "COLLECTIONS",
        "*",
        "Comma-separated collections to index (app.bsky.feed.post), or prefixes of them (app.bsky.*). *: everything.",
    ),
    Setting(
        "ACCOUNTS",
        "",
        "Whose records are indexed: the path of a file with a DID per line, or follows-of:DID for an account and whom it "
        "follows. Empty: everybody's.",
    ),
    Setting(
        "STANDBY",
        "off",
        "on (or 1): where another worker writes this relay's events, wait until it ends, and take its place.",
    ),
    Setting(
        "SHARE",
        "1/1",
        f"k/n: this worker indexes the k-th of n parts of the accounts, n up to {MOST_SHARES}; n workers share the stream.",
    ),
    Setting(
        "PUBLISH",
        "",
        "The Redis or Valkey server whose stream gets an entry per commit that was written, as "
        "redis://user:password@host:6379/0 (rediss:// with TLS). Empty: none.",
        secret=True,
    ),
    Setting("PUBLISH_LENGTH", "1000000", f"About how many entries that stream keeps, 1000 to {MAX_PUBLISH_LENGTH}."),
    Setting("IDLE_TIMEOUT", "60", "Reconnect after this many seconds without an event. 0: never."),
    Setting(
        "HTTP_BIND",
        "127.0.0.1:8080",
        "The address, host:port, of the live page, /metrics, /healthz and /readyz. Port 0: any free port. Empty: no HTTP.",
        off=True,
    ),
    Setting(
        "HTTP_HOSTS",
        "",
        "Comma-separated host names that HTTP accepts besides HTTP_BIND and localhost, of a container or a proxy. *: any.",
    ),
    Setting("READY_LAG_SECONDS", "60", "The worker is ready (/readyz) up to this many seconds behind the relay. 0: any."),
    Setting(
        "LOG_FORMAT", "text", "text: lines for people, coloured in a terminal. json: an object per line, for log shippers."
    ),
    Setting(
        "VERIFY",
        "full",
        "full: a commit is applied if its account's key signed it and its operations are all that changed. signatures: other "
        "changes may be hidden. off: the relay is believed.",
    ),
    Setting(
        "VERIFY_UNPROVEN",
        "apply",
        "Commits of accounts whose key is not known yet. apply: at once, and their signature is checked when the key comes. "
        "hold: they wait 30 seconds for it, then as dead letters.",
    ),
    Setting(
        "AUDIT_RATE",
        "6",
        "How many random repos per minute are compared with their own hosts, to find what the relay withholds, 0 to "
        f"{MAX_AUDIT_RATE}. With VERIFY=off: none.",
    ),
    Setting(
        "BACKFILL",
        "repair",
        "repair: a repo that lacks something is fetched from its host and compared. network: every repo of the network is "
        "fetched. off: nothing is fetched.",
    ),
    Setting(
        "BACKFILL_SOURCE",
        "pds",
        "pds: whole repos come from their accounts' own hosts. https://host: from a mirror that has them all, and from the own "
        "host only what it lacks.",
    ),
    Setting("BACKFILL_CONCURRENCY", "64", f"How many repos are fetched at once at most, 1 to {MAX_FETCHES}."),
    Setting("BACKFILL_HOST_CONCURRENCY", "10", f"The same of one host, 1 to {MAX_FETCHES}; workers with SHARE divide it."),
    Setting(
        "BACKFILL_RECORDS_PER_SECOND",
        "0",
        f"How many records of whole repos are compared and written a second, 1 to {MAX_RECORDS_PER_SECOND}. 0: any number.",
    ),
    Setting(
        "BACKFILL_DATABASE_LIMIT",
        "0",
        f"No repo is fetched while the database is larger than this, in GB, 1 to {MAX_DATABASE_LIMIT}. 0: any size.",
    ),
    Setting(
        "NOTIFY_REPAIRED",
        "7",
        "A record that a repair finds missing notifies others only if it is at most this many days old, 0 to "
        f"{MAX_NOTIFY_REPAIRED}.",
    ),
    Setting(
        "PLC_URL",
        "https://plc.directory",
        "The directory of did:plc, as https://host; or several, separated by commas: own replicas first, the primary last.",
    ),
    Setting("PLC_RATE", "5", f"How many accounts a second are asked of the directory at most, 1 to {MAX_PLC_RATE}."),
    Setting(
        "IDENTITY_TTL", "86400", "An account's key is asked for again after this many seconds, when the account next writes."
    ),
    Setting(
        "ALLOW_PRIVATE_HOSTS",
        "off",
        "on: accounts' hosts may be at private addresses, on any port and without TLS. For tests and networks of your own.",
    ),
    Setting(
        "DNS_SERVERS",
        "",
        "Comma-separated name servers, 9.9.9.9 or 127.0.0.1:5353, for accounts' hosts and handles. Empty: the system's.",
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "The OpenTelemetry collector, as http://host:4318, that gets traces of batches and fetches (OTLP, JSON). Empty: none.",
    ),
)
LOG_FORMATS = ("text", "json")
Level = Literal["off", "signatures", "full"]
Fetching = Literal["off", "repair", "network"]
FETCHING: tuple[Fetching, ...] = ("off", "repair", "network")
LEVELS: tuple[Level, ...] = ("off", "signatures", "full")
SECRETS = tuple(setting.name for setting in SETTINGS if setting.secret)
_OFF = {setting.name for setting in SETTINGS if setting.off}
_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Config:
    """The settings, checked. `repr` leaves the database's URL out, because it holds a password."""

    database_url: str = field(repr=False)  # empty when the embedded PostgreSQL was asked for, whose URL is known once it runs
    relay_url: str  # ws(s)://host[:port], lower case, without the scheme's own port
    relay_host: str  # host[:port] of the same
    stream: StreamAddress | None = field(repr=False)  # the server that the relay's stream is read from; None: the relay itself
    db_pool_size: int
    log_level: str
    cursor: Literal["live", "oldest"] | int
    synchronous_commit: bool
    standby: bool  # whether to wait for another worker's lock for as long as it takes
    share: Share  # which part of the accounts
    publish: StreamAddress | None = field(repr=False)  # the server that gets an entry per commit
    publish_length: int  # entries
    idle_timeout: float  # seconds; 0 = off
    collections: tuple[str, ...]  # NSIDs, prefixes that end in '.*', or '*'
    chosen: Chosen = field(repr=False)  # whose records are indexed: perhaps a million DIDs
    http_bind: Address | None
    http_hosts: tuple[str, ...]  # lower case; '*': any
    ready_lag: float  # seconds; 0 = off
    log_format: LogFormat
    verify: Level
    hold_unproven: bool  # whether what can't be proven yet waits
    audit_rate: int  # repos a minute; 0 = off
    backfill: Fetching  # which repos are fetched whole
    backfill_source: str | None  # http(s)://host[:port] of a mirror; None: each account's own host
    backfill_concurrency: int  # fetches
    backfill_host_concurrency: int  # fetches
    backfill_records: int  # a second; 0 = any number
    backfill_limit: int  # GB of the database; 0 = any size
    notify_repaired: int  # days
    plc_urls: tuple[str, ...]  # http(s)://host[:port]; the primary is the last
    plc_rate: int  # look-ups a second
    identity_ttl: float  # seconds
    allow_private_hosts: bool
    dns_servers: tuple[tuple[str, int], ...]  # address and port; none: the system's
    otlp_endpoint: str | None  # http(s)://host[:port] of a collector
    hints: tuple[str, ...] = field(default=(), compare=False)  # what is usable, and perhaps not what was meant
    faults: tuple[str, ...] = ()  # what is unusable, and has a stand-in here; empty but for who asked for it
    partitions: int = 0  # of the tables that can be divided by author; 0 = as they are

    @property
    def service(self) -> str:
        """What cursor, lock, runs and gaps are kept under: the relay's host, with the share if there are several."""
        return self.share.service(self.relay_host)

    @property
    def start(self) -> int | None:
        """CURSOR as the seq to request from a relay: None for live; 0 for the oldest that it holds."""
        match self.cursor:
            case "live":
                return None
            case "oldest":
                return 0
            case seq:
                return seq

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, *, embedded: bool = False, tolerant: bool = False) -> "Config":
        """Read the settings from `env`; without it, from the process's environment and ./.env, where the environment has
        priority.

        An empty value counts as not set. `embedded`: DATABASE_URL is neither needed nor looked at. `tolerant`: faults are not
        raised, but left in `faults`; an address is empty then, or None.

        Raises OperatorError, naming every fault and its remedy at once, never a password.
        """
        written, unreadable = environment(_OFF) if env is None else (env, None)
        given, faults = with_files(written, SECRETS[embedded:])  # the first is DATABASE_URL
        values = Values(given, _DEFAULTS, SECRETS)
        values.faults += [unreadable, *faults] if unreadable else faults
        database_url = "" if embedded else values.database_url()
        stream = values.stream()
        relay_url = values.relay_url(stream)
        config = cls(
            database_url=database_url,
            relay_url=relay_url,
            relay_host=relay_url.partition("://")[2],
            stream=stream,
            db_pool_size=values.integer("DB_POOL_SIZE", 1, MAX_POOL_SIZE),
            log_level=values.choice("LOG_LEVEL", LOG_LEVELS),
            cursor=values.cursor(),
            synchronous_commit=values.switch("SYNCHRONOUS_COMMIT"),
            collections=values.collections(),
            chosen=values.chosen(),
            standby=values.choice("STANDBY", ("on", "off", "1", "0")) in ("on", "1"),
            share=values.share(stream),
            publish=values.publish(),
            publish_length=values.integer("PUBLISH_LENGTH", 1_000, MAX_PUBLISH_LENGTH),
            idle_timeout=values.seconds("IDLE_TIMEOUT", MAX_IDLE_TIMEOUT, "never"),
            http_bind=values.address("HTTP_BIND"),
            http_hosts=values.hosts("HTTP_HOSTS"),
            ready_lag=values.seconds("READY_LAG_SECONDS", MAX_READY_LAG, "any"),
            log_format="json" if values.choice("LOG_FORMAT", LOG_FORMATS) == "json" else "text",
            verify=values.choice("VERIFY", LEVELS),
            hold_unproven=values.choice("VERIFY_UNPROVEN", ("apply", "hold")) == "hold",
            audit_rate=values.integer("AUDIT_RATE", 0, MAX_AUDIT_RATE),
            backfill=values.choice("BACKFILL", FETCHING),
            backfill_source=values.mirror("BACKFILL_SOURCE"),
            backfill_concurrency=values.integer("BACKFILL_CONCURRENCY", 1, MAX_FETCHES),
            backfill_host_concurrency=values.integer("BACKFILL_HOST_CONCURRENCY", 1, MAX_FETCHES),
            backfill_records=values.integer("BACKFILL_RECORDS_PER_SECOND", 0, MAX_RECORDS_PER_SECOND),
            backfill_limit=values.integer("BACKFILL_DATABASE_LIMIT", 0, MAX_DATABASE_LIMIT),
            notify_repaired=values.integer("NOTIFY_REPAIRED", 0, MAX_NOTIFY_REPAIRED),
            plc_urls=values.directories("PLC_URL"),
            plc_rate=values.integer("PLC_RATE", 1, MAX_PLC_RATE),
            identity_ttl=values.seconds("IDENTITY_TTL", MAX_IDENTITY_TTL, low=60),
            allow_private_hosts=values.switch("ALLOW_PRIVATE_HOSTS"),
            dns_servers=values.name_servers("DNS_SERVERS"),
            otlp_endpoint=values.collector("OTEL_EXPORTER_OTLP_ENDPOINT"),
            hints=values.hints(),
            faults=tuple(values.faults),
        )
        if values.faults and not tolerant:
            raise OperatorError(values.faults)
        return config
