"""ACCOUNTS: whose records are indexed, as a file of DIDs, or as what one account follows."""

from pathlib import Path
from typing import NamedTuple

from unified_indexer.protocol.syntax import is_did

FOLLOWS_OF = "follows-of:"
SHOWN = 60  # characters of what is wrong


class Chosen(NamedTuple):
    """`accounts`: DIDs, None for everybody. `follows_of`: a DID, whose follows are indexed besides."""

    accounts: frozenset[str] | None = None
    follows_of: str | None = None


def chosen(text: str) -> Chosen:
    """What ACCOUNTS says: nothing, `follows-of:DID`, or the path of a file with a DID a line, where # begins a comment.

    Raises ValueError, which says what to write.
    """
    if not text:
        return Chosen()
    if text.startswith(FOLLOWS_OF):
        did = text.removeprefix(FOLLOWS_OF).strip()
        if not is_did(did):
            raise ValueError(f"is {text[:SHOWN]!r}; write {FOLLOWS_OF}did:plc:…, with the DID of an account")
        return Chosen(frozenset({did}), did)
    return Chosen(read_dids(Path(text)))


def read_dids(path: Path) -> frozenset[str]:
    """The DIDs of a text file, one a line. Raises ValueError, which says what to write."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"names {str(path)[:SHOWN]!r}, which cannot be read ({type(error).__name__}); write the path of a text file with a "
            f"DID per line, or {FOLLOWS_OF}did:plc:…"
        ) from None
    dids = set[str]()
    for number, line in enumerate(lines, 1):
        if did := line.partition("#")[0].strip():
            if not is_did(did):
                raise ValueError(
                    f"names {str(path)[:SHOWN]!r}, where line {number} is {did[:SHOWN]!r}; write a DID per line, did:plc:…"
                )
            dids.add(did)
    if not dids:
        raise ValueError(f"names {str(path)[:SHOWN]!r}, which holds no DID; write one per line")
    return frozenset(dids)
