"""What web hosts say of identities: a did:web account's document, and whose a handle is, by the Host header.

Sources: https://atproto.com/specs/did and https://atproto.com/specs/handle.
"""

from urllib.parse import urlsplit

from aiohttp import web

from relay_simulator.hosts.answers import Answers, told
from relay_simulator.hosts.documents import altered, document
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger


class Handles:
    """`/.well-known/atproto-did` of every handle, whose name the Host header is."""

    def __init__(self, ledger: Ledger, answers: Answers) -> None:
        self._ledger = ledger
        self._answers = answers

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return [web.get("/.well-known/atproto-did", self._resolve)]

    async def _resolve(self, request: web.Request) -> web.Response:
        handle = (urlsplit(f"//{request.host}").hostname or "").lower()
        return await self._answers.give(request, "handle", handle, lambda _: self._holder(handle))

    def _holder(self, handle: str) -> web.Response:
        did = self._ledger.holder(handle)
        return web.Response(text=did) if did is not None else web.Response(text="User not found", status=404)


class WebAccount:
    """`/.well-known/did.json` at the host of one did:web account."""

    def __init__(self, ledger: Ledger, answers: Answers, did: str, pds_urls: tuple[str, ...]) -> None:
        self._ledger = ledger
        self._answers = answers
        self._did = did
        self._pds_urls = pds_urls

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return [web.get("/.well-known/did.json", self._resolve)]

    async def _resolve(self, request: web.Request) -> web.Response:
        return await self._answers.give(request, "web", self._did, self._document)

    def _document(self, alteration: Altered | None) -> web.Response:
        standing = self._ledger.standing(self._did)
        if standing is None or standing.tombstone:
            return web.Response(text="not found", status=404)
        made = document(self._ledger, standing, self._pds_urls[standing.pds])
        return told(altered(made, alteration))
