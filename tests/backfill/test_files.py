"""The files of large repos: what is written is read, and a full disk has its own name."""

import asyncio
import os
import tempfile
import threading
from pathlib import Path

import pytest

from testing.workers import settings
from unified_indexer.backfill.files import NoRoom, TemporaryFile, in_thread
from unified_indexer.config.settings import Config
from unified_worker import UnifiedWorker


def test_what_is_written_is_read_at_any_place() -> None:
    file = TemporaryFile()
    file.append(b"one")
    file.append(memoryview(b"two"))
    file.append(bytearray(b"x" * 10**6))
    assert (file.read(4, 1), file.read(9, 6), file.read(10, 10**6)) == (b"netw", b"x" * 9, b"xxxxxx")
    assert file.read(5, 2 * 10**6) == b""
    file.close()
    file.close()


def test_it_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = TemporaryFile()
    file.append(b"x")
    assert list(tmp_path.iterdir()) == []
    file.close()


def test_where_there_is_no_room_no_host_is_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TemporaryFile()
    full = os.open("/dev/full", os.O_RDWR)
    monkeypatch.setattr(file, "_descriptor", full)
    with pytest.raises(NoRoom, match="No space"):
        file.append(b"x")
    os.close(full)
    with pytest.raises(NoRoom):
        file.read(1, 0)
    file.close()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(NoRoom):
        TemporaryFile()


async def test_who_is_cancelled_waits_for_the_thread() -> None:
    """Otherwise the file would be closed while it is written, and its number another file's."""
    begun, go_on = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work() -> None:
        begun.set()
        assert go_on.wait(60)
        ended.append(True)
        raise NoRoom("nobody hears of it")

    task = asyncio.create_task(in_thread(work))
    while not begun.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_a_thread_gives_and_raises_as_its_work_does() -> None:
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


@pytest.mark.parametrize(("backfill", "place", "warnings"), [("repair", "gone", 1), ("repair", ".", 0), ("off", "gone", 0)])
async def test_a_start_says_that_large_repos_have_no_place(
    backfill: str, place: str, warnings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = UnifiedWorker(
        Config.from_env(settings("postgresql://nobody@127.0.0.1:1/nothing", "ws://127.0.0.1:1", BACKFILL=backfill))
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / place))
    for task in worker.backfill.once_for_all():
        task.close()
    assert caplog.text.count("no temporary file can be made ([Errno 2]") == caplog.text.count("set TMPDIR") == warnings
