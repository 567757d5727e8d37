"""Dead letters and the check as an operator uses them, beside a worker: commands as processes of their own."""

import json
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from tests.database.builder import LIKE, POST, Stream, did, like, post, put
from tests.e2e.harness import Process, connected, differences, finished, running, settings, traffic, until

# A bad function of the application's refuses three in a hundred, which is less than the breaker heeds.
REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
  IF ('x' || left(md5(NEW.uri), 2))::bit(8)::int < 8 THEN
    RAISE EXCEPTION 'a bad function';
  END IF;
  RETURN NEW;
END $refuse$;
""" + "".join(
    f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse();"
    for table in ("likes", "reposts", "follows", "posts", "blocks")
)
TAKING = "DROP FUNCTION refuse() CASCADE"
LETTERS = "SELECT count(*) FROM unified_worker.dead_letters WHERE reason = 'database_P0001'"
WAITS = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'likes'::regclass"


async def command(folder: Path, url: str, *arguments: str) -> tuple[int, str]:
    """A command's exit code and output."""
    async with Process(folder, *arguments, **settings(url, "ws://127.0.0.1:9", LOG_LEVEL="ERROR")) as process:
        code = await process.ends()
        assert "Traceback" not in process.output
        return code, process.output


async def test_what_a_database_refused_for_a_while_comes_in_by_a_retry_killed_and_begun_again(
    database: str, tmp_path: Path
) -> None:
    stream = traffic(3_000, awkward=True)
    async with (
        RelayServer(stream.frames, rate=1_500) as relay,
        running(database, relay.url) as worker,
        connected(database) as connection,
        connected(database) as beside,
    ):
        await connection.execute(REFUSING)
        await until(lambda: worker.metrics.finished > 300, "the stream flows")
        looks = 0
        while worker.metrics.finished < 0.9 * len(stream.frames):
            code, output = await command(tmp_path, database, "check", "--full")
            assert code == 0, output
            looks += 1
        assert looks
        await finished(worker, stream.last_seq)
        kept = await connection.fetchval(LETTERS)
        assert kept > 30
        await connection.execute(TAKING)
        retry = ("dead-letters", "retry", "--reason", "database_P0001")
        async with connection.transaction():
            await connection.execute("LOCK TABLE likes")
            async with Process(tmp_path, *retry, **settings(database, relay.url)) as process:
                await until(lambda: beside.fetchval(WAITS), "the retry is amid a like")
                process.kill()
        left = await connection.fetchval(LETTERS)
        assert 0 < left <= kept
        code, output = await command(tmp_path, database, *retry)
        assert await connection.fetchval(LETTERS) == 0, output
        assert code == ("still refused" in output), "operations that nobody can use were among those of the refused commits"
    assert await differences(database, stream.model) == []
    code, output = await command(tmp_path, database, "check", "--full")
    assert code == 0, output
    code, output = await command(tmp_path, database, "dead-letters", "retry")
    assert code == 1, "what is broken stays so"
    assert "still refused" in output
    assert await differences(database, stream.model) == []
