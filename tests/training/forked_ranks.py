"""A rank without torchrun: a fork of the zygote, which has torch loaded already."""

from __future__ import annotations

import os

from tui_ft.runs.status import process_identity
from tui_ft.training import rank
from tui_ft.training.several import SUPERVISOR


def become(run: str, number: str, of: str, port: str, *args: str) -> None:
    """Train as one of `of` processes, with the environment that torchrun would give."""
    parent = os.getppid()
    os.environ |= {
        "RANK": number,
        "LOCAL_RANK": number,
        "WORLD_SIZE": of,
        "LOCAL_WORLD_SIZE": of,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "GLOO_SOCKET_IFNAME": "lo",
        SUPERVISOR: f"{parent} {process_identity(parent)}",
    }
    code = rank.main([run, *args])
    if code:
        raise SystemExit(code)
