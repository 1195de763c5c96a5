"""Settling keys one by one: what the user pinned stays, the rest follows its rule; each with a reason."""

from __future__ import annotations

from typing import Any, TypeVar

from tui_ft.planning.choose import DEFAULTS, Choice
from tui_ft.planning.plan import Reason
from tui_ft.recipe import Recipe

Value = TypeVar("Value")


class Record:
    """The reasons of a plan, in the order in which its keys were settled."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._written = recipe.pinned
        self.reasons: list[Reason] = []
        self.warnings: list[str] = []

    def pinned(self, key: str) -> bool:
        """True when the user wrote a value of their own; `auto` leaves a key open."""
        return key in self._written and self.given(key) not in (None, "auto")

    def given(self, key: str) -> Any:
        """What the recipe holds for a dotted key."""
        section, leaf = key.split(".")
        return getattr(getattr(self._recipe, section), leaf)

    def settle(self, key: str, choice: Choice[Value]) -> Value:
        """The user's value, or the rule's; notes the reason either way."""
        if not self.pinned(key):
            self.note(key, choice)
            return choice.value
        value: Value = self.given(key)
        why = "your choice"
        if shown(value) != shown(choice.value):
            why += f"; otherwise {shown(choice.value)}: {choice.why}"
        self.reasons.append(Reason(key, shown(value), why, "recipe", pinned=True))
        return value

    def note(self, key: str, choice: Choice[Any]) -> None:
        """Keep the reason of a value that a rule or the search has found."""
        self.reasons.append(Reason(key, shown(choice.value), choice.why, choice.source))

    def keep(self, key: str) -> Any:
        """A setting whose default suits nearly every run, as the recipe has it."""
        value = self.given(key)
        if isinstance(value, list):
            value = tuple(value)
        why, source = DEFAULTS[key]
        choice = Choice(value, why, source)
        if self.pinned(key):
            self.reasons.append(Reason(key, shown(value), "your choice", "recipe", pinned=True))
        else:
            self.note(key, choice)
        return value

    def warn(self, text: str) -> None:
        """Something the user should read before starting."""
        self.warnings.append(text)


def shown(value: Any) -> str:
    """A value as a person writes it: `on`, `2e-04` as `2e-4`, `1,024`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        text = f"{value:.0e}" if 0 < value < 0.001 else f"{value:g}"
        return text.replace("e-0", "e-")
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value)
