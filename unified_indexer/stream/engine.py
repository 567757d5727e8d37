"""One connection to a Redis or Valkey server: commands in, replies out. The only hiredis.

Of the protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/) hiredis does all the parsing; what is left of a
client is this file. The common client costs twice as much a frame, and 0.2 s of each start (docs/decisions/0013-*).
"""

import asyncio
import ssl as tls
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis

from unified_indexer.config.stream_url import StreamAddress
from unified_indexer.errors import OperatorError

CONNECT_TIMEOUT = 10.0  # seconds for TCP, TLS and the first commands together
ANSWER_TIMEOUT = 10.0  # seconds; a server that syncs a slow disk may be silent for some
MAX_QUOTED_CHARACTERS = 200  # of what the server says
LOST = "the connection to the stream's server is gone"

# By the first word of an error: what passes by itself (a start, a failover, a script of somebody else's).
PASSING = frozenset({"LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN", "MISCONF"})
CROWDED = "max number of clients"
CLUSTER = frozenset({"MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"})
RIGHTS = frozenset({"WRONGPASS", "NOAUTH", "NOPERM"})

Word = bytes | str | int
Reply = Any
# The library's own types say that a command is one word.
PACK = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


class EngineLost(Exception):
    """The server can't be reached or used just now: try again on a new connection."""


class EngineFull(Exception):
    """The server has no memory left for what was sent: nothing of it is stored."""


class _Wire(asyncio.Protocol):
    """The bytes: complete replies, in order."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.wanted = 0
        self.there = asyncio.Event()
        self.lost: str | None = None
        self.transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self.replies.append(reply)
        except hiredis.ProtocolError as error:
            self.fail(f"what answers is no Redis or Valkey server ({error})")
        if len(self.replies) >= self.wanted:
            self.there.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(LOST if exc is None else f"{LOST} ({exc or type(exc).__name__})")

    def fail(self, why: str) -> None:
        self.lost = self.lost or why
        self.there.set()
        if self.transport is not None:
            self.transport.abort()


class Engine:
    """An open connection, for one task. Every failure ends it."""

    def __init__(self, wire: _Wire, address: StreamAddress) -> None:
        self.address = address
        self._wire = wire

    @classmethod
    async def open(cls, address: StreamAddress, ssl: tls.SSLContext | None = None) -> "Engine":
        """Connect and log in. `ssl` replaces the system's certificate authorities.

        Raises EngineLost, and OperatorError for what only an operator can correct.
        """
        context = (ssl or tls.create_default_context()) if address.tls else None
        hello: list[tuple[Word, ...]] = [("CLIENT", "SETNAME", "unified-worker")]
        if address.database:  # a sentinel knows no SELECT, and is to be named as what it is
            hello.append(("SELECT", address.database))
        if address.password:
            hello.insert(0, ("AUTH", *([address.user] if address.user else []), address.password))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                loop = asyncio.get_running_loop()
                _, wire = await loop.create_connection(_Wire, address.host, address.port, ssl=context)
        except tls.SSLCertVerificationError as error:
            raise OperatorError([f"the certificate of {address} is not valid here ({error.verify_message})"]) from None
        except TimeoutError:
            raise EngineLost(f"no connection within {CONNECT_TIMEOUT:g} s") from None
        except OSError as error:
            raise EngineLost(str(error) or type(error).__name__) from None
        engine = cls(wire, address)
        try:
            await engine.ask(*hello)
        except BaseException:
            engine.close()
            raise
        return engine

    async def ask(self, *commands: Sequence[Word], patience: float = ANSWER_TIMEOUT) -> list[Reply]:
        """Send the commands at once and return a reply each. Raises EngineLost, EngineFull and OperatorError."""
        wire = self._wire
        if wire.lost is not None or wire.transport is None:
            raise EngineLost(wire.lost or LOST)
        wire.replies, wire.wanted = [], len(commands)
        wire.there.clear()
        wire.transport.write(b"".join([PACK(tuple(command)) for command in commands]))
        try:
            async with asyncio.timeout(patience):
                await wire.there.wait()
        except BaseException as error:  # a reply may still come, and would be taken for the next command's
            wire.fail(f"no answer within {patience:g} s")
            if isinstance(error, TimeoutError):
                raise EngineLost(wire.lost) from None
            raise
        if wire.lost is not None:
            raise EngineLost(wire.lost)
        for reply in wire.replies:
            if isinstance(reply, hiredis.ReplyError):
                raise self._failure(str(reply))
        return wire.replies

    def _failure(self, said: str) -> Exception:
        """What an error reply means. It ends the connection: other replies may be errors too."""
        self.close()
        word, quoted = said.split(" ", 1)[0], said[:MAX_QUOTED_CHARACTERS]
        if word == "OOM":
            return EngineFull(quoted)
        if word in PASSING or CROWDED in said:
            return EngineLost(quoted)
        if word in RIGHTS:
            page, keys = ("streams", "firehose:*") if self.address.relay else ("publishing", "indexed:*")
            written = f"{self.address.setting} ({self.address.example})"
            allowed = f"the keys {keys} and the commands that docs/{page}.md lists"
            remedy = f"write user and password into {written}, and allow that user {allowed}"
            return OperatorError([f"the stream's server refuses us ({quoted}): {remedy}"])
        if word in CLUSTER:
            return OperatorError([CLUSTERED])
        return OperatorError([f"the stream's server does not do what the worker needs ({quoted}): use Redis 7 or Valkey"])

    def close(self) -> None:
        """Close the connection at once."""
        self._wire.fail("closed")


CLUSTERED = (
    "the stream's server is a node of a cluster, which the worker does not follow: use one primary, with replicas if you like"
)
