"""The package: what wheel and sdist hold, that they are the same wherever they are built, and that the command starts."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from hatch_build import CustomMetadataHook
from tests.project.test_packaging import requirements
from unified_indexer.command_line import program_name
from unified_indexer.version import VERSION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NAMES = (
    *("pyproject.toml", "hatch_build.py", "README.md", "CHANGELOG.md", ".gitignore", "unified_worker.py", "unified_indexer"),
    *("requirements.txt", "requirements-embedded.txt", "requirements-dev.txt", "requirements.lock"),
    *("relay_simulator", "benchmarks", "tests", "deploy", "docs", "LICENSE"),
)
DATA = ("page.html", "page.css", "page.js")
CODE = {".py", ".html", ".css", ".js", ".sql", ".typed"}
INFO = f"unified_worker-{VERSION}.dist-info"
MAN = f"unified_worker-{VERSION}.data/data/share/man/man1/unified-worker.1"  # pip puts it below its prefix
STATEMENTS = """
from unified_indexer.database.functions.install import functions
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.records import RECORD_TYPES
print(*functions("public", RECORD_TYPES), *MIGRATIONS)
"""
EPOCH = {"SOURCE_DATE_EPOCH": "1764000000"}


def copied(folder: Path) -> Path:
    """The project in a folder of its own, with a page as data, and beside it what no package is to hold."""
    folder.mkdir()
    for name in NAMES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    pages = folder / "unified_indexer" / "pages"
    pages.mkdir()
    for name in DATA:
        (pages / name).write_text("data")
    for stray in (
        ".env",
        "unified_indexer/.env",
        "unified_indexer/notes.txt",
        "unified_indexer/http.py~",
        "unified_indexer/pages/page.pyc",
    ):
        (folder / stray).write_text("not for others")
    return folder


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command with no settings of ours in its environment."""
    environment = {"PATH": os.environ["PATH"], "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | env
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def built(source: Path, place: Path, *options: str) -> list[Path]:
    """What the build backend makes of a folder."""
    done = run(sys.executable, "-m", "hatchling", "build", "--directory", place, *options, cwd=source, **EPOCH)
    assert done.returncode == 0, done.stderr
    return sorted(place.iterdir())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    return copied(folder / "source")


@pytest.fixture(scope="module")
def wheel(folder: Path, source: Path) -> Path:
    """As pip makes it."""
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder / "wheel")
    done = run(sys.executable, "-m", "pip", "wheel", *options, ".", cwd=source, **EPOCH)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "wheel").iterdir()
    return path


@pytest.fixture(scope="module")
def installed(folder: Path, wheel: Path) -> Path:
    """The wheel, installed into a folder; what it needs is this Python's."""
    place = folder / "installed"
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile", "--target", place)
    done = run(sys.executable, "-m", "pip", "install", *options, wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return place


def test_the_wheel_holds_the_worker_with_its_data_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"unified_worker-{VERSION}-py3-none-any.whl"
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "unified_indexer").rglob("*") if path.suffix in CODE}
    data = {f"unified_indexer/pages/{name}" for name in DATA}
    info = {f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == {"unified_worker.py", MAN} | code | data | info


def test_the_wheel_asks_for_what_the_requirements_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = message_from_string(archive.read(f"{INFO}/METADATA").decode())
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    always = {requirement.name: requirement.specifier for requirement in asked if requirement.marker is None}
    extra = {
        requirement.name: requirement.specifier for requirement in asked if str(requirement.marker) == 'extra == "embedded"'
    }
    assert len(always) + len(extra) == len(asked)
    assert always == {name: requirement.specifier for name, requirement in requirements("requirements.txt").items()}
    assert extra == {name: requirement.specifier for name, requirement in requirements("requirements-embedded.txt").items()}
    assert metadata["Version"] == VERSION
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_on_an_index_the_links_lead_to_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no files beside the description there. Where the place is not known, nothing is claimed."""
    hook = CustomMetadataHook(str(ROOT), {})
    metadata: dict[str, Any] = {"version": VERSION}
    hook.update(metadata)
    assert "urls" not in metadata
    monkeypatch.setenv("PROJECT_URL", "https://code.example/them/worker/")
    hook.update(metadata)
    text: str = metadata["readme"]["text"]
    assert f"](https://code.example/them/worker/raw/v{VERSION}/docs/live-page.png)" in text
    assert f"](https://code.example/them/worker/blob/v{VERSION}/docs/trust.md)" in text
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", text) == []
    assert metadata["urls"]["Source"] == "https://code.example/them/worker"
    assert metadata["urls"]["Changelog"] == f"https://code.example/them/worker/blob/v{VERSION}/CHANGELOG.md"
    assert metadata["readme"]["content-type"] == "text/markdown"


def unpack(archive: Path, folder: Path) -> None:
    """Python's own knows filters from 3.11.4 on, and warns without."""
    folder.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)


@pytest.mark.long
def test_it_is_the_same_wherever_and_out_of_whatever_it_is_built(folder: Path, source: Path, wheel: Path) -> None:
    """By another program, in another folder, with other times and modes; and out of the sdist."""
    other = copied(folder / "other")
    for path in other.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1_500_000_000, 1_500_000_000))
    here, there = built(source, folder / "here"), built(other, folder / "there")
    assert [path.name for path in here] == [wheel.name, f"unified_worker-{VERSION}.tar.gz"]
    assert list(map(digest, here)) == list(map(digest, there))
    unpack(here[1], folder / "unpacked")
    (unpacked,) = (folder / "unpacked").iterdir()
    (again,) = built(unpacked, folder / "again", "--target", "wheel")
    assert digest(wheel) == digest(here[0]) == digest(again)


def test_the_sdist_holds_what_the_wheel_is_built_from(folder: Path, source: Path) -> None:
    (sdist,) = built(source, folder / "sdist", "--target", "sdist")
    unpack(sdist, folder / "looked-at")
    (place,) = (folder / "looked-at").iterdir()
    found = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    outside = {name for name in found if not name.startswith("unified_indexer/")}
    assert outside == {
        *("PKG-INFO", "pyproject.toml", "hatch_build.py", "README.md", "CHANGELOG.md", ".gitignore", "unified_worker.py"),
        *("requirements.txt", "requirements-embedded.txt", "deploy/man/unified-worker.1", "LICENSE"),
    }
    assert {Path(name).suffix for name in found - outside} <= CODE


@pytest.mark.long
def test_the_command_tells_its_version_and_its_own_name(folder: Path, installed: Path) -> None:
    command = installed / "bin" / program_name.INSTALLED
    version = run(command, "--version", cwd=folder, PYTHONPATH=str(installed))
    assert (version.returncode, version.stdout) == (0, f"unified-worker {VERSION}\n"), version.stderr
    usage = run(command, "status", "--help", cwd=folder, PYTHONPATH=str(installed))
    assert usage.stdout.startswith("usage: unified-worker status "), usage.stderr
    assert ".py" not in usage.stdout
    where = run(
        sys.executable, "-c", "import unified_indexer; print(unified_indexer.__file__)", cwd=folder, PYTHONPATH=str(installed)
    )
    assert where.stdout.strip() == str(installed / "unified_indexer" / "__init__.py")


def test_what_is_installed_has_every_statement(folder: Path, installed: Path) -> None:
    """The SQL is data files of the package: the functions, and the schema's steps."""
    statements = subprocess.run([sys.executable, "-c", STATEMENTS], cwd=ROOT, capture_output=True, text=True, check=True)
    done = run(sys.executable, "-c", STATEMENTS, cwd=folder, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    assert done.stdout == statements.stdout
    assert done.stdout.count("CREATE OR REPLACE") > 60


def test_the_command_ends_with_2_where_a_setting_is_missing(folder: Path, installed: Path) -> None:
    done = run(installed / "bin" / program_name.INSTALLED, cwd=folder, PYTHONPATH=str(installed))
    assert done.returncode == 2
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_remedy_of_a_check_is_what_one_can_type(folder: Path, installed: Path) -> None:
    asked = (
        "import sys; sys.argv[0] = '/bin/unified-worker'; "
        "from unified_indexer.command_line.program_name import line; print(line('rebuild-derived'))"
    )
    done = run(sys.executable, "-c", asked, cwd=folder, PYTHONPATH=str(installed))
    assert done.stdout == "unified-worker rebuild-derived\n", done.stderr


def test_the_build_backend_is_the_one_that_the_tests_have() -> None:
    (backend,) = PROJECT["build-system"]["requires"]
    assert Requirement(backend) == requirements("requirements-dev.txt")["hatchling"]
    assert PROJECT["project"]["scripts"] == {program_name.INSTALLED: "unified_worker:main"}
