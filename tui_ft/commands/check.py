"""`tui-ft check DATA`: what is in the data, what is wrong with it, and a fixed copy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tui_ft.commands.output import emit, lines
from tui_ft.data.check import check, exit_code, to_json
from tui_ft.data.describe import report_lines, verdict
from tui_ft.data.describe_fixes import fix_lines, offer_detail
from tui_ft.data.fix import apply_fixes, plan_fixes
from tui_ft.data.fixes import FixReport, Offer, accepted_fixes, offer_json, offered
from tui_ft.data.rows import DatasetReport
from tui_ft.errors import ExitCode, InputError
from tui_ft.models.resolve import resolve
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data, parse, value_from_text


def run(args: argparse.Namespace) -> ExitCode:
    """Read everything and report. Exit code 1 when findings block, 2 when a file cannot be read.

    With --fix the report, and the exit code, are those of the fixed copy.
    """
    if not args.fix and (args.yes or args.force):
        raise InputError("--yes and --force belong to --fix", fix="Add --fix OUT.jsonl.")
    data = _data(args.data, args.set)
    tokenizer = None
    if args.model:
        facts = resolve(args.model, home=args.home)
        tokenizer = ChatTokenizer.load(facts.folder) if facts.folder else None
    if args.fix:
        return _fix(args, data, tokenizer)
    report = check(data, base=Path.cwd(), tokenizer=tokenizer, seq_len=args.seq)
    if args.json:
        emit({**to_json(report), "fixes": [offer_json(offer) for offer in offered(report)]})
    else:
        lines(report_lines(report))
    return exit_code(report)


def _fix(args: argparse.Namespace, data: Data, tokenizer: ChatTokenizer | None) -> ExitCode:
    out, base = Path(args.fix).expanduser(), Path.cwd()
    yes = [fix for given in args.yes for fix in given.split(",") if fix]
    accepted_fixes(yes)
    if not yes and not args.json and sys.stdin.isatty() and sys.stdout.isatty():
        planned = plan_fixes(data, base=base, tokenizer=tokenizer, seq_len=args.seq)
        yes = list(_asked(planned.waiting))
    fixed = apply_fixes(
        data, out, base=base, yes=yes, force=args.force, tokenizer=tokenizer, seq_len=args.seq
    )
    left = None
    if fixed.kept:
        own = {"path": str(out.absolute())}
        left = check(data.model_copy(update=own), base=base, tokenizer=tokenizer, seq_len=args.seq)
    if args.json:
        emit(_fixed_json(fixed, left))
    else:
        told = f"What is left: {verdict(left)}" if left else "Nothing is left of these data."
        lines([*fix_lines(fixed), "", told])
    return exit_code(left) if left else ExitCode.ANSWER_IS_NO


def _asked(offers: Iterable[Offer]) -> Iterable[str]:
    """The fixes that the person at the terminal wants."""
    for offer in offers:
        lines(["", *offer_detail(offer)])
        try:
            answer = input("Do this? [y/N] ")
        except EOFError:
            return
        if answer.strip().casefold() in ("y", "yes"):
            yield offer.id


def _fixed_json(fixed: FixReport, left: DatasetReport | None) -> Mapping[str, Any]:
    nothing = {"rows": 0, "usable_rows": 0, "shape": "unknown", "blocked": True, "findings": []}
    return {
        **(to_json(left) if left else nothing),
        "fixed": {
            "path": str(fixed.out),
            "log": str(fixed.log),
            "rows": fixed.rows,
            "kept": fixed.kept,
            "changed": fixed.changed,
            "dropped": fixed.dropped,
        },
        "fixes": [offer_json(offer) for offer in fixed.offers],
    }


def _data(paths: list[str], changes: list[str]) -> Data:
    """The [data] of a recipe for these paths, with keys changed on the command line."""
    section: dict[str, Any] = {"path": paths}
    for change in changes:
        key, _, text = change.partition("=")
        if not key.startswith("data.") or key == "data.path":
            raise InputError(
                "a check takes keys of [data] only", where=f"--set {key}", fix="E.g. --set data.seed=7."
            )
        section[key.removeprefix("data.")] = value_from_text(key, text)
    written = {key: value for key, value in section.items() if value is not None}
    return parse({"model": {"id": "any"}, "data": written}, source="--set").data
