"""What an existing database is advised to have: an index for each look-up that it has none for, and ids that last."""

import logging

import pytest

from testing.database_side import opened
from testing.databases import connected
from unified_indexer.database.schema.advice import advice
from unified_indexer.records import RECORD_TYPES


async def test_an_application_s_database_is_told_once_and_heeds_it(application: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with opened(application):
            pass
    indexes, serial = caplog.messages
    assert "CREATE INDEX CONCURRENTLY ON public.quotes (quoted_uri);" in indexes
    assert 'CREATE INDEX CONCURRENTLY ON public.list_items (uri COLLATE "C");' in indexes
    assert "likes" not in indexes, "there is one on user_did"
    assert "notifications.id" in serial
    async with connected(application) as connection:
        for statement in indexes.partition(": ")[2].split(";"):
            if statement.strip():
                await connection.execute(statement)
        column, sequence = serial.rpartition(": ")[2].split("; ")
        await connection.execute(column)
        (half,) = await advice(connection, "public", RECORD_TYPES)
        assert half.endswith(": " + sequence)
        await connection.execute(sequence)
        await connection.execute("SELECT setval('notifications_id_seq', 3000000000)")
        assert await advice(connection, "public", RECORD_TYPES) == []


async def test_a_database_of_our_own_needs_none(any_database: str) -> None:
    async with opened(any_database) as worker:
        assert await advice(worker.connection, "public", RECORD_TYPES) == []
