"""One model out of base and adapter, as a folder any program can load. Child processes only: torch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig

from tui_ft.files import write_json
from tui_ft.models.headers import read_folder
from tui_ft.models.reading import read_object

# Weights keep the 16-bit type the base is stored in: turning fp16 into bf16 would drop three bits of each.
_STORED = {"BF16": torch.bfloat16, "F16": torch.float16}
_SHARD = "4GB"

# Of the base, everything but weights and code: tokenizer, template and licence stay as they are, because
# a saved-again tokenizer can come out different and is then refused by converters.
_COPIED = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "LICENSE*", "NOTICE*", "USE_POLICY*")
_NOT_COPIED = ("config.json", "generation_config.json", "*.index.json", "adapter_*.json", "README*")


def merged_dtype(base: Path) -> torch.dtype:
    """The number format of the merged weights: the base's own 16-bit type, else bf16."""
    return _STORED.get(read_folder(base).dtype or "", torch.bfloat16)


def merge(base: Path, adapter: Path, out: Path, *, trust_remote_code: bool = False) -> None:
    """Add the adapter into the base's weights and write the model to `out`, as safetensors.

    The base is loaded again in 16 bits, never in 4, and peft's safe merge refuses weights that come out
    as NaN. Raises ValueError for those.
    """
    model = load(base, merged_dtype(base), trust_remote_code=trust_remote_code)
    tuned = PeftModel.from_pretrained(model, adapter, is_trainable=False)
    _write(tuned.merge_and_unload(safe_merge=True), out)


def whole(tuned: Path, base: Path, out: Path, *, trust_remote_code: bool = False) -> None:
    """After full fine-tuning there is nothing to merge: write the trained weights in the base's format."""
    _write(load(tuned, merged_dtype(base), trust_remote_code=trust_remote_code), out)


def load(folder: Path, dtype: torch.dtype, *, trust_remote_code: bool = False, device: str = "cpu") -> Any:
    """A model from safetensors, in eval mode and without generation defaults."""
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        device_map={"": device},
        trust_remote_code=trust_remote_code,
        use_safetensors=True,
        local_files_only=True,
    )
    model.generation_config = GenerationConfig()
    return model.eval()


def _write(model: Any, out: Path) -> None:
    model.config.use_cache = True
    model.save_pretrained(out, safe_serialization=True, max_shard_size=_SHARD)


def complete(base: Path, out: Path, stop_ids: Sequence[int], *, code: bool = False) -> None:
    """Put the base's tokenizer, template and licence beside the weights, and every stop token in place.

    `code` also copies Python files, for models that bring their own.
    """
    patterns = (*_COPIED, "*.py") if code else _COPIED
    for path in sorted({path for pattern in patterns for path in base.glob(pattern)}):
        if path.is_file() and not any(path.match(pattern) for pattern in _NOT_COPIED):
            shutil.copyfile(path, out / path.name)
    if (base / "chat_templates").is_dir():
        shutil.copytree(base / "chat_templates", out / "chat_templates", dirs_exist_ok=True)
    config = read_object(base / "config.json")
    generation = read_object(base / "generation_config.json")
    for key in ("bos_token_id", "pad_token_id"):
        if key not in generation and config.get(key) is not None:
            generation[key] = config[key]
    generation["eos_token_id"] = stop_ids[0] if len(stop_ids) == 1 else list(stop_ids)
    write_json(out / "generation_config.json", generation)
