"""The adapter a run goes on from: copied into the run, which stays whole when the other is deleted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel
from safetensors import safe_open

from tui_ft.errors import InputError
from tui_ft.files import disk_problem, sha256
from tui_ft.planning.plan import MethodPlan
from tui_ft.runs.continuing import CONFIG, WEIGHTS
from tui_ft.runs.folder import RunFolder

_DIGEST = "sha256"


def fetch(run: RunFolder, source: Path) -> Path:
    """The folder in the run with the adapter it began with, copied from `source` the first time.

    Raises InputError when the adapter is gone, or no longer the one this run began with.
    """
    kept = run.path / "start"
    digest = kept / _DIGEST
    try:
        if not digest.exists():
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            for name in (CONFIG, WEIGHTS):
                shutil.copyfile(source / name, kept / name)
            digest.write_text(sha256(kept / WEIGHTS) + "\n", encoding="ascii")
        elif digest.read_text(encoding="ascii").strip() != sha256(kept / WEIGHTS):
            raise InputError(
                "is not the adapter this run began with",
                where=str(kept / WEIGHTS),
                fix="Put it back, or start a new run from the recipe.",
            )
    except FileNotFoundError as error:
        raise InputError(
            f"the adapter to go on from is gone: {error.filename}", where="method.continue_from"
        ) from None
    except OSError as error:
        raise disk_problem(error, kept) from error
    return kept


def load(base: Any, folder: Path, method: MethodPlan) -> Any:
    """The base with this adapter, ready to be trained on.

    Raises InputError naming what does not fit: tensors without a place, or of another shape.
    """
    config = LoraConfig.from_pretrained(str(folder))
    config.lora_dropout = method.dropout
    config.inference_mode = False
    try:
        model = PeftModel.from_pretrained(base, str(folder), is_trainable=True, config=config)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"the adapter does not fit this model: {str(error).splitlines()[-1].strip()[:160]}",
            where="method.continue_from",
            fix="An adapter fits the model it was trained on and no other.",
        ) from None
    places = {
        name.replace(".default.", ".") for name, weight in model.named_parameters() if weight.requires_grad
    }
    with safe_open(str(folder / WEIGHTS), framework="pt") as stored:
        # DoRA's magnitudes are stored without the name of the parameter in their module.
        names = {name if name.endswith(".weight") else f"{name}.weight" for name in stored.keys()}  # noqa: SIM118
    strange = sorted(names ^ places)
    if strange:
        raise InputError(
            f"{len(strange)} matrices of the adapter have no counterpart, such as {strange[0]}",
            where="method.continue_from",
            fix="An adapter fits the model it was trained on and no other.",
        )
    return model
