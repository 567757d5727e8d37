"""The live page in a real browser, of a real worker: it says what is so, also when the relay or the worker falls silent."""

import asyncio
import contextlib
import json
import re
import urllib.request
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import time
from types import MappingProxyType
from typing import Any

import pytest
from playwright.async_api import Route

from relay_simulator.encoding import error_frame
from relay_simulator.faults import Say
from relay_simulator.feed import Feed, RecentFrames
from relay_simulator.generator import Generator, Settings
from relay_simulator.ports import free_port
from relay_simulator.records import POST, Record
from relay_simulator.repository import written
from relay_simulator.server import RelayServer
from testing.authors import SECOND, START, Author
from testing.browser import Look, looking
from testing.processes import Process
from testing.waiting import until
from testing.workers import settings

HOSTILE = """<script>document.title = 'taken'</script><img src="x" onerror="document.title = 'taken'"> & <b>مرحبا</b> 👩‍🚀"""

FORMATS = {
    "latency(0.00052)": "0.5 ms", "latency(0.0996)": "100 ms", "latency(1.25)": "1.3 s", "latency(null)": "–",
    "duration(0.02)": "< 0.1 s", "duration(59.6)": "60 s", "duration(7260)": "2 h 1 min", "duration(200000)": "2 d 8 h",
    "span(0.6000000000000001)": "0.6 s", "span(5400)": "90 min", "span(7200)": "2 h", "bytes(1.5e9)": "1.5 GB",
    "rate(0)": "0", "rate(0.25)": "0.3", "rate(1234.5)": "1,235", "number(1234567)": "1,234,567",
}  # fmt: skip

# Whether the figures of the two seqs lie in different rows, or have room between them.
APART = """
(() => {
  const [one, other] = ["received", "cursor"].map(id => {
    const range = document.createRange();
    range.selectNodeContents(document.getElementById(id));
    return range.getBoundingClientRect();
  });
  return one.bottom <= other.top || other.left - one.right >= 12;
})()
"""

# A backfill as the worker tells of one.
FETCHING: dict[str, Any] = {
    "idle": False, "wanted": 1_000, "under_way": 20, "left": 1_234.5, "unsized": 0, "lists": 1, "waiting": 0, "failed": 3,
    "done": 9_000, "records": 900_000, "unavailable": 12, "repos_per_second": 10.0, "records_per_second": 2_000.4,
    "share": 0.9, "eta": [3_000.0, 7_200.0], "held": None, "parked": 2,
    "hosts": [["pds.a.test", 250.0, "limited"], ["<b>.test", 9.0, "overloaded"]],
}  # fmt: skip


class Brisk(Process):
    """The same, but a rate is taken over three seconds in place of ten."""

    constants = MappingProxyType({"unified_indexer.monitoring.history.RATE_OVER": 3})


@contextlib.asynccontextmanager
async def feeding(rate: float) -> AsyncGenerator[tuple[RelayServer, Feed]]:
    """A relay whose events happen now, until the block ends."""
    async with RelayServer(log=RecentFrames()) as relay:
        feed = Feed(relay, Generator(Settings(cheap=True, start=datetime.now(UTC))), rate)
        running = asyncio.create_task(feed.run())
        try:
            yield relay, feed
        finally:
            running.cancel()


async def page_of(worker: Process) -> str:
    """Where the worker serves its page."""
    return (await worker.says(r"Live page: (http://127\.0\.0\.1:[0-9]+/)"))[1]


@pytest.mark.long
async def test_the_page_follows_what_happens(database: str, tmp_path: Path) -> None:
    """The rate changes; the relay falls silent, and goes on; the worker is killed, and started again on its port."""
    async with feeding(50) as (relay, feed):
        env = settings(database, relay.url, READY_LAG_SECONDS="8")
        worker = Brisk(tmp_path, **env | {"HTTP_BIND": f"127.0.0.1:{free_port()}"})
        async with worker, looking(url := await page_of(worker)) as look:
            await look.page.evaluate("window.opened = 'once'")
            await look.state_is("ready")
            icons = {await look.page.get_attribute("#icon", "href")}
            await look.rate_is(40, 60)
            feed.rate = 300
            await look.rate_is(240, 360)
            await follows(look)
            posts = await look.texts("#posts code")
            await until(lambda: news(look, posts), "new posts come on top", 15)
            await posts_keep_still_under_the_pointer(look)
            await page_is_red_while_the_relay_is_silent(look, feed)
            icons.add(await look.page.get_attribute("#icon", "href"))
            feed.rate = 300
            await look.state_is("ready")
            assert look.complaints == []

            killed = time()
            worker.kill()
            await look.state_is("lost")
            assert time() - killed >= 4
            assert re.match("No message from the worker since [0-9]{2}:[0-9]{2}:[0-9]{2}", await look.text("#detail"))
            assert await look.page.title() == f"Lost · {relay.url.removeprefix('ws://')}"
            icons.add(await look.page.get_attribute("#icon", "href"))
            async with Brisk(tmp_path, **env | {"HTTP_BIND": url.split("/")[2]}):
                await look.state_is("ready")
                await look.rate_is(200, 2_000)
                assert len(await look.line("#rate-chart")) >= 2, "what came before the kill is kept, with a gap after it"
                assert await look.page.evaluate("window.opened") == "once"
                assert "worker started again at" in await look.text("#heard")
            assert len(icons) == 3
            assert {request for request in look.requests if not request.startswith("data:")} == {url, url + "live"}
            assert [complaint for complaint in look.complaints if "net::ERR_" not in complaint] == []


async def follows(look: Look) -> None:
    """The chart's line, its words and what the pointer reads have followed the rate from 50 to 300."""
    line = (await look.line("#rate-chart"))[-1]
    assert line[-1][1] > 60, "near the top, whatever the scale"
    assert any(height < line[-1][1] / 3 for _, height in line), "and its beginning is low"
    label = await look.page.get_attribute("#rate-chart", "aria-label") or ""
    now = re.fullmatch(
        r"Events per second, last 2 minutes: lowest [0-9.]+ per second, highest ([0-9]+) per second, now ([0-9]+) per second",
        label,
    )
    assert now is not None, label
    assert 200 < int(now[2]) <= int(now[1])
    box = await look.page.locator("#rate-chart").bounding_box()
    assert box is not None
    await look.page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 50)
    pointed = await look.text("#rate-readout")
    assert re.fullmatch(r"[0-9:]{8}  [1-9][0-9]{2,} per second", pointed), pointed  # after a stall of the machine more than 300
    await look.page.mouse.move(5, 5)
    assert await look.text("#rate-readout") == "last 2 minutes"


async def news(look: Look, posts: list[str]) -> bool:
    """Whether the page shows other posts than these, above them."""
    shown = await look.texts("#posts code")
    return 0 < len(shown) <= 12 and shown[0] not in posts


async def posts_keep_still_under_the_pointer(look: Look) -> None:
    """While somebody points at them, and then they go on."""
    await look.page.hover("#posts")
    await look.says("#posts-note", "held while you point at them")
    held, heard = await look.texts("#posts code"), {await look.text("#heard")}

    async def heard_more() -> bool:
        heard.add(await look.text("#heard"))
        return len(heard) == 3

    await until(heard_more, "two more messages", 15)
    assert await look.texts("#posts code") == held
    await look.page.mouse.move(5, 5)
    await until(lambda: news(look, held), "posts go on", 15)


async def page_is_red_while_the_relay_is_silent(look: Look, feed: Feed) -> None:
    """It says why, in the tab too."""
    feed.rate = 0
    await look.state_is("stalled")
    assert (await look.page.title()).startswith("STALLED")
    assert "Behind: the database is" in await look.text("#reasons")
    assert "READY_LAG_SECONDS is 8" in await look.text("#reasons")
    red, green, blue = map(int, re.findall("[0-9]+", await colour_of(look, ".state"))[:3])
    assert red > 2 * max(green, blue)


async def colour_of(look: Look, selector: str) -> str:
    """The background of the first such element."""
    return str(await look.page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).backgroundColor"))


@pytest.mark.long
async def test_what_comes_from_the_network_is_text_on_any_screen(database: str, tmp_path: Path) -> None:
    """A post and a relay's message full of markup; a phone; light and dark; nothing asked for, nothing complained about."""
    hostile: Record = {"$type": POST, "text": HOSTILE, "createdAt": datetime.now(UTC).isoformat()}
    second = time() - START / SECOND
    sent = [
        Author(f"mallory{place}").commit(place, second, written("create", POST, f"key{place}", hostile)) for place in (1, 2)
    ]
    script = [[Say(1, error_frame("ConsumerTooSlow", HOSTILE))]]
    async with RelayServer([one.frame for one in sent], script=script) as relay:
        worker = Process(tmp_path, **settings(database, relay.url, HTTP_BIND="127.0.0.1:0"))
        async with worker, looking(url := await page_of(worker)) as look:

            async def shown() -> bool:
                texts = (await look.texts("#posts p"), [await look.text("#reconnects li span")], await look.texts("#busy th"))
                return all(map(any, texts))

            await until(shown, "the post, its collection and the relay's message", 15)
            assert HOSTILE in await look.texts("#posts p")
            assert HOSTILE.replace("\u200d", "\\u200d") in await look.text("#reconnects")  # a relay's words are made printable
            assert await look.page.locator("main :is(img, script, iframe, a)").count() == 0
            assert "at://did:plc:mallory1aaaaaaaaaaaaaaaa/app.bsky.feed.post/key1" in await look.texts("#posts code")
            assert "taken" not in await look.page.title()
            await fits(look)
            assert {request for request in look.requests if not request.startswith("data:")} == {url, url + "live"}
            assert look.complaints == []


async def fits(look: Look) -> None:
    """On a phone nothing is wider than the screen; light and dark differ."""
    page = look.page
    for width in (1280, 360, 320):
        await page.set_viewport_size({"width": width, "height": 740})
        assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await page.evaluate("getComputedStyle(document.querySelector('.state')).transitionDuration") == "0s"
    grounds: set[str] = set()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        grounds.add(await colour_of(look, "body"))
    assert len(grounds) == 2


def first_message(url: str) -> dict[str, Any]:
    """The past, as the worker tells it."""
    with urllib.request.urlopen(url + "live", timeout=5) as answer:
        assert answer.readline() == b"event: past\n"
        return json.loads(answer.readline().removeprefix(b"data: "))


def answering(told: dict[str, Any]) -> Callable[[Route], Any]:
    """A stream of this one message."""
    body = f"event: past\ndata: {json.dumps(told)}\n\n"
    return lambda route: route.fulfill(body=body, content_type="text/event-stream")


@pytest.mark.long
async def test_what_the_page_makes_of_numbers(database: str, tmp_path: Path) -> None:
    """The worker's own message with other numbers in it: how long it will take, what asks for attention, what is folded."""
    async with RelayServer() as relay:
        worker = Process(tmp_path, **settings(database, relay.url, HTTP_BIND="127.0.0.1:0"))
        async with worker, looking(url := await page_of(worker)) as look:
            told = await asyncio.to_thread(first_message, url)
            now = float(told["time"])
            quick = [[now - age, 5_000.0, 600.0 + 2 * age] for age in range(300, -1, -1) if not 100 < age < 200]
            rates = {"app.bsky.feed.post": 40.0, "app.bsky.feed.repost": 41.0, "app.bsky.feed.like": 4_000.0}
            told["collections"] = [one | {"rate": rates.get(one["collection"], 0.0)} for one in told["collections"]]
            told |= {"state": "behind", "reasons": [{"name": "lag", "detail": "…"}], "rate": 5_000.0, "lag": 600.0}
            told |= {"samples": quick, "refused": {"missing_field": 3, "too_big": 4}, "gaps": 1, "dead_letters": 7, "rss": 51e6}
            trust = {"unproven": 3, "unproven_age": 7_260.0, "directory_silence": 300.0, "deletions_denied": 1, "withheld": 0}
            told["trust"] |= {"verify": "full", "bad_signatures": {"https://a.test": 2, "https://b.test": 3}} | trust
            told["backfill"] = FETCHING
            await look.page.route("**/live", answering(told))
            await look.page.goto(url)
            await look.state_is("behind")
            assert await look.text("#backfill-now") == "2,000 records per second, 50 min to 2 h 0 min left"
            assert await look.texts("#backfill dd span") == ["1,235", "9,000", "3", "12", "0", "2"]
            assert await look.page.evaluate("document.querySelector('#backfill-bar i').style.transform") == "scaleX(0.9)"
            rows = "".join(await look.texts("#backfill .named"))
            assert "90 % of what was asked for" in rows
            assert "pds.a.test\u00a0limited, 4 min; <b>.test\u00a0overloaded, 9.0 s" in rows
            assert [words.split("\n")[0] for words in await look.texts("#backfill .grave dt")] == ["Failed"]
            assert "proven" in await look.text("#trust-level")
            assert [words.split("\n")[0] for words in await look.texts("#trust .grave dt")] == [
                "Directory",
                "Bad signatures",
                "Deletions denied",
            ]
            assert await look.texts("#trust dd span") == ["3", "silent for 5 min", "5", "0", "1", "0"]
            assert "b.test\u00a03, a.test\u00a02" in await look.texts("#trust .named")
            assert await look.text("#detail") == "10 min behind the relay, about 5 min left."
            assert [await look.text(place) for place in ("#rate", "#lag", "#rss")] == ["5,000", "10 min", "51 MB"]
            assert {call: await look.page.evaluate(call) for call in FORMATS} == FORMATS
            assert len(await look.line("#lag-chart")) == 2, "nothing is drawn where nothing is known"
            grave = await look.texts("#counts .grave")
            assert [words.split("\n")[0] for words in grave] == ["Refused", "Dead letters", "Gaps"]
            assert "too_big\u00a04, missing_field\u00a03" in grave[0]
            assert all(command in "".join(grave) for command in ("dead-letters retry", "status"))
            assert [words.split()[-1] for words in await look.texts("#counts .none")] == ["0"] * 6
            assert await look.texts("#busy th") == [f"app.bsky.feed.{name}" for name in ("like", "repost", "post")]
            assert await look.text("#quiet-title") == "13 quiet"
            assert len(await look.texts("#quiet th")) == 13
            await look.page.click("#quiet-title")
            assert await look.texts("#quiet th") == []
            waiting = {"time": now, "why": "Cannot connect", "times": 11}
            told |= {"received_seq": 130_261_550_649, "cursor": 130_261_550_648, "last_reconnects": [waiting]}
            told |= {"state": "stalled", "lag": None, "uptime": 600.0, "was_connected": False}
            told["reasons"] = [{"name": "not_connected", "detail": "x"}, {"name": "lag", "detail": "no event has arrived yet"}]
            await look.page.route("**/live", answering(told))
            await look.page.goto(url)
            await look.state_is("starting")
            assert await look.text("#word") == "Not connected yet"
            assert await look.texts("#reasons li") == ["Relay not connected: x"]
            assert [await look.text(place) for place in ("#received", "#cursor")] == ["130,261,550,649", "130,261,550,648"]
            for width in (320, 360, 800, 1280, 1920):
                await look.page.set_viewport_size({"width": width, "height": 740})
                assert await look.page.evaluate(APART), f"the seqs run together at {width} pixels"
            assert await look.texts("#reconnects span") == ["Cannot connect (11 times, this was the last)"]
            told |= {"was_connected": True}
            await look.page.route("**/live", answering(told))
            await look.page.goto(url)
            await look.state_is("stalled")
            told["samples"] = [[now - age, 300.0, 0.4 if age < 200 else 3600.0] for age in range(280, -1, -1)]
            told |= {"state": "ready", "reasons": [], "lag": 0.4}
            told["backfill"] = FETCHING | {"held": "disk", "share": None, "unsized": 1}
            await look.page.route("**/live", answering(told))
            await look.page.goto(url)
            await look.state_is("ready")
            assert await look.text("#lag-readout") == "last 5 minutes, log scale"
            assert await look.text("#backfill-now") == "Waits: the database's disk has less than 10 % free."
            assert not await look.page.is_visible("#backfill-bar")
            assert (await look.texts("#backfill dd span"))[0] == "1,235 +"
            told["backfill"] = None
            await look.page.route("**/live", answering(told))
            await look.page.goto(url)
            await look.state_is("ready")
            assert not await look.page.is_visible("#backfill-card")
            assert (await look.line("#lag-chart"))[0][-1][1] > 10, "what is small beside an hour can still be seen"
