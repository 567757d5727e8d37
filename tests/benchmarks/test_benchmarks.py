"""The benchmarks measure what they say: both designs leave the same rows, the right ones, and wrong ones are told."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import asyncpg
import pytest

from benchmarks import latency
from benchmarks.bare import BARE_TYPES
from benchmarks.bench import on_top
from benchmarks.by_type import DELETION, SEVERAL, costs
from benchmarks.ceiling import copy_rows, save_rows
from benchmarks.flat import flat, panels
from benchmarks.outage import RATE, recover
from benchmarks.plot import draw
from benchmarks.preload import preload
from benchmarks.processes import ChildFailed, child_folder
from benchmarks.small import ACCOUNTS, account_of, record_of, small_frame
from benchmarks.stream import dids, make_stream
from benchmarks.throughput import BARE_WORKER, CLASSIC, WORKER, fresh_database, run_into
from benchmarks.watched import compare
from relay_simulator.mix import Mix
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.protocol.events import Commit
from unified_indexer.protocol.frames import decode

COMMITS = 1_000
# More deletes, updates and duplicates than real traffic has, so that every statement of the classic design runs.
LIVELY = replace(
    Mix.five_types(),
    like=40, delete=10, update=3, profile=5, several=5, toggle=5, duplicate=8, move=3, profile_cycle=3, stale=3, resend=2,
)  # fmt: skip

# Nothing of it is refused.
SOUND = replace(
    Mix.awkward(), odd=0, huge=0, missing_block=0, too_big=0, future=0, early_update=0, foreign_item=0, inactive_commit=0
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with child_folder() as made:
        yield made


async def rows(url: str, tables: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What the tables hold, without the times of writing (a record that waits holds one of them), and whether a repo is to be
    looked through for what waits, where the classic design is too careful."""
    connection = await asyncpg.connect(url)
    found: dict[str, list[dict[str, Any]]] = {}
    for table in tables:
        kept: list[dict[str, Any]] = []
        for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1"):
            left_out = {"indexed_at", "updated_at", "record", "held", *(("created_at",) if table == "users" else ())}
            kept.append({name: value for name, value in row.items() if name not in left_out})
        found[table] = kept
    await connection.close()
    return found


def known_to_both(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what only the worker notes: that a commit followed on one that never came, or may hide operations."""
    noted = ("sync", "sync_reason", "sync_at", "filtered", "doubt", "blind")
    return [{name: value for name, value in row.items() if name not in noted} for row in rows]


@pytest.mark.long
async def test_both_designs_leave_the_same_rows(pg18: PostgresServer, folder: Path) -> None:
    load = make_stream(folder / "frames.bin", COMMITS, LIVELY)
    left: list[dict[str, list[dict[str, Any]]]] = []
    for design in (BARE_WORKER, CLASSIC):
        async with fresh_database(pg18, BARE_TYPES) as url:
            result = await run_into(url, pg18, design, folder / "frames.bin", load, load.bare_rows())
            left.append(await rows(url, list(load.bare_rows())))
        assert result.wrong == ()
        assert result.rate > 0
        assert min(result.python_us, result.postgres_us, result.peak_rss, *result.rss) > 0
    worker, classic = left
    for table in worker:
        assert known_to_both(worker[table]) == known_to_both(classic[table])
    assert worker["unified_worker.duplicate_records"]


@pytest.mark.long
async def test_all_rows_of_awkward_but_sound_traffic_are_expected(pg18: PostgresServer, folder: Path) -> None:
    load = make_stream(folder / "frames.bin", 2 * COMMITS, SOUND)
    async with fresh_database(pg18) as url:
        result = await run_into(url, pg18, WORKER, folder / "frames.bin", load)
    assert result.wrong == ()
    empty = {table for table, count in load.rows.items() if not count}
    assert empty == {"unified_worker.dead_letters"}


@pytest.mark.long
async def test_rows_come_on_top_of_those_from_before(pg18: PostgresServer, folder: Path) -> None:
    load = make_stream(folder / "frames.bin", 1_000)
    async with fresh_database(pg18, name="old") as old:
        before = await preload(old, dids(1_000), 60_000)
        assert 60_000 < sum(before.values()) < 66_000
        assert {table for table, count in before.items() if not count} <= {
            "verifications", "unified_worker.duplicate_records", "unified_worker.dead_letters"
        }  # fmt: skip
        connection = await asyncpg.connect(old)
        likes = "SELECT sum(like_count) FROM post_aggregations"
        assert await connection.fetchval(likes) == before["likes"]
        await connection.close()
        async with fresh_database(pg18, template="old") as url:
            result = await run_into(url, pg18, WORKER, folder / "frames.bin", load, on_top(before, load))
    assert result.wrong == ()


@pytest.mark.long
async def test_the_time_is_told_by_what_a_commit_does(pg18: PostgresServer, folder: Path) -> None:
    make_stream(folder / "frames.bin", 1_000)
    found = {cost.kind: cost for cost in await costs(pg18, folder / "frames.bin", 5_000)}
    assert {"likes", "posts", "reposts", "follows", "users", DELETION, SEVERAL} <= found.keys()
    assert 0.5 < found["likes"].share < 0.8
    assert found["likes"].whole > found["likes"].derived > 0
    assert list(found) == sorted(found, key=lambda kind: found[kind].share * found[kind].whole, reverse=True)


@pytest.mark.long
async def test_wrong_rows_are_told(pg18: PostgresServer, folder: Path) -> None:
    frames = folder / "frames.bin"
    load = make_stream(frames, 300)
    more = make_stream(folder / "more.bin", 301)
    async with fresh_database(pg18) as url:
        result = await run_into(url, pg18, WORKER, frames, replace(more, last=load.last))
    assert result.wrong
    assert all("rows instead of" in fault for fault in result.wrong)


@pytest.mark.long
async def test_a_child_that_ends_early_is_told_with_its_words(pg18: PostgresServer, folder: Path) -> None:
    load = make_stream(folder / "frames.bin", 10)
    async with fresh_database(pg18) as url:
        with pytest.raises(ChildFailed, match="--nonsense"):
            await run_into(url, pg18, (*WORKER, "--nonsense"), folder / "frames.bin", load)


@pytest.mark.long
async def test_the_copy_leaves_the_rows_of_the_run(pg18: PostgresServer, folder: Path) -> None:
    load = make_stream(folder / "frames.bin", 1_000, Mix.five_types())
    wanted = load.bare_rows()
    async with fresh_database(pg18, BARE_TYPES) as url:
        await run_into(url, pg18, BARE_WORKER, folder / "frames.bin", load, wanted)
        saved = await save_rows(url, list(wanted), folder)
    assert {table for table, count in wanted.items() if count} == set(saved)
    copied = await copy_rows(pg18, BARE_TYPES, saved, load.commits, wanted)
    assert copied.wrong == ()
    assert copied.rate > 0
    assert copied.wal_bytes > 500
    fewer = await copy_rows(pg18, BARE_TYPES, {"likes": saved["likes"]}, load.commits, wanted)
    assert any(fault.startswith("posts: 0 rows") for fault in fewer.wrong)


@pytest.mark.long
async def test_recovering_from_an_outage_is_to_be_up_to_date(pg18: PostgresServer, folder: Path) -> None:
    load = make_stream(folder / "frames.bin", 4_000, Mix.five_types())
    found = await recover(pg18, BARE_WORKER, BARE_TYPES, folder / "frames.bin", load, 1_000)
    assert 0 < found.worked_off <= found.up_to_date
    assert found.live < found.up_to_date * RATE
    assert found.peak_rss > 0


@pytest.mark.long
async def test_every_small_commit_is_a_row(pg18: PostgresServer, folder: Path) -> None:
    commits = 3_010
    events = [decode(small_frame(number)) for number in (0, 14, 16, 18, commits - 1)]
    assert all(isinstance(event, Commit) and not event.refused for event in events)
    windows, wrong = await flat(pg18, folder, commits, 2)
    assert wrong == ()
    assert windows[-1].commits == commits
    assert all(min(w.rate, w.wal_bytes, w.rss) > 0 for w in windows)
    assert min(sum(w.python_us for w in windows), sum(w.postgres_us for w in windows)) > 0  # CPU is told in ticks of 10 ms
    drawing = ElementTree.fromstring(draw(panels(windows), [w.commits for w in windows], "commits"))
    assert len(drawing.findall("{*}polyline")) == 4


def test_a_later_round_of_small_commits_says_something_new() -> None:
    """An account acts again after all others: the same about the same subject would be a duplicate."""
    for at in (6_000, 6_014, 6_018):
        assert len({account_of(at + turn * ACCOUNTS) for turn in range(10)}) == 1
        assert len({str(record_of(at + turn * ACCOUNTS, "")[1]) for turn in range(10)}) == 10


@pytest.mark.long
async def test_latency_is_of_every_event_after_the_warm_up(pg18: PostgresServer, folder: Path) -> None:
    make_stream(folder / "frames.bin", 1_000)
    found = await latency.measure(pg18, folder / "frames.bin", rate=300, seconds=1)
    assert found.events == 300
    assert 0 < found.p50 <= found.p99 <= found.longest


@pytest.mark.long
async def test_watched_runs_are_watched_and_leave_the_same_rows(pg18: PostgresServer, folder: Path) -> None:
    load = make_stream(folder / "frames.bin", 2 * COMMITS)
    found = await compare(pg18, folder / "frames.bin", load, pairs=1)
    assert [run.wrong for run in (*found.without, *found.watched)] == [(), ()]
    assert found.scrapes >= 1
    assert found.messages >= 1
    assert -0.9 < found.python < 9
    assert -0.9 < found.time < 9
    (without,), (watched,) = found.without, found.watched
    assert found._replace(watched=[replace(watched, python_us=1.5 * without.python_us)]).python == pytest.approx(0.5)
    assert found._replace(watched=[replace(watched, rate=without.rate / 2)]).time == pytest.approx(1.0)
