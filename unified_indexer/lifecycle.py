"""What the worker is doing, and why: only the worker changes it, others read it."""

from typing import Literal, NamedTuple

State = Literal["starting", "standby", "running", "lost", "held", "stopping"]


class Phase(NamedTuple):
    """A state and its reason. It is immutable, so observers may keep it.

    starting: the database is not reached, or not prepared yet. standby: another worker has the lock, as the database said just
    now. running: the lock is held, and a session works under it. lost: the lock was lost, and is being taken again.
    held: an operator must decide.
    stopping: `run` is about to return.
    `why` is the decision that is needed, or what asked for the stop.
    """

    state: State
    why: str = ""

    @property
    def stopping(self) -> bool:
        """Whether it is the last phase."""
        return self.state == "stopping"

    @property
    def reads(self) -> bool:
        """Whether this worker writes the relay's events, or will continue where it was. Otherwise its last session says nothing
        of now: another worker writes, nobody has decided, or nothing is known yet."""
        return self.state in ("running", "lost", "stopping")


class Lifecycle:
    """The worker's phases. Stopping is the last one: nothing comes after it."""

    def __init__(self) -> None:
        self._phase = Phase("starting")

    @property
    def phase(self) -> Phase:
        """What the worker is doing now."""
        return self._phase

    def standby(self) -> None:
        """Enter this phase when another worker has the lock, and this one waits to take its place."""
        self._enter(Phase("standby"))

    def standby_ends(self) -> None:
        """Enter the first phase again: the lock is ours, or the database is away."""
        self._enter(Phase("starting"))

    def running(self) -> None:
        """Enter this phase when a session has begun."""
        self._enter(Phase("running"))

    def lost(self) -> None:
        """Enter this phase when the lock is lost."""
        self._enter(Phase("lost"))

    def held(self, decision: str) -> None:
        """Enter this phase when an operator must make this decision first."""
        self._enter(Phase("held", decision))

    def stopping(self, why: str) -> None:
        """Enter the last phase; `why` asked for the end, for example a signal's name."""
        self._phase = Phase("stopping", why)

    def _enter(self, phase: Phase) -> None:
        if not self._phase.stopping:
            self._phase = phase
