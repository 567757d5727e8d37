"""Where in the relay's stream we are: what its seqs and times say about gaps, and about a relay that counts anew."""

import logging
from datetime import datetime, timedelta

from indexer.errors import Stop

log = logging.getLogger(__name__)

# A relay resends and reorders a little; a seq this far below belongs to another numbering.
MAX_DROP = 10_000
# Events come several a second on a public relay, so such a jump right after connecting is events that the relay no longer had.
MAX_JUMP = timedelta(minutes=10)


class Stream:
    """The highest seq received and the time of its event. `connected` says that what comes next follows a new connection."""

    def __init__(self, host: str, seq: int | None, time: datetime | None) -> None:
        self.seq = seq
        self.time = time
        self._host = host
        self._connections = -1  # none yet: the first event follows the cursor's own, perhaps of long ago

    def arrived(self, seq: int, time: datetime | None, connections: int) -> None:
        """Takes down an event. `connections`: how often the relay was connected to by now.

        Raises Stop for a relay whose numbering is another than before: neither numbering's cursor means anything in the other.
        """
        if self.seq is not None and seq < self.seq - MAX_DROP:
            raise Stop(
                f"{self._host} now sends seq {seq:,} after {self.seq:,}: it counts anew: the cursor means nothing to it. Two "
                "ways on: start with --reset-cursor and CURSOR=oldest to read all that it holds (replaying is harmless), "
                "or set RELAY_URL to a relay that kept the old numbering"
            )
        if connections != self._connections:
            self._connections = connections
            self._warn_of_gap(seq, time)
        if self.seq is None or seq > self.seq:
            self.seq = seq
        self.time = time or self.time

    def _warn_of_gap(self, seq: int, time: datetime | None) -> None:
        """A jump in time across two connections says that the relay lost what lay between; seqs have gaps by nature."""
        if self.seq is None or time is None or self.time is None or time - self.time < MAX_JUMP:
            return
        log.warning(
            "Gap: after seq %d of %s the relay goes on with seq %d of %s; what lay between is not indexed",
            self.seq,
            self.time.isoformat(),
            seq,
            time.isoformat(),
        )
