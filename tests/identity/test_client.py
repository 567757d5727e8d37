"""The one HTTP client: what it dials, what it reads, and what each failure is called."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from testing.name_server import NameServerProtocol, name_server
from testing.waiting import until
from testing.web_site import Site, answering, web_site
from unified_indexer.identity import client as module
from unified_indexer.identity.client import IN_FLIGHT, PER_HOST, Client
from unified_indexer.identity.errors import FetchError, Gone, NotAllowed, NotFound, Refused, Unreachable
from unified_indexer.identity.turns import Turns


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with web_site() as site:
        yield site


@pytest.fixture
async def free() -> AsyncIterator[Client]:
    """A client that may go anywhere."""
    async with Client(allow_private=True) as client:
        yield client


@pytest.fixture
async def names() -> AsyncIterator[NameServerProtocol]:
    async with name_server() as server:
        yield server


@pytest.fixture
async def guarded(names: NameServerProtocol) -> AsyncIterator[Client]:
    """A client as it is in production, but for its name server."""
    async with Client(dns_servers=[names.place]) as client:
        yield client


async def failure(client: Client, url: str, **options: Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await client.get_json(url, **options)
    return caught.value


async def failed(client: Client, url: str, **options: Any) -> tuple[type[FetchError], str]:
    error = await failure(client, url, **options)
    return type(error), error.reason


async def test_it_gets_json_and_text(site: Site, free: Client) -> None:
    assert await free.get_json(f"{site.url}/x") == {"a": 1}
    assert await free.get_text(f"{site.url}/x", 100) == '{"a":1}'
    (request, _) = site.requests
    assert request.headers["User-Agent"].startswith("unified-worker/")
    assert request.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.0.0.1:443/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://0.0.0.0/",
        "https://localhost/",
        "https://x.localhost/",
        "https://private.example/",
        "https://private6.example/",
        "https://both.example/",
    ],
)
async def test_a_private_address_is_never_dialled(url: str, guarded: Client, names: NameServerProtocol) -> None:
    names.records["private.example", "A"] = ["127.0.0.1"]
    names.records["private6.example", "AAAA"] = ["::1"]
    names.records["both.example", "A"] = ["127.0.0.1", "10.0.0.1"]
    assert await failed(guarded, url) == (NotAllowed, "private_address")


async def test_a_name_that_changes_is_checked_at_each_connection(guarded: Client, names: NameServerProtocol) -> None:
    for address in ("127.0.0.1", "10.0.0.1"):
        names.records["rebinding.example", "A"] = [address]
        assert await failed(guarded, "https://rebinding.example/") == (NotAllowed, "private_address")
    assert names.asked["rebinding.example"] == 4  # A and AAAA, twice: nothing is kept between asking and dialling


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://example.com:8443/",
        "https://example.com:80/",
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https:///x",
        "https://[::1/",
        "https://example.com:99999/",
        "/x",
        "",
        "https://example.com/" + "x" * 3000,
    ],
)
async def test_only_https_on_its_port_is_asked(url: str, guarded: Client) -> None:
    assert await failed(guarded, url) == (NotAllowed, "bad_url")


@pytest.mark.parametrize("url", ["https://127.1/", "https://2130706433/", "https://0x7f000001/"])
async def test_a_number_is_no_host(url: str, guarded: Client) -> None:
    assert issubclass((await failed(guarded, url))[0], NotAllowed | NotFound | Unreachable)


async def test_the_operators_host_may_be_private(site: Site, guarded: Client) -> None:
    assert await guarded.get_json(f"{site.url}/x", trusted=True) == {"a": 1}
    assert await guarded.get_json(site.url.replace("127.0.0.1", "localhost"), trusted=True) == {"a": 1}
    assert await failed(guarded, "https://127.0.0.1/") == (NotAllowed, "private_address")  # the trust is for that request


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int, site: Site, free: Client) -> None:
    site.answer = answering(status, headers={"Location": f"{site.url}/other"})
    assert await failed(free, f"{site.url}/x") == (NotAllowed, "redirect")
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (404, NotFound, "not_found"),
        (410, Gone, "gone"),
        (400, Refused, "refused"),
        (401, Refused, "refused"),
        (403, Refused, "refused"),
        (429, Unreachable, "rate_limited"),
        (500, Unreachable, "server_error"),
        (503, Unreachable, "server_error"),
        (204, Unreachable, "server_error"),
    ],
)
async def test_a_status_has_its_meaning(status: int, kind: type[FetchError], reason: str, site: Site, free: Client) -> None:
    site.answer = answering(status)
    error = await failure(free, f"{site.url}/x")
    assert (type(error), error.reason, error.status) == (kind, reason, status)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"error": "RepoNotFound", "message": "Could not find repo"}', "RepoNotFound"),
        (b'{"error": "no name <b>"}', None),
        (b'{"error": 7}', None),
        (b"[]", None),
        (b"<html>", None),
    ],
)
async def test_an_xrpc_error_has_its_name(body: bytes, name: str | None, site: Site, free: Client) -> None:
    site.answer = answering(400, body)
    assert (await failure(free, f"{site.url}/x")).error == name


@pytest.mark.parametrize(("header", "seconds"), [("17", 17), ("999999", 3600), ("-1", None), ("soon", None)])
async def test_a_server_may_ask_us_to_wait(header: str, seconds: float | None, site: Site, free: Client) -> None:
    site.answer = answering(429, headers={"Retry-After": header})
    assert (await failure(free, f"{site.url}/x")).retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff", b"[" * 10_000])
async def test_what_is_no_json_is_told(body: bytes, site: Site, free: Client) -> None:
    site.answer = answering(200, body)
    assert await failed(free, f"{site.url}/x") == (Unreachable, "not_json")


async def test_what_is_no_text_is_told(site: Site, free: Client) -> None:
    site.answer = answering(200, b"\xff")
    with pytest.raises(Unreachable, match="not_text"):
        await free.get_text(f"{site.url}/x", 10)


async def test_a_large_answer_is_not_read_to_its_end(site: Site, free: Client) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 2**30:
            await response.write(bytes(65_536))
            sent += 65_536
        return response

    site.answer = endless
    assert await failed(free, f"{site.url}/x") == (Unreachable, "too_large")
    assert sent < 2**26
    site.answer = answering(200, b'"' + b"x" * 16_382 + b'"')
    assert await free.get_json(f"{site.url}/x") == "x" * 16_382
    assert await failed(free, f"{site.url}/x", limit=16_383) == (Unreachable, "too_large")


async def test_nothing_is_decompressed(site: Site, free: Client) -> None:
    site.answer = answering(200, gzip.compress(bytes(2**24)), {"Content-Encoding": "gzip"})
    assert await failed(free, f"{site.url}/x") == (Unreachable, "encoded")


async def test_who_is_slow_is_left(site: Site, free: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", module.ClientTimeout(total=0.3, connect=0.2))

    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    site.answer = dripping
    began = time.monotonic()
    assert await failed(free, f"{site.url}/x") == (Unreachable, "timeout")
    assert time.monotonic() - began < 5


async def test_a_cookie_is_not_kept(site: Site, free: Client) -> None:
    async def setting(_request: web.Request) -> web.StreamResponse:
        return web.json_response(1, headers={"Set-Cookie": "a=b; Path=/"})

    site.answer = setting
    for _ in range(2):
        await free.get_json(f"{site.url}/x")
    assert [request.cookies for request in site.requests] == [{}, {}]


async def test_no_proxy_of_the_environment_is_asked(site: Site, free: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await free.get_json(f"{site.url}/x") == {"a": 1}


async def test_what_does_not_speak_http_is_told(free: Client) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert (await failed(free, f"http://127.0.0.1:{port}/"))[0] is Unreachable
        assert (await failed(free, f"https://127.0.0.1:{port}/")) == (Unreachable, "tls")
    assert await failed(free, f"http://127.0.0.1:{port}/") == (Unreachable, "connection")


async def test_a_name_is_asked_of_the_name_servers(site: Site, names: NameServerProtocol) -> None:
    names.records["web.example", "A"] = ["127.0.0.1"]
    names.records["empty.example", "TXT"] = ["x"]
    names.broken.add("broken.example")
    async with Client(allow_private=True, dns_servers=[names.place]) as client:
        assert await client.get_json(site.url.replace("127.0.0.1", "web.example")) == {"a": 1}
        assert await failed(client, "https://empty.example/") == (NotFound, "no_such_host")
        assert await failed(client, "https://nowhere.example/") == (NotFound, "no_such_host")
        assert await failed(client, "https://broken.example/") == (Unreachable, "dns")
        assert await failed(client, "https://" + "a" * 64 + ".example/") == (Unreachable, "dns")


async def test_a_host_is_asked_so_many_at_once(site: Site, free: Client) -> None:
    going, release = 0, asyncio.Event()

    async def waiting(_request: web.Request) -> web.StreamResponse:
        nonlocal going
        going += 1
        await release.wait()
        going -= 1
        return web.json_response(1)

    site.answer = waiting
    tasks = [asyncio.create_task(free.get_json(f"{site.url}/{number}")) for number in range(6)]
    await until(lambda: going == PER_HOST, "as many as may ask")
    await asyncio.sleep(0.05)
    assert going == PER_HOST
    release.set()
    assert await asyncio.gather(*tasks) == [1] * 6


async def test_one_host_takes_no_turns_of_others() -> None:
    turns, release = Turns(IN_FLIGHT), asyncio.Event()
    inside: list[str] = []

    async def ask(host: str) -> None:
        async with turns.turn(host, PER_HOST):
            inside.append(host)
            await release.wait()

    tasks = [asyncio.create_task(ask("slow")) for _ in range(1000)]
    tasks += [asyncio.create_task(ask(f"host{number}")) for number in range(1000)]
    await until(lambda: len(inside) == IN_FLIGHT, "all turns are taken")
    assert inside.count("slow") == PER_HOST
    release.set()
    await asyncio.gather(*tasks)
    assert len(inside) == 2000
    assert vars(turns)["_hosts"] == {}
