"""System prompts: whether all rows have the same one."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from tui_ft.data.places import Places
from tui_ft.data.rows import Row
from tui_ft.data.tally import Tally
from tui_ft.text import count, excerpt

# With more than these the prompt is part of the task, different from row to row on purpose.
_MOST = 20
_ALIKE = 0.9
_COMPARED = 2000
# Up to this share of rows without a system prompt they are the exception.
_EXCEPTION = 0.2


class SystemPrompts:
    """Counts system prompts."""

    def __init__(self) -> None:
        self._prompts: dict[str, Places] = {}
        self._without = Places()
        self._too_many = False

    def see(self, row: Row) -> None:
        """Take in the system prompt of a conversation."""
        if not row.messages:
            return
        if row.messages[0]["role"] != "system":
            self._without.add(row.file, row.line)
        elif not self._too_many:
            prompt = row.messages[0]["content"]
            places = self._prompts.get(prompt)
            if places is None:
                self._too_many = len(self._prompts) >= _MOST
                places = self._prompts[prompt] = Places()
            places.add(row.file, row.line)

    def merge(self, other: SystemPrompts) -> None:
        """Add what another saw in the rows after those seen here."""
        self._without.merge(other._without)
        for prompt, places in other._prompts.items():
            self._prompts.setdefault(prompt, Places()).merge(places)
        self._too_many |= other._too_many or len(self._prompts) > _MOST

    def state(self, tally: Tally) -> None:
        """Rows whose system prompt is nearly the usual one, or missing where most have one."""
        if self._too_many or not self._prompts:
            return
        ranked = sorted(self._prompts.items(), key=lambda item: (-item[1].count, item[0]))
        for number, (prompt, places) in enumerate(ranked):
            usual = next((other for other, _ in ranked[:number] if _nearly_equal(prompt, other)), None)
            if usual is not None:
                places.tell(tally, "system-drift", _difference(prompt, usual))
        rows = self._without.count + sum(places.count for places in self._prompts.values())
        if 0 < self._without.count <= _EXCEPTION * rows:
            having = rows - self._without.count
            self._without.tell(tally, "system-missing", f"{count(having, 'other row')} with one")


def _nearly_equal(one: str, other: str) -> bool:
    one, other = one[:_COMPARED], other[:_COMPARED]
    # Prompts that differ in a date or a number only are filled in from one form.
    if re.sub(r"\d+", "0", one) == re.sub(r"\d+", "0", other):
        return False
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return (
        matcher.real_quick_ratio() >= _ALIKE and matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE
    )


def _difference(prompt: str, usual: str) -> str:
    """The first place where two texts part, e.g. `…you are an helpful…, usually …you are a helpful…`."""
    at = next(
        (i for i, (a, b) in enumerate(zip(prompt, usual, strict=False)) if a != b),
        min(len(prompt), len(usual)),
    )
    start = max(0, at - 15)
    said, meant = repr(excerpt(prompt[start : at + 25], 45)), repr(excerpt(usual[start : at + 25], 45))
    return (
        f"{said}, usually {meant}"
        if said != meant
        else "differs in blanks, line ends or invisible characters"
    )
