"""did:plc: documents from the directory, or from replicas of it, in the operator's order.

Source: https://web.plc.directory/spec/v0.1/did-plc (the form of a DID, and what the server answers).
"""

import re
from collections.abc import Sequence

from unified_indexer.errors import Rejected
from unified_indexer.identity.client import Client
from unified_indexer.identity.document import Identity, read_document
from unified_indexer.identity.errors import FetchError, Gone, NotFound, Unreachable

TOMBSTONED = "DID not available"  # how the server's message begins; it answers 404, as for a DID that it does not know

is_plc = re.compile(r"did:plc:[a-z2-7]{24}").fullmatch


class Directory:
    """The directory at `urls` (origins): replicas first, the primary last."""

    def __init__(self, client: Client, urls: Sequence[str], *, allow_private: bool = False) -> None:
        self._client = client
        self._urls = tuple(urls)
        self._allow_private = allow_private

    async def identity(self, did: str, *, primary: bool = False) -> Identity:
        """What the directory says of a did:plc. `primary`: ask it alone, because replicas may be some moments behind.

        Raises NotFound and Gone, where it says so with authority: a replica may not know a new DID yet. Raises Rejected:
        `bad_did_document`, and FetchError if nobody answers.
        """
        last: FetchError = Unreachable("not_asked")
        for url in self._urls[-1:] if primary else self._urls:
            try:
                document = await self._client.get_json(f"{url}/{did}", trusted=True)
                return read_document(did, document, allow_private=self._allow_private)
            except Gone:
                raise
            except Rejected:
                if url == self._urls[-1]:
                    raise
            except NotFound as error:
                if error.message is not None and error.message.startswith(TOMBSTONED):
                    raise Gone("gone", status=error.status) from None
                if error.status == 404 and url == self._urls[-1]:
                    raise
                last = Unreachable(error.reason, status=error.status)  # also: the directory's own name is unknown
            except FetchError as error:
                last = error
        raise last
