"""`tui-ft advise`: do I need fine-tuning at all?"""

from __future__ import annotations

import argparse
from pathlib import Path

from tui_ft.advice.command import answers_from_toml, questions_json, questions_text, verdict_text
from tui_ft.advice.verdict import decide
from tui_ft.commands.output import emit
from tui_ft.errors import ExitCode


def run(args: argparse.Namespace) -> ExitCode:
    """Ask, or read the answers, and give the verdict. Exit code 1 when it is not to fine-tune."""
    if args.questions:
        if args.json:
            emit(questions_json())
        else:
            print(questions_text(), end="")
        return ExitCode.DONE
    if args.answers:
        verdict = decide(answers_from_toml(Path(args.answers).expanduser()))
    else:
        from tui_ft.plain.steps import ask_advice

        verdict = ask_advice()[1]
    if args.json:
        emit(verdict.to_json())
    else:
        print(verdict_text(verdict), end="")
    return ExitCode.DONE if verdict.advises_training else ExitCode.ANSWER_IS_NO
