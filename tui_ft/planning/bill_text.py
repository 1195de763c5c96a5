"""Time, money, disk and managed offers of a plan in words, for the command line and the screens. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tui_ft.planning import managed
from tui_ft.planning.managed import dollars
from tui_ft.planning.plan import Cost, DiskNeed, Plan, Price, Range
from tui_ft.text import GIB, duration, excerpt


def span(seconds: Range) -> str:
    """`38–52 min`, `50 s – 4 min`."""
    low, high = _about(seconds.low), _about(seconds.high)
    if low == high:
        return low
    return f"{low.split()[0]}–{high}" if low.split()[1:] == high.split()[1:] else f"{low} – {high}"


def price_text(price: Price | None) -> str:
    """`$0.44/h`, `typical $0.29–0.60/h (November 2026)`, or `no price known`."""
    if price is None:
        return "no price known"
    per_hour = f"{dollars(price.low, price.high)}/h"
    return f"typical {per_hour} ({price.as_of})" if price.typical else per_hour


def cost_text(cost: Cost) -> str:
    """`38–52 min, $0.35–0.48`; `unknown` without a time."""
    if cost.time_s is None:
        return "unknown"
    money = f", {dollars(cost.money.low, cost.money.high)}" if cost.money else ""
    return f"{span(cost.time_s)}{money}"


def disk_need_text(need: DiskNeed) -> str:
    """`/data: 21.0 of 180 GiB, enough`."""
    where = excerpt(need.path, 40) if need.path else " and ".join(need.uses)
    if need.free_bytes is None:
        return f"{where}: {need.needed_bytes / GIB:,.1f} GiB, free space unknown"
    enough = "enough" if need.enough else "not enough"
    return f"{where}: {need.needed_bytes / GIB:,.1f} of {need.free_bytes / GIB:,.0f} GiB, {enough}"


def bill_lines(plan: Plan) -> Iterator[str]:
    """What the time and money consist of, further file systems, and a managed API for comparison."""
    costs = plan.costs
    if costs is not None and costs.whole.time_s is not None:
        parts = {
            "training": costs.training,
            "evaluations": costs.evaluation if plan.rows_validation else None,
            "final evaluation": costs.final_evaluation if plan.rows_test or plan.rows_validation else None,
            "one more epoch": costs.one_more_epoch,
        }
        yield " · ".join(f"{name} {cost_text(part)}" for name, part in parts.items() if part is not None)
        if costs.price is None:
            yield "what an hour of this box costs is unknown; tell it with --price"
        elif costs.price.typical:
            yield f"money at {price_text(costs.price)}, not what this box costs; tell yours with --price"
        else:
            yield f"money at {price_text(costs.price)}, yours"
    for need in plan.disks[1:]:
        yield f"disk {disk_need_text(need)}"
    if plan.managed:
        yield managed.sentence(plan.managed, plan.tokens)


def _about(seconds: float) -> str:
    """A duration to the minute, as good as an estimate is."""
    return duration(seconds) if seconds < 60 or seconds >= 5400 else f"{round(seconds / 60)} min"
