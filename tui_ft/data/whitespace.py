"""Blanks and empty lines around answers."""

from __future__ import annotations

from tui_ft.data.places import Places
from tui_ft.data.rows import Row
from tui_ft.data.tally import Tally
from tui_ft.text import excerpt

# When this share of answers begins with one blank, that blank divides them from the prompt on purpose.
_CONVENTION = 0.5


class Whitespace:
    """Watches how answers begin and end."""

    def __init__(self) -> None:
        self._rows = 0
        self._one_blank = Places()
        self._around = Tally()

    def see(self, row: Row) -> None:
        """Look at the answer of a row."""
        if row.text is not None:
            return
        self._rows += 1
        answer = row.answer
        if answer[-1:].isspace() or (answer[:1].isspace() and (answer[0] != " " or answer[1:2].isspace())):
            ends = "begins" if answer[:1].isspace() else "ends"
            edge = answer[:40] if ends == "begins" else answer[-40:]
            self._around.add(
                "outer-whitespace", row.file, row.line, f"{ends} with white space: {excerpt(edge, 40)}"
            )
        elif answer[:1] == " ":
            self._one_blank.add(row.file, row.line)

    def merge(self, other: Whitespace) -> None:
        """Add what another saw in the rows after those seen here."""
        self._rows += other._rows
        self._one_blank.merge(other._one_blank)
        self._around.merge(other._around)

    def state(self, tally: Tally) -> None:
        """Rows that are not written as the others."""
        if self._around["outer-whitespace"]:
            tally.merge(self._around)
        if 0 < self._one_blank.count <= _CONVENTION * self._rows:
            self._one_blank.tell(tally, "outer-whitespace", "begins with a blank")
