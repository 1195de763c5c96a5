"""The exact predictor: the real model on fake tensors, one step counted storage by storage.

A child process (`tracing`) builds what the worker would build, from config.json alone, on a machine
without a GPU, in seconds. Its figures replace those of the formula and are marked as verified.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from tui_ft.errors import EnvironmentProblem, InputError, Problem
from tui_ft.planning.fit import FitTable
from tui_ft.planning.memory import CUBLAS_WORKSPACE, CUDA_CONTEXT, PYTHON_ON_CPU, Device, judge, need
from tui_ft.planning.plan import UNDECIDED, FitPlan, MemoryEstimate, MethodPlan, Plan, TrainPlan
from tui_ft.text import count, excerpt, gib

TIMEOUT_S = 300.0  # a 70B takes a quarter of that, full training of one half; slow disks import slowly
BAND, BAND_EXPERTS, BAND_ON_CPU = 0.03, 0.05, 0.25  # see docs/memory.md
OBJECTIVES = ("sft", "cpt")

_COMMAND = (sys.executable, "-P", "-m", "tui_ft.planning.tracing")
_WORDS = {
    "embedding": "embedding",
    "forward and backward": "forward and backward",
    "loss": "loss",
    "embedding gradient": "gradient of the embedding",
    "optimizer": "optimizer step",
}


class Stopped(EnvironmentProblem):
    """Somebody stopped the check before it had an answer."""


class Tracing:
    """A check that is going on in a child process. `stop` may be called from any thread."""

    def __init__(
        self,
        config: Mapping[str, Any],
        method: MethodPlan,
        train: TrainPlan,
        *,
        device: Device,
        scored: float = 1.0,
        gpus: int = 1,
        full_depth: bool = False,
    ) -> None:
        """Start the child.

        `config` is the content of config.json; `scored` the share of the tokens that are learned from; with
        several `gpus` each holds a whole copy (DDP). `full_depth` runs every layer even where fewer tell
        the same. Raises InputError for what is not modelled, EnvironmentProblem when there is no process.
        """
        if method.objective not in OBJECTIVES:
            raise InputError(
                f"the exact check does not model {method.objective} training",
                where="method.objective",
                fix="The plan keeps the estimate of the formula, with its wider band.",
            )
        if not config.get("model_type"):
            raise InputError(
                "the config names no model_type", where="config.json", fix="Fetch the model again."
            )
        self._method, self._train, self._device, self._gpus = method, train, device, gpus
        self._experts = any("experts" in key for key in config)
        self._scored = scored
        self._stopped = False
        request = {
            "config": dict(config),
            "method": asdict(method),
            "train": asdict(train),
            "device": device,
            "scored": scored,
            "full_depth": full_depth,
        }
        self._request = json.dumps(request)
        try:
            self._child = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise EnvironmentProblem(
                f"the exact check could not be started: {error}", fix="Close other programs and try again."
            ) from None

    def stop(self) -> None:
        """Kill the child; whoever waits for the result gets `Stopped`."""
        self._stopped = True
        self._child.kill()

    def result(self, timeout_s: float = TIMEOUT_S) -> MemoryEstimate:
        """Wait for the answer.

        Raises InputError when transformers cannot build the model, EnvironmentProblem when the child dies or
        takes longer than `timeout_s`, `Stopped` after `stop`.
        """
        try:
            answer, words = self._child.communicate(self._request, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()
            raise EnvironmentProblem(
                f"the exact check had no answer within {timeout_s:g} s",
                fix="The estimate of the formula stands. Try again when the machine is less busy.",
            ) from None
        except BaseException:
            self._child.kill()
            self._child.communicate()
            raise
        if self._stopped:
            raise Stopped("the exact check was stopped", fix="The estimate of the formula stands.")
        if self._child.returncode:
            raise _died(self._child.returncode, words)
        return self._estimate(_read(answer))

    def _estimate(self, found: Mapping[str, Any]) -> MemoryEstimate:
        traced: Mapping[str, int] = found["parts"]
        exchange = found["trained_bytes"] if self._gpus > 1 else 0
        cuda = self._device == "cuda"
        parts = {
            "weights": traced.get("weights", 0),
            "adapters": traced.get("adapters", 0),
            "optimizer": traced.get("optimizer", 0),
            "gradients": traced.get("gradients", 0) + exchange,
            "activations": traced.get("activations", 0) + CUBLAS_WORKSPACE,
            "loss_head": traced.get("loss_head", 0),
            "context": CUDA_CONTEXT if cuda else PYTHON_ON_CPU,
        }
        band = BAND_EXPERTS if self._experts else BAND
        return MemoryEstimate(
            **parts,
            peak_bytes=sum(parts.values()),
            band=band if cuda else BAND_ON_CPU,
            peak_at=_where(found["moment"], found["layer"], found["layers"]),
            assumptions=tuple(_assumptions(self._train, self._device, found)),
            verified=True,
            scored=self._scored,
        )


def estimate(
    config: Mapping[str, Any],
    method: MethodPlan,
    train: TrainPlan,
    *,
    device: Device,
    scored: float = 1.0,
    gpus: int = 1,
    timeout_s: float = TIMEOUT_S,
) -> MemoryEstimate:
    """Start a check and wait for it. Raises like `Tracing` and `Tracing.result`."""
    return Tracing(config, method, train, device=device, scored=scored, gpus=gpus).result(timeout_s)


def verify(
    plan: Plan,
    config: Mapping[str, Any],
    *,
    started: Callable[[Tracing], None] = lambda _: None,
    timeout_s: float = TIMEOUT_S,
) -> Plan:
    """The plan with its memory counted on the real model, and judged again. Blocks: call it from a thread.

    `started` is handed the running check, so that it can be stopped. Raises like `Tracing` and
    `Tracing.result`; the plan that was given stays good then.
    """
    check = Tracing(config, plan.method, plan.train, device=plan.device, scored=plan.memory.scored)
    started(check)
    memory = check.result(timeout_s)
    return replace(plan, memory=memory, fits=judge(memory, plan.memory_available_bytes, plan.device))


def verify_table(
    table: FitTable,
    config: Mapping[str, Any],
    *,
    say: Callable[[str], None] = lambda _: None,
    timeout_s: float = TIMEOUT_S,
) -> FitTable:
    """The table of `tui-ft fit` with every row counted on the real model, one after the other.

    `say` is told which. FSDP's shards are not traced: such rows stay as they are. Raises like `estimate`.
    """
    rows = []
    for row in table.plans:
        if row.strategy != "fsdp":
            say(f"Counting {row.method} on the real model")
            row = _verified(row, table, config, timeout_s)
        rows.append(row)
    return replace(table, plans=tuple(rows))


def _verified(row: FitPlan, table: FitTable, config: Mapping[str, Any], timeout_s: float) -> FitPlan:
    method = MethodPlan(row.method, "sft", row.rank, 2 * row.rank, 0.0, "all-linear", rslora=False)
    train = replace(
        UNDECIDED,
        micro_batch=row.micro_batch,
        grad_accum=row.grad_accum,
        seq_len=row.seq,
        packing=row.packing,
        gradient_checkpointing=row.gradient_checkpointing,
        optimizer=row.optimizer,
        precision=row.precision,
    )
    gpus = table.gpus if row.strategy == "ddp" else 1
    memory = estimate(config, method, train, device="cuda", gpus=gpus, timeout_s=timeout_s)
    fits = judge(memory, table.memory_bytes, "cuda")
    needed = f"counted on the real model: {gib(memory.peak_bytes)} of {gib(table.memory_bytes)}"
    return replace(
        row,
        peak_bytes=memory.peak_bytes,
        need_bytes=need(memory, "cuda")[1],
        parts=memory.parts(),
        band=memory.band,
        fits=fits,
        reasons=(needed, *row.reasons[1:-1], f"peak at: {memory.peak_at}"),
        verified=True,
    )


def _read(answer: str) -> Mapping[str, Any]:
    try:
        found: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise EnvironmentProblem(
            "the exact check gave no readable answer", fix="`tui-ft doctor` tries the libraries it needs."
        ) from None
    problems = found.get("problems")
    if problems:
        raise InputError([Problem(excerpt(what, 300), where, fix) for what, where, fix in problems])
    return found


def _died(code: int, words: str) -> EnvironmentProblem:
    said = [line for line in words.splitlines() if line.strip()]
    how = f"was killed by signal {-code}" if code < 0 else "failed"
    last = f": {excerpt(said[-1], 200)}" if said and code > 0 else ""
    return EnvironmentProblem(
        f"the exact check {how}{last}",
        fix="The estimate of the formula stands. `tui-ft doctor` tries the libraries the check needs.",
    )


def _where(moment: str, layer: int, layers: int) -> str:
    if moment in _WORDS:
        return _WORDS[moment]
    place = {0: "the first layer", layers - 1: "the last layer"}.get(layer, f"layer {layer + 1}")
    return f"{moment} of {place}"


def _assumptions(train: TrainPlan, device: Device, found: Mapping[str, Any]) -> list[str]:
    depths: list[int] = found["depths"]
    said = [
        f"a batch of {count(train.micro_batch, 'row')}, each {train.seq_len:,} tokens long",
        f"counted on the real model with {found['versions']}",
    ]
    if len(depths) > 1:
        shown = " and ".join(str(depth) for depth in depths)
        said.append(f"run with {shown} layers and drawn on to {found['layers']}, which are alike")
    if train.optimizer.startswith("paged") and device == "cuda":
        said.append("optimizer states of large matrices paged out to main memory")
    if device == "cpu":
        said.append("resident memory of the worker process; the system's file cache not counted")
    return said
