"""The page is for everybody: by axe-core's rules, by keyboard, at any zoom, without movement, without colours."""

from collections.abc import AsyncGenerator

import pytest

from testing.browser import Look
from testing.page.looks import PHONE, SCHEMES, WIDE, blank, faults, on_screen, show, violations
from testing.page.states import STATES, at_work, backfilling, catching_up, dead_letters, served
from testing.waiting import until
from unified_indexer.monitoring.http import live

STOPS = 20  # more than there are controls
# What has the focus, by its name, and how it is marked.
FOCUSED = """
(() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const named = at.getAttribute("aria-label") || at.textContent.trim();
  return [at === document.body ? null : at.id || at.textContent, named, style.outlineStyle, parseFloat(style.outlineWidth)];
})()
"""
# Counts what a reader of the screen is told unasked from now on.
LISTEN = """
window.told = 0;
const listen = new MutationObserver(changes => { window.told += changes.length; });
for (const region of document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log]")) {
  listen.observe(region, { childList: true, characterData: true, subtree: true });
}
"""
MOVING = """
[...document.querySelectorAll("*")].filter(node => {
  const style = getComputedStyle(node);
  return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none";
}).length
"""
MARKS = "[...document.querySelectorAll('.grave dd span')].map(node => getComputedStyle(node, '::before').content)"


@pytest.mark.long
async def test_every_state_keeps_the_rules_of_axe() -> None:
    """Names, roles, landmarks, headings and lists of every state, on both screens."""
    found: dict[str, list[str]] = {}
    async with blank() as look:
        for name, (state, scene) in STATES.items():
            async with served(scene()) as url:
                await show(look, url, state)
                for width, scheme in zip((WIDE, PHONE), SCHEMES, strict=True):
                    await on_screen(look, width, scheme)
                    if wrong := await violations(look):
                        found[f"{name}, {width} pixels"] = wrong
                await look.page.goto("about:blank")
        assert (found, look.complaints) == ({}, [])


@pytest.mark.long
async def test_it_can_be_used_by_keyboard_and_at_any_zoom() -> None:
    """Each control is reached, named and marked; at 200 % and 400 %, and with letters twice as large, all can be read."""
    async with blank() as look, served(backfilling()) as url:
        await show(look, url, "ready")
        reached = [stop async for stop in stops(look)]
        assert {name for name, *_ in reached} >= {"rate-chart", "lag-chart", "metrics", "healthz", "readyz"}
        for name, said, style, width in reached:
            assert said, name
            assert (style, width >= 2) == ("solid", True), name
        await keys_read_a_chart(look)
        for zoomed in (WIDE // 2, WIDE // 4, 320):
            await on_screen(look, zoomed)
            assert await faults(look) == [], f"{zoomed} pixels"
        await look.page.evaluate("document.documentElement.style.fontSize = '200%'")
        for width in (WIDE, 1280):
            await on_screen(look, width)
            assert await faults(look) == [], f"large letters, {width} pixels"


async def stops(look: Look) -> AsyncGenerator[tuple[str, str, str, float]]:
    """What Tab reaches, one after the other."""
    for _ in range(STOPS):
        await look.page.keyboard.press("Tab")
        found = await look.page.evaluate(FOCUSED)
        if found[0] is None:
            return
        yield found[0], found[1], found[2], found[3]


async def keys_read_a_chart(look: Look) -> None:
    """Arrows tell the values one by one, also to those who can't see them; nothing is told before and after."""
    readout = look.page.locator("#rate-readout")
    await look.page.focus("#rate-chart")
    assert await readout.get_attribute("aria-live") is None
    await look.page.keyboard.press("ArrowLeft")
    assert "per second" in await look.text("#rate-readout")
    assert await readout.get_attribute("aria-live") == "polite"
    await look.page.evaluate("document.activeElement.blur()")
    assert await readout.get_attribute("aria-live") is None


@pytest.mark.long
async def test_it_keeps_still_and_says_what_colours_say() -> None:
    """While a state lasts nothing is read out; nothing moves for who wants that; what asks for attention has a mark."""
    async with blank() as look, served(dead_letters()) as url:
        await show(look, url, "ready")
        heard = await look.text("#heard")
        await look.page.evaluate(LISTEN)

        async def more() -> bool:
            return await look.text("#heard") != heard

        await until(more, "another message")
        assert await look.page.evaluate("window.told") == 0
        assert await look.page.evaluate(MOVING) == 0
        marks = await look.page.evaluate(MARKS)
        assert len(marks) == 4
        assert all("▲" in mark and "attention" in mark for mark in marks)
        paths = await look.page.evaluate("Object.values(ICONS).map(([, path]) => path)")
        assert len(set(paths)) == len(paths) == len(await look.page.evaluate("Object.keys(WORDS)"))
        async with served(catching_up()) as behind:
            await show(look, behind, "behind")
            assert "256 of 256" in (await look.texts("#stages tr:nth-child(2)"))[0]


@pytest.mark.long
async def test_a_worker_of_another_version_has_its_own_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that was open meanwhile is read again; the version that it shows is the new one."""
    async with blank() as look:
        async with served(at_work()) as url:
            await show(look, url, "ready")
            await look.page.evaluate("window.opened = 'once'")
            port = url.split(":")[2].strip("/")
        monkeypatch.setattr(live, "VERSION", "9.9.9")
        async with served(at_work(HTTP_BIND=f"127.0.0.1:{port}")):
            await look.says("#version", "9.9.9")
            assert await look.page.evaluate("window.opened") is None
