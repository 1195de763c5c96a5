"""Time, money, disk and managed offers in words."""

from __future__ import annotations

import pytest

from tests.planning.situations import CPU, RTX_4090, T4, model, recipe, report, smollm2
from tui_ft.planning.bill_text import bill_lines, cost_text, disk_need_text, price_text, span
from tui_ft.planning.make import make
from tui_ft.planning.plan import Cost, DiskNeed, Price, Range
from tui_ft.text import GIB

PRICED = recipe("[limits]\nprice_per_hour = 0.44\n")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (10, 50, "10–50 s"),
        (24, 67, "24 s – 1 min"),
        (2280, 3120, "38–52 min"),
        (4800, 9000, "80 min – 2 h 30 min"),
        (120, 121, "2 min"),
    ],
)
def test_spans(low: float, high: float, text: str) -> None:
    assert span(Range(low, high)) == text


def test_a_typical_price_is_called_typical() -> None:
    assert price_text(None) == "no price known"
    assert price_text(Price(0.44, 0.44, typical=False)) == "$0.44/h"
    assert price_text(Price(0.29, 0.6, typical=True, as_of="May 2026")) == "typical $0.29–0.60/h (May 2026)"


def test_what_is_unknown_is_called_so() -> None:
    assert cost_text(Cost(None, None)) == "unknown"
    assert cost_text(Cost(Range(60, 120), None)) == "1–2 min"
    assert cost_text(Cost(Range(60, 120), Range(0.1, 0.2))) == "1–2 min, $0.10–0.20"


def test_disks() -> None:
    need = DiskNeed("/data", ("runs",), 21 * GIB, 180 * GIB, {"checkpoints": 21 * GIB})
    assert disk_need_text(need) == "/data: 21.0 of 180 GiB, enough"
    short = DiskNeed("/data", ("runs",), 21 * GIB, 10 * GIB, {})
    assert disk_need_text(short) == "/data: 21.0 of 10 GiB, not enough"
    unknown = DiskNeed("", ("runs", "model cache"), GIB, None, {})
    assert disk_need_text(unknown) == "runs and model cache: 1.0 GiB, free space unknown"


def test_lines_name_the_parts_and_whose_price_it_is() -> None:
    mine = "\n".join(bill_lines(make(PRICED, model(), report(), RTX_4090)))
    for part in ("training", "evaluations", "final evaluation", "one more epoch"):
        assert f"{part} " in mine
    assert "money at $0.44/h, yours" in mine
    typical = "\n".join(bill_lines(make(recipe(), model(), report(), RTX_4090)))
    assert "typical $0.29–0.60/h" in typical
    assert "not what this box costs" in typical
    nobody = "\n".join(bill_lines(make(recipe(), smollm2(), report(), CPU)))
    assert "--price" in nobody
    assert "$0.00" not in nobody


def test_without_a_time_only_the_managed_offers_are_left() -> None:
    lines = list(bill_lines(make(PRICED, model(), report(), T4)))
    assert len(lines) == 1
    assert "managed API" in lines[0]
