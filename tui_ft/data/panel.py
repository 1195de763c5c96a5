"""Everything that is told about the main rows as a whole: how answers look, what is usual, what drifts.

A big file is read in portions, some of them in other processes. Each portion has a panel of its own, and
the panels are merged in the order of the rows. So an observer has to

- `see` a row at a time, in at most a few microseconds, and keep little: no rows, no growing lists of
  texts, only counters, small arrays and a `Tally` (which keeps five places per finding);
- `merge` another of its kind that saw the rows right after its own, giving what one observer would know
  that had seen them all;
- `state` its findings once, after the last row;
- be picklable: no open files, no lambdas, no patterns compiled per instance.

To add one: write it beside `Answers`, in a module of its own, and name it in `Panel`.
"""

from __future__ import annotations

from typing import Protocol, Self

from tui_ft.data.json_answers import JsonAnswers
from tui_ft.data.labels import Labels
from tui_ft.data.languages import Languages
from tui_ft.data.observers import Answers
from tui_ft.data.rows import Row
from tui_ft.data.system_prompts import SystemPrompts
from tui_ft.data.tally import Tally
from tui_ft.data.whitespace import Whitespace


class Observer(Protocol):
    """Watches the main rows go by and says at the end what it noticed."""

    def see(self, row: Row) -> None:
        """Take in one usable row of the main files."""

    def merge(self, other: Self) -> None:
        """Add what `other` saw in the rows after those seen here."""

    def state(self, tally: Tally) -> None:
        """Add findings, after the last row."""


class Panel:
    """All observers of the main rows, as one."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.labels = Labels(self.answers)
        self.json = JsonAnswers()
        self._observers: tuple[Observer, ...] = (
            self.answers,
            self.labels,
            self.json,
            SystemPrompts(),
            Languages(),
            Whitespace(),
        )

    def see(self, row: Row) -> None:
        """Show a usable row of the main files to all."""
        for observer in self._observers:
            observer.see(row)

    def merge(self, other: Panel) -> None:
        """Add what another panel saw in the rows after those seen here."""
        for mine, theirs in zip(self._observers, other._observers, strict=True):
            mine.merge(theirs)

    def state(self, tally: Tally) -> None:
        """Add the findings of all, after the last row."""
        for observer in self._observers:
            observer.state(tally)
