"""`tui-ft advise`: do I need fine-tuning at all?"""

from __future__ import annotations

import argparse
from pathlib import Path

from tui_ft.advice.command import answers_from_toml, questions_json
from tui_ft.advice.verdict import decide
from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode


def run(args: argparse.Namespace) -> ExitCode:
    """Ask, or read the answers, and give the verdict. Exit code 1 when it is not to fine-tune."""
    if args.questions:
        return _questions(args)
    if args.answers:
        verdict = decide(answers_from_toml(Path(args.answers).expanduser()))
    else:
        from tui_ft.plain.steps import ask_advice

        verdict = ask_advice()[1]
    if args.json:
        emit(verdict.to_json())
    else:
        lines(describe(verdict))
    return ExitCode.DONE if verdict.trains else ExitCode.ANSWER_IS_NO


def _questions(args: argparse.Namespace) -> ExitCode:
    document = questions_json()
    if args.json:
        emit(document)
    else:
        for question in document["questions"]:
            lines([f"{question['id']}: {question['text']}"])
            lines(f"    {option['value']:16} {option['label']}" for option in question["options"])
    return ExitCode.DONE
