"""Whose a handle is: a DID document claims it, and the name itself confirms it, by DNS or over HTTPS.

Source: https://atproto.com/specs/handle#handle-resolution. The resolvers of indigo and of the reference implementation call a
handle invalid after any failure; here the host is asked again where it may only be down, or we asked too often.
"""

from typing import Literal, TypeAlias

from unified_indexer.identity.client import Client
from unified_indexer.identity.errors import FetchError, Unreachable
from unified_indexer.identity.host_names import is_host_name
from unified_indexer.protocol.syntax import is_did

MAX_TEXT_BYTES = 2_200  # a DID has 2,048 characters at most
PREFIX = "did="
UNUSABLE = frozenset({"too_large", "not_text"})  # answers of a host that names no DID: a page, an image

HandleVerdict: TypeAlias = Literal["verified", "mismatched", "unknown"]


class Handles:
    """Asks for handles. `allow_private`: reserved names too, and over plain HTTP at `port`, for tests."""

    def __init__(self, client: Client, *, allow_private: bool = False, port: int | None = None) -> None:
        self._client = client
        self._allow_private = allow_private
        self._port = port

    async def settle(self, handle: str, did: str) -> HandleVerdict:
        """Whether this handle, in lower case, is this DID's; unknown if that cannot be found out just now.

        A handle without an answer, or with several, is nobody's: mismatched.
        """
        if not is_host_name(handle, allow_private=self._allow_private):
            return "mismatched"
        try:
            dids = await self._by_dns(handle)
        except Unreachable:
            dids = None
        if dids:
            return "verified" if dids == {did} else "mismatched"
        try:
            found = await self._by_https(handle)
        except FetchError as error:
            if isinstance(error, Unreachable) and error.reason not in UNUSABLE:
                return "unknown"
            found = None
        if found == did:
            return "verified"
        return "mismatched" if dids is not None else "unknown"  # DNS decides, and it did not answer

    async def _by_dns(self, handle: str) -> set[str]:
        """The DIDs that the name's TXT records name. Raises Unreachable."""
        texts = await self._client.names.texts(f"_atproto.{handle}")
        return {text.removeprefix(PREFIX).strip() for text in texts if text.startswith(PREFIX)}

    async def _by_https(self, handle: str) -> str | None:
        """The DID that the name's host names. Raises FetchError."""
        origin = f"http://{handle}:{self._port}" if self._allow_private and self._port else f"https://{handle}"
        text = (await self._client.get_text(f"{origin}/.well-known/atproto-did", MAX_TEXT_BYTES)).strip()
        return text if is_did(text) else None
