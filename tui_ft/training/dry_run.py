"""The dry run: one update, an evaluation and a save on the longest batch there is, before step 1.

It leaves no trace. The optimizer is a fresh one that is thrown away; its gradients, rates and decay are
zero, so that the weights stay what they are to the bit; random numbers and counters are put back; the
checkpoint goes to a folder of its own and is deleted.
"""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from tui_ft.errors import EnvironmentProblem
from tui_ft.hardware.host import usable_cores
from tui_ft.planning import calibration, cost
from tui_ft.planning.batches import padded_tokens
from tui_ft.planning.calibration import Measurement
from tui_ft.planning.ladder import Rung, command, step_down
from tui_ft.planning.memory import estimate
from tui_ft.planning.plan import Plan
from tui_ft.planning.search import Subject
from tui_ft.runs.diagnosis import is_out_of_memory
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.trial import trial
from tui_ft.settings import Home
from tui_ft.text import excerpt
from tui_ft.training import together
from tui_ft.training.dataset import IGNORED
from tui_ft.training.peak import PeakMeter, asked_bytes
from tui_ft.training.trainer import Trainer

# Of the training's share of the estimated time: batches are not all alike, and machines are shared.
_LOW, _HIGH = 0.85, 1.3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """The longest batch of a split: which sequences, how long, and what share of it is learned."""

    indices: list[int]
    row_tokens: int  # padded length of a row
    tokens: int  # of the batch, as it is computed
    mean_tokens: float  # of a batch of this split
    scored: float
    batches: int  # in one pass over the split


@dataclass(slots=True)
class _Measured:
    """What is known so far; a part that was not reached is missing."""

    seconds: dict[str, float] = field(default_factory=dict)
    part: str = ""


class DryRun(TrainerCallback):  # type: ignore[misc]
    """Tries the longest batch when everything stands ready for the first step, and reports it."""

    def __init__(
        self,
        trainer: Trainer,
        reporter: Reporter,
        plan: Plan,
        subject: Subject | None,
        *,
        steps: int,
        enter: Callable[[str], None],
    ) -> None:
        """`subject` is the model as the memory formula wants it, None when its sizes are unknown.

        `enter` goes to a phase, or raises when somebody has asked for an end.
        """
        self._trainer = trainer
        self._reporter = reporter
        self._plan = plan
        self._subject = subject
        self._steps = steps
        self._enter = enter
        self._measured = _Measured()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raises EnvironmentProblem, with the next plan down the ladder, when memory does not suffice."""
        self._enter("trying the longest batch")
        trainer = self._trainer
        size = trainer.args.per_device_train_batch_size
        training = longest(trainer.train_dataset, size, padded=not self._plan.train.packing)
        validation = None
        if trainer.eval_dataset is not None:
            validation = longest(trainer.eval_dataset, size, padded=not self._plan.train.packing)
        meter = PeakMeter(args.device)
        began = time.monotonic()
        failure: BaseException | None = None
        with unchanged(trainer):
            try:
                self._try(training, validation)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                # The frames of the error hold the tensors that were in the way.
                failure = error.with_traceback(None)
        values = self._values(training, meter) | {"total_s": round(time.monotonic() - began, 3)}
        if failure is not None:
            self._fail(failure, training, meter, values)
        values["time"] = self._whole_run(training, validation)
        values["text"] = trial(values).words()
        self._reporter.event("dry_run", **values)
        self._remember(training, values)
        meter.close()
        self._enter("starting the first step")

    # -- the parts

    def _try(self, training: Batch, validation: Batch | None) -> None:
        trainer, model = self._trainer, self._trainer.model_wrapped
        trainer.optimizer = None
        optimizer = trainer.create_optimizer()
        for group in optimizer.param_groups:
            group["lr"] = group["weight_decay"] = 0.0
        batch = _load(trainer, trainer.train_dataset, training.indices)
        # The first pass warms up; the second has the optimizer's states beside it, as all later steps do.
        self._forward_and_backward(model, batch)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        # bitsandbytes never gives the memory of paged states back, so they are left to the real optimizer.
        if not (self._plan.train.optimizer.startswith("paged") and trainer.args.device.type == "cuda"):
            with self._part("optimizer"):
                optimizer.step()
        if trainer.args.gradient_accumulation_steps == 1:
            model.zero_grad(set_to_none=True)
        self._forward_and_backward(model, batch)
        model.zero_grad(set_to_none=True)
        if validation is not None:
            held_out = _load(trainer, trainer.eval_dataset, validation.indices)
            trainer.model.eval()
            with self._part("evaluation"):
                trainer.prediction_step(trainer.model, dict(held_out), prediction_loss_only=True)
        with self._part("save"):
            trainer.save_checkpoint()

    def _forward_and_backward(self, model: Any, batch: dict[str, Any]) -> None:
        """What `Trainer.training_step` does, in two parts."""
        trainer = self._trainer
        model.train()
        items = trainer.get_batch_samples(iter([batch]), 1, trainer.args.device)[1]
        inputs = trainer._prepare_inputs(dict(batch))
        with trainer.maybe_activation_offload_context:
            with self._part("forward"), trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, inputs, num_items_in_batch=items)
            del inputs
            with self._part("backward"):
                trainer.accelerator.backward(loss)

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        self._measured.part = name
        began = time.monotonic()
        yield
        if self._trainer.args.device.type == "cuda":
            torch.cuda.synchronize()
        self._measured.seconds[name] = round(time.monotonic() - began, 4)

    # -- the report

    def _values(self, batch: Batch, meter: PeakMeter) -> dict[str, Any]:
        memory = self._plan.memory
        cuda = self._plan.device == "cuda"
        predicted = self._predict(self._as_tried(batch), batch)
        measured, seconds = meter.peak_bytes, self._measured.seconds
        update = self._update_s()
        accum = self._trainer.args.gradient_accumulation_steps
        return {
            "rows": len(batch.indices),
            "tokens": batch.tokens,
            "row_tokens": batch.row_tokens,
            "predicted_bytes": predicted,
            "planned_bytes": memory.allocated_bytes if cuda else memory.peak_bytes,
            "measured_bytes": measured,
            "reserved_bytes": meter.reserved_bytes,
            "free_bytes": meter.free_bytes,
            "ratio": round(measured / predicted, 4) if measured and predicted else None,
            "seconds": dict(seconds),
            "tokens_per_s": round(accum * batch.tokens / update, 2) if update else None,
        }

    def _update_s(self) -> float | None:
        """Seconds of one update made of the longest batches."""
        seconds = self._measured.seconds
        if "forward" not in seconds or "backward" not in seconds:
            return None
        passes: int = self._trainer.args.gradient_accumulation_steps
        return passes * (seconds["forward"] + seconds["backward"]) + seconds.get("optimizer", 0.0)

    def _as_tried(self, batch: Batch) -> Rung:
        """The plan with the sizes of this batch, which may be shorter than the limit."""
        plan = self._plan
        tried = replace(plan.train, seq_len=batch.row_tokens, micro_batch=len(batch.indices))
        return Rung(plan.method, tried)

    def _predict(self, rung: Rung, batch: Batch) -> int | None:
        if self._subject is None:
            return None
        found = estimate(
            self._subject.dims,
            self._subject.parameters,
            rung.method,
            rung.train,
            device=self._plan.device,
            model_type=self._subject.model_type,
            scored=batch.scored,
        )
        return found.allocated_bytes if self._plan.device == "cuda" else found.peak_bytes

    def _whole_run(self, training: Batch, validation: Batch | None) -> dict[str, float] | None:
        """Seconds of all steps, evaluations and saves, as a range around what was just measured."""
        update = self._update_s()
        if update is None:
            return None
        seconds, train = self._measured.seconds, self._plan.train
        steps = self._steps * update * training.mean_tokens / training.tokens
        evaluations = 0.0
        if validation is not None:
            share = validation.mean_tokens / validation.tokens
            rounds = -(-self._steps // max(1, train.eval_every))
            evaluations = rounds * validation.batches * seconds["evaluation"] * share
        saves = 1 + (steps + evaluations) / (train.save_every_minutes * 60)
        rest = evaluations + saves * seconds["save"]
        return {"low_s": round(_LOW * steps + rest, 2), "high_s": round(_HIGH * (steps + rest), 2)}

    def _remember(self, batch: Batch, values: dict[str, Any]) -> None:
        """Keep the measurement for the next plan on this box."""
        folder, plan, subject = self._reporter.folder, self._plan, self._subject
        in_home = folder.path.parent.name == "runs"
        if subject is None or values["ratio"] is None or not in_home or not together.leads():
            return
        active = cost.active_weights(subject.dims, subject.parameters, subject.model_type)
        tried = self._as_tried(batch)
        per_token = cost.flops_per_token(subject.dims, active, plan.method, tried.train, batch.row_tokens)
        speed = values["tokens_per_s"]
        measured = Measurement(
            device=plan.device_name,
            kind=plan.device,
            cores=usable_cores(),
            stack=calibration.stack(),
            method=plan.method.name,
            precision=plan.train.precision,
            optimizer=plan.train.optimizer,
            parameters=subject.size,
            active=round(active),
            predicted_bytes=values["predicted_bytes"],
            measured_bytes=values["measured_bytes"],
            flops_per_s=per_token * speed if speed else None,
            time=time.time(),
        )
        try:
            calibration.remember(Home(folder.path.parent.parent), measured)
        except EnvironmentProblem as error:
            _log.warning("what was measured could not be kept: %s", error)

    def _fail(self, error: BaseException, batch: Batch, meter: PeakMeter, values: dict[str, Any]) -> None:
        """Report that memory ran out, with the next plan down the ladder, and end the run."""
        predicted, held = values["predicted_bytes"] or 0, values["measured_bytes"] or 0
        needed = max(held + asked_bytes(error), predicted)
        values |= {"failed": self._measured.part, "needed_bytes": needed, "ratio": None}
        rung = self._down(batch, needed / predicted if predicted else 1.0, meter.free_bytes)
        fix = "Choose a smaller model, or a machine with more memory."
        if rung is not None:
            values["offer"] = {
                "changes": dict(rung.changes),
                "words": rung.words(),
                "needs_bytes": rung.need_bytes,
                "fits": rung.need_bytes <= meter.free_bytes,
            }
            fix = f"{rung.words()}: {command(str(self._reporter.folder.recipe), rung.changes)}"
        words = trial(values).words()
        self._reporter.event("dry_run", **values, text=words)
        raise EnvironmentProblem(words, where=excerpt(str(error), 160), fix=fix) from error

    def _down(self, batch: Batch, correction: float, free_bytes: int) -> Rung | None:
        if self._subject is None:
            return None
        plan, longest_row = self._plan, batch.row_tokens

        def need(rung: Rung) -> int:
            length = min(rung.train.seq_len, longest_row)
            predicted = self._predict(replace(rung, train=replace(rung.train, seq_len=length)), batch)
            return round((predicted or 0) * correction)

        return step_down(plan.method, plan.train, plan.device, need, free_bytes)


def longest(sequences: Any, size: int, *, padded: bool) -> Batch:
    """The batch with most tokens that random order can produce: the `size` longest sequences.

    Among equals, those with most learned tokens. A pair is as long as its longer answer. `padded` says
    that rows of a batch are padded to its longest; packed sequences are laid end to end instead.
    """
    table = sequences.with_format("arrow")[:]
    lengths, learned = _lengths(table, "input_ids", "labels")
    each = 1  # sequences of a row
    if "rejected_ids" in table.column_names:
        others, more = _lengths(table, "rejected_ids", "rejected_labels")
        each, lengths, learned = 2, np.maximum(lengths, others), learned + more
    order = np.lexsort((-learned, -lengths))[:size]
    rows = lengths[order]
    row_tokens = int(rows[0])
    tokens = each * row_tokens * len(rows) if padded else int(rows.sum())
    mean = padded_tokens(sorted(map(int, lengths)), size) if padded else float(lengths.mean())
    return Batch(
        indices=[int(index) for index in order],
        row_tokens=row_tokens if padded else -(-tokens // len(rows)),
        tokens=tokens,
        mean_tokens=each * mean * min(size, len(lengths)),
        scored=float(learned[order].sum() / tokens),
        batches=-(-len(lengths) // size),
    )


def _lengths(table: Any, ids: str, labels: str) -> tuple[Any, Any]:
    """Tokens of each row, and how many of them are learned."""
    lengths = table[ids].combine_chunks().value_lengths().to_numpy()
    learned = table[labels].combine_chunks().flatten().to_numpy() != IGNORED
    return lengths, np.add.reduceat(learned, np.cumsum(lengths) - lengths, dtype=np.int64)


def clear(folder: RunFolder) -> None:
    """Remove what a dry run that was killed has left."""
    shutil.rmtree(_scratch(folder), ignore_errors=True)


def _scratch(folder: RunFolder) -> Path:
    return folder.path / ".dry-run"


def _load(trainer: Trainer, sequences: Any, indices: Sequence[int]) -> dict[str, Any]:
    """One batch, made and moved to the device as the training loop does it."""
    (batch,) = trainer.get_eval_dataloader(sequences.select(indices))
    return dict(batch)


@contextmanager
def unchanged(trainer: Trainer) -> Iterator[None]:
    """Put back everything the trainer's parts remember, and the random numbers, whatever happens."""
    kept = {
        name: getattr(trainer, name)
        for name in ("optimizer", "folder", "saved", "reason", "_total_train_tokens")
    }
    scratch = _scratch(trainer.folder)
    python, numpy = random.getstate(), np.random.get_state()
    devices = [trainer.args.device] if trainer.args.device.type == "cuda" else []
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    with ExitStack() as undo, torch.random.fork_rng(devices=devices):
        undo.callback(shutil.rmtree, scratch, ignore_errors=True)
        undo.callback(np.random.set_state, numpy)
        undo.callback(random.setstate, python)
        trainer.folder = RunFolder(scratch)
        trainer.saved = lambda checkpoint, seconds: None
        trainer.reason = "dry run"
        try:
            yield
        finally:
            trainer.model.zero_grad(set_to_none=True)
            for name, value in kept.items():
                setattr(trainer, name, value)
            for metrics in trainer._metrics.values():
                metrics.clear()
            trainer.model.train()
