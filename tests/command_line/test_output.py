"""What commands print, where it can't be written: on a full disk, or in an encoding that lacks its characters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from testing.commits import LIKE, Stream, put
from testing.database_side import Worker
from testing.processes import Cold

FULL = "the output cannot be written (No space left on device)"


class Full(Cold):
    """A command whose stdout is a file on a full disk; stderr is its output here."""

    def started(self, folder: Path, arguments: Sequence[str], env: Mapping[str, str], output: Path) -> Popen[bytes]:
        with Path("/dev/full").open("wb") as full, output.open("wb") as file:
            return Popen(self.command(arguments), cwd=folder, env=env, stdout=full, stderr=file, stdin=DEVNULL)


@pytest.mark.parametrize(
    "command",
    [
        "check --full",
        "status",
        "dead-letters show 1 --raw -",
        "repair did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        "config check",
        "schema",
    ],
)
async def test_output_that_cannot_be_written_is_named(worker: Worker, tmp_path: Path, command: str) -> None:
    """And neither the database nor the program is blamed."""
    await worker.write(Stream().commit("a", put(f"{LIKE}/1", {"$type": LIKE})))
    env = {"DATABASE_URL": worker.pool.url, "RELAY_URL": "ws://127.0.0.1:9", "HTTP_BIND": ""}
    async with Full(tmp_path, *command.split(), **env) as process:
        assert await process.ends() == 1, process.output
    assert process.output.count("[ERROR]") == 1, process.output
    assert process.output.rstrip().endswith(FULL)
    assert "Traceback" not in process.output
    assert "database" not in process.output


async def test_characters_that_the_encoding_lacks_are_escaped(worker: Worker, tmp_path: Path) -> None:
    await worker.write(Stream().commit("a", put(f"{LIKE}/1", {"$type": LIKE, "text": "\u00e9 here"})))
    env = {"DATABASE_URL": worker.pool.url, "PYTHONIOENCODING": "ascii"}
    async with Cold(tmp_path, "dead-letters", "show", "1", **env) as process:
        assert await process.ends() == 0, process.output
    assert "\\xe9 here" in process.output
