"""What is known of one kind of finding."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tui_ft.text import count

Severity = Literal["info", "warning", "error"]

_FORMS = re.compile(r"(\w+)\|(\w+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A kind of finding.

    `what` is one sentence; {rows} stands for e.g. "3 rows", `have|has` for the form that fits the number.
    `example` is for the docs.
    """

    id: str
    severity: Severity
    what: str
    why: str
    fix: str
    example: str

    def sentence(self, number: int) -> str:
        """What was found, for this many rows."""
        fitting = _FORMS.sub(lambda forms: forms[2] if number == 1 else forms[1], self.what)
        return fitting.format(rows=count(number, "row"))
