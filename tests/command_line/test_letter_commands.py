"""`dead-letters list`, `show` and `drop`, as they are called and what they say."""

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from testing.commits import LIKE, POST, Stream, delete, did, like, post, put
from testing.database_side import Worker
from testing.databases import connected
from testing.waiting import until
from tests.database.functions.test_dead_letters import check_sizes
from unified_indexer.command_line import cli
from unified_indexer.config.settings import Config
from unified_indexer.database.dead_letters.queries import drop
from unified_indexer.database.functions.dead_letters import functions
from unified_indexer.database.functions.rebuild_steps import REBUILDING
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.errors import OperatorError, Stop
from unified_indexer.protocol.events import Unusable
from unified_indexer.protocol.frames import decode

SUBJECT = f"at://{did('x')}/{POST}/1"


class Commands:
    """Runs them on the worker's database, in this process."""

    def __init__(self, worker: Worker, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._url = worker.pool.url
        self._captured = capfdbinary

    async def __call__(self, *arguments: str, code: int = 0) -> str:
        return (await self.raw(*arguments, code=code)).decode()

    async def raw(self, *arguments: str, code: int = 0) -> bytes:
        """What it writes to stdout."""
        parsed = cli.parse(arguments)
        assert parsed.command is not None
        self._captured.readouterr()
        found = await parsed.command.run(Config.from_env({"DATABASE_URL": self._url, "VERIFY": "off"}), parsed.options)
        assert found == code
        return self._captured.readouterr().out


@pytest.fixture
def run(worker: Worker, capfdbinary: pytest.CaptureFixture[bytes]) -> Commands:
    return Commands(worker, capfdbinary)


async def ids(worker: Worker) -> list[str]:
    return [str(letter) for letter in await worker.column("SELECT id FROM unified_worker.dead_letters ORDER BY id")]


async def test_list_shows_the_newest_below_a_summary(worker: Worker, run: Commands) -> None:
    assert await run("dead-letters") == "No dead letters.\n"
    stream = Stream()
    for name in "abc":
        await worker.write(stream.commit(name, put(f"{LIKE}/1", {"$type": LIKE}), put(f"{LIKE}/2", {"$type": POST})))
    await worker.connection.execute("UPDATE unified_worker.dead_letters SET frame_sha256 = NULL WHERE did = $1", did("a"))
    numbers = await ids(worker)
    lines = (await run("dead-letters", "list", "--limit", "2")).splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["missing_field", "3", "1"], ["wrong_type", "3", "1"]]
    head, *rows = lines[4:7]
    assert head.split() == ["id", "seq", "reason", "attempts", "first", "seen", "last", "seen", "frame", "did", "path"]
    assert [row.split()[0] for row in rows] == numbers[:-3:-1]
    assert rows[0].split()[1:4] == ["3", "wrong_type", "1"]
    assert rows[0].endswith(f"{did('c')}  {LIKE}/2")
    assert lines[-1].startswith("4 more:")
    assert len({len(line[: line.index("did:")]) for line in rows}) == 1, "columns are aligned"
    assert (await run("dead-letters", "--limit", "2")).splitlines() == lines  # `list` is meant where no word stands
    assert await run("dead-letters", "--did", did("a")) == await run("dead-letters", "list", "--did", did("a"))
    assert "dropped" in await run("dead-letters", "list", "--did", did("a"))
    chosen = await run("dead-letters", "list", "--did", did("b"), "--reason", "wrong_type")
    assert "missing_field" not in chosen
    assert [line.split()[0] for line in chosen.splitlines()[4:]] == [numbers[3]]
    assert "more" not in chosen


async def test_list_for_scripts(worker: Worker, run: Commands) -> None:
    commit = Stream().commit("a", put(f"{LIKE}/1", {"$type": LIKE}), put(f"{LIKE}/2", {"$type": LIKE}))
    await worker.write(commit)
    lines = [json.loads(line) for line in (await run("dead-letters", "list", "--json")).splitlines()]
    assert [line["path"] for line in lines] == [f"{LIKE}/2", f"{LIKE}/1"]
    known = {
        "seq": 1,
        "did": did("a"),
        "rev": commit.rev,
        "reason": "missing_field",
        "attempts": 1,
        "frame_bytes": len(commit.frame),
    }
    assert {name: lines[0][name] for name in known} == known
    assert lines[0]["first_seen"] <= lines[0]["last_seen"]
    (shown,) = (await run("dead-letters", "show", str(lines[0]["id"]), "--json")).splitlines()
    assert b64decode(json.loads(shown)["frame"]) == commit.frame


async def test_show_tells_all_of_one(worker: Worker, run: Commands, tmp_path: Path) -> None:
    stream = Stream()
    commit = stream.commit(
        "a",
        put(f"{LIKE}/1", {"$type": LIKE, "text": "a\nb\x1b[2J\u202e"}),
        put(f"{LIKE}/2", like(SUBJECT)),
        delete(f"{POST}/0"),
    )
    await worker.write(commit)
    (letter,) = await ids(worker)
    lines = (await run("dead-letters", "show", letter)).splitlines()
    fields = dict(line.split(None, 1) for line in lines if line and not line.startswith(" "))
    assert fields["did"] == did("a")
    assert (fields["seq"], fields["rev"], fields["path"], fields["reason"]) == ("1", commit.rev, f"{LIKE}/1", "missing_field")
    assert fields["t"] == "#commit"
    assert fields["repo"] == did("a")
    assert fields["commit"].startswith("bafyrei")
    assert fields["blocks"].endswith(" bytes")
    assert fields["delete"] == f"{POST}/0"
    assert f"create      {LIKE}/2" in lines
    assert any(SUBJECT in line for line in lines)
    assert "".join(lines).isprintable(), "no text of the network's reaches the terminal as it is"
    assert await run.raw("dead-letters", "show", letter, "--raw", "-") == commit.frame
    assert await run("dead-letters", "show", letter, "--raw", str(tmp_path / "frame")) == ""
    assert (tmp_path / "frame").read_bytes() == commit.frame
    with pytest.raises(OperatorError, match="cannot be written"):
        await run("dead-letters", "show", letter, "--raw", str(tmp_path))


async def test_show_of_what_does_not_decode_and_of_what_is_gone(worker: Worker, run: Commands) -> None:
    events = [decode(b"\xff\x00frame"), Stream().broken("a", put(f"{POST}/1", post()))]
    for event in events:
        assert isinstance(event, Unusable)
        await worker.write(event)
    bad, broken = await ids(worker)
    shown = await run("dead-letters", "show", bad)
    assert "does not decode" in shown
    assert "000000  ff 00 66 72 61 6d 65" in shown
    assert "..frame" in shown
    assert f"op          {POST}/1" in await run("dead-letters", "show", broken)
    await worker.connection.execute("UPDATE unified_worker.dead_letters SET frame_sha256 = NULL")
    assert "frame       dropped" in await run("dead-letters", "show", bad)
    with pytest.raises(Stop, match="was dropped"):
        await run("dead-letters", "show", bad, "--raw", "-")
    with pytest.raises(Stop, match="no dead letter 999"):
        await run("dead-letters", "show", "999")


async def test_drop_takes_the_frame_with_its_last_letter_and_gives_room_back(worker: Worker, run: Commands) -> None:
    stream = Stream()
    first = stream.commit("a", put(f"{LIKE}/1", {"$type": LIKE}), put(f"{LIKE}/2", {"$type": LIKE}))
    await worker.connection.execute("".join(functions(letters=2, frames_bytes=len(first.frame))))
    more = [stream.commit(name, put(f"{LIKE}/{n}", {"$type": LIKE})) for n, name in enumerate("ab", 3)]
    assert await worker.write(first, *more) == ["applied", "frame_dropped", "frame_dropped"]
    one, two, *_ = await ids(worker)
    assert await run("dead-letters", "drop", one) == "Dropped: letters 1, frames 0 (0 bytes).\n"
    await check_sizes(worker)
    assert await run("dead-letters", "drop", two) == f"Dropped: letters 1, frames 1 ({len(first.frame)} bytes).\n"
    await check_sizes(worker)
    assert await worker.write(stream.commit("a", put(f"{LIKE}/5", {"$type": LIKE}))) == ["applied"], "there is room again"
    with pytest.raises(Stop, match=f"no dead letter {one}"):
        await run("dead-letters", "drop", one)


@pytest.mark.parametrize("repo", [did("a"), ""], ids=["of an account", "of nobody"])
async def test_a_frame_that_another_letter_is_just_kept_with_stays(worker: Worker, repo: str) -> None:
    """Two letters of one frame: the one is dropped while the other's transaction has not ended."""
    keep = "SELECT unified_worker.keep($1, $2, $3, 1, 'reason', 'detail', 'frame', NULL)"
    share = f"SELECT pg_advisory_xact_lock_shared({REBUILDING})"  # as every commit does
    rev = "3222222222222" if repo else ""
    await worker.connection.execute(keep, repo, rev, "one")
    (letter,) = await ids(worker)
    async with connected(worker.pool.url) as other, connected(worker.pool.url) as dropping:
        async with other.transaction():
            await other.execute(share)
            await other.execute(keep, repo, rev, "two")
            task = asyncio.create_task(drop(dropping, [int(letter)]))
            await until(lambda: worker.value("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"), "the drop waits")
        assert await task == (1, 0, 0)
    assert [letter[0] for letter in await worker.letters()] == ["two"]
    await check_sizes(worker)


async def test_drop_by_reason_asks_for_a_yes(worker: Worker, run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.database.dead_letters.queries.PAGE_SIZE", 2)
    stream = Stream()
    await worker.write(
        *(stream.commit(name, put(f"{LIKE}/1", {"$type": LIKE}), put(f"{LIKE}/2", {"$type": POST})) for name in "abc")
    )
    unread = decode(b"\xff")
    assert isinstance(unread, Unusable)
    await worker.write(unread)
    for arguments in ((), ("1", "--reason", "wrong_type"), ("--reason", "wrong_type")):
        with pytest.raises(OperatorError):
            await run("dead-letters", "drop", *arguments)
    assert len(await ids(worker)) == 7
    assert (await run("dead-letters", "drop", "--reason", "wrong_type", "--yes")).startswith("Dropped: letters 3, frames 0")
    assert (await run("dead-letters", "drop", "--reason", unread.reason, "--yes")).startswith("Dropped: letters 1, frames 1")
    assert {letter[1] for letter in await worker.letters()} == {"missing_field"}
    await check_sizes(worker)
    await run("dead-letters", "drop", "--reason", "nothing", "--yes", code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("show", "x"),
        ("show", "-1"),
        ("show", str(2**63)),
        ("retry", "--did", "x"),
        ("list", "--limit", "x"),
        ("frob",),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parse(("dead-letters", *arguments))
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "arguments", [("dead-letters",), ("dead-letters", "show", "1"), ("dead-letters", "drop", "1"), ("check",)], ids=" ".join
)
async def test_a_database_that_no_worker_of_this_version_prepared(database: str, arguments: tuple[str, ...]) -> None:
    """They say so, and prepare nothing."""
    parsed = cli.parse(arguments)
    config = Config.from_env({"DATABASE_URL": database, "VERIFY": "off"})
    assert parsed.command is not None
    with pytest.raises(OperatorError, match="no worker has prepared this database yet"):
        await parsed.command.run(config, parsed.options)
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'unified_worker'") == 0


@pytest.mark.parametrize(("step", "told"), [(1, "use a newer one"), (-1, "which upgrades it")])
async def test_a_database_of_another_version(worker: Worker, run: Commands, step: int, told: str) -> None:
    await worker.connection.execute(
        f"""DELETE FROM unified_worker.schema_version WHERE version > {len(MIGRATIONS) + step};
        INSERT INTO unified_worker.schema_version VALUES ({len(MIGRATIONS) + step}, now(), 'worker', 'public')
        ON CONFLICT DO NOTHING"""
    )
    for arguments in (("dead-letters",), ("check",)):
        with pytest.raises(OperatorError, match=told):
            await run(*arguments)


async def test_a_user_who_may_not_is_told_what_to_do(worker: Worker, run: Commands) -> None:
    connection: Any = worker.connection
    await connection.execute("DO $$ BEGIN CREATE ROLE guarded LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    config = Config.from_env({"DATABASE_URL": worker.pool.url.replace("unified@", "guarded@"), "VERIFY": "off"})
    for name in ("dead-letters", "check"):
        parsed = cli.parse((name,))
        assert parsed.command is not None
        with pytest.raises(OperatorError, match="GRANT"):
            await parsed.command.run(config, parsed.options)
