"""did:web: the document at a host's well-known address.

Source: https://atproto.com/specs/did#blessed-did-methods: a host name alone, without path; a port only for localhost, in tests.
"""

import re

from unified_indexer.errors import Rejected
from unified_indexer.identity.client import Client
from unified_indexer.identity.document import Identity, read_document
from unified_indexer.identity.errors import Gone, NotFound, Unreachable
from unified_indexer.identity.host_names import is_host_name

NO_DOCUMENT = ("not_json", "too_large", "encoded")  # the host answers, with something else: that is its answer

_local = re.compile(r"localhost%3A([0-9]{1,5})").fullmatch


def web_url(did: str, *, allow_private: bool = False) -> str | None:
    """Where the document of a did:web is; None if the DID is none that counts."""
    host = did.removeprefix("did:web:")
    if host == did:
        return None
    if allow_private and (local := _local(host)):
        return f"http://localhost:{local[1]}/.well-known/did.json"
    return f"https://{host}/.well-known/did.json" if is_host_name(host, allow_private=allow_private) else None


class WebDids:
    """Asks the hosts of did:webs."""

    def __init__(self, client: Client, *, allow_private: bool = False) -> None:
        self._client = client
        self._allow_private = allow_private

    async def identity(self, did: str, *, primary: bool = False) -> Identity:
        """What its host says of a did:web; `primary` says nothing here, since there are no others.

        Raises Rejected: `bad_did_document`, and FetchError; never Gone: only a directory ends a DID.
        """
        url = web_url(did, allow_private=self._allow_private)
        if url is None:
            raise Rejected("bad_did_document", "no did:web that counts")
        try:
            document = await self._client.get_json(url)
        except Gone as error:
            raise NotFound("not_found", status=error.status) from None
        except Unreachable as error:
            if error.reason in NO_DOCUMENT:
                raise Rejected("bad_did_document", error.reason) from None
            raise
        return read_document(did, document, allow_private=self._allow_private)
