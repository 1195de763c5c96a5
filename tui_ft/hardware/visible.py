"""Which GPUs CUDA shows to a process, by the rules of CUDA_VISIBLE_DEVICES. Pure.

Rules: CUDA Programming Guide, appendix "CUDA Environment Variables"; NVIDIA MIG User Guide, "CUDA Device
Enumeration"; corner cases as torch.cuda 2.13 reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

_NUMBER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU or a MIG slice, as CUDA_VISIBLE_DEVICES may name it."""

    index: int  # of the physical card
    uuid: str
    slice: int | None = None
    instance: tuple[int, int] | None = None  # GPU instance and compute instance of a MIG slice
    card_uuid: str = ""  # of the card that a MIG slice belongs to


@dataclass(frozen=True, slots=True)
class Visibility:
    """What CUDA makes of CUDA_VISIBLE_DEVICES."""

    shown: tuple[int, ...]  # positions in the given devices, in CUDA's order
    unknown: str | None = None  # the first name that fits no device: CUDA drops it and all that follow
    repeated: bool = False  # a device is named twice: CUDA then shows none
    by_index: bool = False  # the cards are named by number


def visibility(value: str | None, devices: Sequence[Device]) -> Visibility:
    """Read `value` (None: the variable is not set) against the devices NVML lists.

    Numbers count cards in NVML's order, which is CUDA's only under CUDA_DEVICE_ORDER=PCI_BUS_ID. A card in
    MIG mode stands for its first slice. One process sees one slice, and then no other GPU.
    """
    if value is None:
        return Visibility(_one_slice(_first_of_each_card(devices), devices))
    names = [name.strip() for name in value.split(",")]
    prefix = names[0][:4] if names[0].startswith(("GPU-", "MIG-")) else ""
    readable = list(takewhile(lambda name: _readable(name, prefix), names))
    stop = names[len(readable)] if len(readable) < len(names) else ""
    unknown = None if not stop or stop.startswith("-") else stop
    keys = readable if prefix else [_number(name) for name in readable]
    if len(set(keys)) < len(keys):
        return Visibility((), repeated=True, by_index=not prefix)
    shown: list[int] = []
    for name in readable:
        position = _by_uuid(name, devices) if prefix else _by_number(name, devices)
        if position is None:
            unknown = name
            break
        if position in shown:
            return Visibility((), repeated=True)
        shown.append(position)
    return Visibility(_one_slice(shown, devices), unknown, by_index=not prefix)


def _readable(name: str, prefix: str) -> bool:
    """A name of the same kind as the first: a UUID with its prefix, or a number that is not negative."""
    return name.startswith(prefix) if prefix else _number(name) >= 0


def _number(name: str) -> int:
    """Like C's strtoul, CUDA takes the number that a name starts with: `1gpu` is 1. No number is -1."""
    number = _NUMBER.match(name)
    return int(number.group()) if number else -1


def _by_number(name: str, devices: Sequence[Device]) -> int | None:
    return _first(p for p, device in enumerate(devices) if device.index == _number(name))


def _by_uuid(name: str, devices: Sequence[Device]) -> int | None:
    """The one device whose UUID starts with `name`; None when there is none, or more than one."""
    if name.startswith("MIG-GPU-"):
        fits = [p for p, device in enumerate(devices) if _is_instance(name, device)]
    else:
        fits = [p for p, device in enumerate(devices) if device.uuid.startswith(name)]
    # A card in MIG mode is not among the devices, its slices are.
    cards = {device.card_uuid for device in devices if device.card_uuid.startswith(name)}
    if not fits and len(cards) == 1:
        return _first(p for p, device in enumerate(devices) if device.card_uuid in cards)
    return fits[0] if len(fits) == 1 else None


def _is_instance(name: str, device: Device) -> bool:
    """`MIG-GPU-<uuid of the card>/<GPU instance>/<compute instance>`, the form before driver 470."""
    card, _, instance = name.removeprefix("MIG-").partition("/")
    if device.instance is None or not device.card_uuid.startswith(card):
        return False
    return instance == f"{device.instance[0]}/{device.instance[1]}"


def _first_of_each_card(devices: Sequence[Device]) -> list[int]:
    seen: set[int] = set()
    firsts = []
    for position, device in enumerate(devices):
        if device.index not in seen:
            seen.add(device.index)
            firsts.append(position)
    return firsts


def _one_slice(shown: Sequence[int], devices: Sequence[Device]) -> tuple[int, ...]:
    slices = [position for position in shown if devices[position].slice is not None]
    return (slices[0],) if slices else tuple(shown)


def _first(positions: Iterable[int]) -> int | None:
    return next(iter(positions), None)
