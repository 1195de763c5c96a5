"""Two processes on the processor, over gloo: the same training as in one, and nobody left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training.conftest import (
    Workshop,
    events,
    log_of,
    losses,
    state_of,
    wait_for_step,
    wait_until,
    write_rows,
)
from tui_ft.runs import checkpoints, control, launch, ranks, status
from tui_ft.runs.folder import RunFolder

pytestmark = pytest.mark.train

TWO: dict[str, Any] = {"gpus": 2, "strategy": "ddp", "micro_batch": 2, "grad_accum": 2}
ONE: dict[str, Any] = {"micro_batch": 2, "grad_accum": 4}


def train_in_two(workshop: Workshop, run: RunFolder, *args: str) -> None:
    """Train to the end in two processes that are forks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks.folder_of(run).mkdir(exist_ok=True)
    pids = [
        workshop.zygote.ask(
            module="forked_ranks",
            check="become",
            args=[str(run.path), str(number), "2", port, *args],
            log=str(run.log),
        )
        for number in range(2)
    ]
    assert [workshop.wait(pid) for pid in pids] == [0, 0], log_of(run)


def weights(folder: Path) -> dict[str, Any]:
    """The tensors of an adapter."""
    return dict(load_file(folder / "adapter_model.safetensors"))


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
def test_two_processes_learn_what_one_does(workshop: Workshop, packing: bool) -> None:
    more: dict[str, Any] = {"epochs": 3.0, "packing": packing, "seq_len": 32, "method": {"dropout": 0.0}}
    two, one = workshop.run(name="two", **TWO, **more), workshop.run(name="one", **ONE, **more)
    for run in (two, one):
        write_rows(run.data / "train.parquet", range(23))  # the last micro-batches are not full
        write_rows(run.data / "validation.parquet", range(23, 28))
    train_in_two(workshop, two)
    assert workshop.train(one) == 0, log_of(one)
    assert state_of(two) == state_of(one) == "finished"
    assert len(losses(one)) > 2
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    assert [event["eval_loss"] for event in events(two, "eval")] == pytest.approx(
        [event["eval_loss"] for event in events(one, "eval")], abs=1e-5
    )
    assert sum(event["kind"] == "end" for event in events(two)) == 1
    ours, theirs = weights(two.adapter), weights(one.adapter)
    assert all(np.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)
    assert not list(two.adapter.glob("rng_state*"))


def test_two_processes_that_were_killed_go_on_bit_for_bit(workshop: Workshop) -> None:
    """A run of two processes that died: goes on from its checkpoint bit for bit."""
    whole = workshop.run(name="whole", **TWO, epochs=4.0)
    train_in_two(workshop, whole)
    cut = RunFolder(whole.path.with_name(f"cut-{whole.id}"))
    shutil.copytree(whole.path, cut.path)
    first, *later = checkpoints.listed(cut)
    for saved in later:
        shutil.rmtree(saved.path)
    assert 0 < first.step < 12
    assert {path.name for path in first.path.glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}
    train_in_two(workshop, cut, "--resume")
    assert losses(cut) == losses(whole) + losses(whole)[first.step :]
    ours, theirs = weights(cut.adapter), weights(whole.adapter)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def start(run: RunFolder) -> list[int]:
    """Start it as a user does, under torchrun; returns the pids of its ranks once both train."""
    launch.start(run, "train")
    wait_for_step(run, 2)
    found = ranks.read(run)
    assert [rank.rank for rank in found] == [0, 1]
    return [rank.pid for rank in found]


def gone(pid: int) -> bool:
    """Whether no such process runs."""
    return not status.process_identity(pid)


def test_a_dead_rank_ends_the_run_with_its_name_and_leaves_nobody(workshop: Workshop) -> None:
    """One of two processes of a run is killed with `kill -9`: the run fails with that rank's name within
    seconds, and no process is left."""
    run = workshop.run(name="dead", **TWO, epochs=4000.0)
    first, second = start(run)
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: not status.alive(run), run, seconds=15)
    found = status.read(run)
    assert found is not None
    assert found.state == "failed"
    assert found.message == f"rank 1 (pid {second}) died: killed by signal 9"
    assert "tui-ft resume" in found.fix
    wait_until(lambda: gone(first), run)
    assert events(run, "alert")[-1]["id"] == "rank-lost"


@pytest.mark.slow
def test_a_stop_request_ends_all_ranks_at_the_same_step(workshop: Workshop) -> None:
    """SIGTERM in a run of two processes: all save and end at the same step."""
    run = workshop.run(name="stop", **TWO, epochs=4000.0)
    pids = start(run)
    control.request(run, "save")
    wait_until(lambda: any(e["reason"] == "requested" for e in events(run, "checkpoint")), run)
    worker = status.Holder.read(run)
    assert worker is not None
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: not status.alive(run), run)
    assert state_of(run) == "stopped", log_of(run)
    assert checkpoints.listed(run)[-1].step == events(run, "step")[-1]["step"]
    assert all(map(gone, pids))


@pytest.mark.slow
def test_a_stuck_rank_is_named(workshop: Workshop) -> None:
    """One of two processes is stopped (SIGSTOP): named as stuck and ended with the others."""
    run = workshop.run(name="stuck", **TWO, epochs=4000.0)
    _, second = start(run)
    os.kill(second, signal.SIGSTOP)
    wait_until(lambda: not status.alive(run), run)
    assert status.reality(run).status.message.startswith(f"rank 1 (pid {second}) is stuck: not heard of for")
    assert gone(second)


@pytest.mark.slow
def test_ranks_do_not_outlive_the_process_that_watches_them(workshop: Workshop) -> None:
    """The process that watches over the ranks is killed: no rank outlives it, and the run is lost, to be
    resumed."""
    run = workshop.run(name="orphans", **TWO, epochs=4000.0)
    pids = start(run)
    worker = status.Holder.read(run)
    assert worker is not None
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: all(map(gone, pids)), run)
    assert state_of(run) == "lost"
