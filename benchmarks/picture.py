"""The pictures of the live page in the documents, of the demonstration's worker: python -m benchmarks.picture [--seconds N]."""

import argparse
import asyncio
import sys
from pathlib import Path

from benchmarks.demo import following
from benchmarks.processes import ROOT, ChildFailed, child_folder
from testing.browser import CHROMIUM, looking
from unified_indexer.embedded.programs import EmbeddedPostgres

# By file: the screen in CSS pixels, and how many of the picture's are one of them.
SCREENS = {"live-page.png": (1180, 505, 1), "live-page-phone.png": (360, 760, 2)}


async def take(folder: Path, seconds: float) -> None:
    """Writes them after so many seconds of work."""
    with child_folder() as temporary:
        async with (
            EmbeddedPostgres(temporary / "postgres") as server,
            following(server, temporary, "127.0.0.1:0", shown=False) as worker,
        ):
            url = await worker.said(r"Live page: (http://\S+)")
            await asyncio.sleep(seconds)
            worker.check()
            for name, (width, height, scale) in SCREENS.items():
                async with looking(url, scale) as look:
                    await look.page.set_viewport_size({"width": width, "height": height})
                    await look.state_is("ready")
                    await look.page.screenshot(path=folder / name)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="benchmarks.picture", description="Takes the documents' pictures of the live page.")
    parser.add_argument(
        "--seconds", type=float, default=115.0, help="of work before them: charts are of two minutes (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "docs", help="where to write them (docs)")
    arguments = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("no Chromium here (Debian: apt-get install chromium)")
    try:
        asyncio.run(take(arguments.folder, arguments.seconds))
    except ChildFailed as error:
        sys.exit(f"No picture was taken: {error}")


if __name__ == "__main__":
    main()
