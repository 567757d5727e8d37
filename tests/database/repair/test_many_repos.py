"""Several repos at once, together in one set.

Numbers in docstrings are those of the cases in issue 14.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from relay_simulator.encoding import tid
from testing.commits import (
    FOLLOW,
    LIKE,
    POST,
    REPOST,
    START,
    Record,
    Stream,
    at,
    did,
    follow,
    like,
    post,
    put,
    ref,
    replying,
    uri,
)
from testing.commits import repost as reposting
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.garbage import GENERATOR, LIST, THREAD_GATE
from testing.waiting import until
from testing.whole import WEEK, Whole, marked, repaired, written
from tests.database.repair.test_repair import check
from unified_indexer.database.connection.few import Few
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.repair import queue, steps
from unified_indexer.database.repair.bringing import Tables
from unified_indexer.database.repair.slices import Part
from unified_indexer.database.repair.steps import Word
from unified_indexer.database.repair.writing import Ended, Job, Writing
from unified_indexer.selection import EVERYTHING

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

REV = tid(int(START.timestamp() * 1_000_000) + 10**12, 0)


def key(number: int) -> str:
    """A record's key, made so many seconds after START."""
    return tid(int(START.timestamp() * 1_000_000) + 10**6 * number, 0)


async def together(worker: Worker, repos: dict[str, dict[str, Record]], tables: Tables | None = None) -> dict[str, Ended]:
    """The repos of several accounts, written in one go."""
    jobs = [Job(await marked(worker, name), Whole(REV, records), proven=True) for name, records in repos.items()]
    ended = await Writing(tables or Tables(Few(worker.pool, 1)), EVERYTHING, notify=WEEK).write(jobs)
    return dict(zip(repos, ended, strict=True))


def repo(number: int, subjects: Sequence[str]) -> dict[str, Record]:
    """Likes, reposts and replies of these posts, and a follow."""
    records: dict[str, Record] = {f"{FOLLOW}/{key(1)}": follow(did(f"n{number + 1}"))}
    for place, subject in enumerate(subjects):
        records[f"{LIKE}/{key(10 + place)}"] = like(subject)
        records[f"{REPOST}/{key(100 + place)}"] = reposting(subject)
        records[f"{POST}/{key(200 + place)}"] = post("yes", reply=replying(ref(subject)))
    return records


async def test_small_repos_in_one_set_each_end_as_they_would_alone(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is overtaken on the way, one is empty, one has twins of one key."""
    await worker.write(Stream().commit("b", put(f"{POST}/1", post("mine"))))
    twins = {f"{LIKE}/{key(number)}": like(uri("b", "1")) for number in (1, 2)}
    repos = {f"n{number}": repo(number, [uri("b", "1")]) for number in range(5)} | {"empty": {}, "twins": twins}
    jobs = [Job(await marked(worker, name), Whole(REV, records), proven=True) for name, records in repos.items()]
    write_set = steps.write_set

    async def overtaken(*arguments: Any) -> Any:
        await worker.connection.execute("UPDATE unified_worker.repairs SET claim = claim + 1 WHERE did = $1", did("n3"))
        return await write_set(*arguments)

    monkeypatch.setattr(steps, "write_set", overtaken)
    ended = await Writing(Tables(Few(worker.pool, 1)), EVERYTHING, notify=WEEK).write(jobs)
    found = {name: (one.word, +one.counts) for name, one in zip(repos, ended, strict=True)}
    assert found == {
        **{name: (Word.OK, Counter(put=4)) for name in ("n0", "n1", "n2", "n4")},
        "n3": (Word.LOST, Counter()),
        "empty": (Word.OK, Counter()),
        "twins": (Word.OK, Counter(put=2)),
    }
    counts = "SELECT like_count, repost_count, reply_count FROM post_aggregations WHERE post_uri = $1"
    row = await worker.connection.fetchrow(counts, uri("b", "1"))
    assert tuple(row or ()) == (5, 4, 4)
    whole = await worker.column("SELECT did FROM unified_worker.repos WHERE sync = 1 AND NOT unlooked ORDER BY did")
    assert whole == [did(name) for name in ("empty", "n0", "n1", "n2", "n4", "twins")]
    await check(worker)


async def test_only_what_was_never_here_is_written_without_comparing(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that came while the repo was fetched may have written what was deleted before the repo was read."""
    compare, compared = steps.compare, list[str]()

    async def noted(on: Any, parts: Sequence[Part]) -> Any:
        compared.extend(part.terms.did for part in parts)
        return await compare(on, parts)

    monkeypatch.setattr(steps, "compare", noted)
    fresh, met = await marked(worker, "a"), await marked(worker, "b")
    await worker.write(Stream().commit("b", put(f"{LIKE}/{key(1)}", like(uri("c", "1")))))
    has = {f"{LIKE}/{key(2)}": like(uri("c", "1"))}
    jobs = [Job(claim, Whole(REV, has), proven=True) for claim in (fresh, met)]
    ended = await Writing(Tables(Few(worker.pool, 1)), EVERYTHING, notify=WEEK).write(jobs)
    assert [+one.counts for one in ended] == [Counter(put=1), Counter(put=1, gone=1)]
    assert compared == [did("b")]
    assert await worker.column("SELECT uri FROM likes ORDER BY uri") == [f"at://{did(name)}/{LIKE}/{key(2)}" for name in "ab"]
    assert (await repaired(worker, "a", Whole(REV, {}))).counts == Counter(gone=1)
    assert compared == [did("b"), did("a")]
    await check(worker)


async def test_what_an_application_wrote_before_us_is_compared(application: str) -> None:
    async with opened(application) as worker:
        await worker.write(Stream().commit("a", put(f"{LIKE}/{key(1)}", like(uri("c", "1")))))
        await worker.connection.execute("DELETE FROM unified_worker.repos")
        assert (await repaired(worker, "a", Whole(REV, {}))).counts == Counter(gone=1)


class Killed(Exception):
    """The worker ended here."""


async def test_what_was_not_looked_for_is_looked_for_next_time(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A like of the root's author and of a generator were written, and the worker ended before it looked."""
    feed = {"$type": GENERATOR, "did": "did:web:feeds.test", "displayName": "Feed", "createdAt": at(0)}
    reply = post("yes", reply=replying(ref(uri("a", key(1)))))
    await worker.write(Stream().commit("b", put(f"{POST}/1", reply), put(f"{GENERATOR}/1", feed)))
    likes = [like(uri("b", "1")), like(uri("b", "1", GENERATOR))]
    has = {f"{POST}/{key(1)}": post("root"), **{f"{LIKE}/{key(2 + n)}": record for n, record in enumerate(likes)}}

    async def killed(*_: object) -> None:
        raise Killed

    claim = await marked(worker, "a")
    with monkeypatch.context() as patched:
        patched.setattr(steps, "look", killed)
        with pytest.raises(Killed):
            await written(worker, claim, Whole(REV, has))
    assert await worker.value("SELECT count(*) FROM likes") == 2
    assert await worker.value("SELECT count(*) FROM thread_contexts WHERE root_author_like_uri IS NOT NULL") == 0
    assert await steps.reset(worker.connection, "relay.test") == 1
    assert (await repaired(worker, "a", Whole(REV, has))).counts == Counter(same=3)
    assert await worker.column("SELECT root_author_like_uri FROM thread_contexts") == [f"at://{did('a')}/{LIKE}/{key(2)}"]
    assert await worker.column("SELECT like_count FROM feed_generators") == [1]
    await check(worker)


async def test_a_gate_of_the_repo_judges_when_the_rest_of_it_is_in(worker: Worker) -> None:
    """Whom its account follows may reply, though the follow comes after the gate in the repo."""
    root, late = uri("a", key(2)), START.timestamp() + 10_000
    reply = post("yes", reply=replying(ref(root)))
    await worker.write(Stream(20_000).commit("b", put(f"{POST}/1", reply)), Stream(20_001).commit("c", put(f"{POST}/1", reply)))
    gate = {"$type": THREAD_GATE, "post": root, "allow": [{"$type": f"{THREAD_GATE}#followingRule"}], "createdAt": at(1)}
    has = {f"{POST}/{key(2)}": post("root"), f"{THREAD_GATE}/{key(2)}": gate, f"{FOLLOW}/{key(3)}": follow(did("b"))}
    assert (await repaired(worker, "a", Whole(tid(int(late * 1_000_000), 0), has, size=1))).counts == Counter(put=3)
    violates = "SELECT author_did FROM posts WHERE violates_thread_gate"
    assert await worker.column(violates) == [did("c")]


async def test_groups_of_the_same_hosts_are_settled_without_waiting_in_a_circle(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One group's first repo is of the other's last host."""
    async with opened(database, size=5) as worker, connected(database) as holder:
        ones, twos = [await queue.host_id(worker.connection, f"https://{name}.test") for name in ("one", "two")]
        groups = {"ab": (ones, twos), "cd": (twos, ones)}
        claims = {name: await marked(worker, name) for name in "abcd"}
        jobs = {
            names: [
                Job(claims[name], Whole(REV, repo(place, [])), proven=True, host=host)
                for place, (name, host) in enumerate(zip(names, hosts, strict=True))
            ]
            for names, hosts in groups.items()
        }
        tables, writing = Tables(Few(worker.pool, 2)), list[asyncio.Task[list[Ended]]]()
        async with asyncio.TaskGroup() as tasks, holder.transaction():
            await holder.execute("SELECT FROM unified_worker.hosts WHERE id = $1 FOR UPDATE", ones)
            for number, group in enumerate(jobs.values(), 1):
                writing.append(tasks.create_task(Writing(tables, EVERYTHING, notify=WEEK).write(group)))
                await until(partial(waiting, worker.connection, number), "its settling waits for a host")
        assert [one.word for task in writing for one in task.result()] == [Word.OK] * 4
        assert await worker.column("SELECT repos_done FROM unified_worker.hosts ORDER BY id") == [2, 2]
        assert "deadlock" not in caplog.text


async def waiting(connection: Connection, count: int) -> bool:
    return count == await connection.fetchval(WAITING)


async def test_an_application_s_tables_that_refuse_a_record_get_the_others(application: str) -> None:
    """Case 29: narrow columns and foreign keys."""
    async with opened(application) as worker:
        await worker.connection.execute("""
            ALTER TABLE lists ALTER name TYPE varchar(4);
            ALTER TABLE likes ADD FOREIGN KEY (post_uri) REFERENCES posts (uri) DEFERRABLE INITIALLY DEFERRED;
            ALTER TABLE posts ADD FOREIGN KEY (author_did) REFERENCES users (did)""")
        await worker.write(Stream().commit("b", put(f"{POST}/1", post("mine"))))
        named = {"$type": LIST, "purpose": "p", "createdAt": at(0)}
        lists = {f"{LIST}/{key(number)}": {**named, "name": name} for number, name in enumerate(("long", "longer"))}
        likes = {f"{LIKE}/{key(number)}": like(uri("b", str(number))) for number in (1, 2)}
        has = {**repo(5, []), **lists, **likes, f"{POST}/{key(9)}": post("hi")}
        ended = await together(worker, {"a": has, "c": repo(6, [uri("b", "1")])})
        assert {name: +one.counts for name, one in ended.items()} == {"a": Counter(put=4, kept=2), "c": Counter(put=4)}
        assert await worker.column("SELECT name FROM lists") == ["long"]
        assert sorted(await worker.column("SELECT post_uri FROM likes")) == [uri("b", "1")] * 2
        assert sorted(letter[1] for letter in await worker.letters()) == ["database_22001", "foreign_key"]
