"""The worker without what it does for those who look on, to tell what that costs: python -m benchmarks.uncounted.

It answers no HTTP if HTTP_BIND is empty, takes no samples, keeps no newest posts, and counts neither operations nor latencies
nor batches. What is left are the plain counts that its own log needs.
"""

import sys
from collections.abc import Sequence

from unified_indexer.command_line import process
from unified_indexer.config.settings import Config
from unified_indexer.database.write.batch import Batch
from unified_indexer.database.write.outcome import Outcome
from unified_indexer.monitoring import history
from unified_indexer.pipeline.lanes import Lane
from unified_indexer.pipeline.processor import EventProcessor
from unified_indexer.pipeline.session import Session
from unified_indexer.relay.until import Until
from unified_worker import UnifiedWorker

NEVER = 1e9  # seconds


class UncountedProcessor(EventProcessor):
    """Counts no operations, and looks at no posts."""

    def _written(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        pass


class UncountedWorker(UnifiedWorker):
    """The worker with that processor, and without latencies."""

    def __init__(self, config: Config, reset_cursor: bool = False, until: Until | None = None) -> None:
        super().__init__(config, reset_cursor, until)
        self.processor = UncountedProcessor(self.pool, self.metrics, self.selection)

    async def _write(self, session: Session, lane: Lane) -> None:
        while batch := await lane.take():
            await self.processor.process_batch(lane.number, [placed.event for placed in batch])
            for placed in batch:
                session.watermark.finish(placed.ticket)
            self.progress.finished(len(batch))


if __name__ == "__main__":
    history.INTERVAL = NEVER
    sys.exit(process.main(UncountedWorker, []))
