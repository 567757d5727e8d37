"""Find variables whose name is close to a setting's name: otherwise a typing error would silently leave a default in force."""

import re
from collections.abc import Collection, Iterable

PREFIX = "UNIFIED_WORKER_"  # some programs want one before each of their settings; this one has none
# What Kubernetes sets in each container for a service that is called `relay` or `unified-worker`.
OF_A_SERVICE = re.compile(r".*_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
MOST_SLIPS = 2
SHORT = 8  # characters: a name of fewer may have one slip only


def misspelt(names: Iterable[str], known: Collection[str]) -> list[str]:
    """A sentence for each of `names` that is not one of the `known` settings but looks like one."""
    hints: list[str] = []
    for name in sorted(set(names) - set(known)):
        bare = name.upper().removeprefix(PREFIX)
        if OF_A_SERVICE.fullmatch(name.upper()):
            continue
        near = min((setting for setting in known if _alike(bare, setting)), key=lambda one: _slips(bare, one), default="")
        if near and _slips(bare, near) <= (1 if len(near) < SHORT else MOST_SLIPS):
            hints.append(f"{name[:80]} is not a setting and has no effect; did you mean {near}?")
        elif name.upper().startswith(PREFIX):
            hints.append(f"{name[:80]} is not a setting and has no effect; --help lists all settings")
    return hints


def _alike(one: str, other: str) -> bool:
    """Whether so few slips are possible at all: to count them takes long, and each start has all variables to look at."""
    return abs(len(one) - len(other)) <= MOST_SLIPS and len(set(one) ^ set(other)) <= 2 * MOST_SLIPS


def _slips(one: str, other: str) -> int:
    """How many letters have to be put in, left out or changed to make one of the other (Levenshtein's distance)."""
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        above, row[0] = row[0], place
        for column, against in enumerate(other, 1):
            above, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, above + (letter != against))
    return row[-1]
