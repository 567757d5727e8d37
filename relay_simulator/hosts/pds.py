"""A PDS: what it says of the repositories of its accounts. Errors are those that the lexicons com.atproto.* name."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from relay_simulator import keys
from relay_simulator.archive import BlockOrder
from relay_simulator.hosts import cars, pages
from relay_simulator.hosts.answers import Answers, told
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.standing import Standing
from relay_simulator.truth import OpTruth

_ERRORS = {"deactivated": "RepoDeactivated", "suspended": "RepoSuspended", "takendown": "RepoTakendown"}

Method: TypeAlias = Callable[[web.Request, Standing, Altered | None], web.Response]


class Pds:
    """One of the hosts; an account that has left it stands here as deactivated."""

    def __init__(self, ledger: Ledger, answers: Answers, number: int, order: BlockOrder) -> None:
        self._ledger = ledger
        self._answers = answers
        self._number = number
        self._order: BlockOrder = order

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        methods: dict[str, Method] = {
            "getRepoStatus": self._repo_status,
            "getLatestCommit": self._latest_commit,
            "getRepo": self._repo,
        }
        return [
            *(web.get(f"/xrpc/com.atproto.sync.{name}", self._handler(name, method)) for name, method in methods.items()),
            web.get("/xrpc/com.atproto.sync.listRepos", self._list_repos),
            web.get("/xrpc/com.atproto.repo.listRecords", self._list_records),
        ]

    def _handler(self, name: str, method: Method) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            did = request.query.get("did", "")
            return await self._answers.give(request, name, did, lambda fault: self._answer(request, did, method, fault))

        return handle

    def _answer(self, request: web.Request, did: str, method: Method, alteration: Altered | None) -> web.Response:
        standing = self._ledger.seen(did, self._number)
        return refused("RepoNotFound", did) if standing is None else method(request, standing, alteration)

    async def _list_repos(self, request: web.Request) -> web.Response:
        def make(alteration: Altered | None) -> web.Response:
            listed = self._ledger.listed(self._number)
            return pages.page(request, pages.REPOS, listed, lambda standing: repo_entry(self._ledger, standing), alteration)

        return await self._answers.give(request, "listRepos", "", make)

    async def _list_records(self, request: web.Request) -> web.Response:
        did, collection = request.query.get("repo", ""), request.query.get("collection", "")

        def make(alteration: Altered | None) -> web.Response:
            standing = self._ledger.seen(did, self._number)
            error = _unavailable(standing) if standing is not None else None
            truth = self._ledger.repo(did) if standing is not None else None
            if truth is None or error is not None:
                return refused(error or "RepoNotFound", did)
            own = [record for record in reversed(truth.records) if record.collection == collection and record.fault is None]
            return pages.page(request, pages.RECORDS, own, lambda record: _record_entry(did, record), alteration)

        return await self._answers.give(request, "listRecords", did, make)

    def _repo_status(self, _: web.Request, standing: Standing, __: Altered | None) -> web.Response:
        body: dict[str, object] = {"did": standing.did, "active": standing.active}
        if standing.status is not None:
            body["status"] = standing.status
        head = self._ledger.head(standing) if standing.active else None
        if head is not None:
            body["rev"] = head.rev
        return told(body)

    def _latest_commit(self, _: web.Request, standing: Standing, __: Altered | None) -> web.Response:
        error = _unavailable(standing)
        head = self._ledger.head(standing)
        if error is not None or head is None:
            return refused(error or "RepoNotFound", standing.did)
        return told({"cid": head.commit, "rev": head.rev})

    def _repo(self, request: web.Request, standing: Standing, alteration: Altered | None) -> web.Response:
        error = _unavailable(standing)
        try:
            snapshot = self._ledger.snapshot(standing)
        except KeyError:
            message = "the generator of the stream was not given the archive of the ledger"
            return told({"error": "MethodNotImplemented", "message": message}, 501)
        if error is not None or snapshot is None:
            return refused(error or "RepoNotFound", standing.did)
        next_key = keys.signer(self._ledger.settings.seed, standing.number, standing.generation + 1)
        source = cars.Source(snapshot, self._ledger.key(standing), next_key)
        return cars.answer(request, source, self._order, alteration)


def _unavailable(standing: Standing) -> str | None:
    """Why its repository is not given, as an error; None where it is."""
    if standing.status == "deleted":
        return "RepoNotFound"
    return None if standing.active else _ERRORS.get(standing.status or "")


def repo_entry(ledger: Ledger, standing: Standing) -> dict[str, object]:
    """An account as listRepos has it."""
    head = ledger.head(standing)
    entry: dict[str, object] = {"did": standing.did, "active": standing.active}
    if head is not None:
        entry |= {"head": head.commit, "rev": head.rev}
    return entry if standing.status is None else {**entry, "status": standing.status}


def _record_entry(did: str, record: OpTruth) -> dict[str, object]:
    return {"uri": f"at://{did}/{record.collection}/{record.rkey}", "cid": record.cid, "value": record.record}


def refused(error: str, did: str) -> web.Response:
    """400 with the name of an error."""
    return told({"error": error, "message": f"{error}: {did}"}, 400)
