"""Which way the frames come in: from the relay itself, or from the stream's server in front of it."""

import os

from unified_indexer.config.settings import Config
from unified_indexer.config.stream_url import PARTITIONS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.cursor import Cursor
from unified_indexer.pipeline.lanes import MOST_LANES
from unified_indexer.pipeline.session import Session
from unified_indexer.relay.position import Stored
from unified_indexer.stream.cursors import Cursors
from unified_indexer.stream.session import StreamSession


def cursor_of(config: Config, pool: DatabasePool) -> Cursor:
    """What loads and saves the worker's place in the stream."""
    return Cursor(pool, config.relay_host, config.share) if config.stream is None else Cursors(pool, config.relay_host)


def session_of(config: Config, metrics: Metrics, stored: Stored, start: int | None) -> Session:
    """A session after `stored`; without a stored cursor it begins at `start` (None: live). Partitions bring
    their own cursors."""
    if config.stream is None:
        return Session(config, metrics, stored, start)
    return StreamSession(config, config.stream, metrics)


def first_lane(config: Config) -> int:
    """The number of the worker's first lane in the database, where each of those who share the accounts has lanes of its own.
    Those of a stream's server have no number: their process gives one."""
    number = config.share.number or os.getpid() % PARTITIONS + 1
    return (number - 1) * MOST_LANES
