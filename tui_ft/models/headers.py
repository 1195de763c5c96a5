"""What the weight files hold, from their headers alone: names, shapes and types of the tensors.

A safetensors file begins with eight bytes that give the length of a JSON header
(https://huggingface.co/docs/safetensors/index#format). Nothing after the header is read.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_ft.errors import InputError, Problem
from tui_ft.models.cached import missing_shards, shard_names, weight_files
from tui_ft.text import count, size

# The limit of the safetensors library itself; a longer header is rubbish read as a number.
_LONGEST_HEADER = 100_000_000
_LFS_POINTER = b"version https://git-lfs"
_AGAIN = "Fetch the model again; this file was not completely written."

# Tensors that older checkpoints store although they are computed, not learned.
_BUFFERS = ("rotary_emb.inv_freq", "attn.masked_bias", "attn.rotary_emb.cos_cached")
_PACKED = frozenset({"U8", "I8", "I32", "U32", "F8_E4M3", "F8_E5M2", "F4"})


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as the header describes it. `dtype` is safetensors' name, e.g. "BF16"."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int

    @property
    def elements(self) -> int:
        """Number of stored elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Weights:
    """All tensors of a model by name, and the size of the files they lie in."""

    tensors: Mapping[str, Tensor]
    file_bytes: int

    @property
    def dtype(self) -> str | None:
        """The type that most of the bytes have; None when there are no tensors."""
        sizes: Counter[str] = Counter()
        for tensor in self.tensors.values():
            sizes[tensor.dtype] += tensor.nbytes
        return sizes.most_common(1)[0][0] if sizes else None

    @property
    def packed(self) -> bool:
        """True when weights are quantised, so that shapes don't tell the number of parameters."""
        return any(
            tensor.dtype in _PACKED and len(tensor.shape) >= 2 and not _is_buffer(name, tensor)
            for name, tensor in self.tensors.items()
        )

    @property
    def has_head(self) -> bool:
        """True when the output head is stored."""
        return any(name.endswith("lm_head.weight") for name in self.tensors)

    def parameters(self, *, tied: bool) -> int | None:
        """Exact number of learned values; None for packed weights.

        With `tied`, a head that is stored besides the embedding it shares is counted once.
        """
        if self.packed:
            return None
        embedded = any(name.endswith("embed_tokens.weight") for name in self.tensors)
        return sum(
            tensor.elements
            for name, tensor in self.tensors.items()
            if not _is_buffer(name, tensor) and not (tied and embedded and name.endswith("lm_head.weight"))
        )


def read_folder(folder: Path) -> Weights:
    """The headers of a model folder: the shards its index names, or every weight file.

    Raises InputError that lists each missing, short or damaged file.
    """
    if missing := missing_shards(folder):
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise InputError(
            f"{count(len(missing), 'weight file')} of the index missing: {shown}",
            where=str(folder),
            fix="Fetch the model again.",
        )
    single = folder / "model.safetensors"
    shards = [folder / name for name in shard_names(folder)]
    return read_files(shards or ([single] if single.is_file() else weight_files(folder)))


def read_files(paths: Iterable[Path]) -> Weights:
    """The headers of some weight files together. Raises InputError that lists every bad file."""
    tensors: dict[str, Tensor] = {}
    file_bytes = 0
    problems: list[Problem] = []
    for path in paths:
        try:
            tensors.update(read_header(path))
            file_bytes += path.stat().st_size
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return Weights(tensors, file_bytes)


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file.

    Raises InputError when the file is shorter than its header says, is a Git LFS pointer, or is no
    safetensors file at all.
    """
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            header_bytes = int.from_bytes(start[:8], "little")
            if start.startswith(_LFS_POINTER):
                raise InputError(
                    "only stands for the weights (Git LFS)",
                    where=str(path),
                    fix="Run `git lfs pull` in this folder.",
                )
            if length < 8 or header_bytes > _LONGEST_HEADER:
                raise InputError("is not a safetensors file", where=str(path), fix=_AGAIN)
            if header_bytes + 8 > length:
                raise InputError("ends inside its header", where=str(path), fix=_AGAIN)
            file.seek(8)
            raw = file.read(header_bytes)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    tensors = _parse(raw, path)
    missing = header_bytes + 8 + max((end for _, end in tensors.values()), default=0) - length
    if missing > 0:
        raise InputError(f"is {size(missing)} too short", where=str(path), fix=_AGAIN)
    return {name: tensor for name, (tensor, _) in tensors.items()}


def _parse(raw: bytes, path: Path) -> dict[str, tuple[Tensor, int]]:
    """Tensors with the offset at which each ends."""
    try:
        header: dict[str, Any] = json.loads(raw)
        return {
            name: (_tensor(entry), int(entry["data_offsets"][1]))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise InputError("has a damaged header", where=str(path), fix=_AGAIN) from None


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    begin, end = (int(offset) for offset in entry["data_offsets"])
    return Tensor(str(entry["dtype"]), tuple(int(side) for side in entry["shape"]), end - begin)


def _is_buffer(name: str, tensor: Tensor) -> bool:
    # GPT-2 stores its causal mask as a four-dimensional `attn.bias`.
    return name.endswith(_BUFFERS) or (name.endswith("attn.bias") and len(tensor.shape) == 4)
