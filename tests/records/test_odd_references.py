"""References that mean nothing, or seem to mean two things: what a row locks is what its SQL looks up, and no more."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from testing.commits import POST, Stream, did, like, post, put
from testing.database_side import Worker
from unified_indexer.records.post import quoted

HERE = f"at://{did('x')}/{POST}/1"
DECOY = f"at://{did('decoy')}/{POST}/1"
BY_HANDLE = f"at://alice.example.com/{POST}/1"
REF = like(HERE)["subject"]
TYPES = st.sampled_from(["app.bsky.embed.record", "app.bsky.embed.recordWithMedia", "app.bsky.embed.images", "x", None, 5])
REFS = st.sampled_from([REF, {**REF, "uri": DECOY}, {**REF, "uri": BY_HANDLE}, {"uri": HERE}, {}, None, "x", [REF]])
INNER = st.fixed_dictionaries(
    {}, optional={"uri": st.sampled_from([HERE, DECOY, 5]), "cid": st.just(REF["cid"]), "record": REFS, "$type": TYPES}
)
EMBEDS = st.fixed_dictionaries({}, optional={"$type": TYPES, "record": st.one_of(INNER, REFS), "uri": st.just(DECOY)})


@given(embed=EMBEDS)
@example(embed={"$type": "app.bsky.embed.recordWithMedia", "record": {"uri": DECOY, "record": REF}})
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_what_a_post_may_quote_is_locked(worker: Worker, embed: dict[str, Any]) -> None:
    """A rule written twice: recordWithMedia whose `record` has a uri of its own locked the decoy."""
    looked_up = await worker.value("SELECT unified_worker.quoted($1::jsonb)", json.dumps(embed))
    assert looked_up is None or looked_up == quoted(embed)


async def test_a_decoy_evades_no_gate(worker: Worker) -> None:
    """The post that is really quoted forbids it."""
    stream = Stream()
    gate = {
        "$type": "app.bsky.feed.postgate",
        "post": HERE,
        "embeddingRules": [{"$type": "app.bsky.feed.postgate#disableRule"}],
    }
    await worker.write(stream.commit("x", put(f"{POST}/1", post("quoted")), put("app.bsky.feed.postgate/1", gate)))
    embed = {"$type": "app.bsky.embed.recordWithMedia", "record": {"uri": DECOY, "cid": REF["cid"], "record": REF}}
    await worker.write(stream.commit("y", put(f"{POST}/1", post("quoting", embed=embed))))
    assert await worker.column("SELECT quoted_uri FROM quotes") == [HERE]
    assert await worker.column("SELECT uri FROM posts WHERE violates_embedding_rules") == [f"at://{did('y')}/{POST}/1"]


@pytest.mark.parametrize(("parent", "root"), [(BY_HANDLE, HERE), (HERE, BY_HANDLE), (BY_HANDLE, BY_HANDLE)])
async def test_a_reply_to_a_post_by_handle_is_stored_as_written(both_worker: Worker, parent: str, root: str) -> None:
    stream = Stream()
    reply = {"parent": {**REF, "uri": parent}, "root": {**REF, "uri": root}}
    commits = [
        stream.commit("a", put(f"{POST}/1", post("a reply", reply=reply))),
        stream.commit("b", put(f"{POST}/1", post("another", reply=reply))),
    ]
    assert await both_worker.write(*commits) == ["applied", "applied"]
    rows = await both_worker.connection.fetch("SELECT DISTINCT parent_uri, root_uri FROM posts")
    assert [tuple(row) for row in rows] == [(parent, root)]
    counts = await both_worker.connection.fetch("SELECT post_uri, reply_count FROM post_aggregations")
    assert [tuple(row) for row in counts] == ([] if parent == BY_HANDLE else [(HERE, 2)])
    told = await both_worker.column("SELECT DISTINCT recipient_did FROM notifications")
    assert told == ([] if parent == BY_HANDLE else [did("x")])
    await both_worker.write(stream.commit("a", put(f"{POST}/1", post("no reply"), "update")))
    assert await both_worker.value("SELECT coalesce(sum(reply_count), 0) FROM post_aggregations") == (parent == HERE)
