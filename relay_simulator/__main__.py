"""`python -m relay_simulator`: serve a generated, a recorded or an endless stream, or write one to a file."""

import argparse
import asyncio
import errno
import gc
import sys
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

try:
    from relay_simulator.feed import Feed, RecentFrames, first_seq
    from relay_simulator.forge.forger import Forger
    from relay_simulator.forge.kinds import KINDS
    from relay_simulator.forge.told import Forged
    from relay_simulator.frames_file import write_frames
    from relay_simulator.generator import Generator, Settings
    from relay_simulator.hosts.ledger import Ledger
    from relay_simulator.hosts.options import add_options, host_options
    from relay_simulator.hosts.services import Services
    from relay_simulator.mix import Mix
    from relay_simulator.server import RelayServer
except ModuleNotFoundError as error:
    sys.exit(
        f"relay_simulator needs {error.name}, which this Python lacks: `make relay` installs all that it needs and starts it"
    )

PORTS = "--port, --directory-port and --hosts-port choose other ports; --port 0 takes free ones for all"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="relay_simulator", description="A relay of made-up accounts.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2471, help="where to serve (%(default)s); 0: a free one")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal streams (%(default)s)")
    parser.add_argument("--accounts", type=int, default=1_000, help="how many accounts act (%(default)s)")
    parser.add_argument("--commits", type=int, default=10_000, help="how many events to make (%(default)s)")
    parser.add_argument("--rate", type=float, help="frames per second from the first connection on; without it, all at once")
    parser.add_argument(
        "--now", action="store_true", help="endless: make events as they are sent, at --rate, with the current time"
    )
    parser.add_argument("--held", type=int, default=0, help="frames that are available at once, before those at --rate")
    parser.add_argument("--cheap", action="store_true", help="no trees and no signatures: ten times faster to make")
    parser.add_argument(
        "--history", type=int, default=4_000, help="records that accounts have from before, in the mean (%(default)s)"
    )
    parser.add_argument("--spread", type=float, default=0.0, help="how far accounts differ in that: 1.5 is much (%(default)s)")
    parser.add_argument("--awkward", action="store_true", help="make a quarter of the traffic strange or broken")
    parser.add_argument(
        "--forge", type=_kinds, default=[], metavar="KIND[,KIND …]", help="forge commits, and tell each: 'all' for every kind"
    )
    parser.add_argument("--every", type=int, default=100, help="events from one forgery to the next (%(default)s)")
    parser.add_argument("--frames", type=Path, metavar="FILE", help="serve this recording; nothing is made")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the frames to this file; nothing is served")
    add_options(parser)
    arguments = parser.parse_args()
    if arguments.now and not arguments.rate:
        parser.error("--now needs a --rate")
    if arguments.forge and (arguments.cheap or arguments.frames):
        parser.error("--forge needs trees and signatures: use neither --cheap nor --frames")
    if arguments.every < 1:
        parser.error("--every is 1 or more")
    if arguments.now and (arguments.frames or arguments.write):
        parser.error("--now makes its own stream: use neither --frames nor --write")
    return arguments


def _kinds(text: str) -> list[str]:
    """What --forge names. Raises ArgumentTypeError."""
    kinds = list(KINDS) if text == "all" else text.split(",")
    if unknown := set(kinds) - set(KINDS):
        raise argparse.ArgumentTypeError(f"no such forgery: {', '.join(sorted(unknown))}; there are: {', '.join(KINDS)}")
    return kinds


def _tell(forged: Forged) -> None:
    print(f"forged: {forged.kind} at seq {forged.seq} of {forged.did}", flush=True)


@asynccontextmanager
async def _serving(relay: RelayServer, services: Services | None, what: str) -> AsyncGenerator[None]:
    async with relay, services or nullcontext():
        relay.beside = "" if services is None else services.relay_url
        print(f"{what} at {relay.url}", flush=True)
        if services is not None:
            print(services, flush=True)
        yield


async def _serve(relay: RelayServer, services: Services | None) -> None:
    async with _serving(relay, services, f"{len(relay.log):,} frames"):
        await asyncio.Event().wait()


async def _serve_now(relay: RelayServer, services: Services | None, feed: Feed) -> None:
    # The made-up network grows, and looking through it for garbage, of which there is none, would hold the stream up: for half
    # a second after 50,000 events of 20,000 accounts.
    gc.disable()
    async with _serving(relay, services, f"{feed.rate:g} new frames per second"):
        await feed.run()


def _write(path: Path, frames: Iterable[bytes]) -> None:
    began = time.monotonic()
    count = write_frames(path, frames)
    print(f"{count:,} frames in {time.monotonic() - began:.1f} s, {path.stat().st_size:,} bytes")


def main() -> None:
    """Run the command."""
    arguments = _arguments()
    mix = Mix.awkward() if arguments.awkward else Mix.realistic()
    chosen = {} if arguments.rate is None else {"per_second": arguments.rate}
    if arguments.now:
        start = datetime.now(UTC)
        chosen |= {"start": start, "first_seq": first_seq(start)}
    hosts = host_options(arguments)
    if hosts is not None:
        chosen |= {"web_ports": hosts.web_ports, "hosts": hosts.pds_hosts, "changes": hosts.changes}
    chosen |= {"history": arguments.history, "spread": arguments.spread}
    settings = Settings(seed=arguments.seed, accounts=arguments.accounts, mix=mix, cheap=arguments.cheap, **chosen)
    hosted = hosts is not None and arguments.write is None
    ledger = Ledger(settings, upto=None if arguments.now else lambda: relay.sent_seq)
    generator = Generator(settings, ledger.archive if hosted else None)
    source = Forger(generator, arguments.forge, arguments.every, _tell) if arguments.forge else generator
    services = hosts.services(ledger) if hosts is not None and hosted else None
    place = {"host": arguments.host, "port": arguments.port}
    if arguments.now:
        relay = RelayServer(log=RecentFrames(), **place)
        feed = Feed(relay, source, settings.per_second, None if services is None else lambda sent: ledger.note(sent.truth))
        serving = _serve_now(relay, services, feed)
    else:
        stream = source.stream(0 if arguments.frames else arguments.commits)
        frames = (sent.frame for sent in (ledger.noted(stream) if services is not None else stream))
        if arguments.write is not None:
            _write(arguments.write, frames)
            return
        relay = RelayServer(frames, recorded=arguments.frames, rate=arguments.rate, held=arguments.held, **place)
        serving = _serve(relay, services)
    try:
        asyncio.run(serving)
    except KeyboardInterrupt:
        print("stopped")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(f"relay_simulator: {error.strerror}. Is another one running? {PORTS}")


if __name__ == "__main__":
    main()
