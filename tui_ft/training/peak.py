"""The most memory this process holds between two moments, as the device's own books have it."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Any

import psutil
import torch

from tui_ft.hardware.host import container_memory

_SELF = Path("/proc/self")
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# "Tried to allocate 1.50 GiB" (torch's CUDA allocator), "you tried to allocate 131072 bytes" (its CPU one).
_ASKED = re.compile(r"tried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", re.IGNORECASE)


class PeakMeter:
    """Peak since it was made: on a GPU what torch allocated, on the CPU resident memory of the process.

    `free_bytes` is what this process may hold in all: what it has, and what was free when this was made.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        if self._cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            self.free_bytes = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_allocated(device)
            return
        self._was_reset = _reset_high_water()
        self._before = _status_bytes("VmHWM")
        self.free_bytes = _free_here()

    @property
    def peak_bytes(self) -> int | None:
        """None on the CPU when the kernel keeps no peak, or one from before that was not passed."""
        if self._cuda:
            return int(torch.cuda.max_memory_allocated(self._device))
        now = _status_bytes("VmHWM")
        known = now is not None and (self._was_reset or now > (self._before or 0))
        return now if known else None

    @property
    def reserved_bytes(self) -> int | None:
        """What torch's allocator took from the GPU, unused pieces included; None on the CPU."""
        return int(torch.cuda.max_memory_reserved(self._device)) if self._cuda else None

    def close(self) -> None:
        """Give unused pieces back to the GPU and start its books anew, for the steps that follow."""
        if self._cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)


def asked_bytes(error: BaseException) -> int:
    """How much the allocation wanted that failed; 0 when the error does not say."""
    found = _ASKED.search(str(error))
    return round(float(found[1]) * _UNITS[found[2]]) if found else 0


def _reset_high_water() -> bool:
    """Let VmHWM start again from what is resident now (proc(5), clear_refs). False where that is refused."""
    try:
        (_SELF / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status_bytes(name: str) -> int | None:
    """A `kB` line of /proc/self/status in bytes."""
    try:
        text = (_SELF / "status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _free_here() -> int:
    """RAM this process may hold: the machine's, its container's, and what `ulimit -v` leaves."""
    own = psutil.Process().memory_info()
    limit, used = container_memory()
    free = psutil.virtual_memory().available
    if limit is not None:
        free = min(free, max(0, limit - used))
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        free = min(free, max(0, address_space - own.vms))
    return int(free + own.rss)
