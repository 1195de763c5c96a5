"""Measurements are kept through everything, count only for what is alike, and earn a narrower band."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planning.situations import cpu_box, recipe, report, smollm2
from tests.sample_plan import make_plan
from tui_ft.errors import EnvironmentProblem
from tui_ft.planning import calibration
from tui_ft.planning.calibration import Measurement
from tui_ft.planning.make import make
from tui_ft.planning.plan import MemoryEstimate
from tui_ft.settings import Home

PLAN = make_plan()
GB = 10**9
ESTIMATE = MemoryEstimate(
    weights=GB // 2,
    adapters=0,
    optimizer=0,
    gradients=0,
    activations=GB,
    loss_head=0,
    context=GB // 2,
    peak_bytes=2 * GB,
    band=0.24,
    peak_at="loss",
)
ONE = Measurement(
    device="a card",
    kind="cpu",
    cores=2,
    stack=calibration.stack(),
    method="lora",
    precision="fp32",
    optimizer="adamw",
    parameters=135_000_000,
    active=130_000_000,
    predicted_bytes=2 * GB,
    measured_bytes=2_200_000_000,
    flops_per_s=1e11,
    time=1.0,
)


def apply(*measured: Measurement, parameters: int = 135_000_000) -> MemoryEstimate:
    """The sample estimate, moved."""
    return calibration.apply(ESTIMATE, measured, PLAN.method, PLAN.train, parameters)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    assert calibration.load(home) == ()
    calibration.remember(home, ONE)
    calibration.remember(home, replace(ONE, flops_per_s=None, kind="cuda"))
    assert calibration.load(home) == (ONE, replace(ONE, flops_per_s=None, kind="cuda"))


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_garbage_harms_nothing(tmp_path_factory: pytest.TempPathFactory, before: bytes, after: bytes) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    home.calibration.write_bytes(before)
    calibration.remember(home, ONE)
    with home.calibration.open("ab") as file:
        file.write(after)
    assert ONE in calibration.load(home)


@pytest.mark.parametrize(
    "wrong",
    [
        {"measured_bytes": 0},
        {"measured_bytes": -1},
        {"predicted_bytes": 1},
        {"measured_bytes": 10**13},
        {"measured_bytes": "2"},
        {"measured_bytes": True},
        {"flops_per_s": "fast"},
        {"flops_per_s": -1},
        {"flops_per_s": float("nan")},
        {"kind": "tpu"},
        {"device": None},
        {"parameters": None},
        {"time": "now"},
    ],
)
def test_a_line_that_cannot_be_is_passed_over(tmp_path: Path, wrong: dict[str, Any]) -> None:
    home = Home(tmp_path)
    home.calibration.write_text(json.dumps(asdict(ONE) | wrong) + "\n" + json.dumps(asdict(ONE)) + "\n")
    assert calibration.load(home) == (ONE,)


def test_several_may_write_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    workers = [
        threading.Thread(target=calibration.remember, args=(home, replace(ONE, cores=number)))
        for number in range(20)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found.cores for found in calibration.load(home)) == list(range(20))


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    home = Home(tmp_path)
    line = json.dumps(asdict(ONE)) + "\n"
    home.calibration.write_text(line * (1 + (1 << 20) // len(line)))
    calibration.remember(home, replace(ONE, cores=9))
    assert home.calibration.stat().st_size < 1 << 18
    assert calibration.load(home)[-1].cores == 9


def test_a_home_that_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem):
        calibration.remember(Home(tmp_path / "file"), ONE)


def test_one_measurement_moves_the_estimate_and_halves_the_band() -> None:
    found = apply(ONE)
    assert found.peak_bytes == pytest.approx(2_200_000_000)
    assert sum(found.parts().values()) == found.peak_bytes
    assert found.band == pytest.approx(0.12)
    assert found.assumptions == ("measured on this box once: +10 %",)


def test_a_part_never_becomes_less_than_nothing() -> None:
    found = apply(replace(ONE, measured_bytes=600_000_000))
    assert (found.activations, found.context) == (0, 100_000_000)
    assert found.peak_bytes == 600_000_000


def test_more_of_them_narrow_it_down_to_the_floor() -> None:
    assert apply(ONE, ONE).band == pytest.approx(0.08)
    assert apply(*[ONE] * 30).band == calibration.FLOOR
    assert apply(*[ONE] * 3).assumptions == ("measured on this box 3 times: +10 %",)


def test_a_band_is_never_narrower_than_what_was_seen() -> None:
    found = apply(*[replace(ONE, measured_bytes=round(2 * GB * ratio)) for ratio in (0.7, 1.0, 1.3)])
    assert found.band == pytest.approx(0.3)
    assert found.peak_bytes == 2 * GB


@pytest.mark.parametrize(
    "other",
    [
        {"method": "qlora"},
        {"precision": "bf16"},
        {"optimizer": "adamw_8bit"},
        {"parameters": 400_000_000},
        {"parameters": 60_000_000},
        {"predicted_bytes": 9 * GB, "measured_bytes": 9 * GB},
    ],
)
def test_what_is_not_alike_does_not_count(other: dict[str, Any]) -> None:
    assert apply(replace(ONE, **other)) == ESTIMATE
    assert apply(replace(ONE, **other), ONE) == apply(ONE)


def test_on_picks_this_device_and_these_packages() -> None:
    others = [
        replace(ONE, device="another card"),
        replace(ONE, kind="cuda"),
        replace(ONE, stack="torch 1.0"),
        replace(ONE, cores=64),
    ]
    assert calibration.on([*others, ONE], "a card", "cpu", 2) == (ONE,)
    assert calibration.on(others, "a card", "cuda", 64) == (others[1],)


@given(st.lists(st.floats(0.25, 4.0), min_size=1, max_size=8))
def test_parts_add_up_whatever_was_measured(ratios: list[float]) -> None:
    found = apply(*[replace(ONE, measured_bytes=round(2 * GB * ratio)) for ratio in ratios])
    assert sum(found.parts().values()) == found.peak_bytes
    assert min(found.parts().values()) >= 0
    assert found.band >= calibration.FLOOR


def test_the_rate_spans_what_was_reached() -> None:
    measured = [ONE, replace(ONE, flops_per_s=2e11), replace(ONE, flops_per_s=None)]
    found = calibration.rate(measured, PLAN.method, PLAN.train, 130e6)
    assert found is not None
    span, basis = found
    assert span.low == pytest.approx(0.75e11)
    assert span.high == pytest.approx(2.3e11)
    assert basis == "2 dry runs of this method on this box"
    assert calibration.rate(measured, PLAN.method, PLAN.train, 1e9) is None
    assert calibration.rate([], PLAN.method, PLAN.train, 130e6) is None


def test_the_next_plan_is_moved_and_narrowed() -> None:
    wanted = recipe('[method]\nname = "lora"\n[train]\nmicro_batch = 2')
    plain = make(wanted, smollm2(), report(), cpu_box())
    assert plain.time_s is not None
    seen = replace(
        ONE,
        device=plain.device_name,
        optimizer=plain.train.optimizer,
        precision=plain.train.precision,
        predicted_bytes=plain.memory.peak_bytes,
        measured_bytes=round(1.05 * plain.memory.peak_bytes),
        flops_per_s=0.12e12,
    )
    moved = make(wanted, smollm2(), report(), cpu_box(), calibration=[seen])
    assert moved.memory.peak_bytes == pytest.approx(1.05 * plain.memory.peak_bytes, rel=1e-3)
    assert moved.memory.band == pytest.approx(plain.memory.band / 2)
    assert "measured on this box once: +5 %" in moved.memory.assumptions
    assert moved.time_s is not None
    assert moved.time_s.high / moved.time_s.low < plain.time_s.high / plain.time_s.low
    assert moved.time_basis == "1 dry run of this method on this box"
    elsewhere = make(wanted, smollm2(), report(), cpu_box(), calibration=[replace(seen, device="another")])
    assert elsewhere == plain
