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
    """One GPU (or MIG slice) as NVML reports it. Memory in bytes, temperature in °C, power in watts.

    A card in MIG mode is listed as its slices, since CUDA cannot use it whole. A slice has the temperature
    of its card; NVML does not measure power or utilisation per slice.
    """

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
    visible: bool = True  # CUDA shows it to a process started here (CUDA_VISIBLE_DEVICES, one MIG slice)
    slice: int | None = None  # number of the MIG slice on its card

    @property
    def id(self) -> str:
        """What names this GPU in CUDA_VISIBLE_DEVICES: its UUID, or its index if that is unknown."""
        return self.uuid or str(self.index)

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
    filesystem: str = ""  # "ext4", "overlay", "tmpfs"; empty when unknown


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
    shared_memory_bytes: int | None = None  # size of /dev/shm


@dataclass(frozen=True, slots=True)
class HostSample:
    """The host at one moment, for a dashboard. `busy_s` and `total_s` serve the next sample."""

    cpu: float | None  # share of all cores that was busy since the sample before; None on the first
    ram_used_bytes: int
    ram_total_bytes: int
    busy_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class NvidiaTraces:
    """What the machine shows of NVIDIA hardware without asking NVML."""

    card: bool  # an NVIDIA display controller is on the PCI bus
    driver: bool  # the kernel module is loaded
    container: bool  # we run inside a container


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """The installed PyTorch, known without importing it."""

    version: str
    cuda: tuple[int, int] | None  # CUDA it was built with; None for a CPU or ROCm build
    rocm: str | None = None
    published_archs: tuple[str, ...] = ()  # "sm_80", … that the project's own wheels for this CUDA carry


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about the box. `id` is stable. `gpu` is a Gpu.id, or empty.

    In `fix`, a command to type stands on a line of its own, so that it can be copied.
    """

    id: str
    severity: Literal["info", "warning", "error"]
    what: str
    fix: str = ""
    gpu: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Everything known about the box at one moment."""

    gpus: tuple[Gpu, ...]
    host: Host
    driver: str | None
    cuda_driver: tuple[int, int] | None  # newest CUDA the driver can run
    notices: tuple[Notice, ...] = ()
    torch: TorchBuild | None = None

    @property
    def usable_gpus(self) -> tuple[Gpu, ...]:
        """GPUs a run may use: visible, and not ruled out by an error notice about them or about the box."""
        barred = {notice.gpu for notice in self.notices if notice.severity == "error"}
        if "" in barred:
            return ()
        return tuple(gpu for gpu in self.gpus if gpu.visible and gpu.id not in barred)

    @property
    def device(self) -> Literal["cuda", "cpu"]:
        """Where a run would compute."""
        return "cuda" if self.usable_gpus else "cpu"
