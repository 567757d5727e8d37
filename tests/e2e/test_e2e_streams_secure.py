"""A stream's server reached over TLS, by users who may do no more than the pages say, with every commit proven."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from relay_simulator.certificates import make_certificates
from relay_simulator.generator import Generator
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from testing.processes import ROOT
from testing.published import Consumer, following
from testing.streams import each_program, ingesting, over_tls
from testing.traffic import traffic_of
from testing.workers import running, settings
from tests.e2e.test_e2e_publishing import uris
from tests.e2e.test_e2e_streams import stored
from tests.e2e.test_e2e_verify import REALISTIC, SMALL, proven, wrong_rows
from unified_indexer.config.settings import Config
from unified_indexer.errors import OperatorError
from unified_indexer.stream.engine import Engine
from unified_worker import UnifiedWorker


def rights(page: str) -> list[str]:
    """The keys and commands that the page says a user needs."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (sentence,) = re.findall(r"^The server's user needs the keys .*$", text, re.MULTILINE)
    keys, *commands = re.findall(r"`([^`]+)`", sentence)
    return [f"~{keys}", *(f"+{command.lower()}" for command in commands)]


@pytest.mark.promise(7)
@each_program
async def test_over_tls_with_few_rights_everything_is_proven_and_published(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    shape = replace(SMALL, mix=REALISTIC)
    sent = list(Generator(shape).stream(400))
    stream = traffic_of(sent, "full")
    certificates = make_certificates(tmp_path)
    async with over_tls(program, certificates) as (engine, port), RelayServer(stream.frames) as relay:
        for user, page in (("reader", "streams.md"), ("publisher", "publishing.md")):
            await engine.ask("ACL", "SETUSER", user, "on", ">p@ss/1", *rights(page))
        url = f"rediss://reader:p%40ss%2F1@localhost:{port}/0?relay={relay.url}"
        publish = f"rediss://publisher:p%40ss%2F1@localhost:{port}/0"
        with pytest.raises(OperatorError, match=r"the certificate of .* is not valid here"):  # of an unknown authority
            await UnifiedWorker(Config.from_env(settings(database, relay.url, PUBLISH=publish))).initialize()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
        wrong = publish.replace("publisher", "reader")
        with pytest.raises(OperatorError, match="allow that user the keys indexed"):
            await other_keys(wrong)
        ledger = Ledger(shape, upto=lambda: relay.sent_seq)
        for one in sent:
            ledger.note(one.truth)
        async with Services(ledger) as services:
            given = {"VERIFY": "full", "PLC_RATE": "1000", "PUBLISH": publish} | services.settings
            async with ingesting(database, url), running(database, url, reset_cursor=False, **given) as worker:
                await stored(database, relay.url, stream.last_seq)
                await proven(database)
                await following(Consumer(engine, relay.url.partition("://")[2]), uris(stream.model))
                assert worker.metrics.verified["proven"] + worker.metrics.verified["unproven"] > 100
                assert worker.metrics.verified["refused"] == 0
    assert await wrong_rows(database, stream) == []


async def other_keys(url: str) -> None:
    """Write to a key that the user may not touch."""
    config = Config.from_env({"DATABASE_URL": "postgresql://nobody@127.0.0.1/nothing", "PUBLISH": url})
    assert config.publish is not None
    engine = await Engine.open(config.publish)
    try:
        await engine.ask(("XADD", "indexed:x", "*", "a", "b"))
    finally:
        engine.close()
