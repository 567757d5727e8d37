"""Which kinds meet in which run, out of a seed: each alone, and all of them with one another in random company."""

from collections.abc import Iterator, Sequence
from random import Random

from testing.faults.kinds import KINDS
from testing.faults.run import Plan

ALONE = 0.4  # of the runs


def plans(runs: int, seed: int, names: Sequence[str]) -> list[Plan]:
    """So many runs of these kinds, every kind about as often as any other, in random order."""
    rng = Random(f"campaign {seed}")
    deck = _deck(rng, names)
    found: list[Plan] = []
    for number in range(runs):
        alone = number < ALONE * runs or len(names) == 1
        chosen = [next(deck)] if alone else _company(deck, rng.choice((2, 2, 3)))
        found.append(Plan(seed * 10_000 + number, _rounds(chosen, rng)))
    rng.shuffle(found)
    return found


def _deck(rng: Random, names: Sequence[str]) -> Iterator[str]:
    """The kinds, shuffled anew whenever all have had their turn."""
    while True:
        yield from rng.sample(list(names), len(names))


def _company(deck: Iterator[str], size: int) -> list[str]:
    """Kinds that can be in one run."""
    chosen: list[str] = []
    groups: set[str | None] = set()
    for _ in range(10 * size):
        name = next(deck)
        group = KINDS[name].group
        if name in chosen or (group is not None and group in groups) or not _can_meet([*chosen, name]):
            continue
        chosen.append(name)
        groups.add(group)
        if len(chosen) == size:
            break
    return chosen


def _can_meet(names: Sequence[str]) -> bool:
    """No directory knows the accounts that some kinds put into the stream. What an operator did to a server is lost with it."""
    kinds = [KINDS[name] for name in names]
    families = {kind.family for kind in kinds}
    if "several" in families and len(kinds) > 1:
        return False
    if "failover" in families and families & {"database", "process", "relay"}:
        return False  # and of two workers nobody knows which one another fault means
    return not any("directory" in kind.needs for kind in kinds) or not any(kind.family == "account" for kind in kinds)


def _rounds(chosen: list[str], rng: Random) -> tuple[tuple[str, ...], ...]:
    """At once, one after the other, or the first alone and the others together."""
    match rng.randrange(3):
        case 0:
            return tuple((name,) for name in chosen)
        case 1 if len(chosen) > 2:
            return ((chosen[0],), tuple(chosen[1:]))
        case _:
            return (tuple(chosen),)
