"""What a library's error means, in words, with the way out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tui_ft.errors import DiskFull, EnvironmentProblem, InputError, RunFailed, TuiFtError
from tui_ft.text import excerpt


@dataclass(frozen=True, slots=True)
class Known:
    """A family of error texts with one cause."""

    pattern: re.Pattern[str]
    kind: type[TuiFtError]
    what: str
    fix: str


def _known(pattern: str, kind: type[TuiFtError], what: str, fix: str) -> Known:
    return Known(re.compile(pattern), kind, what, fix)


# The texts are those of torch 2.13, transformers 5.23, trl 1.16, peft 0.21, bitsandbytes 0.50, datasets 5.2.
_OUT_OF_MEMORY: Sequence[Known] = (
    _known(
        r"CUDA out of memory|OutOfMemoryError",
        EnvironmentProblem,
        "the GPU ran out of memory",
        "Halve train.micro_batch and double train.grad_accum, then resume; or lower train.seq_len.",
    ),
    _known(
        r"^MemoryError|DefaultCPUAllocator: (can't|not enough)|Cannot allocate memory|Errno 12\b",
        EnvironmentProblem,
        "this machine ran out of memory (RAM)",
        "Halve train.micro_batch and double train.grad_accum, then resume; or choose a smaller model.",
    ),
)
_FULL = (
    r"Errno (28|122|27)\b|StorageFull|inline_container.*unexpected pos|PytorchStreamWriter failed|"
    r"No space left|File too large|os error (28|122|27)\b"
)
KNOWN: Sequence[Known] = (
    *_OUT_OF_MEMORY,
    _known(
        _FULL,
        DiskFull,
        "the disk is full",
        "Free some space, then resume; older checkpoints in the run's folder may be removed.",
    ),
    _known(
        r"driver on your system is too old|driver version is insufficient",
        EnvironmentProblem,
        "the GPU driver is older than the installed torch needs",
        "Install a torch built for this driver's CUDA, or take another machine; see `tui-ft doctor`.",
    ),
    _known(
        r"no kernel image is available|is not compatible with the current PyTorch",
        EnvironmentProblem,
        "the installed torch has no code for this GPU",
        "Install a torch built for this GPU; see `tui-ft doctor`.",
    ),
    _known(
        r"Your setup doesn't support bf16|Attempting to unscale FP16 gradients",
        InputError,
        "this precision does not work here",
        'Leave out train.precision, or set it to "fp32".',
    ),
    _known(
        r"CUDA Setup failed|libbitsandbytes|bitsandbytes.*(not|without).*(available|support)",
        EnvironmentProblem,
        "bitsandbytes does not work here",
        'Set method.name to "lora" and train.optimizer to "adamw", or reinstall bitsandbytes.',
    ),
    _known(
        r"gated repo|not in the authorized list",
        EnvironmentProblem,
        "the authors want their licence accepted before this model is downloaded",
        "Accept it on the model's page, log in with `hf auth login`, and start again.",
    ),
    _known(
        r"401 Client Error|Invalid (user )?token|Invalid username or password",
        EnvironmentProblem,
        "the hub did not accept the token",
        "Log in with `hf auth login`.",
    ),
    _known(
        r"LocalEntryNotFoundError|offline mode is enabled|Temporary failure in name resolution|"
        r"couldn't connect to 'https://huggingface",
        EnvironmentProblem,
        "the hub cannot be reached and the model is not on this machine",
        "Give model.id as a folder, or go online once.",
    ),
    _known(
        r"(Target modules|target_modules).*not found|NoMatchingPeftModuleError",
        InputError,
        "the model has no modules with the names in method.targets",
        'Set method.targets to "all-linear".',
    ),
    _known(
        r"Applying a PEFT adapter to `lm_head` is not supported",
        InputError,
        "an adapter on lm_head would never be trained",
        'Remove lm_head from method.targets, or set it to "all-linear".',
    ),
    _known(
        r"does not require grad and does not have a grad_fn",
        RunFailed,
        "nothing in the model can learn: no trained weight is reached by the loss",
        'Set method.targets to "all-linear".',
    ),
    _known(
        r"num_samples should be a positive integer",
        InputError,
        "no row is left to train on",
        "Raise train.seq_len: in every row the answer begins after the cut.",
    ),
    _known(
        r"device-side assert|index out of range in self",
        InputError,
        "a token id is larger than the model's vocabulary",
        "The tokenizer belongs to another model; use the one the model came with.",
    ),
    _known(
        r"size mismatch for .*lora_[AB]|parameter group that doesn't match|size mismatch for .*embed_tokens",
        InputError,
        "the checkpoint was made with other settings than this recipe",
        "Restore the rank and targets it was made with, or start a new run.",
    ),
    _known(
        r"SafetensorError|incomplete metadata|Error while deserializing",
        InputError,
        "a weight file is damaged or incomplete",
        "Download or copy the model again.",
    ),
    _known(
        r"does not support .nn.DataParallel",
        EnvironmentProblem,
        "several GPUs are visible to one process",
        "Set CUDA_VISIBLE_DEVICES to one of them.",
    ),
    _known(
        r"killed by signal: Bus error|shared memory",
        EnvironmentProblem,
        "the container's shared memory is too small",
        "Start the container with a larger --shm-size.",
    ),
    _known(
        r"trust_remote_code",
        InputError,
        "this model needs Python code that comes with it",
        "Set model.trust_remote_code to true if you trust its authors.",
    ),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the GPU or of the machine."""
    text = f"{type(error).__name__}: {error}"
    return any(known.pattern.search(text) for known in _OUT_OF_MEMORY)


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for want of room, however the library that wrote says it."""
    return isinstance(error, DiskFull) or re.search(_FULL, f"{type(error).__name__}: {error}") is not None


def explain(error: BaseException) -> TuiFtError:
    """The error in words a user can act on. Our own errors come back as they are."""
    if isinstance(error, TuiFtError):
        return error
    text = f"{type(error).__name__}: {error}"
    for known in KNOWN:
        if known.pattern.search(text):
            return known.kind(known.what, where=excerpt(text, 160), fix=known.fix)
    return RunFailed(
        f"stopped by an error: {excerpt(text, 200)}", fix="worker.log in the run's folder has the details."
    )
