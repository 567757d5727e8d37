"""How values of settings are read: each check leaves a fault that says what to write, and a stand-in."""

import math
import re
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, TypeVar

from unified_indexer.config.addresses import (
    host_name,
    http_origin,
    listening,
    name_server,
    normalised_relay,
    perhaps_without_tls,
)
from unified_indexer.config.chosen import Chosen, chosen
from unified_indexer.config.database_url import faults_of
from unified_indexer.config.environment import in_file
from unified_indexer.config.misspelt import misspelt
from unified_indexer.config.stream_url import PARTITIONS, StreamAddress, is_stream, publish_address, stream_address
from unified_indexer.protocol.syntax import is_nsid
from unified_indexer.shares import WHOLE, Share

Choice = TypeVar("Choice", bound=str)

MOST_SHARES = PARTITIONS - 1  # so many parts are a stream's; and a worker would do little but decode what is others'
MAX_SEQ = 2**63 - 1  # a seq is a 64-bit integer


def _shown(text: str) -> str:
    """The beginning of what can't be used, without what may be secret in it: all before an @, and a URL's query."""
    _, at, after = text.rpartition("@")
    place, question, _ = after.partition("?")
    account, query = "***@" if at else "", "?***" if question else ""
    return f"{account}{place}{query}"[:40]


class Address(NamedTuple):
    """Where to listen. `chosen`: an operator wrote it, so it is not the default."""

    host: str
    port: int
    chosen: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Values:
    """Reads one setting at a time. A fault goes to `faults`, and a stand-in is returned so that the rest is read too."""

    def __init__(self, env: Mapping[str, str], defaults: Mapping[str, str], secrets: Collection[str]) -> None:
        self.env = env
        self._defaults = defaults
        self._names = (*defaults, *map(in_file, secrets))
        self.faults: list[str] = []

    def text(self, name: str) -> str:
        return self.env.get(name, "").strip() or self._defaults[name]

    def database_url(self) -> str:
        url = self.text("DATABASE_URL")
        if url:
            self.faults += faults_of(url)
        elif not any(fault.startswith("DATABASE_URL") for fault in self.faults):  # a file that should say it
            self.faults.append(
                "DATABASE_URL is not set; write DATABASE_URL=postgresql://user:password@host:5432/database in the environment "
                "or in .env, or start with --embedded"
            )
        return url

    def stream(self) -> StreamAddress | None:
        """Where RELAY_URL names a server that holds the relay's stream: which, and whose stream."""
        text = self.text("RELAY_URL")
        try:
            return stream_address(text, self._defaults["RELAY_URL"]) if is_stream(text) else None
        except ValueError as error:
            self.faults.append(f"RELAY_URL {error}")
            return None

    def publish(self) -> StreamAddress | None:
        """The server whose stream gets an entry per commit."""
        text = self.text("PUBLISH")
        try:
            return publish_address(text) if text else None
        except ValueError as error:
            self.faults.append(f"PUBLISH {error}")
            return None

    def relay_url(self, stream: StreamAddress | None) -> str:
        if stream is not None or is_stream(self.text("RELAY_URL")):
            return "" if stream is None else stream.relay
        try:
            return normalised_relay(self.text("RELAY_URL"))
        except ValueError as error:
            self.faults.append(f"RELAY_URL {error}")
            return ""

    def integer(self, name: str, low: int, high: int) -> int:
        text = self.text(name)
        value = int(text) if re.fullmatch(r"-?[0-9]{1,19}", text) else None
        if value is None or not low <= value <= high:
            self.faults.append(f"{name} is {_shown(text)!r}; write a whole number from {low} to {high}")
            return low
        return value

    def choice(self, name: str, choices: tuple[Choice, ...]) -> Choice:
        text = self.text(name)
        for choice in choices:
            if choice.lower() == text.lower():
                return choice
        self.faults.append(f"{name} is {_shown(text)!r}; write one of {', '.join(choices)}")
        return next(choice for choice in choices if choice.lower() == self._defaults[name].lower())

    def cursor(self) -> Literal["live", "oldest"] | int:
        text = self.text("CURSOR").lower()
        match text:
            case "live" | "oldest":
                return text
            case _ if re.fullmatch(r"[0-9]{1,19}", text) and int(text) <= MAX_SEQ:
                return int(text)
            case _:
                self.faults.append(f"CURSOR is {_shown(text)!r}; write live, oldest, or a seq from 0 to {MAX_SEQ}")
                return "live"

    def seconds(self, name: str, high: float, none: str = "", low: float = 1) -> float:
        """`none`: what 0 means; without it 0 is a fault."""
        text = self.text(name)
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not low <= seconds <= high and not (none and seconds == 0):
            self.faults.append(
                f"{name} is {_shown(text)!r}; write seconds from {low:g} to {high:.0f}{none and f', or 0 for {none}'}"
            )
        return seconds

    def switch(self, name: str) -> bool:
        return self.choice(name, ("on", "off")) == "on"

    def share(self, stream: StreamAddress | None) -> Share:
        """With a stream's server: some of its partitions; the worker finds out which."""
        text = self.text("SHARE")
        found = re.fullmatch(r"([1-9][0-9]?)/([1-9][0-9]?)", text)
        share = Share(int(found[1]), int(found[2])) if found else None
        if share is None or not share.number <= share.of <= MOST_SHARES:
            self.faults.append(
                f"SHARE is {_shown(text)!r}; write k/n, 1/4 for example: n from 1 to {MOST_SHARES}, k from 1 to n"
            )
            return WHOLE
        if stream is not None and share.of > 1:
            self.faults.append(
                f"SHARE is {text}, and RELAY_URL names a server whose partitions workers share by themselves; remove it"
            )
        return share if stream is None else Share(0, PARTITIONS)

    def directories(self, name: str) -> tuple[str, ...]:
        origins: list[str] = []
        for part in self.text(name).split(","):
            try:
                origins += [http_origin(part)] if part.strip() else []
            except ValueError:
                self.faults.append(
                    f"{name} is {_shown(part.strip())!r}; write https://host or http://host:port, separated by commas"
                )
        return tuple(dict.fromkeys(origins))

    def mirror(self, name: str) -> str | None:
        text = self.text(name)
        try:
            return None if text.lower() == "pds" else http_origin(text)
        except ValueError:
            self.faults.append(f"{name} is {_shown(text)!r}; write pds, or https://host of a mirror")
            return None

    def collector(self, name: str) -> str | None:
        text = self.text(name)
        try:
            return http_origin(text) if text else None
        except ValueError:
            self.faults.append(f"{name} is {_shown(text)!r}; write http://host:4318, or https://host, without a path")
            return None

    def name_servers(self, name: str) -> tuple[tuple[str, int], ...]:
        servers: list[tuple[str, int]] = []
        for part in self.text(name).split(","):
            try:
                servers += [name_server(part)] if part.strip() else []
            except ValueError:
                self.faults.append(
                    f"{name} is {_shown(part.strip())!r}; write addresses (9.9.9.9, or [::1]:53), separated by commas"
                )
        return tuple(dict.fromkeys(servers))

    def address(self, name: str) -> Address | None:
        chosen = self.env.get(name)
        if chosen is not None and not chosen.strip():
            return None
        try:
            return Address(*listening(self.text(name)), chosen is not None)
        except ValueError:
            self.faults.append(
                f"{name} is {_shown(self.text(name))!r}; write host:port (127.0.0.1:8080, or [::1]:8080), port 0 to 65535, or "
                "nothing for no HTTP"
            )
            return None

    def hosts(self, name: str) -> tuple[str, ...]:
        hosts = tuple(dict.fromkeys(part.strip() for part in self.text(name).split(",") if part.strip()))
        for host in hosts:
            if host != "*" and host_name(host) is None:
                self.faults.append(
                    f"{name} names {_shown(host)!r}; write names or addresses, separated by commas, or * for any"
                )
        return tuple(host_name(host) or host for host in hosts)

    def hints(self) -> tuple[str, ...]:
        """Warnings about usable values that may not be what the operator meant."""
        relay = perhaps_without_tls(self.text("RELAY_URL"))
        return (*misspelt(self.env, self._names), *([f"RELAY_URL {relay}"] if relay else ()))

    def chosen(self) -> Chosen:
        try:
            return chosen(self.text("ACCOUNTS"))
        except ValueError as error:
            self.faults.append(f"ACCOUNTS {error}")
            return Chosen()

    def collections(self) -> tuple[str, ...]:
        patterns = tuple(dict.fromkeys(part.strip() for part in self.text("COLLECTIONS").split(",") if part.strip()))
        for pattern in patterns:
            # What a prefix leaves open is put in its place, so that the whole must be an NSID.
            if pattern != "*" and not is_nsid(pattern.removesuffix("*") + "x.x" if pattern.endswith(".*") else pattern):
                self.faults.append(
                    f"COLLECTIONS names {_shown(pattern)!r}; write app.bsky.feed.post, for example, or app.bsky.*, or * for all"
                )
        return ("*",) if "*" in patterns or not patterns else patterns
