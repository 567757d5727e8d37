"""--until: what it takes, and when it is reached."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from unified_indexer.protocol.events import Ignored, Info, Unusable
from unified_indexer.relay.position import Position, Stored
from unified_indexer.relay.until import Until

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


class OneFrame:
    """A source of one frame."""

    connected = True
    next_attempt_at: float | None = None

    async def frames(self) -> AsyncGenerator[bytes, None]:
        yield b"one"

    def disconnect(self, reason: str) -> None:
        """There is no connection."""

    def stop(self) -> None:
        """It ends by itself."""


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "9223372036854775808", "2026-13-01", "12:00", "1e3"])
def test_what_is_neither_a_seq_nor_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a seq"):
        Until(text)


@pytest.mark.parametrize("text", ["2026-11-29T12:00:00Z", "2026-11-29 12:00", "2026-11-29T13:00+01:00", " 2026-11-29T12:00 "])
def test_a_time_is_reached_by_the_stream_s_time(text: str) -> None:
    until = Until(text)
    assert not until.reached(10**18, NOON - timedelta(microseconds=1))
    assert not until.reached(10**18, None)
    assert until.reached(None, NOON)
    assert not until.is_before(Ignored(10**18, "unknown_type"))


def test_a_seq_is_reached_by_itself_and_by_a_later_one_that_is_left_alone() -> None:
    until = Until("500")
    assert not until.is_before(Ignored(500, "unknown_type"))
    assert not until.reached(499, NOON)
    assert until.reached(500, None)
    assert not until.is_before(Info("OutdatedCursor", None))
    salvaged = Unusable(9_000, None, None, None, (), "undecodable", "", b"", salvaged=True)
    assert not until.is_before(salvaged)
    assert not until.reached(499, None)
    assert until.is_before(Ignored(502, "unknown_type"))
    assert until.reached(499, None)
    assert until.is_before(Ignored(500, "unknown_type")), "what comes after a later one is not taken in either"


@pytest.mark.promise(2)
async def test_a_session_after_a_lost_lock_reads_again_what_the_one_before_had_not_written() -> None:
    until = Until("300")
    assert until.is_before(Ignored(301, "unknown_type"))
    position = Position("relay.test", Stored(290), 0)
    assert [one async for one in until.frames(OneFrame(), position)] == [b"one"]
