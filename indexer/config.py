"""The worker's settings: environment and .env in, one checked value out; every fault in one message."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values

from indexer.database_url import faults_of
from indexer.errors import OperatorError
from indexer.protocol.syntax import is_nsid

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
MAX_POOL_SIZE = 200  # connections; a server of usual size allows 100 in all
MAX_SEQ = 2**63 - 1  # a seq is a 64-bit integer
MAX_IDLE_TIMEOUT = 86_400.0  # seconds: a day without an event is no longer a matter of patience
SUBSCRIBE_PATH = "/xrpc/com.atproto.sync.subscribeRepos"


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable: its name, its default as it would be written (empty: none), and what it means."""

    name: str
    default: str
    meaning: str


SETTINGS = (
    Setting(
        "DATABASE_URL",
        "",
        "The PostgreSQL database, as postgresql://user:password@host:5432/database. Required, except with --embedded.",
    ),
    Setting("RELAY_URL", "wss://bsky.network", "The relay to follow: a host, or a ws:// or wss:// URL."),
    Setting("DB_POOL_SIZE", "20", f"The most connections to the database that are open at once, 1 to {MAX_POOL_SIZE}."),
    Setting("LOG_LEVEL", "INFO", "The least level that is logged: DEBUG, INFO, WARNING or ERROR."),
    Setting(
        "CURSOR",
        "live",
        "Where to start when no cursor is stored for this relay: live (from now on), oldest (all that the relay holds), or a "
        "seq. Ignored when a cursor is stored; --reset-cursor forgets that one.",
    ),
    Setting(
        "SYNCHRONOUS_COMMIT",
        "on",
        "on: what the cursor has passed survives a crash of the database server too. off: faster on slow disks.",
    ),
    Setting(
        "COLLECTIONS",
        "*",
        "What is indexed, by comma: collections (app.bsky.feed.post), or all that begin alike (app.bsky.*). *: everything.",
    ),
    Setting("IDLE_TIMEOUT", "60", "Seconds without an event after which the relay is connected to anew; 0 = never."),
)
_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


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

    @property
    def start(self) -> int | None:
        """CURSOR as the seq to ask a relay for: None for live; 0 for the oldest that it holds."""
        match self.cursor:
            case "live":
                return None
            case "oldest":
                return 0
            case seq:
                return seq

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, *, embedded: bool = False) -> "Config":
        """The settings in `env`; without it, those of the process and of ./.env, where the process's own win.

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
            idle_timeout=values.idle_timeout(),
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
    return {name: value for source in (written, os.environ) for name, value in source.items() if value and value.strip()}


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

    def idle_timeout(self) -> float:
        text = self.text("IDLE_TIMEOUT")
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if seconds != 0 and not 1 <= seconds <= MAX_IDLE_TIMEOUT:
            self.faults.append(f"IDLE_TIMEOUT is {text[:40]!r}; write seconds from 1 to {MAX_IDLE_TIMEOUT:.0f}, or 0 for never")
        return seconds

    def collections(self) -> tuple[str, ...]:
        patterns = tuple(dict.fromkeys(part.strip() for part in self.text("COLLECTIONS").split(",") if part.strip()))
        for pattern in patterns:
            # What a prefix leaves open is put in its place, so that the whole must be an NSID.
            if pattern != "*" and not is_nsid(pattern.removesuffix("*") + "x.x" if pattern.endswith(".*") else pattern):
                self.faults.append(
                    f"COLLECTIONS names {pattern[:40]!r}; write collections as app.bsky.feed.post, or app.bsky.*, or * for all"
                )
        return ("*",) if "*" in patterns or not patterns else patterns


def normalised_relay(text: str) -> str:
    """A relay's host or URL as `ws(s)://host[:port]`; a bare host means wss. The endpoint's own path may be there.

    Raises ValueError with what is wrong and the remedy. The text itself is not in it: it may hold a password.
    """
    url = text if "://" in text else f"wss://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("has an unusable host or port; write wss://host or wss://host:port, port 1 to 65535") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("ws", "wss"):
        raise ValueError("must begin with wss:// or ws://, or be a host alone (wss://bsky.network)")
    if "@" in parts.netloc:
        raise ValueError("holds a user or password; a relay takes none: write wss://host")
    if parts.query or parts.fragment or parts.path.rstrip("/") not in ("", SUBSCRIBE_PATH):
        raise ValueError("holds a path or a query; write wss://host alone, and set CURSOR for where to start")
    # Underscores are no part of a host name on the internet, but container networks have them.
    is_name = len(host) <= 253 and all(
        re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in host.split(".")
    )
    is_ipv6 = re.fullmatch(r"[0-9a-f:.]*:[0-9a-f:.]*", host) is not None
    if not (is_name or is_ipv6) or port == 0:
        raise ValueError("has an unusable host or port; write wss://host or wss://host:port, port 1 to 65535")
    place = f"[{host}]" if is_ipv6 else host
    own_port = 443 if parts.scheme == "wss" else 80
    return f"{parts.scheme}://{place}" if port in (None, own_port) else f"{parts.scheme}://{place}:{port}"
