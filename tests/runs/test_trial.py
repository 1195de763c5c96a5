"""A dry run as its event tells it, whatever stands in the event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.runs.diagnosis import explain, is_out_of_memory
from tui_ft.runs.trial import trial

GIB = 1 << 30
WENT_WELL: dict[str, Any] = {
    "kind": "dry_run",
    "rows": 2,
    "tokens": 512,
    "predicted_bytes": 10 * GIB,
    "planned_bytes": 12 * GIB,
    "measured_bytes": 11 * GIB,
    "ratio": 1.1,
    "seconds": {"forward": 1, "backward": 2.0, "save": "soon", "other": 3},
    "tokens_per_s": 1234.5,
    "time": {"low_s": 60, "high_s": 90},
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_predicted_stands_beside_measured() -> None:
    found = trial(WENT_WELL)
    assert found.words() == (
        "dry run: 11.00 GiB measured, 10.00 GiB predicted (+10 %); 1,234 tokens/s; "
        "the run takes 1 min 00 s to 1 min 30 s"
    )
    assert found.seconds == {"forward": 1, "backward": 2}
    assert list(found.lines("recipe.toml")) == [found.words()]
    document = found.document("recipe.toml")
    assert document["time_s"] == {"low": 60, "high": 90}
    assert document["offer"] is None


def test_an_offer_comes_with_its_command() -> None:
    offer = {"changes": {"train.micro_batch": 1}, "words": "1 row at once", "needs_bytes": GIB, "fits": False}
    event = WENT_WELL | {"failed": "backward", "needed_bytes": 9 * GIB, "free_bytes": 8 * GIB, "offer": offer}
    found = trial(event)
    first, second, command = found.lines("/a b/recipe.toml")
    assert first == "out of memory in the dry run (backward): needed at least 9.0 GiB, free 8.0 GiB"
    assert second == "next step down, needs about 1.0 GiB, still too much: 1 row at once"
    assert command == "tui-ft train '/a b/recipe.toml' --set train.micro_batch=1"
    assert found.document("/a b/recipe.toml")["offer"]["command"] == command


@given(st.dictionaries(st.sampled_from([*WENT_WELL, "offer", "failed", "needed_bytes"]), ANYTHING))
def test_garbage_is_shown_as_unknown(values: dict[str, Any]) -> None:
    found = trial({"kind": "dry_run", **values})
    assert "dry run" in found.words()
    found.document("recipe.toml")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    ],
)
def test_memory_that_ran_out_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert "memory" in explain(error).what


def test_other_errors_are_not_taken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
