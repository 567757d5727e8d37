"""Python's collector of reference cycles, set for a process that makes many objects, nearly none of which are in a cycle."""

import gc

YOUNG = 10_000  # more objects made than freed until the young ones are looked through; Python's own default is 700


def settle() -> None:
    """Leave out what the imports made, and look through the rest less often.

    Each look through everything that the imports made takes some 10 ms, while all commits wait.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
