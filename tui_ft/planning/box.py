"""What a plan computes on: one device, as far as planning needs to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tui_ft.hardware.facts import Gpu, Hardware, Mount
from tui_ft.planning.calibration import Measurement
from tui_ft.planning.catalogue import Card, find


@dataclass(frozen=True, slots=True)
class Box:
    """One device and what surrounds it. None is unknown."""

    device: Literal["cuda", "cpu"]
    name: str
    memory_bytes: int | None  # free now
    total_bytes: int | None
    capability: tuple[int, int] | None  # of the GPU
    cpu_bf16: bool  # the processor computes bf16 faster than fp32
    cores: int
    tflops: float | None = None  # dense, 16 bits, from the catalogue
    runs_free_bytes: int | None = None  # disk where runs are kept
    gpus: int = 1  # usable ones in the box, this one among them
    alike: int = 1  # of them, those with the same name; so many can train together
    total_is_assumed: bool = False  # the driver did not say what is free; all of the card is counted
    bandwidth_gb_s: float | None = None  # of the GPU's memory, from the catalogue
    price: tuple[float, float] | None = None  # typical dollars per hour of all its GPUs, from the catalogue
    mounts: tuple[Mount, ...] = ()  # file systems that matter
    measured: tuple[Measurement, ...] = ()  # by dry runs on this device

    @property
    def bf16(self) -> bool:
        """bf16 is worth using. A GPU that does not tell its capability is taken for one since 2020."""
        if self.device == "cpu":
            return self.cpu_bf16
        return self.capability is None or self.capability >= (8, 0)


def of_hardware(hardware: Hardware) -> Box:
    """The box a run would use: the usable GPU with most free memory, else the processor."""
    host = hardware.host
    runs = next((mount.free_bytes for mount in host.mounts if "runs" in mount.uses), None)
    if not hardware.usable_gpus:
        return Box(
            device="cpu",
            name=host.cpu,
            memory_bytes=host.ram_available_bytes,
            total_bytes=host.ram_total_bytes,
            capability=None,
            cpu_bf16=host.cpu_bf16,
            cores=host.cores,
            runs_free_bytes=runs,
            mounts=host.mounts,
        )
    gpu = max(hardware.usable_gpus, key=lambda gpu: _free(gpu) or 0)
    card = _card(gpu)
    return Box(
        device="cuda",
        name=gpu.name,
        memory_bytes=_free(gpu),
        total_bytes=gpu.total_bytes or (card.memory_bytes if card else None),
        capability=gpu.capability or (card.capability if card else None),
        cpu_bf16=host.cpu_bf16,
        cores=host.cores,
        tflops=card.tflops if card else None,
        runs_free_bytes=runs,
        gpus=len(hardware.usable_gpus),
        alike=sum(other.name == gpu.name for other in hardware.usable_gpus),
        total_is_assumed=gpu.free_bytes is None,
        bandwidth_gb_s=card.bandwidth_gb_s if card else None,
        price=_price(hardware.gpus),
        mounts=host.mounts,
    )


def of_card(card: Card) -> Box:
    """A card of the catalogue with nothing else on it."""
    return Box(
        device="cuda",
        name=card.short_name,
        memory_bytes=card.memory_bytes,
        total_bytes=card.memory_bytes,
        capability=card.capability,
        cpu_bf16=False,
        cores=1,
        tflops=card.tflops,
        bandwidth_gb_s=card.bandwidth_gb_s,
        price=card.price,
    )


def of_memory(memory_bytes: int) -> Box:
    """Any GPU since 2020 with this much free memory."""
    return Box(
        device="cuda",
        name="GPU",
        memory_bytes=memory_bytes,
        total_bytes=memory_bytes,
        capability=None,
        cpu_bf16=False,
        cores=1,
    )


def _card(gpu: Gpu) -> Card | None:
    """What the catalogue says of it. A slice whose profile is not told has an unknown part of its card."""
    card = find(gpu.name)
    return None if card is None or card.is_slice != gpu.mig else card


def _price(gpus: tuple[Gpu, ...]) -> tuple[float, float] | None:
    """One pays for every GPU of a box, used or not. None when the price of one is unknown."""
    prices = [card.price for gpu in gpus if (card := _card(gpu)) is not None and card.price is not None]
    if not prices or len(prices) < len(gpus):
        return None
    return sum(low for low, _ in prices), sum(high for _, high in prices)


def _free(gpu: Gpu) -> int | None:
    if gpu.free_bytes is not None:
        return gpu.free_bytes
    if gpu.total_bytes is not None:
        return gpu.total_bytes
    card = _card(gpu)
    return card.memory_bytes if card else None
