"""The machine around the GPUs: processor, memory and cores within the container's limits, file systems.

`root` is where /proc, /sys and /dev are looked for.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from tui_ft.hardware.facts import Host, HostSample, Mount, NvidiaTraces
from tui_ft.text import excerpt

ROOT = Path("/")
_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"  # PCI base class 03: VGA, 3D and display controllers


def read_host(uses: Mapping[str, Path], root: Path = ROOT) -> Host:
    """Everything about the host. `uses` names the paths whose file systems matter."""
    memory = psutil.virtual_memory()
    limit, used = container_memory(root)
    limited = limit is not None and limit < memory.total
    total = limit if limit is not None and limited else memory.total
    available = memory.available if not limited else max(0, min(memory.available, total - used))
    fields = _cpuinfo(root)
    flags = {*fields.get("flags", "").split(), *fields.get("Features", "").split()}
    return Host(
        cpu=excerpt(fields.get("model name", "") or platform.processor() or platform.machine(), 60),
        cores=usable_cores(root),
        ram_total_bytes=total,
        ram_available_bytes=available,
        ram_limited_by_container=limited,
        cpu_bf16=bool(flags & {"avx512_bf16", "amx_bf16", "bf16"}),  # bf16 is Arm's name
        mounts=mounts(uses, root),
        shared_memory_bytes=_file_system_size(root / "dev/shm"),
    )


def sample_host(previous: HostSample | None = None, root: Path = ROOT) -> HostSample:
    """Processor and memory use now. The processor's share is the whole machine's since the sample before."""
    times = psutil.cpu_times()
    total = float(sum(times) - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0))
    busy = total - times.idle - getattr(times, "iowait", 0.0)
    share = None
    if previous is not None and total > previous.total_s:
        share = min(1.0, max(0.0, (busy - previous.busy_s) / (total - previous.total_s)))
    memory = psutil.virtual_memory()
    limit, used = container_memory(root)
    if limit is not None and limit < memory.total:
        return HostSample(share, used, limit, busy, total)
    return HostSample(share, memory.total - memory.available, memory.total, busy, total)


def usable_cores(root: Path = ROOT) -> int:
    """Cores this process may use: its affinity, and the container's quota rounded down, at least 1."""
    allowed = len(os.sched_getaffinity(0))
    for folder in _cgroups(root, "cpu"):
        quota = _quota(folder)
        if quota is not None:
            allowed = min(allowed, int(quota))
    return max(1, allowed)


def container_memory(root: Path = ROOT) -> tuple[int | None, int]:
    """The tightest memory limit of our control group and its parents, and what is used under it, in bytes.

    Page cache that the kernel can drop at once (inactive_file) does not count as used. (None, 0) without
    a limit.
    """
    tightest: tuple[int | None, int] = (None, 0)
    for folder in _cgroups(root, "memory"):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        if limit is None or limit >= 1 << 60 or (tightest[0] is not None and tightest[0] <= limit):
            continue  # version 1 writes "no limit" as the largest page-aligned number
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
        stat = _words(folder / "memory.stat")
        dropable = int(stat.get("total_inactive_file") or stat.get("inactive_file") or 0)
        tightest = (limit, max(0, used - dropable))
    return tightest


def mounts(uses: Mapping[str, Path], root: Path = ROOT) -> tuple[Mount, ...]:
    """The file systems behind the paths, each once. A path that does not exist yet counts for its parent."""
    grouped: dict[int, list[str]] = {}
    places: dict[int, Path] = {}
    for use, path in uses.items():
        place = nearest_existing(path)
        device = place.stat().st_dev
        grouped.setdefault(device, []).append(use)
        places.setdefault(device, place)
    kinds = _file_system_kinds(root)
    found = []
    for device, names in grouped.items():
        try:
            space = os.statvfs(places[device])
        except OSError:  # a network disk that has gone away; writing to it will say so
            continue
        found.append(
            Mount(
                path=_mount_point(places[device]),
                total_bytes=space.f_blocks * space.f_frsize,
                free_bytes=space.f_bavail * space.f_frsize,
                uses=tuple(names),
                filesystem=kinds.get((os.major(device), os.minor(device)), ""),
            )
        )
    return tuple(found)


def nearest_existing(path: Path) -> Path:
    """The path itself, or its closest parent that exists and can be looked at."""
    path = path.absolute()
    for place in (path, *path.parents):
        try:
            place.stat()
        except OSError:
            continue
        return place
    return ROOT


def nvidia_traces(root: Path = ROOT) -> NvidiaTraces:
    """Signs of NVIDIA hardware that need no NVML; they tell "no card" from "card without a driver"."""
    return NvidiaTraces(
        card=any(
            _line(device / "vendor") == _NVIDIA and _line(device / "class").startswith(_DISPLAY_CLASS)
            for device in (root / "sys/bus/pci/devices").glob("*")
        ),
        driver=(root / "proc/driver/nvidia/version").exists() or (root / "dev/nvidiactl").exists(),
        container=(root / ".dockerenv").exists()
        or (root / "run/.containerenv").exists()
        or b"\0container=" in b"\0" + _bytes(root / "proc/1/environ"),
    )


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Our control group's folder for a controller and all its parents, in version 2 and version 1 layouts.

    Inside a container the path in /proc/self/cgroup may be the host's; the folders that exist here count.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:
            tops = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            tops = [root / "sys/fs/cgroup" / controllers, root / "sys/fs/cgroup" / controller]
        else:
            continue
        for top in tops:
            for folder in (inner := top / path.lstrip("/"), *inner.parents):
                if not folder.is_relative_to(top):
                    break
                if folder.is_dir():
                    yield folder


def _quota(folder: Path) -> float | None:
    """Cores a control group may keep busy: quota over period. None without a quota."""
    quota, _, period = _line(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _line(folder / "cpu.cfs_quota_us"), _line(folder / "cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None  # "max" or -1: no quota
    return int(quota) / int(period)


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first processor's fields of /proc/cpuinfo."""
    first = _text(root / "proc/cpuinfo").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _file_system_kinds(root: Path) -> dict[tuple[int, int], str]:
    """Device number to file system type, from /proc/self/mountinfo (proc(5))."""
    kinds = {}
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        major, _, minor = before.split(" ")[2].partition(":")
        kinds[int(major), int(minor)] = after.split(" ")[0]
    return kinds


def _mount_point(place: Path) -> Path:
    place = place.resolve()
    while place != place.parent and not place.is_mount():
        place = place.parent
    return place


def _file_system_size(folder: Path) -> int | None:
    try:
        space = os.statvfs(folder)
    except OSError:
        return None
    return space.f_blocks * space.f_frsize


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _line(path: Path) -> str:
    return _text(path).strip()


def _number(path: Path) -> int | None:
    line = _line(path)
    return int(line) if line.isdigit() else None


def _words(path: Path) -> dict[str, str]:
    return {key: value for key, _, value in (line.partition(" ") for line in _text(path).splitlines())}
