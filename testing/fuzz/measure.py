"""What one frame costs: `python -m testing.fuzz.measure FILE…` prints a line of JSON a file, in their order.

Each frame is taken in by a fresh process, forked from one that has the modules and nothing else, so that memory that others
let go of hides nothing.
"""

import json
import os
import re
import resource
import sys
import time
from pathlib import Path

from testing.fuzz.targets import frame as taken_in

_STATUS = Path("/proc/self/status")


def peak() -> int:
    """The most memory that this process has had resident, in bytes."""
    if _STATUS.exists():
        # Not getrusage, which on Linux counts what was there before exec.
        found = re.search(r"VmHWM:\s*([0-9]+) kB", _STATUS.read_text())
        assert found is not None
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(frame: bytes) -> dict[str, object]:
    before, start = peak(), time.process_time()
    outcome = taken_in(frame)
    return {"seconds": time.process_time() - start, "bytes": peak() - before, "outcome": outcome}


def main(files: list[str]) -> None:
    taken_in(b"\xa0")  # what is made once is no frame's
    for file in files:
        child = os.fork()
        if child == 0:
            sys.stdout.write(json.dumps(measure(Path(file).read_bytes())) + "\n")
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
