"""`make demo`: a simulated relay, an embedded PostgreSQL and the worker, for thirty seconds; then what is in the database."""

import argparse
import asyncio
import fcntl
import os
import socket
import sys
import tempfile
import textwrap
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg

from benchmarks.processes import ROOT, START_TIMEOUT, Child, ChildFailed, child, child_folder, hosts_settings, relay, relay_url
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.embedded.server import PostgresServer

RATE = 500  # events a second: a usual hour of the public relay
ACCOUNTS = 2_000
TABLES = {
    "posts": "posts and replies",
    "likes": "likes",
    "reposts": "reposts",
    "follows": "follows",
    "users": "accounts that wrote anything",
    "generic_records": "records of collections that have no table of their own",
    "post_aggregations": "posts, feeds and labelers with their counts of likes, reposts, replies and quotes",
    "feed_items": "what timelines are made of: posts, replies and reposts",
    "notifications": "who is to be told of a like, a repost, a follow, a reply, a quote, a mention",
    "unified_worker.repos": "repos seen, with the rev of the last commit of each",
    "unified_worker.duplicate_records": "second likes, reposts, follows … of one thing: they wait until the first goes",
    "unified_worker.dead_letters": "operations that could not be applied: kept, with the reason",
}
PAGE_PORT = 8080  # the live page's; another where that is taken
SOMETHING_IS_IN = "SELECT EXISTS (SELECT FROM unified_worker.repos)"
LONGEST = 86_400.0  # seconds
LOOK = 0.1  # seconds between two looks
CURSOR = "SELECT service, cursor FROM firehose_cursor"
MOST_LIKED = """
SELECT author_did, like_count, text FROM post_aggregations JOIN posts ON posts.uri = post_uri
WHERE text <> '' ORDER BY like_count DESC, post_uri LIMIT 3
"""
NEWEST = "SELECT author_did, text FROM posts WHERE text <> '' ORDER BY commit_time DESC, uri LIMIT 5"


def _say(text: str) -> None:
    print(f"\n{textwrap.fill(text, 110)}\n", flush=True)


async def demo(seconds: float) -> None:
    """Runs it all in a temporary folder, then shows the database and removes it."""
    with child_folder() as folder, _page_port() as port:
        page = f"127.0.0.1:{port}"
        _say(
            f"A simulated relay sends {RATE} events a second of {ACCOUNTS:,} made-up accounts, each commit signed and over a "
            f"real Merkle tree, as it happens. A simulated directory has the accounts' keys. An empty PostgreSQL is made in "
            f"{folder}. The worker, started as an operator would start it, follows the relay for {seconds:g} seconds from the "
            f"first event on. Look on with a browser: http://{page}/ . What comes now are the worker's own log lines."
        )
        async with EmbeddedPostgres(folder / "postgres") as server:
            async with following(server, folder, page, shown=True) as worker:
                await _first_event(server.url, worker)
                await asyncio.sleep(seconds)
                worker.check()
            _say("The worker was asked to stop: it wrote what it had read, saved its cursor and left. This is in the database:")
            connection = await asyncpg.connect(server.url)
            await _show(connection)
            await connection.close()
    _say("The database was in a temporary folder and is gone now. `make run` follows a real relay into one that stays.")


@asynccontextmanager
async def following(server: PostgresServer, folder: Path, page: str, *, shown: bool) -> AsyncGenerator[Child]:
    """A simulated relay, and a worker that follows it into this server, until the block ends. `page`: HTTP_BIND; `shown`: its
    log lines are printed."""
    stream = ("--now", "--rate", str(RATE), "--accounts", str(ACCOUNTS), "--web-accounts", "2")
    with relay(folder, *stream) as source:
        settings = {
            "DATABASE_URL": server.url,
            "RELAY_URL": await relay_url(source),
            "CURSOR": "oldest",
            "PLC_RATE": "1000",
            "HTTP_BIND": page,
            **await hosts_settings(source),
        }
        with child("worker", [str(ROOT / "unified_worker.py")], folder, settings, shown=shown) as worker:
            yield worker


@contextmanager
def _page_port() -> Generator[int]:
    """The usual port of the live page; any other if it is taken, also by a demonstration whose worker does not listen yet."""
    with (
        (Path(tempfile.gettempdir()) / f"demo-page-{PAGE_PORT}-{os.getuid()}.lock").open("w") as reserved,
        socket.socket() as probe,
    ):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            fcntl.flock(reserved, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.bind(("127.0.0.1", PAGE_PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        yield port


async def _first_event(url: str, worker: Child) -> None:
    """Waits until something is in the database: a busy machine takes its time to start. ChildFailed if nothing comes."""
    connection = await asyncpg.connect(url)
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT
    try:
        while True:
            worker.check()
            with suppress(asyncpg.InvalidSchemaNameError, asyncpg.UndefinedTableError):  # it is not prepared yet
                if await connection.fetchval(SOMETHING_IS_IN):
                    return
            if asyncio.get_running_loop().time() > deadline:
                raise ChildFailed(f"no event was in the database within {START_TIMEOUT:.0f} s; the worker's log says why")
            await asyncio.sleep(LOOK)
    finally:
        await connection.close()


async def _show(connection: Connection) -> None:
    for table, meaning in TABLES.items():
        print(f"{await connection.fetchval(f'SELECT count(*) FROM {table}'):>8,}  {table:<34}{meaning}")
    for service, cursor in await connection.fetch(CURSOR):
        print(f"\nfirehose_cursor: everything up to seq {cursor} of {service} is in the database\n")
    print("The most liked posts:")
    for did, likes, text in await connection.fetch(MOST_LIKED):
        print(f"  {did}  {likes:>3} likes  {textwrap.shorten(text, 58, placeholder=' …')}")
    print("The newest posts:")
    for did, text in await connection.fetch(NEWEST):
        print(f"  {did}  {textwrap.shorten(text, 70, placeholder=' …')}")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not from 0 to {LONGEST:g} seconds")
    return seconds


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="benchmarks.demo", description="Shows the worker at work, on made-up events.")
    parser.add_argument("--seconds", type=_seconds, default=30.0, help="how long, from the first event on (%(default)s)")
    try:
        asyncio.run(demo(parser.parse_args().seconds))
    except ChildFailed as error:
        sys.exit(f"The demonstration failed: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
