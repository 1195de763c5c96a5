"""What the user should know about the box, each with the way out. Pure: evidence in, notices out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tui_ft.hardware import gpu_notices, torch_notices
from tui_ft.hardware.evidence import Evidence
from tui_ft.hardware.facts import Mount, Notice, NvidiaTraces
from tui_ft.hardware.nvml import Failure, FailureKind
from tui_ft.text import GIB, size

_ORDER = {"error": 0, "warning": 1, "info": 2}
_LOW_DISK = {"runs": 10 * GIB, "model cache": 10 * GIB, "temporary files": GIB}
_SMALL_SHARED_MEMORY = GIB

# NVML's failures as id, what happened, what to do. A missing library is told apart further.
_FAILURES: dict[FailureKind, tuple[str, str, str]] = {
    "no-driver": (
        "driver-not-loaded",
        "The NVIDIA library is installed, but the driver is not loaded, so no GPU can be used.",
        "In a container: start it with --gpus all. On a rented machine: restart it or choose another. "
        "On your own machine: restart it, or type\nsudo modprobe nvidia",
    ),
    "version-mismatch": (
        "driver-mismatch",
        "The NVIDIA library and the loaded driver have different versions: the driver was updated while the "
        "machine was running.",
        "Restart the machine, and start containers again.",
    ),
    "no-permission": (
        "nvml-no-permission",
        "The NVIDIA driver does not let this user see any GPU.",
        "Ask whoever runs this machine for access to /dev/nvidia*, or start the container with --gpus all.",
    ),
}


def notices(evidence: Evidence) -> tuple[Notice, ...]:
    """Every notice, the gravest first."""
    topics: tuple[Iterable[Notice], ...] = (
        _no_gpu(evidence),
        torch_notices.about(evidence),
        gpu_notices.about(evidence),
        _storage(evidence),
    )
    return tuple(sorted((notice for topic in topics for notice in topic), key=lambda n: _ORDER[n.severity]))


def _no_gpu(evidence: Evidence) -> Iterator[Notice]:
    failure, traces = evidence.reading.failure, evidence.traces
    if failure is None:
        if not evidence.reading.gpus and not evidence.reading.unsliced:
            yield Notice(
                "no-devices",
                "warning",
                "The NVIDIA driver answers, but it shows no GPU. Everything runs on the CPU.",
                "Start the container with --gpus all, or ask your cluster for a GPU.",
            )
    elif failure.kind == "no-library":
        yield _no_library(traces)
    else:
        identifier, what, fix = _FAILURES.get(failure.kind) or _other(failure)
        # Images made for GPU machines are also started on machines without one.
        yield Notice(identifier, "error" if traces.card or traces.driver else "warning", what, fix)


def _other(failure: Failure) -> tuple[str, str, str]:
    return (
        "nvml-failed",
        f"The NVIDIA driver does not answer: {failure.detail}.",
        "Try nvidia-smi; if that fails too, restart the machine. On a rented machine, choose another.",
    )


def _no_library(traces: NvidiaTraces) -> Notice:
    """Without any trace of a card, that is simply a machine without a GPU."""
    if not traces.card and not traces.driver:
        return Notice(
            "no-gpu",
            "info",
            "No NVIDIA GPU was found, so everything runs on the CPU. That is fine for trying things out and "
            "for small models, and slow for anything larger.",
            "For larger models, run tui-ft on a machine with an NVIDIA GPU.",
        )
    if traces.container:
        return Notice(
            "no-nvml-library",
            "error",
            "The machine has an NVIDIA GPU, but this container cannot reach it (no libnvidia-ml.so.1).",
            "Start the container with --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility.",
        )
    if traces.driver:
        return Notice(
            "no-nvml-library",
            "error",
            "The NVIDIA driver is loaded, but its library (libnvidia-ml.so.1) cannot be found.",
            "Install the driver's libraries (on Debian and Ubuntu: libnvidia-compute-<version>), or add "
            "their folder to LD_LIBRARY_PATH.",
        )
    return Notice(
        "no-driver",
        "error",
        "There is an NVIDIA GPU in this machine, but no NVIDIA driver is installed.",
        "Install the driver, then restart the machine. On Ubuntu:\nsudo ubuntu-drivers install",
    )


def mount_notices(mount: Mount) -> Iterator[Notice]:
    """Too little space, or a place that does not last."""
    tight = [use for use in mount.uses if mount.free_bytes < _LOW_DISK.get(use, 0)]
    if tight:
        yield Notice(
            "low-disk",
            "warning",
            f"Only {size(mount.free_bytes)} free on {mount.path}, which holds {' and '.join(tight)}. "
            "A model, its checkpoints and its exports take several times the size of its weights.",
            "Free some space, or use a larger disk: --home FOLDER for runs, HF_HOME for the model cache, "
            "TMPDIR for temporary files.",
        )
    if "runs" in mount.uses and mount.filesystem == "tmpfs":
        yield Notice(
            "runs-in-memory",
            "warning",
            "Runs are kept in memory (tmpfs): they take RAM, and are gone after a restart.",
            "Choose a folder on a disk with --home or TUI_FT_HOME.",
        )
    if "runs" in mount.uses and mount.filesystem == "overlay":
        yield Notice(
            "runs-in-container",
            "info",
            "Runs are kept inside the container and are gone when it is removed.",
            "To keep them, choose a mounted volume (often /workspace) with --home or TUI_FT_HOME.",
        )


def _storage(evidence: Evidence) -> Iterator[Notice]:
    for mount in evidence.host.mounts:
        yield from mount_notices(mount)
    shared = evidence.host.shared_memory_bytes
    if shared is not None and shared < _SMALL_SHARED_MEMORY and len(evidence.visible) > 1:
        yield Notice(
            "small-shared-memory",
            "warning",
            f"/dev/shm is {size(shared)}. Training on several GPUs exchanges data there and may crash with "
            "a bus error.",
            "Start the container with --shm-size=8g, or use one GPU.",
        )
