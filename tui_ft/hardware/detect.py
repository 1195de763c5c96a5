"""Look at this machine: one call, no child process, no torch, a few milliseconds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tui_ft.hardware import nvml
from tui_ft.hardware.evidence import Evidence
from tui_ft.hardware.facts import Hardware
from tui_ft.hardware.host import ROOT, nvidia_traces, read_host
from tui_ft.hardware.notices import notices
from tui_ft.hardware.probing import Probe
from tui_ft.hardware.torch_build import find_torch, read_build
from tui_ft.settings import Home, hub_cache


def detect(
    home: Home, *, probe: Probe | None = None, environ: Mapping[str, str] = os.environ, root: Path = ROOT
) -> Hardware:
    """GPUs, host, torch build and every notice. With a probe, also what was really tried. Never raises for
    what the machine does not tell."""
    uses = {"runs": home.runs, "model cache": hub_cache(), "temporary files": Path(tempfile.gettempdir())}
    reading = nvml.read(environ)
    host = read_host(uses, root)
    build = read_build(find_torch())
    evidence = Evidence(
        reading=reading,
        traces=nvidia_traces(root),
        host=host,
        torch=build,
        probe=probe,
        cuda_visible=environ.get("CUDA_VISIBLE_DEVICES"),
        cuda_order=environ.get("CUDA_DEVICE_ORDER", ""),
    )
    return Hardware(
        gpus=reading.gpus,
        host=host,
        driver=reading.driver,
        cuda_driver=reading.cuda_driver,
        notices=notices(evidence),
        torch=build,
    )
