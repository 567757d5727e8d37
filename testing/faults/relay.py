"""What a relay does wrong: it cuts, refuses, lags, repeats itself, counts anew, and sends what is no message."""

import asyncio
import contextlib
from random import Random
from typing import Any, cast

import libipld

from relay_simulator.encoding import error_frame
from relay_simulator.faults import Fault, future_cursor, too_many_requests, unavailable, web_page
from relay_simulator.shuffle import numbered, replayed
from relay_simulator.truth import CommitTruth, Sent
from testing.faults.kind import Kind
from testing.faults.scene import FEW, Scene

WINDOW = 60  # messages that are out of order among themselves
BROKEN = 12  # messages a strike
SAYING = 5.0  # seconds until a client has taken a message
ANOTHER = 500_000  # how far another numbering lies below


async def _nothing(_scene: Scene, _rng: Random) -> None:
    """The stream itself is the fault."""


async def _close(scene: Scene, _rng: Random) -> None:
    for connection in list(scene.relay.open):
        await connection.close()


async def _abort(scene: Scene, _rng: Random) -> None:
    scene.relay.drop()


async def _restart(scene: Scene, rng: Random) -> None:
    await scene.relay.stop()
    await asyncio.sleep(rng.uniform(0.5, 2))
    await scene.relay.start()


async def _lag(scene: Scene, rng: Random) -> None:
    scene.to_relay.rate = rng.choice((20_000.0, 100_000.0))
    await asyncio.sleep(rng.uniform(1.5, 3))
    scene.to_relay.rate = None


async def _rewind(scene: Scene, rng: Random) -> None:
    """A stretch of up to 1,000 messages comes again, within the connection."""
    end = scene.feed.position
    for sent in scene.feed.sent[max(0, end - rng.randrange(100, 1_000)) : end]:
        await _say(scene, sent.frame)


async def _say(scene: Scene, message: bytes, *, text: bool = False) -> None:
    for connection in list(scene.relay.open):
        with contextlib.suppress(TimeoutError):  # another fault has silenced what lies between: nobody reads this one any more
            async with asyncio.timeout(SAYING):
                await connection.say(message, text=text)


async def _too_slow(scene: Scene, rng: Random) -> None:
    await _say(scene, error_frame("ConsumerTooSlow", "the client reads too slowly"))
    await _close(scene, rng)


async def _scripted(scene: Scene, *scripts: list[Fault]) -> None:
    """Drop the clients; the next connections get these."""
    scene.relay.script.extend(scripts)
    scene.relay.drop()
    await scene.until(lambda: not scene.relay.script, "the worker connects again and again")


async def _unavailable(scene: Scene, rng: Random) -> None:
    await _scripted(scene, *[unavailable() for _ in range(rng.randint(1, 2))])


async def _too_many(scene: Scene, rng: Random) -> None:
    await _scripted(scene, too_many_requests(rng.randint(1, 3)))


async def _page(scene: Scene, rng: Random) -> None:
    await _scripted(scene, *[web_page() for _ in range(rng.randint(1, 2))])


async def _text(scene: Scene, rng: Random) -> None:
    for number in range(BROKEN):
        await _say(scene, b'{"op": 1, "t": "#commit"}' * (1 + number), text=True)
        await asyncio.sleep(rng.uniform(0, 0.1))


async def _huge(scene: Scene, rng: Random) -> None:
    """Over the protocol's 5 MB, read and refused; and over what is read at all, which costs the connection."""
    await _say(scene, bytes(5 * 2**20 + rng.randrange(1, 2**20)))
    await _say(scene, bytes(15 * 2**20))
    await _say(scene, bytes(17 * 2**20))


async def _broken(scene: Scene, rng: Random, *, flipped: bool) -> None:
    """Broken copies of commits that are yet to come, and of some that came: the sound ones must count all the same.

    With the last message's seq: they come out of turn.
    """
    for _ in range(BROKEN):
        here = scene.feed.position
        sent = scene.feed.sent[min(max(here + rng.randrange(-200, 200), 0), len(scene.feed.sent) - 1)]
        if isinstance(sent.truth, CommitTruth) and not sent.truth.too_big:
            scene.broken.add(sent.truth.did)
            sent = numbered(sent, scene.feed.sent[here - 1].truth.seq)
            await _say(scene, _flipped(sent.frame, rng) if flipped else sent.frame[: rng.randrange(1, len(sent.frame))])
        await asyncio.sleep(rng.uniform(0, 0.1))


def _flipped(frame: bytes, rng: Random) -> bytes:
    """One bit of the CAR is another. A bit of the envelope would make another message of it, which only signatures can tell."""
    fields = cast("dict[str, Any]", libipld.decode_dag_cbor_multi(frame)[1])
    blocks: bytes = fields["blocks"]
    at = frame.index(blocks) + rng.randrange(len(blocks))
    return frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1 :]


async def _truncate(scene: Scene, rng: Random) -> None:
    await _broken(scene, rng, flipped=False)


async def _flip(scene: Scene, rng: Random) -> None:
    await _broken(scene, rng, flipped=True)


async def _future(scene: Scene, _rng: Random) -> None:
    ended = len(scene.keeper.codes)
    await _scripted(scene, future_cursor())
    await scene.keeper.ended(ended, 20)


async def _renumber(scene: Scene, _rng: Random) -> None:
    """The relay comes back with the same messages under lower seqs, and knows no others. The worker stops by design."""
    # Before a cursor is stored nobody can notice it; then which of two claimed a handle first depends on the numbering.
    await scene.until(lambda: scene.witness.cursor is not None, "a cursor is stored")
    anew = [numbered(sent, sent.truth.seq - ANOTHER) for sent in scene.feed.sent]
    ended, connections = len(scene.keeper.codes), scene.relay.connections
    scene.renumbered = True
    scene.witness.renumber(anew)
    scene.relay.log = scene.log(anew[: scene.feed.position])
    scene.feed.sent = anew
    scene.relay.drop()
    await scene.until(lambda: scene.relay.connections > connections, "the worker connects again")
    scene.feed.more(50, reserved=0.05)
    last = max(sent.truth.seq for sent in anew)

    def noticed() -> bool:
        scene.feed.burst(FEW, reserved=0.05)  # the connection may have been another fault's
        return len(scene.keeper.codes) > ended or (scene.witness.cursor is not None and scene.witness.cursor <= last)

    await scene.until(noticed, "the worker stops, or follows the new seqs")


def _repeated(sent: list[Sent], rng: Random) -> list[Sent]:
    """Each message now and then twice at once, and long stretches again."""
    doubled = [again for one in sent for again in [one] * rng.choice((1, 1, 1, 2))]
    return replayed(doubled, rng, times=8, longest=len(sent) // 4)


def _disordered(sent: list[Sent], rng: Random) -> list[Sent]:
    """Neighbours change places, each account's messages among themselves excepted; seqs stay with their messages."""
    mixed: list[Sent] = []
    for first in range(0, len(sent), WINDOW):
        stretch = sent[first : first + WINDOW]
        order = list(range(len(stretch)))
        rng.shuffle(order)
        queues: dict[str, list[Sent]] = {}
        for one in reversed(stretch):
            queues.setdefault(one.truth.did, []).append(one)
        mixed += [queues[stretch[at].truth.did].pop() for at in order]
    return mixed


KINDS = (
    Kind("relay_close", "relay", "clean close", _close),
    Kind("relay_abort", "relay", "socket dropped", _abort),
    Kind("relay_restart", "relay", "relay away and back", _restart),
    Kind("slow_relay", "relay", "20 or 100 kB/s for some seconds", _lag),
    Kind("repeated_seqs", "relay", "messages twice at once, stretches again", _nothing, shape=_repeated),
    Kind("seqs_out_of_order", "relay", "neighbours change places", _nothing, shape=_disordered, slack=5 * WINDOW),
    Kind("seqs_going_back", "relay", "up to 1,000 older messages again", _rewind),
    Kind(
        "relay_counts_anew",
        "relay",
        "lower seqs: stops with 1, --reset-cursor",
        _renumber,
        frozenset({1}),
        group="reset",
    ),
    Kind("future_cursor", "relay", "FutureCursor: stops with 1, --reset-cursor", _future, frozenset({1}), group="reset"),
    Kind("consumer_too_slow", "relay", "ConsumerTooSlow", _too_slow),
    Kind("http_503", "relay", "HTTP 503, once or twice", _unavailable),
    Kind("http_429", "relay", "HTTP 429 with Retry-After", _too_many),
    Kind("html_page", "relay", "a web page in place of the stream", _page),
    Kind("text_frames", "relay", "text messages", _text),
    Kind("truncated_frames", "relay", "commits cut short, before and after the sound ones", _truncate),
    Kind("bit_flips", "relay", "a bit of a commit's CAR flipped, before and after the sound one", _flip),
    Kind("huge_frames", "relay", "messages of 5, 15 and 17 MB", _huge),
)
