"""Where the weights and the tokenizer of a run's two models are. Light: loads nothing but a tokenizer."""

from __future__ import annotations

from pathlib import Path

from tui_ft.errors import InputError
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.planning.plan import Plan
from tui_ft.runs.folder import RunFolder


def base_folder(plan: Plan) -> Path:
    """Where the base's weights are. Raises InputError when they are not on this machine."""
    folder = Path(plan.model_folder)
    if not plan.model_folder or not folder.is_dir():
        raise InputError(
            f"the base model {plan.model_id} is not on this machine any more",
            where=plan.model_folder,
            fix="Put it back where it was, or train again from the run's recipe.toml.",
        )
    return folder


def tuned_folder(folder: RunFolder, plan: Plan) -> Path:
    """Where the trained weights are. Raises InputError when the run has none yet."""
    full = plan.method.name == "full"
    path = folder.model if full else folder.adapter
    if not (path / ("config.json" if full else "adapter_config.json")).is_file():
        raise InputError(
            "this run has no trained weights yet", where=str(path), fix=f"See `tui-ft show {folder.id}`."
        )
    return path


def tokenizer_of(plan: Plan) -> ChatTokenizer:
    """The base's own tokenizer. Raises InputError when it is missing or knows no stop token."""
    tokenizer = ChatTokenizer.load(base_folder(plan))
    if not tokenizer.stop_ids:
        raise InputError("the model has no stop token, so no answer would end", where=plan.model_folder)
    return tokenizer
