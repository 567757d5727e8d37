"""Dead letters and the check as an operator uses them, beside a worker: commands as processes of their own."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from testing.commits import LIKE, POST, Stream, did, like, post, put
from testing.database_side import opened
from testing.databases import connected, differences
from testing.model import UNDETERMINED
from testing.processes import ROOT, Process
from testing.traffic import traffic_of
from testing.waiting import until
from testing.workers import finished, running, settings

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


@pytest.mark.long
@pytest.mark.promise(2)
async def test_what_a_database_refused_for_a_while_comes_in_by_a_retry_killed_and_begun_again(
    database: str, tmp_path: Path
) -> None:
    # A commit that is refused as a whole leaves its repo's rev: what is stale, or of an unknown tree, depends on that.
    mix = replace(Mix.awkward(), stale=0, sync=0)
    stream = traffic_of(Generator(Settings(seed=1, accounts=1_000, mix=mix, cheap=True)).stream(3_000))
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
    for row in stream.model.expected().rows["unified_worker.repos"].values():  # what the database refused marks its repo
        row |= dict.fromkeys(("sync", "sync_reason"), UNDETERMINED)
    assert await differences(database, stream.model) == []
    code, output = await command(tmp_path, database, "check", "--full")
    assert code == 0, output
    code, output = await command(tmp_path, database, "dead-letters", "retry")
    assert code == 1, "what is broken stays so"
    assert "still refused" in output
    assert await differences(database, stream.model) == []


@pytest.mark.long
async def test_the_commands_as_they_are_called(database: str, tmp_path: Path) -> None:
    """What they find goes to stdout alone; a reader that goes is no fault; differences are told with a remedy."""
    async with opened(database) as worker:
        stream = Stream()
        await worker.write(stream.commit("a", put(f"{POST}/1", post())), stream.commit("b", put(f"{LIKE}/1", {"$type": LIKE})))
        await worker.write(stream.commit("c", put(f"{LIKE}/1", like(f"at://{did('a')}/{POST}/1"))))
        await worker.connection.execute("UPDATE post_aggregations SET like_count = 4")
    env = settings(database, "ws://127.0.0.1:9", LOG_LEVEL="DEBUG")
    shell = f"{sys.executable} {ROOT / 'unified_worker.py'}"
    listed = await piped(f"{shell} dead-letters list --json", env, tmp_path)
    assert [json.loads(line)["reason"] for line in listed.splitlines()] == ["missing_field"]
    assert await piped(f"set -o pipefail; {shell} dead-letters list | true; echo $?", env, tmp_path) == "0\n"
    code, output = await command(tmp_path, database, "check", "--seed", "7")
    assert code == 1
    assert "(--seed 7)" in output
    assert f"  at://{did('a')}/{POST}/1\n    has        {{" in output
    assert '"like_count": 4' in output.split("should be")[0]
    assert '"like_count": 1' in output.split("should be")[1]
    assert "Remedy: python unified_worker.py rebuild-derived" in output
    code, output = await command(tmp_path, database, "dead-letters", "show", "999")
    assert (code, output.count("\n")) == (1, 1)
    assert "there is no dead letter 999" in output
    assert (await command(tmp_path, database, "dead-letters", "drop"))[0] == 2


async def piped(line: str, env: dict[str, str], folder: Path) -> str:
    """What a shell's line writes to stdout."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", line, cwd=folder, env={"PATH": os.environ["PATH"], **env}, stdout=asyncio.subprocess.PIPE
    )
    return (await shell.communicate())[0].decode()
