"""Writes docs/recipe.md from the declarations of the recipe.

python docs/reference.py
"""

from __future__ import annotations

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tui_ft.recipe import Recipe

TARGET = Path(__file__).with_name("recipe.md")

_HEAD = """\
# The recipe

A recipe is a TOML file: everything a run needs, to keep, edit, share and run again. Only `id` in `[model]`
and `path` in `[data]` are required. What is left out is filled in from the box and the data, and the plan
says why; what is written is kept. Paths are relative to the recipe. An unknown key is an error that names
the nearest known one. `tui-ft recipe new` asks for the values, `tui-ft recipe check FILE` looks for mistakes.

This page is drawn from `tui_ft/recipe.py`: `make docs`.
"""


def reference() -> str:
    """docs/recipe.md: one table per section, one line per option."""
    parts = [_HEAD]
    top = {name: field for name, field in Recipe.model_fields.items() if not _is_section(field.annotation)}
    parts.append(_table(top))
    for name, field in Recipe.model_fields.items():
        if _is_section(field.annotation):
            section = field.annotation
            assert isinstance(section, type)
            options = {option.alias or key: option for key, option in section.model_fields.items()}
            parts.append(f"## [{name}]\n\n{section.__doc__}\n\n{_table(options)}")
    return "\n".join(parts)


def _table(options: dict[str, FieldInfo]) -> str:
    lines = ["| key | value | if left out | what it does |", "|---|---|---|---|"]
    for key, option in options.items():
        extra = option.json_schema_extra
        cost = f" Cost: {extra['cost']}." if isinstance(extra, dict) and extra.get("cost") else ""
        cells = (f"`{key}`", _kind(option), _default(option), f"{option.description or ''}{cost}")
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _kind(option: FieldInfo) -> str:
    bounds = [_bound(constraint) for constraint in option.metadata]
    return ", ".join([_words(option.annotation), *filter(None, bounds)])


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_words(member) for member in arguments if member is not NoneType)
    if origin is Annotated:
        constraints = [constraint for field in arguments[1:] for constraint in field.metadata]
        return " ".join([_words(arguments[0]), *filter(None, map(_bound, constraints))])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return "table"
    plain = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return plain[annotation]


def _bound(constraint: Any) -> str:
    for name, words in (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below")):
        value = getattr(constraint, name, None)
        if value is not None:
            return f"{words} {value:,}"
    return ""


def _default(option: FieldInfo) -> str:
    if option.is_required() or option.default is PydanticUndefined:
        return "required"
    if option.default is None:
        return "the plan decides"
    if option.default in ("", [], {}):
        return "none"
    value = option.default if isinstance(option.default, str) else json.dumps(option.default)
    return f"`{value}`"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
