"""A repo that was fetched whole: what the tables lack comes, what is no more goes, and commits that come meanwhile count.

Numbers in docstrings are those of the cases in issue 14.
"""

import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from relay_simulator.encoding import tid
from testing.commits import (
    FOLLOW,
    LIKE,
    POST,
    PROFILE,
    REPOST,
    START,
    Record,
    Stream,
    at,
    delete,
    did,
    follow,
    like,
    mentioning,
    post,
    profile,
    put,
    quoting,
    ref,
    replying,
    repost,
    uri,
)
from testing.contract import ROWS, WAITING, Snapshot, changes, snapshot
from testing.database_side import Worker, opened
from testing.whole import Whole, marked, repaired, written
from tests.conftest import fresh
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.dead_letters import unproven
from unified_indexer.database.recount.bookkeeping import books
from unified_indexer.database.recount.compare import compare
from unified_indexer.database.recount.notifications import notifications
from unified_indexer.database.recount.rows import derived
from unified_indexer.database.repair import queue, steps
from unified_indexer.database.repair.steps import Word
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.protocol.events import Verdict
from unified_indexer.selection import Selection
from unified_indexer.shares import Share

LATER = 1_000  # seconds after START, and the seq of that time: after all that the records say of their own
BY_COMMIT = re.compile(r'"commit_(rev|seq|time)": [^,]*, ')


def rev_at(second: float) -> str:
    """A rev so many seconds after START."""
    return tid(int((START + timedelta(seconds=second)).timestamp() * 1_000_000), 0)


def key(minute: float) -> str:
    """A record's key, made so many minutes after START."""
    return tid(int((START + timedelta(minutes=minute)).timestamp() * 1_000_000), 0)


async def tables(worker: Worker) -> Snapshot:
    """All rows but notifications, without what only the stream says of their commits."""
    found = await snapshot(worker.connection, tables=[table for table in (*ROWS, WAITING) if table != "notifications"])
    return {table: [BY_COMMIT.sub("", line) for line in lines] for table, lines in found.items()}


async def check(worker: Worker) -> None:
    """Nothing differs from what the record tables say."""
    for kind in (*derived("public"), notifications("public", strict=True), *books("public")):
        found = await compare(worker.connection, kind, None)
        assert (found.differences, found.absent, found.examples) == (0, 0, []), kind.name


async def state(worker: Worker, name: str = "a") -> tuple[Any, ...]:
    """(sync, sync_reason, fetching) of the repo."""
    row = await worker.connection.fetchrow(
        "SELECT sync, sync_reason, fetching FROM unified_worker.repos WHERE did = $1", did(name)
    )
    return tuple(row or ())


REPO: dict[str, Record] = {
    f"{POST}/{key(1)}": post("one", 1),
    f"{POST}/{key(2)}": post("two", 2),
    f"{LIKE}/{key(3)}": like(uri("b", "1"), 3),
    f"{REPOST}/{key(4)}": repost(uri("b", "1"), 4),
    f"{FOLLOW}/{key(5)}": follow(did("b"), 5),
    f"{PROFILE}/self": profile("A"),
}


@pytest.fixture
async def other(pg18: PostgresServer, ready: Callable[[PostgresServer, str], str]) -> AsyncIterator[Worker]:
    """A second worker's database."""
    async for url in fresh(pg18, ready(pg18, "own")):
        async with opened(url, prepared=True) as worker:
            yield worker


async def test_a_fresh_repo_gives_the_rows_that_its_commits_would(worker: Worker, other: Worker) -> None:
    """Case 1."""
    stream = Stream(LATER)
    for one in (worker, other):
        await one.write(Stream().commit("b", put(f"{POST}/1", post("mine"))))
    await other.write(*(stream.commit("a", put(path, record)) for path, record in REPO.items()))
    ended = await repaired(worker, "a", Whole(rev_at(2 * LATER), REPO))
    assert ended.word is Word.OK
    assert ended.counts == Counter(put=len(REPO))
    assert changes(await tables(other), await tables(worker)) == []
    assert await worker.value("SELECT count(*) FROM notifications") == 0
    assert await worker.value("SELECT count(*) FROM likes WHERE commit_seq IS NULL") == 1
    assert await state(worker) == (1, None, False)
    await check(worker)


@pytest.mark.parametrize("size", [1, 2, 500])
async def test_what_was_missed_is_mended_deletions_included(
    worker: Worker, other: Worker, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 2."""
    monkeypatch.setattr("unified_indexer.database.repair.bringing.WRITTEN_AT_ONCE", size)
    paths = list(REPO)
    stream = Stream(LATER)
    for one in (worker, other):
        await one.write(Stream().commit("b", put(f"{POST}/1", post("mine"))))
    await worker.write(*(stream.commit("a", put(path, REPO[path])) for path in paths[:4]))
    await worker.write(
        stream.commit("a", put(f"{LIKE}/{key(0)}", like(uri("b", "2")))),
        stream.commit("a", put(f"{POST}/{key(0)}", post("gone"))),
    )
    now = {paths[1]: post("changed", 2), **{path: REPO[path] for path in paths[2:]}}
    await worker.connection.execute("SELECT unified_worker.desynchronise($1, 'chain_broken')", did("a"))
    assert (await repaired(worker, "a", Whole(rev_at(2 * LATER), now))).counts == Counter(put=3, gone=3, same=2)
    await other.write(*(stream.commit("a", put(path, record)) for path, record in now.items()))
    assert changes(await tables(other), await tables(worker)) == []
    assert await state(worker) == (1, None, False)
    await check(worker)
    assert (await repaired(worker, "a", Whole(rev_at(3 * LATER), now))).counts == Counter(same=5)


async def test_commits_that_come_meanwhile_count_where_they_are_newer(worker: Worker, other: Worker) -> None:
    """Cases 3 to 6: creation, update and deletion, before and after the rev of what was fetched, between two slices too."""
    paths = [f"{POST}/{key(minute)}" for minute in range(9)]
    has = {path: post(f"of the repo {place}", place) for place, path in enumerate(paths) if place != 8}
    for one in (worker, other):
        await one.write(Stream(LATER).commit("a", *(put(path, post("old", place)) for place, path in enumerate(paths[:6]))))
    stream = Stream(2 * LATER)
    claim = await marked(worker, "a")
    # Up to the fetched rev: what it says is older than that.
    older = [
        stream.commit("a", put(paths[0], post("between", 0), "update")),
        stream.commit("a", delete(paths[1])),
        stream.commit("a", put(paths[6], post("between", 6))),
    ]
    rev = rev_at(2 * LATER + 10)
    newer = Stream(3 * LATER)
    # After it.
    later = [
        newer.commit("a", put(paths[2], post("newest", 2), "update")),
        newer.commit("a", delete(paths[3])),
        newer.commit("a", put(paths[8], post("newest", 8))),
        newer.commit("a", put(paths[7], post("newest", 7)), delete(paths[4])),
    ]
    assert await worker.write(*older, *later[:2]) == ["applied"] * 5
    pieces = iter(later[2:])

    async def between() -> None:
        for commit in pieces:
            assert await worker.write(commit) == ["applied"]
            return

    whole = Whole(rev, has, size=3)
    ended = await written(worker, claim, whole, may_go_on=between)
    assert ended.word is Word.OK
    assert await worker.write(*older, *later) == ["stale"] * 7
    expected = {**has, paths[2]: post("newest", 2), paths[8]: post("newest", 8), paths[7]: post("newest", 7)}
    del expected[paths[3]], expected[paths[4]]
    rows = {row["uri"]: row["text"] for row in await worker.connection.fetch("SELECT uri, text FROM posts")}
    assert rows == {f"at://{did('a')}/{path}": record["text"] for path, record in expected.items()}
    assert await worker.value("SELECT rev FROM unified_worker.repos") == later[-1].rev
    assert await worker.value("SELECT count(*) FROM unified_worker.touched") == 0
    await check(worker)


async def test_a_commit_of_before_what_was_fetched_comes_too_late_once_that_is_written(worker: Worker) -> None:
    """Case 8, and a commit between two slices that the fetched repo overrides."""
    path = f"{POST}/{key(1)}"
    await worker.write(Stream(LATER).commit("a", put(path, post("old", 1))))
    claim = await marked(worker, "a")
    outcomes: list[str] = []
    stream = Stream(2 * LATER)

    async def between() -> None:
        outcomes.extend(await worker.write(stream.commit("a", put(path, post("between", 1), "update"))))

    has = {path: post("newest", 1), f"{POST}/{key(2)}": post("other", 2)}
    await written(worker, claim, Whole(rev_at(3 * LATER), has, size=1), may_go_on=between)
    assert outcomes == ["stale", "stale"]
    assert sorted(await worker.column("SELECT text FROM posts")) == ["newest", "other"]


async def test_what_is_older_than_what_is_there_changes_nothing(worker: Worker) -> None:
    """Case 7."""
    await worker.write(Stream(LATER).commit("a", *(put(path, record) for path, record in REPO.items())))
    before = await tables(worker)
    claim = await marked(worker, "a")
    ended = await written(worker, claim, Whole(rev_at(LATER - 1), {}))
    assert ended.word is Word.BEHIND
    assert await tables(worker) == before
    assert await steps.leave(worker.connection, claim, "failed", "behind", timedelta(hours=1), failed=True)
    assert await state(worker) == (0, None, False)
    row = await worker.connection.fetchrow("SELECT state, reason, failures, holder FROM unified_worker.repairs")
    assert tuple(row or ()) == ("failed", "behind", 1, None)


@pytest.mark.promise(7)
async def test_a_forged_commit_that_was_refuted_is_no_floor(worker: Worker) -> None:
    """The rev that it put there is higher than all that its host will say for long."""
    stream = Stream(LATER)
    await worker.write(stream.commit("a", put(f"{POST}/1", post("mine"))))
    forged = Stream(9 * LATER).commit("a", put(f"{POST}/2", post("forged")))
    await worker.write(forged._replace(proof=Verdict(unproven=b"block")))
    await unproven.refute(worker.connection, did("a"), b"block", "bad_signature")
    rev = rev_at(2 * LATER)
    assert (await repaired(worker, "a", Whole(rev, {f"{POST}/1": post("mine")}))).counts["gone"] == 1
    assert await worker.column("SELECT text FROM posts") == ["mine"]
    assert await worker.value("SELECT rev FROM unified_worker.repos") == rev
    assert await state(worker) == (1, None, False)
    assert await worker.write(Stream(3 * LATER).commit("a", put(f"{POST}/3", post("next")))) == ["applied"]


@pytest.mark.parametrize("point", range(4))
async def test_an_account_that_goes_away_between_two_steps_ends_it(worker: Worker, point: int) -> None:
    """Case 11."""
    claim = await marked(worker, "a")
    rounds = iter(range(9))

    async def between() -> None:
        if next(rounds) == point:
            await worker.write(Stream(LATER).account("a", False, "deleted" if point % 2 else "deactivated"))

    ended = await written(worker, claim, Whole(rev_at(2 * LATER), REPO, size=2), may_go_on=between)
    assert ended.word == ("ok" if point == 3 else "wiping" if point % 2 else "inactive")


async def test_an_account_that_forbids_indexing_between_two_steps_ends_it(worker: Worker) -> None:
    """Case 11."""
    claim, selection = await marked(worker, "a"), Selection()

    async def between() -> None:
        selection.opted_out = frozenset({did("a")})

    ended = await written(worker, claim, Whole(rev_at(LATER), REPO), selection, may_go_on=between)
    assert ended.word == "opted_out"
    assert await worker.value("SELECT count(*) FROM posts") == 0


async def test_two_workers_do_not_repair_one_repo(worker: Worker) -> None:
    """Case 10: who was overtaken writes nothing more."""
    claim = await marked(worker, "a")
    assert await queue.claim(worker.connection, "other.test", 10) == []
    await worker.connection.execute("UPDATE unified_worker.repairs SET lease_until = now() - interval '1 s'")
    assert await steps.reset(worker.connection, "other.test") == 1
    (again,) = await queue.claim(worker.connection, "other.test", 10)
    assert (await steps.mark(worker.connection, again.claim)).word is Word.OK
    assert (await written(worker, claim, Whole(rev_at(LATER), REPO))).word is Word.LOST
    assert await worker.value("SELECT count(*) FROM posts") == 0
    assert (await written(worker, again.claim, Whole(rev_at(LATER), REPO))).word is Word.OK


@pytest.mark.promise(4)
@pytest.mark.parametrize("shares", [1, 2, 63])
async def test_each_share_repairs_its_own_accounts_and_nobody_s_are_left(worker: Worker, shares: int) -> None:
    """By the hash that divides the stream."""
    dids = [f"did:plc:{number}" for number in range(200)] + ["did:web:é.test", "did:web:" + "x" * 240]
    await queue.want(worker.connection, dids, "chosen", queue.CHOSEN)
    host = await queue.host_id(worker.connection, "https://pds.test")
    await worker.connection.execute("UPDATE unified_worker.repairs SET host = $1 WHERE did LIKE '%5'", host)
    found: list[str] = []
    for share in Share(1, shares).siblings():
        taken = [
            *await queue.claim(worker.connection, share.service("r"), 300, share),
            *await queue.claim_at(worker.connection, share.service("r"), 300, host, share),
        ]
        assert all(share.takes(one.did) for one in taken)
        found += [one.did for one in taken]
    assert sorted(found) == sorted(dids)


@pytest.mark.promise(6)
async def test_what_goes_wrong_meanwhile_stays(worker: Worker) -> None:
    """Of what came after the repo was fetched."""
    await worker.connection.execute("INSERT INTO unified_worker.repos (did, rev) VALUES ($1, '')", did("a"))
    claim = await marked(worker, "a")

    async def between() -> None:
        await worker.connection.execute("SELECT unified_worker.desynchronise($1, 'chain_broken')", did("a"))

    await written(worker, claim, Whole(rev_at(LATER), REPO), may_go_on=between)
    assert await state(worker) == (2, "chain_broken", False)
    row = await worker.connection.fetchrow("SELECT state, reason FROM unified_worker.repairs")
    assert tuple(row or ()) == ("wanted", "chain_broken")


async def test_what_went_wrong_before_the_fetched_rev_is_mended(worker: Worker) -> None:
    await worker.write(Stream(LATER).commit("a", put(f"{POST}/1", post())))
    claim = await marked(worker, "a")
    late = Stream(2 * LATER).commit("a", put(f"{POST}/2", post()))
    assert await worker.write(late._replace(since=rev_at(LATER + 5))) == ["chain_broken"]
    await written(worker, claim, Whole(rev_at(3 * LATER), REPO))
    assert await state(worker) == (1, None, False)


async def test_too_much_that_is_touched_begins_anew(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 27: the commits are applied all the same."""
    claim = await marked(worker, "a")
    stream = Stream(LATER)
    await worker.connection.execute("UPDATE unified_worker.repairs SET touched = 9990")
    outcomes = await worker.write(*(stream.commit("a", put(f"{POST}/{n}", post())) for n in range(20)))
    assert outcomes == ["applied"] * 20
    assert (await written(worker, claim, Whole(rev_at(2 * LATER), REPO))).word is Word.LOST
    row = await worker.connection.fetchrow("SELECT state, reason, failures FROM unified_worker.repairs")
    assert tuple(row or ()) == ("wanted", "overflow", 1)
    assert await worker.value("SELECT count(*) FROM unified_worker.touched") == 0
    assert await state(worker) == (0, None, False)
    await worker.connection.execute("UPDATE unified_worker.repairs SET retry_at = now()")
    assert (await repaired(worker, "a", Whole(rev_at(2 * LATER), REPO))).counts == Counter(put=6, gone=20)


class Killed(Exception):
    """The worker ended here."""


class Dying:
    """A pool whose worker ends before, or after, so many more uses of a connection."""

    def __init__(self, pool: DatabasePool, uses: int, *, after: bool) -> None:
        self._pool = pool
        self._left = uses
        self._after = after

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Killed
        async with self._pool.connection() as connection:
            yield connection
        if self._left < 0:
            raise Killed


@pytest.mark.parametrize("after", [False, True])
async def test_a_kill_between_any_two_transactions_costs_nothing(worker: Worker, other: Worker, after: bool) -> None:
    """Case 9: what is begun anew ends with the same rows, each told once."""
    stream = Stream(LATER)
    for one in (worker, other):
        await one.write(Stream().commit("b", put(f"{POST}/1", post("mine"))))
    await other.write(*(stream.commit("a", put(path, record)) for path, record in REPO.items()))
    await worker.write(Stream(LATER).commit("a", *(put(f"{POST}/{key(-n)}", post("old")) for n in range(1, 5))))
    await worker.connection.execute("UPDATE unified_worker.backfill SET since = '2026-01-01'")
    whole = Whole(rev_at(2 * LATER), REPO, size=2)
    ends, word = 0, ""
    while word != Word.OK:
        claim = await marked(worker, "a")
        assert (await state(worker))[2], "commits note what they touch"
        dying = Worker(cast("Any", Dying(worker.pool, ends, after=after)), *worker[1:])
        try:
            word = (await written(dying, claim, whole)).word
        except Killed:
            ends += 1
            assert ends < 99
            assert await steps.reset(worker.connection, "relay.test") == (0 if (await state(worker))[0] == 1 else 1)
            assert (await state(worker))[2] is False, "nothing is noted any more"
        if (await state(worker))[0] == 1:
            break
    assert ends >= 5
    assert changes(await tables(other), await tables(worker)) == []
    assert sorted(await worker.column("SELECT reason FROM notifications")) == ["follow", "like", "repost"]
    await check(worker)


@pytest.mark.promise(6)
async def test_a_repo_that_was_whole_is_not_taken_for_whole_when_its_repair_was_cut_off(worker: Worker) -> None:
    """What the stream says meanwhile of before the fetched rev is stale, so the repair has to come to its end."""
    stream = Stream(LATER)
    await repaired(worker, "a", Whole(rev_at(LATER - 1), REPO))
    assert await state(worker) == (1, None, False)
    late = [stream.commit("a", put(f"{POST}/{key(50 + n)}", post(str(n)))) for n in range(4)]
    whole = Whole(rev_at(2 * LATER), {**REPO, **{f"{POST}/{key(50 + n)}": post(str(n)) for n in range(4)}}, size=4)
    slices = iter(range(9))

    async def between() -> None:
        if next(slices) == 1:
            raise Killed

    claim = await marked(worker, "a", "asked")
    with pytest.raises(Killed):
        await written(worker, claim, whole, may_go_on=between)
    assert await steps.reset(worker.connection, "relay.test") == 1
    assert await state(worker) == (2, "unfinished", False)
    assert await worker.write(*late) == ["stale"] * 4
    assert (await repaired(worker, "a", whole)).word is Word.OK
    assert await worker.value("SELECT count(*) FROM posts") == 6
    assert await state(worker) == (1, None, False)
    await check(worker)


async def test_people_are_told_of_what_was_missed_and_not_of_what_is_old(worker: Worker) -> None:
    """Case 16: what was read stays so, and a rebuild tells nobody of anything."""
    await worker.connection.execute("UPDATE unified_worker.backfill SET since = $1", START - timedelta(days=30))
    minutes = [-24 * 60 * days for days in (2, 1, 8, 700)]
    records = {f"{LIKE}/{key(minute)}": like(uri("b", str(n)), minute) for n, minute in enumerate(minutes, 1)}
    read = next(iter(records))
    await worker.write(Stream(LATER).commit("a", put(read, records[read])))
    await worker.connection.execute("UPDATE notifications SET is_read = true")
    await repaired(worker, "a", Whole(rev_at(2 * LATER), records))
    assert await worker.column("SELECT count(*) FROM likes") == [4]
    told = "SELECT reason_subject || ' ' || is_read FROM notifications ORDER BY reason_subject"
    expected = [f"{uri('b', '1')} true", f"{uri('b', '2')} false"]
    assert await worker.column(told) == expected
    await check(worker)
    await Rebuild(worker.pool).run()
    assert await worker.column(told) == expected


async def test_nobody_is_told_of_what_came_with_a_repo_that_was_never_followed(worker: Worker) -> None:
    await worker.connection.execute("UPDATE unified_worker.backfill SET since = $1", START - timedelta(days=30))
    joined = profile("A", joinedViaStarterPack=ref(uri("b", "1", "app.bsky.graph.starterpack")))
    verification = {"$type": "app.bsky.graph.verification", "subject": did("b"), "handle": "b.test", "createdAt": at(1)}
    reply = post("hi", 1, reply=replying(ref(uri("b", "1"))), facets=mentioning(did("c")), embed=quoting(ref(uri("d", "1"))))
    has = {**REPO, f"{PROFILE}/self": joined, f"app.bsky.graph.verification/{key(1)}": verification, f"{POST}/{key(9)}": reply}
    await repaired(worker, "a", Whole(rev_at(LATER), has))
    await Rebuild(worker.pool).run()
    assert await worker.value("SELECT count(*) FROM notifications") == 0
    await check(worker)
    # What is written again in the stream tells as ever.
    await worker.write(Stream(2 * LATER).commit("a", *(put(path, record, "update") for path, record in has.items())))
    reasons = ("follow", "like", "mention", "quote", "reply", "repost", "starterpack-joined", "verified")
    assert sorted(await worker.column("SELECT reason FROM notifications")) == sorted(reasons)
    await check(worker)


async def test_an_older_record_that_takes_a_key_notifies_where_it_was_missed(worker: Worker) -> None:
    await worker.connection.execute("UPDATE unified_worker.backfill SET since = $1", START - timedelta(days=30))
    older, younger = (f"{LIKE}/{key(minute)}" for minute in (1, 2))
    records = {older: like(uri("b", "1"), 1), younger: like(uri("b", "1"), 2)}
    await worker.write(Stream(LATER).commit("a", put(younger, records[younger])))
    await repaired(worker, "a", Whole(rev_at(2 * LATER), records))
    assert await worker.column("SELECT uri FROM notifications") == [f"at://{did('a')}/{older}#notification"]
    await check(worker)


async def test_a_date_in_the_future_sorts_by_its_key(worker: Worker) -> None:
    """Case 17."""
    path = f"{POST}/{key(1)}"
    await repaired(worker, "a", Whole(rev_at(LATER), {path: post("to come", 10**6)}))
    assert await worker.value("SELECT sort_at FROM feed_items") == START + timedelta(minutes=1)
    assert await worker.value("SELECT commit_time FROM posts") == START + timedelta(minutes=1)


async def test_a_record_that_is_refused_has_one_letter(worker: Worker) -> None:
    """Case 15: not another one at the next repair, and none once it is sound."""
    bad = f"{FOLLOW}/{key(1)}"
    stream = Stream(LATER)
    await worker.write(stream.commit("a", put(bad, {"$type": FOLLOW, "subject": "nobody"})))
    assert [letter[:2] for letter in await worker.letters()] == [(bad, "bad_did")]
    query = "SELECT id, attempts, rev, record_cid FROM unified_worker.dead_letters"
    for number in range(3):
        has = {**REPO, bad: {"$type": FOLLOW, "subject": "nobody"}}
        ended = await repaired(worker, "a", Whole(rev_at((2 + number) * LATER), has))
        assert ended.counts["refused"] == 1
        (letter,) = await worker.connection.fetch(query)
        assert letter["rev"] == rev_at(2 * LATER)
        assert letter["attempts"] == 1
    assert await state(worker) == (1, None, False)
    await repaired(worker, "a", Whole(rev_at(9 * LATER), {**REPO, bad: follow(did("c"))}))
    assert await worker.letters() == []
    await check(worker)


@pytest.mark.promise(2)
async def test_what_the_repo_tells_anew_is_no_letter_any_more(worker: Worker) -> None:
    """No retry brings back what was before."""
    stream = Stream(LATER)
    path = f"{FOLLOW}/{key(1)}"
    await worker.write(stream.commit("a", put(path, {"$type": FOLLOW, "subject": "nobody"})))
    await worker.write(stream.broken("a", put(f"{POST}/1", post())))
    assert len(await worker.letters()) == 2
    await repaired(worker, "a", Whole(rev_at(2 * LATER), REPO))
    assert await worker.letters() == []
    assert await state(worker) == (1, None, False)


async def test_what_the_database_refuses_is_kept_alone_and_comes_when_it_may(worker: Worker) -> None:
    await worker.connection.execute(f"ALTER TABLE follows ADD CONSTRAINT nobody CHECK (following_did <> '{did('b')}')")
    (refused,) = [path for path in REPO if path.startswith(FOLLOW)]
    for _ in range(2):
        ended = await repaired(worker, "a", Whole(rev_at(LATER), REPO))
        assert ended.counts["kept"] == 1
        assert await state(worker) == (2, "refused", False)
        row = await worker.connection.fetchrow("SELECT state, reason, holder FROM unified_worker.repairs")
        assert tuple(row or ()) == ("wanted", "refused", None)
        await worker.connection.execute("UPDATE unified_worker.repairs SET retry_at = now()")
    assert await worker.value("SELECT count(*) FROM posts") == 2
    (letter,) = await worker.letters()
    assert (letter[:2], letter[3]) == ((refused, "database_23514"), 1)
    await worker.connection.execute("ALTER TABLE follows DROP CONSTRAINT nobody")
    assert (await repaired(worker, "a", Whole(rev_at(LATER), REPO))).counts == Counter(put=1, same=5)
    assert await worker.letters() == []
    assert await state(worker) == (1, None, False)
    await check(worker)


async def test_what_follows_from_a_record_is_refused_alone_and_comes_when_it_may(worker: Worker) -> None:
    """The author likes the own thread: that has to do with the replies that are there, and an application forbids it."""
    root = ref(uri("a", key(1)))
    await worker.write(Stream().commit("b", put(f"{POST}/1", post("yes", reply=replying(root)))))
    has = {f"{POST}/{key(1)}": post("root"), f"{LIKE}/{key(2)}": like(uri("b", "1")), f"{FOLLOW}/{key(3)}": follow(did("c"))}
    await worker.connection.execute("ALTER TABLE thread_contexts ADD CONSTRAINT no CHECK (root_author_like_uri IS NULL)")
    for _ in range(2):
        ended = await repaired(worker, "a", Whole(rev_at(LATER), has))
        assert (ended.word, ended.counts["kept"]) == ("ok", 1)
        assert await state(worker) == (2, "refused", False)
        await worker.connection.execute("UPDATE unified_worker.repairs SET retry_at = now()")
    (letter,) = await worker.letters()
    assert (letter[:2], letter[3]) == ((f"{LIKE}/{key(2)}", "database_23514"), 1)
    await worker.connection.execute("ALTER TABLE thread_contexts DROP CONSTRAINT no")
    assert (await repaired(worker, "a", Whole(rev_at(LATER), has))).counts == Counter(same=3)
    assert await worker.letters() == []
    assert await state(worker) == (1, None, False)
    assert await worker.column("SELECT root_author_like_uri FROM thread_contexts") == [f"at://{did('a')}/{LIKE}/{key(2)}"]
    await check(worker)


async def test_a_refused_record_leaves_its_row_as_it_is(worker: Worker) -> None:
    path = f"{FOLLOW}/{key(1)}"
    await worker.write(Stream(LATER).commit("a", put(path, follow(did("c")))))
    await repaired(worker, "a", Whole(rev_at(2 * LATER), {path: {"$type": FOLLOW, "subject": "nobody"}}))
    assert await worker.column("SELECT following_did FROM follows") == [did("c")]


async def test_collections_that_are_left_out_are_left_alone(worker: Worker) -> None:
    """Case 28: what is left out is no fault, and widened it comes."""
    await worker.write(Stream(LATER).commit("a", put(f"{POST}/1", post("from before"))))
    await worker.write(Stream(LATER + 1).commit("a", put("fm.teal.play/1", {"$type": "fm.teal.play"})))
    narrow = Selection((LIKE, FOLLOW))
    ended = await repaired(worker, "a", Whole(rev_at(2 * LATER), REPO), narrow)
    assert ended.counts == Counter(put=2)
    assert await worker.column("SELECT text FROM posts") == ["from before"]
    assert await worker.value("SELECT count(*) FROM generic_records") == 1
    query = "SELECT sync, filtered FROM unified_worker.repos"
    assert await worker.connection.fetchrow(query) == (1, True)
    assert (await repaired(worker, "a", Whole(rev_at(2 * LATER), REPO))).counts == Counter(put=4, gone=2, same=2)
    assert await worker.connection.fetchrow(query) == (1, False)


async def test_a_repo_without_records_takes_all_rows_with_it(worker: Worker) -> None:
    await worker.write(Stream(LATER).commit("a", *(put(path, record) for path, record in REPO.items())))
    assert (await repaired(worker, "a", Whole(rev_at(2 * LATER), {}))).counts == Counter(gone=6)
    assert await worker.value("SELECT count(*) FROM posts") == 0
    await check(worker)


async def test_the_next_commit_follows_on_what_was_fetched(worker: Worker) -> None:
    await worker.write(Stream(LATER).commit("a", put(f"{POST}/1", post())))
    whole = Whole(rev_at(2 * LATER), REPO)
    await repaired(worker, "a", whole)
    after = Stream(3 * LATER).commit("a", put(f"{POST}/2", post()))
    proof = Verdict(whole.data, None, inductive=True)
    assert await worker.write(after._replace(since=whole.rev, proof=proof)) == ["applied"]
    assert await state(worker) == (1, None, False)


@pytest.mark.promise(7)
@pytest.mark.parametrize("level", ["off", "signatures", "full"])
async def test_an_equal_tree_shows_nothing_after_commits_that_may_hide_operations(worker: Worker, level: str) -> None:
    """A deletion was hidden in a commit: below VERIFY=full only a comparison of the whole repo finds it."""
    whole = Whole(rev_at(LATER), REPO)
    await repaired(worker, "a", whole)
    commit = Stream(2 * LATER).commit("a", put(f"{POST}/9", post("seen")))
    left = {path: record for path, record in REPO.items() if not path.startswith(LIKE)}
    now = Whole(commit.rev, left | {f"{POST}/9": post("seen")})
    proof = None if level == "off" else Verdict(whole.data, inductive=level == "full")
    await worker.write(commit._replace(data=now.data, since=whole.rev, proof=proof))
    assert await state(worker) == (1, None, False)
    claim = await marked(worker, "a")
    if level == "full":  # it would have been found when it came
        assert (await written(worker, claim, now)).word is Word.SAME
        return
    assert (await steps.mark(worker.connection, claim)).data is None, "its host's newest commit is not enough"
    assert (await written(worker, claim, now)).counts == Counter(gone=1, same=len(REPO))
    assert (await repaired(worker, "a", now)).word is Word.SAME


async def test_what_comes_while_a_repo_is_compared_may_hide_operations(worker: Worker) -> None:
    """So the next repair compares it again."""
    claim, whole = await marked(worker, "a"), Whole(rev_at(LATER), REPO)
    commit = Stream(2 * LATER).commit("a", put(f"{POST}/9", post("seen")))
    now = Whole(commit.rev, {f"{POST}/9": post("seen")})

    async def between() -> None:
        await worker.write(commit._replace(data=now.data, since=whole.rev, proof=Verdict(whole.data)))

    assert (await written(worker, claim, whole, may_go_on=between)).word is Word.OK
    assert (await repaired(worker, "a", now)).counts == Counter(gone=len(REPO), same=1)
