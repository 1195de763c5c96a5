"""Starts workers in no time: torch is loaded once, and each worker is a fork of this process.

Reads one JSON object per line: {"args": […], "log": path} forks a worker and prints its pid;
{"check": name, "args": […], "log": path} forks to run a function of checks.py instead, or of "module";
"fault" puts faults of faults.py into a worker;
{"wait": pid} waits for one and prints its exit code, negative for a signal.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any


def main() -> None:
    """Serve until stdin closes."""
    worker = importlib.import_module("tui_ft.training.worker")
    importlib.import_module("tui_ft.training.job")  # torch and all

    print("ready", flush=True)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if "wait" in request:
            print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)
            continue
        pid = os.fork()
        if not pid:
            _become(request["log"])
            code = 70
            try:
                if "check" in request:
                    module = importlib.import_module(request.get("module", "checks"))
                    getattr(module, request["check"])(*request["args"])
                    code = 0
                else:
                    if request.get("fault"):
                        importlib.import_module("faults").install(request["fault"])
                    code = worker.main(request["args"])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(pid, flush=True)


def _become(log: str) -> None:
    """A session and files of its own, as `launch.start` gives a worker."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)


if __name__ == "__main__":
    main()
