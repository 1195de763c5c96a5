"""Notices on single GPUs: lost, hidden, split, busy. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tui_ft.hardware.describe import gpu_label, holder
from tui_ft.hardware.evidence import Evidence
from tui_ft.hardware.facts import Gpu, Notice
from tui_ft.text import count, excerpt, gib

_BUSY_BELOW = 0.75  # a desktop takes up to a quarter of a small card; more is somebody's job
_HOLDERS_NAMED = 3


def about(evidence: Evidence) -> Iterator[Notice]:
    """Everything on the GPUs that NVML lists."""
    yield from _unreadable(evidence)
    yield from _hidden(evidence)
    yield from _slices(evidence)
    for gpu in evidence.visible:
        if gpu.free_bytes is not None and gpu.total_bytes and gpu.free_bytes < _BUSY_BELOW * gpu.total_bytes:
            yield _busy(gpu)


def _unreadable(evidence: Evidence) -> Iterator[Notice]:
    labels = {gpu.id: gpu_label(gpu) for gpu in evidence.reading.gpus}
    for gpu_id, reason in evidence.reading.unreadable.items():
        yield Notice(
            "gpu-unreadable",
            "error",
            f"{labels[gpu_id]} cannot be used: the driver says “{reason}”.",
            "A lost GPU comes back with a restart; on a rented machine, take another. The kernel says why:\n"
            "sudo dmesg | grep -i xid",
            gpu_id,
        )


def _hidden(evidence: Evidence) -> Iterator[Notice]:
    gpus, seen = evidence.reading.gpus, evidence.reading.visibility
    setting = f"CUDA_VISIBLE_DEVICES={excerpt(evidence.cuda_visible or '', 60)}"
    if gpus and not evidence.visible:
        hides = "names a GPU twice, which hides" if seen.repeated else "hides"
        which = "the GPU" if len(gpus) == 1 else f"all {len(gpus)} GPUs"
        yield Notice(
            "all-hidden",
            "warning",
            f"{setting} {hides} {which}. Everything runs on the CPU.",
            "To use it, type:\nunset CUDA_VISIBLE_DEVICES",
        )
    elif seen.unknown is not None:
        yield Notice(
            "visible-unknown",
            "warning",
            f"{setting} names “{excerpt(seen.unknown, 40)}”, which is no GPU of this machine. "
            "CUDA leaves out that name and all after it.",
            "`tui-ft gpus --json` shows the numbers and UUIDs to use.",
        )
    if seen.by_index and len({gpu.name for gpu in gpus}) > 1 and evidence.cuda_order != "PCI_BUS_ID":
        yield Notice(
            "cuda-order",
            "warning",
            "The GPUs differ. CUDA numbers them fastest first, this list follows the slots: "
            f"{setting} may mean other GPUs than shown here.",
            "Name the GPUs by UUID, or type:\nexport CUDA_DEVICE_ORDER=PCI_BUS_ID",
        )


def _slices(evidence: Evidence) -> Iterator[Notice]:
    slices = [gpu for gpu in evidence.reading.gpus if gpu.mig]
    for index in evidence.reading.unsliced:
        yield Notice(
            "mig-without-slice",
            "warning",
            f"GPU {index} is in MIG mode but has no slice, so it cannot be used.",
            "Make a slice of the whole card, or switch MIG off:\n"
            f"sudo nvidia-smi mig -cgi 0 -C -i {index}\nsudo nvidia-smi -i {index} -mig 0",
        )
    if slices:
        used = next((gpu for gpu in slices if gpu.visible), None)
        which = f", now {gpu_label(used)} with {gib(used.total_bytes)}" if used else ""
        yield Notice(
            "mig",
            "info",
            f"{count(len(slices), 'MIG slice')} found. A run uses one slice{which}. "
            "Load and power of a slice cannot be measured.",
            "To use another one, name its UUID (`tui-ft gpus --json` shows them):\n"
            "export CUDA_VISIBLE_DEVICES=MIG-…"
            if len(slices) > 1
            else "",
        )


def _busy(gpu: Gpu) -> Notice:
    space = f"{gpu_label(gpu)} has {gib(gpu.free_bytes)} free of {gib(gpu.total_bytes)}"
    if not gpu.processes:
        return Notice(
            "gpu-busy",
            "warning",
            f"{space}. Who holds the rest cannot be seen from here.",
            "It may be another container, or a process that did not end. The plan uses what is free now.",
            gpu.id,
        )
    named = ", ".join(holder(process) for process in gpu.processes[:_HOLDERS_NAMED])
    more = len(gpu.processes) - _HOLDERS_NAMED
    return Notice(
        "gpu-busy",
        "warning",
        f"{space}: {named}{f' and {more} more' if more > 0 else ''}.",
        "The plan uses what is free now. If a process is yours and not needed, stop it first.",
        gpu.id,
    )
