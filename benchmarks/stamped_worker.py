"""The worker, with a note of when each event was finished: python -m benchmarks.stamped_worker FILE.

It differs from the worker in one thing: its watermark writes down the clock when an event is finished, that is, when the call
that made its commit durable has returned. At the end the notes go to FILE, one `seq seconds` a line, by the monotonic clock,
which all processes of a machine share.
"""

import sys
import time
from pathlib import Path

from unified_indexer.command_line import process
from unified_indexer.pipeline.watermark import Ticket, Watermark
from unified_indexer.relay.position import Stored
from unified_worker import UnifiedWorker

NOTES: list[tuple[int, float]] = []


class StampedWatermark(Watermark):
    """A watermark that notes when."""

    def finish(self, ticket: Ticket) -> None:
        """As Watermark.finish."""
        super().finish(ticket)
        if ticket.seq is not None:
            NOTES.append((ticket.seq, time.monotonic()))


class StampedWorker(UnifiedWorker):
    """The worker with that watermark."""

    def begin(self, stored: Stored) -> None:
        """As UnifiedWorker.begin."""
        super().begin(stored)
        self.session.watermark = StampedWatermark(stored.seq, stored.time)


def main() -> None:
    """Runs until a signal, then writes the notes."""
    code = process.main(StampedWorker, [])
    Path(sys.argv[1]).write_text("".join(f"{seq} {at}\n" for seq, at in NOTES))
    sys.exit(code)


if __name__ == "__main__":
    main()
