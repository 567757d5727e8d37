"""Names and texts made to break out of a statement are stored as they are, and the tables' schema may have such a name."""

from typing import Any

import pytest

from relay_simulator.encoding import frame
from testing.application_schema import TABLES
from testing.commits import LIKE, POST, PROFILE, START, Stream, at, delete, did, like, post, profile, put
from testing.database_side import TABLES as LOOKED_AT
from testing.database_side import Worker, opened
from testing.databases import connected
from tests.conftest import fresh
from tests.database.schema.test_schema import write_story
from unified_indexer.config.chosen import Chosen
from unified_indexer.database.background.chosen import Choosing
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.background.wiper import wipe_step
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import OperatorError
from unified_indexer.pipeline.cursor import Cursor
from unified_indexer.pipeline.watermark import Watermark
from unified_indexer.protocol.events import Account
from unified_indexer.protocol.frames import decode
from unified_indexer.selection import Selection

LIST, GENERIC = "app.bsky.graph.list", "com.example.thing"
TEXTS = [
    "'; DROP TABLE posts; --",
    '"; DROP TABLE posts; --',
    "$$ $apply$ $1 $remove$",
    "{schema} {0} {} {{ }} {table}",
    "%s %(name)s % %% %I",
    "\\ \\\\ \\' \\u0041 E'\\n'",
    "a\nb\r\n\t--\n/* */",
    "\\x00 \\u0000",
    "NULL",
    "]]>\u202e\ufeff",
    '{1,2} {"a"} ,()',
]
SCHEMA = "We\"ird {schema} {0} %s $$ 'x' \\ é;--"


async def test_texts_and_paths_are_stored_as_they_are(both_worker: Worker) -> None:
    stream, value = Stream(), both_worker.value
    for number, text in enumerate(TEXTS):
        who, no_path = did(f"a{number}"), f"{POST}/{text}!"
        commit = stream.commit(
            f"a{number}",
            put(f"{POST}/1", post(text, tags=[text], langs=[text], embed={text: text})),
            put(f"{PROFILE}/self", profile(text, description=text)),
            put(f"{LIST}/1", {"$type": LIST, "name": text, "purpose": text, "description": text, "createdAt": at(0)}),
            put(f"{GENERIC}/1", {"$type": GENERIC, text: {"deep": [text]}}),
            put(no_path, post()),
        )
        said = {"seq": 1_000 + number, "did": who, "time": at(number), "active": True, "status": text}
        assert await both_worker.write(commit, message("#account", said)) == ["applied", "applied"]
        posted = "SELECT ARRAY[text, tags ->> 0, langs ->> 0, embed ->> $1] FROM posts WHERE author_did = $2"
        assert await value(posted, text, who) == [text] * 4
        assert await value("SELECT ARRAY[display_name, description] FROM users WHERE did = $1", who) == [text] * 2
        assert await value("SELECT ARRAY[name, purpose, description] FROM lists WHERE creator_did = $1", who) == [text] * 3
        assert await value("SELECT record -> $1 -> 'deep' ->> 0 FROM generic_records WHERE author_did = $2", text, who) == text
        assert await value("SELECT status FROM unified_worker.repos WHERE did = $1", who) == text
        assert await value("SELECT path FROM unified_worker.dead_letters WHERE did = $1", who) == no_path
    assert await value("SELECT count(*) FROM posts") == len(TEXTS)


def message(kind: str, said: dict[str, Any]) -> Account:
    event = decode(frame(kind, said))
    assert isinstance(event, Account)
    return event


async def test_names_with_the_protocol_s_own_signs(both_worker: Worker) -> None:
    """Per cent in a DID, colon and tilde in a key: legal, and signs of many a template language."""
    account, key = "web%3A%s:x%2F..", "a.b_c:d~e-f"
    uri = f"at://{did(account)}/{POST}/{key}"
    stream = Stream()
    await both_worker.write(
        stream.commit(account, put(f"{POST}/{key}", post())),
        stream.commit("b", put(f"{LIKE}/{key}", like(uri))),
    )
    assert await both_worker.value("SELECT post_uri FROM likes") == uri
    assert await both_worker.value("SELECT like_count FROM post_aggregations WHERE post_uri = $1", uri) == 1
    await both_worker.write(stream.commit(account, delete(f"{POST}/{key}")))
    assert await both_worker.value("SELECT count(*) FROM posts") == 0


async def everything(worker: Worker) -> list[object]:
    """All that a worker does, and what is in the tables after it."""
    await write_story(worker)
    cursor = Cursor(worker.pool, "relay.test")
    schema = await worker.value("SELECT quote_ident(current_schema())")
    await cursor.start(schema, "live", forget=True)
    watermark = Watermark()
    watermark.finish(watermark.arrive(7, START))
    await cursor.save(watermark)
    await worker.connection.execute(
        "INSERT INTO user_settings (user_did, data_collection_forbidden) VALUES ('did:plc:z', true)"
    )
    selection = Selection()
    await Choosing(worker.pool, selection, Chosen()).start(schema)
    gone = {"seq": 99, "did": did("c"), "time": at(90), "active": False, "status": "deleted"}
    await worker.write(message("#account", gone))
    assert await wipe_step(worker.connection, did("c"))
    await worker.connection.execute("DELETE FROM post_aggregations")
    assert await Rebuild(worker.pool).run()
    counts = await worker.connection.fetch("SELECT post_uri, like_count, reply_count FROM post_aggregations ORDER BY 1")
    stored = await cursor.start(schema, "live", forget=False)
    return [await worker.rows(LOOKED_AT), [tuple(row) for row in counts], selection.opted_out, stored]


async def test_a_schema_of_a_hostile_name(both_worker: Worker, pg18: PostgresServer) -> None:
    """Where the search_path leads to: with the application's tables, or with those that the worker makes there."""
    expected = await everything(both_worker)
    tables = await both_worker.value("SELECT min(tables_by) FROM unified_worker.schema_version")
    async for url in fresh(pg18):
        async with connected(url) as connection:
            quoted = await connection.fetchval("SELECT quote_ident($1)", SCHEMA)
            name = await connection.fetchval("SELECT current_database()")
            await connection.execute(f"CREATE SCHEMA {quoted}; ALTER DATABASE {name} SET search_path = {quoted}")
            if tables == "application":
                await connection.execute(f"SET search_path = {quoted}; {TABLES}")
        async with opened(url) as worker:
            assert await everything(worker) == expected
            assert await worker.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
            assert await worker.value("SELECT min(tables_by) FROM unified_worker.schema_version") == tables


async def test_a_schema_s_name_that_would_end_a_function_s_text_is_refused(database: str) -> None:
    async with connected(database) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'CREATE SCHEMA "a$apply$b"; ALTER DATABASE {name} SET search_path = "a$apply$b"')
    with pytest.raises(OperatorError, match="rename it"):
        async with opened(database):
            pass
