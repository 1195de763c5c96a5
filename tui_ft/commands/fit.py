"""`tui-ft fit MODEL`: what fits into a GPU's memory, by method."""

from __future__ import annotations

import argparse

from tui_ft.commands.output import emit, lines, note
from tui_ft.errors import ExitCode, InputError
from tui_ft.hardware.detect import detect
from tui_ft.models.resolve import resolve
from tui_ft.planning.box import Box, of_hardware
from tui_ft.planning.exact import verify_table
from tui_ft.planning.fit import fit, fit_lines, other_box


def run(args: argparse.Namespace) -> ExitCode:
    """Print the best settings of each method. Exit code 1 when none fits."""
    model = resolve(args.model, home=args.home)
    table = fit(model, box=other_box(args.gpu, args.vram) or _here(args), seq=args.seq, gpus=args.gpus)
    if args.exact:
        table = verify_table(table, model.config, say=note)
    if args.json:
        emit(table.to_json())
    else:
        lines(fit_lines(table))
    return ExitCode.DONE if table.any_fits else ExitCode.ANSWER_IS_NO


def _here(args: argparse.Namespace) -> Box:
    hardware = detect(args.home)
    if not hardware.usable_gpus:
        raise InputError(
            "this box has no GPU to look at", fix='Name one with --gpu "RTX 4090" or give --vram 24.'
        )
    return of_hardware(hardware)
