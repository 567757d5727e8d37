"""What goes out, looked at by tools of others, which are fetched for it; and the wheel in an environment with nothing else.

All of it needs an index of packages. docs/releasing.md says when it is run.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from aiohttp import web

from relay_simulator.server import RelayServer
from testing.browser import Look, looking
from testing.databases import connected, saved
from testing.processes import Cold
from testing.traffic import traffic
from testing.waiting import until

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
INSTALL = 600.0  # seconds; an index may be far away

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def outside(package: str, program: str, *arguments: str | Path) -> str:
    """What the program of a package says that is fetched for this run; it must end with 0."""
    tried = subprocess.run([UV, "tool", "run", "--from", package, program, "--version"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"{package} cannot be had here ({tried.stderr.strip()[-200:]})")
    done = subprocess.run([UV, "tool", "run", "--from", package, program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the sdist, by their suffix."""
    place = tmp_path_factory.mktemp("dist")
    env = {"PATH": os.environ["PATH"], "PROJECT_URL": "https://code.example/them/worker"}
    subprocess.run([sys.executable, "-m", "hatchling", "build", "--directory", place], cwd=ROOT, env=env, check=True)
    return {path.suffix: path for path in place.iterdir()}


def test_twine_finds_nothing(packages: dict[str, Path]) -> None:
    said = outside("twine==7.0.0", "twine", "check", "--strict", *packages.values())
    assert said.count("PASSED") == 2


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", sorted((ROOT / ".github" / "workflows").glob("*.yml"))),
        ("vendor.compose-spec", [ROOT / "docker-compose.unified.yml"]),
    ],
)
def test_files_for_others_follow_their_schemas(schema: str, files: list[Path]) -> None:
    assert files
    outside("check-jsonschema==0.39.0", "check-jsonschema", "--builtin-schema", schema, *files)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` makes, in an environment of its own."""
    tmp_path = tmp_path_factory.mktemp("site")
    for name in ("Makefile", "mkdocs.yml", "mkdocs_hooks.py", "requirements-docs.lock", *ROOT.glob("*.md"), "docs", "testing"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / source.name)
        else:
            shutil.copy(source, tmp_path)
    command = ["make", "docs", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    if "No matching distribution found" in done.stderr:
        pytest.skip(f"no index can be reached ({done.stderr.strip()[-200:]})")
    assert done.returncode == 0, done.stderr
    return tmp_path / "build" / "site"


async def test_a_page_of_the_site_asks_no_other_host_and_draws_its_diagrams(site: Path) -> None:
    app = web.Application()
    app.router.add_static("/", site)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        place = web.TCPSite(runner, "127.0.0.1", 0)
        await place.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        for page in ("", "docs/architecture/", "docs/tables/", "docs/performance/"):
            async with looking(f"{url}/{page}index.html") as look:

                async def drawn(look: Look = look) -> bool:
                    """The theme puts a drawing in the place of each, where no script reaches it."""
                    return await look.page.locator("pre.mermaid").count() == 0

                await until(drawn, f"the diagrams of {page or 'the front page'} are drawn", 60)
                shown = await look.page.locator("div.mermaid").count()
                assert shown == (site / page / "index.html").read_text(encoding="utf-8").count('<pre class="mermaid">')
                assert [asked for asked in look.requests if not asked.startswith(url)] == []
                assert [line for line in look.complaints if line.startswith(("error", "thrown"))] == []
    finally:
        await runner.cleanup()


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    """Each page as a reader's browser has it."""
    html = {page: page.read_text(encoding="utf-8") for page in site.rglob("index.html")}
    names = {page: set(re.findall(r' (?:id|name)="?([^" >]+)', text)) for page, text in html.items()}
    assert len(html) > 40
    links = 0
    for page, text in html.items():
        for target in re.findall(r'<(?:a|img|link|script)[^>]* (?:href|src)="?([^" >]+)', text):
            path, _, anchor = unquote(target).partition("#")
            if re.match(r"[a-z]+:|//", path):
                continue
            found = (page.parent / path).resolve() if path else page
            found = found / "index.html" if found.is_dir() else found
            assert found.exists(), f"{page}: {target}"
            assert not anchor or found not in names or anchor in names[found], f"{page}: {target}"
            links += 1
    assert links > 1_000
    assert sum(text.count('<pre class="mermaid">') for text in html.values()) == 5


class Installed(Cold):
    """The command of a package that is installed in an environment of its own."""

    program = ("-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that PostgreSQL's account may enter, where we are root. Not pytest's: each start of pytest closes those."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def test_the_wheel_in_an_empty_environment_indexes_into_its_own_database(packages: dict[str, Path], place: Path) -> None:
    """As a stranger does it: venv, pip, and the command from another folder."""
    venv = place / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [venv / "bin" / "pip", "install", "--quiet", f"{packages['.whl']}[embedded]"]
    done = subprocess.run(install, cwd=place, capture_output=True, text=True, timeout=INSTALL)
    if "No matching distribution found" in done.stderr:
        pytest.skip(f"no index can be reached ({done.stderr.strip()[-200:]})")
    assert done.returncode == 0, done.stderr
    checked = subprocess.run([venv / "bin" / "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    stream = traffic(1_000)
    env = {"CURSOR": "oldest", "VERIFY": "off", "BACKFILL": "off", "HTTP_BIND": "127.0.0.1:0", "HOME": str(place)}
    async with RelayServer(stream.frames) as relay:
        command = (str(venv / "bin" / "unified-worker"), "--embedded", "data")
        async with Installed(place, *command, **env | {"RELAY_URL": relay.url}) as worker:
            await worker.says("Live page: http", 120)
            found = await worker.says(r" into (postgresql://\S+)")
            await saved(found[1], relay.url, stream.last_seq)
            async with connected(found[1]) as connection:
                assert await connection.fetchval("SELECT count(*) FROM posts") > 0
            worker.signal(2)
            assert await worker.ends(30) == 0
        assert "Traceback" not in worker.output
    where = [venv / "bin" / "python", "-c", "import unified_indexer; print(unified_indexer.__file__)"]
    assert str(venv) in subprocess.run(where, cwd=place, capture_output=True, text=True, check=True).stdout
