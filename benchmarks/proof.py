"""What it costs to prove a commit, in µs of CPU, next to what the plain ways cost: `python -m benchmarks.proof`.

The frames are recorded ones where ../shared/data has them, otherwise the simulator's. The plain ways are the atproto SDK for
the signature and `testing.search_tree` for the tree.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median
from typing import Any, NamedTuple

import libipld
from atproto_crypto.verify import verify_signature

from relay_simulator.generator import Generator, Settings
from relay_simulator.truth import CommitTruth
from testing import search_tree
from testing.frames import DATA, recorded
from unified_indexer.config.settings import Config
from unified_indexer.pipeline.lanes import MAX_BATCH, Lane, Placed
from unified_indexer.pipeline.watermark import Ticket
from unified_indexer.protocol import car, mst
from unified_indexer.protocol.events import Commit, Event, Sync, Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.keys import P256Key, SigningKey, signing_key
from unified_indexer.protocol.proof import Claim, Proof, prove, read_claim
from unified_indexer.protocol.proving import proven
from unified_indexer.protocol.signature import read_commit
from unified_worker import UnifiedWorker

REPETITIONS = 21


class Case(NamedTuple):
    """A commit with all that proving it needs; `did_key` is its key as the SDK takes it."""

    frame: bytes
    event: Commit
    payload: dict[str, Any]
    claim: Claim
    blocks: dict[bytes, bytes]
    data: bytes
    key: SigningKey
    did_key: str


def main() -> None:
    """Measures and prints."""
    cases = recorded_cases() if (DATA / "real_frames").is_dir() else simulated_cases()
    k256 = [case for case in cases if not isinstance(case.key, P256Key)]
    p256 = [case for case in cases if isinstance(case.key, P256Key)]
    print(f"{len(cases)} commits, {len(p256)} of them by a P-256 key; µs of CPU a commit, medians of {REPETITIONS}")
    for name, chosen, work in (
        ("tree, plain", cases, tree_plainly),
        ("tree", cases, tree),
        ("signature on k256, SDK", k256, signature_by_sdk),
        ("signature on k256", k256, signature),
        ("signature on p256, SDK", p256, signature_by_sdk),
        ("signature on p256", p256, signature),
        ("the claim", cases, claim),
        ("claim and proof", cases, proof),
        ("frame to event", cases, decoded),
        ("frame to claim", cases, claimed),
        ("event to verdict", cases, judged),
    ):
        if chosen:
            print(f"{name:24} {measured(work, chosen):7.1f}")
    print(f"{'the stage, VERIFY=off':24} {left_alone(cases):9.3f}")


def measured(work: Callable[[Case], object], cases: Sequence[Case]) -> float:
    """µs of this thread's CPU for each case."""
    found: list[float] = []
    for _ in range(REPETITIONS):
        start = time.thread_time()
        for case in cases:
            work(case)
        found.append(1e6 * (time.thread_time() - start) / len(cases))
    return median(found)


def left_alone(cases: Sequence[Case]) -> float:
    """µs for each commit of what a lane does for VERIFY when it is off: every batch passes it."""
    settings = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "RELAY_URL": "ws://127.0.0.1:1", "VERIFY": "off"}
    trust, lane = UnifiedWorker(Config.from_env(settings)).trust, Lane(0, MAX_BATCH, MAX_BATCH)
    batch = [Placed(Ticket(case.event.seq, None), case.event) for case in cases][:MAX_BATCH]

    def passes(_: Case) -> None:
        with suppress(StopIteration):
            trust.verify(lane, batch).send(None)
        trust.written(lane, batch, [])

    return measured(passes, cases) / len(batch)


def block_of(case: Case) -> bytes:
    return case.blocks[case.claim.commit]


def tree_plainly(case: Case) -> bytes:
    return search_tree.invert(case.data, case.blocks, case.claim.changes)


def tree(case: Case) -> bytes:
    return mst.invert(case.data, case.blocks, case.claim.changes)


def signature_by_sdk(case: Case) -> bool:
    """As the atproto SDK checks it: the key is read each time."""
    commit: Any = libipld.decode_dag_cbor(block_of(case))
    signed = commit.pop("sig")
    return verify_signature(case.did_key, libipld.encode_dag_cbor(commit), signed)


def signature(case: Case) -> bool:
    return read_commit(block_of(case)).signed_by(case.key)


def claim(case: Case) -> Claim:
    return read_claim(case.payload)


def proof(case: Case) -> Proof:
    return prove(read_claim(case.payload), case.blocks, case.key)


def decoded(case: Case) -> Event:
    """As with VERIFY=off."""
    return decode(case.frame)


def claimed(case: Case) -> Event:
    return decode(case.frame, claims=True)


def judged(case: Case) -> Commit | Sync | Unusable:
    """What a lane does with it beyond VERIFY=off."""
    return proven(case.event, case.key, full=True)


def case_of(frame: bytes, document: dict[str, Any]) -> Case:
    payload: Any = libipld.decode_dag_cbor_multi(frame)[1]
    blocks = car.split(payload["blocks"])[1]
    data: bytes = libipld.decode_dag_cbor(blocks[payload["commit"]])["data"]
    did_key = "did:key:" + document["verificationMethod"][0]["publicKeyMultibase"]
    event = decode(frame, claims=True)
    assert isinstance(event, Commit)
    return Case(frame, event, payload, read_claim(payload), blocks, data, signing_key(payload["repo"], document), did_key)


def recorded_cases() -> list[Case]:
    """The recorded frames."""
    documents = json.loads((DATA / "real_frames/did_docs.json").read_text())
    frames = recorded("real_frames/frames.bin")
    return [case_of(frame, documents[libipld.decode_dag_cbor_multi(frame)[1]["repo"]]) for frame in frames]


def simulated_cases() -> list[Case]:
    """The sound commits of a simulated stream."""
    generator = Generator(Settings(accounts=100))
    stream = [sent for sent in generator.stream(300) if isinstance(sent.truth, CommitTruth) and sent.truth.sound]
    documents: dict[str, Any] = generator.did_documents()
    return [case_of(sent.frame, documents[sent.truth.did]) for sent in stream if isinstance(sent.truth, CommitTruth)]


if __name__ == "__main__":
    main()
