"""The process around the worker or a command: command line, logging, the embedded database, exit codes.

0: stopped as asked. 1: it can't go on without a decision, or a command found something wrong. 2: what the operator set is
unusable. 70: something unforeseen, with its traceback: who starts it again does right.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType

import uvloop

from unified_indexer import collector
from unified_indexer.command_line import cli
from unified_indexer.command_line.signals import StreamWorker, Words, signalled, until_signal
from unified_indexer.config.database_url import redacted
from unified_indexer.config.settings import Config
from unified_indexer.descriptors import open_standard
from unified_indexer.embedded.programs import EmbeddedPostgres
from unified_indexer.errors import OperatorError, Stop, describe, leaves
from unified_indexer.log import handler
from unified_indexer.monitoring.observers import views
from unified_indexer.relay.until import Until
from unified_indexer.version import VERSION

log = logging.getLogger(__name__)

UNFORESEEN = 70  # as sysexits.h has it: a fault of the program's own

STREAM = Words(
    "stopping after writing what was read",
    "The database did not accept what was read within %.0f s: the cursor is unchanged, nothing is lost",
)


def main(make: Callable[[Config, bool, Until | None], StreamWorker], argv: Sequence[str]) -> int:
    """Run a command, or the worker that `make(config, reset_cursor, until)` returns; return the exit code."""
    open_standard()
    # unified_worker.py has let it end the process at once, while the program was read; from here on there is work to end.
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.excepthook = _unforeseen
    code = 0
    try:
        arguments = cli.parse(argv)  # imports all commands: a Ctrl-C may come meanwhile
        collector.settle()
        only_looks = arguments.command is not None and arguments.command.only_looks
        config = Config.from_env(embedded=arguments.embedded is not None, tolerant=only_looks)
        # What a command finds goes to stdout, alone; the worker's log is what it has to say.
        handler.configure(config.log_level, sys.stdout if arguments.command is None else sys.stderr, config.log_format)
        if not only_looks:
            for hint in config.hints:
                log.warning("%s", hint)
        code = uvloop.run(_serve(make, config, arguments))
    except* OperatorError as group:
        code = 2
        for fault in (fault for error in leaves(group) for fault in error.faults):
            handler.complain(f"unified_worker: {fault}")  # not logged: LOG_LEVEL itself may be the fault
    except* KeyboardInterrupt:
        code = 130  # a command that needs no time to end
    except* Stop as group:
        code = 1
        for stop in leaves(group):
            log.error("%s", stop)
    return code


def _unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    logging.shutdown()
    os._exit(UNFORESEEN)  # after a hook Python itself would say 1


async def _serve(make: Callable[[Config, bool, Until | None], StreamWorker], config: Config, arguments: cli.Arguments) -> int:
    began, server = time.monotonic(), None
    async with AsyncExitStack() as stack:
        if arguments.command is not None and arguments.command.only_looks:
            return await arguments.command.run(config, arguments.options)
        if arguments.embedded is not None:
            embedded = EmbeddedPostgres(arguments.embedded, existing=arguments.command is not None)
            server = await stack.enter_async_context(embedded)
            config = replace(config, database_url=server.url)
        if arguments.command is not None:
            return await arguments.command.run(config, arguments.options)
        if arguments.options.standby:
            config = replace(config, standby=True)
        config = replace(config, partitions=arguments.options.partitions)
        log.info("unified-worker %s starts: %s into %s", VERSION, config.relay_url, redacted(config.database_url))
        if (until := arguments.options.until) is not None and config.stream is not None:
            raise OperatorError(["--until is for a relay's own stream; of a stream's server each partition has its own place"])
        worker = make(config, arguments.options.reset_cursor, until)
        async with views(config, worker.gauges, server, began):
            code = 0
            try:
                await until_signal(worker, STREAM, worker.stop)
            except* Stop as group:
                if not arguments.options.hold:
                    raise
                await _hold(worker, describe(group))
                code = 1
    log.info("Stopped")
    return code


async def _hold(worker: StreamWorker, decision: str) -> None:
    """Does nothing until a signal, and says why: a supervisor that starts again whatever has ended finds nothing ended."""
    worker.hold(decision)
    log.error("%s", decision)
    log.warning(
        "Waiting for that decision: nothing is read or written. A signal ends the worker with exit code 1; a restart "
        "tries again"
    )
    log.info("%s: ending", await signalled())
