"""Questions asked line by line, for simple terminals and screen readers.

questionary where the terminal can place a cursor; numbered lists and plain input where it cannot.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tui_ft.errors import EnvironmentProblem
from tui_ft.text import sanitize

if TYPE_CHECKING:
    import questionary


class Back(Exception):
    """Raised when the user asks for the step before."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One allowed answer."""

    value: str
    label: str
    help: str = ""


_BACK = Choice("<back>", "Go back")

Check = Callable[[str], str]
"""Returns "" when the text is fine, else what is wrong with it."""


def accept(text: str) -> str:
    """The check that takes anything."""
    del text
    return ""


class Asker(Protocol):
    """Something that can put questions to a person. Each raises Back, and KeyboardInterrupt on Ctrl-C."""

    def choose(self, question: str, choices: Sequence[Choice], default: str = "") -> str:
        """One of the values."""

    def several(self, question: str, choices: Sequence[Choice], default: Sequence[str] = ()) -> list[str]:
        """Any number of the values."""

    def text(self, question: str, default: str = "", check: Check = accept) -> str:
        """A line of text that passes the check."""


def asker() -> Asker:
    """The one that suits this terminal."""
    if os.environ.get("TERM", "dumb") == "dumb" or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return LineAsker()
    return QuestionaryAsker()


class LineAsker:
    """Numbered choices and `input`: works on a dumb terminal, through a pipe, with a screen reader."""

    def choose(self, question: str, choices: Sequence[Choice], default: str = "") -> str:
        print(f"\n{question}")
        _list(choices)
        suggested = _number_of(default, choices)
        while True:
            given = _line("Number, or b for back", suggested)
            if given.isdecimal() and 1 <= int(given) <= len(choices):
                return choices[int(given) - 1].value
            print(f"Please type a number from 1 to {len(choices)}.")

    def several(self, question: str, choices: Sequence[Choice], default: Sequence[str] = ()) -> list[str]:
        print(f"\n{question}")
        _list(choices)
        suggested = ",".join(filter(None, (_number_of(value, choices) for value in default)))
        while True:
            given = _line("Numbers with commas, or b for back", suggested)
            numbers = [part.strip() for part in given.split(",") if part.strip()]
            if all(part.isdecimal() and 1 <= int(part) <= len(choices) for part in numbers):
                return [choices[int(part) - 1].value for part in numbers]
            print(f"Please type numbers from 1 to {len(choices)}, for example 1,3.")

    def text(self, question: str, default: str = "", check: Check = accept) -> str:
        print()
        while True:
            given = _line(question, default)
            wrong = check(given)
            if not wrong:
                return given
            print(wrong)


class QuestionaryAsker:
    """Arrow keys and editing, through questionary."""

    def choose(self, question: str, choices: Sequence[Choice], default: str = "") -> str:
        import questionary

        options = [_questionary_choice(c) for c in [*choices, _BACK]]
        chosen = questionary.select(
            sanitize(question), options, default=default or None, instruction="(arrows, enter)"
        ).unsafe_ask()
        return _or_back(str(chosen))

    def several(self, question: str, choices: Sequence[Choice], default: Sequence[str] = ()) -> list[str]:
        import questionary

        options = [_questionary_choice(c, checked=c.value in default) for c in [*choices, _BACK]]
        chosen = questionary.checkbox(
            sanitize(question), options, instruction="(space marks, enter goes on)"
        ).unsafe_ask()
        return [_or_back(str(value)) for value in chosen]

    def text(self, question: str, default: str = "", check: Check = accept) -> str:
        import questionary

        def verdict(given: str) -> bool | str:
            return given == "b" or check(given) or True

        given = questionary.text(
            f"{sanitize(question)} (b for back):", default=default, validate=verdict
        ).unsafe_ask()
        return _or_back(_BACK.value if given == "b" else given.strip())


def _questionary_choice(choice: Choice, *, checked: bool = False) -> questionary.Choice:
    import questionary

    title = f"{choice.label}  {choice.help}" if choice.help else choice.label
    return questionary.Choice(sanitize(title), value=choice.value, checked=checked)


def _or_back(value: str) -> str:
    if value == _BACK.value:
        raise Back
    return value


def _list(choices: Sequence[Choice]) -> None:
    for number, choice in enumerate(choices, 1):
        print(f"  {number}  {sanitize(choice.label)}")
        if choice.help:
            print(f"     {sanitize(choice.help)}")


def _number_of(value: str, choices: Sequence[Choice]) -> str:
    return next((str(n) for n, choice in enumerate(choices, 1) if choice.value == value), "")


def _line(question: str, default: str) -> str:
    prompt = f"{question} [{default}]: " if default else f"{question}: "
    try:
        given = input(sanitize(prompt)).strip()
    except EOFError:
        raise EnvironmentProblem(
            "there is nobody to ask: the input has ended",
            fix="Use the commands instead; `tui-ft --help` lists them.",
        ) from None
    if given == "b":
        raise Back
    return given or default
