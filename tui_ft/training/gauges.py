"""Memory of this process and gauges of the box, cheap enough to read all the time."""

from __future__ import annotations

import resource
import time
from typing import Any

import psutil

from tui_ft.hardware.nvml import sample
from tui_ft.runs.idle import IdleGpu
from tui_ft.runs.reporter import Reporter


def peak_memory_bytes(device: Any) -> int:
    """Most memory this process has held: on the GPU what torch allocated, on the CPU resident memory."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Pulse:
    """Called with every heartbeat: gauges to the events, and an alert when the GPU has nothing to do."""

    def __init__(self) -> None:
        self._idle = IdleGpu()

    def __call__(self, reporter: Reporter) -> None:
        """Look once."""
        utilisations = report_gauges(reporter)
        status = reporter.status
        training = status.state == "training"
        sign = self._idle.see(time.monotonic(), utilisations, training=training, step=status.step)
        if sign is not None:
            reporter.alert(sign.id, sign.severity, sign.what, sign.action, step=sign.step)


def report_gauges(reporter: Reporter) -> list[float | None]:
    """Append a `gauges` event: every GPU this process may use, processor and RAM of the host.

    Returns the utilisation of each GPU as a share of 1.
    """
    memory = psutil.virtual_memory()
    gpus = [gpu for gpu in sample() if gpu.visible]
    reporter.events.append(
        "gauges",
        gpus=[
            {
                "name": gpu.name,
                "memory_bytes": None
                if gpu.total_bytes is None or gpu.free_bytes is None
                else gpu.total_bytes - gpu.free_bytes,
                "total_bytes": gpu.total_bytes,
                "utilisation": gpu.utilisation,
                "temperature_c": gpu.temperature_c,
                "power_w": gpu.power_w,
            }
            for gpu in gpus
        ],
        host={
            "cpu": psutil.cpu_percent(interval=None) / 100,
            "ram_used_bytes": memory.total - memory.available,
            "ram_total_bytes": memory.total,
        },
    )
    return [gpu.utilisation for gpu in gpus]
