"""Learning from preferences: the losses are trl's, the runs are as safe as any other."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.conftest import Workshop, events, log_of, losses, state_of, wait_for_step
from tui_ft.runs.folder import RunFolder

pytestmark = pytest.mark.train

OBJECTIVES = ("dpo", "kto", "orpo")
EVERY_STEP = 1e-9


def write_judged(path: Path, numbers: range, objective: str) -> None:
    """Rows with a rule to learn: a good answer repeats the question's token, a bad one another."""
    rows: dict[str, list[Any]] = {"row_id": [], "input_ids": [], "labels": []}
    more: dict[str, list[Any]] = (
        {"good": []} if objective == "kto" else {"rejected_ids": [], "rejected_labels": []}
    )
    for number in numbers:
        token = 40 + number % 7
        question = [1, 20 + number % 5, token, token, 30 + number % 3]
        right, wrong = [token] * (3 + number % 4) + [2], [60 + number % 3] * (2 + number % 3) + [2]
        answer = wrong if objective == "kto" and number % 3 == 0 else right
        rows["row_id"].append(str(number))
        rows["input_ids"].append(question + answer)
        rows["labels"].append([-100] * len(question) + answer)
        if objective == "kto":
            more["good"].append(number % 3 != 0)
        else:
            more["rejected_ids"].append(question + wrong)
            more["rejected_labels"].append([-100] * len(question) + wrong)
    kinds = {"row_id": pa.string(), "good": pa.bool_()}
    tokens = pa.list_(pa.int32())
    table = pa.table(
        {name: pa.array(values, kinds.get(name, tokens)) for name, values in (rows | more).items()}
    )
    pq.write_table(table, path)


def judged_run(
    workshop: Workshop, objective: str, method: dict[str, Any] | None = None, **train: Any
) -> RunFolder:
    """A run on pairs or verdicts, ready to be trained."""
    settings = {"objective": objective, "dropout": 0.0, **(method or {})}
    run = workshop.run(name=objective, method=settings, **{"learning_rate": 1e-2, **train})
    write_judged(run.data / "train.parquet", range(24), objective)
    write_judged(run.data / "validation.parquet", range(24, 30), objective)
    return run


def check(workshop: Workshop, name: str, *args: str) -> None:
    """Run a function of preference_checks.py in a fork of the zygote."""
    log = workshop.home.root / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    code = workshop.wait(
        workshop.zygote.ask(check=name, module="preference_checks", args=list(args), log=str(log))
    )
    assert code == 0, log.read_text()[-4000:]


@pytest.mark.parametrize(
    "name", ["dpo_is_trls", "dpo_of_every_weight_is_trls", "kto_is_trls", "orpo_is_trls"]
)
def test_the_loss_is_that_of_trl(workshop: Workshop, tmp_path: Path, name: str) -> None:
    check(workshop, name, str(workshop.model), str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "the_reference_stays",
        "pairs_are_cut_counted_and_left_out",
        "nothing_is_left_to_defaults",
        "experts_are_named",
    ],
)
def test_parts(workshop: Workshop, tmp_path: Path, name: str) -> None:
    check(workshop, name, str(workshop.model), str(tmp_path))


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    **{objective: (objective, {}) for objective in OBJECTIVES},
    "dpo-full": ("dpo", {"name": "full", "rank": 0}),
}
_whole: dict[str, RunFolder] = {}


def prepared(workshop: Workshop, way: str, **train: Any) -> RunFolder:
    """A run of one of the ways."""
    objective, method = WAYS[way]
    rate = 1e-3 if method else 1e-2
    return judged_run(workshop, objective, method, learning_rate=rate, eval_every=5, **train)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, workshop: Workshop) -> tuple[str, RunFolder]:
    """One way to learn from preferences, with the run of it that nobody interrupts."""
    name: str = request.param
    if name not in _whole:
        run = prepared(workshop, name)
        assert workshop.train(run) == 0, log_of(run)
        _whole[name] = run
    return name, _whole[name]


def test_preferences_are_learned(way: tuple[str, RunFolder]) -> None:
    name, run = way
    assert state_of(run) == "finished"
    steps, evaluations = events(run, "step"), events(run, "eval")
    assert losses(run)[-1] < losses(run)[0]
    assert evaluations[-1]["eval_loss"] < evaluations[0]["eval_loss"]
    assert evaluations[-1]["reward_margin"] > evaluations[0]["reward_margin"] > 0
    assert evaluations[-1]["reward_accuracy"] >= 0.8
    assert ("kl" in steps[-1]) == (name == "kto")
    assert events(run, "learning")[0]["moved"] == events(run, "learning")[0]["weights"]


def test_a_killed_run_goes_on_bit_for_bit(workshop: Workshop, way: tuple[str, RunFolder]) -> None:
    name, whole = way
    run = prepared(workshop, name, save_every_minutes=EVERY_STEP)
    pid = workshop.start(run)
    wait_for_step(run, 6)
    os.kill(pid, signal.SIGKILL)
    assert workshop.wait(pid) == -signal.SIGKILL
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert events(run, "start")[-1]["resumed_from"] >= 5
    weights = "model.safetensors" if name == "dpo-full" else "adapter_model.safetensors"
    kept, expected = (max(found.checkpoints.glob("step-*"), key=_number) for found in (run, whole))
    for file in (weights, "optimizer.pt", "rng_state.pth"):
        assert (kept / file).read_bytes() == (expected / file).read_bytes(), file
    assert events(run, "eval")[-1]["eval_loss"] == events(whole, "eval")[-1]["eval_loss"]


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def test_accumulated_pairs_weigh_what_they_weigh_at_once(workshop: Workshop) -> None:
    runs = []
    for micro, accum in ((4, 1), (2, 2)):
        run = judged_run(workshop, "dpo", micro_batch=micro, grad_accum=accum)
        assert workshop.train(run) == 0, log_of(run)
        runs.append(run)
    assert losses(runs[0]) == pytest.approx(losses(runs[1]), rel=1e-4)


@pytest.mark.parametrize("name", ["qlora", "dora"])
def test_pairs_are_learned_by_other_adapters(workshop: Workshop, name: str) -> None:
    run = judged_run(workshop, "dpo", {"name": name}, validation=False)
    assert workshop.train(run) == 0, log_of(run)
    steps = events(run, "step")
    assert steps[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert losses(run)[-1] < losses(run)[0]
