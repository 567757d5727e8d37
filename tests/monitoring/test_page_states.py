"""The page in every state, in a real browser: all of it can be read, on a phone and on a wide screen."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from testing.browser import Look
from testing.page.looks import PHONE, SCHEMES, WIDE, blank, faults, on_screen, picture, show
from testing.page.states import STATES, served


async def each_state(look: Look) -> AsyncGenerator[str]:
    """The states one after the other, each while the page shows it."""
    for name, (state, scene) in STATES.items():
        async with served(scene()) as url:
            await show(look, url, state)
            yield name
            await look.page.goto("about:blank")


async def test_every_state_can_be_read_on_any_screen() -> None:
    """No text sticks out, is cut off, is pale, lies over another or touches it; the console has nothing to say."""
    found: dict[str, list[str]] = {}
    async with blank() as look:
        async for name in each_state(look):
            for width, scheme in ((WIDE, "light"), (PHONE, "dark")):
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
