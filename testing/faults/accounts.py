"""What one account does to all others: commits as large as they may be, gates that change again and again, rows that stay."""

from random import Random

from relay_simulator.encoding import Value, cid_text, time_text
from relay_simulator.gates import THREAD_GATE
from relay_simulator.records import FOLLOW, POST, Record, Ref, follow
from relay_simulator.repository import Draft, written
from relay_simulator.truth import CommitTruth, Sent
from testing.authors import START, Author
from testing.faults.kind import Kind
from testing.faults.scene import FEW, Scene
from testing.faults.weave import Made, woven

CREATED = time_text(START)
GIANTS, LARGE, MANY = 6, (20, 95_000), (200, 9_000)  # commits; posts in each and their bytes: near 2 MB
REPLIERS, ANSWERS = 40, 12  # more replies than a commit judges itself
TOGGLES = 200
RULES = ("mention", "following", "follower")
# When the accounts are deleted, as shares of the stream: one of them after any strike. The last one's rows nobody holds.
DELETED, LAST = (0.2, 0.4, 0.6, 0.75, 0.88), 0.885
POSTS = 30
PINS = "pins_of_the_application"
STUCK = "SELECT EXISTS (SELECT FROM unified_worker.stuck_wipes)"
GONE = "SELECT EXISTS (SELECT FROM unified_worker.repos WHERE did = $1 AND status = 'deleted' AND NOT wiping)"


def _words(rng: Random, size: int) -> str:
    """Text in which no word comes twice: what costs most to index."""
    return " ".join(f"{rng.getrandbits(36):09x}" for _ in range(size // 10))


def _post(rkey: str, text: str, thread: Ref | None = None, quoted: Ref | None = None) -> Draft:
    record: Record = {"$type": POST, "text": text, "createdAt": CREATED}
    if thread is not None:
        record["reply"] = {"root": thread.value(), "parent": thread.value()}
    if quoted is not None:
        record["embed"] = {"$type": "app.bsky.embed.record", "record": quoted.value()}
    return written("create", POST, rkey, record)


def _ref(author: Author, draft: Draft) -> Ref:
    assert draft.cid is not None
    return Ref(f"at://{author.did}/{draft.path}", cid_text(draft.cid))


def _commit(author: Author, *drafts: Draft) -> Made:
    return lambda seq, second: author.commit(seq, second, *drafts)


def _giants(sent: list[Sent], rng: Random) -> list[Sent]:
    """Half of them are of many posts, each an answer to a stranger that quotes another one."""
    author = Author("giant")
    ops = [(one.truth.did, op) for one in sent if isinstance(one.truth, CommitTruth) for op in one.truth.ops]
    strangers = [Ref(f"at://{did}/{POST}/{op.rkey}", op.cid) for did, op in ops if op.collection == POST and op.cid]

    def commit(number: int) -> Made:
        count, size = LARGE if number % 2 else MANY
        met = ([None, None] if number % 2 else rng.choices(strangers, k=2) for _ in range(count))
        return _commit(author, *(_post(f"g{number}x{at}", _words(rng, size), *pair) for at, pair in enumerate(met)))

    return woven(sent, [(0.1 + 0.7 * number / GIANTS, commit(number)) for number in range(GIANTS)])


def _toggled(sent: list[Sent], rng: Random) -> list[Sent]:
    """A thread of many replies that its gate forbids; then the gate is put and deleted, in one commit and in many.

    Replies go on meanwhile. In the end there is a gate: what came before it must be free, what came since is judged.
    """
    author = Author("gatekeeper")
    repliers = [Author(f"replier{letter}{other}") for letter in "abcde" for other in "abcdefgh"][:REPLIERS]
    root = _post("root", "what do you say")
    thread = _ref(author, root)
    admitted = [written("create", FOLLOW, f"f{n}", follow(CREATED, one.did)) for n, one in enumerate(repliers[:8])]
    messages = [(0.02, _commit(author, root, *admitted))]
    for number, replier in enumerate(repliers):
        answers = [_post(f"a{at}", "so it is", thread, thread if at % 3 == 0 else None) for at in range(ANSWERS)]
        following = [written("create", FOLLOW, "f", follow(CREATED, author.did))] if number % 5 == 0 else []
        messages.append((rng.uniform(0.03, 0.28), _commit(replier, *following, *answers)))
        messages.append((rng.uniform(0.3, 0.88), _commit(replier, _post("late", "still so", thread))))

    def gate(number: int) -> Draft:
        if number % 2:
            return Draft("delete", THREAD_GATE, "root")
        allow: list[Value] = [{"$type": f"{THREAD_GATE}#{rule}Rule"} for rule in rng.sample(RULES, rng.randrange(3))]
        record: Record = {"$type": THREAD_GATE, "post": thread.uri, "createdAt": CREATED, "allow": allow}
        return written("create", THREAD_GATE, "root", record)

    messages.append((0.025, _commit(author, gate(0))))
    messages += [(share, _commit(author, *map(gate, range(TOGGLES)))) for share in (0.3, 0.5, 0.7)]
    messages += [(0.31 + 0.5 * number / TOGGLES, _commit(author, gate(number))) for number in range(TOGGLES - 1)]
    return woven(sent, messages)


async def _nothing(_scene: Scene, _rng: Random) -> None:
    """The stream itself is the fault."""


def _doomed() -> list[Author]:
    return [Author(f"doomed{letter}") for letter in "abcdef"[: len(DELETED) + 1]]


def _deleted(sent: list[Sent], _rng: Random) -> list[Sent]:
    """Accounts that write and are deleted later."""
    messages: list[tuple[float, Made]] = []
    for author, share in zip(_doomed(), (*DELETED, LAST), strict=True):
        messages.append((0.01, _commit(author, *(_post(f"p{at}", "not for long") for at in range(POSTS)))))
        messages.append((share, _deletion(author)))
    return woven(sent, messages)


def _deletion(author: Author) -> Made:
    return lambda seq, second: author.account(seq, second, active=False, status="deleted")


async def _wipe_refused(scene: Scene, _rng: Random) -> None:
    """An application's foreign key holds a post of each; so no wipe gets through, and all others' must."""
    held = [f"at://{author.did}/{POST}/p{POSTS // 2}" for author in _doomed()[:-1]]
    await scene.sql(f"CREATE TABLE {PINS} (uri text REFERENCES posts)")
    try:
        await scene.rows(f"INSERT INTO {PINS} SELECT uri FROM posts WHERE uri = ANY($1)", held)

        async def stuck() -> bool:
            scene.feed.burst(20 * FEW, reserved=0.1)
            free = (await scene.rows(GONE, _doomed()[-1].did))[0][0]
            return free and (await scene.rows(STUCK))[0][0]

        await scene.until(stuck, "a wipe is stuck, and that of another account is not")
    finally:
        await scene.sql(f"DROP TABLE {PINS}")


KINDS = (
    Kind("giant_commits", "account", "commits of 2 MB by one account", _nothing, shape=_giants, group="room"),
    Kind("gate_toggles", "account", "a thread of 500 replies, its gate put and deleted 800 times", _nothing, shape=_toggled),
    Kind(
        "wipe_refused",
        "account",
        "deleted accounts whose posts an application's foreign key holds",
        _wipe_refused,
        shape=_deleted,
        group="keys",
    ),
)
