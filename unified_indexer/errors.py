"""The errors that cross stages. Their type names the remedy; any other error ends the process with its traceback."""

from typing import TypeVar, cast

E = TypeVar("E", bound=BaseException)


class Rejected(Exception):
    """Network input that cannot be applied: counted by `reason`, kept as a dead letter, never a crash.

    `reason` is a fixed snake_case name (a metric label); `detail` says what was wrong with this one input.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class OperatorError(Exception):
    """Something that the operator set is unusable. One line per fault, each with its remedy; the process exits with 2."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Stop(Exception):
    """The worker needs a decision of the operator; the message says which. The process exits with 1."""


def leaves(group: BaseExceptionGroup[E]) -> list[E]:
    """The errors in a group of groups."""
    found: list[E] = []
    for error in group.exceptions:
        found += leaves(cast("BaseExceptionGroup[E]", error)) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def describe(error: BaseException) -> str:
    """An error in a line: its words, with its type where it is none of the above."""
    errors = leaves(cast("BaseExceptionGroup[BaseException]", error)) if isinstance(error, BaseExceptionGroup) else [error]
    named = (str(one) if isinstance(one, Stop | OperatorError) else f"{type(one).__name__}: {one}" for one in errors)
    return "; ".join(words.removesuffix(": ") for words in named)
