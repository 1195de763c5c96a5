"""GPUs as NVML reports them, through nvidia-ml-py. Any gauge may be missing; none of them stops the others.

A driver says "not supported", "no permission", "unknown error" or "function not found" for single gauges all
the time: in containers, on MIG slices, on laptops, on integrated GPUs. Such a gauge is None.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psutil
import pynvml

from tui_ft.hardware.facts import Gpu, GpuProcess
from tui_ft.hardware.visible import Device, Visibility, visibility
from tui_ft.text import excerpt

FailureKind = Literal["no-library", "no-driver", "version-mismatch", "no-permission", "other"]

_FAILURES: dict[int, FailureKind] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no-library",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "no-driver",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "version-mismatch",
    pynvml.NVML_ERROR_NO_PERMISSION: "no-permission",
}
# UnicodeDecodeError is a ValueError: names come as bytes from the driver.
_MISSING = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError, ValueError)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why NVML gives nothing at all. `detail` is NVML's own sentence."""

    kind: FailureKind
    detail: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything NVML says at one moment."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda_driver: tuple[int, int] | None = None
    failure: Failure | None = None
    # Gpu.id of a card that is lost or closed to us, and NVML's reason
    unreadable: Mapping[str, str] = field(default_factory=dict)
    unsliced: tuple[int, ...] = ()  # cards in MIG mode without a slice: CUDA shows nothing of them
    visibility: Visibility = field(default_factory=lambda: Visibility(()))


def read(environ: Mapping[str, str] = os.environ) -> Reading:
    """All GPUs, the driver, and why something is missing. Never raises for what the driver does not say."""
    try:
        _start()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        return Reading(failure=Failure(_FAILURES.get(error.value, "other"), excerpt(str(error), 120)))
    cards = [_read_card(index) for index in range(count)]
    devices = [entry.device for card in cards for entry in card.entries]
    seen = visibility(environ.get("CUDA_VISIBLE_DEVICES"), devices)
    entries = [entry for card in cards for entry in card.entries]
    return Reading(
        gpus=tuple(
            replace(entry.gpu, visible=position in seen.shown) for position, entry in enumerate(entries)
        ),
        driver=_ask(pynvml.nvmlSystemGetDriverVersion),
        cuda_driver=_cuda_driver(),
        unreadable={entry.gpu.id: card.trouble for card in cards if card.trouble for entry in card.entries},
        unsliced=tuple(index for index, card in enumerate(cards) if not card.entries),
        visibility=seen,
    )


def sample(environ: Mapping[str, str] = os.environ) -> tuple[Gpu, ...]:
    """All GPUs now, for a dashboard: no subprocess, NVML stays open between calls. Empty without NVML."""
    return read(environ).gpus


_starting = threading.Lock()
_started = False


def _start() -> None:
    """Open NVML once for this process; it is closed at exit. Raises NVMLError."""
    global _started
    with _starting:
        if not _started:
            pynvml.nvmlInit()
            atexit.register(pynvml.nvmlShutdown)
            _started = True


def _ask(read_gauge: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read_gauge(*arguments)
    except _MISSING:
        return None


def _cuda_driver() -> tuple[int, int] | None:
    """Newest CUDA the driver runs. The v2 call asks libcuda, so a forward-compatibility package counts."""
    version = _ask(pynvml.nvmlSystemGetCudaDriverVersion_v2) or _ask(pynvml.nvmlSystemGetCudaDriverVersion)
    return (version // 1000, version % 1000 // 10) if version else None


@dataclass(frozen=True, slots=True)
class _Entry:
    gpu: Gpu
    device: Device


@dataclass(frozen=True, slots=True)
class _Card:
    """A physical card: itself, or its MIG slices. `trouble` says why it cannot be used."""

    entries: tuple[_Entry, ...]
    trouble: str = ""


def _read_card(index: int) -> _Card:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        unknown = Gpu(index, "", "unknown GPU", None, None, None, None, None, None, None)
        return _Card((_Entry(unknown, Device(index, "")),), excerpt(str(error), 120))
    mode = _ask(pynvml.nvmlDeviceGetMigMode, handle)
    if mode and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE:
        return _Card(tuple(_slices(index, handle)))
    total, free = _memory(handle)
    gpu = Gpu(
        index=index,
        uuid=_ask(pynvml.nvmlDeviceGetUUID, handle) or "",
        name=_name(handle),
        total_bytes=total,
        free_bytes=free,
        capability=_capability(handle),
        utilisation=_utilisation(handle),
        temperature_c=_temperature(handle),
        power_w=_watts(_ask(pynvml.nvmlDeviceGetPowerUsage, handle)),
        power_limit_w=_watts(_ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
        processes=_processes(handle),
    )
    trouble = _trouble(handle) if gpu.total_bytes is None else ""
    return _Card((_Entry(gpu, Device(index, gpu.uuid)),), trouble)


def _slices(index: int, card: Any) -> list[_Entry]:
    """The MIG slices of a card, in the order CUDA counts them."""
    card_uuid = _ask(pynvml.nvmlDeviceGetUUID, card) or ""
    found: list[_Entry] = []
    for number in range(_ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, card) or 0):
        handle = _ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, card, number)
        if handle is None:  # numbers have gaps where no slice has been made
            continue
        total, free = _memory(handle)
        gpu = Gpu(
            index=index,
            uuid=_ask(pynvml.nvmlDeviceGetUUID, handle) or "",
            name=_name(handle),
            total_bytes=total,
            free_bytes=free,
            capability=_capability(handle) or _capability(card),
            utilisation=None,
            temperature_c=_temperature(card),
            power_w=None,
            power_limit_w=None,
            processes=_processes(handle),
            mig=True,
            slice=number,
        )
        instances = (
            _ask(pynvml.nvmlDeviceGetGpuInstanceId, handle),
            _ask(pynvml.nvmlDeviceGetComputeInstanceId, handle),
        )
        instance = None if None in instances else instances
        found.append(_Entry(gpu, Device(index, gpu.uuid, number, instance, card_uuid)))
    return found


def _name(handle: Any) -> str:
    return excerpt(_ask(pynvml.nvmlDeviceGetName, handle) or "", 60) or "unknown GPU"


def _memory(handle: Any) -> tuple[int | None, int | None]:
    """Total and free, in bytes."""
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    return (memory.total, memory.free) if memory is not None and memory.total else (None, None)


def _capability(handle: Any) -> tuple[int, int] | None:
    pair = _ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    return None if pair is None else (int(pair[0]), int(pair[1]))


def _utilisation(handle: Any) -> float | None:
    rates = _ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    return None if rates is None else rates.gpu / 100


def _temperature(handle: Any) -> int | None:
    """By the call that every driver has so far, else by the one that CUDA 13 replaces it with."""
    for call in (pynvml.nvmlDeviceGetTemperature, pynvml.nvmlDeviceGetTemperatureV):
        degrees: int | None = _ask(call, handle, pynvml.NVML_TEMPERATURE_GPU)
        if degrees is not None:
            return degrees
    return None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _trouble(handle: Any) -> str:
    """Why the card is gone, when the driver says so. A lost GPU still has a handle."""
    try:
        pynvml.nvmlDeviceGetMemoryInfo(handle)
    except (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_ResetRequired) as error:
        return excerpt(str(error), 120)
    except _MISSING:
        return ""
    return ""


_PROCESS_LISTS = (
    (pynvml.nvmlDeviceGetComputeRunningProcesses_v3, pynvml.nvmlDeviceGetComputeRunningProcesses_v2),
    (pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3, pynvml.nvmlDeviceGetGraphicsRunningProcesses_v2),
)


def _processes(handle: Any) -> tuple[GpuProcess, ...]:
    """Who holds memory, biggest first. Drivers before 510 only know the v2 lists."""
    held: dict[int, int | None] = {}
    for newest, older in _PROCESS_LISTS:
        listed = _ask(newest, handle)
        for process in listed if listed is not None else _ask(older, handle) or ():
            held[process.pid] = held.get(process.pid) or process.usedGpuMemory
    return tuple(
        GpuProcess(pid, _process_name(pid), memory)
        for pid, memory in sorted(held.items(), key=lambda item: -(item[1] or 0))
    )


def _process_name(pid: int) -> str | None:
    """None when the process is not ours to see, as from inside a container."""
    try:
        return excerpt(psutil.Process(pid).name(), 40)
    except (psutil.Error, ValueError, OverflowError):
        return None
