"""`tui-ft gpus`: what this box has."""

from __future__ import annotations

import argparse

from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode
from tui_ft.hardware.describe import gpu_rows, gpus_json
from tui_ft.hardware.detect import detect


def run(args: argparse.Namespace) -> ExitCode:
    """Print GPUs, host and notices."""
    hardware = detect(args.home)
    if args.json:
        emit(gpus_json(hardware))
    else:
        lines(gpu_rows(hardware))
    return ExitCode.DONE
