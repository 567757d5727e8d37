"""Whatever a record holds: what becomes a row is taken by the database, in either schema, and what is not is refused before."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from testing.commits import FOLLOW, LIKE, POST, PROFILE, Stream, did, follow, like, post, put
from testing.database_side import Worker
from testing.garbage import any_record, key_of
from testing.model import LIST_ITEM, POST_GATE, THREAD_GATE
from unified_indexer.metrics import Metrics

COUNT = 600
OWN = (LIST_ITEM, POST_GATE, THREAD_GATE)  # they point at what is the account's own: the garbage's is someone's
PLENTY = settings(
    max_examples=COUNT,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def garbage() -> list[tuple[str, Any]]:
    """Records as hypothesis draws them, made before there is a loop of the database's."""
    drawn: list[tuple[str, Any]] = []

    @seed(20260701)
    @PLENTY
    @given(any_record)
    def draw(record: tuple[str, Any]) -> None:
        drawn.append(record)

    draw()
    return drawn


@pytest.mark.long
async def test_no_record_that_became_a_row_is_refused_by_the_database(both_worker: Worker) -> None:
    records = await asyncio.to_thread(garbage)
    stream = Stream()
    commits = [
        stream.commit("someone" if collection in OWN else f"a{n}", put(f"{collection}/{key_of(collection, str(n))}", record))
        for n, (collection, record) in enumerate(records)
    ]
    assert len(commits) >= COUNT
    for first in range(0, len(commits), 200):
        await both_worker.processor.process_batch(0, commits[first : first + 200])
    metrics: Metrics = both_worker.metrics
    assert [reason for reason in metrics.refused if reason.startswith(("database", "foreign_key"))] == []
    assert len(metrics.refused) >= 5, "the garbage is too tidy"
    stored = {table: len(rows) for table, rows in (await both_worker.rows()).items()}
    assert all(count > 10 for count in stored.values()), stored
    letters = await both_worker.value("SELECT count(*) FROM unified_worker.dead_letters")
    # Someone's gates are all of one post, so that the next one closes the letter of the last; test_contract.py looks at each.
    assert sum(metrics.refused.values()) - len(commits) / 10 < letters <= sum(metrics.refused.values())


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "word " * 200_000,
        " ".join(f"w{n}" for n in range(140_000)),
        "a-b-c-" * 150_000,
        "http://example.com/" + "a/b/" * 200_000,
        "你好" * 150_000,
        "🙂" * 240_000,
        "\0" * 500_000,
        "\\u0000" * 100_000,
        "'" * 900_000,
    ],
    ids=["one word", "one word often", "many words", "hyphens", "a path", "Chinese", "emoji", "NULs", "escapes", "quotes"],
)
async def test_a_megabyte_of_text_is_stored_whole(worker: Worker, text: str) -> None:
    stream = Stream()
    profile = {"$type": PROFILE, "description": text}
    commits = [stream.commit("a", put(f"{POST}/1", post(text))), stream.commit("b", put(f"{PROFILE}/self", profile))]
    assert await worker.write(*commits) == ["applied", "applied"]
    assert await worker.letters() == []
    expected = text.replace("\0", "")
    assert await worker.value("SELECT text FROM posts") == expected
    assert await worker.value("SELECT description FROM users WHERE did = $1", did("b")) == expected


async def test_nothing_but_the_bad_operation_is_refused(both_worker: Worker) -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    bad: list[Any] = [deep, 1.5, 2**63, {"$link": "x"}, {"$type": ""}]
    ops = [put(f"{POST}/bad{n}", post(embed={"x": value})) for n, value in enumerate(bad)]
    subject = f"at://{did('x')}/{POST}/1"
    good = [put(f"{POST}/good", post()), put(f"{LIKE}/good", like(subject)), put(f"{FOLLOW}/good", follow(did("x")))]
    assert await both_worker.write(Stream().commit("a", *ops[:3], *good, *ops[3:])) == ["applied"]
    reasons = [letter[1] for letter in await both_worker.letters()]
    assert reasons == ["record_too_deep", "float", "integer_range", "reserved_key", "bad_type"]
    assert [len(rows) for rows in (await both_worker.rows()).values()] == [1, 1, 1, 0, 1]


@pytest.mark.parametrize("length", [36, 200, 1000])
async def test_a_picture_of_an_odd_cid(both_worker: Worker, length: int) -> None:
    """A CID of the identity hash may be of any length."""
    odd = b"\x01\x55\x00" + (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + bytes(length)
    blob = {"$type": "blob", "ref": odd, "mimeType": "image/png", "size": 1}
    await both_worker.write(Stream().commit("a", put(f"{PROFILE}/self", {"$type": PROFILE, "avatar": blob})))
    assert not [letter for letter in await both_worker.letters() if letter[1].startswith("database")]
