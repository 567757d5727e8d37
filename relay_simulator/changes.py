"""What happens to an account's identity on order, at a seq of the stream: another key, host or handle, or its end."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

Told: TypeAlias = Literal["before", "after", "never"]


@dataclass(frozen=True, slots=True)
class Change:
    """From the first event with a seq of `at_seq` or more, the account with this number has another key, PDS or handle.

    It writes a commit there, signed by the key that it then has. `identity`: whether an #identity comes before that commit,
    after it, or never. `key`: a new one. `pds`: it moves to the other of the two hosts; an #account and a #sync come then too.
    `handle`: which it takes, also from its holder. `tombstone`: the directory knows the DID no more, and nothing is written.
    """

    at_seq: int
    account: int
    key: bool = False
    pds: bool = False
    handle: str | None = None
    tombstone: bool = False
    identity: Told = "after"


def parse_change(text: str) -> Change:
    """A change out of a command's argument: `ACCOUNT@SEQ=WHAT[,WHAT …]`, WHAT being `key`, `pds`, `tombstone`, `handle:NAME`
    or `identity:before|after|never`. Raises ValueError.
    """
    place, _, wishes = text.partition("=")
    account, _, seq = place.partition("@")
    handle: str | None = None
    identity: Told = "after"
    flags: set[str] = set()
    for wish in wishes.split(","):
        name, _, value = wish.partition(":")
        if name == "handle" and value:
            handle = value
        elif name == "identity" and value in get_args(Told):
            identity = cast("Told", value)
        elif wish in ("key", "pds", "tombstone"):
            flags.add(wish)
        else:
            raise ValueError(f"{wish!r} is no change of an account")
    return Change(int(seq), int(account), "key" in flags, "pds" in flags, handle, "tombstone" in flags, identity)
