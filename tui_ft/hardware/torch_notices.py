"""Notices on PyTorch: does the installed build fit this driver and these GPUs, and does it work. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tui_ft.hardware.describe import dotted, short_name
from tui_ft.hardware.evidence import Evidence
from tui_ft.hardware.facts import Gpu, Notice, TorchBuild
from tui_ft.hardware.probing import Tried
from tui_ft.hardware.torch_build import INDEX, install_line, pip_line, runs_on

# Oldest driver branch for each CUDA major version. NVIDIA "CUDA Compatibility", table 1.
_OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}


def about(evidence: Evidence) -> Iterator[Notice]:
    """What the files of the build tell, then what the probe found, if it was run."""
    build = evidence.torch
    if build is None:
        gpu = evidence.visible[0] if evidence.visible else None
        line = install_line(gpu.capability, evidence.reading.cuda_driver) if gpu else None
        yield Notice(
            "no-torch",
            "error",
            "PyTorch is not installed, so nothing can be trained.",
            "Install it:\n" + (line or f"pip install torch --index-url {INDEX}/cpu"),
        )
        return
    misfit = _misfit(evidence, build)
    yield from misfit
    yield from _kernels(evidence, build)
    yield from _tried(evidence, build, explained=bool(misfit))


def _misfit(evidence: Evidence, build: TorchBuild) -> tuple[Notice, ...]:
    """The build cannot use the GPU at all, whatever is tried."""
    if not evidence.visible:
        return (_rocm(),) if build.rocm else ()
    gpu, driver = evidence.visible[0], evidence.reading.cuda_driver
    better = install_line(gpu.capability, driver)
    if build.cuda is None:
        purpose = "AMD GPUs" if build.rocm else "the CPU only"
        card = short_name(gpu.name)
        what = f"The installed PyTorch ({build.version}) cannot use the {card}: it is made for {purpose}."
        fix = f"Replace it by one for this GPU:\n{better}" if better else _newer_driver(12)
        return (Notice("torch-without-cuda", "error", what, fix),)
    if driver is not None and driver[0] < build.cuda[0]:
        what = (
            f"The NVIDIA driver ({evidence.reading.driver or 'version unknown'}) runs CUDA up to "
            f"{dotted(driver)}, but the installed PyTorch ({build.version}) is made for CUDA "
            f"{dotted(build.cuda)}."
        )
        fix = f"Install a PyTorch for this driver:\n{better}" if better else _newer_driver(build.cuda[0])
        return (Notice("driver-too-old", "error", what, fix),)
    return ()


def _rocm() -> Notice:
    return Notice(
        "torch-rocm",
        "info",
        "The installed PyTorch is made for AMD GPUs (ROCm). tui-ft works with NVIDIA GPUs only and uses "
        "the CPU here.",
    )


def _newer_driver(cuda_major: int) -> str:
    oldest = _OLDEST_DRIVER.get(cuda_major)
    version = f"{oldest} or newer" if oldest else f"one with CUDA {cuda_major}"
    rented = f"On a rented machine, choose one with CUDA {cuda_major} or newer."
    return f"Update the NVIDIA driver to {version}. {rented}"


def _kernels(evidence: Evidence, build: TorchBuild) -> Iterator[Notice]:
    """GPUs the build has no code for. The probe knows; before it, the published wheels are a good guess."""
    if build.cuda is None:
        return
    measured = evidence.probe.archs if evidence.probe is not None else ()
    archs = measured or build.published_archs
    verb = "has" if measured else "seems to have"
    for gpu in evidence.visible:
        if gpu.capability is None or runs_on(archs, gpu.capability) is not False:
            continue
        better = install_line(gpu.capability, evidence.reading.cuda_driver)
        card = f"{short_name(gpu.name)} (sm_{gpu.capability[0]}{gpu.capability[1]})"
        yield Notice(
            "no-kernels",
            "error" if measured else "warning",
            f"The installed PyTorch ({build.version}) {verb} no code for the {card}. "
            f"It has {', '.join(archs)}.",
            f"Replace it by one for this GPU:\n{better}"
            if better
            else "No current PyTorch for this driver runs on this GPU. Use another GPU or a newer driver.",
            gpu.id,
        )


def _tried(evidence: Evidence, build: TorchBuild, *, explained: bool) -> Iterator[Notice]:
    """What failed when it was tried. `explained`: why CUDA is not available has been said already."""
    probe = evidence.probe
    if probe is None:
        return
    if probe.error:
        wheels = f"cu{build.cuda[0]}{build.cuda[1]}" if build.cuda else "cpu"
        yield Notice(
            "torch-broken",
            "warning" if probe.slow else "error",
            f"PyTorch could not be tried out: {probe.error}.",
            "Try `tui-ft doctor` again; the first start after an installation is slow."
            if probe.slow
            else f"Install it again:\n{pip_line(wheels, 'torch==' + build.version.partition('+')[0])}",
        )
    elif evidence.visible and build.cuda and not probe.available and not explained:
        yield Notice(
            "cuda-unavailable",
            "error",
            f"PyTorch cannot use the GPU: {probe.why or 'it does not say why'}",
            "Restart the container or the machine, then run `tui-ft doctor` again.",
        )
    elif probe.available and not evidence.reading.gpus:
        yield Notice(
            "gpu-without-nvml",
            "warning",
            "PyTorch can use a GPU, but NVML does not show it. Its memory is unknown, so the CPU is used.",
            "Make the driver's libnvidia-ml.so.1 available, for example through LD_LIBRARY_PATH.",
        )
    gpus = {gpu.uuid.partition("-")[2]: gpu for gpu in evidence.visible}
    for tried in probe.devices:
        if tried.device != "cpu" or not evidence.visible:  # a run would use the GPU
            yield from _failures(tried, gpus.get(tried.uuid))


def _failures(tried: Tried, gpu: Gpu | None) -> Iterator[Notice]:
    where = f"on the {short_name(gpu.name)}" if gpu else f"on {tried.device}"
    gpu_id = gpu.id if gpu else ""
    if failure := tried.results.get("matmul"):
        yield Notice(
            "compute-fails",
            "error",
            f"PyTorch cannot compute {where}: {failure}",
            "Its memory is full: stop what holds it, or choose another GPU."
            if "out of memory" in failure
            else "If the driver fits the PyTorch build, restart the machine or choose another GPU.",
            gpu_id,
        )
        return
    if (failure := tried.results.get("bf16")) and (gpu is None or gpu.bf16):
        yield Notice(
            "bf16-fails",
            "warning",
            f"bf16 numbers do not work {where}: {failure}",
            'Set precision = "fp32" under [train] in the recipe.',
            gpu_id,
        )
    if failure := tried.results.get("nf4"):
        yield Notice(
            "4bit-fails",
            "warning",
            f"4-bit weights (QLoRA) do not work {where}: {failure}",
            "Use LoRA, or install bitsandbytes again:\npip install --force-reinstall --no-deps bitsandbytes",
            gpu_id,
        )
