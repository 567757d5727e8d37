"""The relay, seen by a plain websocket client."""

import asyncio
import contextlib
import signal
import ssl
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, PayloadTooBig

from relay_simulator import faults
from relay_simulator.certificates import make_certificates
from relay_simulator.encoding import error_frame, frame, info_frame, seq_of
from relay_simulator.faults import Cut, Fault, Refuse, Say, Silence
from relay_simulator.frames_file import write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.server import PATH, RelayServer
from testing.processes import spawned

PROJECT = Path(__file__).parents[2]
DEADLINE = 60.0  # seconds that any one step may take on a busy machine
OUTDATED = "the cursor is older than what is kept"
FRAMES = [sent.frame for sent in Generator(Settings(cheap=True, accounts=50)).stream(600)]
SEQS = [seq_of(frame) or 0 for frame in FRAMES]


@contextlib.asynccontextmanager
async def client(
    relay: RelayServer, cursor: int | None = None, trust: ssl.SSLContext | None = None
) -> AsyncGenerator[ClientConnection, None]:
    query = "" if cursor is None else f"?cursor={cursor}"
    async with connect(relay.url + PATH + query, ssl=trust, max_size=5 * 2**20, close_timeout=1) as socket:
        yield socket


async def receive(socket: ClientConnection, count: int) -> list[bytes]:
    async with asyncio.timeout(DEADLINE):
        return [await socket.recv(decode=False) for _ in range(count)]


async def receive_all(socket: ClientConnection) -> list[bytes]:
    """What comes until the connection ends."""
    got: list[bytes] = []
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(DEADLINE):
            while True:
                got.append(await socket.recv(decode=False))
    return got


async def nothing_more(socket: ClientConnection) -> None:
    """The connection stands, and a ping comes back before any frame does."""
    async with asyncio.timeout(DEADLINE):
        await (await socket.ping())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await socket.recv()


async def test_a_cursor_is_exclusive_and_the_end_stays_open() -> None:
    async with RelayServer(FRAMES) as relay:
        async with client(relay, SEQS[99]) as socket:
            assert await receive(socket, 500) == FRAMES[100:]
            await nothing_more(socket)
        async with client(relay, 0) as socket:
            assert await receive(socket, 600) == FRAMES
        assert relay.cursors == [SEQS[99], 0]
        assert (relay.connections, relay.frames_sent) == (2, 1_100)


async def test_a_cursor_may_be_inclusive() -> None:
    async with RelayServer(FRAMES, inclusive=True) as relay, client(relay, SEQS[99]) as socket:
        assert await receive(socket, 501) == FRAMES[99:]


async def test_without_a_cursor_only_what_comes_from_now_on() -> None:
    async with RelayServer(FRAMES[:10]) as relay, client(relay) as live, client(relay, SEQS[8]) as behind:
        await nothing_more(live)
        for new in FRAMES[10:13]:
            relay.append(new)
        assert await receive(live, 3) == FRAMES[10:13]
        assert await receive(behind, 4) == FRAMES[9:13]
        assert sorted(relay.cursors, key=str) == [SEQS[8], None]


async def test_a_frame_sent_again_stands_where_it_was_sent() -> None:
    async with RelayServer([*FRAMES[:5], FRAMES[1], *FRAMES[5:7]]) as relay, client(relay, SEQS[3]) as socket:
        assert await receive(socket, 4) == [FRAMES[4], FRAMES[1], FRAMES[5], FRAMES[6]]


async def test_the_rate_is_kept() -> None:
    async with RelayServer(FRAMES, rate=400.0) as relay, client(relay) as socket:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await receive(socket, 200) == FRAMES[:200]
        assert 0.4 < loop.time() - began < 5


async def test_the_rate_goes_on_without_clients() -> None:
    async with RelayServer(FRAMES, rate=30.0) as relay:  # all of it takes 20 seconds, and a client must not come later
        async with client(relay) as socket:
            assert await receive(socket, 1) == FRAMES[:1]
        await asyncio.sleep(0.5)
        async with client(relay) as socket:
            [first] = await receive(socket, 1)
            assert FRAMES.index(first) >= 10


async def test_a_recorded_file_is_served_before_what_is_appended(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames.bin", FRAMES[:50])
    async with RelayServer(FRAMES[50:60], recorded=tmp_path / "frames.bin") as relay, client(relay, SEQS[20]) as socket:
        assert await receive(socket, 39) == FRAMES[21:60]


async def test_a_slow_client_holds_its_own_stream_up_only() -> None:
    big = [frame("#commit", {"seq": seq, "blocks": bytes(150_000)}) for seq in SEQS]  # 90 MB: more than sockets buffer
    async with RelayServer(big) as relay, client(relay, 0) as slow, client(relay, 0) as quick:
        async with asyncio.timeout(DEADLINE):
            for expected in big:
                assert await quick.recv() == expected
        assert relay.frames_sent < 2 * len(big), "the slow one has not been sent everything"
        assert await receive(slow, 1) == big[:1]


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_cutting_after_frames(how: str) -> None:
    cut = Cut(7, "close" if how == "close" else "abort")
    async with RelayServer(FRAMES, always=[cut]) as relay:
        async with client(relay, 0) as socket:
            assert await receive_all(socket) == FRAMES[:7]
            assert socket.close_code == (1001 if how == "close" else 1006)
        async with client(relay, SEQS[6]) as socket:
            assert await receive_all(socket) == FRAMES[7:14], "every connection is cut"


async def test_the_script_comes_first() -> None:
    async with RelayServer(FRAMES, script=[[Cut(1)], []], always=[Cut(2)]) as relay:
        counts: list[int] = []
        for _ in range(3):
            async with client(relay, SEQS[-6]) as socket:
                if len(counts) == 1:
                    counts.append(len(await receive(socket, 5)))
                    await nothing_more(socket)
                else:
                    counts.append(len(await receive_all(socket)))
        assert counts == [1, 5, 2]


async def test_silence() -> None:
    async with RelayServer(FRAMES, always=[Silence(3)]) as relay, client(relay, 0) as socket:
        assert await receive(socket, 3) == FRAMES[:3]
        await nothing_more(socket)


async def test_dropping_all_clients_and_coming_back_on_the_same_port() -> None:
    relay = RelayServer(FRAMES)
    async with relay:
        url = relay.url
        async with client(relay) as socket:
            relay.drop()
            assert await receive_all(socket) == []
            assert socket.close_code == 1006
        async with client(relay) as socket:
            await relay.stop()
            assert await receive_all(socket) == []
        with pytest.raises(OSError, match="Connect call failed"):
            await connect(relay.url)
        await relay.start()
        assert relay.url == url
        async with client(relay, SEQS[-2]) as socket:
            assert await receive(socket, 1) == FRAMES[-1:]
        assert relay.open == {} or len(relay.open) == 1


@pytest.mark.parametrize(
    ("ordered", "expected"),
    [
        (faults.consumer_too_slow(2), [*FRAMES[:2], error_frame("ConsumerTooSlow", "the client reads too slowly")]),
        (faults.future_cursor(), [error_frame("FutureCursor", "the cursor is in the future")]),
        (
            [*faults.outdated_cursor(), Cut(1)],
            [info_frame("OutdatedCursor", OUTDATED), FRAMES[0]],
        ),
        ([*faults.garbage(1), Cut(2)], [FRAMES[0], b"\xff\xfe garbage \x00\x01", FRAMES[1]]),
        ([*faults.truncated(0, FRAMES[5]), Cut(0)], [FRAMES[5][: len(FRAMES[5]) // 2]]),
        ([Say(1, b"a"), Say(1, b"b"), Cut(1)], [FRAMES[0], b"a", b"b"]),
    ],
)
async def test_messages_on_order(ordered: list[Fault], expected: list[bytes]) -> None:
    async with RelayServer(FRAMES, always=ordered) as relay, client(relay, 0) as socket:
        assert await receive_all(socket) == expected


async def test_a_text_message() -> None:
    async with RelayServer(FRAMES, always=faults.text_message(0)) as relay, client(relay, 0) as socket:
        async with asyncio.timeout(DEADLINE):
            assert isinstance(await socket.recv(), str)
            assert await socket.recv() == FRAMES[0]


async def test_a_message_over_5_mb() -> None:
    async with RelayServer(FRAMES, always=faults.too_large(1)) as relay, client(relay, 0) as socket:
        assert await receive_all(socket) == FRAMES[:1]
        assert isinstance(socket.protocol.parser_exc, PayloadTooBig)


@pytest.mark.parametrize(
    ("ordered", "status", "header"),
    [
        (faults.too_many_requests(7), 429, ("Retry-After", "7")),
        (faults.unavailable(), 503, ("Connection", "close")),
        (faults.web_page(), 200, ("Content-Type", "text/html")),
        ([Refuse(404, {"X-Relay": "none"}, "gone")], 404, ("X-Relay", "none")),
    ],
)
async def test_refusals(ordered: list[Fault], status: int, header: tuple[str, str]) -> None:
    async with RelayServer(FRAMES, script=[ordered]) as relay:
        with pytest.raises(InvalidStatus) as refused:
            await connect(relay.url + PATH, process_exception=lambda error: error)
        assert refused.value.response.status_code == status
        assert refused.value.response.headers[header[0]] == header[1]
        async with client(relay, SEQS[-2]) as socket:
            assert await receive(socket, 1) == FRAMES[-1:]
        assert relay.connections == 2


@pytest.mark.parametrize(("path", "status"), [("/", 404), (PATH + "?cursor=abc", 400)])
async def test_wrong_requests(path: str, status: int) -> None:
    async with RelayServer(FRAMES) as relay:
        with pytest.raises(InvalidStatus) as refused:
            await connect(relay.url + path)
        assert refused.value.response.status_code == status


async def test_a_visitor_without_a_websocket_is_told_so() -> None:
    async with RelayServer(FRAMES) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(relay.url.rsplit(":")[-1]))
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        async with asyncio.timeout(DEADLINE):
            assert b" 426 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_tls_by_an_authority_of_ones_own(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    trust = ssl.create_default_context(cafile=certificates.authority)
    async with RelayServer(FRAMES, tls=certificates.context()) as relay:
        assert relay.url.startswith("wss://")
        async with client(relay, 0, trust) as socket:
            assert await receive(socket, 600) == FRAMES
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(relay.url + PATH)


async def test_the_command_serves_and_stops(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames.bin", FRAMES[:5])
    command = [sys.executable, "-m", "relay_simulator", "--port", "0", "--frames", str(tmp_path / "frames.bin")]
    async with spawned(*command, cwd=PROJECT) as process, asyncio.timeout(DEADLINE):
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("5 frames at ws://127.0.0.1:")
        async with connect(line.split()[-1] + PATH + "?cursor=0") as socket:
            assert await receive(socket, 5) == FRAMES[:5]
        process.send_signal(signal.SIGINT)
        assert await process.stdout.read() == b"stopped\n"
        assert await process.wait() == 0


async def test_a_client_that_leaves_without_a_request_costs_nothing() -> None:
    async with RelayServer([]) as relay:
        place = urlsplit(relay.url)
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(10):
            while relay.open:
                await asyncio.sleep(0.01)
    assert relay.connections == 0
