"""The exact predictor: against the reference traces, in what it says, and when it cannot answer."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.planning.traces import PUBLISHED, TRACES, config_of, error, method_of, train_of
from tests.sample_plan import make_plan
from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.planning import exact
from tui_ft.planning.exact import Stopped, Tracing
from tui_ft.planning.plan import UNDECIDED, MethodPlan, Plan, TrainPlan

TINY: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "tie_word_embeddings": True,
}
LORA = MethodPlan("lora", "sft", 8, 16, 0.0, "all-linear", rslora=False)
SETTINGS: TrainPlan = replace(UNDECIDED, seq_len=64)


@pytest.fixture
def sleeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that never answers."""
    script = "import sys, time; sys.stdin.read(); time.sleep(600)"
    monkeypatch.setattr(exact, "_COMMAND", (sys.executable, "-c", script))


def answering(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(
        exact, "_COMMAND", (sys.executable, "-c", f"import sys, os; sys.stdin.read(); {script}")
    )


def _first(name: str, layers: int) -> dict[str, Any]:
    """The first random row of a method with at most so many layers."""
    return next(
        row for row in TRACES if row["set"] == "random" and row["method"] == name and row["dims"][0] <= layers
    )


ROWS = [_first("full", 8), _first("lora", 28), _first("qlora", 28), _first("dora", 16)]


def in_child(script: str) -> str:
    """Run a script that may import torch; its output."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.train
def test_each_method_is_counted_as_the_reference_counts_it() -> None:
    script = """
from tests.planning.test_exact import ROWS
from tests.planning.traces import config_of, method_of, train_of
from tui_ft.planning.memory import CUBLAS_WORKSPACE
from tui_ft.planning.tracing.building import read_config
from tui_ft.planning.tracing.depth import trace_whole
from tui_ft.planning.tracing.step import Job
for row in ROWS:
    whole = trace_whole(read_config(config_of(row)), Job(method_of(row), train_of(row), "cuda", 1.0))
    peak = max(whole.peaks.values(), key=lambda peak: peak.total)
    states = peak.parts["optimizer"] if row["optimizer"].startswith("paged") else 0
    print(row["method"], (peak.total + CUBLAS_WORKSPACE - states) / row["peak"] - 1)
"""
    errors = dict(line.split() for line in in_child(script).splitlines())
    assert set(errors) == {"full", "lora", "qlora", "dora"}
    assert max(abs(float(error)) for error in errors.values()) < 0.01


@pytest.mark.train
def test_the_answer_of_the_child_becomes_an_estimate() -> None:
    memory = exact.estimate(TINY, LORA, SETTINGS, device="cuda")
    assert memory.verified
    assert sum(memory.parts().values()) == memory.peak_bytes
    assert min(memory.parts().values()) >= 0
    assert memory.weights >= 2 * (256 * 64 + 4 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128))


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in TRACES if row["set"] == "random"][::3])
def test_the_rest_is_counted_as_the_reference_counts_it(row: dict[str, Any]) -> None:
    memory = exact.estimate(config_of(row), method_of(row), train_of(row), device="cuda")
    assert abs(error(row, memory)) < 0.01


@pytest.mark.train
@pytest.mark.slow
def test_an_unknown_architecture_is_the_users_to_mend() -> None:
    with pytest.raises(InputError, match=r"config\.json: transformers cannot"):
        exact.estimate({**TINY, "model_type": "brand_new"}, LORA, SETTINGS, device="cuda")


@pytest.mark.train
@pytest.mark.slow
def test_depths_leave_nothing_out() -> None:
    """Shallow runs against the whole, and one step against two, in a child that may import torch."""
    script = """
from dataclasses import replace
from tui_ft.planning.plan import MethodPlan, TrainPlan
from tui_ft.planning.tracing.building import read_config
from tui_ft.planning.tracing.depth import trace_whole
from tui_ft.planning.tracing.step import Job, trace
from tests.planning.test_exact import LORA, SETTINGS, TINY
config = read_config({**TINY, "num_hidden_layers": 9})
for method in (LORA, replace(LORA, name="full", rank=0)):
    for checkpointing in (True, False):
        job = Job(method, replace(SETTINGS, gradient_checkpointing=checkpointing, micro_batch=2), "cuda", 0.5)
        shallow = trace_whole(config, job)
        assert len(shallow.depths) == 2, shallow.depths
        whole = max(peak.total for peak in trace(config, job).peaks.values())
        twice = max(peak.total for peak in trace(config, job, first_too=True).peaks.values())
        found = max(peak.total for peak in shallow.peaks.values())
        assert whole == twice == found, (method.name, whole, twice, found)
"""
    assert in_child(script) == ""


@pytest.mark.usefixtures("sleeping")
def test_no_answer_in_time_is_said() -> None:
    with pytest.raises(EnvironmentProblem, match=r"no answer within 0\.2 s"):
        exact.estimate(TINY, LORA, SETTINGS, device="cuda", timeout_s=0.2)


@pytest.mark.usefixtures("sleeping")
def test_a_check_can_be_stopped_from_another_thread() -> None:
    check = Tracing(TINY, LORA, SETTINGS, device="cuda")
    stopper = threading.Timer(0.1, check.stop)
    stopper.start()
    with pytest.raises(Stopped):
        check.result()
    stopper.join()


def test_a_child_that_is_killed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "os.kill(os.getpid(), 9)")
    with pytest.raises(EnvironmentProblem, match="killed by signal 9"):
        exact.estimate(TINY, LORA, SETTINGS, device="cuda")


def test_a_child_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "sys.exit('ImportError: no torch')")
    with pytest.raises(EnvironmentProblem, match="failed: ImportError: no torch"):
        exact.estimate(TINY, LORA, SETTINGS, device="cuda")


def test_an_unreadable_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "print('hello')")
    with pytest.raises(EnvironmentProblem, match="no readable answer"):
        exact.estimate(TINY, LORA, SETTINGS, device="cuda")


def test_what_is_not_modelled_is_refused() -> None:
    with pytest.raises(InputError, match="does not model dpo"):
        Tracing(TINY, replace(LORA, objective="dpo"), SETTINGS, device="cuda")
    with pytest.raises(InputError, match="names no model_type"):
        Tracing({}, LORA, SETTINGS, device="cuda")


def test_a_verified_plan_is_judged_again_and_survives_its_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = (
        '{"moment": "loss", "layer": 0, "layers": 4, "depths": [3, 4], "trained_bytes": 8, "versions": "x",'
        ' "parts": {"weights": 10, "activations": 5}}'
    )
    answering(monkeypatch, f"print('''{answer}''')")
    started: list[Tracing] = []
    plan = exact.verify(replace(make_plan(), memory_available_bytes=1), TINY, started=started.append)
    assert len(started) == 1
    assert plan.memory.verified
    assert plan.memory.weights == 10
    assert plan.memory.peak_at == "loss"
    assert plan.fits == "wont_fit"
    assert Plan.from_json(plan.to_json()) == plan


def test_published_rows_name_their_source() -> None:
    assert len(PUBLISHED) >= 10
    assert all(row["source"].startswith("https://") and row["what"] for row in PUBLISHED)
