"""Findings in the making: how often something was seen, and where first."""

from __future__ import annotations

from collections.abc import Collection

from tui_ft.data.catalog import CATALOG
from tui_ft.data.entry import Severity
from tui_ft.data.rows import Example, Finding
from tui_ft.text import excerpt

_EXAMPLES = 5
_WIDTH = 110
_ORDER = {"error": 0, "warning": 1, "info": 2}


class Tally:
    """Counts per finding id, with the first few places."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[Example]] = {}
        self._changes: dict[str, dict[str, str]] = {}

    def __getitem__(self, finding: str) -> int:
        return self._counts.get(finding, 0)

    def add(
        self,
        finding: str,
        file: str,
        line: int,
        text: str = "",
        *,
        field: str = "",
        offset: int | None = None,
    ) -> None:
        """One more place. `text` is what was seen there; it is made harmless and cut if it is shown."""
        self._counts[finding] = self[finding] + 1
        examples = self._examples.setdefault(finding, [])
        if len(examples) < _EXAMPLES:
            seen = excerpt(text, _WIDTH)
            examples.append(Example(file, line, seen, excerpt(field, 40), offset))

    def merge(self, other: Tally) -> None:
        """Add what another tally counted in the rows after those counted here."""
        for finding, number in other._counts.items():
            self._counts[finding] = self[finding] + number
            examples = self._examples.setdefault(finding, [])
            examples += other._examples.get(finding, [])[: _EXAMPLES - len(examples)]

    def take(self, finding: str, other: Tally) -> None:
        """Count what another tally has counted for this finding."""
        self._counts[finding] = other[finding]
        self._examples[finding] = other._examples.get(finding, [])

    def state(
        self, finding: str, number: int, *, what: str = "", severity: Severity | None = None, fix: str = ""
    ) -> None:
        """A finding about the whole: sets its count and, where given, adds words and sets the severity."""
        self._counts[finding] = number
        known = self._changes.get(finding, {})
        told = " ".join(filter(None, (known.get("what"), what)))
        given = {"what": told, "severity": severity or "", "fix": fix}
        self._changes[finding] = {key: value for key, value in given.items() if value}

    def findings(self, ignored: Collection[str]) -> tuple[Finding, ...]:
        """All findings, the worst first."""
        found = [self._finding(finding, ignored) for finding in self._counts]
        return tuple(sorted(found, key=lambda f: (f.ignored, _ORDER[f.severity], -f.count, f.id)))

    def _finding(self, finding: str, ignored: Collection[str]) -> Finding:
        entry, number = CATALOG[finding], self._counts[finding]
        changes = self._changes.get(finding, {})
        severity: Severity = next((s for s in _SEVERITIES if s == changes.get("severity")), entry.severity)
        return Finding(
            id=finding,
            severity=severity,
            count=number,
            what=changes.get("what") or entry.sentence(number),
            why=entry.why,
            fix=changes.get("fix") or entry.fix,
            examples=tuple(self._examples.get(finding, ())),
            ignored=finding in ignored,
        )


_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
