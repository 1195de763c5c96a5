"""Hardware in words and as JSON. Pure."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from tui_ft.hardware.facts import Gpu, GpuProcess, Hardware, Host
from tui_ft.text import GIB, count, excerpt, gib, percent

_UNKNOWN = "–"
_WIDTH = 79
# Makers and form factors say nothing about what fits; "-SXM4-80GB" becomes "80GB".
_NOISE = re.compile(r"\b(NVIDIA|GeForce|Tesla|Generation|(Workstation|Server) Edition|SXM\d?|PCIE|HBM\w*)\b")


def short_name(name: str) -> str:
    """A GPU's name as people say it: `NVIDIA A100-SXM4-80GB` is `A100 80GB`."""
    card, mig, profile = name.partition(" MIG ")
    words = _NOISE.sub(" ", card.replace("-", " ")).split()
    return " ".join(words) + mig + profile or name


def header(hardware: Hardware) -> str:
    """One line on what a run would use: `A100 80GB · 71.2 GiB free`, `CPU only · 2 cores · 23 GiB RAM`."""
    gpus = hardware.usable_gpus
    if gpus:
        return f"{_names(gpus)} · {_free(gpus)}"
    host = f"{count(hardware.host.cores, 'core')} · {_whole_gib(hardware.host.ram_total_bytes)} RAM"
    if hardware.gpus:
        return f"CPU only, {_names(hardware.gpus)} not usable · {host}"
    return f"CPU only · {host}"


def gpu_label(gpu: Gpu) -> str:
    """`GPU 0`, or `GPU 0 slice 2` for a MIG slice."""
    return f"GPU {gpu.index}" if gpu.slice is None else f"GPU {gpu.index} slice {gpu.slice}"


def dotted(version: tuple[int, int] | None) -> str | None:
    """A CUDA version or a compute capability: (12, 8) is `12.8`."""
    return None if version is None else f"{version[0]}.{version[1]}"


def holder(process: GpuProcess) -> str:
    """`python (pid 1234) holds 20.0 GiB`."""
    name = process.name or "a process that cannot be seen from here"
    amount = "an unknown amount" if process.memory_bytes is None else gib(process.memory_bytes)
    return f"{name} (pid {process.pid}) holds {amount}"


def gpu_rows(hardware: Hardware) -> list[str]:
    """What `tui-ft gpus` prints: a row per GPU with who holds its memory, the host, the notices."""
    lines: list[str] = []
    if hardware.gpus:
        lines += [_row("GPU", "name", "free/total", "busy", "temp", "power", "types")]
        lines += _gpu_lines(hardware)
        newest = dotted(hardware.cuda_driver) or "unknown"
        lines += ["", f"driver  {hardware.driver or 'unknown'}, runs CUDA up to {newest}"]
    lines += _host_lines(hardware)
    for notice in hardware.notices:
        mark = {"error": "problem", "warning": "note", "info": "info"}[notice.severity]
        lines += ["", *wrapped(f"{mark:<7} ", notice.what)]
        instruction, *commands = notice.fix.splitlines() or [""]
        if instruction:
            lines += wrapped("        ", instruction)
        lines += [f"        {command}" for command in commands]
    return lines


def gpus_json(hardware: Hardware) -> dict[str, Any]:
    """What `tui-ft gpus --json` prints. Bytes, °C, watts, shares of 1; null is unknown."""
    usable = {gpu.id for gpu in hardware.usable_gpus}
    build = hardware.torch
    return {
        "device": hardware.device,
        "summary": header(hardware),
        "driver": hardware.driver,
        "cuda_driver": dotted(hardware.cuda_driver),
        "torch": build and {"version": build.version, "cuda": dotted(build.cuda), "rocm": build.rocm},
        "gpus": [
            asdict(gpu)
            | {
                "capability": dotted(gpu.capability),
                "short_name": short_name(gpu.name),
                "bf16": gpu.bf16,
                "fp8": gpu.fp8,
                "usable": gpu.id in usable,
                "processes": [asdict(process) for process in gpu.processes],
            }
            for gpu in hardware.gpus
        ],
        "host": _host_json(hardware.host),
        "notices": [asdict(notice) for notice in hardware.notices],
    }


def _host_json(host: Host) -> dict[str, Any]:
    places = [asdict(mount) | {"path": str(mount.path), "uses": list(mount.uses)} for mount in host.mounts]
    return asdict(host) | {"mounts": places}


def _names(gpus: Sequence[Gpu]) -> str:
    counted = Counter(short_name(gpu.name) for gpu in gpus)
    return " + ".join(name if number == 1 else f"{number} × {name}" for name, number in counted.items())


def _free(gpus: Sequence[Gpu]) -> str:
    known = sorted(gpu.free_bytes for gpu in gpus if gpu.free_bytes is not None)
    if len(known) < len(gpus):
        return "free memory unknown"
    low, high = (f"{size / GIB:.1f}" for size in (known[0], known[-1]))
    if len(gpus) == 1:
        return f"{low} GiB free"
    return f"{low} GiB free each" if low == high else f"{low}–{high} GiB free"


def _gpu_lines(hardware: Hardware) -> Iterable[str]:
    usable = {gpu.id for gpu in hardware.usable_gpus}
    for gpu in hardware.gpus:
        number = str(gpu.index) if gpu.slice is None else f"{gpu.index}:{gpu.slice}"
        state = "" if gpu.id in usable else ("not usable" if gpu.visible else "hidden")
        yield _row(
            number,
            short_name(gpu.name),
            f"{_amount(gpu.free_bytes)}/{_amount(gpu.total_bytes)} GiB",
            _UNKNOWN if gpu.utilisation is None else percent(gpu.utilisation),
            _UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c} °C",
            _power(gpu),
            state or _number_types(gpu),
        )
        yield from (f"    {holder(process)}" for process in gpu.processes)


def _row(number: str, name: str, memory: str, busy: str, temperature: str, power: str, types: str) -> str:
    cells = (
        f"{number:<3} {excerpt(name, 22):<22} {memory:>15}  {busy:>5}  {temperature:>5}  {power:>9}  {types}"
    )
    return cells.rstrip()


def _number_types(gpu: Gpu) -> str:
    if gpu.bf16 is None:
        return _UNKNOWN
    return "bf16, fp8" if gpu.fp8 else "bf16" if gpu.bf16 else "fp16"


def _amount(size_bytes: int | None) -> str:
    return _UNKNOWN if size_bytes is None else f"{size_bytes / GIB:.1f}"


def _power(gpu: Gpu) -> str:
    if gpu.power_w is None:
        return _UNKNOWN
    return (
        f"{gpu.power_w:.0f} W"
        if gpu.power_limit_w is None
        else f"{gpu.power_w:.0f}/{gpu.power_limit_w:.0f} W"
    )


def _host_lines(hardware: Hardware) -> list[str]:
    host = hardware.host
    limited = ", the container's limit" if host.ram_limited_by_container else ""
    lines = [
        f"cpu     {host.cpu}, {count(host.cores, 'core')}{', fast bf16' if host.cpu_bf16 else ''}",
        f"memory  {gib(host.ram_available_bytes)} available of {gib(host.ram_total_bytes)}{limited}",
    ]
    for mount in host.mounts:
        space = f"{gib(mount.free_bytes)} free of {gib(mount.total_bytes)}"
        lines += wrapped("disk    ", f"{mount.path}: {space}, for {', '.join(mount.uses)}")
    build = hardware.torch
    return [*lines, f"torch   {build.version if build else 'not installed'}"]


def wrapped(label: str, text: str) -> list[str]:
    """Text broken into lines of a terminal of 80 columns, hanging behind its label."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False
    ) or [label.rstrip()]


def _whole_gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.0f} GiB"
