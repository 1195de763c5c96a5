"""What else a plan could be, and what it costs, as text: knobs, other ways, the bill. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from tui_ft.planning import managed
from tui_ft.planning.bill_text import price_text
from tui_ft.planning.knobs import Knob, Turn
from tui_ft.planning.plan import Costs, DiskNeed, Fit, FitPlan, ManagedCost, Plan, Range
from tui_ft.text import GIB, gib, percent

from .ink import BAD, GOOD, MUTED, STRONG, WARN, columns, facts, hang, ink, join
from .plan_text import METHODS, span

_NOTICED = 0.05 * GIB  # smaller differences of memory are "same memory"
_FITS: dict[Fit, tuple[str, str]] = {
    "safe": ("SAFE", GOOD),
    "tight": ("TIGHT", WARN),
    "wont_fit": ("WON'T FIT", BAD),
    "unknown": ("unknown", MUTED),
}


def turn_lines(knob: Knob | None, width: int, *, all_of_them: bool) -> list[Content]:
    """What a step to the left and one to the right would do; or what every value would."""
    if knob is None:
        return []
    if not all_of_them:
        sides = (("←", knob.beside(-1)), ("→", knob.beside(1)))
        return [_turn(sign, turn, knob, width) for sign, turn in sides if turn is not None]
    return [_turn("●" if turn.current else " ", turn, knob, width) for turn in knob.turns]


def _turn(sign: str, turn: Turn, knob: Knob, width: int) -> Content:
    head = join(ink(f"{sign} ", "bold $accent"), ink(f"{turn.text:<8} ", STRONG if turn.current else ""))
    if turn.problem:
        line = join(head, ink(turn.problem, MUTED))
    elif turn.current:
        line = join(
            head, ink(", ".join(filter(None, [_memory(turn), span(turn.time_s), dollars(turn.money)])))
        )
    else:
        line = join(head, _effect(turn, knob.now))
    return line.truncate(width, ellipsis=True)


def _effect(turn: Turn, now: Turn) -> Content:
    """Only what differs: memory, time, money, epochs, rows cut, and whether it still fits."""
    more = turn.more_bytes or 0
    said = [f"{more / GIB:+.1f} GiB" if abs(more) >= _NOTICED else "same memory"]
    if turn.time_s is not None and now.time_s is not None:
        same = span(turn.time_s) == span(now.time_s)
        said.append("same time" if same else span(turn.time_s))
    if turn.money is not None and dollars(turn.money) != dollars(now.money):
        said.append(dollars(turn.money))
    if turn.steps is not None and turn.steps != now.steps:
        said.append(f"{turn.steps:,} steps")
    if turn.share_cut is not None and turn.share_cut != now.share_cut:
        said.append(
            f"cuts {percent(turn.share_cut, digits=1)} of the rows" if turn.share_cut else "cuts none"
        )
    words, style = _FITS[turn.fits or "unknown"]
    fits = ink("") if turn.fits == now.fits else join(ink(f"{words}  ", style))
    return join(fits, ink(" · ".join(said)))


def _memory(turn: Turn) -> str:
    return "" if turn.peak_bytes is None else gib(turn.peak_bytes)


def ways(plan: Plan, width: int) -> list[Content]:
    """This plan and its alternatives side by side, and what a larger GPU would buy."""
    plans = plan.alternatives
    heads = ["", "this plan", *(other.title or METHODS[other.method] for other in plans)]
    rows: list[list[Content | str]] = [[ink(head, STRONG) for head in heads]]
    train, now = plan.train, plan.costs.whole if plan.costs is not None else None
    money = now.money if now is not None else plan.money
    here: list[tuple[str, Content | str, list[Content | str]]] = [
        ("method", METHODS[plan.method.name], [METHODS[p.method] for p in plans]),
        ("rank", _rank(plan.method.rank), [_rank(p.rank) for p in plans]),
        ("length", f"{train.seq_len:,}", [f"{p.seq:,}" for p in plans]),
        ("batch", f"{train.micro_batch} × {train.grad_accum}", [_batch(p) for p in plans]),
        ("recompute", _on(train.gradient_checkpointing), [_on(p.gradient_checkpointing) for p in plans]),
        ("memory", gib(plan.memory.peak_bytes), [gib(p.peak_bytes) for p in plans]),
        ("", _fit(plan.fits), [_fit(p.fits) for p in plans]),
        ("time", _short(plan.time_s), [_short(p.time_s) for p in plans]),
        ("money", dollars(money), [dollars(p.money) for p in plans]),
        ("rows cut", "", [_cut(p.share_cut) for p in plans]),
    ]
    for label, own, others in here:
        if own or any(others):
            rows.append([ink(label, MUTED), own, *others])
    lines = columns(rows, gap=2, widths=(9, 11, 11, 11, 11))
    if plan.larger is not None:
        lines += [Content(""), *hang(ink("a larger GPU  ", MUTED), plan.larger.words, width)]
    return lines


def bill(plan: Plan, width: int) -> list[Content]:
    """Time, money and disk by part; the price they rest on; what a managed service would ask."""
    lines: list[Content] = []
    if plan.costs is not None:
        lines += _costs(plan.costs, width)
    if plan.disks:
        lines += [Content(""), ink("Disk", STRONG), *(line for d in plan.disks for line in _disk(d, width))]
    if plan.managed:
        lines += [Content(""), ink("The same tokens at a managed service", STRONG), *_managed(plan.managed)]
    return lines or [ink("Nothing is known about time and money.")]


def _costs(costs: Costs, width: int) -> list[Content]:
    parts = (
        ("training", costs.training),
        ("measuring on the way", costs.evaluation),
        ("comparison at the end", costs.final_evaluation),
        ("together", costs.whole),
        ("one more epoch", costs.one_more_epoch),
        ("export", costs.export),
    )
    rows: list[list[Content | str]] = [
        [ink(name, MUTED), _short(cost.time_s), dollars(cost.money)] for name, cost in parts
    ]
    price = "no price is known; p to say what an hour costs"
    if costs.price is not None:
        price = price_text(costs.price)
    lines = [ink("Time and money", STRONG), *columns(rows), Content(""), *facts([("price", price)], width)]
    return [
        *lines,
        *(line for note in costs.notes for line in hang(ink("· ", MUTED), ink(note, MUTED), width)),
    ]


def _disk(need: DiskNeed, width: int) -> list[Content]:
    free = "unknown" if need.free_bytes is None else gib(need.free_bytes, digits=0)
    verdict = ink("enough", GOOD) if need.enough else ink("NOT ENOUGH", BAD)
    where = " and ".join(need.uses) + (f" on {need.path}" if need.path else "")
    head = join(ink(f"{gib(need.needed_bytes)} of {free} free, "), verdict, ink(f"   {where}", MUTED))
    parts = [f"{name} {gib(size)}" for name, size in need.parts.items() if size >= 0.05 * GIB]
    return [head, *hang("  ", ink(" · ".join(parts), MUTED), width)] if parts else [head]


def _managed(offers: Sequence[ManagedCost]) -> list[Content]:
    rows: list[list[Content | str]] = [
        [ink(o.provider), dollars(Range(o.low, o.high)), ink(f"prices of {o.as_of}; check them", MUTED)]
        for o in offers
    ]
    return columns(rows)


def dollars(money: Range | None) -> str:
    """`$0.35–0.48`; "" when unknown."""
    if money is None:
        return ""
    return managed.dollars(money.low, money.high)


def _short(time_s: Range | None) -> str:
    return "unknown" if time_s is None else span(time_s)


def _rank(rank: int) -> str:
    return str(rank) if rank else "-"


def _batch(plan: FitPlan) -> str:
    return f"{plan.micro_batch} × {plan.grad_accum}"


def _on(value: bool) -> str:
    return "on" if value else "off"


def _fit(fits: Fit) -> Content:
    return ink(*_FITS[fits])


def _cut(share: float | None) -> str:
    return "" if not share else percent(share, digits=1)
