"""A hostile relay, byte by byte: whatever it answers ends in a line of the log and another attempt; its floods are bounded."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import psutil
import pytest

from unified_indexer.metrics import Metrics
from unified_indexer.relay.backoff import Backoff
from unified_indexer.relay.connection import MAX_QUOTED_CHARACTERS
from unified_indexer.relay.firehose import Firehose
from unified_indexer.relay.position import Position, Stored
from unified_indexer.relay.redirects import followed

Speech = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
DEADLINE = 60.0  # seconds
PING = b"\x89\x7d" + b"x" * 125
EMPTY_FRAGMENT = b"\x00\x00"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caplog.set_level(logging.INFO)


@asynccontextmanager
async def listening(speech: Speech) -> AsyncGenerator[str]:
    """The URL of a server that says this to whoever connects."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speech(reader, writer)
        except ConnectionError:  # the worker went away in the middle, as it should
            pass
        finally:
            writer.close()

    # The deadline holds for leaving, too: from Python 3.12 on a server waits there until all that it serves are gone.
    async with asyncio.timeout(DEADLINE), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def first_wait(url: str) -> float:
    """How long the worker means to wait after its first connection; it stops there."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        stream.stop()

    backoff = Backoff(draw=lambda: 0.0)
    stream = Firehose(
        url,
        Position("relay.test", Stored(), None),
        idle_timeout=0,
        ping_interval=0.5,
        metrics=Metrics(),
        backoff=backoff,
        sleep=sleep,
    )
    assert [frame async for frame in stream.frames()] == []
    assert ours_open(url) == []
    return waits[0]


def ours_open(url: str) -> list[str]:
    """The sockets that this process still holds toward the server of `url`, its own side of them left out, by their state."""
    port = int(url.rpartition(":")[2])
    found = psutil.Process().net_connections("tcp")
    return [one.status for one in found if one.raddr and one.raddr.port == port and one.laddr.port != port]


def answering(head: bytes, body: bytes = b"") -> Speech:
    async def speech(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.replace(b"\n", b"\r\n") + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    return speech


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Completes the websocket's handshake."""
    request = await reader.readuntil(b"\r\n\r\n")
    key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    head = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept
    writer.write(head + b"\r\n\r\n")


def deaf(writer: asyncio.StreamWriter) -> None:
    """Reads nothing from here on, so that not even the end of the connection is noticed, but by writing."""
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"HTTP/1.1 503 x\nRetry-After: 7\nRetry-After: 9\n", "HTTP 503"),
        (b"HTTP/1.1 503 x\nContent-Type: a\nContent-Type: text/html\n", "HTTP 503"),
        (b"HTTP/1.1 301 x\nLocation: //[\nLocation: /b\n", "HTTP 301: it redirects to //["),
        (b"HTTP/1.1 301 x\nLocation: //[\n", "HTTP 301: it redirects to //["),
        (b"HTTP/1.1 308 x\nLocation: ws://host:999999/\n", "where the worker cannot follow"),
        (b"HTTP/1.1 302 x\nLocation: ws://" + b"a" * 70 + b".x/\n", "HTTP 302: it redirects to ws://aaa"),
        (b"HTTP/1.1 302 x\n", "HTTP 302"),
        (b"HTTP/1.1 200 " + b"x" * 9_000 + b"\n", "expected no more than 8192 bytes"),
        (b"HTTP/1.1 200 x\n" + b"A: b\n" * 200, "did not receive a valid HTTP response"),
        (b"HTTP/1.1 500 x\nTransfer-Encoding: gzip\n", "did not receive a valid HTTP response"),
        (b"HTTP/1.1 101 x\nUpgrade: websocket\nConnection: Upgrade\n" + b"Sec-WebSocket-Accept: a\n" * 2, "Accept"),
        (b"HTTP/1.1 101 x\nConnection: Upgrade\nUpgrade: " + b"a" * 8_000 + b"\n", "invalid Upgrade header"),
        (b"\0\xff\n", "did not receive a valid HTTP response"),
    ],
)
async def test_whatever_the_answer_is_the_worker_comes_again(head: bytes, told: str, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(answering(head)) as url:
        assert await first_wait(url) == (7 if b"Retry-After" in head else 1)
    (line,) = caplog.messages
    assert told in line
    assert len(line) < MAX_QUOTED_CHARACTERS + 200


async def test_a_body_of_many_megabytes_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 x\r\n\r\n" + bytes(8 * 2**20))
        await writer.drain()

    async with listening(large) as url:
        assert await first_wait(url) == 1
    assert "did not receive a valid HTTP response" in caplog.text


def moved(place: str, status: int = 301, visitors: list[bytes] | None = None) -> Speech:
    """An answer that sends to `place`; each visitor's request line goes to `visitors`."""

    async def speech(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if visitors is not None:
            visitors.append(await reader.readline())
        await answering(f"HTTP/1.1 {status} x\nLocation: {place}\n".encode())(reader, writer)

    return speech


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    ("place", "asked"),
    [
        ("{ws}", "/xrpc/com.atproto.sync.subscribeRepos?cursor=7"),
        ("{http}/", "/xrpc/com.atproto.sync.subscribeRepos?cursor=7"),
        ("{ws}/xrpc/com.atproto.sync.subscribeRepos?cursor=7", "/xrpc/com.atproto.sync.subscribeRepos?cursor=7"),
        ("{http}/other?cursor=0&key=a", "/other?key=a&cursor=7"),
    ],
)
async def test_a_relay_that_moved_is_followed_with_path_and_cursor(
    status: int, place: str, asked: str, caplog: pytest.LogCaptureFixture
) -> None:
    visitors: list[bytes] = []

    async def new_place(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(await reader.readline())
        await upgraded(reader, writer)
        writer.write(b"\x82\x01a")
        await writer.drain()
        await reader.read()

    async with (
        listening(new_place) as there,
        listening(moved(place.format(ws=there, http=there.replace("ws:", "http:")), status)) as url,
    ):
        stream = Firehose(url, Position("relay.test", Stored(), 7), idle_timeout=0, metrics=Metrics())
        async with aclosing(stream.frames()) as frames:
            assert await anext(frames) == b"a"
    assert visitors == [f"GET {asked} HTTP/1.1\r\n".encode()]
    assert f"redirects to {there}" in caplog.text


@pytest.mark.parametrize(("hops", "arrives"), [(5, True), (6, False)])
async def test_five_redirects_are_followed_and_no_more(hops: int, arrives: bool, caplog: pytest.LogCaptureFixture) -> None:
    visitors: list[bytes] = []

    async def stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(await reader.readline())

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(stop))
        for _ in range(hops):
            url = await stack.enter_async_context(listening(moved(url)))
        assert await first_wait(url) == 1
    assert len(visitors) == arrives
    assert ("more than 5 redirects" in caplog.text) != arrives


@pytest.mark.parametrize("status", [300, 303, 304])
async def test_other_answers_that_name_a_place_are_told(status: int, caplog: pytest.LogCaptureFixture) -> None:
    visitors: list[bytes] = []
    async with listening(moved("/", visitors=visitors)) as place, listening(moved(place, status)) as url:
        assert await first_wait(url) == 1
    assert "where the worker cannot follow; is RELAY_URL a relay?" in caplog.text
    assert visitors == []


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("wss://b.example/", "wss://b.example/x?cursor=1"),
        ("//b.example:8443/y", "wss://b.example:8443/y?cursor=1"),
        ("https://[::1]:2470", "wss://[::1]:2470/x?cursor=1"),
        ("/y", "wss://a.example/y?cursor=1"),
        ("ws://b.example/", None),
        ("http://a.example/x", None),
        ("ftp://b.example/", None),
        ("wss:///y", "wss://a.example/y?cursor=1"),
        ("wss://:443/", None),
        ("wss://b.example:99999/", None),
        ("wss://" + "b" * 64 + ".example/", None),
        ("wss://b.example/\udcff", None),
    ],
)
def test_a_redirect_never_leaves_tls(place: str, url: str | None) -> None:
    assert followed("wss://a.example/x?cursor=1", "wss://a.example/x?cursor=1", place) == url


async def test_a_redirect_from_ws_to_wss_is_followed_and_checks_certificates(caplog: pytest.LogCaptureFixture) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 x\r\n\r\n")

    async with listening(no_tls) as there, listening(moved(there.replace("ws:", "wss:"))) as url:
        assert await first_wait(url) == 1
    assert "TLS: " in caplog.text


async def test_a_relay_that_floods_us_with_pings_and_reads_no_answer_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """The answers must not pile up: they did, by 60 MB a second."""

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        deaf(writer)
        while True:
            writer.write(PING * 2_000)
            await writer.drain()

    before = psutil.Process().memory_info().rss
    async with listening(flooding) as url:
        assert await first_wait(url) == 1
    assert "does not read the answers to its pings" in caplog.text
    assert psutil.Process().memory_info().rss - before < 64 * 2**20


async def test_a_message_of_endless_fragments_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def fragments(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        deaf(writer)
        writer.write(b"\x02\x00")
        while True:
            writer.write(EMPTY_FRAGMENT * 2_000)
            await writer.drain()

    async with listening(fragments) as url:
        assert await first_wait(url) == 1
    assert "cannot be read: sent 1009 (message too big)" in caplog.text


async def test_a_compressed_message_is_refused_not_unpacked(caplog: pytest.LogCaptureFixture) -> None:
    async def compressed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write(b"\xc2\x02\x03\x00")  # RSV1: permessage-deflate, which was not agreed on
        await reader.read()

    async with listening(compressed) as url:
        assert await first_wait(url) == 1
    assert "cannot be read: sent 1002 (protocol error) reserved bits must be 0" in caplog.text
