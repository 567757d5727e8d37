"""A database that enforces foreign keys: what comes before the row that it names waits, and is applied when that is there."""

from collections.abc import AsyncIterator

import pytest

from testing.application_schema import TABLES
from testing.commits import FOLLOW, LIKE, POST, Stream, delete, did, follow, like, post, put
from testing.database_side import Worker, opened
from testing.databases import connected
from unified_indexer.database.background.waiting import Pending
from unified_indexer.database.write.apply import apply_one
from unified_indexer.database.write.batch import build
from unified_indexer.database.write.parameters import Mode

SUBJECT = f"at://{did('author')}/{POST}/1"
KEY = "ALTER TABLE likes ADD CONSTRAINT likes_post FOREIGN KEY (post_uri) REFERENCES posts (uri) ON DELETE CASCADE"
DUE = "UPDATE unified_worker.dead_letters SET retry_at = now()"


@pytest.fixture(params=["", " DEFERRABLE INITIALLY DEFERRED"], ids=["immediate", "deferred"])
async def keyed(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Worker]:
    """An application's database whose likes refer to posts."""
    async with connected(database) as connection:
        await connection.execute(TABLES + KEY + request.param)
    async with opened(database) as worker:
        yield worker


async def turn(worker: Worker) -> int:
    async with worker.pool.connection() as connection:
        return await Pending(worker.pool).turn(connection)


async def likes(worker: Worker) -> list[tuple[str, str]]:
    return [(row["uri"], row["commit_rev"]) for row in await worker.connection.fetch("SELECT * FROM likes ORDER BY 1")]


@pytest.mark.promise(2)
async def test_a_like_before_its_post_waits_for_it(keyed: Worker) -> None:
    stream = Stream()
    before, early, after = (
        stream.commit("x", put(f"{POST}/1", post())),
        stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)), put(f"{FOLLOW}/1", follow(did("x")))),
        stream.commit("y", put(f"{POST}/1", post())),
    )
    assert await keyed.write(before, early, after) == ["applied", "refused:23503", "applied"]
    letters = await keyed.letters()
    assert [letter[:2] for letter in letters] == [(f"{LIKE}/1", "foreign_key"), (f"{FOLLOW}/1", "foreign_key")]
    assert SUBJECT in letters[0][2]
    awaited = await keyed.column("SELECT awaited FROM unified_worker.dead_letters")
    assert awaited == [["posts", "uri", SUBJECT]] * 2
    assert await keyed.column("SELECT author_did FROM posts ORDER BY 1") == [did("x"), did("y")]

    assert await turn(keyed) == 0
    assert [letter[3] for letter in await keyed.letters()] == [1, 1], "looking is no attempt"

    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(keyed) == 1
    assert await likes(keyed) == [(f"at://{did('a')}/{LIKE}/1", early.rev)]
    assert await keyed.value("SELECT count(*) FROM follows") == 1
    assert await keyed.value("SELECT count(*) FROM users WHERE did = $1", did("a")) == 1
    assert await keyed.letters() == []
    assert await keyed.value("SELECT count(*) FROM unified_worker.dead_frames") == 0
    assert await keyed.value("SELECT bytes FROM unified_worker.dead_frames_size") == 0
    assert await turn(keyed) == 0


@pytest.mark.promise(1)
async def test_a_commit_that_waits_keeps_none_of_its_rows_till_then(keyed: Worker) -> None:
    stream = Stream()
    early = stream.commit("a", put(f"{FOLLOW}/1", follow(did("x"))), put(f"{LIKE}/1", like(SUBJECT)))
    assert await keyed.write(early) == ["refused:23503"]
    assert [table for table, rows in (await keyed.rows()).items() if rows] == ["users"]


@pytest.mark.promise(2)
async def test_what_was_deleted_meanwhile_does_not_come_back(keyed: Worker) -> None:
    stream = Stream()
    both = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)), put(f"{FOLLOW}/1", follow(did("x"))))
    assert await keyed.write(both) == ["refused:23503"]
    assert await keyed.write(stream.commit("a", delete(f"{LIKE}/1"))) == ["applied"]
    assert [letter[0] for letter in await keyed.letters()] == [f"{FOLLOW}/1"], "the delete closed the like's letter"
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(keyed) == 1
    assert await likes(keyed) == []
    assert await keyed.value("SELECT count(*) FROM follows") == 1
    assert await keyed.letters() == []


async def test_what_was_updated_meanwhile_is_superseded(keyed: Worker) -> None:
    stream = Stream()
    other = f"at://{did('author')}/{POST}/2"
    first = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)))
    second = stream.commit("a", put(f"{LIKE}/1", like(other), "update"))
    await keyed.write(stream.commit("author", put(f"{POST}/2", post())))
    assert await keyed.write(first, second) == ["refused:23503", "applied"]
    assert await keyed.letters() == []
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(keyed) == 0
    assert await likes(keyed) == [(f"at://{did('a')}/{LIKE}/1", second.rev)]


async def test_what_can_t_be_applied_replaces_nothing_that_waits(keyed: Worker) -> None:
    stream = Stream()
    waits = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)))
    bad = stream.commit("a", put(f"{LIKE}/1", {"$type": LIKE, "subject": 5}, "update"))
    assert await keyed.write(waits, bad) == ["refused:23503", "applied"]
    assert [letter[1] for letter in await keyed.letters()] == ["foreign_key", "wrong_type"]
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(keyed) == 1
    assert await likes(keyed) == [(f"at://{did('a')}/{LIKE}/1", waits.rev)]


async def test_the_latest_that_waits_is_the_one_that_is_applied(keyed: Worker) -> None:
    stream = Stream()
    first = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)))
    second = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT, 1), "update"))
    assert await keyed.write(first, second) == ["refused:23503"] * 2
    assert len(await keyed.letters()) == 1
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(keyed) == 1
    assert await likes(keyed) == [(f"at://{did('a')}/{LIKE}/1", second.rev)]


@pytest.mark.promise(3)
async def test_replaying_what_waits_or_was_applied_changes_nothing(keyed: Worker) -> None:
    stream = Stream()
    early = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)))
    assert await keyed.write(early) == ["refused:23503"]
    assert await keyed.write(early) == ["refused:23503"]
    assert [letter[3] for letter in await keyed.letters()] == [2]
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(keyed) == 1
    applied = await keyed.rows()
    await keyed.write(early)
    assert await keyed.rows() == applied
    assert await keyed.letters() == []


@pytest.mark.promise(3)
async def test_a_replay_after_a_later_commit_does_not_bring_back_what_it_deleted(keyed: Worker) -> None:
    stream = Stream()
    early = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)))
    gone = stream.commit("a", delete(f"{LIKE}/1"))
    await keyed.write(early, gone)
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await keyed.write(early, gone) == ["stale", "stale"]
    assert await turn(keyed) == 0
    assert await likes(keyed) == []


async def test_a_duplicate_that_waited_for_its_post_takes_its_place_by_the_rule(keyed: Worker) -> None:
    stream = Stream()
    older = stream.commit("a", put(f"{LIKE}/old", like(SUBJECT, 1)))
    assert await keyed.write(older) == ["refused:23503"]
    await keyed.write(
        stream.commit("author", put(f"{POST}/1", post())), stream.commit("a", put(f"{LIKE}/new", like(SUBJECT, 2)))
    )
    assert await turn(keyed) == 1
    assert [uri for uri, _ in await likes(keyed)] == [f"at://{did('a')}/{LIKE}/old"]
    assert await keyed.column("SELECT uri FROM unified_worker.duplicate_records") == [f"at://{did('a')}/{LIKE}/new"]


async def test_a_chain_of_keys_is_followed_to_its_end(keyed: Worker) -> None:
    """The like waits for a post, which waits for its author's row; each says what it waits for now."""
    await keyed.connection.execute("ALTER TABLE posts ADD FOREIGN KEY (parent_uri) REFERENCES posts (uri)")
    stream = Stream()
    reply = {"parent": like(SUBJECT)["subject"], "root": like(SUBJECT)["subject"]}
    parent = f"at://{did('b')}/{POST}/reply"
    assert (
        await keyed.write(
            stream.commit("a", put(f"{LIKE}/1", like(parent))), stream.commit("b", put(f"{POST}/reply", post(reply=reply)))
        )
        == ["refused:23503"] * 2
    )
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert [await turn(keyed), await turn(keyed), await turn(keyed)] == [1, 1, 0]
    assert [uri for uri, _ in await likes(keyed)] == [f"at://{did('a')}/{LIKE}/1"]


async def test_what_waits_for_two_rows_names_the_next_one(keyed: Worker) -> None:
    stream = Stream()
    second = f"at://{did('author')}/{POST}/2"
    both = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)), put(f"{LIKE}/2", like(second)))
    await keyed.write(both)
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(keyed) == 0
    assert await keyed.column("SELECT awaited FROM unified_worker.dead_letters") == [["posts", "uri", second]] * 2
    assert [letter[3] for letter in await keyed.letters()] == [2, 2]
    await keyed.write(stream.commit("author", put(f"{POST}/2", post())))
    assert await turn(keyed) == 1
    assert len(await likes(keyed)) == 2


async def test_a_letter_whose_row_has_come_but_that_is_refused_says_so(keyed: Worker) -> None:
    stream = Stream()
    await keyed.write(stream.commit("a", put(f"{LIKE}/1", like(SUBJECT))))
    await keyed.connection.execute("ALTER TABLE likes ADD CHECK (false) NOT VALID")
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(keyed) == 0
    assert [(letter[1], letter[3]) for letter in await keyed.letters()] == [("database_23514", 2)]
    assert await turn(keyed) == 0


async def test_a_key_of_two_columns_is_tried_each_time(application: str) -> None:
    async with connected(application) as connection:
        await connection.execute(
            "ALTER TABLE posts ADD UNIQUE (uri, author_did);"
            "ALTER TABLE likes ADD FOREIGN KEY (post_uri, user_did) REFERENCES posts (uri, author_did)"
        )
    async with opened(application) as worker:
        stream = Stream()
        await worker.write(stream.commit("author", put(f"{LIKE}/1", like(SUBJECT))))
        assert await worker.column("SELECT awaited FROM unified_worker.dead_letters") == [None]
        assert await turn(worker) == 0
        await worker.write(stream.commit("author", put(f"{POST}/1", post())))
        assert await turn(worker) == 0, "later and later"
        await worker.connection.execute(DUE)
        assert await turn(worker) == 1
        assert len(await likes(worker)) == 1


async def test_the_post_of_a_deleted_holder_that_went_with_its_post(keyed: Worker) -> None:
    """The application's cascade deletes likes without a word to us; the next one of the same account still goes in."""
    stream = Stream()
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())), stream.commit("a", put(f"{LIKE}/1", like(SUBJECT))))
    await keyed.write(stream.commit("author", delete(f"{POST}/1")), stream.commit("author", put(f"{POST}/1", post())))
    assert await likes(keyed) == []
    assert await keyed.write(stream.commit("a", delete(f"{LIKE}/1"), put(f"{LIKE}/2", like(SUBJECT)))) == ["applied"]
    assert [uri for uri, _ in await likes(keyed)] == [f"at://{did('a')}/{LIKE}/2"]


async def test_a_letter_that_is_closed_while_it_is_looked_at_is_not_applied(keyed: Worker) -> None:
    """The retry has read the frame, then a delete comes in between: the function looks again, holding the repo's row."""
    stream = Stream()
    early = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)), put(f"{LIKE}/2", like(f"at://{did('author')}/{POST}/2")))
    await keyed.write(early)
    await keyed.write(stream.commit("author", put(f"{POST}/1", post()), put(f"{POST}/2", post())))
    await keyed.write(stream.commit("a", delete(f"{LIKE}/1")))
    await apply_one(keyed.connection, Mode.RETRY, build([early]))
    assert [uri for uri, _ in await likes(keyed)] == [f"at://{did('a')}/{LIKE}/2"]


async def test_a_path_named_twice_in_a_commit_that_waits_ends_as_its_last_operation_says(keyed: Worker) -> None:
    stream = Stream()
    follows = put(f"{FOLLOW}/1", follow(did("x")))
    await keyed.write(stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)), delete(f"{LIKE}/1"), follows))
    await keyed.write(stream.commit("author", put(f"{POST}/1", post())))
    await turn(keyed)
    assert await likes(keyed) == []
    assert await keyed.value("SELECT count(*) FROM follows") == 1
    assert await keyed.letters() == []


async def test_an_account_whose_row_the_application_deleted_gets_one_again(database: str) -> None:
    key = "ALTER TABLE posts ADD FOREIGN KEY (author_did) REFERENCES users (did) ON DELETE CASCADE"
    async with connected(database) as connection:
        await connection.execute(TABLES + key)
    async with opened(database) as worker:
        stream = Stream()
        await worker.write(stream.commit("a", put(f"{POST}/1", post())))
        await worker.connection.execute("DELETE FROM users")
        waits, next_one = (stream.commit("a", put(f"{POST}/{n}", post())) for n in (2, 3))
        assert await worker.write(waits, next_one) == ["refused:23503", "applied"]
        assert await turn(worker) == 1
        assert await worker.column("SELECT right(uri, 1) FROM posts ORDER BY 1") == ["2", "3"]
        assert await worker.letters() == []


async def test_a_trigger_that_calls_its_refusal_a_foreign_key_s_names_no_row(application: str) -> None:
    async with opened(application) as worker:
        await worker.connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not yet' USING ERRCODE = 'foreign_key_violation'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        )
        assert await worker.write(Stream().commit("a", put(f"{POST}/1", post()))) == ["refused:23503"]
        assert await turn(worker) == 0
        assert [letter[1:] for letter in await worker.letters()] == [("foreign_key", "not yet", 2)]
        assert await worker.value("SELECT awaited IS NULL FROM unified_worker.dead_letters")
        await worker.connection.execute("DROP TRIGGER refuse ON posts; " + DUE)
        assert await turn(worker) == 1


REFERRING = "CREATE TABLE bookmarks ({} varchar(512) REFERENCES posts (uri) ON DELETE {} {})"


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT"])
@pytest.mark.parametrize("deferred", ["", "DEFERRABLE INITIALLY DEFERRED"])
@pytest.mark.parametrize("column", ["post_uri", "uri"])
async def test_a_delete_that_is_refused_waits_till_nothing_refers_to_the_row(
    both_worker: Worker, action: str, deferred: str, column: str
) -> None:
    """It is told apart from a missing row without the server's words; looking costs no attempt."""
    worker, stream = both_worker, Stream()
    await worker.write(stream.commit("author", put(f"{POST}/1", post())))
    await worker.connection.execute(REFERRING.format(column, action, deferred))
    await worker.connection.execute("INSERT INTO bookmarks VALUES ($1)", SUBJECT)
    late = stream.commit("author", delete(f"{POST}/1"), put(f"{FOLLOW}/1", follow(did("x"))))
    assert await worker.write(late) == ["refused:23001"]
    assert [letter[:2] for letter in await worker.letters()] == [(f"{POST}/1", "referenced"), (f"{FOLLOW}/1", "referenced")]
    assert await worker.column("SELECT awaited FROM unified_worker.dead_letters") == [["bookmarks", column, SUBJECT]] * 2
    for _ in range(3):
        assert await turn(worker) == 0
    assert [letter[3] for letter in await worker.letters()] == [1, 1]
    await worker.connection.execute("DELETE FROM bookmarks")
    assert await turn(worker) == 1
    assert await worker.value("SELECT count(*) FROM posts") == 0
    assert await worker.value("SELECT count(*) FROM follows") == 1
    assert await worker.letters() == []


async def test_what_is_tried_in_vain_is_tried_later_and_later(application: str) -> None:
    """Attempts, and what they write, are bounded: an hour between two at last."""
    async with connected(application) as connection:
        await connection.execute(
            "ALTER TABLE posts ADD UNIQUE (uri, author_did);"
            "ALTER TABLE likes ADD FOREIGN KEY (post_uri, user_did) REFERENCES posts (uri, author_did)"
        )
    async with opened(application) as worker:
        await worker.write(Stream().commit("author", put(f"{LIKE}/1", like(SUBJECT))))
        waits: list[float] = []
        for _ in range(14):
            await turn(worker)
            assert await turn(worker) == 0
            query = "SELECT extract(epoch FROM retry_at - now())::float8 FROM unified_worker.dead_letters"
            waits.append(await worker.value(query))
            await worker.connection.execute(DUE)
        assert waits == pytest.approx([min(2**n, 3600) for n in range(1, 15)], abs=1)
        assert [letter[3] for letter in await worker.letters()] == [15]


async def test_an_error_is_its_letter_s_alone(keyed: Worker) -> None:
    """One waits for a table that may not be read, one meets an error that speaks of the schema: the third is applied."""
    worker, stream = keyed, Stream()
    waiting = [stream.commit(name, put(f"{LIKE}/1", like(SUBJECT))) for name in "abc"]
    assert await worker.write(*waiting) == ["refused:23503"] * 3
    await worker.connection.execute(
        "UPDATE unified_worker.dead_letters SET awaited = ARRAY['missing', 'uri', 'x'] WHERE did = 'did:plc:a';"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM gone; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON likes FOR EACH ROW WHEN (NEW.user_did = 'did:plc:b') EXECUTE FUNCTION refuse()"
    )
    await worker.write(stream.commit("author", put(f"{POST}/1", post())))
    assert await turn(worker) == 2
    assert await worker.column("SELECT user_did FROM likes ORDER BY 1") == [did("a"), did("c")]
    assert [(letter[1], letter[3]) for letter in await worker.letters()] == [("foreign_key", 2)]
    assert await turn(worker) == 0, "it waits"
    assert await worker.column("SELECT attempts FROM unified_worker.dead_letters") == [2]


async def test_who_wrote_a_refused_record_has_a_row_though_it_is_deleted_before_the_retry(keyed: Worker) -> None:
    stream = Stream()
    written = stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)))
    assert await keyed.write(written, stream.commit("a", delete(f"{LIKE}/1"))) == ["refused:23503", "applied"]
    assert await keyed.letters() == []
    assert await keyed.column("SELECT did FROM users") == [did("a")]
    assert await keyed.value("SELECT has_user FROM unified_worker.repos")


async def test_a_row_of_users_that_is_refused_as_well_stops_nobody(worker: Worker) -> None:
    stream = Stream()
    await worker.connection.execute("ALTER TABLE users ADD CHECK (did NOT LIKE '%a')")
    assert did("a").endswith("a")
    commits = [stream.commit(name, put(f"{POST}/1", post())) for name in "ab"]
    assert await worker.write(*commits) == ["refused:23514", "applied"]
    assert await worker.column("SELECT did FROM users") == [did("b")]
    assert [letter[:2] for letter in await worker.letters()] == [(f"{POST}/1", "database_23514")]
