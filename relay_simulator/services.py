"""Records about services (feed generators, labelers), and records that mean nothing to a reader of app.bsky's.

Shapes: the lexicons app.bsky.feed.generator, app.bsky.labeler.service, app.bsky.actor.status, chat.bsky.actor.declaration and
fm.teal.alpha.feed.play.
"""

from random import Random

from relay_simulator.encoding import Value
from relay_simulator.records import Record, blob, sentence

GENERATOR = "app.bsky.feed.generator"
LABELER = "app.bsky.labeler.service"
STATUS = "app.bsky.actor.status"
DECLARATION = "chat.bsky.actor.declaration"
PLAY = "fm.teal.alpha.feed.play"

_LABELS = ("spam", "rude", "!hide", "spider", "bot", "satire")


def generator(rng: Random, created: str) -> Record:
    """A feed that a service makes."""
    record: Record = {
        "$type": GENERATOR,
        "did": f"did:web:feed{rng.randrange(20)}.example.com",
        "displayName": sentence(rng, 1, 3),
        "createdAt": created,
    }
    if rng.random() < 0.8:
        record["description"] = sentence(rng, 3, 20)
    if rng.random() < 0.5:
        record["avatar"] = blob(rng, "image/png", 1_000_000)
    return record


def labeler(rng: Random, created: str) -> Record:
    """A service that labels, and with what."""
    values = rng.sample(_LABELS, k=rng.randint(1, 3))
    definitions: list[Value] = [
        {"identifier": value, "severity": "inform", "blurs": "none", "locales": [{"lang": "en", "name": value}]}
        for value in values
    ]
    policies: Record = {"labelValues": list[Value](values), "labelValueDefinitions": definitions}
    return {"$type": LABELER, "policies": policies, "createdAt": created}


def generic(rng: Random, created: str) -> Record:
    """A record of a collection without a table of its own."""
    kind = rng.randrange(4)
    if kind == 0:
        return {"$type": STATUS, "status": f"{STATUS}#live", "durationMinutes": rng.randrange(5, 240), "createdAt": created}
    if kind == 1:
        # With the time, so that no update writes what is there: for that no PDS makes a commit.
        return {"$type": DECLARATION, "allowIncoming": rng.choice(("all", "following", "none")), "createdAt": created}
    return play(rng, created)


def play(rng: Random, created: str) -> Record:
    """Another application's record: a piece of music was heard."""
    return {
        "$type": PLAY,
        "trackName": sentence(rng, 1, 5),
        "artists": [{"artistName": sentence(rng, 1, 2)}],
        "duration": rng.randrange(100, 400),
        "playedTime": created,
    }
