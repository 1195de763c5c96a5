"""Hardware in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.hardware.describe import gpu_rows, gpus_json, header, holder, short_name
from tui_ft.hardware.facts import Gpu, GpuProcess, Hardware, Host, Mount, Notice, TorchBuild

GIB = 1 << 30
HOST = Host(
    "AMD EPYC 7763",
    2,
    25274793984,
    20 * GIB,
    False,
    False,
    (Mount(Path("/"), 252 * GIB, 75 * GIB, ("runs",)),),
)
A100 = Gpu(0, "GPU-0", "NVIDIA A100-SXM4-80GB", 80 * GIB, int(71.2 * GIB), (8, 0), 0.42, 61, 250.0, 400.0)
RTX = Gpu(1, "GPU-1", "NVIDIA GeForce RTX 4090", 24 * GIB, 23 * GIB, (8, 9), None, None, None, None)


def box(*gpus: Gpu, notices: tuple[Notice, ...] = ()) -> Hardware:
    return Hardware(gpus, HOST, "580.65.06", (13, 0), notices, TorchBuild("2.13.0+cu130", (13, 0)))


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA A100-PCIE-40GB", "A100 40GB"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "A100 40GB MIG 1g.5gb"),
        ("NVIDIA H100 80GB HBM3", "H100 80GB"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000 Blackwell"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100 16GB"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA", "NVIDIA"),
        ("unknown GPU", "unknown GPU"),
    ],
)
def test_short_name(name: str, short: str) -> None:
    assert short_name(name) == short


@pytest.mark.parametrize(
    ("hardware", "line"),
    [
        (box(A100), "A100 80GB · 71.2 GiB free"),
        (box(), "CPU only · 2 cores · 24 GiB RAM"),
        (box(A100, replace(A100, index=1, uuid="GPU-9")), "2 × A100 80GB · 71.2 GiB free each"),
        (box(A100, RTX), "A100 80GB + RTX 4090 · 23.0–71.2 GiB free"),
        (box(replace(A100, free_bytes=None)), "A100 80GB · free memory unknown"),
        (box(A100, replace(RTX, visible=False)), "A100 80GB · 71.2 GiB free"),
        (box(replace(A100, visible=False)), "CPU only, A100 80GB not usable · 2 cores · 24 GiB RAM"),
        (
            box(A100, notices=(Notice("x", "error", "x"),)),
            "CPU only, A100 80GB not usable · 2 cores · 24 GiB RAM",
        ),
    ],
)
def test_header(hardware: Hardware, line: str) -> None:
    assert header(hardware) == line


def test_holder() -> None:
    assert holder(GpuProcess(7, "python", 20 * GIB)) == "python (pid 7) holds 20.0 GiB"
    assert holder(GpuProcess(7, None, None)).endswith("(pid 7) holds an unknown amount")


def test_table() -> None:
    busy = replace(A100, processes=(GpuProcess(7, "python", 8 * GIB),))
    notice = Notice("x", "warning", "Something is so. " * 8, "Do this:\n" + "command " * 15)
    lines = gpu_rows(box(busy, RTX, notices=(notice,)))
    assert lines[:4] == [
        "GPU name                        free/total   busy   temp      power  types",
        "0   A100 80GB                71.2/80.0 GiB   42 %  61 °C  250/400 W  bf16",
        "    python (pid 7) holds 8.0 GiB",
        "1   RTX 4090                 23.0/24.0 GiB      –      –          –  bf16, fp8",
    ]
    assert "driver  580.65.06, runs CUDA up to 13.0" in lines
    assert "disk    /: 75.0 GiB free of 252.0 GiB, for runs" in lines
    assert "        " + ("command " * 15) in lines  # a command is never broken
    assert all(len(line) < 80 for line in lines if "command" not in line)


def test_a_gpu_that_is_not_used_says_so() -> None:
    lines = gpu_rows(
        box(A100, replace(RTX, visible=False), notices=(Notice("x", "error", "x", gpu="GPU-0"),))
    )
    assert lines[1].endswith("not usable")
    assert lines[2].endswith("hidden")


gpus = st.builds(
    Gpu,
    index=st.integers(0, 15),
    uuid=st.text(max_size=5),
    name=st.text(max_size=70),
    total_bytes=st.none() | st.integers(1, 1 << 40),
    free_bytes=st.none() | st.integers(0, 1 << 40),
    capability=st.none() | st.tuples(st.integers(1, 20), st.integers(0, 9)),
    utilisation=st.none() | st.floats(0, 1),
    temperature_c=st.none() | st.integers(0, 120),
    power_w=st.none() | st.floats(0, 2000),
    power_limit_w=st.none() | st.floats(0, 2000),
    processes=st.lists(
        st.builds(
            GpuProcess,
            st.integers(0, 1 << 22),
            st.none() | st.text(max_size=9),
            st.none() | st.integers(0, 1 << 40),
        ),
        max_size=2,
    ).map(tuple),
    mig=st.booleans(),
    visible=st.booleans(),
    slice=st.none() | st.integers(0, 6),
)


@given(st.lists(gpus, max_size=3))
def test_any_hardware_can_be_described(some: list[Gpu]) -> None:
    hardware = box(*some)
    assert header(hardware)
    assert gpu_rows(hardware)
    as_json = gpus_json(hardware)
    assert json.loads(json.dumps(as_json, allow_nan=False)) == as_json
    assert as_json["device"] == ("cuda" if any(gpu.visible for gpu in some) else "cpu")
    assert [gpu["capability"] is None for gpu in as_json["gpus"]] == [gpu.bf16 is None for gpu in some]
