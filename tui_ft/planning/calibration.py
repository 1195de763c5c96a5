"""What dry runs have measured, remembered per device and stack, and what the next plan learns from it.

`<home>/calibration.jsonl` holds one JSON object per line. Lines that are none are passed over; a worker adds
its line in one write, so several may do so at once.

The rule. Measurements count for a plan when device, stack (versions), method, precision and optimizer are
the same and the model is at most twice as large or half as small; for memory, its estimate at most four
times as large or a quarter as small as well. Of n of them

- the centre is the median of measured over predicted, and moves the estimate;
- the band is max(spread, 3 %, band before / (n + 1)), so one measurement halves it, and two that disagree
  by 20 % keep it at 10 % either way;
- the rate is what they computed per second, from the slowest less 25 % (the longest batch is the one that
  keeps a device busiest) to the fastest plus 15 %.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from statistics import median
from typing import Any, Literal

from tui_ft.files import disk_problem, write_atomically
from tui_ft.planning.plan import MemoryEstimate, MethodPlan, Range, TrainPlan
from tui_ft.settings import Home
from tui_ft.text import count

FLOOR = 0.03  # no band gets narrower: what two equal runs on one box differ by
_SLOWER, _FASTER = 0.75, 1.15
_SIZE = 2.0  # largest ratio of two models that are compared
_BYTES = 4.0  # and of two estimates
_KEPT = 500
_TOO_LONG_BYTES = 1 << 20
_LEAST, _MOST = 0.2, 5.0  # ratios outside say that something else was measured
_PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One dry run. Bytes without the driver's context on a GPU, all of the process on the CPU."""

    device: str  # name of the GPU or processor
    kind: Literal["cuda", "cpu"]
    cores: int  # that a run may use
    stack: str  # versions, see `stack`
    method: str
    precision: str
    optimizer: str
    parameters: int
    active: int  # weights that a token passes
    predicted_bytes: int
    measured_bytes: int
    flops_per_s: float | None  # of forward, backward and update
    time: float  # seconds since 1970

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured_bytes / self.predicted_bytes


@cache
def stack() -> str:
    """The versions that decide memory and speed: `torch 2.13.0+cpu, transformers 5.23.0, …`."""
    return ", ".join(f"{name} {version}" for name in _PACKAGES if (version := _version(name)))


def load(home: Home) -> tuple[Measurement, ...]:
    """The newest measurements, oldest first. What cannot be read is left out; never raises."""
    try:
        lines = home.calibration.read_bytes().split(b"\n")
    except OSError:
        return ()
    return tuple(found for line in lines if (found := _parse(line)) is not None)[-_KEPT:]


def remember(home: Home, measurement: Measurement) -> None:
    """Add a measurement. Raises EnvironmentProblem when the disk or folder refuses."""
    path = home.calibration
    line = json.dumps(asdict(measurement), allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _TOO_LONG_BYTES:
            kept = [json.dumps(asdict(found), allow_nan=False) + "\n" for found in load(home)]
            write_atomically(path, "".join([*kept, line]))
            return
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            end = os.fstat(handle).st_size
            torn = end and os.pread(handle, 1, end - 1) != b"\n"
            os.write(handle, (("\n" if torn else "") + line).encode())
        finally:
            os.close(handle)
    except OSError as error:
        raise disk_problem(error, path) from error


def on(measurements: Sequence[Measurement], device: str, kind: str, cores: int) -> tuple[Measurement, ...]:
    """Those of this device, with as many cores where they compute, and the packages installed now."""
    return tuple(
        found
        for found in measurements
        if (found.device, found.kind) == (device, kind)
        and (kind == "cuda" or found.cores == cores)
        and found.stack == stack()
    )


def apply(
    estimate: MemoryEstimate,
    measured: Sequence[Measurement],
    method: MethodPlan,
    train: TrainPlan,
    parameters: int,
) -> MemoryEstimate:
    """The estimate moved to what was measured, with the band that this earns. `measured` comes from `on`.

    The difference is booked under activations, then the loss head, then the process on a processor: weights
    and states are counted, not estimated.
    """
    ratios = []
    for found in measured:
        counted = estimate.allocated_bytes if found.kind == "cuda" else estimate.peak_bytes
        if (
            _same_way(found, method, train)
            and _within(found.parameters, parameters, _SIZE)
            and _within(found.predicted_bytes, counted, _BYTES)
        ):
            ratios.append(found.ratio)
    if not ratios:
        return estimate
    centre = median(ratios)
    parts = _moved(estimate, round(counted * (centre - 1)), measured[0].kind)
    times = {1: "once", 2: "twice"}.get(len(ratios), count(len(ratios), "time"))
    spread = max(abs(ratio / centre - 1) for ratio in ratios)
    changed = replace(estimate, **parts)
    return replace(
        changed,
        peak_bytes=sum(changed.parts().values()),
        band=max(spread, FLOOR, estimate.band / (len(ratios) + 1)),
        assumptions=(*estimate.assumptions, f"measured on this box {times}: {100 * (centre - 1):+.0f} %"),
    )


def rate(
    measured: Sequence[Measurement], method: MethodPlan, train: TrainPlan, active: float
) -> tuple[Range, str] | None:
    """FLOP/s that like runs reached here, and the words for it; None when none was timed."""
    rates = [
        found.flops_per_s
        for found in measured
        if found.flops_per_s and _same_way(found, method, train) and _within(found.active, active, _SIZE)
    ]
    if not rates:
        return None
    span = Range(min(rates) * _SLOWER, max(rates) * _FASTER)
    return span, f"{count(len(rates), 'dry run')} of this method on this box"


def _moved(estimate: MemoryEstimate, difference: int, kind: str) -> dict[str, Any]:
    """The parts that take up a difference, each down to nothing before the next."""
    parts = {"activations": estimate.activations, "loss_head": estimate.loss_head}
    if kind == "cpu":
        parts["context"] = estimate.context
    for name, size in parts.items():
        taken = max(-size, difference)
        parts[name] = size + taken
        difference -= taken
    return parts


def _same_way(found: Measurement, method: MethodPlan, train: TrainPlan) -> bool:
    how = (found.method, found.precision, found.optimizer)
    return how == (method.name, train.precision, train.optimizer)


def _within(one: float, other: float, factor: float) -> bool:
    return other / factor <= one <= other * factor


def _parse(line: bytes) -> Measurement | None:
    try:
        document = json.loads(line)
        found = Measurement(**{field.name: document[field.name] for field in fields(Measurement)})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if _sane(found, document) else None


def _sane(found: Measurement, document: Mapping[str, Any]) -> bool:
    texts = (found.device, found.stack, found.method, found.precision, found.optimizer)
    wholes = (found.cores, found.parameters, found.active, found.predicted_bytes, found.measured_bytes)
    rate = found.flops_per_s
    return (
        all(isinstance(text, str) for text in texts)
        and found.kind in ("cuda", "cpu")
        and all(isinstance(value, int) and not isinstance(value, bool) for value in wholes)
        and min(found.parameters, found.active, found.predicted_bytes, found.measured_bytes) > 0
        and _LEAST <= found.ratio <= _MOST
        and (rate is None or (isinstance(rate, int | float) and math.isfinite(rate) and rate > 0))
        and isinstance(document["time"], int | float)
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
