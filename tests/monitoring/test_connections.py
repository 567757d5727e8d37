"""Connections whose clients do not read: judged by what waits for them, and nothing else."""

import asyncio
from typing import cast

import pytest

from unified_indexer.monitoring.http.connections import PATIENCE, Connection


class Transport:
    """`waiting`: bytes that the client has not read."""

    def __init__(self) -> None:
        self.waiting = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    ("waiting", "let_go"),
    [
        ([0, 0, 0, 0, 0, 0], False),
        ([9, 9, 9, 9, 9, 9], True),
        ([9, 12, 12, 15, 15, 15], True),
        ([9, 9, 8, 9, 9, 8], False),
        ([9, 9, 0, 9, 9, 0], False),
        ([0, 0, 0, 0, 9, 9], False),
    ],
    ids=["idle", "reads nothing", "is only given more", "reads slowly", "reads all", "was idle before"],
)
def test_who_reads_nothing_for_long_is_let_go(waiting: list[int], let_go: bool) -> None:
    transport, among = Transport(), set[Connection]()
    connection = Connection(asyncio.Protocol(), among)
    connection.connection_made(cast("asyncio.BaseTransport", transport))
    assert among == {connection}
    for look, transport.waiting in enumerate(waiting):
        connection.look(look * PATIENCE / 3)
    assert transport.aborted == let_go
    connection.connection_lost(None)
    assert among == set()
