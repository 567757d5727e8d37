"""The PLC directory: documents by DID, the log page by page, the log of a DID.

Source: https://web.plc.directory/spec/v0.1/did-plc (version 0.3) and the behaviour of plc.directory and of its replicas: a DID
that has ended is 410, one that never was 404, each with a JSON message.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping
from operator import attrgetter

from aiohttp import web

from relay_simulator.hosts.answers import Answers, told
from relay_simulator.hosts.documents import altered, document
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.operations import Entry, Operations

PAGE = 1_000  # the most operations of one page
_DOCUMENT = "application/did+ld+json"


class Directory:
    """The directory of the ledger's did:plc accounts; `pds_urls` are those of the PDS hosts."""

    def __init__(self, ledger: Ledger, answers: Answers, pds_urls: tuple[str, ...]) -> None:
        self._ledger = ledger
        self._answers = answers
        self._pds_urls = pds_urls
        self._operations = Operations(ledger, pds_urls)

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return [
            web.get("/_health", self._health),
            web.get("/export", self._export),
            web.get("/{did}/log/audit", self._audit),
            web.get("/{did}", self._resolve),
        ]

    async def _health(self, request: web.Request) -> web.Response:
        return await self._answers.give(request, "health", "", lambda _: told({"version": "simulator"}))

    async def _resolve(self, request: web.Request) -> web.Response:
        did = request.match_info["did"]
        return await self._answers.give(request, "plc", did, lambda alteration: self._document(did, alteration))

    def _document(self, did: str, alteration: Altered | None) -> web.Response:
        standing = self._ledger.standing(did)
        if standing is None or not did.startswith("did:plc:"):
            return told({"message": f"DID not registered: {did}"}, 404)
        if standing.tombstone:
            return told({"message": f"DID not available: {did}"}, 410)
        made = document(self._ledger, standing, self._pds_urls[standing.pds])
        return told(altered(made, alteration), kind=_DOCUMENT)

    async def _audit(self, request: web.Request) -> web.Response:
        did = request.match_info["did"]
        return await self._answers.give(request, "log", did, lambda _: self._log_of(did))

    def _log_of(self, did: str) -> web.Response:
        log = [_legacy(entry) for entry in self._operations.entries() if entry.did == did]
        if not log:
            return told({"message": f"DID not registered: {did}"}, 404)
        return web.json_response(log)

    async def _export(self, request: web.Request) -> web.Response:
        return await self._answers.give(request, "export", "", lambda _: self._page(request.query))

    def _page(self, query: Mapping[str, str]) -> web.Response:
        after = query.get("after")
        try:
            count = min(int(query.get("count", PAGE)), PAGE)
        except ValueError:
            count = 0
        if count < 1:
            return told({"message": "Invalid count parameter"}, 400)
        entries = self._operations.entries()
        if after is not None and after.isdigit():
            page = [_sequenced(entry) for entry in entries[int(after) :][:count]]
        else:
            first = bisect_right(entries, after or "", key=attrgetter("created_at"))
            page = [_legacy(entry) for entry in entries[first:][:count]]
        return web.Response(text="\n".join(map(json.dumps, page)), content_type="application/jsonlines")


def _legacy(entry: Entry) -> dict[str, object]:
    """An operation as pages by time, and logs of one DID, have it."""
    return {
        "did": entry.did,
        "operation": entry.operation,
        "cid": entry.cid,
        "nullified": entry.nullified,
        "createdAt": entry.created_at,
    }


def _sequenced(entry: Entry) -> dict[str, object]:
    """An operation as pages by seq have it: they don't say what is nullified, since that may come later."""
    return {
        "type": "sequenced_op",
        "seq": entry.seq,
        "did": entry.did,
        "operation": entry.operation,
        "cid": entry.cid,
        "createdAt": entry.created_at,
    }
