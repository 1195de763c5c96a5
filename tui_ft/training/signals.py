"""Signals that ask for an end, and the ones that mean nothing here."""

from __future__ import annotations

import signal
from types import FrameType


class Stops:
    """Notes SIGTERM and SIGINT until the training reaches a place where it can stop."""

    def __init__(self) -> None:
        self.received = ""

    def install(self) -> None:
        """Take over SIGTERM and SIGINT; ignore SIGHUP: a closed terminal is no reason to stop."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
