"""How long a process was at work on a training, told from the times of its events."""

from __future__ import annotations

from dataclasses import dataclass

# A worker says something every few seconds. A longer pause is a machine that stood still or a clock that was
# set ahead; a step back is a clock that was set back. Neither is work.
_LONGEST_PAUSE_S = 1800.0


@dataclass(slots=True)
class Worked:
    """Adds up the seconds between one event and the next, over all attempts. Times are seconds since 1970."""

    seconds: float = 0.0
    _heard: float | None = None  # None while nobody is at work

    def begin(self, at: float | None) -> None:
        """A process starts work; what lies before does not count."""
        self._heard = at

    def hear(self, at: float) -> None:
        """The process at work says something."""
        if self._heard is not None:
            self.seconds += self.since(at)
            self._heard = at

    def leave(self) -> None:
        """Nobody is at work until the next `begin`."""
        self._heard = None

    def since(self, now: float) -> float:
        """Seconds of work between the last event and now, not added yet."""
        gap = 0.0 if self._heard is None else now - self._heard
        return gap if 0 < gap <= _LONGEST_PAUSE_S else 0.0
