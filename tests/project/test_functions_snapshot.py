"""What the worker installs in the server is under review: the snapshot of all generated functions is what they are now."""

import os
import subprocess
import sys

import pytest

from testing.databases import connected
from testing.documents import ROOT, read
from testing.print_sql import text

SNAPSHOT = "tests/project/snapshots/functions.sql"
PRINT = [sys.executable, "-m", "testing.print_sql"]


def test_the_snapshot_is_what_the_worker_installs() -> None:
    assert read(SNAPSHOT) == text(), f"look at the difference; if it is meant: python -m testing.print_sql > {SNAPSHOT}"


@pytest.mark.long
def test_it_is_the_same_in_every_run() -> None:
    printed = {
        subprocess.run(PRINT, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2", "3")
    }
    assert printed == {text().encode()}


async def test_a_server_takes_it_as_it_stands(worker: object, database: str) -> None:
    async with connected(database) as connection:
        await connection.execute(read(SNAPSHOT))
