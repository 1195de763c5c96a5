"""`tui-ft recipe list|show|new|check|schema`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tui_ft import recipe as recipes
from tui_ft.commands.output import emit, lines, table
from tui_ft.errors import ExitCode, InputError
from tui_ft.files import write_atomically
from tui_ft.pipeline import open_recipe
from tui_ft.starter_recipes import available
from tui_ft.text import nearest


def run(args: argparse.Namespace) -> ExitCode:
    """Do what the sub-command says."""
    actions = {"list": _list, "show": _show, "new": _new, "check": _check, "schema": _schema}
    actions[args.action](args)
    return ExitCode.DONE


def _list(args: argparse.Namespace) -> None:
    starters = available()
    if args.json:
        emit({"recipes": [{"name": s.name, "title": s.title, "path": str(s.path)} for s in starters]})
        return
    lines(table([("name", "what it is for"), *((s.name, s.title) for s in starters)]))
    lines(["", "  tui-ft recipe new NAME my.toml   copies one to edit"])


def _show(args: argparse.Namespace) -> None:
    opened = open_recipe(args.recipe)
    if args.json:
        emit(opened.recipe.document())
    else:
        lines([opened.text.rstrip()])


def _new(args: argparse.Namespace) -> None:
    starters = {starter.name: starter for starter in available()}
    if args.starter not in starters:
        close = nearest(args.starter, starters)
        raise InputError(
            f"there is no starter recipe '{args.starter}'",
            fix=f"Did you mean {close[0]}?" if close else "`tui-ft recipe list` shows them.",
        )
    target = Path(args.path).expanduser()
    if target.exists():
        raise InputError(
            "is there already", where=str(target), fix="Choose another name, or delete it first."
        )
    write_atomically(target, starters[args.starter].path.read_text(encoding="utf-8"))
    if args.json:
        emit({"path": str(target.absolute())})
    else:
        lines([f"Wrote {target}.", f"Set its [data] path, then: tui-ft plan {target}"])


def _check(args: argparse.Namespace) -> None:
    opened = open_recipe(args.recipe)
    if args.json:
        emit({"ok": True, "name": opened.recipe.name, "pinned": sorted(opened.recipe.pinned)})
    else:
        lines(
            [f"{args.recipe} is a valid recipe. Left out, so the plan decides: {_open_keys(opened.recipe)}."]
        )


def _open_keys(recipe: recipes.Recipe) -> str:
    planned = [key for key, option in recipes.options() if "." in key and option.default is None]
    return ", ".join(key for key in planned if key not in recipe.pinned) or "nothing"


def _schema(args: argparse.Namespace) -> None:
    del args
    emit(recipes.json_schema())
