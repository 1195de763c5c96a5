"""How often something was seen, and where first."""

from __future__ import annotations

from tui_ft.data.tally import Tally

_MOST = 5


class Places:
    """A count with the first few places it stands for, each a file and a line."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[str, int]] = []

    def add(self, file: str, line: int) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < _MOST:
            self.first.append((file, line))

    def merge(self, other: Places) -> None:
        """Add those seen after these."""
        self.count += other.count
        self.first += other.first[: _MOST - len(self.first)]

    def tell(self, tally: Tally, finding: str, text: str) -> None:
        """Count all of these towards a finding, with the same words for each place."""
        told = Tally()
        for file, line in self.first:
            told.add(finding, file, line, text)
        told.state(finding, self.count)
        tally.merge(told)
