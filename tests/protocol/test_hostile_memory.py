"""A frame of up to 5 MB costs less than 100 MB and five seconds, whatever it is made of; measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testing.fuzz.bombs import BOMBS

MOST_BYTES = 100 * 10**6  # besides the frame itself, which is there before
MOST_SECONDS = 5  # CPU time; most take some ms, none takes half a second
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each of the frames cost, by name: `bytes` at the peak, `seconds`, and the `outcome`."""
    folder = tmp_path_factory.mktemp("bombs")
    files: list[str] = []
    for number, frame in enumerate(BOMBS.values()):
        files.append(str(folder / str(number)))
        Path(files[-1]).write_bytes(frame())
    command = [sys.executable, "-m", "testing.fuzz.measure", *files]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True).stdout
    return dict(zip(BOMBS, map(json.loads, told.splitlines()), strict=True))


@pytest.mark.long
@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.promise(5)
def test_no_frame_takes_much_memory_or_time(name: str, costs: dict[str, dict[str, Any]]) -> None:
    assert costs[name]["bytes"] < MOST_BYTES
    assert costs[name]["seconds"] < MOST_SECONDS


OUTCOMES = {
    "millions of zeros": "undecodable",
    "5 MB of text": "bad_rev",  # decoded, and then found to be no commit
    "200 ops on one block of 1 MB": "repeated_record",
    "200 ops on one block of 90,000 zeros": "repeated_record",
    "a record of 900,000 zeros": "bad_record",
    "a record of 99,000 zeros": "Commit 1",
    "a record of 25,000 links": "Commit 1",
    "45,000 tiny blocks": "record_not_map",
    "two profiles of 1 MB, of characters that JSON escapes": "Commit 1",  # of one path the last operation counts
}


@pytest.mark.long
@pytest.mark.parametrize("name", OUTCOMES)
def test_the_frames_get_as_far_as_they_are_meant_to(name: str, costs: dict[str, dict[str, Any]]) -> None:
    assert OUTCOMES[name] in costs[name]["outcome"]


def test_what_is_measured_is_what_is_used() -> None:
    """A frame that needs 200 MB for a moment is told to."""
    code = (
        "import json, testing.fuzz.measure as m; m.taken_in = lambda frame: str(len(bytearray(205 * 10**6)));"
        "print(json.dumps(m.measure(b'')))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert 200 * 10**6 <= json.loads(told)["bytes"] < 220 * 10**6
