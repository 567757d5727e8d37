"""`config check`: what a start would find, looked at side by side, with nothing written anywhere."""

import asyncio
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from unified_indexer.backfill import files
from unified_indexer.backfill.backfill import GB, NO_FILES
from unified_indexer.backfill.room import free_of, lacking
from unified_indexer.config.addresses import named_host
from unified_indexer.config.database_url import redacted
from unified_indexer.config.settings import Config
from unified_indexer.config.stream_url import StreamAddress
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.schema.look import Looked
from unified_indexer.database.schema.look import look as look_at_database
from unified_indexer.embedded.programs import examined
from unified_indexer.errors import OperatorError
from unified_indexer.formatting import printable, size
from unified_indexer.identity.client import Client
from unified_indexer.identity.directory import NO_DIRECTORY, Directory
from unified_indexer.identity.errors import FetchError, Gone, NotFound
from unified_indexer.identity.names import Names, NameServer
from unified_indexer.pipeline.cursor import seq_of
from unified_indexer.records import RECORD_TYPES
from unified_indexer.relay.look import look as look_at_relay
from unified_indexer.stream.engine import Engine, EngineLost
from unified_indexer.stream.server import look as look_at_stream
from unified_indexer.tracing.spans import Spans

LIMIT = 20.0  # seconds for one of them: a host that is dead costs its own time-out, at most 10
SOMEBODY = "did:plc:z72i7hdynmk6r22z27h6tvur"  # bsky.app; that a directory does not know it is an answer too
ANY_HOST = "plc.directory"  # what name servers are asked for, where the settings name addresses alone

State = Literal["ok", "warning", "fault"]


class Finding(NamedTuple):
    """A line. `fault`: it refuses a start; `warning`: a start says it, or waits for it to pass."""

    state: State
    part: str
    text: str


class Looking:
    """One look at everything that `config` names. `embedded`: the folder of --embedded. `restart`: a worker that runs with this
    lock and this address will be stopped first."""

    def __init__(self, config: Config, embedded: Path | None, *, restart: bool) -> None:
        self._config = config
        self._embedded = embedded
        self._restart = restart
        self._cursor: str | None = None
        self._looked: Looked | None = None
        self._seq: int | None = None

    async def findings(self) -> list[Finding]:
        """Look; return a finding for each thing, in the order of a start."""
        config = self._config
        found = await asyncio.gather(
            _bounded("database", self._data(), "fault"),
            *([] if self._has_fault("RELAY_URL") else [self._source()]),
            *(_bounded("directory", self._directory(url)) for url in config.plc_urls),
            *(_bounded("dns", self._names(servers)) for servers in [[NameServer(*one)] for one in config.dns_servers] or [[]]),
            *([_bounded("publish", _stream("publish", config.publish, "PUBLISH"))] if config.publish is not None else []),
            _bounded("http", self._http()),
            *([_bounded("traces", self._collector(config.otlp_endpoint))] if config.otlp_endpoint else []),
        )
        return [*self._settings(), *(finding for findings in found for finding in findings), *self._place()]

    def _source(self) -> Coroutine[None, None, list[Finding]]:
        stream = self._config.stream
        return (
            _bounded("relay", self._relay()) if stream is None else _bounded("stream", _stream("stream", stream, "RELAY_URL"))
        )

    def _settings(self) -> list[Finding]:
        found = [Finding("fault", "settings", fault) for fault in self._config.faults]
        found += [Finding("warning", "settings", hint) for hint in self._config.hints]
        found = found or [Finding("ok", "settings", "all of them are usable")]
        if self._config.backfill != "off" and (why := files.lacking()) is not None:
            found.append(Finding("warning", "files", NO_FILES % why))
        return found

    async def _data(self) -> list[Finding]:
        if self._embedded is None:
            url = self._config.database_url
            return [] if self._has_fault("DATABASE_URL") else await self._database(url)
        server, made = await asyncio.to_thread(examined, self._embedded)
        if await asyncio.to_thread(server.join):
            text = f"a server runs in {server.directory}, started by another process"
            used = Finding("ok" if self._restart else "fault", "embedded", text + ("" if self._restart else ": stop that one"))
            return [used, *await self._database(server.url)]
        text = "its database is not looked at, because no server runs there" if made else "a start makes a database there"
        place = next(path for path in (server.directory, *server.directory.parents) if path.exists())
        return [
            Finding("ok", "embedded", f"{server.directory}: {text}"),
            self._disk(await asyncio.to_thread(free_of, str(place))),
        ]

    async def _database(self, url: str) -> list[Finding]:
        config = self._config
        pool = DatabasePool(
            url,
            size=1,
            name=config.relay_host,
            durable=True,
            exclusive=False,
            share=config.share,
            on_standby=_nothing if config.standby else None,
        )
        try:
            looked = self._looked = await look_at_database(pool, RECORD_TYPES)
        finally:
            pool.terminate()
        found = [Finding("fault", "database", fault) for fault in looked.faults]
        if not found:
            found.append(Finding("ok", "database", f"PostgreSQL {looked.server} at {redacted(url)}: {looked.state}"))
        found += [Finding("warning", "database", warning) for warning in looked.warnings]
        free = await asyncio.to_thread(free_of, looked.directory)
        return [*found, *([self._lock(looked)] if config.relay_url else []), self._disk(free, looked.size)]

    def _lock(self, looked: Looked) -> Finding:
        if looked.held is None:
            return Finding("ok", "lock", f"free: nobody writes the events of {self._config.service}")
        if looked.held.waits:
            return Finding("ok", "lock", "another worker has it, and STANDBY is on: a start stands by")
        if self._restart:
            return Finding("ok", "lock", "another worker has it, which --restart says will be stopped first")
        return Finding("fault", "lock", looked.held.fault)

    def _disk(self, free: tuple[int, int] | None, taken: int = 0) -> Finding:
        lack = None if self._config.backfill == "off" else lacking(self._config.backfill_limit * GB, taken, free)
        if lack is not None:
            return Finding("warning", "disk", f"{lack.words}: give it room")
        if free is None:
            return Finding("ok", "disk", "the database's disk can't be seen from here")
        return Finding("ok", "disk", f"the database's disk has {size(free[0])} free of {size(free[1])}")

    async def _relay(self) -> list[Finding]:
        asked = self._config.relay_url
        seen = await look_at_relay(asked)
        if isinstance(seen, str):
            return [Finding("warning", "relay", f"{asked} can't be reached ({seen}): check RELAY_URL, the network, the proxy")]
        self._seq = seen.seq
        where = f"{asked} answers{f', by {seen.tls}' if seen.tls else ', without TLS'}"
        if seen.origin != asked:
            where += f", redirected to {seen.origin}"
        if seen.said:
            return [Finding("warning", "relay", f"{where}, and says: {seen.said}")]
        return [Finding("ok", "relay", f"{where}, {'silent for now' if seen.seq is None else f'at seq {seen.seq}'}")]

    async def _directory(self, url: str) -> list[Finding]:
        servers = [NameServer(*server) for server in self._config.dns_servers]
        async with Client(allow_private=self._config.allow_private_hosts, dns_servers=servers) as client:
            try:
                await Directory(client, [url]).identity(SOMEBODY)
            except (NotFound, Gone):
                return [Finding("ok", "directory", f"{url} answers, and does not know {SOMEBODY}")]
            except FetchError as error:
                if error.reason == "redirect":
                    text = f"{url} answers with a redirect, which is not followed: set PLC_URL to the directory's own address"
                    return [Finding("warning", "directory", text)]
                if error.reason in NO_DIRECTORY:
                    text = f"{url} does not answer as a directory of DIDs does ({error}): check PLC_URL"
                    return [Finding("warning", "directory", text)]
                return [Finding("warning", "directory", f"{url} does not answer ({error}): check PLC_URL and the network")]
        return [Finding("ok", "directory", f"{url} answers")]

    async def _names(self, servers: list[NameServer]) -> list[Finding]:
        who = ", ".join(f"{server.address} port {server.port}" for server in servers) or "the system's"
        urls = (*self._config.plc_urls, self._config.relay_url)
        host = next((name for url in urls if (name := named_host(urlsplit(url).hostname or ""))), ANY_HOST)
        try:
            await Names(servers).addresses(host)
        except NotFound:
            pass
        except FetchError:
            return [Finding("warning", "dns", f"{who}: no answer about {host}: check DNS_SERVERS and /etc/resolv.conf")]
        return [Finding("ok", "dns", f"{who}: answers")]

    async def _http(self) -> list[Finding]:
        address = self._config.http_bind
        if address is None:
            return [] if self._has_fault("HTTP_BIND") else [Finding("ok", "http", "off")]
        from unified_indexer.monitoring.http.server import listen, taken  # as a start does

        try:
            (await listen(address, asyncio.Protocol)).close()
        except OSError as error:
            if self._restart:
                return [Finding("ok", "http", f"{address} is in use, which --restart says will end")]
            return [Finding("fault" if address.chosen else "warning", "http", taken(address, error))]
        return [Finding("ok", "http", f"{address} is free")]

    async def _collector(self, endpoint: str) -> list[Finding]:
        from unified_indexer.tracing.sending import Sending

        if (why := await Sending(Spans(), endpoint, self._config.relay_host).look()) is not None:
            return [Finding("warning", "traces", f"{endpoint} takes no traces ({why}): check OTEL_EXPORTER_OTLP_ENDPOINT")]
        return [Finding("ok", "traces", f"{endpoint} takes traces")]

    def _place(self) -> list[Finding]:
        """Where a start would resume, once the database and the relay were both looked at."""
        config = self._config
        if self._looked is None or config.stream is not None or not config.relay_url:
            return []
        if self._looked.cursor is None:
            return [Finding("ok", "cursor", f"none is stored for {config.service}: a start begins at CURSOR={config.cursor}")]
        try:
            cursor = seq_of(config.service, self._looked.cursor)
        except OperatorError as error:
            return [Finding("fault", "cursor", fault) for fault in error.faults]
        if self._seq is None:
            return [Finding("ok", "cursor", f"a start resumes after seq {cursor}")]
        if self._seq < cursor:
            text = f"seq {cursor} is stored, but the relay is at {self._seq}: does it count from 1 again? See --reset-cursor"
            return [Finding("warning", "cursor", text)]
        return [Finding("ok", "cursor", f"a start resumes after seq {cursor}, {self._seq - cursor:,} behind the relay")]

    def _has_fault(self, name: str) -> bool:
        return any(fault.startswith(name) for fault in self._config.faults)


async def _stream(part: str, address: StreamAddress, setting: str) -> list[Finding]:
    try:
        engine = await Engine.open(address)
        try:
            server = await look_at_stream(engine)
        finally:
            engine.close()
    except EngineLost as error:
        return [Finding("warning", part, f"{address} can't be used now ({error}): check {setting} and the server")]
    return [Finding("ok", part, f"{address} answers: {size(server.used)} of {size(server.limit)} used")]


async def _bounded(part: str, work: Awaitable[list[Finding]], late: State = "warning") -> list[Finding]:
    try:
        async with asyncio.timeout(LIMIT):
            return [finding._replace(text=printable(finding.text)) for finding in await work]
    except TimeoutError:
        return [Finding(late, part, f"no answer within {LIMIT:.0f} s")]
    except OperatorError as error:
        return [Finding("fault", part, printable(fault)) for fault in error.faults]


def _nothing() -> None:
    """For a lock that is only looked at."""
