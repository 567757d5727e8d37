"""`backfill`, as it is called and what it says."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from testing.database_side import Worker
from testing.waiting import until
from tests.command_line.test_letter_commands import Commands
from unified_indexer.command_line.commands import backfill
from unified_indexer.database.repair import asked, listings, queue, standing
from unified_indexer.database.repair.listings import Kind
from unified_indexer.database.repair.standing import Done
from unified_indexer.errors import OperatorError, Stop

DIDS = [f"did:plc:{letter * 24}" for letter in "abcdef"]


@pytest.fixture
def run(worker: Worker, capfdbinary: pytest.CaptureFixture[bytes]) -> Commands:
    return Commands(worker, capfdbinary)


async def jobs(worker: Worker) -> list[tuple[str, str]]:
    rows = await worker.connection.fetch("SELECT kind, argument FROM unified_worker.backfill_jobs ORDER BY id")
    return [(row[0], row[1]) for row in rows]


async def wanted(worker: Worker) -> list[str]:
    return await worker.column("SELECT did FROM unified_worker.repairs ORDER BY did")


async def test_accounts_are_named_and_those_that_are_complete_are_not_wanted(worker: Worker, run: Commands) -> None:
    await worker.connection.execute("INSERT INTO unified_worker.repos (did, rev, sync) VALUES ($1, '3k', 1)", DIDS[0])
    await worker.connection.execute("INSERT INTO unified_worker.repos (did, rev, sync) VALUES ($1, '3k', 2)", DIDS[1])
    said = await run("backfill", DIDS[2], DIDS[1], DIDS[0], DIDS[2])
    assert "2 of 3 accounts are to be fetched" in said
    assert await wanted(worker) == DIDS[1:3]
    assert {row[0] for row in await worker.connection.fetch("SELECT why FROM unified_worker.repairs")} == {"chosen"}
    assert "0 of 1 accounts" in await run("backfill", DIDS[1])


async def test_accounts_come_from_a_file(worker: Worker, run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "dids.txt"
    file.write_text("\n".join(["# friends", *DIDS, "", f"{DIDS[0]}  # again"]))
    assert "6 of 6 accounts" in await run("backfill", "--file", str(file))
    assert await wanted(worker) == DIDS
    file.write_text("alice.example.com\n")
    with pytest.raises(OperatorError, match="line 1"):
        await run("backfill", "--file", str(file))
    with pytest.raises(OperatorError, match="cannot be read"):
        await run("backfill", "--file", str(tmp_path / "none"))


async def test_many_wait_until_there_is_room(
    worker: Worker, run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "FULL_PAUSE", 0.02)
    monkeypatch.setattr(backfill, "CHUNK", 100)
    monkeypatch.setattr(asked, "MOST_ROWS", 250)
    file = tmp_path / "dids.txt"
    file.write_text("\n".join(f"did:web:n{number}.example.com" for number in range(500)))
    naming = asyncio.create_task(run("backfill", "--file", str(file)))

    async def full() -> bool:
        return len(await wanted(worker)) == 200

    await until(full, "there are as many as there may be")
    await asyncio.sleep(0.2)
    assert len(await wanted(worker)) == 200
    while not naming.done():
        await worker.connection.execute("DELETE FROM unified_worker.repairs")
        await asyncio.sleep(0.02)
    assert "500 of 500 accounts" in await naming


@pytest.mark.parametrize(
    ("arguments", "job"),
    [
        (["--follows-of", DIDS[0]], ("follows", DIDS[0])),
        (["--collection", "app.bsky.feed.generator"], ("collection", "app.bsky.feed.generator")),
        (["--collection", "a.b.c", "--via", "Lists.example.com"], ("collection", "a.b.c https://lists.example.com")),
        (["--hosts", "pds.example.com", "https://b.example.com/"], ("hosts", "https://pds.example.com https://b.example.com")),
        (["--network"], ("network", "")),
    ],
)
async def test_lists_are_asked_for(worker: Worker, run: Commands, arguments: list[str], job: tuple[str, str]) -> None:
    assert "is asked for" in await run("backfill", *arguments)
    assert await jobs(worker) == [job]
    assert [found.kind for found in await listings.hold(worker.connection, "r")] == [job[0]]


async def test_the_next_command_is_named_for_the_same_database(worker: Worker, run: Commands) -> None:
    said = await run("backfill", "--embedded", "data/simulated", "--follows-of", DIDS[0])
    assert "`backfill status --embedded data/simulated` tells" in said
    assert "`backfill status` tells" in await run("backfill", "--follows-of", DIDS[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["alice.example.com"], "is no DID"),
        (["--follows-of", "alice"], "is no DID"),
        (["--collection", "posts"], "write the NSID"),
        (["--hosts", "http://pds.example.com"], "no server that may be asked"),
        (["--hosts", "10.0.0.1"], "no server that may be asked"),
        (["--network", "--collection", "a.b.c"], "one kind of accounts"),
        ([DIDS[0], "--network"], "one kind of accounts"),
        (["--via", "a.example.com"], "--via says who"),
        (["pause", "--network"], "takes no --network"),
        (["pause", "all"], "with the number of a job"),
        (["cancel"], "with the number of a job"),
        (["status", "1"], "with the number of a job"),
    ],
)
async def test_what_is_unusable_is_said(run: Commands, arguments: list[str], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        await run("backfill", *arguments)


async def test_status_tells_of_jobs_and_of_what_is_wanted(worker: Worker, run: Commands) -> None:
    assert (await run("backfill")).startswith("No backfill was asked for.\n")
    await run("backfill", *DIDS)
    await run("backfill", "--network")
    execute = worker.connection.execute
    await execute("UPDATE unified_worker.repairs SET state = 'failed', reason = 'bad_signature' WHERE did = $1", DIDS[0])
    await execute("INSERT INTO unified_worker.hosts (url, accounts) VALUES ('https://pds.example.com', 100)")
    await standing.note(worker.connection, Done(1234, 100_000, 40_000_000, 5, 7))
    await execute("INSERT INTO unified_worker.listings (job, host, error) SELECT 2, id, 'no_list' FROM unified_worker.hosts")
    lines = (await run("backfill", "status")).splitlines()
    assert lines[0].split() == ["job", "what", "state", "lists", "found", "wanted", "left", "failed", "since"]
    assert lines[1].split()[:9] == ["2", "network", "reads", "lists", "0/1", "0", "0", "0", "0"]
    assert lines[2].split()[1] == "dids"
    assert "fetching" in lines[2]
    words = [line.split() for line in lines]
    assert ["chosen", "wanted", "5"] in words
    assert ["chosen", "failed", "bad_signature", "1"] in words
    assert ["no_list", "1", "https://pds.example.com"] in words
    assert lines[-2] == ("Fetched so far: 1,234 repos, 100,000 records, 40.0 MB; 5 are not given out, 7 attempts failed.")
    assert re.fullmatch(
        "105 repos are left; of late [0-9,]+ records per second, [0-9.,]+ repos per second; done in .+", lines[-1]
    )
    found = json.loads(await run("backfill", "status", "--json"))
    assert list(found) == [
        "paused",
        "jobs",
        "repairs",
        "list_errors",
        "totals",
        "left",
        "records_per_second",
        "repos_per_second",
        "seconds_left",
    ]
    assert [(job["kind"], job["left"], job["lists"]) for job in found["jobs"]] == [("network", 0, 1), ("dids", 5, 0)]
    assert found["totals"]["done"] == 1234
    assert found["left"] == 105
    assert 0 < found["seconds_left"]["low"] <= found["seconds_left"]["high"]


async def test_all_or_one_may_be_paused_and_a_job_cancelled(worker: Worker, run: Commands) -> None:
    await run("backfill", "--network")
    assert await run("backfill", "pause") == "All fetching is paused.\n"
    assert "All fetching is paused" in await run("backfill")
    assert await listings.hold(worker.connection, "r") == []
    assert await run("backfill", "resume") == "All fetching continues.\n"
    assert await run("backfill", "pause", "1") == "Backfill 1 is paused.\n"
    assert await listings.hold(worker.connection, "r") == []
    assert await run("backfill", "resume", "1") == "Backfill 1 continues.\n"
    assert len(await listings.hold(worker.connection, "r")) == 1
    await run("backfill", *DIDS)
    await worker.connection.execute("UPDATE unified_worker.repairs SET holder = 'r', state = 'writing' WHERE did = $1", DIDS[3])
    assert await run("backfill", "cancel", "2") == "Backfill 2 is cancelled: 5 repos are not fetched.\n"
    assert await wanted(worker) == [DIDS[3]]
    assert "0 repos" in await run("backfill", "cancel", "1")
    assert await listings.hold(worker.connection, "r") == []
    assert "cancelled" in await run("backfill")
    for action in ("pause", "resume", "cancel"):
        with pytest.raises(Stop, match="no backfill 99"):
            await run("backfill", action, "99")


async def test_what_two_jobs_want_stays_when_one_is_cancelled(worker: Worker, run: Commands) -> None:
    """It is the newer one's, and comes as soon as that may have it."""
    rows = "SELECT did, why, priority, job, state FROM unified_worker.repairs ORDER BY did"

    async def there() -> list[tuple[object, ...]]:
        return [tuple(row) for row in await worker.connection.fetch(rows)]

    network = await listings.ask(worker.connection, Kind.NETWORK, "")
    listing = listings.Listing(network, 0, "", None, Kind.NETWORK, "", None, 0)
    wish = listings.Wish("network", queue.NETWORK)
    assert await listings.want(worker.connection, listing, [(did, "") for did in DIDS[:3]], wish) == 3
    execute = worker.connection.execute
    await execute("UPDATE unified_worker.repairs SET holder = 'r', state = 'fetching' WHERE did = $1", DIDS[1])
    assert "Backfill 2: 2 of 2 accounts" in await run("backfill", *DIDS[:2])
    assert "1 repos are not fetched" in await run("backfill", "cancel", "1")
    assert await there() == [(DIDS[0], "chosen", 20, 2, "wanted"), (DIDS[1], "chosen", 20, 2, "fetching")]
    assert "Backfill 3: 0 of 1 accounts" in await run("backfill", DIDS[0])
    assert "0 repos are not fetched" in await run("backfill", "cancel", "2")
    assert await there() == [(DIDS[0], "chosen", 20, 3, "wanted"), (DIDS[1], "chosen", 20, 2, "fetching")]


async def test_only_who_is_named_is_tried_at_once(worker: Worker, run: Commands) -> None:
    """A list of all is read again and again, and what is missing is wanted sooner than a backfill wants it."""
    await queue.want(worker.connection, DIDS[:3], "missed", queue.MISSING)
    execute = worker.connection.execute
    await execute("UPDATE unified_worker.repairs SET state = 'unavailable', retry_at = now() + interval '1 h'")
    await execute("UPDATE unified_worker.repairs SET state = 'failed', priority = 30, job = 0 WHERE did = $1", DIDS[1])
    await execute("UPDATE unified_worker.repairs SET state = 'wanted', retry_at = now() WHERE did = $1", DIDS[2])
    due = "SELECT did, why, state FROM unified_worker.repairs WHERE retry_at <= now() ORDER BY did"
    network = await listings.ask(worker.connection, Kind.NETWORK, "")
    listing = listings.Listing(network, 0, "", None, Kind.NETWORK, "", None, 0)
    wish = listings.Wish("network", queue.NETWORK)
    assert await listings.want(worker.connection, listing, [(did, "") for did in DIDS[:3]], wish) == 0
    assert [row["did"] for row in await worker.connection.fetch(due)] == [DIDS[2]]
    assert "2 of 3 accounts" in await run("backfill", *DIDS[:3])
    found = [tuple(row) for row in await worker.connection.fetch(due)]
    assert found == [(DIDS[0], "chosen", "wanted"), (DIDS[1], "chosen", "wanted"), (DIDS[2], "missed", "wanted")]


async def test_a_job_of_a_list_that_waits_says_why(worker: Worker, run: Commands) -> None:
    job = await listings.ask(worker.connection, Kind.NETWORK, "")
    await worker.connection.execute("UPDATE unified_worker.backfill_jobs SET error = 'connection' WHERE id = $1", job)
    assert "waits (connection)" in await run("backfill")
