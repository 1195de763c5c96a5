"""The weights a run ends with: those of its best checkpoint, as a folder other programs can load."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tui_ft.errors import RunFailed
from tui_ft.files import disk_problem, sync_folder
from tui_ft.planning.plan import Plan
from tui_ft.runs import checkpoints
from tui_ft.runs.checkpoints import Checkpoint
from tui_ft.runs.folder import RunFolder
from tui_ft.training.lock import hub_commit

# What a checkpoint needs to go on, and a result does not.
_ONLY_TO_RESUME = frozenset(
    (
        "optimizer.pt",
        "scheduler.pt",
        "scaler.pt",
        "trainer_state.json",
        "progress.json",
        checkpoints.MANIFEST,
    )
)


def _only_to_resume(name: str) -> bool:
    # Each of several processes has random numbers of its own: rng_state_0.pth, rng_state_1.pth …
    return name in _ONLY_TO_RESUME or name.startswith("rng_state")


def choose(folder: RunFolder, best_step: int | None) -> Checkpoint:
    """The checkpoint to keep: the best one by validation loss, else the newest."""
    saved = checkpoints.listed(folder)
    if not saved:
        raise RunFailed("no checkpoint was written", where=folder.id)
    return next((found for found in saved if found.step == best_step), saved[-1])


def keep(folder: RunFolder, chosen: Checkpoint, plan: Plan, tokenizer: Any) -> Path:
    """Copy the checkpoint's weights, with the tokenizer, to adapter/ or model/; returns that folder.

    An earlier result is replaced at once, not file by file. Raises EnvironmentProblem when the disk refuses.
    """
    final = folder.model if plan.method.name == "full" else folder.adapter
    fresh = final.with_name(f".{final.name}-new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for path in sorted(chosen.path.iterdir()):
            if not _only_to_resume(path.name) and path.is_file():
                shutil.copy2(path, fresh / path.name)
        tokenizer.save_pretrained(str(fresh))
        _name_base(fresh / "adapter_config.json", plan)
        for path in fresh.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        old = final.with_name(f".{final.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            final.replace(old)
        fresh.replace(final)
        sync_folder(folder.path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise disk_problem(error, final) from error
    return final


def _name_base(config: Path, plan: Plan) -> None:
    """Name the base by hub id and commit where it has them, not by a folder of this machine."""
    commit = hub_commit(Path(plan.model_folder))
    if commit and config.exists():
        settings = json.loads(config.read_text(encoding="utf-8"))
        settings |= {"base_model_name_or_path": plan.model_id, "revision": commit}
        config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
