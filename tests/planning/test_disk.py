"""Disk by file system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.planning.situations import LLAMA_8B, model
from tui_ft.hardware.facts import Mount
from tui_ft.planning import disk
from tui_ft.planning.plan import UNDECIDED, MethodPlan
from tui_ft.text import GIB

P = 8_030_261_248
LORA = MethodPlan("lora", "sft", 16, 32, 0.0, "all-linear", rslora=False)
FULL = replace(LORA, name="full", rank=0)
ADAPTER = 41_943_040


def parts(method: MethodPlan = LORA, exports: tuple[str, ...] = (), **train: Any) -> dict[str, int]:
    settings = replace(UNDECIDED, **train)
    checkpoint, weights = disk.checkpoint_bytes(LLAMA_8B, P, "llama", method, settings)
    return disk.run_parts(checkpoint, weights, P, settings, exports, 100_000, full=method.name == "full")


def mount(path: str, free_gib: float, *uses: str) -> Mount:
    return Mount(Path(path), round(2 * free_gib * GIB), round(free_gib * GIB), uses)


def test_an_adapter_keeps_its_states_in_each_checkpoint() -> None:
    checkpoint, weights = disk.checkpoint_bytes(LLAMA_8B, P, "llama", LORA, UNDECIDED)
    assert weights == 4 * ADAPTER  # fp32 adapters on a bf16 base
    assert checkpoint == 12 * ADAPTER + disk.SMALL_FILES
    nf4 = replace(LORA, name="qlora")
    paged = replace(UNDECIDED, optimizer="paged_adamw_32bit")
    assert disk.checkpoint_bytes(LLAMA_8B, P, "llama", nf4, paged)[0] == 10 * ADAPTER + disk.SMALL_FILES
    eight = replace(UNDECIDED, optimizer="adamw_8bit")
    assert disk.checkpoint_bytes(LLAMA_8B, P, "llama", FULL, eight)[0] == 4 * P + disk.SMALL_FILES


def test_kept_the_best_and_one_being_written() -> None:
    one = disk.checkpoint_bytes(LLAMA_8B, P, "llama", LORA, UNDECIDED)[0]
    assert parts(keep_checkpoints=1)["checkpoints"] == 3 * one
    assert parts(keep_checkpoints=4)["checkpoints"] == 6 * one


def test_exports_need_what_they_are_made_from() -> None:
    assert not {"merged", "gguf"} & parts().keys()
    assert parts(exports=("merged",))["merged"] == 2 * P
    quantised = parts(exports=("gguf:q4_k_m",))
    assert quantised["merged"] == 2 * P
    assert quantised["gguf"] == pytest.approx(2.62 * P)
    assert parts(exports=("gguf:f16", "gguf:q8_0"))["gguf"] == pytest.approx((2 + 34 / 32) * P)
    assert "weights" in parts(FULL)
    assert "adapter" in parts(LORA)


def test_weights_that_are_here_need_no_download() -> None:
    assert disk.download_bytes(model(), P) == 2 * P + disk.SMALL_FILES
    assert disk.download_bytes(replace(model(), weight_bytes=5 * GIB), P) == 5 * GIB + disk.SMALL_FILES


def test_weights_in_a_folder_need_no_download(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\0")
    assert disk.download_bytes(replace(model(), folder=tmp_path), P) == 0


def test_needs_are_added_up_by_file_system() -> None:
    wanted = {disk.RUNS: {"checkpoints": 30, "adapter": 5}, disk.CACHE: {"download": 100}}
    together = disk.per_mount([mount("/", 1, "runs", "model cache", "temporary files")], wanted)
    assert [(need.path, need.needed_bytes, need.enough) for need in together] == [("/", 135, True)]
    assert together[0].uses == ("runs", "model cache")
    apart = disk.per_mount([mount("/cache", 1, "model cache"), mount("/data", 1, "runs")], wanted)
    assert [(need.path, need.needed_bytes) for need in apart] == [("/data", 35), ("/cache", 100)]


def test_what_needs_nothing_is_left_out_but_for_the_runs() -> None:
    nothing: dict[str, dict[str, int]] = {disk.RUNS: {}, disk.CACHE: {}}
    found = disk.per_mount([mount("/cache", 1, "model cache"), mount("/data", 1, "runs")], nothing)
    assert [need.path for need in found] == ["/data"]


def test_an_unknown_file_system_has_no_path_and_no_verdict() -> None:
    found = disk.per_mount([], {disk.RUNS: {"checkpoints": 1 << 50}, disk.CACHE: {"download": 7}})
    assert [(need.path, need.uses, need.free_bytes, need.enough) for need in found] == [
        ("", ("runs",), None, True),
        ("", ("model cache",), None, True),
    ]


def warnings(
    mounts: list[Mount], wanted: dict[str, dict[str, int]], keep: int = 2, one: int = 1
) -> list[str]:
    needs = disk.per_mount(mounts, wanted)
    return list(disk.warnings(needs, mounts, keep=keep, checkpoint=one))


def test_a_disk_that_is_too_small_says_what_needs_it_and_what_to_do() -> None:
    wanted = {disk.RUNS: {"checkpoints": 8 * GIB, "merged": 16 * GIB}, disk.CACHE: {"download": 15 * GIB}}
    mounts = [mount("/", 10, "runs"), mount("/big", 500, "temporary files"), mount("/c", 20, "model cache")]
    found = warnings(mounts, wanted)
    assert len(found) == 1
    assert found[0].startswith("/: 24.0 GiB of disk are needed (merged 16.0 GiB, checkpoints 8.0 GiB)")
    assert "10.0 GiB are free" in found[0]
    assert "Leave out export.to to save 16.0 GiB" in found[0]
    assert "another --home; /big has 500.0 GiB" in found[0]
    assert not warnings([mount("/", 100, "runs", "model cache")], wanted)


def test_fewer_checkpoints_come_first_where_they_are_enough() -> None:
    wanted = {disk.RUNS: {"checkpoints": 12 * GIB}}
    found = warnings([mount("/", 9, "runs")], wanted, keep=3, one=2 * GIB)
    assert found[0].endswith("Set train.keep_checkpoints = 1 to save 4.0 GiB.")


def test_a_small_cache_can_be_moved() -> None:
    found = warnings([mount("/c", 3, "model cache")], {disk.CACHE: {"download": 15 * GIB}})
    assert "HF_HOME" in found[0]
    assert "--home" not in found[0]
