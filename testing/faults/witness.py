"""Looks at the database all the while, past every proxy: how far the rows are, and that the cursor is not ahead of them."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from relay_simulator.truth import Sent
from testing.model import Model

POLL = 0.1  # seconds
LOOK = 0.4  # seconds between two looks at cursor and revs
BRIEF = 3.0  # seconds that a look may take: a held table or a silent server must not stop the watch

# One statement, so one moment. Of several shares or partitions it is the least cursor, once all of them have one.
STATE = """
SELECT (
  SELECT CASE WHEN count(c.cursor) = max(c.parts) THEN min(c.cursor) END FROM (
    SELECT cursor::bigint, coalesce(nullif(split_part(split_part(service, '#', 2), '/', 2), '')::int, 1) AS parts
    FROM firehose_cursor WHERE service = $1 OR service LIKE $1 || '#%'
  ) AS c
) AS cursor, did, rev FROM unified_worker.repos WHERE rev <> ''
"""
NEWEST = "SELECT max(rev) FROM unified_worker.repos"
# Of the session, whatever the run does to the server's settings.
MINE = {
    "application_name": "the witness",
    "default_transaction_read_only": "off",
    **dict.fromkeys(
        (
            "statement_timeout",
            "lock_timeout",
            "transaction_timeout",
            "idle_session_timeout",
            "idle_in_transaction_session_timeout",
        ),
        "0",
    ),
}
GONE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class Witness:
    """`newest` grows with what is committed (revs sort by time); `faults` are the moments in which the cursor was ahead."""

    def __init__(self, url: str, service: str, sent: Sequence[Sent], slack: int) -> None:
        """`slack`: by how many seqs the stream is out of order, so that the cursor may pass what has not arrived."""
        self.newest = ""
        self.cursor: int | None = None
        self.looks = 0
        self.faults: list[str] = []
        self._url = url
        self._service = service
        self.slack = slack
        self._connection: asyncpg.Connection[Any] | None = None
        self._prefix = Model()
        self._upto = 0
        self._taken = 0
        self._numberings = [in_order(sent)]
        self._numbering = self._numberings[0]  # that of the prefix

    def turn_to(self, url: str) -> None:
        """Look at another server from now on, which may be behind."""
        self.close()
        self._connection, self._url = None, url

    def renumber(self, sent: Sequence[Sent]) -> None:
        """The same stream with other seqs: a cursor is of the numbering among whose seqs it is."""
        self._numberings.append(in_order(sent))

    async def run(self) -> None:
        """Look, until cancelled."""
        looked = 0.0
        try:
            while True:
                with contextlib.suppress(*GONE):
                    async with asyncio.timeout(BRIEF):
                        connection = await self._connected()
                        self.newest = max(self.newest, await connection.fetchval(NEWEST) or "")
                        if time.monotonic() - looked >= LOOK:
                            looked = time.monotonic()
                            await self.look()
                await asyncio.sleep(POLL)
        finally:
            self.close()

    def close(self) -> None:
        """End its connection."""
        if self._connection is not None:
            self._connection.terminate()

    async def look(self) -> None:
        """Compare cursor and revs of one moment."""
        rows = await (await self._connected()).fetch(STATE, self._service)
        self.looks += 1
        if not rows or rows[0]["cursor"] is None:
            return
        self.cursor = int(rows[0]["cursor"])
        there = {row["did"]: row["rev"] for row in rows}
        for did, rev in self._due(self.cursor - self.slack).items():
            if there.get(did, "") < rev:
                self.faults.append(f"cursor {self.cursor} is ahead: {did} is at {there.get(did)}, should be at {rev}")

    def _due(self, seq: int) -> dict[str, str]:
        """The rev of each repo after all messages up to this seq."""
        numbering = next((one for one in self._numberings if one[0].truth.seq <= seq <= one[-1].truth.seq), self._numbering)
        if seq < self._upto or numbering is not self._numbering:
            self._prefix, self._taken = Model(), 0
        self._numbering, self._upto = numbering, seq
        while self._taken < len(numbering) and numbering[self._taken].truth.seq <= seq:
            self._prefix.apply(numbering[self._taken].truth)
            self._taken += 1
        return self._prefix.revs

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url, server_settings=MINE)
        return self._connection


def in_order(sent: Sequence[Sent]) -> list[Sent]:
    """By seq."""
    return sorted(sent, key=lambda message: message.truth.seq)
