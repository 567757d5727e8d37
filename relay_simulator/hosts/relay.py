"""What a relay says besides its stream: which hosts and repositories there are. Who wants one whole is sent to its host."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from aiohttp import web

from relay_simulator.hosts import pages
from relay_simulator.hosts.answers import Answers, told
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.pds import refused, repo_entry
from relay_simulator.hosts.standing import Standing

_SYNC = "/xrpc/com.atproto.sync."


class Relay:
    """The lists of a relay. `extra` are entries of listHosts besides the PDS hosts."""

    def __init__(self, ledger: Ledger, answers: Answers, pds_urls: tuple[str, ...], extra: list[dict[str, object]]) -> None:
        self._ledger = ledger
        self._answers = answers
        self._pds_urls = pds_urls
        self._extra = extra

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return [
            web.get(f"{_SYNC}listHosts", self._list(self._hosts, "listHosts")),
            web.get(f"{_SYNC}listRepos", self._list(self._repos, "listRepos")),
            web.get(f"{_SYNC}listReposByCollection", self._list(self._by_collection, "listReposByCollection")),
            web.get(f"{_SYNC}getRepo", self._repo),
        ]

    def _list(
        self, make: Callable[[web.Request, Altered | None], web.Response], name: str
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            subject = request.query.get("collection", "")
            return await self._answers.give(request, name, subject, lambda fault: make(request, fault))

        return handle

    def _hosts(self, request: web.Request, alteration: Altered | None) -> web.Response:
        listed = [
            {
                "hostname": url.partition("//")[2],
                "seq": number + 1,
                "accountCount": len(self._ledger.listed(number)),
                "status": "active",
            }
            for number, url in enumerate(self._pds_urls)
        ]
        return pages.page(request, pages.HOSTS, [*self._extra, *listed], dict[str, object], alteration)

    def _repos(self, request: web.Request, alteration: Altered | None) -> web.Response:
        listed = self._ledger.listed()
        return pages.page(request, pages.REPOS, listed, lambda standing: repo_entry(self._ledger, standing), alteration)

    def _by_collection(self, request: web.Request, alteration: Altered | None) -> web.Response:
        collection = request.query.get("collection")
        if collection is None:
            return told({"error": "InvalidRequest", "message": "collection is missing"}, 400)
        ledger = self._ledger
        listed = [standing for standing in ledger.listed() if collection in ledger.collections(standing)]
        return pages.page(request, pages.BY_COLLECTION, sorted(listed, key=_did), lambda found: {"did": found.did}, alteration)

    async def _repo(self, request: web.Request) -> web.Response:
        standing = self._ledger.standing(request.query.get("did", ""))
        if standing is None:
            return refused("RepoNotFound", "")
        location = f"{self._pds_urls[standing.pds]}{_SYNC}getRepo?{urlencode({'did': standing.did})}"
        return web.Response(status=302, headers={"Location": location})


def _did(standing: Standing) -> str:
    return standing.did
