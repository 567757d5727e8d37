"""Records about accounts: blocks, lists and what is in them, starter packs, verifications.

Shapes: the lexicons app.bsky.graph.*.
"""

from random import Random

from relay_simulator.encoding import Value
from relay_simulator.records import Record, blob, sentence

BLOCK = "app.bsky.graph.block"
LIST = "app.bsky.graph.list"
LIST_ITEM = "app.bsky.graph.listitem"
LIST_BLOCK = "app.bsky.graph.listblock"
STARTER_PACK = "app.bsky.graph.starterpack"
VERIFICATION = "app.bsky.graph.verification"

_PURPOSES = ("app.bsky.graph.defs#curatelist", "app.bsky.graph.defs#modlist", "app.bsky.graph.defs#referencelist")


def block(created: str, subject: str) -> Record:
    """A block of an account."""
    return {"$type": BLOCK, "subject": subject, "createdAt": created}


def user_list(rng: Random, created: str) -> Record:
    """A list of accounts, empty as yet."""
    record: Record = {"$type": LIST, "name": sentence(rng, 1, 4), "purpose": rng.choice(_PURPOSES), "createdAt": created}
    if rng.random() < 0.6:
        record["description"] = sentence(rng, 2, 20)
    if rng.random() < 0.3:
        record["avatar"] = blob(rng, "image/jpeg", 1_000_000)
    return record


def list_item(created: str, list_uri: str, subject: str) -> Record:
    """An account on a list."""
    return {"$type": LIST_ITEM, "subject": subject, "list": list_uri, "createdAt": created}


def list_block(created: str, list_uri: str) -> Record:
    """A block of all on a list."""
    return {"$type": LIST_BLOCK, "subject": list_uri, "createdAt": created}


def starter_pack(rng: Random, created: str, list_uri: str, feeds: list[str]) -> Record:
    """A list and some feeds for newcomers."""
    record: Record = {"$type": STARTER_PACK, "name": sentence(rng, 1, 5), "list": list_uri, "createdAt": created}
    if rng.random() < 0.6:
        record["description"] = sentence(rng, 2, 20)
    if rng.random() < 0.7:
        record["feeds"] = list[Value]({"uri": uri} for uri in feeds)
    return record


def verification(rng: Random, created: str, subject: str, handle: str) -> Record:
    """One account vouches for another."""
    name = sentence(rng, 1, 3)
    return {"$type": VERIFICATION, "subject": subject, "handle": handle, "displayName": name, "createdAt": created}
