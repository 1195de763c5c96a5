"""Asking for the value of any option of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from textual.content import Content

from . import plan_text
from .ink import MUTED, columns, ink
from .widgets.choice import Item

if TYPE_CHECKING:
    from .shell import TuiFt

_HIDDEN = ("decision.", "track.")  # not for this page: the checklist's record, and what needs accounts
_UNPINNED = "<derive>"


async def choose_option(shell: TuiFt, shown: dict[str, str]) -> str | None:
    """The key of any option; `shown` are values of the plan by key."""
    from tui_ft.recipe import options

    from .dialogs import Select

    found = [
        (key, option)
        for key, option in options()
        if "." in key and not key.startswith(_HIDDEN) and key not in ("model.id", "data.path")
    ]
    cells: list[list[Content | str]] = []
    for key, option in found:
        given = shell.draft.value(key)
        value = shown.get(key, str(option.default if given is None else given))
        cells.append([ink(key), ink(value[:16]), ink(option.description or "", MUTED)])
    lines = columns(cells, gap=2)
    items = [Item(key, line) for (key, _), line in zip(found, lines, strict=True)]
    return await shell.push_screen_wait(Select("All options", items, marks=False, wide=True))


async def ask_value(
    shell: TuiFt, key: str, shown: str, attempt: Callable[[str, Any], object]
) -> dict[str, Any] | None:
    """The change of the recipe a person wants for a key; None for none.

    `attempt` raises InputError for a value that cannot be.
    """
    from tui_ft.recipe import options, value_from_text

    from .dialogs import Ask, Select

    option = dict(options())[key]
    given = shell.draft.value(key)
    extra = option.json_schema_extra
    cost = extra.get("cost", "") if isinstance(extra, dict) else ""
    about = "\n".join(filter(None, [option.description, f"Cost: {cost}." if cost else ""]))
    named = _named_values(option.annotation)
    if named:
        items = [Item(value, value) for value in named]
        items.append(Item(_UNPINNED, ink("let the plan decide", MUTED)))
        current = str(given).lower() if given is not None else _UNPINNED
        answer = await shell.push_screen_wait(Select(key, items, text=about, current=current))
        value = None if answer == _UNPINNED else _typed(answer, named)
    else:
        answer = await shell.push_screen_wait(
            Ask(
                key,
                value="" if given is None else _text(given),
                help=f"{about}\nNow: {shown or _text(given if given is not None else option.default)}."
                " Empty: let the plan decide.",
                check=lambda text: attempt(key, value_from_text(key, text)),
            )
        )
        value = None if answer is None else value_from_text(key, answer)
    return None if answer is None else {key: value}


def _named_values(annotation: Any) -> list[str]:
    """The words an option may be, for those that are a list of words or yes/no; else empty."""
    members = [annotation, *get_args(annotation)]
    if bool in members:
        return ["true", "false"]
    words = [value for member in members for value in get_args(member) if isinstance(value, str)]
    words += [value for value in get_args(annotation) if isinstance(value, str)]
    plain = {int, float, str, list} & {getattr(m, "__origin__", m) for m in members}
    return list(dict.fromkeys(words)) if words and not plain else []


def _typed(answer: str | None, named: list[str]) -> Any:
    if named == ["true", "false"]:
        return answer == "true"
    return answer


def _text(value: Any) -> str:
    if isinstance(value, float):
        return plan_text.short_number(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return "" if value is None else str(value)
