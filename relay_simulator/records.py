"""Records as clients write them: posts with languages, facets, embeds and replies, likes, reposts, follows, profiles.

Shapes follow the public lexicons app.bsky.*; `created` is text. Sizes and shares come near the live network's.
"""

from hashlib import sha256
from random import Random
from typing import NamedTuple

from relay_simulator.encoding import CID_RAW, Value

Record = dict[str, Value]

POST = "app.bsky.feed.post"
LIKE = "app.bsky.feed.like"
REPOST = "app.bsky.feed.repost"
FOLLOW = "app.bsky.graph.follow"
PROFILE = "app.bsky.actor.profile"

_TEXT = (
    "the a of to and in is it that for on with as at by this we you they not have from but all was one so what up "
    "out if about who get which go me when make can like time no just him know take people into year good some "
    "could them see other than then now look only come its over think also back after use two how our work first "
    "well way even new want because any these give day most sky blue morning coffee train harbour drawing music "
    "rain garden bread kitten election paper study season goal match library "
    "café naïve Straße über größer mañana corazón ação coração garçon déjà "
    "être où первый привет спасибо мир кот 今日 日本語 写真 おはよう ありがとう 猫 한국어 안녕하세요 "
    "사진 مرحبا שלום ขอบคุณ 🎉 😂 ❤️ 🦋 👩‍🚀 🔥 🌧️ 🇧🇷 …"
)
_WORDS = _TEXT.split()
_TAGS = ("art", "photography", "BlueSky", "猫", "música", "news", "gamedev", "birds", "writing", "Straße")
_LANGS = ("en", "en", "en", "en", "ja", "pt", "de", "es", "fr", "ko", "en-US", "pt-BR")
_SITES = ("example.com", "news.example.org", "video.example.net", "blog.example.edu")


class Ref(NamedTuple):
    """A strong reference: a record's URI and its CID as text."""

    uri: str
    cid: str

    def value(self) -> Record:
        return {"cid": self.cid, "uri": self.uri}


class Known(NamedTuple):
    """A post that others may answer, like or quote; `root` is its thread's first post (itself for a top post)."""

    ref: Ref
    root: Ref
    author: str


def blob(rng: Random, mime: str, size: int) -> Record:
    """A blob's reference; its CID is of made-up bytes, since no one fetches it."""
    digest = sha256(rng.randbytes(8)).digest()
    return {"$type": "blob", "ref": CID_RAW + digest, "size": rng.randrange(size // 4, size), "mimeType": mime}


def sentence(rng: Random, shortest: int, longest: int) -> str:
    """Words in several scripts."""
    return " ".join(rng.choices(_WORDS, k=rng.randint(shortest, longest)))


def like(created: str, subject: Ref, via: Ref | None = None) -> Record:
    """A like of a post (or of a feed generator)."""
    return _pointer(LIKE, created, subject, via)


def repost(created: str, subject: Ref, via: Ref | None = None) -> Record:
    """A repost."""
    return _pointer(REPOST, created, subject, via)


def _pointer(collection: str, created: str, subject: Ref, via: Ref | None) -> Record:
    record: Record = {"$type": collection, "subject": subject.value(), "createdAt": created}
    if via is not None:
        record["via"] = via.value()
    return record


def follow(created: str, subject: str) -> Record:
    """A follow of an account."""
    return {"$type": FOLLOW, "subject": subject, "createdAt": created}


def profile(rng: Random, created: str, pinned: Ref | None, pack: Ref | None) -> Record:
    """A profile; most have a name, a description and pictures. `pack`: the starter pack through which the account came."""
    record: Record = {"$type": PROFILE}
    if rng.random() < 0.9:
        record["displayName"] = sentence(rng, 1, 3)
    if rng.random() < 0.8:
        record["description"] = sentence(rng, 3, 30)
    if rng.random() < 0.8:
        record["avatar"] = blob(rng, "image/jpeg", 1_000_000)
    if rng.random() < 0.5:
        record["banner"] = blob(rng, "image/png", 1_000_000)
    if rng.random() < 0.7:
        record["createdAt"] = created
    if pinned is not None and rng.random() < 0.3:
        record["pinnedPost"] = pinned.value()
    if pack is not None:
        record["joinedViaStarterPack"] = pack.value()
    return record


def post(rng: Random, created: str, parent: Known | None, quoted: Ref | None, mentioned: str) -> Record:
    """A post that answers `parent` and quotes `quoted`, where they are given, and at times mentions the DID `mentioned`."""
    record: Record = {"$type": POST, "text": sentence(rng, 2, 40), "createdAt": created}
    if rng.random() < 0.95:
        record["langs"] = list[Value](dict.fromkeys(rng.choices(_LANGS, k=1 if rng.random() < 0.9 else 2)))
    if rng.random() < 0.3:
        _add_facets(rng, record, mentioned)
    if rng.random() < 0.05:
        record["tags"] = list[Value](rng.sample(_TAGS, k=rng.randint(1, 3)))
    if parent is not None:
        record["reply"] = {"root": parent.root.value(), "parent": parent.ref.value()}
    if quoted is not None:
        inner: Record = {"$type": "app.bsky.embed.record", "record": quoted.value()}
        if rng.random() < 0.3:
            inner = {"$type": "app.bsky.embed.recordWithMedia", "record": inner, "media": _images(rng)}
        record["embed"] = inner
    elif rng.random() < 0.35:
        record["embed"] = _images(rng) if rng.random() < 0.5 else _external(rng)
    if rng.random() < 0.05:
        record["labels"] = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "!no-unauthenticated"}]}
    return record


def _add_facets(rng: Random, record: Record, mentioned: str) -> None:
    for _ in range(rng.randint(1, 3)):
        kind = rng.random()
        if kind < 0.5:
            tag = rng.choice(_TAGS)
            shown, feature = "#" + tag, _feature("tag", "tag", tag)
        elif kind < 0.8:
            shown = f"{rng.choice(_SITES)}/{rng.randrange(10**6)}"
            feature = _feature("link", "uri", "https://" + shown)
        else:
            mention(record, mentioned)
            continue
        _add_facet(record, shown, feature)


def mention(record: Record, did: str) -> None:
    """Let a post mention an account."""
    _add_facet(record, "@user.simulator.test", _feature("mention", "did", did))


def _add_facet(record: Record, shown: str, feature: Value) -> None:
    text, facets = str(record["text"]), record.setdefault("facets", [])
    start = len(text.encode()) + 1
    index: Record = {"byteStart": start, "byteEnd": start + len(shown.encode())}
    record["text"] = f"{text} {shown}"
    if isinstance(facets, list):
        facets.append({"index": index, "features": [feature]})


def _feature(kind: str, name: str, value: str) -> Value:
    return {"$type": f"app.bsky.richtext.facet#{kind}", name: value}


def _images(rng: Random) -> Record:
    images: list[Value] = []
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        size: Record = {"width": rng.randrange(200, 2000), "height": rng.randrange(200, 2000)}
        images.append({"alt": sentence(rng, 0, 20), "image": blob(rng, "image/jpeg", 900_000), "aspectRatio": size})
    return {"$type": "app.bsky.embed.images", "images": images}


def _external(rng: Random) -> Record:
    external: Record = {
        "uri": f"https://{rng.choice(_SITES)}/{rng.randrange(10**9)}",
        "title": sentence(rng, 2, 12),
        "description": sentence(rng, 0, 30),
    }
    if rng.random() < 0.8:
        external["thumb"] = blob(rng, "image/jpeg", 600_000)
    return {"$type": "app.bsky.embed.external", "external": external}
