"""What a box has. Every gauge may be None: the driver did not say, which is not the same as zero."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory on a GPU."""

    pid: int
    name: str | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU (or MIG slice) as NVML reports it. Memory in bytes, temperature in °C, power in watts."""

    index: int
    uuid: str
    name: str
    total_bytes: int | None
    free_bytes: int | None
    capability: tuple[int, int] | None
    utilisation: float | None  # share of 1
    temperature_c: int | None
    power_w: float | None
    power_limit_w: float | None
    processes: tuple[GpuProcess, ...] = ()
    mig: bool = False
    visible: bool = True  # not hidden by CUDA_VISIBLE_DEVICES

    @property
    def bf16(self) -> bool | None:
        """Computes bf16 natively: compute capability 8.0 or newer. None when the capability is unknown."""
        return None if self.capability is None else self.capability >= (8, 0)

    @property
    def fp8(self) -> bool | None:
        """Computes fp8 natively: compute capability 8.9 or newer. None when the capability is unknown."""
        return None if self.capability is None else self.capability >= (8, 9)


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system that matters, with the paths of ours that live on it."""

    path: Path
    total_bytes: int
    free_bytes: int
    uses: tuple[str, ...]  # "runs", "model cache", "temporary files"


@dataclass(frozen=True, slots=True)
class Host:
    """The machine around the GPUs. RAM respects the container's (cgroup) limit."""

    cpu: str
    cores: int
    ram_total_bytes: int
    ram_available_bytes: int
    ram_limited_by_container: bool
    cpu_bf16: bool  # avx512_bf16 or amx_bf16: bf16 is faster than fp32 on this processor
    mounts: tuple[Mount, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about the box. `id` is stable."""

    id: str
    severity: Literal["info", "warning", "error"]
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Everything known about the box at one moment."""

    gpus: tuple[Gpu, ...]
    host: Host
    driver: str | None
    cuda_driver: tuple[int, int] | None  # newest CUDA the driver can run
    notices: tuple[Notice, ...] = ()

    @property
    def usable_gpus(self) -> tuple[Gpu, ...]:
        """GPUs a run may use: visible, and not ruled out by an error notice."""
        if any(notice.severity == "error" for notice in self.notices):
            return ()
        return tuple(gpu for gpu in self.gpus if gpu.visible)

    @property
    def device(self) -> Literal["cuda", "cpu"]:
        """Where a run would compute."""
        return "cuda" if self.usable_gpus else "cpu"
