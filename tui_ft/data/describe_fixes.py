"""Fixes in words: what was done, what waits for a yes, and what there is to do. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePath

from tui_ft.data.fixes import Diff, FixReport, Offer, offered
from tui_ft.data.rows import DatasetReport
from tui_ft.text import count, excerpt

_INDENT = " " * 9


def offer_lines(report: DatasetReport) -> list[str]:
    """After a check: how many fixes there are, and the command that applies them."""
    offers = offered(report)
    safe = [offer for offer in offers if offer.safe]
    yes = [offer for offer in offers if not offer.safe]
    lines = []
    if safe:
        be = "fix is" if len(safe) == 1 else "fixes are"
        lines += [
            f"{len(safe)} {be} safe:  {_command(report)}",
            *(f"{_INDENT}{offer.does}" for offer in safe),
        ]
    if yes:
        need = "fix needs" if len(yes) == 1 else "fixes need"
        ids = ",".join(offer.id for offer in yes)
        lines += [f"{len(yes)} {need} a yes:  {_command(report)} --yes {ids}"]
        lines += [f"{_INDENT}{offer.does}" for offer in yes]
    return lines


def fix_lines(report: FixReport) -> list[str]:
    """After fixing: the copy and its log, what was done with examples, and what waits for a yes."""
    lines = []
    if report.out is not None and report.log is not None:
        lines.append(
            f"Wrote {excerpt(str(report.out), 200)}: {count(report.kept, 'row')}, {report.changed:,} of them "
            f"changed; {report.dropped:,} dropped. The data are as they were."
        )
        lines.append(f"Every change is in {excerpt(str(report.log), 200)}")
    if not report.offers:
        lines.append("There was nothing to fix.")
    for offer in report.offers:
        lines += ["", *offer_detail(offer)]
    return lines


def offer_detail(offer: Offer) -> Iterator[str]:
    """One fix with its examples."""
    yield f"{'done' if offer.applied else 'waits':9}{offer.does}"
    for example in offer.examples:
        yield from _example(example)
    if not offer.applied:
        yield f"{_INDENT}To do it: --yes {offer.id}"


def _example(example: Diff) -> Iterator[str]:
    field = f"  {excerpt(example.field, 40)}" if example.field else ""
    yield f"{_INDENT}{excerpt(example.file, 40)}:{example.line}{field}"
    if example.before:
        yield f"{_INDENT}- {example.before}"
    if example.after is not None:
        yield f"{_INDENT}+ {example.after}"


def _command(report: DatasetReport) -> str:
    if len(report.paths) != 1:
        return "tui-ft check DATA --fix OUT.jsonl"
    path = PurePath(report.paths[0])
    out = path.with_name(f"{path.name.split('.')[0] or 'data'}.fixed.jsonl")
    return f"tui-ft check {shlex.quote(excerpt(str(path), 200))} --fix {shlex.quote(excerpt(str(out), 200))}"
