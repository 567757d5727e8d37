"""/healthz: the process is alive and its loop responds. /readyz: the worker does its job, or why not."""

import orjson
from aiohttp import web

from unified_indexer.monitoring.gauges import Gauges
from unified_indexer.monitoring.readiness import reasons
from unified_indexer.version import VERSION


class Health:
    """The two answers about one worker. `ready_lag`: seconds (`unified_indexer/monitoring/readiness.py`)."""

    def __init__(self, gauges: Gauges, ready_lag: float) -> None:
        self._gauges = gauges
        self._ready_lag = ready_lag

    async def alive(self, _request: web.Request) -> web.Response:
        """GET /healthz: any answer means that the worker is alive."""
        return _json(200, {"status": "alive", "version": VERSION, "uptime_seconds": round(self._gauges.uptime, 1)})

    async def ready(self, _request: web.Request) -> web.Response:
        """GET /readyz: 200, or 503 with the reasons."""
        amiss = reasons(self._gauges, self._ready_lag)
        listed = [{"reason": reason.name, "detail": reason.detail} for reason in amiss]
        return _json(503 if amiss else 200, {"ready": not amiss, "reasons": listed})


def _json(status: int, content: dict[str, object]) -> web.Response:
    body = orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(status=status, body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
