"""The worker as in its container, without an engine: user 10001, nothing to write to, the image's files and no others.

A root directory of its own (chroot) in a mount namespace of its own, all of it read-only; Dockerfile and compose file are
looked at by test_packaging.py.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay_simulator.ports import free_port
from relay_simulator.server import RelayServer
from testing.databases import connected, differences, saved
from testing.processes import ROOT, Cold
from testing.servers import FAST, fast_parent, make_server, server_directory
from testing.traffic import traffic
from testing.workers import settings

UID = 10001  # the Dockerfile's
# $1: an empty folder. The rest: the command. PREFIXES: where Python and its packages are.
CONTAINER = r"""
set -e
root=$1; shift
mount -t tmpfs -o mode=755 tmpfs "$root"
for place in /usr /bin /sbin /lib /lib64 /etc /dev $PREFIXES; do
    if [ -L "$place" ]; then
        cp -P "$place" "$root$place"
    elif [ -e "$place" ] && ! [ -e "$root$place" ]; then
        mkdir -p "$root$place"
        mount --bind "$place" "$root$place"
        mount -o remount,bind,ro "$root$place"
    fi
done
mkdir "$root/app"
cp -r "$PROJECT/unified_worker.py" "$PROJECT/unified_indexer" "$root/app"
mount -o remount,ro "$root"
exec chroot --userspec=10001:10001 "$root" /usr/bin/env --chdir=/app -u PREFIXES -u PROJECT HOME=/app "$@"
"""


class Contained(Cold):
    """The worker in its container."""

    program = (
        "-c",
        f"import os, sys; os.execvp('unshare', ['unshare', '--mount', 'sh', '-c', {CONTAINER!r}, 'sh', *sys.argv[1:]])",
    )


@pytest.fixture(scope="module")
def _needs_namespaces() -> None:  # pyright: ignore[reportUnusedFunction]
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("a mount namespace needs root on Linux; the image's user and read_only are checked as text alone")
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"no mount namespace can be had here ({tried.stderr.strip()[:80]})")


@pytest.fixture
async def reachable(_needs_namespaces: None) -> AsyncIterator[str]:
    """The URL, by TCP, of a database: the tests' sockets are closed to the container's user."""
    with server_directory(fast_parent()) as directory:
        hba, port = directory.parent / "pg_hba.conf", free_port()
        hba.write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
        options = {**FAST, "listen_addresses": "127.0.0.1", "port": str(port), "hba_file": str(hba)}
        server = make_server(18, directory, options)
        await server.start()
        yield f"postgresql://unified@127.0.0.1:{port}/unified"
        await server.stop("immediate")


def healthcheck(bind: str) -> int:
    """The exit code of the image's HEALTHCHECK."""
    command = [sys.executable, "-m", "unified_indexer.monitoring.healthcheck"]
    return subprocess.run(command, cwd=ROOT, env={"HTTP_BIND": bind}).returncode


@pytest.mark.long
async def test_it_runs_as_nobody_on_a_read_only_file_system(reachable: str, tmp_path: Path) -> None:
    stream = traffic(1_000)
    prefixes = " ".join(str(Path(place).resolve()) for place in (sys.base_prefix, sys.prefix))
    python = Path(sys.prefix).resolve() / "bin" / "python"
    (tmp_path / "root").mkdir()
    bind = f"0.0.0.0:{free_port()}"
    env = settings(reachable, "", PREFIXES=prefixes, PROJECT=str(ROOT), LOG_LEVEL="DEBUG", HTTP_BIND=bind)
    async with RelayServer(stream.frames) as relay:
        command = (str(tmp_path / "root"), str(python), "unified_worker.py")
        async with Contained(tmp_path, *command, **env | {"RELAY_URL": relay.url}) as worker:
            await worker.says("Connected to ")
            process = Path(f"/proc/{worker.pid}")
            status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
            assert status["Uid"].split() == [str(UID)] * 4
            assert int(status["CapEff"], 16) == 0
            mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
            inside = {fields[4]: fields[5].split(",")[0] for fields in mounts}
            assert {place for place, mode in inside.items() if mode == "rw"} == set()
            assert inside["/"] == "ro"
            await saved(reachable, relay.url, stream.last_seq)
            assert healthcheck(bind) == 0
            worker.signal(signal.SIGTERM)
            assert await worker.ends(10) == 0
        assert healthcheck(bind) == 1
        assert "[WARNING]" not in worker.output, worker.output
        assert "Traceback" not in worker.output
    assert await differences(reachable, stream.model) == []
    async with connected(reachable) as connection:
        assert await connection.fetchval("SELECT count(*) FROM posts") > 0
