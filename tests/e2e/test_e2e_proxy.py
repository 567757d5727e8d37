"""A relay that only a proxy reaches: HTTPS_PROXY's CONNECT, with TLS from end to end and an authority of one's own."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

from relay_simulator.certificates import make_certificates
from relay_simulator.server import RelayServer
from testing.databases import differences, saved
from testing.processes import Process
from testing.traffic import traffic
from testing.workers import settings

HOST = "relay.invalid"  # a name that nobody resolves


@contextlib.asynccontextmanager
async def proxying(port: int, heads: list[str]) -> AsyncGenerator[int]:
    """The port of a proxy whose every tunnel leads to this port of this machine; what it was asked goes to `heads`."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(2**16):
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        from_relay, to_relay = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, to_relay), pump(from_relay, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_the_stream_comes_through_a_proxy(database: str, tmp_path: Path) -> None:
    stream = traffic(300)
    certificates = make_certificates(tmp_path, host=HOST)
    heads: list[str] = []
    async with RelayServer(stream.frames, tls=certificates.context()) as relay:
        port = urlsplit(relay.url).port
        assert port is not None
        async with proxying(port, heads) as proxy:
            url = f"wss://{HOST}:{port}"
            env = settings(
                database,
                url,
                HTTPS_PROXY=f"http://user:hunter2@127.0.0.1:{proxy}",
                SSL_CERT_FILE=str(certificates.authority),
            )
            async with Process(tmp_path, **env) as worker:
                await saved(database, url, stream.last_seq)
                assert "hunter2" not in worker.output
    assert [head.split("\r\n")[0] for head in heads] == [f"CONNECT {HOST}:{port} HTTP/1.1"]
    assert f"Basic {base64.b64encode(b'user:hunter2').decode()}" in heads[0]
    assert await differences(database, stream.model) == []
