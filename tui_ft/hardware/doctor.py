"""`tui-ft doctor`: everything that could stand in the way of a run, looked at once, each with the way out."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from tui_ft.hardware import surroundings
from tui_ft.hardware.describe import dotted, gpu_label, short_name, wrapped
from tui_ft.hardware.detect import detect
from tui_ft.hardware.facts import Gpu, Hardware, Notice
from tui_ft.hardware.host import ROOT
from tui_ft.hardware.notices import mount_notices
from tui_ft.hardware.probing import Probe, run_probe
from tui_ft.hardware.surroundings import Check, State
from tui_ft.settings import Home
from tui_ft.text import count, gib

_TESTED_PYTHONS = ((3, 11), (3, 12))
_STATES: dict[str, State] = {"error": "problem", "warning": "warning", "info": "ok"}
_TOPICS = {
    "no-torch": "PyTorch",
    "torch-without-cuda": "PyTorch",
    "torch-rocm": "PyTorch",
    "torch-broken": "PyTorch",
    "cuda-unavailable": "PyTorch",
    "bf16-fails": "PyTorch",
    "compute-fails": "PyTorch",
    "4bit-fails": "bitsandbytes",
    "driver-too-old": "driver",
    "driver-not-loaded": "driver",
    "driver-mismatch": "driver",
    "no-driver": "driver",
    "nvml-failed": "driver",
    "small-shared-memory": "/dev/shm",
}


def examine(
    home: Home, probe: bool = True, *, environ: Mapping[str, str] = os.environ, root: Path = ROOT
) -> tuple[Check, ...]:
    """Everything, in the order it is shown. With `probe`, PyTorch is started and tried: 5 to 60 s."""
    return tuple(checks(home, probe, environ=environ, root=root))


def checks(
    home: Home, probe: bool = True, *, environ: Mapping[str, str] = os.environ, root: Path = ROOT
) -> Iterator[Check]:
    """The same as `examine`, each check as soon as it is done."""
    yield python_check()
    yield from package_checks()
    probed = run_probe() if probe else None
    yield from hardware_checks(detect(home, probe=probed, environ=environ, root=root), probed)
    yield from surroundings.checks(home, environ, root)


def to_json(found: Sequence[Check]) -> dict[str, Any]:
    """What `tui-ft doctor --json` prints. `ok` is false when there is a problem; warnings do not count."""
    states = [check.state for check in found]
    return {
        "ok": "problem" not in states,
        "problems": states.count("problem"),
        "warnings": states.count("warning"),
        "checks": [asdict(check) for check in found],
    }


def check_lines(check: Check) -> list[str]:
    """One check as `tui-ft doctor` prints it. Commands stay on one line, so that they can be copied."""
    label = f"{check.state:<8} {check.name:<13} "
    indent = " " * len(label)
    instruction, *commands = check.fix.splitlines() or [""]
    how = wrapped(indent, instruction) if instruction else []
    return [*wrapped(label, check.what), *how, *(indent + command for command in commands)]


def summary(found: Sequence[Check]) -> str:
    """`1 problem, 2 warnings`."""
    states = [check.state for check in found]
    return f"{count(states.count('problem'), 'problem')}, {count(states.count('warning'), 'warning')}"


def python_check() -> Check:
    """The Python that runs tui-ft."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in _TESTED_PYTHONS:
        return Check("Python", "ok", f"{version}, {sys.executable}")
    tested = " and ".join(f"{major}.{minor}" for major, minor in _TESTED_PYTHONS)
    return Check("Python", "warning", f"{version}; tui-ft is tested with {tested}.")


def package_checks() -> Iterator[Check]:
    """One line for all packages that are as they should be, one more for each that is not."""
    tested = tomllib.loads((resources.files("tui_ft.hardware") / "tested.toml").read_text(encoding="utf-8"))
    allowed = _requirements()
    fine = []
    for name, version in tested.items():
        installed = _version(name)
        if installed is None:
            yield Check(name, "problem", "not installed.", f"Install it:\npip install '{name}=={version}'")
        elif not _within(installed, allowed.get(_folded(name), "")):
            yield Check(
                name,
                "problem",
                f"{installed}; tui-ft needs {allowed[_folded(name)]}.",
                f"Install the tested version:\npip install '{name}=={version}'",
            )
        else:
            same = installed.partition("+")[0] == version
            fine.append(f"{name} {installed}" if same else f"{name} {installed} (tested: {version})")
    if fine:
        yield Check("packages", "ok", ", ".join(fine))


def hardware_checks(hardware: Hardware, probe: Probe | None) -> Iterator[Check]:
    """Driver, PyTorch, each GPU, bitsandbytes and each file system, with the notices where they belong."""
    for_mounts = {notice for mount in hardware.host.mounts for notice in mount_notices(mount)}
    gpu_ids = {gpu.id for gpu in hardware.gpus}
    box = [n for n in hardware.notices if n.gpu not in gpu_ids and n not in for_mounts]
    yield from (_from_notice(_TOPICS.get(notice.id, "GPU"), notice) for notice in box)
    mentioned = {_TOPICS.get(notice.id) for notice in hardware.notices}
    if hardware.driver and "driver" not in mentioned:
        newest = dotted(hardware.cuda_driver) or "unknown"
        yield Check("driver", "ok", f"NVIDIA {hardware.driver}, runs CUDA up to {newest}.")
    if hardware.torch is not None and "PyTorch" not in mentioned:
        made_for = f"CUDA {dotted(hardware.torch.cuda)}" if hardware.torch.cuda else "the CPU"
        yield Check("PyTorch", "ok", f"{hardware.torch.version}, made for {made_for}{_tried(probe)}.")
    for gpu in hardware.gpus:
        yield from _gpu_checks(gpu, hardware.notices)
    if probe is not None and not probe.error and "bitsandbytes" not in mentioned:
        where = ", ".join(tried.device for tried in probe.devices if tried.results.get("nf4") == "")
        yield Check("bitsandbytes", "ok", f"4-bit weights work on {where}.")
    for mount in hardware.host.mounts:
        space = f"{gib(mount.free_bytes)} free of {gib(mount.total_bytes)} for {', '.join(mount.uses)}."
        found = list(mount_notices(mount))
        yield from (_from_notice(f"disk {mount.path}", notice) for notice in found)
        if not found:
            yield Check(f"disk {mount.path}", "ok", space)


def _gpu_checks(gpu: Gpu, notices: Sequence[Notice]) -> Iterator[Check]:
    own = [notice for notice in notices if notice.gpu == gpu.id]
    yield from (_from_notice(_TOPICS.get(notice.id) or gpu_label(gpu), notice) for notice in own)
    if not own:
        capability = f"sm_{gpu.capability[0]}{gpu.capability[1]}" if gpu.capability else "capability unknown"
        hidden = "" if gpu.visible else ", hidden from CUDA"
        space = f"{gib(gpu.free_bytes)} free of {gib(gpu.total_bytes)}"
        yield Check(
            gpu_label(gpu),
            "ok",
            f"{short_name(gpu.name)}, {space}, {capability}{hidden}.",
        )


def _from_notice(name: str, notice: Notice) -> Check:
    return Check(name, _STATES[notice.severity], notice.what, notice.fix)


def _tried(probe: Probe | None) -> str:
    if probe is None or probe.error:
        return ""
    return f", computes on {', '.join(t.device for t in probe.devices if t.results.get('matmul') == '')}"


def _requirements() -> dict[str, str]:
    """Our own requirements as version ranges, by folded name. Empty when run without being installed."""
    from packaging.requirements import Requirement

    try:
        declared = metadata.requires("tui-ft") or []
    except metadata.PackageNotFoundError:
        return {}
    parsed = [Requirement(line) for line in declared]
    return {_folded(r.name): str(r.specifier) for r in parsed if r.marker is None}


def _within(installed: str, allowed: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(allowed).contains(installed.partition("+")[0], prereleases=True)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")
