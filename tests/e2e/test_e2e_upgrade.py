"""An older version's own code, out of the history, at work in mid-stream; then this version on the same database, to the end.

And the way back: an older version refuses a database of a newer schema, and changes nothing.
"""

import functools
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from testing.databases import connected, differences, saved, stored_cursor
from testing.model import Model, compare
from testing.model.expected import Expected
from testing.model.names import UNDETERMINED
from testing.processes import ROOT, Cold, Process
from testing.traffic import Traffic, traffic_of
from testing.waiting import until
from testing.workers import settings
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import DERIVED_SINCE

EVENTS = 2_400
# So many are there from the start; more come when the older version has stored a cursor; the last ones come to the newer.
FIRST, MORE = 1_200, 600
# The five-type version let #account and #identity pass; what they said then is told by nobody again.
FIVE_TYPES = replace(Mix.five_types(), identity=0, handle_change=0, account=0, account_deleted=0)


@dataclass(frozen=True)
class Version:
    """An older version: the commit that ended it, the last of its schema steps, and traffic that it knew how to read."""

    name: str
    commit: str
    step: int
    mix: Mix


VERSIONS = (
    Version("five-types", "be805de", 1, FIVE_TYPES),
    Version("derived-rows", "b17db6f", 2, Mix.awkward()),
    Version("gaps-and-runs", "995c1d6", 3, Mix.awkward()),
)


def process_of(version: Version, folder: Path) -> type[Process]:
    """The older version's process, its code put into the folder; skips where that can't be had."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed: older versions come from the history")
    command = [git, "archive", version.commit, "unified_worker.py", "indexer"]
    archived = subprocess.run(command, cwd=ROOT, capture_output=True)
    if archived.returncode != 0:
        pytest.skip(f"no history with {version.commit} here ({archived.stderr.decode().strip()[:80]})")
    place = folder / version.name
    place.mkdir()
    subprocess.run(["tar", "-x", "-C", place], input=archived.stdout, check=True)  # Python's own knows filters from 3.11.4 on
    steps = "from indexer.database.migrations import MIGRATIONS; print(len(MIGRATIONS))"  # until 0.1.0, where they were
    counted = subprocess.run([sys.executable, "-c", steps], cwd=place, capture_output=True, text=True, check=True)
    assert int(counted.stdout) == version.step

    class Old(Cold):
        program = (str(place / "unified_worker.py"),)

    return Old


@functools.cache
def stream_of(mix: Mix) -> Traffic:
    return traffic_of(Generator(Settings(seed=5, accounts=300, mix=mix, cheap=True)).stream(EVENTS))


# What records said in these before their columns came is lost.
LATER = (("posts", "self_labels"), ("thread_gates", "hidden_replies"), ("post_gates", "detached_embedding_uris"))
# An older version let a gate judge replies that were older than it; whether a reply is, it did not note.
VERDICTS = (("posts", "violates_thread_gate"), ("posts", "violates_embedding_rules"))
# It knew no follower rule: such a gate admitted everybody.
RULES = tuple(("thread_gates", f"allow_{rule}") for rule in ("mentions", "following", "followers", "list_members", "list_uris"))

# It noted that something of a repo was missing, but not what, and marked repos of which it had seen a #sync alone.
STATES = (("unified_worker.repos", "sync"), ("unified_worker.repos", "sync_reason"))


class WithoutLaterColumns:
    """The model, but for columns that came after the older version."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def expected(self) -> Expected:
        """The model's expectations."""
        expected = self._model.expected()
        for table, column in (*LATER, *VERDICTS, *RULES, *STATES):
            for row in expected.rows[table].values():
                row[column] = UNDETERMINED
        told = expected.rows["notifications"]
        optional = {uri for uri, row in told.items() if row["reason"] in ("reply", "quote")}
        expected.optional.setdefault("notifications", set()).update(optional)
        return expected


class WithoutCids(WithoutLaterColumns):
    """Besides, but for the CIDs of likes, reposts and follows in what follows from them: no table of records holds those,
    so the rebuild after the five-type version leaves them empty."""

    def expected(self) -> Expected:
        """The model's expectations."""
        expected = super().expected()
        for row in expected.rows["notifications"].values():
            if row["reason"] in ("like", "repost", "follow", "like-via-repost", "repost-via-repost"):
                row["cid"] = UNDETERMINED
        for row in expected.rows["feed_items"].values():
            if row["type"] == "repost":
                row["cid"] = UNDETERMINED
        return expected


async def rebuilt(url: str) -> bool:
    """Whether the rebuild that an upgrade begins is through."""
    async with connected(url) as connection:
        return await connection.fetchval("SELECT count(*) > 0 AND bool_and(done) FROM unified_worker.rebuild")


async def marked(url: str) -> int:
    """How many repos came through the upgrade as those of which something is missing."""
    async with connected(url) as connection:
        query = "SELECT count(*) FROM unified_worker.repos WHERE sync = 2 AND sync_reason = 'unknown' AND sync_at IS NULL"
        return await connection.fetchval(query)


async def check_finds_nothing(folder: Path, url: str) -> None:
    """`check --full`, to its end."""
    async with Process(folder, "check", "--full", DATABASE_URL=url) as checking:
        assert await checking.ends() == 0, checking.output
        assert "No differences in " in checking.output


async def refusals_are_judged_again(folder: Path, url: str) -> None:
    """What the older version refused for what only adds to a record: applied by the operator's command, as CHANGELOG says."""
    for reason in ("wrong_type", "bad_blob"):
        async with Process(folder, "dead-letters", "retry", "--reason", reason, DATABASE_URL=url, VERIFY="off") as retrying:
            assert await retrying.ends() in (0, 1), retrying.output


UNKNOWN = ("app.bsky.graph.verification", "#notification/reply", "#notification/quote")


async def unlike(url: str, version: Version, model: Model) -> list[str]:
    """Where the database is not what the model says.

    Older versions did not note which verification came first, or which claim of a handle: who held one at the upgrade keeps it.
    """
    if version.step > 1:
        found = await differences(url, WithoutLaterColumns(model))
        claims = Counter(repo.handle for repo in model.repos.values() if repo.claimed is not None)
        contested = [f"'{handle}'" for handle, number in claims.items() if number > 1]
        unknown = [line for line in found if line.startswith("users: ") and any(handle in line for handle in contested)]
        return [line for line in found if line not in unknown and not any(part in line for part in UNKNOWN)]
    async with connected(url) as connection:
        return await compare(WithoutCids(model), connection)


async def stopped_in_mid_stream(
    process: Process, url: str, relay: RelayServer, more: Sequence[bytes], end: signal.Signals
) -> int:
    """Ends the process by the signal while `more` comes to it, once it has stored a cursor; returns what cursor it leaves."""

    async def has_begun() -> bool:
        return await stored_cursor(url, relay.url) is not None

    await until(has_begun, "the older version stores its cursor")
    for frame in more:
        relay.append(frame)
    await until(lambda: relay.frames_sent > FIRST, "some more is under way", poll=0.001)
    process.signal(end)
    assert await process.ends(10) == (0 if end == signal.SIGTERM else -end), process.output
    reached = await stored_cursor(url, relay.url)
    assert reached is not None
    return reached


@pytest.mark.long
@pytest.mark.parametrize(
    ("version", "end"),
    [
        *((version, signal.SIGTERM) for version in VERSIONS),
        *((version, signal.SIGKILL) for version in (VERSIONS[0], VERSIONS[-1])),
    ],
    ids=lambda value: value.name,
)
async def test_an_upgrade_in_mid_stream(database: str, tmp_path: Path, version: Version, end: signal.Signals) -> None:
    old = process_of(version, tmp_path)
    stream = stream_of(version.mix)
    async with RelayServer(stream.frames[:FIRST]) as relay:
        env = settings(database, relay.url)
        async with old(tmp_path, **env) as before:
            more = stream.frames[FIRST : FIRST + MORE]
            reached = await stopped_in_mid_stream(before, database, relay, more, end)
        async with Process(tmp_path, **env) as after:
            await after.says("Connected to ")
            for frame in stream.frames[FIRST + MORE :]:
                relay.append(frame)
            await saved(database, relay.url, stream.last_seq)
            if version.step < DERIVED_SINCE:
                await until(lambda: rebuilt(database), "what follows from the older version's records is made")
            after.signal(signal.SIGTERM)
            assert await after.ends(10) == 0
        await refusals_are_judged_again(tmp_path, database)
        assert "Traceback" not in after.output
        assert "Gap" not in after.output
        assert relay.cursors == [0, reached]
    assert await unlike(database, version, stream.model) == []
    assert await marked(database) >= (version.step > 1), "what it had marked stays so"
    await check_finds_nothing(tmp_path, database)


@pytest.mark.long
async def test_an_older_version_on_a_newer_database(database: str, tmp_path: Path) -> None:
    """A schema step that it does not know: it refuses, and changes nothing. One that it knows: it goes on."""
    stream = stream_of(FIVE_TYPES)
    async with RelayServer(stream.frames) as relay:
        env = settings(database, relay.url)
        async with Process(tmp_path, **env) as worker:
            await saved(database, relay.url, stream.last_seq)
            worker.signal(signal.SIGTERM)
            assert await worker.ends(10) == 0
        for version in VERSIONS:
            async with process_of(version, tmp_path)(tmp_path, **env) as old:
                if version.step < len(MIGRATIONS):
                    assert await old.ends() == 2
                    assert f"schema version {len(MIGRATIONS)}, this one knows {version.step}: start a newer one" in old.output
                else:
                    await old.says("Connected to ")
                    old.signal(signal.SIGTERM)
                    assert await old.ends(10) == 0
    assert await differences(database, stream.model) == []
