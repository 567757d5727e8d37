"""The command `unified_worker.py ingest`: a relay's stream into the Redis or Valkey server that workers read."""

import logging
from argparse import Namespace

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.signals import Words, until_signal
from unified_indexer.config.settings import Config
from unified_indexer.config.stream_url import EXAMPLE
from unified_indexer.errors import OperatorError
from unified_indexer.version import VERSION

log = logging.getLogger(__name__)

DESCRIPTION = """\
Put a relay's event stream into a Redis or Valkey server, in 64 partitions by account, for any number of workers. RELAY_URL
names the server and, as ?relay=, the relay; the workers have the same value. What PostgreSQL has is trimmed, nothing else:
reading stops while the server is nearly full. A second ingester waits until the first one ends."""

WORDS = Words(
    "stopping after the server has what was read",
    "The stream's server did not take what was read within %.0f s: it is read again at the next start, nothing is lost",
)


async def run(config: Config, options: Namespace) -> int:
    """Fill the stream until a signal; return 0."""
    if config.stream is None:
        raise OperatorError([f"RELAY_URL names no Redis or Valkey server to fill: write {EXAMPLE}"])
    from unified_indexer.stream.ingest import Ingest

    log.info("unified-worker %s fills %s with the stream of %s", VERSION, config.stream, config.relay_url)
    await until_signal(Ingest(config, config.stream), WORDS)
    log.info("Stopped")
    return 0


COMMAND = Command(
    name="ingest",
    summary="put a relay's stream into a Redis or Valkey server, for several workers",
    description=DESCRIPTION,
    run=run,
    needs=("RELAY_URL", "CURSOR", "IDLE_TIMEOUT", "LOG_LEVEL"),
)
