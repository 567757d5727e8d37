"""What those do who are asked whether a commit is its account's: they are silent, or know another key. And what is forged."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, cast

import libipld

from relay_simulator import keys
from relay_simulator.encoding import encode, seq_of
from relay_simulator.forge.edits import blocks_of, op_of, root_of, signed_by, with_blocks, with_commit_block, with_ops
from relay_simulator.hosts.faults import Cut, HostFault, Slow, Status
from relay_simulator.records import Record
from relay_simulator.truth import CommitTruth
from testing.faults.kind import Kind
from testing.faults.scene import Scene

FORGERY = keys.signer(0, 0)  # the forger's own key
FORGED = 20  # messages a strike
SILENCES: tuple[HostFault, ...] = (Cut(), Status(503), Status(429, "1"), Slow(30))


async def _nothing(_scene: Scene, _rng: Random) -> None:
    """The stream itself is the fault."""


async def _silent(scene: Scene, rng: Random) -> None:
    faults = scene.hosts.faults
    faults.put(rng.choice(SILENCES), "directory")
    await asyncio.sleep(rng.uniform(1, 4))
    faults.clear()


def _own_key(payload: Record) -> Record:
    commit = cast("dict[str, Any]", libipld.decode_dag_cbor(blocks_of(payload)[root_of(payload)]))
    return with_commit_block(payload, signed_by(FORGERY, commit["did"], commit["rev"], commit["data"]))


def _other_record(payload: Record) -> Record:
    cid = next(cid for cid in blocks_of(payload) if cid != op_of(payload)["cid"])
    return with_ops(payload, op_of(payload) | {"cid": cid})


def _twice(payload: Record) -> Record:
    return with_ops(payload, op_of(payload), op_of(payload))


def _changed(payload: Record) -> Record:
    cid, block = list(blocks_of(payload).items())[-1]
    return with_blocks(payload, {cid: block[:-1] + bytes([block[-1] ^ 1])})


FORGERIES: tuple[Callable[[Record], Record], ...] = (_own_key, _own_key, _other_record, _twice, _changed)


async def _forged(scene: Scene, rng: Random) -> None:
    """Commits that are yet to come, and some that came, each told falsely: the honest ones must count all the same.

    With the seq of the last message that the client was sent: they come out of turn, and it must miss nothing when it resumes.
    """
    for _ in range(FORGED):
        here = scene.feed.position
        sent = scene.feed.sent[min(max(here + rng.randrange(-100, 300), 0), len(scene.feed.sent) - 1)]
        header, payload = cast("list[Record]", libipld.decode_dag_cbor_multi(sent.frame))
        if isinstance(sent.truth, CommitTruth) and sent.truth.sound and sent.truth.ops and sent.truth.ops[0].record:
            false = rng.choice(FORGERIES)(payload)
            for connection in list(scene.relay.open):
                if connection.newest is not None:
                    out_of_turn = false | {"seq": seq_of(bytes(connection.newest))}
                    await connection.say(encode(header) + encode(out_of_turn), text=False)
        await asyncio.sleep(rng.uniform(0, 0.1))


KINDS = (
    Kind(
        "directory_silent",
        "trust",
        "the directory drops, delays or refuses what it is asked",
        _silent,
        needs=frozenset({"directory"}),
        group="trust",
    ),
    Kind(
        "forged_commits",
        "trust",
        "forged commits among the honest ones, also before a key is known",
        _forged,
        needs=frozenset({"directory"}),
        group="trust",
        env={"VERIFY_UNPROVEN": "hold"},
    ),
    Kind(
        "keys_rotated",
        "trust",
        "accounts have another key, which their next commit tells first",
        _nothing,
        needs=frozenset({"directory", "new keys"}),
        group="trust",
    ),
)
