"""A plan as text: what it costs, and every choice with its reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from tui_ft.planning.plan import Plan, Range, Reason
from tui_ft.text import GIB, duration, excerpt, gib

from .ink import ACCENT, BAD, GOOD, MUTED, STRONG, WARN, columns, facts, hang, ink, join, spread
from .widgets.bar import stacked

METHODS = {"lora": "LoRA", "qlora": "QLoRA", "dora": "DoRA", "full": "Full fine-tuning"}
_FITS = {
    "safe": ("SAFE: fits", GOOD),
    "tight": ("TIGHT: may run out of memory", WARN),
    "wont_fit": ("WON'T FIT: needs more memory", BAD),
    "unknown": ("UNKNOWN: cannot be estimated", WARN),
}
_OPTIMIZERS = {
    "adamw": "AdamW",
    "adamw_8bit": "AdamW 8-bit",
    "paged_adamw_8bit": "paged AdamW 8-bit",
    "paged_adamw_32bit": "paged AdamW",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of the plan. `key` is the recipe key that pins it."""

    key: str
    label: str
    value: str
    why: str
    pinned: bool
    source: str = ""


def summary(plan: Plan, width: int) -> list[Content]:
    """What it is, whether it fits, what it costs."""
    words, style = _FITS[plan.fits]
    rows = plan.rows_train + plan.rows_validation + plan.rows_test
    model = plan.model_id.rpartition("/")[2]
    title = ink(f"{METHODS[plan.method.name]} on {model}, {rows:,} rows", STRONG)
    return [
        spread(title, ink(words, style), width),
        *_memory(plan, width),
        _cost(plan),
    ]


def _memory(plan: Plan, width: int) -> list[Content]:
    memory, available = plan.memory, plan.memory_available_bytes
    band = f"±{100 * memory.band:.0f} %" + (" verified" if memory.verified else "")
    if available is None:
        told, total = f"{gib(memory.peak_bytes)} {band}, free memory unknown", float(memory.peak_bytes)
    else:
        told, total = f"{memory.peak_bytes / GIB:.1f} of {gib(available)} {band}", float(available)
    parts = (
        (float(memory.weights), "▓", ACCENT),
        (float(memory.adapters + memory.optimizer + memory.gradients), "▒", ACCENT),
        (float(memory.activations + memory.loss_head), "░", ACCENT),
        (float(memory.context), "▪", MUTED),
    )
    bar = stacked(parts, total, max(10, width - 9 - len(told) - 2))
    # Groups, so that the line fits; the key for the assumptions shows every part.
    groups = ("weights", "training", "activations", "context")
    named = [f"{char} {name} {size / GIB:.1f}" for name, (size, char, _) in zip(groups, parts, strict=True)]
    return [
        join(ink("memory   ", MUTED), bar, "  ", told),
        join(" " * 9, ink(" · ".join(named), MUTED)),
    ]


def _cost(plan: Plan) -> Content:
    if plan.disk_free_bytes is None:
        disk = gib(plan.disk_bytes)
    else:
        enough = "enough" if plan.disk_free_bytes > plan.disk_bytes else "not enough"
        disk = f"{plan.disk_bytes / GIB:.1f} of {gib(plan.disk_free_bytes, digits=0)}, {enough}"
    parts = [("time     ", span(plan.time_s)), ("disk ", disk)]
    money = plan.costs.whole.money if plan.costs is not None else plan.money
    if money is not None:
        typical = plan.costs is not None and plan.costs.price is not None and plan.costs.price.typical
        parts.insert(1, ("money ", f"${money.low:,.2f}–{money.high:,.2f}{' typical' if typical else ''}"))
    return Content("   ").join([join(ink(label, MUTED), ink(value)) for label, value in parts])


def span(time_s: Range | None) -> str:
    """`38–52 min`."""
    if time_s is None:
        return "unknown until the first steps"
    low, high = time_s.low, time_s.high
    if high < 60:
        return duration(high)
    unit, size, digits = ("min", 60.0, 0) if high < 5400 else ("h", 3600.0, 1)
    ends = [f"{value / size:.{digits}f}" for value in (low, high)]
    return f"{ends[0]} {unit}" if ends[0] == ends[1] else f"{ends[0]}–{ends[1]} {unit}"


def choices(plan: Plan) -> list[Choice]:
    """Every value with its reason, the ones that matter most first."""
    method, train = plan.method, plan.train
    known = {reason.key: reason for reason in plan.reasons}
    rows: list[tuple[str, str, str]] = [("method.name", "method", METHODS[method.name])]
    if method.rank:
        rows.append(("method.rank", "rank", str(method.rank)))
    rows += [
        ("train.learning_rate", "learning rate", short_number(train.learning_rate)),
        ("train.epochs", "epochs", f"{train.epochs:g}"),
        ("train.micro_batch", "batch", f"{train.micro_batch} × {train.grad_accum}"),
        ("train.seq_len", "length", f"{train.seq_len:,}"),
        ("train.packing", "packing", "on" if train.packing else "off"),
        ("data.validation", "validation", f"{plan.rows_validation:,} rows"),
        ("train.gradient_checkpointing", "checkpointing", "on" if train.gradient_checkpointing else "off"),
        ("train.precision", "precision", train.precision),
        ("train.optimizer", "optimizer", _OPTIMIZERS[train.optimizer]),
        ("train.eval_every", "evaluate every", f"{train.eval_every:,} steps"),
        ("train.early_stopping", "early stop", _early(train.early_stopping)),
        ("train.schedule", "schedule", train.schedule),
    ]
    if method.rank:
        targets = method.targets if isinstance(method.targets, str) else ", ".join(method.targets)
        rows += [
            ("method.alpha", "alpha", str(method.alpha)),
            ("method.dropout", "dropout", f"{method.dropout:g}"),
            ("method.targets", "targets", targets),
        ]
    rows.append(("train.seed", "seed", str(train.seed)))
    shown = {key for key, _, _ in rows} | {"train.grad_accum"}
    rows += [
        (r.key, r.key.rpartition(".")[2].replace("_", " "), r.value)
        for r in plan.reasons
        if r.key not in shown
    ]
    return [_choice(key, label, value, known, plan) for key, label, value in rows]


def _choice(key: str, label: str, value: str, known: dict[str, Reason], plan: Plan) -> Choice:
    reason = known.get(key)
    if reason is None and key == "train.epochs":
        why = f"{plan.steps:,} steps of {plan.train.effective_batch} rows"
        return Choice(key, label, value, why, False)
    if reason is None:
        why = "held out to notice overfitting" if key == "data.validation" else "the usual value"
        return Choice(key, label, value, why, False)
    return Choice(key, label, value, reason.why, reason.pinned, reason.source)


def table(rows: list[Choice], before: dict[str, str]) -> list[Content]:
    """The choices in columns; a value that an edit has changed says what it was."""
    cells: list[list[Content | str]] = []
    for row in rows:
        was = before.get(row.key, row.value)
        changed = ink(f"was {was}; ", "$warn") if was != row.value else Content("")
        cells.append(
            [
                join(ink("▪ " if row.pinned else "▫ ", ACCENT if row.pinned else MUTED), ink(row.label[:16])),
                ink(excerpt(row.value, 16), STRONG),
                join(changed, ink(row.why, MUTED)),
            ]
        )
    return columns(cells, gap=2, widths=(15, 9))


def why_lines(row: Choice, width: int) -> list[Content]:
    """The whole reason of the marked value, and whose it is."""
    whose = "yours" if row.pinned else "derived"
    source = f" ({row.source})" if row.source else ""
    return hang(ink(f"{row.key}  ", MUTED), join(ink(f"{row.why}{source}"), ink(f"   {whose}", MUTED)), width)


def assumptions(plan: Plan) -> list[Content]:
    """What the memory figure rests on."""
    memory = plan.memory
    lines = [ink(f"The peak of {gib(memory.peak_bytes)} comes at: {memory.peak_at}."), Content("")]
    lines += facts([(name, gib(size, digits=2)) for name, size in memory.parts().items()], 80, label=13)
    lines += [Content(""), *(join(ink("· ", MUTED), ink(text)) for text in memory.assumptions)]
    if plan.on_gpu is not None:
        lines += [Content(""), ink(f"On a GPU these settings need {gib(plan.on_gpu.peak_bytes)}.")]
    return lines


def short_number(value: float) -> str:
    """`2e-4` rather than `0.0002`."""
    if value == 0 or 0.001 <= abs(value) < 10_000:
        return f"{value:g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _early(patience: int) -> str:
    return "never" if not patience else f"after {patience}"
