"""The worker's settings: environment and .env in, one checked value out; all faults in one message."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from dotenv import dotenv_values

from indexer.config.addresses import host_name, listening, normalised_relay, perhaps_without_tls
from indexer.config.database_url import faults_of
from indexer.config.misspelt import misspelt
from indexer.errors import OperatorError
from indexer.log.formats import LogFormat
from indexer.protocol.syntax import is_nsid

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
MAX_POOL_SIZE = 200  # connections; a server of usual size allows 100 in all
MAX_SEQ = 2**63 - 1  # a seq is a 64-bit integer
MAX_IDLE_TIMEOUT = 86_400.0  # seconds: a day without an event is no longer a matter of patience
MAX_READY_LAG = 86_400.0 * 30  # seconds


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable: its name, its default as it would be written (empty: none), and what it means. `off`: an empty
    value says so; of any other setting it counts as not set."""

    name: str
    default: str
    meaning: str
    off: bool = False


SETTINGS = (
    Setting(
        "DATABASE_URL",
        "",
        "The PostgreSQL database, as postgresql://user:password@host:5432/database. Required, except with --embedded.",
    ),
    Setting("RELAY_URL", "wss://bsky.network", "The relay to follow: a host, or a ws:// or wss:// URL."),
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
)
LOG_FORMATS = ("text", "json")
_OFF = {setting.name for setting in SETTINGS if setting.off}
_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


class Address(NamedTuple):
    """Where to listen. `chosen`: an operator wrote it, so it is not the default."""

    host: str
    port: int
    chosen: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings, checked. `repr` leaves the database's URL out, because it holds a password."""

    database_url: str = field(repr=False)  # empty when the embedded PostgreSQL was asked for, whose URL is known once it runs
    relay_url: str  # ws(s)://host[:port], lower case, without the scheme's own port
    relay_host: str  # host[:port] of the same: the key under which the cursor is stored
    db_pool_size: int
    log_level: str
    cursor: Literal["live", "oldest"] | int
    synchronous_commit: bool
    idle_timeout: float  # seconds; 0 = off
    collections: tuple[str, ...]  # NSIDs, prefixes that end in '.*', or '*'
    http_bind: Address | None
    http_hosts: tuple[str, ...]  # lower case; '*': any
    ready_lag: float  # seconds; 0 = off
    log_format: LogFormat
    hints: tuple[str, ...] = field(default=(), compare=False)  # what is usable, and perhaps not what was meant

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
    def from_env(cls, env: Mapping[str, str] | None = None, *, embedded: bool = False) -> "Config":
        """Read the settings from `env`; without it, from the process's environment and ./.env, where the environment has
        priority.

        An empty value counts as not set. `embedded`: DATABASE_URL is neither needed nor looked at.

        Raises OperatorError, naming every fault and its remedy at once, never a password.
        """
        values = _Values(_environment() if env is None else env)
        database_url = "" if embedded else values.database_url()
        relay_url = values.relay_url()
        config = cls(
            database_url=database_url,
            relay_url=relay_url,
            relay_host=relay_url.partition("://")[2],
            db_pool_size=values.integer("DB_POOL_SIZE", 1, MAX_POOL_SIZE),
            log_level=values.choice("LOG_LEVEL", LOG_LEVELS),
            cursor=values.cursor(),
            synchronous_commit=values.choice("SYNCHRONOUS_COMMIT", ("on", "off")) == "on",
            collections=values.collections(),
            idle_timeout=values.seconds("IDLE_TIMEOUT", MAX_IDLE_TIMEOUT, "never"),
            http_bind=values.address("HTTP_BIND"),
            http_hosts=values.hosts("HTTP_HOSTS"),
            ready_lag=values.seconds("READY_LAG_SECONDS", MAX_READY_LAG, "any"),
            log_format="json" if values.choice("LOG_FORMAT", LOG_FORMATS) == "json" else "text",
            hints=values.hints(),
        )
        if values.faults:
            raise OperatorError(values.faults)
        return config


def _environment() -> dict[str, str]:
    path = Path(".env")
    try:
        # No interpolation: a password may hold ${.
        written = dotenv_values(path, interpolate=False) if path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError([f".env cannot be read ({type(error).__name__}); make it a readable text file in UTF-8"]) from None
    sources = (written, os.environ)
    return {n: value or "" for source in sources for n, value in source.items() if (value and value.strip()) or n in _OFF}


class _Values:
    """Reads one setting at a time. A fault goes to `faults`, and a stand-in is returned so that the rest is read too."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.faults: list[str] = []

    def text(self, name: str) -> str:
        return self.env.get(name, "").strip() or _DEFAULTS[name]

    def database_url(self) -> str:
        url = self.text("DATABASE_URL")
        if url:
            self.faults += faults_of(url)
        else:
            self.faults.append(
                "DATABASE_URL is not set; write DATABASE_URL=postgresql://user:password@host:5432/database in the environment "
                "or in .env, or start with --embedded"
            )
        return url

    def relay_url(self) -> str:
        try:
            return normalised_relay(self.text("RELAY_URL"))
        except ValueError as error:
            self.faults.append(f"RELAY_URL {error}")
            return ""

    def integer(self, name: str, low: int, high: int) -> int:
        text = self.text(name)
        value = int(text) if re.fullmatch(r"-?[0-9]{1,19}", text) else None
        if value is None or not low <= value <= high:
            self.faults.append(f"{name} is {text[:40]!r}; write a whole number from {low} to {high}")
            return low
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        text = self.text(name)
        for choice in choices:
            if choice.lower() == text.lower():
                return choice
        self.faults.append(f"{name} is {text[:40]!r}; write one of {', '.join(choices)}")
        return choices[0]

    def cursor(self) -> Literal["live", "oldest"] | int:
        text = self.text("CURSOR").lower()
        match text:
            case "live" | "oldest":
                return text
            case _ if re.fullmatch(r"[0-9]{1,19}", text) and int(text) <= MAX_SEQ:
                return int(text)
            case _:
                self.faults.append(f"CURSOR is {text[:40]!r}; write live, oldest, or a seq from 0 to {MAX_SEQ}")
                return "live"

    def seconds(self, name: str, high: float, none: str) -> float:
        text = self.text(name)
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if seconds != 0 and not 1 <= seconds <= high:
            self.faults.append(f"{name} is {text[:40]!r}; write seconds from 1 to {high:.0f}, or 0 for {none}")
        return seconds

    def address(self, name: str) -> Address | None:
        chosen = self.env.get(name)
        if chosen is not None and not chosen.strip():
            return None
        try:
            return Address(*listening(self.text(name)), chosen is not None)
        except ValueError:
            self.faults.append(
                f"{name} is {self.text(name)[:40]!r}; write host:port (127.0.0.1:8080, or [::1]:8080), port 0 to 65535, or "
                "nothing for no HTTP"
            )
            return None

    def hosts(self, name: str) -> tuple[str, ...]:
        hosts = tuple(dict.fromkeys(part.strip() for part in self.text(name).split(",") if part.strip()))
        for host in hosts:
            if host != "*" and host_name(host) is None:
                self.faults.append(f"{name} names {host[:40]!r}; write names or addresses, separated by commas, or * for any")
        return tuple(host_name(host) or host for host in hosts)

    def hints(self) -> tuple[str, ...]:
        """Warnings about usable values that may not be what the operator meant."""
        relay = perhaps_without_tls(self.text("RELAY_URL"))
        return (*misspelt(self.env, _DEFAULTS), *([f"RELAY_URL {relay}"] if relay else ()))

    def collections(self) -> tuple[str, ...]:
        patterns = tuple(dict.fromkeys(part.strip() for part in self.text("COLLECTIONS").split(",") if part.strip()))
        for pattern in patterns:
            # What a prefix leaves open is put in its place, so that the whole must be an NSID.
            if pattern != "*" and not is_nsid(pattern.removesuffix("*") + "x.x" if pattern.endswith(".*") else pattern):
                self.faults.append(
                    f"COLLECTIONS names {pattern[:40]!r}; write app.bsky.feed.post, for example, or app.bsky.*, or * for all"
                )
        return ("*",) if "*" in patterns or not patterns else patterns
