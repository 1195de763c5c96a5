"""The kinds of fixes, what each does, and what a plan or a run of them found. Ids are those of findings.

A fix is safe when it loses nothing that could be meant: only what cannot be learned from, what is there
twice, or how a text is written. All others wait for a yes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tui_ft.data.rows import DatasetReport, Finding
from tui_ft.errors import InputError, Problem
from tui_ft.text import count, nearest, sanitize

_EXAMPLES = 3
_WIDTH = 60
_LEAD = 20


@dataclass(frozen=True, slots=True)
class Fix:
    """A kind of fix. `does` is an instruction in which {rows} stands for e.g. "3 rows".

    `hides`: examples must not show what it takes away.
    """

    id: str
    safe: bool
    does: str
    hides: bool = False

    def sentence(self, number: int) -> str:
        """What it does to this many rows, or files."""
        return self.does.format(rows=count(number, "row"), files=count(number, "file"))


FIXES: Final[Mapping[str, Fix]] = {
    fix.id: fix
    for fix in (
        Fix("other-encoding", True, "Write {files} as UTF-8."),
        Fix("byte-order-mark", True, "Remove the byte order mark of {files}."),
        Fix("unparseable", True, "Drop {rows} that cannot be read."),
        Fix("duplicate-keys", True, "Drop {rows}: one name has two values."),
        Fix("empty-answer", True, "Drop {rows} with an empty answer."),
        Fix("mojibake", True, "Mend wrongly decoded letters in {rows}."),
        Fix("control-characters", True, "Remove control characters from {rows}."),
        Fix("invisible-characters", True, "Remove invisible characters from {rows}."),
        Fix("html-remnants", True, "Write HTML entities in {rows} as the characters they stand for."),
        Fix("outer-whitespace", True, "Remove blank lines before texts and blanks after them in {rows}."),
        Fix("roles", True, "Rename roles in {rows} to system, user, assistant and tool."),
        Fix("duplicates", True, "Drop {rows}: exact repeats of an earlier row."),
        Fix("guessed-encoding", False, "Write {files} as UTF-8, read by a guess of the encoding."),
        Fix("secrets", False, "Replace access keys in {rows} with a placeholder.", hides=True),
        Fix("personal-data", False, "Replace personal data in {rows} with a placeholder.", hides=True),
        Fix("role-order", False, "Join turns of one role that follow each other in {rows}."),
        Fix("unusable", False, "Drop {rows} that cannot be learned from for another reason."),
        Fix("leakage", False, "Drop {rows}: held out for validation or test as well."),
        Fix("refusals", False, "Drop {rows}: the answer declines to answer."),
        Fix("answer-cut", False, "Drop {rows} that the length limit would cut."),
        Fix("conflicting-answers", False, "Drop {rows}: an earlier row answers the question otherwise."),
        Fix("copies", False, "Drop {rows}: repeats but for case, spacing and punctuation."),
        Fix("near-duplicates", False, "Drop {rows}: nearly an earlier row."),
    )
}


# Findings whose fix has another name: rows that are left out of training anyway, and lengths.
_FIX_OF: Final[Mapping[str, str]] = {
    "prompt-too-long": "answer-cut",
    **dict.fromkeys(
        ["mixed-shapes", "missing-field", "empty-prompt", "not-text", "broken-unicode", "unknown-role"]
        + ["no-answer", "answer-not-last", "bad-tool-call", "same-pair", "bad-label"],
        "unusable",
    ),
}


@dataclass(frozen=True, slots=True)
class Diff:
    """What a fix does in one place. Sanitised: invisible characters are written as escapes.

    `after` is None for a row that is dropped.
    """

    file: str
    line: int
    field: str
    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A fix for these data: `count` rows (or files), and whether it was, or would be, applied."""

    id: str
    safe: bool
    count: int
    applied: bool
    does: str
    examples: tuple[Diff, ...] = ()


@dataclass(frozen=True, slots=True)
class FixReport:
    """What fixes do to a dataset. `out` and `log` are None for a plan, which writes nothing."""

    rows: int
    kept: int
    changed: int
    dropped: int
    offers: tuple[Offer, ...]
    out: Path | None = None
    log: Path | None = None

    @property
    def waiting(self) -> tuple[Offer, ...]:
        """Fixes that were not applied because they need a yes."""
        return tuple(offer for offer in self.offers if not offer.applied)


class Counts:
    """How many rows each fix touches, with the first few places."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[Diff]] = {}

    def add(self, fix: str, file: str, line: int, field: str, before: str, after: str | None) -> None:
        """One more row."""
        self._counts[fix] = self._counts.get(fix, 0) + 1
        examples = self._examples.setdefault(fix, [])
        if len(examples) < _EXAMPLES:
            shown = diff(before, after, hides=FIXES[fix].hides)
            examples.append(Diff(file, line, field, *shown))

    def offers(self, accepted: Collection[str]) -> tuple[Offer, ...]:
        """All that was found, safe fixes first."""
        return tuple(
            Offer(
                fix.id, fix.safe, number, fix.id in accepted, fix.sentence(number),
                tuple(self._examples[fix.id]),
            )
            for fix in FIXES.values()
            if (number := self._counts.get(fix.id, 0))
        )  # fmt: skip


def accepted_fixes(said_yes: Iterable[str], ignored: Collection[str] = ()) -> frozenset[str]:
    """The fixes to apply: the safe ones, but for findings accepted as they are, and those with a yes.

    "all" says yes to every one. Raises InputError for ids that are no fix.
    """
    yes = list(said_yes)
    problems = [
        Problem(
            f"there is no fix {unknown!r}",
            "--yes",
            f"Did you mean {close[0]}?"
            if (close := nearest(unknown, FIXES))
            else f"Fixes that need a yes: {', '.join(fix.id for fix in FIXES.values() if not fix.safe)}.",
        )
        for unknown in yes
        if unknown not in FIXES and unknown != "all"
    ]
    if problems:
        raise InputError(problems)
    safe = {fix.id for fix in FIXES.values() if fix.safe and fix.id not in ignored}
    return frozenset(FIXES) if "all" in yes else frozenset(safe | set(yes))


def offered(report: DatasetReport) -> tuple[Offer, ...]:
    """The fixes there are for the findings of a check, without examples."""
    counts: dict[str, int] = {}
    for finding in report.findings:
        fix = _FIX_OF.get(finding.id, finding.id)
        if fix in FIXES and not finding.ignored and _curable(finding):
            counts[fix] = counts.get(fix, 0) + finding.count
    return tuple(
        Offer(fix.id, fix.safe, counts[fix.id], False, fix.sentence(counts[fix.id]))
        for fix in FIXES.values()
        if fix.id in counts
    )


def _curable(finding: Finding) -> bool:
    """False for remnants of HTML that are tags only: what to put in their place is for a person to say."""
    return finding.id != "html-remnants" or any("&" in example.excerpt for example in finding.examples)


def offer_json(offer: Offer) -> dict[str, Any]:
    """An offer as `tui-ft check --json` prints it."""
    return {
        "id": offer.id,
        "safe": offer.safe,
        "count": offer.count,
        "applied": offer.applied,
        "does": offer.does,
        "examples": [
            {"file": d.file, "line": d.line, "field": d.field, "before": d.before, "after": d.after}
            for d in offer.examples
        ],
    }


def diff(before: str, after: str | None, *, hides: bool = False) -> tuple[str, str | None]:
    """Both texts around the first place where they differ, safe to show."""
    if after is None:
        return visible(before[:_WIDTH]), None
    at = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
        min(len(before), len(after)),
    )
    begin = max(0, at - _LEAD)
    if hides:
        # A key is told by its beginning; the rest of the text may hold the next one.
        return f"{visible(before[begin : at + 4])}…", visible(after[begin : begin + _WIDTH])
    return visible(before[begin : begin + _WIDTH]), visible(after[begin : begin + _WIDTH])


def visible(text: str) -> str:
    """The text with what cannot be seen, or would move the cursor, written as an escape such as \\x1b."""
    return sanitize("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))
