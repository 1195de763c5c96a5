"""A plan in words: the lines that the plan screen, the plain mode and the command line show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tui_ft.planning.bill_text import bill_lines, span
from tui_ft.planning.cost import at_price
from tui_ft.planning.managed import dollars
from tui_ft.planning.plan import Fit, FitPlan, Plan, Reason
from tui_ft.planning.record import shown
from tui_ft.text import GIB, count, excerpt

METHOD_NAMES = {"lora": "LoRA", "qlora": "QLoRA", "dora": "DoRA", "full": "full"}
VERDICTS: dict[Fit, str] = {
    "safe": "SAFE: fits",
    "tight": "TIGHT: may run out of memory",
    "wont_fit": "WON'T FIT",
    "unknown": "UNKNOWN: free memory not reported",
}
_BAR, _BAR_ASCII = "▓▒░·", "#=-."


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the plan: what is set, to what, and why. `keys` are the recipe keys behind it."""

    label: str
    value: str
    why: str
    pinned: bool
    keys: tuple[str, ...]


def headline(plan: Plan) -> str:
    """`QLoRA on Llama-3.1-8B, 558 rows`."""
    method = "Full training of" if plan.method.name == "full" else f"{METHOD_NAMES[plan.method.name]} on"
    model = excerpt(plan.model_id.rstrip("/").rpartition("/")[2], 40)
    return f"{method} {model}, {count(plan.rows_train, 'row')}"


def memory_text(plan: Plan) -> str:
    """`8.4 of 23.1 GiB ±0.3`, and `verified` once it was counted on the real model."""
    peak, band = plan.memory.peak_bytes / GIB, plan.memory.peak_bytes * plan.memory.band / GIB
    of = "" if plan.memory_available_bytes is None else f" of {plan.memory_available_bytes / GIB:,.1f}"
    return f"{peak:,.1f}{of} GiB ±{band:.1f}" + (" verified" if plan.memory.verified else "")


def memory_parts(plan: Plan) -> list[tuple[str, int]]:
    """Parts of the peak with their bytes, without the empty ones."""
    return [(name, size) for name, size in plan.memory.parts().items() if size]


def memory_bar(plan: Plan, width: int, *, ascii: bool = False) -> str:  # noqa: A002 - the flag is called --ascii
    """The peak against what is free: weights, what training adds, the context, what stays free."""
    marks = _BAR_ASCII if ascii else _BAR
    memory = plan.memory
    whole = max(plan.memory_available_bytes or 0, memory.peak_bytes, 1)
    resting = memory.weights + memory.adapters
    ends = [resting, memory.peak_bytes - memory.context, memory.peak_bytes, whole]
    cells = [round(end / whole * width) for end in ends]
    starts = [0, *cells[:-1]]
    return "".join(mark * (end - start) for mark, start, end in zip(marks, starts, cells, strict=True))


def time_text(plan: Plan) -> str:
    """`38–52 min`, or `unknown`."""
    return "unknown" if plan.time_s is None else span(plan.time_s)


def money_text(plan: Plan) -> str:
    """`$0.35–0.48`, `$0.20–0.90 at typical prices`, or `no price given`."""
    if plan.money is not None:
        return dollars(plan.money.low, plan.money.high)
    if plan.time_s is None:
        return "unknown"
    typical = at_price(plan.time_s, plan.costs.price) if plan.costs else None
    return f"{dollars(typical.low, typical.high)} at typical prices" if typical else "no price given"


def disk_text(plan: Plan) -> str:
    """`21 of 180 GiB, enough`."""
    needed = f"{plan.disk_bytes / GIB:,.1f}"
    if plan.disk_free_bytes is None:
        return f"{needed} GiB"
    enough = "enough" if plan.disk_bytes <= plan.disk_free_bytes else "not enough"
    return f"{needed} of {plan.disk_free_bytes / GIB:,.0f} GiB, {enough}"


def settings(plan: Plan) -> list[Setting]:
    """The settings that matter, in the order in which a person asks for them."""
    because = {reason.key: reason for reason in plan.reasons}
    method, train = plan.method, plan.train
    then = f"{train.grad_accum} times before each update" if train.grad_accum > 1 else "then an update"
    at_once = f"{train.micro_batch} at once, {then}"
    steps = count(plan.steps, "update")
    lines = [
        _setting("method", METHOD_NAMES[method.name], because, "method.name"),
        _setting("learns", method.objective, because, "method.objective"),
        _setting("rank", shown(method.rank), because, "method.rank"),
        _setting("alpha", shown(method.alpha), because, "method.alpha"),
        _setting("dropout", shown(method.dropout), because, "method.dropout"),
        _setting("learning rate", shown(train.learning_rate), because, "train.learning_rate"),
        _setting("epochs", shown(train.epochs), because, "train.epochs", extra=steps),
        _setting(
            "batch",
            f"{train.micro_batch} × {train.grad_accum}",
            because,
            "train.grad_accum",
            "train.micro_batch",
            extra=at_once,
        ),
        _setting("length", f"{train.seq_len:,}", because, "train.seq_len"),
        _setting("packing", shown(train.packing), because, "train.packing"),
        _setting(
            "checkpointing", shown(train.gradient_checkpointing), because, "train.gradient_checkpointing"
        ),
        _setting("optimizer", train.optimizer, because, "train.optimizer"),
        _setting("precision", train.precision, because, "train.precision"),
        _setting("loss on", train.loss_on, because, "train.loss_on"),
        _setting("beta", shown(method.beta), because, "method.beta"),
        _setting("evaluate", f"every {train.eval_every:,}", because, "train.eval_every"),
        _setting("stop early", shown(train.early_stopping), because, "train.early_stopping"),
    ]
    idle = {"rank", "alpha", "dropout"} if method.name == "full" else set()
    # What dpo and kto learn from is the comparison, whatever loss_on says.
    idle |= {"beta"} if not method.preference else set() if method.objective == "orpo" else {"loss on"}
    return [line for line in lines if line.label not in idle]


def plan_lines(plan: Plan, *, width: int = 80, ascii: bool = False) -> list[str]:  # noqa: A002
    """The whole plan as text, ending with what the user should read before starting."""
    return [
        *_summary(plan, width, ascii=ascii),
        "",
        *_table(plan, width),
        *_other_ways(plan, width),
        *_cautions(plan, width),
    ]


def _summary(plan: Plan, width: int, *, ascii: bool) -> Iterator[str]:  # noqa: A002
    head, verdict = headline(plan), VERDICTS[plan.fits]
    yield head + verdict.rjust(width - len(head)) if len(head) + len(verdict) < width else head
    if len(head) + len(verdict) >= width:
        yield verdict
    text = memory_text(plan)
    bar = memory_bar(plan, max(10, width - len(text) - 9), ascii=ascii)
    yield f"memory  {bar} {text}"
    yield from _folded(" · ".join(f"{name} {size / GIB:.1f}" for name, size in memory_parts(plan)), width, 8)
    if plan.on_gpu is not None:
        peak, off = plan.on_gpu.peak_bytes / GIB, plan.on_gpu.peak_bytes * plan.on_gpu.band / GIB
        yield from _folded(f"on a GPU these settings need {peak:.1f} GiB ±{off:.1f}", width, 8)
    costs = f"time    {time_text(plan)}    money {money_text(plan)}    disk {disk_text(plan)}"
    yield from _folded(costs, width, 8)
    if plan.time_basis:
        yield from _folded(f"{'rests on' if plan.time_s else 'because'} {plan.time_basis}", width, 8)
    for line in bill_lines(plan):
        yield from _folded(line, width, 8)


def _table(plan: Plan, width: int) -> Iterator[str]:
    for line in settings(plan):
        mark = "pinned; " if line.pinned and not line.why.startswith("your choice") else ""
        yield from _folded(f"{line.label:<15}{line.value:<11}  {mark}{line.why}", width, 28)
    held_out = f"{plan.rows_validation:,} to watch, {plan.rows_test:,} for the final test"
    yield f"{'held out':<15}{held_out}"


def way_text(way: FitPlan) -> str:
    """`tight, 17.7 GiB, 4–11 min: rank 32 instead of 16, 0.5 GiB more`."""
    fits = {"safe": "", "tight": "tight, ", "wont_fit": "does not fit, ", "unknown": ""}[way.fits]
    time = f", {span(way.time_s)}" if way.time_s else ""
    return f"{fits}{way.peak_bytes / GIB:,.1f} GiB{time}: {', '.join(way.reasons)}"


def _other_ways(plan: Plan, width: int) -> Iterator[str]:
    if plan.alternatives or plan.several or plan.larger:
        yield ""
        yield "other ways"
    for way in (*plan.alternatives, *plan.several):
        yield from _folded(f"{way.title:<15}{way_text(way)}", width, 15)
    if plan.larger:
        yield from _folded(f"{'larger GPU':<15}{plan.larger.words}", width, 15)


def _cautions(plan: Plan, width: int) -> Iterator[str]:
    if plan.warnings:
        yield ""
    for warning in plan.warnings:
        yield from _folded(f"! {warning}", width, 2)


def _setting(label: str, value: str, because: dict[str, Reason], *keys: str, extra: str = "") -> Setting:
    reason = because.get(keys[0])
    why = "; ".join(part for part in (extra, reason.why if reason else "") if part)
    pinned = any(because[key].pinned for key in keys if key in because)
    return Setting(label, value, why, pinned, keys)


def _folded(text: str, width: int, indent: int) -> Iterator[str]:
    """The text in lines of `width`; all but a table's first column are indented."""
    first = text if text.startswith(("!", "time")) or indent > 8 else " " * indent + text
    while len(first) > width:
        at = first.rfind(" ", indent + 1, width + 1)
        if at <= indent:
            at = width
        yield first[:at].rstrip()
        first = " " * indent + first[at:].lstrip()
    yield first.rstrip()
