"""Every argument arrives under its own name, whichever way it goes: Python, SQL and the calls are made of one list."""

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import libipld
import pytest

from relay_simulator.encoding import cid_of
from testing.commits import POST, Stream, did, post, put
from testing.database_side import Worker
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.write.apply import apply_all, apply_one
from unified_indexer.database.write.batch import Batch, build
from unified_indexer.database.write.parameters import PARAMETERS, Mode, call_with
from unified_indexer.protocol.events import Unusable, Verdict
from unified_indexer.protocol.failures import Failure

NAMES = """
SELECT proargnames[:pronargs] AS names, pg_get_function_arguments(oid) AS arguments,
  ARRAY(SELECT format_type(type, NULL) FROM unnest(proargtypes) WITH ORDINALITY AS t (type, n) ORDER BY n) AS types
FROM pg_catalog.pg_proc WHERE oid = to_regproc('unified_worker.' || $1)
"""
# Stands in for the function that applies a commit, and notes what it was called with.
STAND_IN = """
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, said jsonb);
CREATE OR REPLACE FUNCTION unified_worker.apply_commit({arguments}) RETURNS text LANGUAGE plpgsql AS $stand_in$
BEGIN
  INSERT INTO seen (said) VALUES (jsonb_build_object({pairs}));
  RETURN 'applied';
END $stand_in$;
"""
# One value for each type, made of a number.
VALUES: dict[str, Callable[[int], Any]] = {
    "text": lambda n: f"text {n}",
    "bigint": lambda n: 2**40 + n,
    "int": lambda n: n,
    "smallint": lambda n: n,
    "boolean": lambda n: n % 2 == 0,
    "bytea": lambda n: b"%d" % n,
    "timestamptz": lambda n: datetime(2026, 1, 1, 0, 0, n, tzinfo=UTC),
    "jsonb": lambda n: json.dumps({"n": n}),
}


def batch_of(commits: int) -> Batch:
    """A batch in which no two arrays hold the same values of a type with many values."""
    batch = Batch()
    for place, one in enumerate(PARAMETERS):
        getattr(batch, one.name).extend(VALUES[one.type](place + len(PARAMETERS) * n) for n in range(commits))
    return batch


def said(batch: Batch, commit: int, mode: Mode) -> dict[str, Any]:
    """What the function must be called with for one commit of the batch."""
    found: dict[str, Any] = {"mode": mode}
    for one in PARAMETERS:
        values = [_as_json(value, one.type) for value in getattr(batch, one.name)]
        found[one.name] = values[commit] if one.per_commit else values
    return found


def _as_json(value: Any, sql_type: str) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case bytes():
            return f"\\x{value.hex()}"
        case _:
            return json.loads(value) if sql_type == "jsonb" else value


async def stand_in(connection: Connection) -> None:
    row = await connection.fetchrow(NAMES, "apply_commit")
    assert row is not None
    pairs = ", ".join(f"'{name.removeprefix('p_')}', {name}" for name in row["names"])
    await connection.execute(STAND_IN.format(arguments=row["arguments"], pairs=pairs))


async def seen(connection: Connection) -> list[dict[str, Any]]:
    return [json.loads(row["said"]) for row in await connection.fetch("SELECT said FROM seen ORDER BY n")]


async def test_the_functions_take_what_is_listed(worker: Worker) -> None:
    listed = [f"p_{one.name}" for one in PARAMETERS]
    one = await worker.connection.fetchrow(NAMES, "apply_commit")
    every = await worker.connection.fetchrow(NAMES, "apply_commits")
    assert one is not None
    assert every is not None
    assert one["names"] == ["p_mode", *listed]
    assert every["names"] == ["p_lane", "p_relay", "p_durable", "p_isolate", "p_confirm", *listed, "p_outcome"]
    arrays = dict(zip(every["names"], every["types"], strict=True))
    of_one = {name: kind if kind.endswith("[]") else f"{kind}[]" for name, kind in zip(one["names"], one["types"], strict=True)}
    assert {name: arrays[name] for name in listed} == {name: of_one[name] for name in listed}
    own = {field.name for field in fields(Batch)}
    assert own - {one.name for one in PARAMETERS} == {"refused", "_meets", "_long"}


@pytest.mark.parametrize("isolate", [False, True])
async def test_every_argument_of_a_batch_arrives_under_its_name(worker: Worker, isolate: bool) -> None:
    await stand_in(worker.connection)
    batch = batch_of(2)
    outcomes = await apply_all(worker.connection, 0, "relay.test", batch, durable=False, isolate=isolate)
    assert list(map(str, outcomes)) == ["applied"] * 2
    assert await seen(worker.connection) == [said(batch, commit, Mode.LIVE) for commit in range(2)]


async def test_every_argument_of_one_commit_arrives_under_its_name(worker: Worker) -> None:
    await stand_in(worker.connection)
    batch = batch_of(1)
    for mode in Mode:
        await apply_one(worker.connection, mode, batch)
    assert await seen(worker.connection) == [said(batch, 0, mode) for mode in Mode]


async def test_what_a_wipe_passes_on(worker: Worker) -> None:
    await worker.write(Stream().commit("a", put(f"{POST}/1", post())))
    await worker.connection.execute("UPDATE unified_worker.repos SET wiping = true")
    await stand_in(worker.connection)
    await worker.connection.execute(
        "CREATE OR REPLACE FUNCTION pg_temp.gone() RETURNS void LANGUAGE sql AS 'DELETE FROM posts'"
    )
    await worker.connection.execute("CALL unified_worker.wipe($1, 1, NULL)", did("a"))
    first, *_ = await seen(worker.connection)
    given = {"mode": Mode.WIPE, "did": did("a"), "user": False, "filtered": False, "bucket_lo": 1, "bucket_hi": 0, "lo": 1}
    assert {name: value for name, value in first.items() if value is not None} == {
        **given,
        "hi": len(first["uri"]),
        "kind": first["kind"],
        "uri": first["uri"],
    }
    assert f"at://{did('a')}/{POST}/1" in first["uri"]


def test_a_call_with_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="no such parameters: \\['uris'\\]"):
        call_with(Mode.WIPE, {"uris": "v_uris"})


def test_a_commit_says_what_its_proof_has_shown() -> None:
    commit, tree = Stream().commit("a"), cid_of(b"a tree")
    proven = Verdict(tree, Failure.TREE_MISMATCH, inductive=True, unproven=b"block")
    refused = Unusable(1, commit.repo, commit.rev, commit.time, (), "bad_signature", "", b"", marks=False)
    batch = build([commit, commit._replace(proof=Verdict()), commit._replace(proof=proven), refused])
    found = list(zip(batch.before, batch.doubt, batch.inductive, batch.unproven, strict=True))
    assert found == [
        (None, None, False, None),
        ("", None, False, None),
        (libipld.encode_cid(tree), "tree_mismatch", True, b"block"),
        (None, "bad_signature", False, None),
    ]


def test_what_is_null_for_all_commits_is_null_as_a_whole() -> None:
    proven, plain = Verdict(cid_of(b"a tree"), Failure.TREE_MISMATCH, unproven=b"block"), Stream().commit("a")
    places = [place for place, one in enumerate(PARAMETERS) if one.name in ("frame", "before", "doubt", "unproven")]
    for events, with_frames, whole in (([plain, plain], False, True), ([plain, plain._replace(proof=proven)], True, False)):
        arguments = build(events, with_frames=with_frames).arguments()
        assert [arguments[place] is None for place in places] == [whole] * 4
        assert sum(argument is None for argument in arguments) == 4 * whole
