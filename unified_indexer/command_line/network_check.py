"""`check --network`: random repos, held against what their own servers have; it only reads, but for the cache of identities."""

import asyncio
from collections import Counter

from unified_indexer.accounts.audit import FINDINGS, Audit, Audited, in_words
from unified_indexer.accounts.audit_rows import written_upto
from unified_indexer.accounts.documents import Documents
from unified_indexer.command_line.asking import asking, while_looking_up
from unified_indexer.command_line.stdout import say
from unified_indexer.config.settings import Config
from unified_indexer.database.schema.session import session
from unified_indexer.formatting import instant, printable
from unified_indexer.metrics import Metrics

MEANING = {
    "current": "here up to the newest commit",
    "fresh": "their newest commit is younger than an hour, and may still come",
    "withheld": "their newest commit is over an hour old, and never came",
    "rolled_back": "their server has less than the relay sent before",
    "not_shown": "their server does not show them",
    "unanswered": "nobody answered",
}


class NetworkCheck:
    """Asks about `rate` random repos per minute, for `minutes`."""

    def __init__(self, config: Config, rate: int, minutes: int) -> None:
        self._config = config
        self._rate = rate
        self._number = rate * minutes
        self._task: asyncio.Task[None] | None = None
        self._metrics = Metrics()
        self.sound = False

    async def initialize(self) -> None:
        """Do nothing: `run` connects."""

    def stop(self) -> None:
        """Stop, and tell what was found so far."""
        if self._task is not None:
            self._task.cancel()

    def abandon(self) -> None:
        """Stop at once; nothing is lost by it."""
        self.stop()

    async def run(self) -> None:
        """Ask, print each finding as it comes, and then how many there are of each kind."""
        config = self._config
        async with session(config.database_url, "check") as (_, connection, schema):
            upto = await written_upto(connection, schema)
        if upto is None:
            say("Nothing has been indexed into this database yet.")
            self.sound = True
            return
        say(f"{self._number:,} random repos, {self._rate} a minute; the stream is written up to {instant(upto)}.")
        async with asking(config, "check", size=2, durable=False) as means:
            audit = Audit(means.pool, self._metrics, Documents(means.identities), means.client, lambda: upto)
            self._task = asyncio.create_task(self._all(audit))
            await while_looking_up(means.identities, self._task)
        self._verdict()

    async def _all(self, audit: Audit) -> None:
        async with asyncio.TaskGroup() as asked:
            for number in range(self._number):
                if number:
                    await asyncio.sleep(60 / self._rate)
                asked.create_task(self._one(audit))

    async def _one(self, audit: Audit) -> None:
        found = await audit.one()
        if found is not None and found.result in FINDINGS:
            say(_line(found))

    def _verdict(self) -> None:
        counts: Counter[str] = self._metrics.audited
        self.sound = not any(counts[name] for name in FINDINGS)
        say(*(f"{name:<12}{counts[name]:>9,}  {what}" for name, what in MEANING.items() if counts[name]))
        say("No findings." if self.sound else f"Findings: {sum(counts[name] for name in FINDINGS):,}.")


def _line(found: Audited) -> str:
    return f"{printable(found.did)}: {in_words(found)}"
