"""The worker's pulse: a file that its loop touches every second. `python -m indexer.heartbeat` exits with 0 while it beats.

That is what the image's HEALTHCHECK asks: it costs no port, and a loop that hangs or a process that is gone lets the file age.
"""

import asyncio
import contextlib
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two beats
STALE = 30.0  # seconds: longer than any pause of a loop that works, a garbage collection or a slow disk included


def default_path() -> Path:
    """One file a user: containers have one worker each, and elsewhere nobody runs this check."""
    return Path(tempfile.gettempdir()) / f"unified-worker-{os.getuid()}.alive"


async def beat(path: Path | None = None) -> None:
    """Touch `path` every second until cancelled, then remove it. A file that cannot be written is one WARNING, not an end."""
    path = path or default_path()
    try:
        while True:
            _touch(path)
            await asyncio.sleep(INTERVAL)
    except OSError as error:
        log.warning("no heartbeat for the health check: %s", error)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def beats(path: Path | None = None) -> bool:
    """Whether a worker of this user has touched `path` within the last 30 s."""
    try:
        found = (path or default_path()).stat(follow_symlinks=False)
    except OSError:
        return False
    return found.st_uid == os.getuid() and abs(time.time() - found.st_mtime) < STALE


def _touch(path: Path) -> None:
    # The folder is everyone's: never write through somebody else's link.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    os.utime(path, follow_symlinks=False)


if __name__ == "__main__":
    sys.exit(0 if beats() else 1)
