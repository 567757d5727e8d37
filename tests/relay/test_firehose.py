"""The relay's client against a real websocket server in this process: what it asks for, how it goes on after trouble."""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from unified_indexer.config.addresses import SUBSCRIBE_PATH
from unified_indexer.errors import OperatorError
from unified_indexer.metrics import Metrics
from unified_indexer.relay.backoff import MAX_RETRY_AFTER, Backoff, retry_after
from unified_indexer.relay.connection import CLOSE_TIMEOUT, MAX_MESSAGE_BYTES
from unified_indexer.relay.firehose import Firehose
from unified_indexer.relay.position import Position, Stored

Script = Callable[[ServerConnection, int | None], Awaitable[None]]
DEADLINE = 60.0  # seconds: a test that waits longer has failed
UNIT = 0.001  # seconds: the back-off's second, shortened


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    caplog.set_level(logging.INFO, "unified_indexer.relay.firehose")


class Relay:
    """A server that runs `script(connection, cursor)` for each connection and remembers what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.cursors: list[int | None] = []
        self.requests: list[Request] = []
        self.url = ""

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.requests.append(connection.request)
        parts = urlsplit(connection.request.path)
        assert parts.path == SUBSCRIBE_PATH
        cursor = parse_qs(parts.query).get("cursor")
        self.cursors.append(int(cursor[0]) if cursor else None)
        await self.script(connection, self.cursors[-1])


@asynccontextmanager
async def running(
    script: Script, answer: Callable[[Request], Response | None] = lambda _: None, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Relay, None]:
    relay = Relay(script)
    async with serve(
        relay.handle,
        "localhost",
        0,
        process_request=lambda _, request: answer(request),
        ssl=tls,
        ping_interval=None,
        close_timeout=0.1,
    ) as server:
        scheme = "ws" if tls is None else "wss"
        relay.url = f"{scheme}://localhost:{next(iter(server.sockets)).getsockname()[1]}"
        async with asyncio.timeout(DEADLINE):
            yield relay


def firehose(url: str, start: int | None = None, **changes: object) -> tuple[Firehose, Metrics]:
    metrics = Metrics()
    options: dict[str, object] = {"idle_timeout": 0, "metrics": metrics, "backoff": Backoff(UNIT)} | changes
    position = Position("relay.test", Stored(), start)
    return Firehose(url, position, **options), metrics  # pyright: ignore[reportArgumentType]


def received(stream: Firehose, seq: int) -> None:
    """The consumer's part: registers what arrived."""
    stream.position.arrived(seq, None)


async def take(stream: Firehose, count: int) -> list[bytes]:
    """The next `count` frames, each (a seq in decimal, perhaps with padding) reported as received."""
    got: list[bytes] = []
    async with aclosing(stream.frames()) as frames:
        async for frame in frames:
            got.append(frame)
            received(stream, int(frame))
            if len(got) == count:
                break
    return got


async def drained(stream: Firehose) -> list[bytes]:
    async with aclosing(stream.frames()) as frames:
        return [frame async for frame in frames]


async def silent(connection: ServerConnection, _: int | None) -> None:
    await connection.wait_closed()


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


def sending(*seqs: int, then: Script = silent) -> Script:
    """A relay that holds `seqs`: sends those after the cursor, then runs `then`."""

    async def script(connection: ServerConnection, cursor: int | None) -> None:
        for seq in seqs:
            if cursor is None or seq > cursor:
                await connection.send(b"%d" % seq)
        await then(connection, cursor)

    return script


async def closing(connection: ServerConnection, _: int | None) -> None:
    await connection.close(1000, "maintenance")


async def cutting(connection: ServerConnection, _: int | None) -> None:
    await connection.wait_closed() if connection.transport.is_closing() else connection.transport.abort()


# ── what is asked for


@pytest.mark.parametrize("start", [None, 0, 7, 2**63 - 1])
@pytest.mark.promise(2)
async def test_asks_from_where_it_is_told(start: int | None) -> None:
    async def script(connection: ServerConnection, _: int | None) -> None:
        await connection.send(b"8")
        await silent(connection, None)

    async with running(script) as relay:
        stream, _ = firehose(relay.url, start)
        assert await take(stream, 1) == [b"8"]
    assert relay.cursors == [start]
    assert relay.requests[0].headers["User-Agent"].startswith("unified-worker/")
    assert "Sec-WebSocket-Extensions" not in relay.requests[0].headers  # no compression


@pytest.mark.parametrize(("end", "told"), [(closing, "maintenance"), (cutting, "no close frame")])
@pytest.mark.promise(2)
async def test_reconnects_from_the_last_received_seq(end: Script, told: str, caplog: pytest.LogCaptureFixture) -> None:
    async def script(connection: ServerConnection, cursor: int | None) -> None:
        await connection.send(b"%d" % (cursor + 3 if cursor is not None else 10))
        await end(connection, cursor)

    async with running(script) as relay:
        stream, metrics = firehose(relay.url)
        assert await take(stream, 4) == [b"10", b"13", b"16", b"19"]
    assert relay.cursors[:4] == [None, 10, 13, 16]
    assert metrics.reconnects == 3
    assert f"Connected to {relay.url}, live" in caplog.messages
    lines = [line for line in caplog.messages if line.startswith("Disconnected (")]
    assert told in lines[0]
    assert "reconnecting in 0.0 s, from cursor 10" in lines[0]


async def test_a_smaller_seq_does_not_move_the_cursor_back() -> None:
    async with running(sending(5, then=closing)) as relay:
        stream, _ = firehose(relay.url, 20)
        received(stream, 19)
        run = asyncio.create_task(drained(stream))
        await holds(lambda: len(relay.cursors) > 1)
        stream.stop()
        assert await run == []
    assert set(relay.cursors) == {20}


async def test_text_messages_are_counted_and_left_out() -> None:
    async def script(connection: ServerConnection, _: int | None) -> None:
        await connection.send("not a frame")
        await connection.send(b"1")
        await silent(connection, None)

    async with running(script) as relay:
        stream, metrics = firehose(relay.url)
        assert await take(stream, 1) == [b"1"]
    assert metrics.refused == {"text_frame": 1}


# ── messages that cannot be read


async def test_a_message_above_the_protocols_limit_is_handed_on() -> None:
    large = b"1" + b" " * (6 * 2**20)

    async def script(connection: ServerConnection, _: int | None) -> None:
        await connection.send(large)
        await silent(connection, None)

    async with running(script) as relay:
        stream, _ = firehose(relay.url)
        assert await take(stream, 1) == [large]
    assert len(relay.cursors) == 1


@pytest.mark.parametrize("inclusive", [False, True])
async def test_a_message_that_cannot_be_read_is_passed(inclusive: bool, caplog: pytest.LogCaptureFixture) -> None:
    too_big = bytes(MAX_MESSAGE_BYTES + 1)

    async def script(connection: ServerConnection, cursor: int | None) -> None:
        for seq in (11, 12, 17, 20, 30):  # 17 is the bad one, five seqs beyond the last good one
            if cursor is None or seq > cursor or (inclusive and seq == cursor):
                await connection.send(too_big if seq == 17 else b"%d" % seq)
        await silent(connection, cursor)

    async with running(script) as relay:
        stream, metrics = firehose(relay.url, 10)
        # A relay that begins after the cursor leaves 20 out as well: the step from 16 was four seqs wide.
        assert await take(stream, 5 if inclusive else 3) == (
            [b"11", b"12", b"12", b"20", b"30"] if inclusive else [b"11", b"12", b"30"]
        )
    assert relay.cursors == [10, 12, 13, 14, 16, 20]
    assert metrics.refused == {"frame_too_big": 1}
    assert "A message after seq 12 cannot be read: sent 1009" in caplog.text
    assert "Skipping everything between the seqs 12 and 20" in caplog.text


@pytest.mark.promise(6)
async def test_what_is_missing_behind_a_new_connection_is_a_gap() -> None:
    """What a reconnect left out by itself, to get past a message, and what the relay no longer had."""

    async def script(connection: ServerConnection, cursor: int | None) -> None:
        if cursor in (10, 11):
            await connection.send(b"\xff\xfe" if cursor == 10 else b"40", text=cursor == 10)
        await silent(connection, cursor)

    later = datetime(2026, 7, 1, tzinfo=UTC)
    async with running(script) as relay:
        stream, _ = firehose(relay.url, 0)
        stream.position.arrived(10, later)
        async with aclosing(stream.frames()) as frames:
            assert await anext(frames) == b"40"
        assert relay.cursors[:3] == [10, 10, 11]
        gap = stream.position.arrived(40, later)
        assert gap is not None
        assert (gap.reason, gap.after.seq, gap.upto.seq) == ("unreadable", 10, 40)
        async with aclosing(stream.frames()) as frames:
            waiting = asyncio.ensure_future(anext(frames))
            await holds(lambda: relay.cursors[-1] == 40)
            await holds(lambda: stream.connected)
            gap = stream.position.arrived(90, later + timedelta(days=1))
            stream.stop()
            with pytest.raises(StopAsyncIteration):
                await waiting
        assert gap is not None
        assert (gap.reason, gap.after.seq, gap.upto.seq) == ("retention", 40, 90)


async def test_a_text_message_that_is_not_utf8_does_not_come_for_ever() -> None:
    async def script(connection: ServerConnection, cursor: int | None) -> None:
        if cursor == 3:
            await connection.send(b"\xff\xfe", text=True)
        else:
            await connection.send(b"9")
        await silent(connection, cursor)

    async with running(script) as relay:
        stream, metrics = firehose(relay.url, 3)
        assert await take(stream, 1) == [b"9"]
    assert relay.cursors == [3, 3, 4]
    assert metrics.refused == {"websocket_protocol_error": 1}


# ── silence


async def test_a_silent_relay_is_connected_to_anew(caplog: pytest.LogCaptureFixture) -> None:
    async with running(sending(1)) as relay:
        stream, _ = firehose(relay.url, 0, idle_timeout=0.05)
        run = asyncio.create_task(take(stream, 2))
        await holds(lambda: len(relay.cursors) >= 3)
        stream.stop()
        assert await run == [b"1"]
    assert relay.cursors[:3] == [0, 1, 1]
    assert "no event for 0.05 s" in caplog.text


async def test_a_quiet_relay_that_answers_pings_is_kept_when_the_time_out_is_off() -> None:
    pings: list[float] = []

    async def script(connection: ServerConnection, _: int | None) -> None:
        receive = connection.protocol.events_received

        def counting() -> list[object]:
            events = receive()
            pings.extend(0.0 for event in events if getattr(event, "opcode", None) == 9)
            return list(events)

        connection.protocol.events_received = counting  # pyright: ignore[reportAttributeAccessIssue]
        await connection.wait_closed()

    async with running(script) as relay:
        stream, _ = firehose(relay.url, idle_timeout=0, ping_interval=0.02)
        run = asyncio.create_task(drained(stream))
        await holds(lambda: len(pings) >= 5)
        stream.stop()
        assert await run == []
    assert len(relay.cursors) == 1


async def test_a_relay_that_answers_no_ping_is_connected_to_anew(caplog: pytest.LogCaptureFixture) -> None:
    async def deaf(connection: ServerConnection, _: int | None) -> None:
        connection.transport.pause_reading()
        await holds(lambda: len(relay.cursors) > 1)
        connection.transport.resume_reading()
        await connection.wait_closed()

    async with running(deaf) as relay:
        stream, _ = firehose(relay.url, idle_timeout=0, ping_interval=0.02)
        run = asyncio.create_task(drained(stream))
        await holds(lambda: len(relay.cursors) > 1)
        stream.stop()
        await run
    assert "no answer to a ping in 0.02 s" in caplog.text


async def test_no_time_out_runs_while_the_consumer_is_busy() -> None:
    async with running(sending(*range(1, 200))) as relay:
        stream, metrics = firehose(relay.url, 0, idle_timeout=0.05, ping_interval=0.05)
        async with aclosing(stream.frames()) as frames:
            assert await anext(frames) == b"1"
            await asyncio.sleep(0.4)  # eight time-outs; the relay has long sent all, and is not being read
            assert [await anext(frames) for _ in range(198)] == [b"%d" % seq for seq in range(2, 200)]
    assert len(relay.cursors) == 1
    assert metrics.reconnects == 0


async def test_a_connection_lost_while_the_consumer_is_busy_is_made_anew_when_it_asks() -> None:
    async with running(sending(1, 2, 3, then=cutting)) as relay:
        stream, _ = firehose(relay.url, 0)
        async with aclosing(stream.frames()) as frames:
            assert await anext(frames) == b"1"
            received(stream, 1)
            await asyncio.sleep(0.05)
            assert len(relay.cursors) == 1
            rest = [await anext(frames) for _ in range(2)]
    assert rest == [b"2", b"3"]


@pytest.mark.promise(5)
async def test_what_is_read_ahead_is_bounded() -> None:
    sent: list[int] = []

    async def script(connection: ServerConnection, _: int | None) -> None:
        for number in range(64):
            await connection.send(bytes(2**20))
            sent.append(number)
        await connection.wait_closed()

    async with running(script) as relay:
        stream, _ = firehose(relay.url)
        async with aclosing(stream.frames()) as frames:
            await anext(frames)
            before = -1
            while before != len(sent):  # until the relay can send no more
                before = len(sent)
                await asyncio.sleep(0.1)
            # What the kernel's socket buffers take (a few MB on a loopback) counts as sent, too.
            assert len(sent) < 16
            stream.stop()


# ── ends


async def test_an_error_frame_drops_the_rest_and_reconnects_from_the_cursor(caplog: pytest.LogCaptureFixture) -> None:
    async with running(sending(1, 2, 3)) as relay:
        stream, _ = firehose(relay.url, 0)
        got: list[bytes] = []
        async with aclosing(stream.frames()) as frames:
            async for frame in frames:
                got.append(frame)
                if frame == b"2" and len(relay.cursors) == 1:
                    stream.disconnect("ConsumerTooSlow")
                    continue
                received(stream, int(frame))
                if frame == b"3":
                    break
    assert got == [b"1", b"2", b"2", b"3"]
    assert relay.cursors == [0, 1]
    assert "Disconnected (ConsumerTooSlow); reconnecting in" in caplog.text


async def test_stop_while_waiting_for_a_frame() -> None:
    async with running(silent) as relay:
        stream, metrics = firehose(relay.url)
        run = asyncio.create_task(drained(stream))
        await holds(lambda: bool(relay.cursors))
        stream.stop()
        stream.stop()
        assert await run == []
    assert metrics.reconnects == 0


async def test_stop_with_frames_left_in_the_buffer() -> None:
    async with running(sending(*range(1, 100))) as relay:
        stream, _ = firehose(relay.url, 0)
        async with aclosing(stream.frames()) as frames:
            assert await anext(frames) == b"1"
            stream.stop()
            began = asyncio.get_running_loop().time()
            assert [frame async for frame in frames] == []
            # The closing handshake was gone through, not waited out.
            assert asyncio.get_running_loop().time() - began < CLOSE_TIMEOUT


async def test_stop_before_the_start() -> None:
    async with running(silent) as relay:
        stream, _ = firehose(relay.url)
        stream.stop()
        assert await drained(stream) == []
    assert relay.cursors == []


async def test_stop_while_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "unified_indexer.relay.connection.OPEN_TIMEOUT", 10 * DEADLINE
    )  # so that nothing but the stop ends the attempt
    accepted: list[asyncio.StreamWriter] = []

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    async with asyncio.timeout(DEADLINE), await asyncio.start_server(mute, "localhost", 0) as server:
        port = server.sockets[0].getsockname()[1]
        stream, _ = firehose(f"ws://localhost:{port}")
        run = asyncio.create_task(drained(stream))
        await holds(lambda: bool(accepted))
        stream.stop()
        assert await run == []
        accepted[0].close()


async def test_stop_while_backing_off(unused_tcp_port: int) -> None:
    asleep = asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    stream, _ = firehose(f"ws://localhost:{unused_tcp_port}", sleep=sleep)
    run = asyncio.create_task(drained(stream))
    async with asyncio.timeout(DEADLINE):
        await asleep.wait()
        stream.stop()
        assert await run == []


async def test_cancelling_the_consumer_leaves_nothing_behind() -> None:
    async with running(silent) as relay:
        stream, _ = firehose(relay.url)
        run = asyncio.create_task(drained(stream))
        await holds(lambda: bool(relay.cursors))
        others = asyncio.all_tasks()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert not [task for task in others & asyncio.all_tasks() if "watch" in repr(task)]


# ── failures to connect, and how long is waited


class Waits:
    """In place of sleep: remembers how long, and stops the stream after `count` waits."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seconds: list[float] = []
        self.stream: Firehose | None = None

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == self.count:
            assert self.stream is not None
            self.stream.stop()


async def waits_at(url: str, count: int, draw: float = 0.0, tls: ssl.SSLContext | None = None) -> list[float]:
    waits = Waits(count)
    waits.stream, _ = firehose(url, sleep=waits, backoff=Backoff(draw=lambda: draw), ssl=tls)
    async with asyncio.timeout(DEADLINE):
        assert await drained(waits.stream) == []
    return waits.seconds


async def test_refused_connections_are_tried_again_ever_more_slowly(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"ws://localhost:{unused_tcp_port}"
    assert await waits_at(url, 8, draw=1.0) == [2, 4, 8, 16, 32, 60, 60, 60]
    assert await waits_at(url, 8, draw=0.0) == [1] * 8
    assert caplog.messages[0].startswith(f"Cannot connect to {url} (")
    assert caplog.messages[0].endswith("reconnecting in 2.0 s, live")


@pytest.mark.parametrize(
    ("seqs", "expected"),
    [([], [2, 4, 8]), ([7, 7, 7], [2, 4, 8]), ([8, 9, 10], [2, 2, 2])],
    ids=["nothing", "the last one", "new"],
)
async def test_only_connections_without_new_events_make_the_waits_grow(seqs: list[int], expected: list[float]) -> None:
    async def script(connection: ServerConnection, _: int | None) -> None:
        if seqs:
            await connection.send(b"event")
        await connection.close()

    left = list(seqs)
    async with running(script) as relay, asyncio.timeout(DEADLINE):
        waits = Waits(3)
        waits.stream, _ = firehose(relay.url, 7, sleep=waits, backoff=Backoff(draw=lambda: 1.0))
        async for _frame in waits.stream.frames():
            received(waits.stream, left.pop(0))
    assert waits.seconds == expected


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("7", 7, 7),
        ("a date", 500, 600),
        ("100000000000", MAX_RETRY_AFTER, MAX_RETRY_AFTER),
        ("soon", 1, 1),
    ],
)
async def test_retry_after_is_honoured(value: str, low: float, high: float, caplog: pytest.LogCaptureFixture) -> None:
    if value == "a date":  # counted from when the test runs
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)

    def answer(_: Request) -> Response:
        headers = Headers({"Retry-After": value, "Content-Type": "application/json"})
        return Response(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests", headers, b'{"error":"RateLimitExceeded"}')

    async with running(silent, answer) as relay:
        seconds = await waits_at(relay.url, 1)
    assert low <= seconds[0] <= high
    assert 'HTTP 429: {"error":"RateLimitExceeded"}' in caplog.text


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_a_web_page_is_no_stream(status: int, caplog: pytest.LogCaptureFixture) -> None:
    def answer(_: Request) -> Response:
        return Response(status, "", Headers({"Content-Type": "text/html"}), b"<html>Hello</html>")

    async with running(silent, answer) as relay:
        assert await waits_at(relay.url, 2) == [1, 1]
    assert f"HTTP {status}: a web page, not an event stream; is RELAY_URL a relay?" in caplog.text


async def test_what_is_no_http_at_all(caplog: pytest.LogCaptureFixture) -> None:
    async def noise(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff" * 100)
        writer.close()

    async with await asyncio.start_server(noise, "localhost", 0) as server:
        assert len(await waits_at(f"ws://localhost:{server.sockets[0].getsockname()[1]}", 2)) == 2
    assert "did not receive a valid HTTP response" in caplog.text


async def test_a_host_that_does_not_exist() -> None:
    assert len(await waits_at("ws://relay.invalid", 2)) == 2


async def test_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, server_side = await self_signed(tmp_path)
    async with running(sending(1), tls=server_side) as relay:
        assert await waits_at(relay.url, 1) == [1]
        assert "TLS: " in caplog.text
        trusting = ssl.create_default_context(cafile=str(certificate))
        stream, _ = firehose(relay.url, ssl=trusting)
        assert await take(stream, 1) == [b"1"]


async def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -out {certificate} -keyout {key}"
    try:
        process = await asyncio.create_subprocess_exec(*command.split(), stderr=asyncio.subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("no openssl command here to make a certificate with")
    assert await process.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


async def test_an_unusable_proxy_is_the_operators_fault_and_its_password_stays_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    for proxy in ("ftp://user:hunter2@proxy:1", "socks5://user:hunter2@proxy:1"):
        monkeypatch.setenv("ws_proxy", proxy)
        stream, _ = firehose("ws://relay.invalid")
        with pytest.raises(OperatorError) as error:
            await drained(stream)
        assert "hunter2" not in str(error.value)
        assert "proxy" in str(error.value)


@settings(deadline=None)  # a busy machine is no fault
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 2_000))
def test_a_wait_is_between_one_and_sixty_units(drawn: float, attempts: int) -> None:
    backoff = Backoff(0.5, lambda: drawn)
    waits = [backoff.next() for _ in range(attempts)]
    assert waits == sorted(waits)
    assert 0.5 <= waits[0] <= 1.0
    assert waits[-1] <= 30.0
    backoff.reset()
    assert backoff.next() == waits[0]


@pytest.mark.parametrize("attempts", [1, 2, 3, 6, 9])
def test_waits_are_drawn_from_all_that_they_may_be(attempts: int) -> None:
    """So that a thousand clients that were cut off together don't come back together."""
    longest = min(60, 2**attempts)
    for drawn in (0.0, 0.25, 0.999):
        backoff = Backoff(1.0, lambda drawn=drawn: drawn)
        assert [backoff.next() for _ in range(attempts)][-1] == pytest.approx(1 + drawn * (longest - 1))
    assert len({Backoff().next() for _ in range(20)}) > 10  # by default at random


@settings(deadline=None)
@given(st.text() | st.integers().map(str) | st.datetimes().map(format_datetime))
def test_retry_after_is_bounded_whatever_it_says(value: str) -> None:
    assert 0 <= retry_after(value) <= MAX_RETRY_AFTER
