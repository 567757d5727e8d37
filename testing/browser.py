"""A real browser that looks at the live page, headless: what it shows, what it asks for and what it complains about."""

import contextlib
import shutil
from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Page, async_playwright

from testing.waiting import until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container has little
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT = 60  # seconds for a state; a condition is waited for, so a slow machine may take its time
BELOW_AXIS = 20  # pixels of a chart
VIOLATIONS = (
    "addEventListener('securitypolicyviolation', event => console.error('CSP', event.violatedDirective, event.blockedURI))"
)


class Look:
    """An open page; `requests` are the URLs that it has asked for, `complaints` what its console said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))

    async def text(self, selector: str) -> str:
        """The text of the first such element."""
        return (await self.page.text_content(selector)) or ""

    async def texts(self, selector: str) -> list[str]:
        """The texts of all such elements that are shown."""
        return [await found.inner_text() for found in await self.page.locator(selector).all() if await found.is_visible()]

    async def state(self) -> str:
        """ready, behind, starting, standby, stopping, stalled or lost."""
        return str(await self.page.evaluate("document.documentElement.dataset.state"))

    async def state_is(self, state: str) -> None:
        """Wait until the page is in this state."""

        async def reached() -> bool:
            return await self.state() == state

        await until(reached, f"the page says {state}", WAIT)

    async def rate(self) -> float:
        """Events a second, as shown."""
        shown = (await self.text("#rate")).replace(",", "")
        return float(shown) if shown.replace(".", "").isdigit() else -1.0

    async def rate_is(self, low: float, high: float) -> None:
        """Wait until the page shows a rate between these."""

        async def shown() -> bool:
            return low <= await self.rate() <= high

        await until(shown, f"the page shows a rate of {low} to {high}", WAIT)

    async def says(self, selector: str, text: str) -> None:
        """Wait until the element has this text."""

        async def shown() -> bool:
            return await self.text(selector) == text

        await until(shown, f"{selector} says {text!r}", WAIT)

    async def line(self, chart: str) -> list[list[tuple[float, float]]]:
        """The line of a chart: unbroken stretches of points, each by its time (in pixels) and its height above the axis."""
        path = await self.page.get_attribute(f"{chart} .line", "d")
        axis = float(await self.page.evaluate("chart => document.querySelector(chart).clientHeight", chart)) - BELOW_AXIS
        stretches = [stretch.replace("h0", "").split("L") for stretch in str(path).split("M")[1:]]
        points = [[tuple(map(float, point.split())) for point in stretch] for stretch in stretches]
        return [[(x, axis - y) for x, y in stretch] for stretch in points]


@contextlib.asynccontextmanager
async def looking(url: str, scale: float = 1) -> AsyncGenerator[Look]:
    """The page at this URL, open until the block ends; `scale`: a picture's pixels in one of CSS. Skips where there is no
    Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(
            viewport={"width": 1280, "height": 800}, device_scale_factor=scale, reduced_motion="reduce"
        )
        await page.add_init_script(VIOLATIONS)
        look = Look(page)
        await page.goto(url)
        yield look
        await browser.close()
