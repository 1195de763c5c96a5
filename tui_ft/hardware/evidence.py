"""All that notices are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from tui_ft.hardware.facts import Gpu, Host, NvidiaTraces, TorchBuild
from tui_ft.hardware.nvml import Reading
from tui_ft.hardware.probing import Probe


@dataclass(frozen=True, slots=True)
class Evidence:
    """What NVML, the host, the torch build and, if it was run, the probe say."""

    reading: Reading
    traces: NvidiaTraces
    host: Host
    torch: TorchBuild | None
    probe: Probe | None = None
    cuda_visible: str | None = None  # CUDA_VISIBLE_DEVICES
    cuda_order: str = ""  # CUDA_DEVICE_ORDER

    @property
    def visible(self) -> tuple[Gpu, ...]:
        """GPUs that CUDA would show to a run."""
        return tuple(gpu for gpu in self.reading.gpus if gpu.visible)
