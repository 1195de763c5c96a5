"""The process that looks at portions of a dataset: `python -m tui_ft.data.mapper`, driven by `crew`.

It is sent a Mapper and then portions, pickled, on stdin, and answers each on stdout, until stdin ends.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys

from tui_ft.errors import TuiFtError


def main() -> None:
    """Work until stdin ends, which it does whatever becomes of the process at the other end."""
    # Ctrl-C reaches the whole group; the process that started this one decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # A library that prints must not write between the answers.
    os.dup2(2, 1)
    tasks = sys.stdin.buffer
    try:
        mapper = pickle.load(tasks)
        # Rows hold no cycles, and looking for some in half a million words takes a tenth of the time.
        gc.disable()
        while True:
            portion = pickle.load(tasks)
            try:
                answer = mapper.map(portion)
            except TuiFtError as error:
                answer = error
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
            del portion, answer
            gc.collect(1)
    except (EOFError, BrokenPipeError):
        # Leave at once: nobody reads what is still in the buffer.
        os._exit(0)


if __name__ == "__main__":
    main()
