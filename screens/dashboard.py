"""A run as text: what the dashboard shows of a RunView. Pure, so that it is tested without a screen."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.content import Content

from tui_ft.runs.curves import Curve
from tui_ft.runs.readings import Gauge, HostGauge
from tui_ft.runs.view import RunView
from tui_ft.text import GIB, duration, percent

from .ink import ACCENT, BAD, GOOD, MUTED, STRONG, hang, ink, join, labelled, mark
from .widgets.bar import level
from .widgets.chart import Trace
from .widgets.raster import Point, Series, smooth

_SMOOTH_FROM = 40  # with fewer points the raw curve is clear enough

STATE_WORDS = {
    "queued": "waiting to start",
    "starting": "starting",
    "training": "training",
    "evaluating": "measuring",
    "exporting": "exporting",
    "saving": "saving",
    "pausing": "pausing",
    "paused": "paused",
    "stopping": "stopping",
    "stopped": "stopped",
    "finished": "finished",
    "failed": "failed",
    "lost": "lost",
}


def spent(view: RunView) -> str:
    """`$0.21 of ~$0.42`; "" without a price."""
    if view.cost is None or not view.price_per_hour:
        return ""
    if view.eta_s is None:
        return f"${view.cost:,.2f}"
    to_come = sum(view.eta_s) / 2 / 3600 * view.price_per_hour
    return f"${view.cost:,.2f} of ~${view.cost + to_come:,.2f}"


def where(view: RunView) -> Content:
    """`step 61 of 105 · 18 min left (16–21)` for the header."""
    parts = [f"step {view.step:,} of {view.steps:,}" if view.steps else f"step {view.step:,}"]
    if view.eta_s is not None:
        parts.append(left(view.eta_s))
    elif view.elapsed_s is not None and not view.alive:
        parts.append(f"took {duration(view.elapsed_s)}")
    return ink(" · ".join(parts))


def left(eta_s: tuple[float, float]) -> str:
    """`18 min left (16–21)`: the middle, and the range when it says something."""
    low, high = eta_s
    middle = f"{duration((low + high) / 2)} left"
    if high < 120:
        return middle
    unit, size, digits = ("min", 60, 0) if high < 5400 else ("h", 3600, 1)
    ends = [f"{value / size:.{digits}f}" for value in (low, high)]
    return middle if ends[0] == ends[1] else f"{middle} ({ends[0]}–{ends[1]}{'' if unit == 'min' else ' h'})"


def legend(view: RunView) -> Content:
    """The newest figures, and which curve is which."""
    parts = [ink("loss", MUTED)]
    if view.loss is not None:
        parts.append(join(ink("─ train ", ACCENT), ink(f"{view.loss:.3f}", STRONG)))
    elif view.curves["loss"].steps:
        parts.append(ink("─ train: not a number", BAD))
    if view.eval_loss is not None:
        parts.append(join(ink("○ validation "), ink(f"{view.eval_loss:.3f}", STRONG)))
    elif view.curves["eval_loss"].steps:
        parts.append(ink("○ validation: not a number", BAD))
    if view.best is not None:
        parts.append(join(ink("● best ", GOOD), ink(f"{view.best.eval_loss:.3f} at step {view.best.step:,}")))
    return join(" ", Content("   ").join(parts))


def loss_traces(view: RunView, *, shades: bool = True) -> list[Trace]:
    """Train (smoothed once it is long), validation, the best point; drawn in this order.

    Without `shades` the raw curve is left out: it could not be told from the smoothed one.
    """
    train = points(view.curves["loss"])
    traces = []
    if len(train) >= _SMOOTH_FROM:
        if shades:
            traces.append(Trace(Series(train), "$rule"))
        traces.append(Trace(Series(smooth(train, 1 - 1 / max(2.0, len(train) / 20))), ACCENT))
    else:
        traces.append(Trace(Series(train), ACCENT))
    validation = points(view.curves["eval_loss"])
    traces.append(Trace(Series(validation, "dots", "○"), ""))
    if view.best is not None:
        best = ((float(view.best.step), view.best.eval_loss),)
        traces.append(Trace(Series(best, "dots", "●"), "bold $good"))
    return traces


def overlay(view: RunView) -> list[Trace]:
    """Another run's curves, to lie under this one's: train smoothed, validation as small points."""
    train = points(view.curves["loss"])
    if len(train) >= _SMOOTH_FROM:
        train = smooth(train, 1 - 1 / max(2.0, len(train) / 20))
    validation = points(view.curves["eval_loss"])
    return [Trace(Series(train), MUTED), Trace(Series(validation, "dots", "·"), MUTED)]


def overlaid(view: RunView | None) -> Content:
    """When the run under this one was started, for the legend."""
    if view is None or view.started is None:
        return Content("")
    return ink(f"   ┄ {time.strftime('%d %b %H:%M', time.localtime(view.started))}", MUTED)


def reading(view: RunView, step: int) -> Content:
    """The figures at a step, in place of the legend: the nearest recorded ones."""
    parts = [ink(f"step {step:,}", STRONG)]
    for name, label, pattern in (
        ("loss", "train", "{:.3f}"),
        ("eval_loss", "validation", "{:.3f}"),
        ("lr", "rate", "{:.2e}"),
        ("grad_norm", "gradient", "{:.3f}"),
        ("tokens_per_s", "speed", "{:,.0f}"),
    ):
        found = view.curves[name].at(step)
        if found is not None:
            at, value = found
            far = f" at {at:,}" if name == "eval_loss" and at != step else ""
            shown = "not a number" if value is None else pattern.format(value)
            parts.append(join(ink(f"{label} ", MUTED), ink(f"{shown}{far}")))
    return join(" ", Content("   ").join(parts))


def memory_traces(view: RunView) -> list[Trace]:
    """The peak so far in GiB, and what was planned as a level line."""
    curve = view.curves["memory_bytes"]
    used = tuple((x, None if y is None else y / GIB) for x, y in points(curve))
    planned = (view.plan.get("memory") or {}).get("peak_bytes")
    level_line = tuple((x, planned / GIB) for x, _ in used) if planned else ()
    return [Trace(Series(level_line), MUTED), Trace(Series(used), ACCENT)]


def planned_memory(view: RunView, width: int) -> list[Content]:
    """What the plan expected of the memory, part by part."""
    memory = view.plan.get("memory") or {}
    parts = {name: size for name, size in (memory.get("parts") or {}).items() if size}
    if not parts:
        return []
    most = max(parts.values())
    rows = [ink(" planned, by part", MUTED)]
    for name, size in parts.items():
        bar = level(size / most, max(4, min(40, width - 26)))
        rows.append(join(" ", labelled(name, bar, width=13), f" {size / GIB:5.2f} GiB"))
    return rows


def alerts(view: RunView) -> list[Content]:
    """Everything that needed the user, newest first."""
    rows: list[Content] = []
    for found in reversed(view.alerts):
        moment = time.strftime("%H:%M:%S", time.localtime(found.time)) if found.time else ""
        at = f"   step {found.step:,}" if found.step is not None else ""
        rows.append(join(mark(found.severity), " ", ink(found.what, STRONG)))
        rows.append(join("  ", ink(found.action)))
        rows += [join("  ", ink(f"{moment}{at}", MUTED)), Content("")]
    return rows


def points(curve: Curve) -> tuple[Point, ...]:
    """A curve as points to draw."""
    return tuple(zip(map(float, curve.steps), curve.values, strict=True))


def gauges(view: RunView, width: int) -> list[Content]:
    """The machine and the run in figures, for the pane beside the chart. The machine only while it works."""
    rows: list[Content] = []
    room = max(4, width - 21)
    predicted = (view.plan.get("memory") or {}).get("peak_bytes")
    if view.alive and view.gpus:
        for index, gpu in enumerate(view.gpus[:2]):
            rows += _gpu(index, gpu, room)
    elif view.alive and view.host is not None:
        rows += _host(view.host, room)
    if view.memory_bytes is not None:
        text = f"{view.memory_bytes / GIB:.1f} GiB"
        if predicted:
            text += f", planned {predicted / GIB:.1f}"
        rows.append(labelled("run", text, width=9))
    rows.append(labelled("speed", _maybe(view.tokens_per_s, "{:,.0f} tokens/s"), width=9))
    rows.append(labelled("rate", _maybe(view.lr, "{:.2e}"), width=9))
    rows.append(labelled("gradient", _maybe(view.grad_norm, "{:.3f}"), width=9))
    money = spent(view)
    if money:
        rows.append(labelled("spent", money, width=9))
    return [join(" ", row) for row in rows]


def _host(host: HostGauge, room: int) -> list[Content]:
    used, total = host.ram_used_bytes, host.ram_total_bytes
    told = f" {used / GIB:.1f} of {total / GIB:.0f}" if used is not None and total else " unknown"
    share = used / total if used is not None and total else None
    return [
        labelled("cpu", join(level(host.cpu, room), f" {percent(host.cpu)}"), width=9),
        labelled("memory", join(level(share, room - 2), told), width=9),
    ]


def _gpu(index: int, gpu: Gauge, room: int) -> list[Content]:
    share = gpu.memory_bytes / gpu.total_bytes if gpu.memory_bytes is not None and gpu.total_bytes else None
    used = "?" if gpu.memory_bytes is None else f"{gpu.memory_bytes / GIB:.1f}"
    busy = [
        "" if gpu.utilisation is None else percent(gpu.utilisation),
        "" if gpu.temperature_c is None else f"{gpu.temperature_c} °C",
        "" if gpu.power_w is None else f"{gpu.power_w:.0f} W",
    ]
    return [
        labelled(f"gpu {index}", ink(gpu.name, STRONG), width=9),
        labelled("memory", join(level(share, room), f" {used} GiB"), width=9),
        labelled("busy", " · ".join(filter(None, busy)) or "unknown", width=9),
    ]


def progress(view: RunView, width: int) -> Content:
    """Steps, epoch, or what else is being done, as a bar."""
    if view.job != "train" or view.state in ("evaluating", "starting"):
        doing = view.phase or STATE_WORDS[view.state]
        if view.total:
            bar = level(view.done / view.total, 20)
            return join(" ", ink(f"{doing}  "), bar, f" {view.done:,} of {view.total:,}")
        return join(" ", ink(doing))
    if not view.steps:
        return join(" ", ink(STATE_WORDS[view.state]))
    epochs = (view.plan.get("train") or {}).get("epochs")
    share = view.step / view.steps
    tail = f" {percent(share)}"
    if isinstance(epochs, int | float):
        tail += f"   epoch {share * epochs:.1f} of {epochs:g}"
    if view.tokens:
        tail += f"   {view.tokens:,} tokens"
    return join(" ", level(share, max(10, width - len(tail) - 3), style=ACCENT), tail)


def ending(view: RunView) -> tuple[str, str, str] | None:
    """What a run says that is over, paused or lost: severity, headline, what to do. None while it works."""
    best = f"The best weights are those of step {view.best.step:,}." if view.best else view.message
    if view.alive and view.message.startswith("no heartbeat"):
        words = view.message[0].upper() + view.message[1:]
        return "warning", f"{words}.", "The process lives but says nothing; l shows its log."
    if view.shutdown_at is not None:
        wait = duration(max(0.0, view.shutdown_at - time.time()))
        return "warning", f"This box is ended in {wait}.", "k calls that off; the run is over either way."
    if view.state == "queued":
        behind = f"{view.ahead:,} before it" if view.ahead else "it is next"
        return "info", f"Waiting in the queue: {behind}.", "k takes it out."
    match view.state:
        case "finished":
            return "good", "Training is finished.", best
        case "stopped":
            return "good", "Training was stopped; what was learned is kept.", best
        case "paused":
            return "info", "Paused.", "The process has ended and its memory is free; p goes on from there."
        case "failed":
            return "error", f"Training has failed: {view.message or 'the log may say why'}", view.fix
        case "lost":
            return "error", f"The run is lost: {view.message}", "p goes on from the last checkpoint."
    return None


def news(view: RunView, count: int) -> list[Content]:
    """The last things that happened, newest first; the end of the log when nothing was reported."""
    rows = []
    for item in list(view.news)[::-1][:count]:
        moment = time.strftime("%H:%M:%S", time.localtime(item.time))
        rows.append(join(" ", ink(moment, MUTED), "  ", item.text))
    if not rows:
        rows = [join(" ", ink(line, MUTED)) for line in view.log[-count:]]
    return rows + [Content("")] * (count - len(rows))


def message(severity: str, what: str, action: str, width: int) -> list[Content]:
    """An alert or an ending with its one action."""
    lines = hang(join(mark(severity), " "), ink(what, STRONG), width - 2)
    if action:
        lines += hang("  ", action, width - 2)
    return [join(" ", line) for line in lines]


def _maybe(value: float | None, pattern: str) -> Content:
    return ink("unknown", MUTED) if value is None else ink(pattern.format(value))


def series_of(curve: Curve) -> Sequence[Trace]:
    """One curve as a chart of its own."""
    return [Trace(Series(points(curve)), ACCENT)]
