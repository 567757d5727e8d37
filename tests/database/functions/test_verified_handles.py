"""Who holds a handle where claims are checked: whom its name led to last, and nobody by a claim alone."""

from collections.abc import AsyncGenerator

import pytest

from testing.commits import PROFILE, Stream, did, profile, put
from testing.database_side import Worker, opened

HANDLES = "SELECT right(did, 1), handle FROM users ORDER BY 1"
SETTLE = "SELECT unified_worker.settle_handle($1, $2)"
WAITING = "SELECT right(did, 1) FROM unified_worker.handle_checks ORDER BY asked"
NONE = "handle.invalid"


@pytest.fixture
async def confirming(database: str) -> AsyncGenerator[Worker]:
    """A worker that checks handles, and three accounts."""
    async with opened(database, confirm=True) as worker:
        await worker.write(*(Stream(seq=n).commit(name, put(f"{PROFILE}/self", profile(name))) for n, name in enumerate("abc")))
        yield worker


async def held(worker: Worker) -> dict[str, str]:
    return dict(await worker.connection.fetch(HANDLES))


async def settled(worker: Worker, name: str, handle: str | None) -> dict[str, str]:
    """What is shown once the check of an account has found this handle, or none; each later by a second than the one before."""
    assert await worker.value(SETTLE, did(name), handle)
    await worker.connection.execute("UPDATE unified_worker.repos SET handle_place = handle_place + 1 WHERE handle_place < 0")
    return await held(worker)


async def test_a_verified_claim_takes_the_handle_and_no_other_does(confirming: Worker) -> None:
    worker, stream = confirming, Stream(seq=10)
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", "x.test"))
    assert await held(worker) == {"a": "x.test", "b": NONE, "c": NONE}, "unverified: the first one"
    assert await settled(worker, "b", "x.test") == {"a": NONE, "b": "x.test", "c": NONE}
    await worker.write(stream.identity("c", "x.test"), stream.identity("a", "y.test"), stream.identity("a", "x.test", seq=1000))
    assert await held(worker) == {"a": NONE, "b": "x.test", "c": NONE}
    assert await settled(worker, "c", "x.test") == {"a": NONE, "b": NONE, "c": "x.test"}, "the name leads there by now"
    assert await settled(worker, "b", "x.test") == {"a": NONE, "b": "x.test", "c": NONE}


async def test_a_refuted_claim_holds_nothing_however_often_it_is_made(confirming: Worker) -> None:
    worker, stream = confirming, Stream(seq=10)
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", "x.test"))
    assert await settled(worker, "a", None) == {"a": NONE, "b": "x.test", "c": NONE}, "b has waited for it"
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", NONE))
    assert await held(worker) == {"a": NONE, "b": NONE, "c": NONE}
    await worker.write(stream.identity("a", "new.test"))
    assert (await held(worker))["a"] == "new.test", "that one was not checked yet"
    assert (await settled(worker, "a", "x.test"))["a"] == "x.test"


async def test_a_message_takes_nobody_s_verified_handle(confirming: Worker) -> None:
    """A relay may say of an account what it likes, so that another could have its handle meanwhile."""
    worker, stream = confirming, Stream(seq=10)
    await worker.write(stream.identity("a", "x.test"))
    assert (await settled(worker, "a", "x.test"))["a"] == "x.test"
    for forged in ("slur.test", NONE):
        await worker.write(stream.identity("a", forged), stream.identity("b", "x.test"))
        assert await held(worker) == {"a": "x.test", "b": NONE, "c": NONE}
    assert "a" in await worker.column(WAITING)
    assert (await settled(worker, "a", "y.test")) == {"a": "y.test", "b": "x.test", "c": NONE}, "it has moved indeed"
    await worker.write(stream.account("a", False, "deactivated"), stream.account("a", True))
    assert (await held(worker))["a"] == "y.test"


async def test_a_handle_that_is_found_without_a_claim_is_shown(confirming: Worker) -> None:
    assert (await settled(confirming, "a", "x.test"))["a"] == "x.test"
    assert not await confirming.value(SETTLE, did("stranger"), "x.test")


async def test_an_account_waits_once_and_not_again_within_a_day(confirming: Worker) -> None:
    worker, stream = confirming, Stream(seq=10)
    await worker.write(*(stream.identity(name, handle) for handle in ("x.test", "y.test") for name in "ba"))
    assert await worker.column(WAITING) == ["b", "a"]
    await worker.connection.execute("DELETE FROM unified_worker.handle_checks")
    await settled(worker, "a", "y.test")
    await worker.write(stream.identity("a", "y.test"))
    assert await worker.column(WAITING) == []
    await worker.connection.execute("UPDATE unified_worker.repos SET handle_checked_at = now() - interval '25 hours'")
    await worker.write(stream.identity("a", "y.test"))
    assert await worker.write(stream.identity("b", None)) == ["no_news"]
    assert await worker.column(WAITING) == ["a", "b"]


async def test_who_was_refuted_is_checked_again_a_minute_later(confirming: Worker) -> None:
    """It may have mended its name since. Many messages ask once."""
    worker, stream = confirming, Stream(seq=10)
    await worker.write(stream.identity("a", "x.test"))
    await worker.connection.execute("DELETE FROM unified_worker.handle_checks")
    await settled(worker, "a", None)
    rows: list[tuple[int, float]] = []
    for claim in ("x.test", "x.test", None):
        await worker.write(stream.identity("a", claim))
        row = await worker.connection.fetchrow(
            "SELECT asked, extract(epoch FROM retry_at - now())::float8 FROM unified_worker.handle_checks"
        )
        assert row is not None
        rows.append((row[0], row[1]))
    assert len({asked for asked, _ in rows}) == 1
    assert all(50 < wait <= 60 for _, wait in rows)


async def test_a_check_that_is_under_way_is_asked_for_anew_once(confirming: Worker) -> None:
    """A flood of messages would use up the numbers by which those that wait are bounded."""
    worker, stream = confirming, Stream(seq=10)
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", "x.test"))
    await worker.connection.execute(
        "UPDATE unified_worker.handle_checks SET retry_at = now() + interval '1 minute' WHERE did = $1", did("a")
    )
    for number in range(20):
        await worker.write(stream.identity("a", f"x{number}.test"))
    assert await worker.column(WAITING) == ["b", "a"]
    assert await worker.value("SELECT max(asked) - min(asked) FROM unified_worker.handle_checks") < 3
    assert await worker.value("SELECT bool_and(retry_at <= now()) FROM unified_worker.handle_checks")


async def test_those_that_wait_are_bounded(confirming: Worker) -> None:
    worker, stream = confirming, Stream(seq=10)
    await worker.connection.execute(
        """INSERT INTO unified_worker.handle_checks (did, asked) OVERRIDING SYSTEM VALUE
        VALUES ('did:plc:first', -1), ('did:plc:last', 1000000)"""
    )
    await worker.write(stream.identity("a", "x.test"))
    assert len(await worker.column(WAITING)) == 2


async def test_a_deleted_account_s_handle_is_free_and_must_be_checked_anew(confirming: Worker) -> None:
    worker, stream = confirming, Stream(seq=10)
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", "x.test"))
    await settled(worker, "a", "x.test")
    await worker.write(stream.account("a", False, "deleted"))
    assert (await held(worker))["a"] == "x.test", "not confirmed"
    await worker.connection.execute("SELECT unified_worker.confirm_deletion(did, since) FROM unified_worker.deletions")
    assert await held(worker) == {"a": NONE, "b": "x.test", "c": NONE}
    await worker.connection.execute("DELETE FROM unified_worker.handle_checks")
    await worker.write(stream.account("a", True))
    assert (await held(worker))["b"] == "x.test"
    assert await worker.column(WAITING) == ["a"]
    assert (await settled(worker, "a", "x.test"))["a"] == "x.test"


async def test_without_checks_nobody_waits_for_one(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.identity("a", "x.test"), stream.identity("a", None))
    assert await worker.column(WAITING) == []
