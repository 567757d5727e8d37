"""When a repo that could not be fetched is tried again. Pure."""

FIRST, MOST = 60.0, 3600.0  # seconds: doubling
DAY = 86_400.0
ATTEMPTS = 12  # then once a day
INCOMPLETE = (60.0, 600.0, 3600.0)  # seconds: a repo that lacks blocks was written to while it was read, or is broken for good
SPREAD = 0.1  # of the pause, either way


def pause(failures: int, chance: float, *, incomplete: bool = False) -> float:
    """Seconds until the next attempt, after failures in a row: 1 or more. `chance`: 0 to 1, by which repos spread."""
    if incomplete:
        seconds = INCOMPLETE[failures - 1] if failures <= len(INCOMPLETE) else DAY
    else:
        seconds = min(MOST, FIRST * 2 ** min(failures - 1, 10)) if failures < ATTEMPTS else DAY
    return seconds * (1 - SPREAD + 2 * SPREAD * chance)
