"""did:plc: documents from the directory, or from replicas of it, in the operator's order.

Source: https://web.plc.directory/spec/v0.1/did-plc (the form of a DID, and what the server answers).

In front of a directory stand proxies, and in its place sometimes a page: so only what a directory alone would say counts as its
word. That is a document with the DID as its `id`, or an error whose JSON has a `message` that names the DID as a word of its
own ("DID not registered: did:plc:…"). A replica may have other words, so they don't count; but a server that knows no such path
says the path, not the DID. All else is no answer: the next directory is asked, and what is known stays.
"""

import logging
import re
from collections.abc import Sequence

from unified_indexer.errors import Rejected
from unified_indexer.identity.client import Client
from unified_indexer.identity.document import Identity, read_document
from unified_indexer.identity.errors import FetchError, Gone, NotFound, Unreachable
from unified_indexer.log.handler import warn_limited

TOMBSTONED = "DID not available"  # how the message of a tombstone begins; servers answer it with 410, older ones with 404
# Something answers, with something else.
NO_DIRECTORY = ("not_found", "gone", "refused", "bad_did_document", "not_json", "too_large", "encoded")

log = logging.getLogger(__name__)

is_plc = re.compile(r"did:plc:[a-z2-7]{24}").fullmatch


class Directory:
    """The directory at `urls` (origins): replicas first, the primary last."""

    def __init__(self, client: Client, urls: Sequence[str], *, allow_private: bool = False) -> None:
        self._client = client
        self._urls = tuple(urls)
        self._allow_private = allow_private

    async def identity(self, did: str, *, primary: bool = False) -> Identity:
        """What the directory says of a did:plc. `primary`: ask it alone, because replicas may be some moments behind.

        Raises NotFound and Gone, where it says so with authority: a replica may not know a new DID yet. Raises Unreachable if
        nobody answers as a directory does.
        """
        last: FetchError = Unreachable("not_asked")
        for url in self._urls[-1:] if primary else self._urls:
            try:
                document = await self._client.get_json(f"{url}/{did}", trusted=True)
                return read_document(did, document, allow_private=self._allow_private)
            except Rejected as error:
                last = Unreachable(error.reason, status=200)
            except FetchError as error:
                last = word_of(did, error)
                if isinstance(last, Gone) or (isinstance(last, NotFound) and url == self._urls[-1]):
                    raise last from None
            if not isinstance(last, NotFound):
                _warn(url, last)
        raise last


def word_of(did: str, error: FetchError) -> FetchError:
    """What follows from this failure to get what a directory has of a DID: NotFound or Gone if a directory said so."""
    names_did = re.compile(rf"(?<![\w/=%-]){re.escape(did)}(?![\w/-])").search
    if error.status in (404, 410) and names_did(error.message or ""):
        is_gone = error.status == 410 or (error.message or "").startswith(TOMBSTONED)
        return Gone("gone", status=error.status) if is_gone else NotFound("not_found", status=error.status)
    return error if isinstance(error, Unreachable) else Unreachable(error.reason, status=error.status)


def _warn(url: str, error: FetchError) -> None:
    """Say it in the log if something answers there that is no directory."""
    if error.reason == "redirect":
        text = (
            "%s answers with a redirect, which is not followed: set PLC_URL to the directory's own address (https, not http?)"
        )
        warn_limited(log, f"redirect {url}", text, url)
    elif error.reason in NO_DIRECTORY:
        warn_limited(
            log, f"no directory {url}", "%s does not answer as a directory of DIDs does (%s): check PLC_URL", url, error
        )
