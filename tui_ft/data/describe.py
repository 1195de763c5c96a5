"""A dataset report in words. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from tui_ft.data.describe_fixes import offer_lines
from tui_ft.data.rows import DatasetReport, Finding, Lengths
from tui_ft.data.split import SIDES
from tui_ft.text import count, excerpt

_MARKS = {"error": "blocks", "warning": "look at", "info": "note"}
_WIDTH = 79
_MOST_LABELS = 12


def report_lines(report: DatasetReport) -> list[str]:
    """What the command line and plain mode print, most urgent finding first."""
    order = {"error": 0, "warning": 1, "info": 2}
    lines = [*textwrap.wrap(verdict(report), _WIDTH), ""]
    lines += _rows("findings", severities(report))
    lines += _rows("rows", _counts(report))
    lines += _rows("columns", _mapping(report))
    lines += _preview(report)
    lines += _rows("split", _split(report))
    lines += _labels(report)
    lines += _rows("answers", _answers(report))
    lines += _rows("tokens", _lengths(report.lengths))
    for finding in sorted(report.findings, key=lambda found: (found.ignored, order[found.severity])):
        lines += ["", *_finding(finding)]
    if fixes := offer_lines(report):
        lines += ["", *fixes]
    return lines


def verdict(report: DatasetReport) -> str:
    """The report in one sentence."""
    usable = count(report.usable_rows, "usable row")
    blocking = sum(finding.blocks for finding in report.findings)
    if blocking:
        return f"{usable}; {count(blocking, 'finding')} must be mended or accepted before training."
    remarks = sum(finding.severity == "warning" for finding in report.findings)
    if remarks:
        return f"{usable}; nothing blocks, {count(remarks, 'finding')} worth a look."
    return f"{usable}; nothing is wrong with them."


def severities(report: DatasetReport) -> str:
    """How many findings there are of each severity."""
    found = [finding.severity for finding in report.findings if not finding.ignored]
    said = [
        count(found.count(severity), name, many)
        for severity, name, many in (("error", "blocks", "block"), ("warning", "to look at", "to look at"))
        if severity in found
    ]
    if notes := found.count("info"):
        said.append(count(notes, "note"))
    if accepted := len(report.findings) - len(found):
        said.append(f"{accepted:,} accepted")
    return ", ".join(said) or "none"


def _counts(report: DatasetReport) -> str:
    lost = report.rows - report.usable_rows
    unusable = f", {count(lost, 'row')} cannot be used" if lost else ""
    answers = _ANSWERS[report.answers_look_like]
    return f"{report.rows:,}{unusable}; shape {report.mapping.shape}; answers look like {answers}"


_ANSWERS = {
    "json": "JSON",
    "label": "labels",
    "short": "short text",
    "long": "long text",
    "none": "nothing: there are none",
}


def _mapping(report: DatasetReport) -> str:
    parts = ", ".join(f"{part} = {excerpt(column, 30)}" for part, column in report.mapping.columns.items())
    if not parts:
        return "none is known; one row has" if report.mapping.preview else "none"
    return parts if report.mapping.confident else f"{parts} (guessed from the names: please check)"


def _preview(report: DatasetReport) -> Iterator[str]:
    """What one row has in each part, where the mapping is a guess or there is none."""
    if report.mapping.confident:
        return
    for part, seen in report.mapping.preview.items():
        yield f"{'':9}{excerpt(part, 20)}: {excerpt(seen, 48)}"


def _split(report: DatasetReport) -> str:
    sizes = report.sizes
    return f"train {sizes.train:,}, validation {sizes.validation:,}, test {sizes.test:,}"


def _labels(report: DatasetReport) -> Iterator[str]:
    """How many rows of each label are on each side, the commonest labels first."""
    ordered = sorted(report.labels.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    for label, sides in ordered[:_MOST_LABELS]:
        shown = excerpt(label, 30) or "(no label)"
        yield from _rows("", f"{shown}: " + ", ".join(f"{side} {sides[side]:,}" for side in SIDES))
    if len(ordered) > _MOST_LABELS:
        yield from _rows("", f"and {count(len(ordered) - _MOST_LABELS, 'label')} more")


def _answers(report: DatasetReport) -> str:
    """The labels with their rows, or the fields of JSON answers with the rows that have them."""
    said = [f"{excerpt(label, 30)} {number:,}" for label, number in report.answer_labels.items()]
    for path, field in (report.schema or {}).get("fields", {}).items():
        whole = "" if field["rows"] == field["of"] else f" of {field['of']:,}"
        said.append(f"{excerpt(path, 30)} {field['rows']:,}{whole}")
    more = f", and {len(said) - _MOST_LABELS:,} more" if len(said) > _MOST_LABELS else ""
    return ", ".join(said[:_MOST_LABELS]) + more


def _lengths(lengths: Lengths | None) -> str:
    if lengths is None:
        return "unknown without a model; --model M counts them as M does"
    share = lengths.answer_tokens / max(1, lengths.total_tokens)
    middle, most = lengths.percentile(0.5), lengths.percentile(0.99)
    return (
        f"{lengths.total_tokens:,} in all, {share:.0%} learned; a row has {middle:,} (middle), "
        f"{most:,} (99 %), {max(lengths.lengths, default=0):,} (longest)"
    )


def _rows(name: str, value: str) -> Iterator[str]:
    yield from textwrap.wrap(value, _WIDTH, initial_indent=f"{name:9}", subsequent_indent=" " * 9)


def _finding(finding: Finding) -> Iterator[str]:
    mark = "accepted" if finding.ignored else _MARKS[finding.severity]
    yield from _rows(mark, finding.what)
    for example in finding.examples[:3]:
        shown = f"  {excerpt(example.excerpt, 48)}" if example.excerpt else ""
        yield f"{'':9}{excerpt(example.file, 40)}:{example.line}{shown}"
    for text in filter(None, (finding.why, finding.fix, f"id: {finding.id}")):
        yield from _rows("", text)
