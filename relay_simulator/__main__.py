"""`python -m relay_simulator`: serve a generated or recorded stream, or write one to a file."""

import argparse
import asyncio
import time
from pathlib import Path

from relay_simulator.frames_file import write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="relay_simulator", description="A relay of made-up accounts.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2471, help="where to serve (%(default)s); 0: a free one")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal streams (%(default)s)")
    parser.add_argument("--accounts", type=int, default=1_000, help="how many accounts act (%(default)s)")
    parser.add_argument("--commits", type=int, default=10_000, help="how many events to make (%(default)s)")
    parser.add_argument("--rate", type=float, help="frames a second from the first connection on; without: all at once")
    parser.add_argument("--held", type=int, default=0, help="frames that are there at once, before those at --rate")
    parser.add_argument("--cheap", action="store_true", help="no trees and no signatures: ten times as fast to make")
    parser.add_argument("--awkward", action="store_true", help="traffic of which a quarter is strange or broken")
    parser.add_argument("--frames", type=Path, metavar="FILE", help="serve this recording; nothing is made")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the frames to this file; nothing is served")
    return parser.parse_args()


async def _serve(relay: RelayServer) -> None:
    async with relay:
        print(f"{len(relay.log):,} frames at {relay.url}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Run the command."""
    arguments = _arguments()
    mix = Mix.awkward() if arguments.awkward else Mix.realistic()
    rate = {} if arguments.rate is None else {"per_second": arguments.rate}
    settings = Settings(seed=arguments.seed, accounts=arguments.accounts, mix=mix, cheap=arguments.cheap, **rate)
    frames = (sent.frame for sent in Generator(settings).stream(0 if arguments.frames else arguments.commits))
    if arguments.write is not None:
        began = time.monotonic()
        count = write_frames(arguments.write, frames)
        print(f"{count:,} frames in {time.monotonic() - began:.1f} s, {arguments.write.stat().st_size:,} bytes")
        return
    relay = RelayServer(
        frames,
        recorded=arguments.frames,
        host=arguments.host,
        port=arguments.port,
        rate=arguments.rate,
        held=arguments.held,
    )
    try:
        asyncio.run(_serve(relay))
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()
