"""Checks merged models that were tampered with; run as a child process because it loads torch.

python gates_child.py RUN_DIR OTHER_BASE
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.tuned_run import write_adapter
from tui_ft.evaluation.rows import sample
from tui_ft.export import merge
from tui_ft.export.check import Check
from tui_ft.export.merge_check import check_merged
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.runs.folder import RunFolder

Tensors = dict[str, torch.Tensor]
VICTIM = "model.layers.1.mlp.down_proj.weight"


def main(run: Path, other: Path) -> dict[str, Any]:
    """Each way a merge can be wrong, by name, with what the check says of it."""
    folder = RunFolder(run)
    plan, recipe = folder.read_plan(), folder.read_recipe()
    base, adapter, root = Path(plan.model_folder), folder.adapter, run / "gates"
    rows = sample(folder, ChatTokenizer.load(base), seq_len=64, most=6)

    def checked(
        merged: Path, tuned: Path = adapter, method: str = "lora", made_of: Path = base
    ) -> dict[str, Any]:
        changed = replace(plan, method=replace(plan.method, name=method))  # type: ignore[arg-type]
        paths = (made_of, tuned, merged)
        return told(check_merged(folder, changed, recipe, paths, [row.input_ids for row in rows], "s"))

    good = root / "good"
    merge.merge(base, adapter, good)
    merge.complete(base, good, (2, 5))
    nothing = write_adapter(root / "nothing", base, strength=0.0)
    merge.merge(base, nothing, root / "zero")
    merge.merge(other, adapter, root / "wrong-base")
    return {
        "good": checked(good),
        "corrupted delta": checked(tampered(good, root / "corrupted", corrupt)),
        "one module left out": checked(tampered(good, root / "left-out", restore(base))),
        "another tensor changed": checked(tampered(good, root / "disturbed", disturb)),
        "not a number": checked(tampered(good, root / "nan", spoil)),
        "zero lora_B": checked(root / "zero", nothing),
        "base instead of merged": checked(as_merged(base, root / "unmerged")),
        "wrong base": checked(root / "wrong-base"),
        "adapter of another run": checked(good, write_adapter(root / "other-adapter", base, seed=9)),
        "qlora": checked(good, method="qlora"),
        "full": checked(as_merged(other, root / "full"), other, "full"),
        "full, untrained": checked(as_merged(base, root / "same"), base, "full"),
        "files": sorted(path.name for path in good.iterdir()),
        "generation": json.loads((good / "generation_config.json").read_text()),
        "dtype": str(load_file(good / "model.safetensors")[VICTIM].dtype),
        "tokenizer same": (good / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes(),
        "nan adapter": refused(base, root),
    }


def told(check: Check) -> dict[str, Any]:
    """The outcome, and which measures did not hold."""
    return {
        "passed": check.passed,
        "failing": [measure.name for measure in check.measures if not measure.passed],
        "values": {measure.name: measure.value for measure in check.measures},
        "complaint": check.complaint,
    }


def tampered(good: Path, out: Path, change: Callable[[Tensors], None]) -> Path:
    """A copy of a merged model with some tensors changed."""
    shutil.copytree(good, out)
    tensors = load_file(out / "model.safetensors")
    change(tensors)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    return out


def corrupt(tensors: Tensors) -> None:
    """A few values of one module, as a damaged copy would have; the answers hardly change."""
    tensors[VICTIM][3, :4] += 0.02


def restore(base: Path) -> Callable[[Tensors], None]:
    """One module without its adapter."""
    original = load_file(base / "model.safetensors")[VICTIM]
    return lambda tensors: tensors.update({VICTIM: original.to(torch.bfloat16)})


def disturb(tensors: Tensors) -> None:
    """A norm that no adapter belongs to."""
    tensors["model.norm.weight"][0] += 0.01


def spoil(tensors: Tensors) -> None:
    """A NaN."""
    tensors[VICTIM][0, 0] = float("nan")


def as_merged(model: Path, out: Path) -> Path:
    """A model, saved as a merged one is."""
    merge.whole(model, model, out)
    return out


def refused(base: Path, root: Path) -> str:
    """What happens when the adapter itself holds NaN."""
    adapter = write_adapter(root / "nan-adapter", base)
    tensors = load_file(adapter / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    try:
        merge.merge(base, adapter, root / "nan-merged")
    except ValueError as error:
        return str(error)
    return "merged"


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), Path(sys.argv[2])), sys.stdout)
