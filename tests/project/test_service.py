"""The systemd unit and the settings beside it, as far as no systemd runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from unified_indexer.command_line import program_name, signals
from unified_indexer.config.settings import SETTINGS, Config
from unified_indexer.pipeline import lanes

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = FOLDER / "unified-worker.service"
WORST = 1.5  # systemd-analyze's exposure, of 10: what the network, and a place in the host's file system, cost


def directives() -> dict[str, list[str]]:
    """Every directive of the unit, with its values in order."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def set_in(path: Path) -> dict[str, str]:
    """The variables of an EnvironmentFile."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """systemd-analyze, or a skip where it is missing."""
    command = shutil.which("systemd-analyze")
    if command is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    return subprocess.run([command, *arguments], capture_output=True, text=True)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    (command,) = directives()["ExecStart"]
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(command, sys.executable), encoding="utf-8")
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_little_is_left_open() -> None:
    done = analyze("security", "--offline=true", "--no-pager", UNIT)
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= WORST, done.stdout


def test_a_database_that_is_slow_to_start_is_waited_for_without_end() -> None:
    """The worker ends with 2 where the database has not answered for 30 s; with 1 where somebody must decide."""
    unit = directives()
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == ["1"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert int(unit["RestartSec"][0]) >= 5


def test_it_may_drain_and_hold_what_its_bounds_allow() -> None:
    unit = directives()
    assert unit["KillSignal"] == ["SIGTERM"]
    assert float(unit["TimeoutStopSec"][0]) > signals.GRACE + signals.STUCK
    bounds = lanes.MAX_QUEUED_BYTES + 2 * lanes.MOST_LANES * lanes.MAX_BATCH_BYTES
    assert int(unit["MemoryMax"][0].removesuffix("M")) * 2**20 > 2 * bounds + 300e6


def test_one_memory_limit_is_set_and_told() -> None:
    (limit,) = directives()["MemoryMax"]
    root = UNIT.parents[2]
    compose = yaml.safe_load((root / "docker-compose.unified.yml").read_text(encoding="utf-8"))
    assert compose["services"]["unified-worker"]["mem_limit"].upper() == limit
    told = (
        (root / "docs" / "operations.md")
        .read_text(encoding="utf-8")
        .partition("### Memory limit of the worker")[2]
        .partition("###")[0]
    )
    assert re.findall(r"(\d+) MB is a limit", told) == [limit.removesuffix("M")]


def test_large_repos_are_files_on_disk() -> None:
    """/tmp may be a tmpfs, which counts for MemoryMax."""
    unit = directives()
    assert "TMPDIR=/var/tmp" in unit["Environment"]
    assert unit["PrivateTmp"] == ["yes"]  # it may write there, and nobody else sees it


def test_it_starts_the_command_that_is_installed_with_the_settings_beside_it() -> None:
    unit = directives()
    assert Path(unit["ExecStart"][0]).name == program_name.INSTALLED
    assert unit["EnvironmentFile"] == ["/etc/unified-worker.env"]


def test_the_example_s_settings_are_settings_and_hold_no_password() -> None:
    path = FOLDER / "unified-worker.env"
    names = set(re.findall(r"^#?([A-Z_]+)=", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert names <= {setting.name for setting in SETTINGS}
    config = Config.from_env(set_in(path))
    assert config.database_url == "postgresql://unified-worker@/unified?host=/var/run/postgresql"
