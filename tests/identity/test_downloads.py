"""Large answers: piece by piece, over redirects that are checked, unpacked within bounds, as long as they move."""

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientResponse, ClientTimeout, web
from yarl import URL

from testing.web_site import Site, answering, telling, web_site
from unified_indexer.identity import downloads
from unified_indexer.identity.client import Client
from unified_indexer.identity.downloads import Answer, Downloads, Told, patience
from unified_indexer.identity.errors import FetchError, NotAllowed, Unreachable

BODY = bytes(range(256)) * 2000
GZIP = {"Content-Encoding": "gzip"}


@asynccontextmanager
async def downloading() -> AsyncGenerator[tuple[Site, Downloads]]:
    async with web_site() as site, Client(allow_private=True) as client:
        yield site, Downloads(client)


async def body_at(loads: Downloads, url: str) -> list[bytes]:
    async with loads.get(url) as answer:
        assert answer.status == 200
        return [piece async for piece in answer.pieces()]


async def failure_at(loads: Downloads, url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await body_at(loads, url)
    return caught.value


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_comes_in_small_pieces(packed: bool) -> None:
    async with downloading() as (site, loads):
        site.answer = answering(200, gzip.compress(BODY), GZIP) if packed else answering(200, BODY)
        pieces = await body_at(loads, site.url)
        assert site.requests[0].headers["Accept-Encoding"] == "gzip"
    assert b"".join(pieces) == BODY
    assert max(map(len, pieces)) <= downloads.MAX_PIECE_BYTES


async def test_a_bomb_is_unpacked_only_as_far_as_it_is_read() -> None:
    async with downloading() as (site, loads):
        site.answer = answering(200, gzip.compress(bytes(100_000_000)), GZIP)
        async with loads.get(site.url) as answer:
            sizes = list[int]()
            async for piece in answer.pieces():
                sizes.append(len(piece))
                if len(sizes) == 20:
                    break
    assert max(sizes) <= downloads.MAX_PIECE_BYTES


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (gzip.compress(BODY)[:-20], GZIP, "protocol"),
        (b"no gzip at all", GZIP, "protocol"),
        (b"", GZIP, "protocol"),
        (zlib.compress(BODY), {"Content-Encoding": "deflate"}, "encoded"),
        (BODY, {"Content-Encoding": "br"}, "encoded"),
    ],
)
async def test_what_can_not_be_unpacked(body: bytes, headers: dict[str, str], reason: str) -> None:
    async with downloading() as (site, loads):
        site.answer = answering(200, body, headers)
        assert (await failure_at(loads, site.url)).reason == reason


def hop(to: str, status: int = 302) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    return answering(status, headers={"Location": to})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_three_redirects_are_followed_and_no_more(status: int) -> None:
    async with downloading() as (site, loads):
        site.paths = {f"/{number}": hop(f"/{number + 1}", status) for number in range(4)} | {"/4": answering(200, b"here")}
        assert await body_at(loads, f"{site.url}/1") == [b"here"]
        error = await failure_at(loads, f"{site.url}/0")
        assert (type(error), error.reason) == (NotAllowed, "redirect")
        assert site.asked("/4") == 1


@pytest.mark.parametrize("to", ["ftp://files.test/", "http://user:password@127.0.0.1/", "http://[", "", "http://" + "a" * 3000])
async def test_a_redirect_is_checked_as_a_url_is(to: str) -> None:
    async with downloading() as (site, loads):
        site.answer = hop(to) if to else answering(302)
        error = await failure_at(loads, site.url)
        assert isinstance(error, NotAllowed)
        assert error.reason in ("bad_url", "redirect")


class HalfOpen(Client):
    """A client as in production, but for one site on loopback."""

    def __init__(self, site: Site, free: Client) -> None:
        super().__init__()
        self._site = site
        self._free = free

    def checked(self, text: str, *, trusted: bool = False) -> URL:
        return self._free.checked(text) if text.startswith(self._site.url) else super().checked(text, trusted=trusted)

    @asynccontextmanager
    async def answer(
        self, url: URL, limits: ClientTimeout, *, trusted: bool = False, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[ClientResponse]:
        ours = str(url).startswith(self._site.url)
        opened = self._free.answer(url, limits, headers=headers) if ours else super().answer(url, limits, headers=headers)
        async with opened as response:
            yield response


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("http://127.0.0.1/", "bad_url"),
        ("https://127.0.0.1:8443/", "bad_url"),
        ("https://127.0.0.1/", "private_address"),
        ("https://localhost/", "private_address"),
        ("https://[::1]/", "private_address"),
        ("https://10.0.0.1/", "private_address"),
    ],
)
async def test_a_redirect_leads_to_no_private_host(to: str, reason: str) -> None:
    async with web_site() as site, Client(allow_private=True) as free, HalfOpen(site, free) as client:
        site.answer = hop(to)
        error = await failure_at(Downloads(client), site.url)
        assert (type(error), error.reason) == (NotAllowed, reason)
        assert site.asked("/") == 1


async def test_what_an_error_says() -> None:
    async with downloading() as (site, loads):
        for body, told in (
            (b'{"error": "RepoNotFound", "message": "no repo"}', Told("RepoNotFound", "no repo")),
            (b"<html>", Told(None, None)),
            (b'{"error": "' + b"a" * 5000 + b'"}', Told(None, None)),
        ):
            site.answer = answering(400, body)
            async with loads.get(site.url) as answer:
                assert (answer.status, await answer.told()) == (400, told)
        site.answer = answering(400, gzip.compress(b'{"error": "RepoTakendown"}'), GZIP)
        async with loads.get(site.url) as answer:
            assert await answer.told() == Told("RepoTakendown", None)


async def test_an_answer_that_is_cut_is_told_from_one_that_ends() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 500)
        assert request.transport is not None
        request.transport.close()
        return response

    async with downloading() as (site, loads):
        site.answer = cut
        error = await failure_at(loads, site.url)
        assert isinstance(error, Unreachable)
        assert error.reason in ("protocol", "connection")


def test_what_comes_buys_time() -> None:
    assert patience(0.0, 0) == downloads.GRACE
    assert patience(downloads.GRACE, 0) == 0.0
    assert patience(40.0, 0) == 0.0
    assert patience(40.0, 20 * downloads.FLOOR) == 10.0
    assert patience(0.0, 2**40) == downloads.LONGEST
    assert patience(downloads.LONGEST, 2**40) == 0.0


@pytest.mark.long
async def test_a_slow_server_is_waited_for_while_it_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downloads, "GRACE", 1.0)
    monkeypatch.setattr(downloads, "FLOOR", 1000)
    ended = asyncio.Event()

    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(20):
            await response.write(b"x" * 1000)
            await asyncio.sleep(0.1)
        if request.path == "/stands":
            await ended.wait()
        return response

    async with downloading() as (site, loads):
        site.answer = dripping
        assert len(b"".join(await body_at(loads, f"{site.url}/moves"))) == 20_000
        monkeypatch.setattr(downloads, "FLOOR", 1_000_000)
        start = time.monotonic()
        error = await failure_at(loads, f"{site.url}/stands")
        ended.set()
        assert error.reason == "timeout"
        assert time.monotonic() - start < 20


@pytest.mark.long
async def test_time_that_we_take_ourselves_is_not_the_server_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "GRACE", 3.0)
    monkeypatch.setattr(downloads, "FLOOR", 10**9)
    come_back = asyncio.Event()

    async def in_two(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        await come_back.wait()
        await response.write(b"two")
        return response

    async with downloading() as (site, loads):
        site.answer = in_two
        async with loads.get(site.url) as answer:
            pieces = list[bytes]()
            async for piece in answer.pieces():
                if not pieces:
                    await asyncio.sleep(4)
                    come_back.set()
                pieces.append(piece)
    assert pieces == [b"one", b"two"]


async def test_who_answered() -> None:
    async with downloading() as (site, loads):
        site.answer = telling({})
        async with loads.get(site.url) as answer:
            assert isinstance(answer, Answer)
            assert answer.host == f"127.0.0.1:{site.port}"
