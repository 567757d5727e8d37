"""The page in every state, in a real browser: all of it can be read, on a phone and on a wide screen."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from testing.browser import Look
from testing.page.looks import PHONE, SCHEMES, SCREENS, WIDE, blank, faults, on_screen, picture, show
from testing.page.states import STATES, at_work, served, shares
from unified_indexer.config.values import MOST_SHARES


async def each_state(look: Look) -> AsyncGenerator[str]:
    """The states one after the other, each while the page shows it."""
    for name, (state, scene) in STATES.items():
        async with served(scene()) as url:
            await show(look, url, state)
            yield name
            await look.page.goto("about:blank")


@pytest.mark.long
async def test_every_state_can_be_read_on_any_screen() -> None:
    """No text sticks out, is cut off, is pale, lies over another or touches it; nothing is empty, no scale without a line."""
    found: dict[str, list[str]] = {}
    async with blank() as look:
        async for name in each_state(look):
            for width, scheme in SCREENS:
                await on_screen(look, width, scheme)
                if wrong := await faults(look):
                    found[f"{name}, {width} pixels"] = wrong
        assert (found, look.complaints) == ({}, [])


@pytest.mark.long
async def test_a_picture_of_every_state_is_left_to_look_at(tmp_path: Path) -> None:
    """On both screens, light and dark, in the test's folder: `--basetemp` says where."""
    async with blank() as look:
        async for name in each_state(look):
            for width in (WIDE, PHONE):
                for scheme in SCHEMES:
                    await on_screen(look, width, scheme)
                    await picture(look, tmp_path, name, width, scheme)
    pictures = list(tmp_path.glob("*.png"))
    assert len(pictures) == 4 * len(STATES)
    assert min(path.stat().st_size for path in pictures) > 20_000


@pytest.mark.long
async def test_each_share_is_shown_with_its_lag_and_whose_nobody_is() -> None:
    async with blank() as look, served(shares()) as url:
        await show(look, url, "ready")
        assert len(await look.texts("#shares > div")) == MOST_SHARES
        rows = [" ".join(text.split()) for text in await look.texts("#shares > div")]
        assert rows[0] == "1 of 63 0.4 s"
        assert rows[3] == "4 of 63 3.4 s Does for all what is done once: wipes, finding repos, counts."
        assert rows[5] == "6 of 63 5.4 s No worker has this share."
        assert rows[11] == "12 of 63 (this worker) 11 s"
    async with blank() as look, served(at_work()) as url:
        await show(look, url, "ready")
        assert not await look.page.is_visible("#shares-card")
