"""`tui-ft train RECIPE …`: start in the background, print the run ids; several run one after another."""

from __future__ import annotations

import argparse

from tui_ft.commands.follow import download_lines, ended_well
from tui_ft.commands.output import emit, lines, note
from tui_ft.commands.show import describe
from tui_ft.commands.watch import watch
from tui_ft.errors import ExitCode, InputError, Problem, TuiFtError
from tui_ft.pipeline import Prepared, make, open_recipe, prepare, ready, start
from tui_ft.runs import queue
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import reality
from tui_ft.runs.view import view


def run(args: argparse.Namespace) -> ExitCode:
    """Prepare, start, and follow when asked to."""
    if len(args.recipe) > 1:
        return _queue(args)
    folder = start(_prepare(args, args.recipe[0]), args.home, progress=download_lines(note))
    if args.json:
        emit({"run": folder.id, "dir": str(folder.path), "pid": reality(folder).status.pid})
    else:
        lines([folder.id])
        note(f"It runs in the background. Follow it with `tui-ft watch {folder.id}`.")
    if args.follow:
        watch(folder)
        if not args.json:
            lines(describe(view(folder)))
        ended_well(folder, "train")
    return ExitCode.DONE


def _prepare(args: argparse.Namespace, recipe: str) -> Prepared:
    opened = open_recipe(recipe, args.set)
    prepared = prepare(opened.recipe, opened.base, args.home, price=args.price, say=note)
    for warning in prepared.plan.warnings:
        note(f"! {warning}")
    return prepared


def _queue(args: argparse.Namespace) -> ExitCode:
    """Make every run before the first one starts, so that a mistake in the last recipe shows now."""
    if args.follow:
        raise InputError(
            "one run can be followed, not several", where="--follow", fix="`tui-ft runs` shows the queue."
        )
    prepared: list[Prepared] = []
    problems: list[Problem] = []
    for recipe in args.recipe:
        note(recipe)
        try:
            prepared.append(_prepare(args, recipe))
            ready(prepared[-1], args.home)
        except TuiFtError as error:
            problems += [
                Problem(found.what, f"{recipe}: {found.where}".rstrip(": "), found.fix)
                for found in error.problems
            ]
    if problems:
        raise InputError(problems)
    folders = [make(one, args.home, progress=download_lines(note)) for one in prepared]
    pid = queue.start(folders, args.home)
    if args.json:
        emit({"queue": pid, "runs": [_entry(folder, ahead) for ahead, folder in enumerate(folders)]})
    else:
        lines(folder.id for folder in folders)
        note("They run one after another in the background. `tui-ft runs` shows where they are.")
    return ExitCode.DONE


def _entry(folder: RunFolder, ahead: int) -> dict[str, object]:
    return {"run": folder.id, "dir": str(folder.path), "state": reality(folder).state, "ahead": ahead}
