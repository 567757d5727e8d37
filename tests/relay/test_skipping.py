"""Getting past a message that can't be read: in steps of 1, 2, 4, …, only there, and each such message is counted once."""

import logging

import pytest

from unified_indexer.metrics import Metrics
from unified_indexer.relay.position import Position, Stored
from unified_indexer.relay.skipping import REFUSALS, Skipping

TOO_BIG, NOT_UTF8 = 1009, 1007


def at(seq: int | None) -> tuple[Skipping, Position, Metrics]:
    position, metrics = Position("relay.test", Stored(seq), None), Metrics()
    return Skipping(position, metrics), position, metrics


def test_the_first_time_it_is_asked_for_again_then_the_steps_grow(caplog: pytest.LogCaptureFixture) -> None:
    skipping, _, metrics = at(100)
    asked: list[int | None] = []
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            asked.append(skipping.cursor)
            assert skipping.passing_over == (skipping.cursor != 100)
            skipping.closed(TOO_BIG, "too big")
    assert asked == [100, 100, 101, 102, 104, 108]
    assert metrics.refused == {"frame_too_big": 1}
    assert caplog.messages[0] == "A message after seq 100 cannot be read: too big"
    assert caplog.messages[-1] == "Skipping everything between the seqs 100 and 116"


def test_only_the_position_where_it_happened_is_passed_over() -> None:
    skipping, position, metrics = at(100)
    for _ in range(4):
        skipping.closed(TOO_BIG, "too big")
    position.arrived(110, None)
    assert (skipping.cursor, skipping.passing_over) == (110, False)
    skipping.closed(NOT_UTF8, "not UTF-8")
    assert skipping.cursor == 110  # another message: it may have been the network's fault
    assert metrics.refused == {"frame_too_big": 1, "websocket_protocol_error": 1}


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011])
def test_other_ends_of_a_connection_pass_nothing_over(code: int | None) -> None:
    skipping, _, metrics = at(100)
    for _ in range(4):
        skipping.closed(code, "gone")
    assert (skipping.cursor, skipping.passing_over) == (100, False)
    assert not metrics.refused
    assert code not in REFUSALS


def test_a_live_stream_that_brought_nothing_has_nothing_to_pass_over() -> None:
    skipping, _, _ = at(None)
    for _ in range(4):
        skipping.closed(TOO_BIG, "too big")
    assert (skipping.cursor, skipping.passing_over) == (None, False)


def test_a_step_is_bounded() -> None:
    skipping, _, _ = at(100)
    for _ in range(1_000):
        skipping.closed(TOO_BIG, "too big")
    assert skipping.cursor == 100 + 2**40
