"""An account's own server says what it likes about time; nobody's rows, lag or readiness follow it."""

from datetime import UTC, datetime

import pytest

from relay_simulator.records import POST, Record
from relay_simulator.repository import written
from relay_simulator.server import RelayServer
from testing.authors import SECOND, START, Author, liking
from testing.databases import connected, differences
from testing.traffic import traffic_of
from testing.workers import finished, running
from unified_indexer.monitoring.readiness import reasons

YEAR = 365 * 86_400
FAR = (datetime(2999, 1, 1, tzinfo=UTC) - datetime(2026, 7, 1, tzinfo=UTC)).total_seconds()
AHEAD = datetime.now(UTC).timestamp() - START / SECOND + YEAR


@pytest.mark.parametrize("crowd", [1, 30])
async def test_times_of_the_far_future_are_not_believed(database: str, crowd: int) -> None:
    """`crowd`: honest accounts before; thirty are enough for a median."""
    liar, last = Author("liar"), Author("last")
    future: Record = {"$type": POST, "text": "first for ever", "createdAt": "2999-01-01T00:00:00Z"}
    names = [f"crowd{letter}{other}" for letter in "abcdef" for other in "abcdef"][:crowd]
    stream = [Author(name).commit(seq, seq / 10, liking("create", "x", seq)) for seq, name in enumerate(names, 1)]
    stream += [
        liar.commit(101, FAR, written("create", POST, "p", future), rev_second=4),
        liar.account(102, FAR, active=True),
        liar.commit(103, AHEAD, liking("create", "refused", 1)),
        liar.commit(104, 5, liking("create", "honest", 2)),
        last.commit(105, FAR, liking("create", "x", 3), rev_second=5),
    ]
    async with RelayServer([sent.frame for sent in stream]) as relay, running(database, relay.url) as worker:
        await finished(worker, 105)
        assert worker.metrics.refused == {"rev_in_future": 1}
        assert "lag" in [reason.name for reason in reasons(worker.gauges, 60)]
    assert await differences(database, traffic_of(stream).model) == []
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT max(sort_at) < now() FROM feed_items")
        assert await connection.fetchval("SELECT count(*) FROM likes WHERE uri LIKE '%/honest'") == 1
        assert await connection.fetchval("SELECT last_event_time < '2026-07-02' FROM firehose_cursor")
