"""RELAY_URL or PUBLISH where it names a Redis or Valkey server: read, checked, shown without a password."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from unified_indexer.config.addresses import MAX_PORT, host_name, normalised_relay

SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}  # by scheme: whether it means TLS
OTHERS = re.compile(r"(redis|rediss|valkey|valkeys)[+-][a-z+-]+://", re.IGNORECASE)
DEFAULT_PORT = 6379
PARTITIONS = 64  # of a stream; more would cost a read of each more than they spread
EXAMPLE = "redis://user:password@host:6379/0?relay=wss://bsky.network"
PUBLISH_EXAMPLE = "redis://user:password@host:6379/0"


class StreamAddress(NamedTuple):
    """A server, and the relay whose stream it holds. `relay`: ws(s)://host[:port]; empty for PUBLISH.

    Its text has no password.
    """

    host: str
    port: int
    tls: bool
    user: str
    password: str
    database: int
    relay: str
    setting: str = "RELAY_URL"  # that names it

    @property
    def example(self) -> str:
        """How the setting is written."""
        return EXAMPLE if self.setting == "RELAY_URL" else PUBLISH_EXAMPLE

    def __str__(self) -> str:
        place = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{place}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return str(self)


def is_stream(text: str) -> bool:
    """Whether this RELAY_URL names a stream's server, or is meant to."""
    return OTHERS.match(text) is not None or text.partition("://")[0].lower() in SCHEMES


def stream_address(text: str, default_relay: str) -> StreamAddress:
    """Read RELAY_URL. Without `relay=` the server holds the stream of `default_relay`.

    Raises ValueError with what is wrong and the remedy; the text itself is not in it, because it may hold a password.
    """
    address, given = _read(text, EXAMPLE, {"relay"})
    try:
        return address._replace(relay=normalised_relay(given.get("relay", default_relay)))
    except ValueError as error:
        raise ValueError(f"names a relay that {error}; write {EXAMPLE}") from None


def publish_address(text: str) -> StreamAddress:
    """Read PUBLISH. Raises ValueError as `stream_address` does."""
    if not is_stream(text):
        raise ValueError(f"names no Redis or Valkey server; write {PUBLISH_EXAMPLE}")
    return _read(text, PUBLISH_EXAMPLE, set())[0]._replace(setting="PUBLISH")


def _read(text: str, example: str, parameters: set[str]) -> tuple[StreamAddress, dict[str, str]]:
    write = f"write {example}, and special characters of a password as %40 (@) and %2F (/)"
    if OTHERS.match(text) or "," in text.partition("?")[0].rpartition("@")[2]:
        raise ValueError(
            "names sentinels, a cluster, or several hosts, which the worker does not follow: write the primary's address, or "
            f"a name or proxy that leads to it ({example})"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
        given = dict(parse_qsl(parts.query, strict_parsing=True) if parts.query else ())
    except ValueError:
        raise ValueError(f"is no usable URL; {write}") from None
    host = host_name(f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or "")
    if not host or parts.netloc.count("@") > 1 or parts.fragment or port == 0 or (port or 1) > MAX_PORT:
        raise ValueError(f"has an unusable host or port; {write}")
    if not re.fullmatch(r"/?[0-9]{0,4}", parts.path):
        raise ValueError(f"has a path that is no database's number; write {example}")
    if unknown := set(given) - parameters:
        raise ValueError(f"has the parameter {min(unknown)[:40]!r}, which the worker does not know; write {example}")
    address = StreamAddress(
        host,
        port or DEFAULT_PORT,
        SCHEMES[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        int(parts.path.strip("/") or 0),
        "",
    )
    return address, given
