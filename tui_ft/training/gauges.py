"""Memory of this process and gauges of the box, cheap enough to read all the time."""

from __future__ import annotations

import resource
from typing import Any

import psutil

from tui_ft.hardware.nvml import sample
from tui_ft.runs.reporter import Reporter


def peak_memory_bytes(device: Any) -> int:
    """Most memory this process has held: on the GPU what torch allocated, on the CPU resident memory."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report_gauges(reporter: Reporter) -> None:
    """Append a `gauges` event: every GPU this process may use, processor and RAM of the host."""
    memory = psutil.virtual_memory()
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
            for gpu in sample()
            if gpu.visible
        ],
        host={
            "cpu": psutil.cpu_percent(interval=None) / 100,
            "ram_used_bytes": memory.total - memory.available,
            "ram_total_bytes": memory.total,
        },
    )
