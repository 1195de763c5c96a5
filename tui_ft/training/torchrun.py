"""torchrun, with one thing added: how each process ended is written to a file.

`python -m tui_ft.training.torchrun FILE [options of torchrun] …` behaves like `torchrun`; when a process
fails, FILE holds {rank: exit code}, negative for a signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from tui_ft.errors import ExitCode


def main(argv: Sequence[str]) -> int:
    """Run the processes to their end; returns the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    failures, *options = argv
    try:
        run(parse_args(options))
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        Path(failures).write_text(json.dumps(codes), encoding="utf-8")
        return int(ExitCode.RUN_FAILED)
    return int(ExitCode.DONE)


def _end_with(parent: int) -> None:
    """End this process, and by that its children, when its own parent is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
