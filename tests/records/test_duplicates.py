"""Of all records with one unique key the oldest by created_at, then by uri, holds it; the others wait, whole. By a model."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.application_schema import TABLES
from testing.commits import CID, FOLLOW, LIKE, POST, REPOST, Op, Stream, at, delete, did, follow, like, post, put, repost
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.garbage import VERIFICATION
from unified_indexer.embedded.server import PostgresServer

TABLE_OF = {LIKE: ("likes", "user_did", "post_uri"), REPOST: ("reposts", "user_did", "post_uri")}
TABLE_OF[FOLLOW] = ("follows", "follower_did", "following_did")
# In the order of bytes, which no language's order is: capitals, then the underscore, then small letters.
RKEYS = ("B", "Z", "_", "a", "b")


class Act(NamedTuple):
    """One operation of one account; a subject of None deletes."""

    name: str
    collection: str
    rkey: str
    subject: str | None
    minute: int


class Known(NamedTuple):
    """What the model knows of a record that is there."""

    created_at: str
    uri: str
    key: tuple[str, str, str]  # collection, account, subject


acts = st.builds(
    Act,
    st.sampled_from("xy"),
    st.sampled_from([LIKE, LIKE, REPOST, FOLLOW]),
    st.sampled_from(RKEYS),
    st.none() | st.sampled_from(["s", "t"]),
    st.integers(-1, 1),
)
# Commits of one account each, of one or several operations.
stories = st.lists(st.lists(acts, min_size=1, max_size=4), min_size=1, max_size=12)


@dataclass
class Model:
    """Every record by its uri; who holds is worked out anew each time."""

    records: dict[str, Known]

    def apply(self, name: str, act: Act) -> None:
        uri = f"at://{did(name)}/{act.collection}/{act.rkey}"
        if act.subject is None:
            self.records.pop(uri, None)
        else:
            self.records[uri] = Known(at(act.minute), uri, (act.collection, name, act.subject))

    def holders(self) -> set[str]:
        oldest: dict[tuple[str, str, str], str] = {}
        for _, uri, key in sorted(self.records.values()):
            oldest.setdefault(key, uri)
        return set(oldest.values())


def subject_of(act: Act) -> str:
    return did(str(act.subject)) if act.collection == FOLLOW else f"at://{did('author')}/app.bsky.feed.post/{act.subject}"


def op_of(act: Act) -> Op:
    path = f"{act.collection}/{act.rkey}"
    if act.subject is None:
        return delete(path)
    make = {LIKE: like, REPOST: repost, FOLLOW: follow}[act.collection]
    return put(path, make(subject_of(act), act.minute))


async def check(worker: Worker, model: Model) -> None:
    """The tables hold the holders, with their own subject and time; all others wait."""
    found: set[str] = set()
    for collection, (table, _, subject) in TABLE_OF.items():
        for row in (await worker.rows([table]))[table]:
            known = model.records[row["uri"]]
            assert known.key[0] == collection
            assert row[subject].endswith(known.key[2])
            assert row["created_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ") == known.created_at
            found.add(row["uri"])
    assert found == model.holders()
    assert set(await worker.column("SELECT uri FROM unified_worker.duplicate_records")) == model.records.keys() - found


class Loop(NamedTuple):
    """A worker that lives across hypothesis' examples, with the loop that it lives on."""

    runner: asyncio.Runner
    worker: Worker


@pytest.fixture(params=["own", "application"])
def living(request: pytest.FixtureRequest, any_server: PostgresServer) -> Iterator[Loop]:
    name = f"duplicates_{request.param}"
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:

        async def execute(database: str, statement: str) -> None:
            async with connected(any_server.url_of(database)) as connection:
                await connection.execute(statement)

        runner.run(execute("postgres", f"CREATE DATABASE {name}"))
        if request.param == "application":
            runner.run(execute(name, TABLES))
        context = opened(any_server.url_of(name))
        yield Loop(runner, runner.run(context.__aenter__()))
        runner.run(context.__aexit__(None, None, None))
        runner.run(execute("postgres", f"DROP DATABASE {name} WITH (FORCE)"))


EMPTY = "TRUNCATE likes, reposts, follows, users, unified_worker.repos, unified_worker.duplicate_records"
How = Literal["one call", "call by call", "isolated"]


@settings(max_examples=40, deadline=None)
@given(story=stories, how=st.sampled_from(["one call", "call by call", "isolated"]))
def _by_the_model(living: Loop, story: list[list[Act]], how: How) -> None:
    async def run() -> None:
        worker, model, stream = living.worker, Model({}), Stream()
        await worker.connection.execute(EMPTY)
        commits = [stream.commit(acts[0].name, *(op_of(act) for act in acts)) for acts in _distinct(story)]
        if how == "isolated":  # one that the database refuses, so that the others come one by one
            bad = stream.commit("bad", put(f"{LIKE}/1", like(f"at://{did('author')}/app.bsky.feed.post/bad")))
            commits.insert(len(commits) // 2, bad)
        for acts in _distinct(story):
            for act in acts:
                model.apply(acts[0].name, act)
        if how == "call by call":
            for commit in commits:
                await worker.write(commit)
        else:
            await worker.write(*commits)
        await check(worker, model)
        assert set(await worker.write(*(commit for commit in commits if commit.repo != did("bad")))) == {"stale"}
        await check(worker, model)

    living.runner.run(run())


def _distinct(story: list[list[Act]]) -> list[list[Act]]:
    """A commit names each path once."""
    return [list({(act.collection, act.rkey): act for act in acts}.values()) for acts in story]


def test_the_oldest_holds_by_a_model(living: Loop) -> None:
    refuse = "ALTER TABLE likes ADD CHECK (post_uri NOT LIKE '%/bad')"
    living.runner.run(living.worker.connection.execute(refuse))
    _by_the_model(living)


async def test_what_waits_comes_back_whole(both_worker: Worker) -> None:
    stream = Stream()
    subject = f"at://{did('author')}/app.bsky.feed.post/1"
    second = stream.commit("a", put(f"{LIKE}/2", like(subject, 2, via={"uri": "v", "cid": "c"})))
    first = stream.commit("a", put(f"{LIKE}/1", like(subject, 1)))
    assert await both_worker.write(second, first) == ["applied", "applied"]
    assert await both_worker.column("SELECT uri FROM likes") == [f"at://{did('a')}/{LIKE}/1"]
    await both_worker.write(stream.commit("a", delete(f"{LIKE}/1")))
    (row,) = (await both_worker.rows(["likes"]))["likes"]
    assert row["uri"] == f"at://{did('a')}/{LIKE}/2"
    assert (row["commit_seq"], row["commit_rev"], row["commit_time"]) == (str(second.seq), second.rev, second.time)
    assert '"v"' in row["via"]
    assert row["subject_cid"] == like(subject)["subject"]["cid"]
    assert await both_worker.value("SELECT count(*) FROM unified_worker.duplicate_records") == 0


async def test_a_like_of_one_s_own_post_comes_back_with_its_cid(worker: Worker) -> None:
    """There is no notification of the like to take the CID from, only of the repost that it was seen through."""
    stream = Stream()
    subject = f"at://{did('a')}/{POST}/1"
    via = {"uri": f"at://{did('b')}/{REPOST}/1", "cid": "c"}
    told = "SELECT uri, cid FROM notifications"
    await worker.write(stream.commit("a", put(f"{LIKE}/2", like(subject, 2, via=via))))
    before = [tuple(row) for row in await worker.connection.fetch(told)]
    assert [uri for uri, cid in before if cid] == [f"at://{did('a')}/{LIKE}/2#notification/like-via-repost"]
    await worker.write(stream.commit("a", put(f"{LIKE}/1", like(subject, 1))))
    assert await worker.connection.fetch(told) == []
    await worker.write(stream.commit("a", delete(f"{LIKE}/1")))
    assert [tuple(row) for row in await worker.connection.fetch(told)] == before


async def test_a_row_of_the_application_s_own_gives_way_to_an_older_one(application: str) -> None:
    async with connected(application) as connection:
        await connection.execute(
            f"""INSERT INTO likes (uri, user_did, post_uri, created_at)
            VALUES ('at://{did("a")}/{LIKE}/theirs', '{did("a")}', 'at://x/y/z', '2026-07-01 12:05')"""
        )
    async with opened(application) as worker:
        stream = Stream()
        await worker.write(stream.commit("a", put(f"{LIKE}/younger", like(f"at://{did('x')}/y.z.a/1", 9))))
        await worker.connection.execute(f"UPDATE likes SET post_uri = 'at://{did('x')}/y.z.a/2' WHERE uri LIKE '%theirs'")
        await worker.write(stream.commit("a", put(f"{LIKE}/older", like(f"at://{did('x')}/y.z.a/2", 1))))
        uris = await worker.column("SELECT uri FROM likes ORDER BY 1")
        assert uris == [f"at://{did('a')}/{LIKE}/{rkey}" for rkey in ("older", "younger")]
        await worker.write(stream.commit("a", delete(f"{LIKE}/older")))
        assert f"at://{did('a')}/{LIKE}/theirs" in await worker.column("SELECT uri FROM likes")


async def test_what_an_older_application_left_wrong_refuses_nothing(application: str) -> None:
    """A stray quote under the URI of a new one; a count below zero beside one that is right."""
    uri, quoted = f"at://{did('a')}/{POST}/1", f"at://{did('b')}/{POST}/1"
    async with connected(application) as connection:
        await connection.execute(
            f"""INSERT INTO quotes (uri, cid, post_uri, quoted_uri, created_at)
            VALUES ('{uri}#quote', 'x', '{uri}', 'y', now());
            INSERT INTO post_aggregations (post_uri, like_count, repost_count) VALUES ('{quoted}', 1, -1)"""
        )
    async with opened(application) as worker:
        stream = Stream()
        embed = {"$type": "app.bsky.embed.record", "record": {"uri": quoted, "cid": CID}}
        assert await worker.write(stream.commit("a", put(f"{POST}/1", post(embed=embed)))) == ["applied"]
        assert await worker.column("SELECT quoted_uri FROM quotes") == [quoted]
        await worker.write(stream.commit("a", delete(f"{POST}/1")))
        counts = "SELECT like_count, repost_count, quote_count FROM post_aggregations"
        assert [tuple(row) for row in await worker.connection.fetch(counts)] == [(1, -1, 0)], (
            "a count that is left keeps the row"
        )


async def test_of_three_the_oldest_holds_and_the_next_one_follows(worker: Worker) -> None:
    stream, subject = Stream(), f"at://{did('star')}/{POST}/1"
    holders: list[list[str]] = []
    acts = [
        *(put(f"{LIKE}/{rkey}", like(subject, minute)) for rkey, minute in (("second", 0), ("third", 1), ("first", -1))),
        *(delete(f"{LIKE}/{rkey}") for rkey in ("first", "second", "third")),
    ]
    for act in acts:
        assert await worker.write(stream.commit("x", act)) == ["applied"]
        holders.append(await worker.column("SELECT split_part(uri, '/', 5) FROM likes"))
        waiting = await worker.column("SELECT split_part(uri, '/', 5) FROM unified_worker.duplicate_records")
        assert not {*holders[-1]} & {*waiting}
    assert holders == [["second"], ["second"], ["first"], ["second"], ["third"], []]


def verified(minute: int) -> Op:
    record = {"$type": VERIFICATION, "subject": did("s"), "handle": "s.test", "displayName": "S", "createdAt": at(minute)}
    return put(f"{VERIFICATION}/1", record)


async def test_where_accounts_compete_the_earliest_commit_holds_whatever_it_says_itself(both_worker: Worker) -> None:
    worker, stream = both_worker, Stream()
    holder = "SELECT split_part(uri, '/', 3) FROM verifications"
    first, second, third = (stream.commit(name, verified(minute)) for minute, name in ((9, "a"), (5, "b"), (1, "c")))
    await worker.write(second, third)  # repos may come in any order
    assert await worker.column(holder) == [did("b")]
    await worker.write(first)
    assert await worker.column(holder) == [did("a")], "its commit was earlier, though it came in later"
    await worker.write(stream.commit("a", verified(0)))
    assert await worker.column(holder) == [did("b")], "an update counts from its own commit"
    await worker.write(stream.commit("b", delete(f"{VERIFICATION}/1")))
    assert await worker.column(holder) == [did("c")]
    await worker.write(stream.commit("c", delete(f"{VERIFICATION}/1")))
    assert await worker.column(holder) == [did("a")]
    assert await worker.column("SELECT split_part(uri, '/', 3) FROM unified_worker.commit_times") == [did("a")]


async def test_what_was_written_before_commit_times_were_noted_holds(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", verified(9)), stream.commit("b", verified(5)))
    await worker.connection.execute(f"DELETE FROM unified_worker.commit_times WHERE uri LIKE '%{did('a')}%'")
    await worker.write(stream.commit("c", verified(1)))
    assert await worker.column("SELECT split_part(uri, '/', 3) FROM verifications") == [did("a")]
