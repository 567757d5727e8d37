"""Numbers, sizes and times as text for people: pure."""

from collections.abc import Callable
from datetime import datetime

NO_TIME = "at an unknown time"


def printable(text: str) -> str:
    """`text` on one line, with escapes for characters that would control a terminal."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def shortened(text: str, most: int) -> str:
    """Of a longer text its beginning, and an ellipsis: `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def number(value: int | None) -> str:
    """1,234."""
    return "unknown" if value is None else f"{value:,}"


def bounded(value: int | None, most: int) -> str:
    """A count that stopped at one more than `most`, or was given up (None)."""
    if value is None:
        return "not counted: that took too long"
    return f"{most:,} or more" if value > most else f"{value:,}"


def signed(value: int, text: Callable[[int], str] = number) -> str:
    """With its sign, the rest as `text` does."""
    return ("-" if value < 0 else "+") + text(abs(value))


def size(value: int) -> str:
    """Bytes, in powers of 1,000."""
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.95 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def instant(value: datetime | None) -> str:
    """A time, to the second, in its own zone."""
    return NO_TIME if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def ago(value: datetime | None, now: datetime) -> str:
    """How long ago a time was."""
    return NO_TIME if value is None else f"{duration((now - value).total_seconds())} ago"


def duration(seconds: float) -> str:
    """A duration in its two largest units; never below zero, because clocks differ."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if not hours:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{days} d {hours % 24} h" if days else f"{hours} h {minutes % 60} min"
