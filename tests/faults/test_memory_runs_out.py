"""Out of memory in a training: a fresh process goes on in smaller pieces and learns the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, losses, state_of, wait_until
from tui_ft.runs import amendments, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

# Without dropout, which draws other random numbers for other shapes.
SETTINGS: dict[str, Any] = {"micro_batch": 4, "grad_accum": 1, "epochs": 2.0, "eval_every": 3}
METHOD = {"dropout": 0.0}
EVERY_STEP = 1e-9


@pytest.fixture(scope="module")
def whole(workshop: Workshop) -> RunFolder:
    """The run with memory enough."""
    run = workshop.run(method=METHOD, **SETTINGS)
    assert workshop.train(run) == 0, log_of(run)
    return run


def assert_same_curve(run: RunFolder, whole: RunFolder) -> None:
    """The same losses and learning rates up to rounding."""
    assert state_of(run) == "finished", log_of(run)
    found, expected = view(run), view(whole)
    assert found.curves["lr"] == expected.curves["lr"]
    assert found.curves["loss"].steps == expected.curves["loss"].steps
    assert found.curves["loss"].values == pytest.approx(expected.curves["loss"].values, rel=2e-4)
    assert found.curves["eval_loss"].values == pytest.approx(expected.curves["eval_loss"].values, rel=2e-4)
    assert found.tokens == expected.tokens


@pytest.mark.parametrize("fault", ["oom-step@7", "oom-eval@3", "oom-save@4"])
def test_the_run_goes_on_with_half_the_rows_and_the_same_curve(
    workshop: Workshop, whole: RunFolder, fault: str
) -> None:
    """The GPU is out of memory at a step, in an evaluation or in a save (its error is thrown): goes on by
    itself with half the rows at once, the same curve and rates."""
    run = workshop.run(method=METHOD, **SETTINGS, save_every_minutes=EVERY_STEP)
    assert workshop.train(run, fault=f"{fault},exec-here") == 0, log_of(run)
    assert_same_curve(run, whole)
    (made,) = amendments.read(run)
    assert (made.why, dict(made.values)) == ("memory", {"train.micro_batch": 2, "train.grad_accum": 2})
    assert made.step >= 2
    starts = [event["resumed_from"] for event in events(run, "start")]
    assert starts == [None, made.step]
    (alert,) = (alert for alert in view(run).alerts if alert.id == "out-of-memory")
    assert "2 rows at once, 2 times before each update" in alert.what
    assert len(events(run, "restart")) == 1
    assert len(events(run, "end")) == 1


def test_without_a_checkpoint_it_begins_again_and_a_later_resume_keeps_the_pieces(
    workshop: Workshop, whole: RunFolder
) -> None:
    """The same before anything was saved: begins again in smaller pieces, and every later resume keeps
    them."""
    run = workshop.run(method=METHOD, **SETTINGS)
    assert workshop.train(run, fault="oom-step@2,exec-here") == 0, log_of(run)
    assert_same_curve(run, whole)
    assert [event["resumed_from"] for event in events(run, "start")] == [None, None]
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert len(amendments.read(run)) == 1


def test_the_fresh_process_is_another_program_with_the_same_id_and_lock(
    workshop: Workshop, whole: RunFolder
) -> None:
    """The same, with the process really replaced: its id stays and nobody else can take the lock."""
    run = workshop.run(method=METHOD, **SETTINGS, save_every_minutes=EVERY_STEP)
    pid = workshop.start(run, fault="oom-step@6")
    wait_until(lambda: bool(amendments.read(run)), run)
    while (found := status.reality(run)).state not in ("finished", "failed"):
        # There is no moment at which nobody holds the lock.
        assert found.alive, log_of(run)
        assert found.status.pid == pid
    assert workshop.wait(pid) == 0, log_of(run)
    assert {event["resumed_from"] for event in events(run, "start")} == {None, amendments.read(run)[0].step}
    assert_same_curve(run, whole)


def test_three_times_and_no_more(workshop: Workshop) -> None:
    """Memory never suffices: after three times it fails and offers the next smaller plan as a command."""
    run = workshop.run(method=METHOD, **{**SETTINGS, "micro_batch": 24})
    assert workshop.train(run, fault="always-oom-step@1,exec-here") == 3
    assert [made.values["train.micro_batch"] for made in amendments.read(run)] == [12, 6, 3]
    found = view(run)
    assert found.state == "failed"
    assert found.message.startswith("the GPU ran out of memory")
    assert found.message.endswith("tried in smaller pieces 3 times")
    assert "tui-ft train" in found.fix
    assert "--set" in found.fix


def test_one_row_at_once_is_the_end_of_the_way(workshop: Workshop) -> None:
    """Out of memory with one row at once: fails in a sentence."""
    run = workshop.run(**{**SETTINGS, "micro_batch": 1, "grad_accum": 4})
    assert workshop.train(run, fault="oom-step@3,exec-here") == 3
    assert not amendments.read(run)
    assert view(run).message == "the GPU ran out of memory while training"
    assert losses(run)


def test_the_recipe_may_say_stop(workshop: Workshop) -> None:
    """Out of memory, and the recipe says stop: fails with the smaller plan as a command."""
    run = workshop.run(**SETTINGS)
    run.recipe.write_text(run.recipe.read_text() + '[train]\non_oom = "stop"\n')
    assert workshop.train(run, fault="oom-step@3,exec-here") == 3
    assert not amendments.read(run)
    assert "--set" in view(run).fix
