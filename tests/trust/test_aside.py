"""What waits aside keeps its account's order, and is bounded."""

from datetime import UTC, datetime

import pytest

from unified_indexer.pipeline.lanes import Lane, Placed
from unified_indexer.pipeline.watermark import Ticket
from unified_indexer.protocol.events import Sync, Unusable
from unified_indexer.trust import aside as aside_module
from unified_indexer.trust.aside import MAX_MESSAGES, MAX_OF_ONE, Aside

A, B = "did:plc:a", "did:plc:b"
START = datetime(2026, 7, 1, tzinfo=UTC)


def placed(seq: int, did: str = A, size: int = 1) -> Placed:
    return Placed(Ticket(seq, None), Unusable(seq, did, None, None, (), "", "", bytes(size)))


async def test_what_waited_comes_before_what_came_since() -> None:
    lane, aside = Lane(0, 10, 1_000), Aside()
    assert all(aside.put(A, placed(seq)) for seq in (1, 2))
    assert aside.put(B, placed(3, B))
    await lane.put(placed(4))
    aside.back(A, lane, answered=True)
    assert [(item.event.seq, item.answered) for item in await lane.take()] == [(1, True), (2, True), (4, None)]
    assert (len(aside), A in aside, B in aside, lane.bytes) == (1, False, True, 0)


def provable(seq: int, did: str = A) -> Placed:
    return Placed(Ticket(seq, None), Sync(seq, did, "3222222222222", START, b"", b"", b""))


def test_one_account_leaves_room_for_others() -> None:
    aside = Aside()
    assert [aside.put(A, provable(seq)) for seq in range(MAX_OF_ONE + 1)] == [True] * MAX_OF_ONE + [False]
    assert aside.put(B, provable(0, B))


def test_messages_about_an_account_leave_room_for_its_commits() -> None:
    aside = Aside()
    assert [aside.put(A, placed(seq)) for seq in range(MAX_MESSAGES + 1)] == [True] * MAX_MESSAGES + [False]
    room = MAX_OF_ONE - MAX_MESSAGES
    assert [aside.put(A, provable(seq)) for seq in range(room + 1)] == [True] * room + [False]


@pytest.mark.parametrize(("name", "most"), [("MAX_EVENTS", 3), ("MAX_BYTES", 3)])
def test_what_waits_is_bounded_in_number_and_in_bytes(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside_module, name, most)
    aside = Aside()
    assert [aside.put(f"did:plc:{number}", placed(number)) for number in range(4)] == [True, True, True, False]
    assert len(aside) == 3
    lane = Lane(0, 10, 10)
    for number in range(3):
        aside.back(f"did:plc:{number}", lane, answered=False)
    assert aside.put(A, placed(9))
