"""The simulator, the model and the indexer's pure parts were written apart: here they meet, without a database."""

import json
from dataclasses import replace
from typing import Any, cast

import libipld
import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import AccountTruth, CommitTruth
from testing.model import Model
from unified_indexer.database.write import batch
from unified_indexer.protocol import car, frames, mst
from unified_indexer.protocol.events import Commit, Unusable
from unified_indexer.protocol.keys import signing_key
from unified_indexer.protocol.signature import read_commit

ONLY_ODD = replace(
    Mix.awkward(), like=5, repost=1, post=1, follow=1, odd=500, missing_block=10, future=3, too_big=0, resend=0, huge=0.1
)


def payload_of(frame: bytes) -> dict[str, Any]:
    return cast("list[dict[str, Any]]", libipld.decode_dag_cbor_multi(frame))[1]


@pytest.mark.parametrize("mix", [Mix.realistic(), Mix(several=100, delete=50, update=20, like=30)])
def test_the_indexers_tree_undoes_a_commit_and_its_key_verifies_it(mix: Mix) -> None:
    generator = Generator(Settings(seed=3, accounts=40, history=150, mix=mix))
    stream = list(generator.stream(400))
    documents = generator.did_documents()
    commits = 0
    for sent in stream:
        if not isinstance(sent.truth, CommitTruth) or not sent.truth.sound:
            continue
        payload = payload_of(sent.frame)
        blocks = blocks_of(payload)
        changes = [mst.Change(op["path"].encode(), op["cid"], op.get("prev")) for op in payload["ops"]]
        data = libipld.decode_dag_cbor(blocks[payload["commit"]])["data"]
        assert mst.invert(data, blocks, changes) == payload["prevData"]
        assert read_commit(blocks[payload["commit"]]).signed_by(signing_key(sent.truth.did, documents[sent.truth.did]))
        commits += 1
    assert commits > 300


def blocks_of(payload: dict[str, Any]) -> dict[bytes, bytes]:
    """The CAR's blocks by CID, by the indexer's reader."""
    return car.split(payload["blocks"])[1]


@pytest.mark.long
def test_indexer_and_model_refuse_the_same_operations() -> None:
    model = Model()
    refused = 0
    for sent in Generator(Settings(cheap=True, accounts=100, mix=ONLY_ODD)).stream(2_500):
        before = len(model.refused)
        if isinstance(sent.truth, AccountTruth):
            continue  # whether an account is active is not judged here
        model.apply(sent.truth)
        expected = sorted(path for _, path, _ in model.refused[before:])
        match frames.decode(sent.frame):
            case Commit() as commit:
                found = refusals(batch.build([commit]))
            case Unusable():
                found = [""]
            case _:
                found = []
        assert sorted(found) == expected, sent.truth
        refused += len(found)
    assert refused > 500


def refusals(built: batch.Batch) -> list[str]:
    """The paths of the operations that are kept instead of applied."""
    pairs = zip(built.kind, built.rest, strict=True)
    return [json.loads(rest or "")["path"] for kind, rest in pairs if kind == batch.KIND_REFUSED]
