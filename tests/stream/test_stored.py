"""What the ingester asks PostgreSQL, where that hangs."""

import asyncio

import pytest

from testing.failover import silenced
from testing.servers import FAST, fast_parent, make_server, server_directory
from unified_indexer.stream.stored import Stored, Unknown


@pytest.mark.promise(6)
async def test_a_database_that_hangs_is_left_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is closed, so nobody would learn of it: the stream would grow in silence, and a standby stay unasked."""
    monkeypatch.setattr("unified_indexer.stream.stored.ANSWER_TIMEOUT", 0.5)
    with server_directory(fast_parent()) as folder:
        server = make_server(18, folder, FAST)
        await server.start()
        stored = Stored(server.url, "relay.test")
        try:
            assert (await stored.cursors()).start is None
            with silenced(server):
                async with asyncio.timeout(10):
                    with pytest.raises(Unknown):
                        await stored.cursors()
            monkeypatch.undo()
            assert (await stored.cursors()).start is None
        finally:
            stored.close()
            await server.stop("immediate")
