"""What fuzzing starts from, by target: the simulator's frames, realistic and awkward, and the recorded ones where they are."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import libipld

from relay_simulator.encoding import encode, error_frame, info_frame
from relay_simulator.forge.forger import Forger
from relay_simulator.forge.kinds import KINDS
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from testing.fuzz import repos, wide
from testing.fuzz.mutations import Parts, parts_of
from testing.fuzz.targets import ACCOUNTS, COLLECTIONS, SEED

DATA = Path(__file__).parents[2] / "../shared/data"
RECORDED = ("real_frames/frames.bin", "odd_frames/malformed-time-and-since.bin", "odd_frames/no-rev-2023.bin")
ONLY_ODD = Mix(odd=500, missing_block=20, huge=0.1, too_big=5, several=50, delete=20, account_odd=20, identity=20, sync=20)
MOST_BYTES = 2**16  # longer seeds make every step slow


def simulated(count: int = 400) -> Iterator[bytes]:
    """Frames of a relay that behaves (with real trees), of an awkward one, and of one that sends the oddest records only; and
    what is forged between the first.
    """
    for mix, cheap in ((Mix.realistic(), False), (Mix.awkward(), True), (ONLY_ODD, True)):
        generator = Generator(Settings(seed=SEED, accounts=ACCOUNTS, history=60, padding=200, mix=mix, cheap=cheap))
        yield from (sent.frame for sent in generator.stream(count))
        if not cheap:
            forger = Forger(generator, [kind for kind in KINDS if kind != "identity-flood"], every=1)
            yield from (sent.frame for sent in forger.stream(len(KINDS)))
    yield info_frame("OutdatedCursor", "too old")
    yield error_frame("FutureCursor", "too new")


def recorded() -> Iterator[bytes]:
    """The recorded frames, where they are at hand: 4 bytes of length, then the frame."""
    for name in RECORDED:
        data = (DATA / name).read_bytes() if (DATA / name).exists() else b""
        while data:
            end = 4 + int.from_bytes(data[:4], "big")
            yield data[4:end]
            data = data[end:]


def seeds(target: str, frames: list[bytes]) -> Iterator[bytes]:
    """What of these frames a target of that name takes; whole repos are no frames."""
    if target == "repo":
        yield from repos.seeds()
        return
    for frame in frames:
        parts = parts_of(frame)
        if target in ("frame", "proof"):
            yield frame
        elif parts is not None:
            match target:
                case "car":
                    yield parts.payload["blocks"]
                case "record":
                    yield from _records(parts)
                case _:
                    yield _tree(parts)


def costly() -> list[bytes]:
    """Commits with trees that are made so that it takes long to look their ops up."""
    return [wide.behind(500, levels=3).frame(), wide.behind(2000, ops=50).frame(), wide.beside(3000, ops=100).frame()]


def write(target: str, folder: Path) -> tuple[int, bool]:
    """Fills a folder with seeds; how many, and whether recorded frames are among them."""
    real = list(recorded())
    for seed in seeds(target, [*simulated(), *costly(), *real]):
        if len(seed) <= MOST_BYTES:
            (folder / sha256(seed).hexdigest()[:20]).write_bytes(seed)
    return len(list(folder.iterdir())), bool(real)


def _records(parts: Parts) -> Iterator[bytes]:
    blocks = dict(parts.sections)
    for op in cast("list[dict[str, Any]]", parts.payload["ops"]):
        collection = op["path"].partition("/")[0]
        number = COLLECTIONS.index(collection) if collection in COLLECTIONS else 0
        if op["cid"] in blocks:
            yield bytes([number]) + blocks[op["cid"]]


def _tree(parts: Parts) -> bytes:
    """The tree of a commit and its ops; see targets.tree."""
    blocks = dict(parts.sections)
    root = libipld.decode_dag_cbor(blocks[parts.root])["data"] if parts.root in blocks else parts.root
    ops = [[op["path"].encode(), op["cid"], op.get("prev")] for op in cast("list[dict[str, Any]]", parts.payload["ops"])]
    return encode([root, cast("Any", ops), [list(section) for section in parts.sections]])
