"""The page about trust: every reason that a proof gives is in its table, with the effect that the code has."""

import re

from testing.documents import read
from unified_indexer.protocol.failures import Effect, Failure

ROW = re.compile(r"^\| `([a-z_]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
SAID = {
    Effect.REFUSED: ("refused", "with `hold`"),
    Effect.DESYNCHRONISED: ("applied as far as proven, marked", "applied, marked"),
    Effect.NOTED: ("applied:",),
    Effect.IGNORED: ("ignored",),
}


def test_the_table_has_every_reason_with_its_effect() -> None:
    rows = ROW.findall(read("docs/trust.md"))
    assert [reason for reason, _ in rows] == [failure.value for failure in Failure]
    for reason, effect in rows:
        assert effect.startswith(SAID[Failure(reason).effect]), reason
