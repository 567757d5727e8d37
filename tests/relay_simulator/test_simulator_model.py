"""The model on small stories with expectations written by hand."""

from typing import Any

from relay_simulator.encoding import tid
from relay_simulator.truth import CommitTruth, Json, OpTruth, SyncTruth
from testing.model import FOLLOW, LIKE, POST, PROFILE, REPOST, Model, compare, instant

ALICE, BOB = "did:plc:alice", "did:plc:bob"
SUBJECT = f"at://{BOB}/{POST}/3k"
TIME = "2026-07-01T12:00:00.000Z"
AT = instant(TIME)
FIRST_REV = 1_782_907_199_000_000  # a second before, in µs since 1970


def put(action: str, collection: str, rkey: str, record: dict[str, Json], **more: Any) -> OpTruth:
    whole: dict[str, Json] = {"$type": collection, "createdAt": "2026-07-01T11:59:59Z", **record}
    return OpTruth(action, collection, rkey, f"cid-{rkey}", whole, 100, None)._replace(**more)


def like(rkey: str, uri: str = SUBJECT, action: str = "create", **fields: Json) -> OpTruth:
    return put(action, LIKE, rkey, {"subject": {"uri": uri, "cid": "bafy"}, **fields})


def post(rkey: str, action: str = "create", **fields: Json) -> OpTruth:
    return put(action, POST, rkey, {"text": "hello", **fields})


def gone(collection: str, rkey: str) -> OpTruth:
    return OpTruth("delete", collection, rkey, None, None, 0, None)


class Story:
    """Commits by one account, one after the other, with the model's answers."""

    def __init__(self) -> None:
        self.model = Model()
        self.seq = 0

    def commit(self, *ops: OpTruth, did: str = ALICE, rev: str | None = None, too_big: bool = False) -> None:
        self.seq += 1
        self.model.apply(CommitTruth(self.seq, did, rev or tid(FIRST_REV + self.seq, 0), None, TIME, ops, too_big, sound=False))

    def keys(self, table: str) -> set[str]:
        return {uri.rsplit("/")[-1] for uri in self.model.rows()[table]}

    def waiting(self) -> set[str]:
        return {uri.rsplit("/")[-1] for uri in self.model.duplicate_records()}

    def refused(self) -> list[str]:
        return [path for _, path, _ in self.model.refused]


def test_a_like_gives_its_row_and_its_user() -> None:
    story = Story()
    story.commit(like("a", via={"uri": "x"}))
    rev = story.model.revs[ALICE]
    rows = story.model.rows()
    uri = f"at://{ALICE}/{LIKE}/a"
    assert rows["likes"] == {
        uri: {
            "uri": uri,
            "user_did": ALICE,
            "post_uri": SUBJECT,
            "subject_cid": "bafy",
            "via": {"uri": "x"},
            "created_at": instant("2026-07-01T11:59:59Z"),
            "commit_seq": "1",
            "commit_rev": rev,
            "commit_time": AT,
        }
    }
    assert rows["users"][ALICE]["handle"] == "handle.invalid"
    assert rows["users"].keys() == {ALICE}


def test_create_delete_create_and_update_before_create() -> None:
    story = Story()
    story.commit(like("a"))
    story.commit(gone(LIKE, "a"))
    assert story.keys("likes") == set()
    story.commit(like("a"))
    story.commit(like("b", SUBJECT + "2", "update"))
    story.commit(like("b", SUBJECT + "3", "create"))
    assert {row["post_uri"] for row in story.model.rows()["likes"].values()} == {SUBJECT, SUBJECT + "3"}


def test_an_old_or_equal_rev_changes_nothing() -> None:
    story = Story()
    story.commit(like("a"), rev="3mpk7jqbbbbbb")
    for rev in ("3mpk7jqbbbbbb", "3mpk7jqaaaaaa"):
        story.commit(gone(LIKE, "a"), like("z"), rev=rev)
    assert story.keys("likes") == {"a"}
    assert story.model.stale == 2
    story.commit(gone(LIKE, "a"), rev="3mpk7jqaaaaaa", did=BOB)
    assert story.keys("likes") == {"a"}, "another account's commit"
    story.commit(gone(LIKE, "a"), rev="3mpk7jqcccccc")
    assert story.keys("likes") == set()


def test_a_sync_moves_the_rev() -> None:
    story = Story()
    story.model.apply(SyncTruth(1, ALICE, "3mpk7jqcccccc", TIME))
    story.commit(like("a"), rev="3mpk7jqbbbbbb")
    assert story.keys("likes") == set()
    story.model.apply(SyncTruth(1, ALICE, "3mpk7jqaaaaaa", TIME))
    assert story.model.revs[ALICE] == "3mpk7jqcccccc"


def test_a_rev_far_ahead_and_a_too_big_commit_are_refused_whole() -> None:
    story = Story()
    story.commit(like("a"), rev="3mzzzzzzzzzzz")
    story.commit(rev="3mpk7jqbbbbbb", too_big=True)
    assert story.model.revs == {}
    assert story.keys("likes") == set()
    assert len(story.model.refused) == 2


def test_the_oldest_of_duplicates_holds_and_the_next_follows() -> None:
    story = Story()
    story.commit(like("c", createdAt="2026-01-03T00:00:00Z"))
    story.commit(like("b", createdAt="2026-01-02T00:00:00Z"))
    story.commit(like("a", createdAt="2026-01-03T00:00:00.000+00:00"))
    assert (story.keys("likes"), story.waiting()) == ({"b"}, {"a", "c"})
    story.commit(gone(LIKE, "b"))
    assert (story.keys("likes"), story.waiting()) == ({"a"}, {"c"}), "of equal times the smaller uri"
    story.commit(like("a", SUBJECT + "2", "update"))
    assert (story.keys("likes"), story.waiting()) == ({"a", "c"}, set())
    story.commit(like("d"), did=BOB)
    assert story.keys("likes") == {"a", "c", "d"}, "another account's like is no duplicate"


def test_duplicates_of_reposts_and_follows() -> None:
    story = Story()
    for rkey in ("b", "a"):
        story.commit(put("create", REPOST, rkey, {"subject": {"uri": SUBJECT, "cid": "c"}}))
        story.commit(put("create", FOLLOW, rkey, {"subject": BOB}))
    assert story.keys("reposts") == story.keys("follows") == {"a"}
    assert story.model.duplicate_records() == {f"at://{ALICE}/{name}/b" for name in (REPOST, FOLLOW)}


def test_a_profile_comes_goes_and_comes_again() -> None:
    story = Story()
    blob: Json = {"$type": "blob", "ref": {"$link": "bafkrei"}, "mimeType": "image/png", "size": 5}
    fields: dict[str, Json] = {"displayName": "Al\0ice", "avatar": blob, "pinnedPost": {"uri": "x"}}
    story.commit(put("create", PROFILE, "self", fields))
    row = story.model.rows()["users"][ALICE]
    assert (row["display_name"], row["avatar_url"], row["banner_url"]) == ("Alice", "bafkrei", None)
    assert (row["description"], row["pinned_post"]) == (None, {"uri": "x"})
    assert row["profile_record"]["displayName"] == "Alice"
    story.commit(gone(PROFILE, "self"))
    assert set(story.model.rows()["users"][ALICE].values()) == {ALICE, "handle.invalid", None}
    story.commit(put("update", PROFILE, "self", {"description": "back"}))
    assert story.model.rows()["users"][ALICE]["description"] == "back"
    story.commit(put("create", PROFILE, "other", {"description": "no"}), gone(PROFILE, "other"))
    assert story.model.rows()["users"][ALICE]["description"] == "back"


def test_a_post_with_everything() -> None:
    story = Story()
    kinds = (("tag", "b"), ("link", "no"), ("tag", "c\0"))
    features: list[Json] = [{"$type": f"app.bsky.richtext.facet#{kind}", "tag": tag} for kind, tag in kinds]
    facets: Json = [{"features": features}, 7]
    reply: Json = {"root": {"uri": SUBJECT, "cid": "r"}, "parent": {"uri": SUBJECT + "p", "cid": "p"}}
    story.commit(post("a", text="\0hi", tags=["a", "b", "a"], facets=facets, reply=reply, langs=["en"], embed={"k\0": "\0v"}))
    row = story.model.rows()["posts"][f"at://{ALICE}/{POST}/a"]
    assert (row["text"], row["langs"], row["tags"], row["embed"]) == ("hi", ["en"], ["a", "b", "c"], {"k": "v"})
    assert (row["root_uri"], row["root_cid"], row["parent_uri"], row["parent_cid"]) == (SUBJECT, "r", SUBJECT + "p", "p")
    assert (row["cid"], row["author_did"]) == ("cid-a", ALICE)


def test_unusable_operations_leave_their_siblings_and_their_elders() -> None:
    story = Story()
    story.commit(like("old"), post("old"))
    story.commit(
        post("good"),
        post("no-text", text=5),
        post("wrong-type", **{"$type": LIKE}),
        post("float", x=1.5),
        post("big-integer", x=2**63),
        post("odd-ornaments", langs=None, tags="a", facets=5, embed=[], reply=None),
        post("bad-reply", reply={"root": {"uri": "x", "cid": "y"}}),
        post("missing")._replace(fault="block_missing", record=None),
        post("large")._replace(size=2**20 + 1),
        like("bad-uri", "at://alice.test/app.bsky.feed.post/3k"),
        like("long-uri", f"at://did:web:{'a' * 500}/{POST}/3k"),
        like("odd-via", f"at://{BOB}/{POST}/3m", via=[]),
        put("create", FOLLOW, "bad-did", {"subject": "alice.test"}),
        put("create", PROFILE, "self", {"avatar": "bafy", "displayName": "A"}),
        like("old", "nonsense", "update"),
        post("old", "update", text=None),
    )
    assert story.keys("posts") == {"good", "odd-ornaments", "old"}
    assert story.keys("likes") == {"odd-via", "old"}
    assert story.keys("follows") == set()
    assert len(story.refused()) == 12


def test_levels_of_nesting() -> None:
    deep: Json = []
    for _ in range(62):
        deep = [deep]  # 63 lists in a record: 64 levels
    story = Story()
    story.commit(post("a", deep=deep), post("b", deep=[deep]))
    assert story.keys("posts") == {"a"}


def test_an_account_that_wrote_nothing_usable_has_no_row() -> None:
    story = Story()
    story.commit(like("a", "nonsense"), put("create", "app.bsky.graph.block", "b", {}), gone(LIKE, "x"))
    assert story.model.rows()["users"] == {}


def test_strange_times() -> None:
    commit_time = AT
    for text, expected in {
        "2024-05-01T12:00:00.1234567+01:30": "2024-05-01T10:30:00.123456Z",
        "2024-05-01T10:00:00-00:30": "2024-05-01T10:30:00Z",
        "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999998Z",
        "0001-01-01T00:00:00Z": "0001-01-01T00:00:00.000001Z",
    }.items():
        assert instant(text) == instant(expected) is not None
    strange: tuple[Json, ...] = (5, None, "2024-05-01", "2024-05-01T10:00:00", "2024-05-01t10:00:00Z", "٢024-05-01T10:00:00Z")
    no_dates = ("2024-02-30T10:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "2024-05-01T10:00:00-00:00")
    for value in (*strange, *no_dates):
        story = Story()
        story.commit(like("a", createdAt=value))
        assert [row["created_at"] for row in story.model.rows()["likes"].values()] == [commit_time], value


class Tables:
    """A stand-in for a connection: answers a SELECT with the rows of its table, or with the names of its columns."""

    def __init__(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        self.rows = rows

    async def fetch(self, query: str, *arguments: str) -> list[dict[str, Any]]:
        if "attname" in query:
            return [{"attname": name} for row in self.rows[arguments[0]][:1] for name in row]
        return self.rows[query.split(" FROM ")[1].split()[0]]


async def test_differences_are_told_in_words() -> None:
    story = Story()
    story.commit(like("a"), like("b"), post("p", langs=["en"]), post("q"))
    rows = story.model.rows()
    tables: dict[str, list[dict[str, Any]]] = {}
    for table, found in rows.items():
        tables[table] = [{**row, "indexed_at": 1} for row in found.values()]
    tables["unified_worker.duplicate_records"] = [{"uri": uri} for uri in story.model.duplicate_records()]
    for row in tables["posts"]:  # as an existing database has it: naive times, JSON as text
        row["created_at"] = row["created_at"].replace(tzinfo=None)
        row["langs"] = None if row["langs"] is None else '["en"]'
    assert await compare(story.model, Tables(tables)) == []
    tables["posts"] = [{**tables["posts"][0], "text": "bye"}, {**tables["posts"][0], "uri": "at://x"}]
    tables["unified_worker.duplicate_records"] = [{"uri": "at://y"}]
    assert await compare(story.model, Tables(tables)) == [
        f"posts: at://{ALICE}/{POST}/q is missing",
        "posts: at://x should not be there",
        f"posts: at://{ALICE}/{POST}/p: text is 'bye', should be 'hello'",
        f"duplicate_records: at://{ALICE}/{LIKE}/b should wait",
        "duplicate_records: at://y should not wait",
    ]
