"""GGUF files from a merged model: converted once, quantised as often as asked. Light."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui_ft.errors import RunFailed
from tui_ft.export.converter import watch
from tui_ft.export.targets import Quantisation
from tui_ft.hardware.host import usable_cores


def quantise(source: Path, out: Path, kind: Quantisation, check: Callable[[], None] = lambda: None) -> None:
    """Write `source` with weights of this kind. A torn file is removed. Raises RunFailed with the reason."""
    try:
        llama({"do": "quantise", "source": str(source), "out": str(out), "type": kind}, out.parent, check)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    if not out.is_file():
        raise RunFailed(f"llama.cpp wrote no {kind} file", where=str(out))


def llama(request: dict[str, Any], scratch: Path, check: Callable[[], None] = lambda: None) -> None:
    """Have a process of its own do this request of `tui_ft.export.llama`. Raises RunFailed when it fails."""
    path = scratch / f"{request['do']}.request.json"
    path.write_text(json.dumps({**request, "threads": threads()}), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "tui_ft.export.llama", str(path)]
    code, words = watch(command, dict(os.environ), check)
    path.unlink()
    if code:
        lines = [line for line in words.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {code}"
        raise RunFailed(
            f"llama.cpp could not {request['do']} the file: {reason[:160]}", where=str(request.get("out", ""))
        )


def threads() -> int:
    """Threads to use: what OMP_NUM_THREADS says, else the cores of this machine or container."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else usable_cores()
