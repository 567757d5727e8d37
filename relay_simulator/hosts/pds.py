"""A PDS: what it says of the repositories of its accounts. Errors are those that the lexicons com.atproto.sync.* name."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from aiohttp import web

from relay_simulator import keys
from relay_simulator.archive import BlockOrder
from relay_simulator.hosts import cars
from relay_simulator.hosts.answers import Answers, told
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.standing import Standing

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
        return [web.get(f"/xrpc/com.atproto.sync.{name}", self._handler(name, method)) for name, method in methods.items()]

    def _handler(self, name: str, method: Method) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            did = request.query.get("did", "")
            return await self._answers.give(request, name, did, lambda fault: self._answer(request, did, method, fault))

        return handle

    def _answer(self, request: web.Request, did: str, method: Method, alteration: Altered | None) -> web.Response:
        standing = self._ledger.standing(did)
        if standing is None or standing.number >= self._ledger.settings.accounts:
            return _refused("RepoNotFound", did)
        if standing.pds == self._number:
            return method(request, standing, alteration)
        if standing.pds != self._ledger.first(standing.number).pds:
            return method(request, replace(standing, active=False, status="deactivated"), alteration)
        return _refused("RepoNotFound", did)

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
            return _refused(error or "RepoNotFound", standing.did)
        return told({"cid": head.commit, "rev": head.rev})

    def _repo(self, request: web.Request, standing: Standing, alteration: Altered | None) -> web.Response:
        error = _unavailable(standing)
        try:
            snapshot = self._ledger.snapshot(standing)
        except KeyError:
            message = "the generator of the stream was not given the archive of the ledger"
            return told({"error": "MethodNotImplemented", "message": message}, 501)
        if error is not None or snapshot is None:
            return _refused(error or "RepoNotFound", standing.did)
        next_key = keys.signer(self._ledger.settings.seed, standing.number, standing.generation + 1)
        source = cars.Source(snapshot, self._ledger.key(standing), next_key)
        return cars.answer(request, source, self._order, alteration)


def _unavailable(standing: Standing) -> str | None:
    """Why its repository is not given, as an error; None where it is."""
    if standing.status == "deleted":
        return "RepoNotFound"
    return None if standing.active else _ERRORS.get(standing.status or "")


def _refused(error: str, did: str) -> web.Response:
    return told({"error": error, "message": f"{error}: {did}"}, 400)
