"""The worker: a relay's firehose in, ordered rows in PostgreSQL out; every seq that the cursor has passed is in the database.

firehose.frames() ─► on_message_handler ─► decode ─► lanes.put (by DID; waits when full)
                                                        │ one task and one connection per lane
              verify ─► EventProcessor ─► CALL apply_commits(…) ─► watermark.finish ─► cursor
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a Ctrl-C while all this is read ends it without a traceback

import asyncio
import logging
import math
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import assert_never

from unified_indexer.accounts.accounts import Accounts
from unified_indexer.backfill.backfill import Backfill
from unified_indexer.command_line import process
from unified_indexer.config.settings import Config
from unified_indexer.database.background.chosen import Choosing
from unified_indexer.database.background.runs import Run
from unified_indexer.database.background.tasks import background
from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy
from unified_indexer.database.connection.keeper import Keeper
from unified_indexer.database.connection.pool import DatabasePool, LockLost
from unified_indexer.database.schema.ready import START_PATIENCE, make_ready
from unified_indexer.database.status.shares import Shares
from unified_indexer.errors import describe
from unified_indexer.json import SafeJSONEncoder
from unified_indexer.lifecycle import Lifecycle, Phase
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.monitoring.gauges import Gauges
from unified_indexer.monitoring.progress import Progress
from unified_indexer.pipeline.lanes import Lane, Placed
from unified_indexer.pipeline.processor import EventProcessor
from unified_indexer.pipeline.session import Session
from unified_indexer.pipeline.traced import Traces
from unified_indexer.pipeline.watermark import Ticket
from unified_indexer.protocol.events import (
    Account,
    Commit,
    Foreign,
    Identity,
    Ignored,
    Info,
    RepoEvent,
    StreamError,
    Sync,
    Unusable,
)
from unified_indexer.protocol.proving import did_of
from unified_indexer.publishing.publishing import Publishing
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.relay.position import Stored
from unified_indexer.relay.until import Until
from unified_indexer.selection import Selection
from unified_indexer.stream import way_in
from unified_indexer.trust.trust import Trust

__all__ = ["DatabasePool", "EventProcessor", "SafeJSONEncoder", "UnifiedWorker", "main"]

log = logging.getLogger("unified_worker")

START_PAUSE = 1.0  # seconds between two attempts to start
REACHED = "Reached --until %s: everything up to seq %s is in the database, and the cursor is stored there"


class UnifiedWorker:
    """The whole flow. `initialize` prepares the database, `run` works until `stop`; `metrics` holds the counters, `gauges`
    the current state."""

    record_types: Sequence[RecordType] = RECORD_TYPES

    def __init__(self, config: Config, reset_cursor: bool = False, until: Until | None = None) -> None:
        self.config = config
        self._until = until
        self._traces = Traces(config)
        self.metrics = Metrics()
        self._lifecycle = Lifecycle()
        self.pool = DatabasePool(
            config.database_url,
            size=config.db_pool_size,
            name=config.relay_host,
            durable=config.synchronous_commit,
            publishes=config.publish is not None,
            share=config.share,
            on_standby=self._lifecycle.standby if config.standby else None,
            after_standby=self._lifecycle.standby_ends,
        )
        self.selection = Selection(config.collections, accounts=config.chosen.accounts)
        self.choosing = Choosing(self.pool, self.selection, config.chosen)
        self.trust = Trust(config, self.pool, self.metrics, self.selection, lambda did: self.session.has(did))
        self.accounts = Accounts(
            config,
            self.pool,
            self.metrics,
            self.trust.identities,
            self.trust.client,
            upto=lambda: self.gauges.written_time,
        )
        self.backfill = Backfill(
            config,
            self.pool,
            self.metrics,
            self.selection,
            self.trust,
            crowded=lambda: self.gauges.crowded,
            spans=self._traces.spans,
        )
        self.processor = EventProcessor(
            self.pool,
            self.metrics,
            self.selection,
            confirm=config.verify != "off",
            on_inactive=self.accounts.wrote_although_inactive,
        )
        self.publishing = Publishing(config, self.pool, self.metrics)
        self.cursor = way_in.cursor_of(config, self.pool)
        self.last_session: Session | None = None  # under the lock that is held, or was held last
        self.keeper = Keeper(self.pool)
        self.shares = Shares(self.pool, config.relay_host, config.share)
        self.gauges = Gauges(self)
        self.progress = Progress(
            self.metrics, pool_use=lambda: (self.pool.busy, self.pool.size), queue_depth=lambda: self.gauges.waiting
        )
        self._run = Run(self.pool, self.metrics)
        self._first_lane = way_in.first_lane(config)
        self._reset_cursor = reset_cursor

    @property
    def phase(self) -> Phase:
        """What the worker is doing, and why; only the worker itself changes it."""
        return self._lifecycle.phase

    @property
    def session(self) -> Session:
        """The session that `initialize` began."""
        if self.last_session is None:
            raise RuntimeError("there is no session yet: call initialize first")
        return self.last_session

    async def initialize(self, patience: float = START_PATIENCE) -> None:
        """Connect, take the lock, prepare the schema and begin a session. `patience` (s): how long to wait for a silent
        database."""
        if self.last_session is None:  # a worker that runs is not ended by what became of that server meanwhile
            await self.publishing.check()
        while True:
            schema = await make_ready(self.pool, self.record_types, patience, self.config.partitions)
            try:
                async with self.pool.watched():
                    await self.choosing.start(schema)
                    stored = await self.cursor.start(schema, self.config.cursor, forget=self._reset_cursor)
                break
            except (LockLost, *DATABASE_ERRORS) as error:  # it went again just now
                if remedy(error) is not Remedy.RETRY:
                    raise
                warn_limited(log, "start", "Lost the database connection while loading the cursor (%s); retrying", error)
                await asyncio.sleep(START_PAUSE)
        self._reset_cursor = False
        self.begin(stored)

    def begin(self, stored: Stored) -> None:
        """Begin a session after `stored`; without a stored cursor, where CURSOR says, or where a live stream began."""
        before = self.last_session
        start = self.config.start if before is None else before.position.start
        self.last_session = way_in.session_of(self.config, self.metrics, stored, start)
        self._traces.begin(self.last_session)
        self.trust.begin()
        self.keeper.begin()
        self._lifecycle.running()

    async def run(self) -> None:
        """Work until `stop`, after `initialize`; then store how the run ended."""
        try:
            await self._run_sessions()
        except BaseException as error:
            await self._run.end(f"fault: {describe(error)}")
            raise
        finally:
            await self.trust.close()
        await self._run.end(self.phase.why)
        self.pool.terminate()

    async def _run_sessions(self) -> None:
        """One session after the other, until `stop`. If the lock is lost, the next one begins at the stored cursor."""
        while not self.phase.stopping:
            try:
                async with self._periodic_work(self.session):
                    await self._flow(self.session)
                return
            except* LockLost:
                self._lifecycle.lost()
                last = "the cursor is unchanged, nothing is lost"
                then = last if self.phase.stopping else "starting again from the stored cursor"
                log.warning("The database connection that holds the lock is gone: %s", then)
            if not self.phase.stopping:
                await self.initialize(patience=math.inf)

    @asynccontextmanager
    async def _periodic_work(self, session: Session) -> AsyncGenerator[None]:
        """What runs while the stream is read, until the block ends; then save the cursor. A failure in either ends both."""
        async with asyncio.TaskGroup() as tasks:
            periodic = [
                tasks.create_task(work)
                for work in (
                    self.pool.watch(),
                    self.cursor.keep_saving(session.watermark),
                    self.choosing.keep_reading(),
                    self.shares.keep_looking(self.choosing.schema),
                    self.progress.run(),
                    self._run.keep_noting(),
                    *self.trust.work(),
                    *self.accounts.work(),
                    *self.backfill.work(),
                    *self._traces.work(),
                    *self.publishing.work(),
                    self._keep_house(),
                )
            ]
            yield
            for task in periodic:
                task.cancel()
        await self.cursor.try_saving(session.watermark)

    async def _keep_house(self) -> None:
        """What is done once for all shares: by the worker that asks first, and when it ends by another one. Until cancelled."""
        await self.keeper.become()
        async with asyncio.TaskGroup() as tasks:
            for work in (
                *self.accounts.once_for_all(),
                *self.backfill.once_for_all(),
                *self.publishing.once_for_all(),
                *background(self.pool, self.selection, self.metrics),
            ):
                tasks.create_task(work)

    async def _flow(self, session: Session) -> None:
        """One reader and a writer per lane, until the reader ends and the lanes are empty."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(session))
            for lane in session.lanes.all:
                tasks.create_task(self._write(session, lane))

    async def _read(self, session: Session) -> None:
        """Takes in frames until `stop`, or --until, then closes the lanes."""
        until, source = self._until, session.firehose
        async with aclosing(source.frames() if until is None else until.frames(source, session.position)) as frames:
            async for frame in frames:
                await self.on_message_handler(frame)
        if until is not None and await session.stored(lambda: self.phase.stopping):
            log.info(REACHED, until, session.watermark.cursor)
            self.stop(f"--until {until}")
        session.lanes.close()

    async def on_message_handler(self, frame: bytes) -> None:
        """Handle one message of the stream: decode it, and put it into its repo's lane, or finish it here."""
        session = self.session
        if not session.watermark.has_room:
            await session.watermark.room()
        event = session.decode(frame)
        if self._until is not None and self._until.is_before(event):
            return
        self.metrics.events[type(event).__name__.lower()] += 1
        match event:
            case Foreign():
                session.passed(event)
            case Commit() | Sync() | Identity() | Account():
                await self._place(session, event, session.arrived(event.seq, event.time, did_of(event)))
            case Unusable():
                seq = None if event.salvaged else event.seq  # a wrong bit must not lead the cursor anywhere
                await self._place(session, event, session.arrived(seq))
            case Ignored():
                self.metrics.refused[event.reason] += 1
                session.watermark.finish(session.arrived(event.seq))
                self.progress.finished()
            case Info():
                if event.name == "OutdatedCursor":
                    session.position.outdated()
                warn_limited(log, "info", "The relay says %s: %s", event.name, event.message)
            case StreamError(error="FutureCursor"):
                raise session.position.unknown_yet(event.message)
            case StreamError():
                session.firehose.disconnect(f"the relay says {event.error}: {event.message}")
            case _:
                assert_never(event)

    async def _place(self, session: Session, event: RepoEvent, ticket: Ticket) -> None:
        """Put an event into its repo's lane; or finish it: another share has its account, or nobody chose it."""
        did = did_of(event)
        if not self.config.share.takes(did):
            if isinstance(event, Identity):
                self.trust.identity_elsewhere(did)
            self.metrics.filtered["share"] += 1
            session.watermark.finish(ticket)
            return
        if self.selection.follows(did):
            await session.lanes.put(did, Placed(ticket, event))
            return
        self.metrics.filtered["account"] += 1
        session.watermark.finish(ticket)
        self.progress.finished()

    async def _write(self, session: Session, lane: Lane) -> None:
        """Applies what a lane holds, batch by batch, until it is closed and empty."""
        while batch := await lane.take():
            traced = self._traces.batch(lane.number, batch)
            batch = await self.trust.verify(lane, batch)
            if not batch:  # all of it waits for keys
                continue
            traced.verified()
            await self.publishing.room()
            outcomes = await self.processor.process_batch(self._first_lane + lane.number, [placed.event for placed in batch])
            self.trust.written(lane, batch, outcomes)
            traced.written(len(batch))
            for placed in batch:
                session.watermark.finish(placed.ticket)
            self.metrics.batch_finished([placed.ticket.arrived_at for placed in batch])
            self.progress.finished(len(batch))

    def stop(self, why: str = "stop") -> None:
        """End the reading; `run` returns when what was read is written and the cursor is saved. `why`: SIGTERM, for example."""
        self._lifecycle.stopping(why)
        self.publishing.end()
        if self.last_session is not None:
            self.last_session.firehose.stop()

    def abandon(self) -> None:
        """Close the database connections at once, so that nothing waits for them any more."""
        self.pool.terminate()

    def hold(self, decision: str) -> None:
        """Release the database, because an operator must make this decision first."""
        self._lifecycle.held(decision)
        self.abandon()


def main() -> None:
    """Run the command until a signal, then exit with 0; 1 and 2 are faults (`unified_indexer.command_line.process`)."""
    sys.exit(process.main(UnifiedWorker, sys.argv[1:]))


if __name__ == "__main__":
    main()
