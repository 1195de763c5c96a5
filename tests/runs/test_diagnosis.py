"""Error texts of libraries become sentences with a way out."""

from __future__ import annotations

import pytest

from tui_ft.errors import DiskFull, EnvironmentProblem, ExitCode, InputError, RunFailed
from tui_ft.runs.diagnosis import KNOWN, explain


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(
    ("error", "kind", "what"),
    [
        (
            OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23 GiB"
            ),
            EnvironmentProblem,
            "the GPU ran out of memory",
        ),
        (MemoryError(), EnvironmentProblem, "this machine ran out of memory (RAM)"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"),
            EnvironmentProblem,
            "this machine ran out of memory (RAM)",
        ),
        (OSError(28, "No space left on device"), DiskFull, "the disk is full"),
        (
            RuntimeError("[enforce fail at inline_container.cc:858] . unexpected pos 35968 vs 35856"),
            DiskFull,
            "the disk is full",
        ),
        (
            RuntimeError("CUDA error: no kernel image is available for execution on the device"),
            EnvironmentProblem,
            "the installed torch has no code for this GPU",
        ),
        (
            ValueError("Target modules {'query_key_value'} not found in the base model."),
            InputError,
            "the model has no modules with the names in method.targets",
        ),
        (
            RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn"),
            RunFailed,
            "nothing in the model can learn: no trained weight is reached by the loss",
        ),
        (
            IndexError("index out of range in self"),
            InputError,
            "a token id is larger than the model's vocabulary",
        ),
        (
            OSError("You are trying to access a gated repo.\nMake sure to have access to it"),
            EnvironmentProblem,
            "the authors want their licence accepted before this model is downloaded",
        ),
    ],
)
def test_known_errors_are_explained(error: Exception, kind: type[Exception], what: str) -> None:
    known = explain(error)
    assert type(known) is kind
    assert known.what == what
    assert known.fix


def test_unknown_errors_are_named_and_made_harmless() -> None:
    known = explain(KeyError("\x1b[31mred"))
    assert isinstance(known, RunFailed)
    assert known.exit_code is ExitCode.RUN_FAILED
    assert "\x1b" not in str(known)
    assert known.what.startswith("stopped by an error: KeyError")


def test_our_own_errors_stay_as_they_are() -> None:
    error = InputError("wrong", fix="mend it")
    assert explain(error) is error


def test_every_explanation_has_a_way_out() -> None:
    assert all(known.fix and known.what and not known.what.endswith(".") for known in KNOWN)
