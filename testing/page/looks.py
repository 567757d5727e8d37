"""One browser on the page in all its states, for tests."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Literal

from testing.browser import Look, looking

FAULTS = (Path(__file__).parent / "faults.js").read_text(encoding="utf-8")
AXE = "axe.run().then(found => found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.target)}`))"
PHONE, DESK, WIDE = 360, 1180, 1920  # pixels: cards in one column, in two and in three
HEIGHTS = {PHONE: 740, DESK: 800, WIDE: 1080}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SCREENS: tuple[tuple[int, Scheme], ...] = ((WIDE, "light"), (DESK, "light"), (PHONE, "dark"))


@asynccontextmanager
async def blank() -> AsyncGenerator[Look]:
    """A browser with nothing in it. Skips where there is no Chromium."""
    async with looking("about:blank") as look:
        yield look


async def show(look: Look, url: str, state: str) -> None:
    """Open the page, and wait until it is in this state."""
    await look.page.goto(url)
    await look.state_is(state)


async def on_screen(look: Look, width: int, scheme: Scheme = "light") -> None:
    """A screen of another width, light or dark; its charts are drawn again before this returns."""
    await look.page.emulate_media(color_scheme=scheme)
    await look.page.set_viewport_size({"width": width, "height": HEIGHTS.get(width, 740)})
    await look.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def faults(look: Look) -> list[str]:
    """What is wrong with how it looks now."""
    return list(await look.page.evaluate(FAULTS))


async def violations(look: Look) -> list[str]:
    """What axe-core finds of the rules for people who can't see, hear or point."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    await look.page.evaluate(axe)
    return list(await look.page.evaluate(AXE))


async def picture(look: Look, folder: Path, state: str, width: int, scheme: Scheme) -> None:
    """The whole page, as `STATE-WIDTH-SCHEME.png`."""
    name = f"{state.replace(' ', '-')}-{width}-{scheme}.png"
    await look.page.screenshot(path=folder / name, full_page=True)
