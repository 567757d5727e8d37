"""Accounts whose letters go first: read once, bounded, and each at most once a minute."""

import pytest

from testing.database_side import Worker
from unified_indexer.trust import lettered
from unified_indexer.trust.lettered import Lettered

LETTER = """
INSERT INTO unified_worker.dead_letters (did, rev, path, seq, reason, detail, frame_sha256, forged)
VALUES ($1, 'r', 'p', 1, $2, '', '\\x00', true)
"""


async def test_letters_of_the_sessions_before_are_known(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.database.dead_letters.unproven.AT_ONCE", 2)
    for number in range(5):
        await worker.connection.execute(LETTER, f"did:{number}", "unproven")
    await worker.connection.execute(LETTER, "did:other", "bad_signature")
    found = Lettered(worker.pool)
    assert not found.take("did:1")
    await found.load()
    assert [found.take(f"did:{number}") for number in (0, 1, 2, 3, 4, 5)] == [True] * 5 + [False]
    assert not found.take("did:other")
    await worker.connection.execute(LETTER, "did:6", "unproven")
    await found.load()
    assert not found.take("did:6"), "it was read once: what comes later is noted"


def test_letters_of_an_account_go_first_once_a_minute(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Lettered(worker.pool)
    found.note("did:a")
    assert found.take("did:a")
    found.note("did:a")
    assert not found.take("did:a")
    monkeypatch.setattr(lettered, "INTERVAL", -1.0)
    found.note("did:b")
    assert found.take("did:b")
    found.note("did:b")
    assert found.take("did:b")


def test_they_are_bounded(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettered, "MOST", 2)
    found = Lettered(worker.pool)
    for name in "abc":
        found.note(name)
    assert [found.take(name) for name in "abc"] == [False, True, True]


async def test_of_too_many_in_the_database_those_that_wait_for_a_key_are_known(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters of accounts that have no identity stay for ever, and anybody can make such accounts up."""
    monkeypatch.setattr(lettered, "MOST", 3)
    monkeypatch.setattr("unified_indexer.database.dead_letters.unproven.AT_ONCE", 2)
    for number in range(5):
        await worker.connection.execute(LETTER, f"did:{number}", "no_identity")
    for name in ("x", "y"):
        await worker.connection.execute(LETTER, f"did:{name}", "unproven")
    found = Lettered(worker.pool)
    await found.load()
    assert [name for name in "01234xy" if f"did:{name}" in found] == ["3", "x", "y"]
    found.note("did:z")
    assert [name for name in "3xyz" if f"did:{name}" in found] == ["x", "y", "z"], "the others go before them"
