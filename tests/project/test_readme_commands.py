"""The commands of all documents run as they are written: by a shell, in a copy of the project, without our environment.

Their packages stand ready (a .pth file, PYTHONPATH, stamps), so that no index is asked. What make would install is looked at.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self

import asyncpg
import pytest

from relay_simulator.server import RelayServer
from testing.databases import connected, saved, stored_cursor
from testing.documents import DOCUMENTS, ROOT, blocks, read
from testing.traffic import traffic
from testing.waiting import until
from unified_indexer.config.settings import SETTINGS, Config

README = read("README.md")
PAGES = tuple(map(read, DOCUMENTS))
INSTALLED = 250.0  # seconds, in which a loaded machine installs all packages and starts the worker
PORT = 2471  # of `make relay`
PLACEHOLDER = "postgresql://user:password@host/database"
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "data", "build", "dist", "*.egg-info")  # what a clone lacks


def without_comments(block: str) -> list[str]:
    return [re.split(r"\s+#", line)[0].strip() for line in block.splitlines()]


OF_DOCUMENTS = "DATABASE_URL=… "  # before a command that is typed where no .env names the database
UPGRADE = next(block for block in blocks(read("docs/operations.md"), "sh") if "pg_upgrade" in block)
NOT_HERE = {
    "python unified_worker.py psql": "it waits for somebody to type; test_schema_command.py opens it",
    "python unified_worker.py schema --diagram": "test_schema_command.py does it",
    "make test": "it is the suite that this test is part of",
    'echo "POSTGRES_PASSWORD=$(openssl rand -hex 24)" >> .env': "only the compose file reads it",
    "docker compose -f docker-compose.unified.yml up -d": "no Docker engine is here; test_packaging.py looks at the file",
    **dict.fromkeys(
        (
            "docker compose -f docker-compose.unified.yml stop unified-worker",
            "docker compose -f docker-compose.unified.yml exec -T postgres "
            "pg_dump --username=unified --format=custom unified > unified.dump",
            "docker compose -f docker-compose.unified.yml down",
            "docker compose -f docker-compose.unified.yml up -d --wait postgres",
            "docker compose -f docker-compose.unified.yml exec -T postgres "
            "pg_restore --username=unified --exit-on-error --dbname=unified < unified.dump",
        ),
        "the same; test_e2e_postgresql_upgrade.py dumps and restores",
    ),
    **dict.fromkeys(without_comments(UPGRADE), "test_e2e_postgresql_upgrade.py runs this block"),
    "docker compose -f docker-compose.unified.yml logs -f unified-worker": "the same",
    "python unified_worker.py --until 2026-11-29T22:00:00Z": "it waits for that time; test_e2e_until.py runs it",
    "python unified_worker.py config check": "beside a worker it ends with 2; test_config_command.py runs it",
    "python unified_worker.py identities import https://plc.directory": "it needs the internet, and hours",
    'pg_dump --format=custom --file=unified.dump "$DATABASE_URL"': "test_e2e_backup.py does it while a worker runs",
    "make check": "CI runs it on every change (.ci/run)",
    "make lock": "it asks an index for the newest versions; test_requirements_lock.py looks at what it wrote",
    **dict.fromkeys(
        (
            ".venv/bin/python -m pytest -q tests/project/test_packaging.py",
            ".venv/bin/python -m pytest -q -rs tests/project/test_requirements_lock.py",
            ".venv/bin/python -m pytest -q -rs tests/e2e/test_e2e_upgrade.py",
            ".venv/bin/python -m pytest -q -rs -m soak tests/project/test_outside_tools.py",
            ".venv/bin/python -m pytest -q -rs -m soak tests/e2e/test_e2e_image.py",
        ),
        "tests of this suite",
    ),
    **dict.fromkeys(
        (
            "rm -rf dist",
            'export SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)"',
            "for copy in one two; do",
            'mkdir -p "dist/$copy/source"',
            'git archive HEAD | tar -x -C "dist/$copy/source"',
            '(cd "dist/$copy/source" && ../../../.venv/bin/python -m hatchling build --directory ..)',
            "done",
            "sha256sum dist/*/unified_worker-*",
            "VERSION=\"$(.venv/bin/python -c 'from unified_indexer.version import VERSION; print(VERSION)')\"",
        ),
        "test_package.py builds the package twice, in this way",
    ),
    **dict.fromkeys(
        (
            'docker buildx build . --tag "unified-worker:$VERSION" \\',
            '--build-arg "VERSION=$VERSION" --build-arg "REVISION=$(git rev-parse HEAD)" \\',
            '--build-arg "CREATED=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" \\',
            '--build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" \\',
            "--output type=docker,rewrite-timestamp=true",
            'git tag --annotate "v$VERSION" --message "unified-worker $VERSION"',
        ),
        "no Docker engine is here, and a tag is a release; test_e2e_image.py builds the image with buildah",
    ),
    **dict.fromkeys(
        (
            "make faults",
            'make faults FAULTS="--seed 7 --minutes 10"',
            'make faults FAULTS="--kinds db_kill9 crash_amid_batch --runs 20"',
        ),
        "they take minutes; test_e2e_campaign.py runs a campaign",
    ),
    "python -m relay_simulator --now --rate 500": "`make relay` starts it so, and is tried",
    "GRAFANA_PASSWORD=… docker compose -f docker-compose.unified.yml --profile monitoring up -d": "no Docker engine is here",
    "curl --fail --silent --show-error http://127.0.0.1:8080/readyz": "curl may not be here; test_e2e_http.py asks for it",
    **dict.fromkeys(
        (
            'ps -C node -o rss= | awk \'{n++; s += $1} END {print n " processes, " int(s / 1024) " MB"}\'',
            "redis-cli info memory | grep used_memory_human",
            "redis-cli --bigkeys",
            "redis-cli LLEN <queue>",
        ),
        "it looks at the workers that are replaced, and nothing of these is here",
    ),
    "DATABASE_URL=postgresql://indexer:secret@host/new RELAY_URL=wss://<the fleet's relay> CURSOR=<that seq> "
    "python unified_worker.py --reset-cursor": "it has words to fill in; test_e2e_operators.py starts with --reset-cursor",
    "createdb restored && pg_restore --exit-on-error --dbname=restored unified.dump": "the same",
    "DATABASE_URL=postgresql://…/restored python unified_worker.py": "the same",
}
TRIED = (
    "make run",
    "make demo",
    "make relay",
    "make relay RELAY='--now --rate 500 --history 200'",
    "make follow",
    "python3 -m venv .venv && . .venv/bin/activate",
    "pip install -r requirements.lock",
    f"DATABASE_URL={PLACEHOLDER} python unified_worker.py",
    "python unified_worker.py status",
    "python unified_worker.py status --did did:plc:…",
    ".venv/bin/python unified_worker.py backfill --embedded data/simulated --follows-of did:plc:…",
    ".venv/bin/python unified_worker.py backfill --embedded data/simulated",
    "python unified_worker.py backfill --follows-of did:plc:…",
    "python unified_worker.py backfill",
    "python unified_worker.py rebuild-derived",
    "python unified_worker.py dead-letters",
    "python unified_worker.py dead-letters retry",
    "python unified_worker.py check",
    "python unified_worker.py config check --restart",
    "python unified_worker.py repair --desynchronised",
    *(f"{OF_DOCUMENTS}python unified_worker.py {command}" for command in ("check", "rebuild-derived", "check --full")),
)
# Lines for .env: read as settings by the worker's own reader.
SET = (
    "PUBLISH=redis://user:password@host:6379/0",
    "PUBLISH_LENGTH=1000000",
    "DATABASE_URL=postgresql://user:password@host:5432/database",
    "RELAY_URL=redis://user:password@host:6379/0?relay=wss://bsky.network",
)


def commands() -> list[str]:
    """Every command of these pages, without the words after it."""
    prompts = [line for page in PAGES for line in re.findall(r"^\$ (.+)$", page, re.MULTILINE)]
    return [line for page in PAGES for block in blocks(page, "sh") for line in without_comments(block)] + prompts


def test_every_command_is_tried_or_it_is_said_why_not() -> None:
    assert set(commands()) - {""} == {*TRIED, *NOT_HERE, *SET} - {""}


def test_every_line_for_the_settings_is_taken() -> None:
    given = {name: value for name, _, value in (line.partition("=") for line in SET)}
    assert given.keys() <= {setting.name for setting in SETTINGS}
    Config.from_env(given)


# All of it ends when this process does, however that ends: then nobody holds the other end of its standard input.
GUARDED = "exec 3<&0 </dev/null; (read _ <&3 || kill -KILL 0) & exec 3<&-; {}"


class Shell:
    """A shell in its own process group that runs one script; its output in a file. Ended with Ctrl-C, or killed."""

    def __init__(self, folder: Path, script: str, **env: str) -> None:
        self._output = folder / f"shell-{len(list(folder.glob('shell-*')))}.log"
        packages = sysconfig.get_path("purelib")
        bare = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "PYTHONPATH": packages, "NO_PROXY": "127.0.0.1"}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-ec", GUARDED.format(script)], cwd=folder / "project", env=bare | env, stdout=output,
                stderr=subprocess.STDOUT, stdin=subprocess.PIPE, process_group=0,
            )  # fmt: skip

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    @property
    def output(self) -> str:
        return self._output.read_text()

    async def says(self, pattern: str) -> None:
        """Waits for it, unless the shell ends without."""
        said = re.compile(pattern)
        await until(lambda: said.search(self.output) is not None or self._process.poll() is not None, pattern, INSTALLED)
        assert re.search(pattern, self.output), self.output

    async def ends(self) -> int:
        await until(lambda: self._process.poll() is not None, f"it ends; it said:\n{self.output}")
        return self._process.wait()

    async def interrupted(self) -> None:
        """Ctrl-C goes to all who run in a terminal."""
        os.killpg(self._process.pid, signal.SIGINT)
        await self.ends()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the project's files in it, as a clone has them, and `python3` among its programs."""
    shutil.copytree(ROOT, tmp_path / "project", ignore=LEFT_OUT)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # PostgreSQL's account enters it, where we are root
    return tmp_path


@pytest.fixture
def installed(bare: Path) -> Path:
    """The same after make has installed: nothing is asked of an index again."""
    assert "requirements-dev.lock" in dry(bare, "relay")
    assert "requirements-embedded.lock" in dry(bare, "run")
    venv = bare / "project" / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python3*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
    for stamp in (".created", ".installed-run", ".installed-dev"):
        (venv / stamp).touch()
    assert "pip install" not in dry(bare, "relay") + dry(bare, "run")
    return bare


def dry(folder: Path, target: str) -> str:
    """What make would do, whatever the make that runs these tests was asked for."""
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")}
    command = ["make", "--dry-run", target]
    done = subprocess.run(command, cwd=folder / "project", env=env, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.long
async def test_make_run_by_itself(installed: Path) -> None:
    stream = traffic(1_000)
    async with RelayServer(stream.frames) as relay:
        (installed / "project" / ".env").write_text(f"RELAY_URL={relay.url}\nCURSOR=oldest\nHTTP_BIND=127.0.0.1:0\n")
        async with Shell(installed, "make run") as shell:
            await shell.says("Live page: http")
            await shell.says("in the database, ")
            await shell.interrupted()
            assert "[INFO] Stopped" in shell.output


@pytest.mark.long
async def test_make_demo_shows_what_is_in_the_database(installed: Path) -> None:
    """Its time begins with the first event, so that there is one however slow the machine is and short the time."""
    async with Shell(installed, "make demo", DEMO="--seconds 0") as shell:
        assert await shell.ends() == 0, shell.output
        output = shell.output
    counts = {
        table: int(count.replace(",", "")) for count, table in re.findall(r"^ *([0-9,]+)  ([a-z_.]+) ", output, re.MULTILINE)
    }
    assert min(counts[table] for table in ("users", "unified_worker.repos")) > 0, output
    page = re.search(r"\[INFO\] (Live page: http://127\.0\.0\.1:[0-9]+/)", output)
    assert page is not None, output
    assert page[1].partition(": ")[2] in " ".join(output.partition("[INFO]")[0].split()), "it is said before the log begins"
    assert "[INFO] Stopped" in output
    assert re.search(r"everything up to seq [0-9]+ of 127\.0\.0\.1:[0-9]+ is in the database", output), output


@contextlib.asynccontextmanager
async def port_for_us() -> AsyncGenerator[None]:
    """Waits until nobody else has the simulator's port."""

    def free() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", PORT)) != 0

    await until(free, f"port {PORT} is free")
    yield


@pytest.mark.long
async def test_make_relay_and_make_follow_beside_it(installed: Path) -> None:
    """And, as the page on backfills says, from there to the timeline of an account."""
    (installed / "project" / ".env").write_text("HTTP_BIND=127.0.0.1:0\n")
    (short,) = (command for command in TRIED if command.startswith("make relay RELAY="))
    async with port_for_us(), Shell(installed, short) as relay:
        await relay.says(rf"500 new frames per second at ws://127\.0\.0\.1:{PORT}")
        async with Shell(installed, "make follow") as worker:
            await worker.says("in the database, ")
            url = re.search(r" into (postgresql://\S+)", worker.output)
            assert url is not None, worker.output
            await timeline_of_an_account(installed, url[1])
            await worker.interrupted()
            assert "[INFO] Stopped" in worker.output
        assert not (installed / "project" / "data" / "postgres").exists(), "made-up accounts are not put among real ones"
        await relay.interrupted()
        assert "Traceback" not in relay.output


async def timeline_of_an_account(folder: Path, url: str) -> None:
    """Ask for an author's history, and for that of whom it follows; then its timeline goes back to before the worker."""
    ask, show = (command for command in TRIED if command.startswith(".venv/bin/python unified_worker.py backfill"))
    async with connected(url) as connection:
        found: list[asyncpg.Record] = []

        async def follows_some() -> bool:
            found[:] = await connection.fetch("SELECT follower_did FROM follows GROUP BY 1 HAVING count(*) >= 3 LIMIT 1")
            return bool(found)

        await until(follows_some, "somebody follows three")
        ((did,),) = found
        async with Shell(folder, ask.replace("did:plc:…", did)) as shell:
            assert await shell.ends() == 0, shell.output
            assert "Backfill 1 is asked for" in shell.output

        async def done() -> bool:
            async with Shell(folder, show) as shell:
                assert await shell.ends() == 0, shell.output
                return re.search(rf"1 +follows {did} +done +1/1", shell.output) is not None

        await until(done, "the backfill is done", 120, poll=2)
        older = await connection.fetchval(
            "SELECT count(*) FROM follows AS f JOIN feed_items AS i ON i.originator_did = f.following_did "
            "WHERE f.follower_did = $1 AND i.sort_at < now() - interval '1 day'",
            did,
        )
        assert older > 20


async def test_a_python_without_the_packages_is_told_what_to_type(bare: Path) -> None:
    async with Shell(bare, "python3 -S -m relay_simulator --now --rate 500", PYTHONPATH="") as shell:
        assert await shell.ends() == 1
        assert "`make relay`" in shell.output
        assert "Traceback" not in shell.output


@pytest.mark.long
async def test_a_database_of_ones_own_and_the_commands_beside_the_worker(bare: Path, database: str) -> None:
    stream = traffic(1_000, cheap=False)
    did = next(iter(stream.model.repos))
    async with RelayServer(stream.frames) as relay:
        (bare / "project" / ".env").write_text(f"RELAY_URL={relay.url}\nCURSOR=oldest\nHTTP_BIND=\n")
        (own,) = (block for block in blocks(README, "sh") if PLACEHOLDER in block)
        async with Shell(bare, own.replace(PLACEHOLDER, f"'{database}'"), PIP_NO_INDEX="1") as worker:
            await worker.says("Connected to ")
            await saved(database, relay.url, stream.last_seq)
            asked = (one.removeprefix(OF_DOCUMENTS) for one in TRIED)
            for command in (one.replace("did:plc:…", did) for one in asked if one.startswith("python unified_worker.py ")):
                activated = f". .venv/bin/activate; {command}"
                async with Shell(bare, activated, DATABASE_URL=database) as shell:
                    assert await shell.ends() == 0, f"{command}: {shell.output}"
            await worker.interrupted()
            assert "[INFO] Stopped" in worker.output
    assert await stored_cursor(database, relay.url) == stream.last_seq
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM posts") > 0
