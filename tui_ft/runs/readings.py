"""Values out of events, whatever stands in them: what cannot be read is None or left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tui_ft.runs.events import Event
from tui_ft.text import excerpt


@dataclass(frozen=True, slots=True)
class Alert:
    """Something the user should look at, with one proposed action. `id` is stable."""

    id: str
    severity: Literal["info", "warning", "error"]
    what: str
    action: str
    step: int | None
    time: float


@dataclass(frozen=True, slots=True)
class News:
    """One line of what happened: saved, evaluated, asked to stop."""

    time: float
    text: str


@dataclass(frozen=True, slots=True)
class Best:
    """The lowest validation loss so far and the step it was reached at."""

    step: int
    eval_loss: float


@dataclass(frozen=True, slots=True)
class Gauge:
    """A GPU as the worker sampled it. None: the driver did not say."""

    name: str
    memory_bytes: int | None
    total_bytes: int | None
    utilisation: float | None
    temperature_c: int | None
    power_w: float | None


@dataclass(frozen=True, slots=True)
class HostGauge:
    """The machine around the GPUs as the worker sampled it. `cpu` is a share of all cores."""

    cpu: float | None
    ram_used_bytes: int | None
    ram_total_bytes: int | None


def number(value: object) -> float | None:
    """A number; None for anything else, true and false included."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def alert(event: Event, at: float) -> Alert:
    """The alert of an `alert` event, harmless to show."""
    severity = event.get("severity")
    step = event.get("step")
    return Alert(
        id=excerpt(str(event.get("id", "alert")), 60),
        severity=severity if severity in ("info", "warning", "error") else "warning",
        what=excerpt(str(event.get("what", "")), 300),
        action=excerpt(str(event.get("action", "")), 300),
        step=step if isinstance(step, int) else None,
        time=at,
    )


def gauges(event: Event) -> tuple[Gauge, ...]:
    """The GPUs of a `gauges` event."""
    found = event.get("gpus")
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return tuple(
        Gauge(
            name=excerpt(str(entry.get("name", "GPU")), 40),
            memory_bytes=whole(entry.get("memory_bytes")),
            total_bytes=whole(entry.get("total_bytes")),
            utilisation=number(entry.get("utilisation")),
            temperature_c=whole(entry.get("temperature_c")),
            power_w=number(entry.get("power_w")),
        )
        for entry in entries
    )


def host(event: Event) -> HostGauge | None:
    """The machine of a `gauges` event."""
    found = event.get("host")
    if not isinstance(found, dict):
        return None
    return HostGauge(
        cpu=number(found.get("cpu")),
        ram_used_bytes=whole(found.get("ram_used_bytes")),
        ram_total_bytes=whole(found.get("ram_total_bytes")),
    )


def whole(value: object) -> int | None:
    """A whole number; None for anything that is no finite number."""
    found = number(value)
    return None if found is None or not math.isfinite(found) else int(found)
