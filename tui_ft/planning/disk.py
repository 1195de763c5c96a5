"""What a run takes on each file system: the download, checkpoints, weights, exports. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tui_ft.hardware.facts import Mount
from tui_ft.models.facts import Dims, ModelFacts
from tui_ft.planning import anatomy
from tui_ft.planning.activations import numbers
from tui_ft.planning.memory import adapter_weights
from tui_ft.planning.plan import DiskNeed, MethodPlan, TrainPlan
from tui_ft.text import excerpt, gib, size

GGUF_BYTES = {"gguf:f16": 2.0, "gguf:q8_0": 34 / 32, "gguf:q4_k_m": 0.62, "ollama": 0.62}  # per weight
SMALL_FILES = 20_000_000  # tokenizer, config and state beside the weights
ROW_BYTES = 16  # of prepared data per token: its id and its label
RUNS, CACHE, SCRATCH = "runs", "model cache", "temporary files"


def checkpoint_bytes(
    dims: Dims, parameters: int, model_type: str, method: MethodPlan, train: TrainPlan
) -> tuple[int, int]:
    """Bytes of one checkpoint with its optimizer states, and of the trained weights alone."""
    formats = numbers(method.name, train.precision)
    full = method.name == "full"
    trained = parameters if full else adapter_weights(dims, anatomy.family(model_type), method)
    weights = trained * formats.trained
    states = {"adamw": 2 * formats.trained, "paged_adamw_32bit": 8.0}.get(train.optimizer, 2.0)
    return round(weights + trained * states) + SMALL_FILES, round(weights)


def run_parts(
    checkpoint: int,
    weights: int,
    parameters: int,
    train: TrainPlan,
    exports: Iterable[str],
    tokens: int,
    *,
    full: bool,
) -> dict[str, int]:
    """Bytes that grow in a run's folder, by part. `tokens` of one epoch; `exports` as in the recipe.

    Checkpoints: those kept, the best, and one being written. A quantised GGUF is made from one of 16 bits,
    and that from a merged model.
    """
    exports = list(exports)
    gguf = [GGUF_BYTES[name] for name in exports if name in GGUF_BYTES]
    if gguf and 2.0 not in gguf:
        gguf.append(2.0)
    merged = bool(gguf) or any(name in ("merged", "vllm", "hub") for name in exports)
    parts = {
        "checkpoints": (train.keep_checkpoints + 2) * checkpoint,
        "weights" if full else "adapter": weights,
        "merged": 2 * parameters if merged else 0,
        "gguf": round(sum(gguf) * parameters),
        "prepared data": tokens * ROW_BYTES,
    }
    return {name: needed for name, needed in parts.items() if needed}


def download_bytes(model: ModelFacts, parameters: int) -> int:
    """What has yet to be fetched; 0 when the weights are here. 16 bits a weight where nothing is known."""
    if model.has_weights:
        return 0
    return (model.weight_bytes or 2 * parameters) + SMALL_FILES


def per_mount(mounts: Sequence[Mount], parts: Mapping[str, Mapping[str, int]]) -> tuple[DiskNeed, ...]:
    """Needs by use ("runs", "model cache"), added up by file system; where runs are kept comes first.

    A use whose file system is unknown stands alone, without a path. File systems that nothing needs are left
    out, but for that of the runs.
    """
    needs: list[DiskNeed] = []
    placed: set[str] = set()
    for mount in sorted(mounts, key=lambda mount: RUNS not in mount.uses):
        uses = tuple(use for use in mount.uses if use in parts and (parts[use] or use == RUNS))
        placed.update(mount.uses)
        if uses:
            needs.append(_need(str(mount.path), mount.free_bytes, uses, parts))
    for use in parts:
        if use not in placed and (parts[use] or use == RUNS):
            needs.append(_need("", None, (use,), parts))
    return tuple(needs)


def warnings(
    needs: Iterable[DiskNeed], mounts: Sequence[Mount], *, keep: int, checkpoint: int
) -> Iterator[str]:
    """One sentence for each file system that is too small, with the ways out.

    `keep` is `train.keep_checkpoints`, `checkpoint` the bytes of one.
    """
    for need in needs:
        if need.enough or need.free_bytes is None:
            continue
        where = excerpt(need.path, 40)
        missing = need.needed_bytes - need.free_bytes
        parts = ", ".join(f"{name} {size(part)}" for name, part in _largest(need))
        needed = f"{where}: {gib(need.needed_bytes)} of disk are needed ({parts})"
        ways_out = " ".join(_ways_out(need, missing, mounts, keep, checkpoint))
        yield f"{needed}, {gib(need.free_bytes)} are free. {ways_out}"


def _ways_out(
    need: DiskNeed, missing: int, mounts: Sequence[Mount], keep: int, checkpoint: int
) -> Iterator[str]:
    if "checkpoints" in need.parts and keep > 1 and (keep - 1) * checkpoint >= missing:
        yield f"Set train.keep_checkpoints = 1 to save {gib((keep - 1) * checkpoint)}."
        return
    exported = need.parts.get("merged", 0) + need.parts.get("gguf", 0)
    if exported >= missing:
        yield f"Leave out export.to to save {gib(exported)}, and export on another disk."
    roomy = max(mounts, key=lambda mount: mount.free_bytes, default=None)
    there = ""
    if roomy is not None and roomy.free_bytes > missing and roomy.path != Path(need.path):
        there = f"; {excerpt(str(roomy.path), 40)} has {gib(roomy.free_bytes)}"
    if "download" in need.parts:
        yield f"Set HF_HOME to a folder on a larger disk{there}."
    if RUNS in need.uses:
        yield f"Free some, or choose another --home{there}."


def _largest(need: DiskNeed) -> list[tuple[str, int]]:
    return sorted(need.parts.items(), key=lambda part: -part[1])[:3]


def _need(
    path: str, free: int | None, uses: tuple[str, ...], parts: Mapping[str, Mapping[str, int]]
) -> DiskNeed:
    named = {name: needed for use in uses for name, needed in parts[use].items()}
    return DiskNeed(path, uses, sum(named.values()), free, named)
