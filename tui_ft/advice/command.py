"""What `tui-ft advise` prints and reads. No output happens here; the command line does that."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tui_ft.advice.questions import QUESTIONS, Answers, parse_answers
from tui_ft.advice.verdict import Verdict
from tui_ft.errors import InputError


def questions_json() -> dict[str, Any]:
    """Every question with its id, words and allowed answers, for `--questions --json`."""
    return {
        "questions": [
            {
                "id": question.id,
                "text": question.text,
                "help": question.help,
                "example": question.example,
                "choose": "any" if question.many else "one",
                "answers": [{"value": option.value, "label": option.label} for option in question.options],
            }
            for question in QUESTIONS
        ]
    }


def questions_text() -> str:
    """The questions as a TOML file to fill in: every answer stands there as a comment."""
    blocks = []
    for question in QUESTIONS:
        width = max(len(option.value) for option in question.options)
        lines = [f"# {question.text}", f"# {question.help}"]
        lines += [f"#   {option.value:<{width}}  {option.label}" for option in question.options]
        lines.append(f"# {question.id} = " + ("[]  # any of them" if question.many else '""  # one of them'))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def answers_from_toml(path: Path) -> Answers:
    """Answers from a TOML file, on the top level or in an `[answers]` table.

    Raises InputError when the file cannot be read, or naming every question and value it doesn't know.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            f"there is no file {path}", fix="`tui-ft advise --questions` prints one to fill in."
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            "not a text file in UTF-8", where=str(path), fix="Answers are a TOML file."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"not valid TOML: {error}", where=str(path), fix='Answers need quotes, such as gap = "form".'
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    table = document.get("answers")
    if isinstance(table, dict):
        document = {**{key: value for key, value in document.items() if key != "answers"}, **table}
    return parse_answers(document, source=str(path))


def verdict_text(verdict: Verdict) -> str:
    """The whole verdict as plain text, for the command line and screen readers."""
    blocks = [f"{verdict.verdict}\n{verdict.headline}"]
    sections: tuple[tuple[str, Iterable[object]], ...] = (
        ("Why", verdict.reasons),
        ("What speaks against it", verdict.against),
        ("Answers that don't go together", verdict.contradictions),
        ("What would change it", verdict.would_change),
        ("Tried", verdict.tried),
        ("Not tried", verdict.not_tried),
        ("What to do tomorrow", verdict.next_steps),
        ("Not answered", verdict.unanswered),
    )
    blocks += ["\n".join([title, *(f"  - {line}" for line in lines)]) for title, lines in sections if lines]
    return "\n\n".join(blocks) + "\n"
