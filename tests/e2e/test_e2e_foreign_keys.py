"""A database that enforces foreign keys, and the whole worker: a like that comes before its post waits, and gets its row."""

from pathlib import Path

from relay_simulator.server import RelayServer
from testing.application_schema import TABLES
from testing.authors import Author, liking
from testing.databases import connected, saved
from testing.processes import Process
from testing.traffic import traffic_of
from testing.waiting import until
from testing.workers import settings
from tests.database.dead_letters.test_foreign_keys import KEY

POST = f"at://did:plc:{'z' * 24}/app.bsky.feed.post/post1"  # what `liking` likes


async def test_a_like_waits_for_its_post_and_gets_its_row_by_itself(database: str, tmp_path: Path) -> None:
    early = traffic_of(
        [Author("early").commit(1, 1, liking("create", "a", 1)), Author("late").commit(2, 2, liking("delete", "b", 1))]
    )
    async with (
        connected(database) as connection,
        RelayServer(early.frames) as relay,
    ):
        await connection.execute(TABLES + KEY)
        async with Process(tmp_path, **settings(database, relay.url)) as worker:
            await saved(database, relay.url, early.last_seq)  # it held up nobody, and counts as finished
            await worker.says(
                r"\[WARNING\] The database refused a commit \(foreign_key\): kept in unified_worker\.dead_letters"
            )
            assert (
                await connection.fetchval("SELECT count(*) FROM unified_worker.dead_letters WHERE reason = 'foreign_key'") == 1
            )
            assert await connection.fetchval("SELECT count(*) FROM likes") == 0
            await connection.execute(
                "INSERT INTO posts (uri, cid, author_did, text, created_at) VALUES ($1, 'c', 'd', '', now())", POST
            )

            async def applied() -> bool:
                return await connection.fetchval("SELECT count(*) = 1 FROM likes WHERE post_uri = $1", POST)

            await until(applied, "the like is in its table", seconds=5)
            assert await connection.fetchval("SELECT count(*) FROM unified_worker.dead_letters") == 0
