"""All kinds of forgeries by name."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from relay_simulator.forge import chain, envelopes, identities, messages, ops, records, signatures, trees
from relay_simulator.forge.scene import Scene
from relay_simulator.forge.told import Told

Forgery: TypeAlias = Callable[[Scene], Iterator[Told]]

_FAMILIES: tuple[Mapping[str, Forgery], ...] = (
    records.KINDS,
    signatures.KINDS,
    envelopes.KINDS,
    ops.KINDS,
    chain.KINDS,
    trees.KINDS,
    messages.KINDS,
    identities.KINDS,
)
KINDS: dict[str, Forgery] = {name: forgery for family in _FAMILIES for name, forgery in family.items()}
"""Each gives the messages around one forgery, the forged one and honest ones, for accounts of the scene's."""
