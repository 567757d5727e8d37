"""The worker: a relay's firehose in, ordered rows in PostgreSQL out, and a seq that the cursor has passed is in the database.

firehose.frames() ─► on_message_handler ─► frames.decode ─► lanes.put (by DID; waits when full)
                                                               │ one task and one connection a lane
                                  EventProcessor ─► CALL apply_commits(…) ─► watermark.finish ─► cursor
"""

import asyncio
import logging
import math
import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import assert_never

from indexer.command_line import process
from indexer.config.settings import Config
from indexer.database.background.judge import Judge
from indexer.database.background.opt_outs import UserSettings
from indexer.database.background.rebuild import Rebuild
from indexer.database.background.runs import Run
from indexer.database.background.sizes import Sizes
from indexer.database.background.stuck import Stuck
from indexer.database.background.sweeper import Sweeper
from indexer.database.background.waiting import Pending
from indexer.database.background.wiper import Wiper
from indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy
from indexer.database.connection.pool import DatabasePool, LockLost
from indexer.database.schema.ready import START_PATIENCE, make_ready
from indexer.errors import Stop, told
from indexer.json import SafeJSONEncoder
from indexer.log.handler import warn_limited
from indexer.metrics import Metrics
from indexer.monitoring.gauges import Gauges
from indexer.monitoring.progress import Progress
from indexer.pipeline.cursor import Cursor
from indexer.pipeline.lanes import Lane, Lanes, Placed
from indexer.pipeline.processor import EventProcessor
from indexer.pipeline.watermark import Ticket, Watermark
from indexer.protocol.events import Account, Commit, Identity, Ignored, Info, StreamError, Sync, Unusable
from indexer.protocol.frames import decode
from indexer.records import RECORD_TYPES
from indexer.records.base.record_type import RecordType
from indexer.relay.firehose import Firehose
from indexer.relay.position import Stream
from indexer.selection import Selection

__all__ = ["DatabasePool", "EventProcessor", "SafeJSONEncoder", "UnifiedWorker", "main"]

log = logging.getLogger("unified_worker")

# While one lane's batch is made, or flushed to disk, another's is at work: two lanes a core do 5 % more than one (measured).
# Beyond four connections there is nothing to gain on two cores, and batches get smaller.
LANES_A_CORE = 2
MOST_LANES = 4
START_PAUSE = 1.0  # seconds between two attempts to start

FUTURE_CURSOR = (
    "{host} does not know our cursor {seq} yet ({message}): its numbering is another than the one that the cursor was stored "
    "under. Two ways on: start with --reset-cursor and CURSOR=oldest to read all that it holds (replaying is harmless), or set "
    "RELAY_URL to the relay that the cursor came from"
)


class UnifiedWorker:
    """The whole flow. `initialize` readies the database, `run` works until `stop`; `metrics` says what happened so far,
    `gauges` how it is just now."""

    record_types: Sequence[RecordType] = RECORD_TYPES

    def __init__(self, config: Config, reset_cursor: bool = False) -> None:
        self.config = config
        self.metrics = Metrics()
        self.pool = DatabasePool(
            config.database_url, size=config.db_pool_size, name=config.relay_host, durable=config.synchronous_commit
        )
        self.selection = Selection(config.collections)
        self.settings = UserSettings(self.pool, self.selection)
        self.processor = EventProcessor(self.pool, self.metrics, self.selection)
        self.cursor = Cursor(self.pool, config.relay_host)
        self.progress = Progress(
            self.metrics, pool_use=lambda: (self.pool.busy, self.pool.size), queue_depth=lambda: len(self.lanes)
        )
        self.gauges = Gauges(self)
        self._run = Run(self.pool, self.metrics)
        self._reset_cursor = reset_cursor
        self._start = config.start
        self._now = datetime.now(UTC)
        self._begin(None, None)

    async def initialize(self, patience: float = START_PATIENCE) -> None:
        """Connects, takes the lock, readies the schema, finds where to start. `patience` (s) is for a silent database."""
        while True:
            schema = await make_ready(self.pool, self.record_types, patience)
            try:
                await self.settings.start(schema)
                seq, time = await self.cursor.start(schema, self.config.cursor, forget=self._reset_cursor)
                break
            except (LockLost, *DATABASE_ERRORS) as error:  # it went again just now
                if remedy(error) is not Remedy.RETRY:
                    raise
                warn_limited(log, "start", "The database went while the cursor was read (%s); trying again", error)
                await asyncio.sleep(START_PAUSE)
        self._reset_cursor = False
        self._begin(seq, time)
        self.gauges.prepared = True

    def _begin(self, seq: int | None, time: datetime | None) -> None:
        """Empty lanes, and a stream that goes on after the stored `seq`, whose event was of `time`."""
        self.watermark = Watermark(seq, time)
        cursor = self.cursor
        self.stream = Stream(
            self.config.relay_host, seq, time, forgotten=cursor.forgotten, foreign=cursor.foreign, start=self._start
        )
        self.lanes = Lanes(min(max(self.config.db_pool_size - 1, 1), LANES_A_CORE * (os.cpu_count() or 1), MOST_LANES))
        self.firehose = Firehose(
            self.config.relay_url,
            self._start if seq is None else seq,
            idle_timeout=self.config.idle_timeout,
            metrics=self.metrics,
        )

    async def run(self) -> None:
        """Works until `stop`, after `initialize`; then leaves word of how it ended."""
        try:
            await self._run_on()
        except BaseException as error:
            await self._run.end(f"fault: {told(error)}")
            raise
        await self._run.end(self.gauges.stopping)
        self.pool.terminate()

    async def _run_on(self) -> None:
        """Works until `stop`. If the lock is lost it begins again, from the stored cursor."""
        again = True
        while again and not self.gauges.stopping:
            again = False
            try:
                await self._work()
            except* LockLost:
                self.gauges.prepared, self.gauges.lost = False, True
                again = not self.gauges.stopping
                then = "starting again from the stored cursor" if again else "the cursor stays where it was, nothing is lost"
                log.warning("The database connection that holds the lock is gone: %s", then)
            if again:
                await self.initialize(patience=math.inf)

    async def _work(self) -> None:
        """One spell under one lock: reader and writers until the reader ends, the keepers of time beside them."""
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(work)
                for work in (
                    self.pool.watch(),
                    self.cursor.keep_saving(self.watermark),
                    self.settings.keep_reading(),
                    Pending(self.pool, self.selection).keep_applying(),
                    Wiper(self.pool).keep_wiping(),
                    Judge(self.pool).keep_judging(),
                    Sweeper(self.pool).keep_sweeping(),
                    Stuck(self.pool, self.metrics).keep_counting(),
                    Rebuild(self.pool).finish(),
                    self.progress.run(),
                    self._run.keep_noting(),
                    Sizes(self.pool).keep_sampling(),
                )
            ]
            async with asyncio.TaskGroup() as flow:
                flow.create_task(self._read())
                for lane in self.lanes.all:
                    flow.create_task(self._write(lane))
            for task in beside:
                task.cancel()
        await self.cursor.try_saving(self.watermark)

    async def _read(self) -> None:
        """Takes in frames until `stop`, then tells the lanes that nothing follows."""
        async with aclosing(self.firehose.frames()) as frames:
            async for frame in frames:
                await self.on_message_handler(frame)
        self.lanes.close()

    async def on_message_handler(self, frame: bytes) -> None:
        """One message of the stream: decoded, and placed in its repo's lane, or finished here."""
        await self.watermark.room()
        self._now = datetime.now(UTC)
        event = decode(frame, self.stream.time, self._now)
        self.metrics.events[type(event).__name__.lower()] += 1
        match event:
            case Commit():
                await self.lanes.put(event.repo, Placed(self._arrived(event.seq, event.time, event.repo), event))
            case Sync() | Identity() | Account():
                await self.lanes.put(event.did, Placed(self._arrived(event.seq, event.time, event.did), event))
            case Unusable():
                seq = None if event.salvaged else event.seq  # a wrong bit must not lead the cursor anywhere
                await self.lanes.put(event.did or "", Placed(self._arrived(seq), event))
            case Ignored():
                self.metrics.refused[event.reason] += 1
                self.watermark.finish(self._arrived(event.seq))
                self.progress.finished()
            case Info():
                if event.name == "OutdatedCursor":
                    self.stream.outdated(self.metrics.reconnects)
                warn_limited(log, "info", "The relay says %s: %s", event.name, event.message)
            case StreamError(error="FutureCursor"):
                raise Stop(FUTURE_CURSOR.format(host=self.config.relay_host, seq=self.stream.seq, message=event.message))
            case StreamError():
                self.firehose.disconnect(f"the relay says {event.error}: {event.message}")
            case _:
                assert_never(event)

    def _arrived(self, seq: int | None, time: datetime | None = None, repo: str = "") -> Ticket:
        """Takes down that an event arrived, in the order of the stream; its ticket is to be finished."""
        gap = None
        if time is self.stream.time or time is self._now:
            time = None  # what stands in for a time that is not believed says nothing of where the stream is
        if time is not None:
            time = min(time, self._now)
        if seq is not None:
            reconnects, passing_over = self.metrics.reconnects, self.firehose.passing_over
            gap = self.stream.arrived(seq, time, reconnects, repo=repo, passing_over=passing_over)
            self.metrics.gaps += gap is not None
            self.firehose.received(seq)
            self.metrics.last_event_time = self.stream.time
            if self._start is None:  # where "live" began, in case that the database goes before a cursor is stored
                self._start = seq - 1
        return self.watermark.arrive(seq, None if time is None else self.stream.time, gap)

    async def _write(self, lane: Lane) -> None:
        """Applies what a lane holds, batch by batch, until it is closed and drained."""
        while batch := await lane.take():
            await self.processor.process_batch(lane.number, [placed.event for placed in batch])
            for placed in batch:
                self.watermark.finish(placed.ticket)
            self.metrics.batch_finished([placed.ticket.arrived_at for placed in batch])
            self.progress.finished(len(batch))

    def stop(self, why: str = "stop") -> None:
        """Ends the reading; `run` returns when what was read is written and the cursor saved. `why`: SIGTERM, say."""
        self.gauges.stopping = why
        self.firehose.stop()

    def abandon(self) -> None:
        """Cuts the database's connections, so that nothing waits for it any more."""
        self.pool.terminate()


def main() -> None:
    """The command: runs until a signal, then exits with 0; 1 and 2 are faults (`indexer.command_line.process`)."""
    sys.exit(process.main(UnifiedWorker, sys.argv[1:]))


if __name__ == "__main__":
    main()
