"""The heartbeat: beats while the loop runs, and is seen to stop."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexer import heartbeat

ROOT = Path(__file__).parents[1]


def check(temporary: Path) -> int:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.run([sys.executable, "-m", "indexer.heartbeat"], cwd=ROOT, env=environment).returncode


async def test_beats_until_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)
    path = tmp_path / f"unified-worker-{os.getuid()}.alive"
    assert not heartbeat.beats(path)
    async with asyncio.timeout(10):
        task = asyncio.create_task(heartbeat.beat(path))
        while not heartbeat.beats(path):
            await asyncio.sleep(0.01)
        os.utime(path, (1, 1))
        assert not heartbeat.beats(path)
        while not heartbeat.beats(path):  # it is touched again and again, not once
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(check, tmp_path) == 0
    task.cancel()
    await asyncio.wait([task])
    assert not path.exists()
    assert await asyncio.to_thread(check, tmp_path) == 1


def test_an_old_beat_and_somebody_elses_link_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    path.touch()
    assert heartbeat.beats(path)
    old = time.time() - heartbeat.STALE - 1
    os.utime(path, (old, old))
    assert not heartbeat.beats(path)

    target, link = tmp_path / "fresh", tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    os.utime(link, (old, old), follow_symlinks=False)
    assert not heartbeat.beats(link)


def test_a_beat_of_another_account_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alive"
    path.touch()
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert not heartbeat.beats(path)


async def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    link = tmp_path / "alive"
    link.symlink_to(target)
    await asyncio.wait_for(heartbeat.beat(link), 10)
    assert "no heartbeat" in caplog.text
    assert target.read_text() == "kept"
