"""The torch build from its files, what it runs on, and the wheel to install."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.hardware.torch_build import find_torch, install_line, parse_cuda, read_build, runs_on

TABLE = """
PYTORCH_RELEASES_CODE_CC: dict[str, dict[str, set[int]]] = {
    "12.6": {
        "x86_64": {50, 90},
        "aarch64": {80, 90},
    },
    "13.0": {
        "x86_64": {75, 80, 120},
        "aarch64": {75, 80, 120},
    },
}
"""


def test_the_installed_torch() -> None:
    build = read_build(find_torch())
    assert build is not None
    # The local part (+cpu, +cu130) may be missing from a wheel's metadata.
    assert build.version.partition("+")[0] == version("torch").partition("+")[0]


def test_a_cuda_build(fake_torch: Callable[..., Path]) -> None:
    build = read_build(fake_torch("2.13.0+cu130", "13.0", archs=TABLE) / "torch")
    assert build is not None
    assert (build.version, build.cuda, build.rocm) == ("2.13.0+cu130", (13, 0), None)
    assert build.published_archs == ("sm_75", "sm_80", "sm_120")


def test_the_installed_torch_carries_the_table_we_look_for() -> None:
    folder = find_torch()
    assert folder is not None
    assert "PYTORCH_RELEASES_CODE_CC" in (folder / "cuda" / "__init__.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "archs", ["", "PYTORCH_RELEASES_CODE_CC = {\n}\n", "PYTORCH_RELEASES_CODE_CC = {\n x(1)\n}\n"]
)
def test_a_cuda_build_without_a_readable_table(fake_torch: Callable[..., Path], archs: str) -> None:
    build = read_build(fake_torch("2.8.0", "12.8", archs=archs) / "torch")
    assert build is not None
    assert build.cuda == (12, 8)
    assert build.published_archs == ()


def test_a_rocm_build(fake_torch: Callable[..., Path]) -> None:
    build = read_build(fake_torch("2.13.0+rocm7.0", None, "7.0.1") / "torch")
    assert build is not None
    assert (build.cuda, build.rocm) == (None, "7.0.1")


def test_no_torch(tmp_path: Path) -> None:
    assert read_build(None) is None
    assert read_build(tmp_path) is None
    (tmp_path / "version.py").write_text("this is (not Python")
    assert read_build(tmp_path) is None
    (tmp_path / "version.py").write_text("debug = False")
    assert read_build(tmp_path) is None


def test_parse_cuda() -> None:
    assert parse_cuda("12.8") == (12, 8)
    assert parse_cuda("13.0.2") == (13, 0)
    assert parse_cuda("") is None


@pytest.mark.parametrize(
    ("archs", "capability", "runs"),
    [
        ((), (8, 0), None),
        (("gfx942",), (8, 0), None),
        (("sm_80",), (8, 0), True),
        (("sm_80",), (8, 9), True),  # same major, newer minor
        (("sm_86",), (8, 0), False),  # same major, older minor
        (("sm_90",), (10, 0), False),
        (("sm_90", "compute_90"), (12, 0), True),  # PTX is compiled for anything newer
        (("compute_90",), (8, 0), False),
        (("sm_75", "sm_80", "sm_90"), (7, 0), False),
        (("sm_90a",), (9, 0), True),
        (("sm_100", "sm_120"), (12, 1), True),
        (("sm_80",), (8, 7), False),  # Orin needs its own code
        (("sm_87",), (8, 7), True),
    ],
)
def test_runs_on(archs: tuple[str, ...], capability: tuple[int, int], runs: bool | None) -> None:
    assert runs_on(archs, capability) is runs


THEIRS = """
import json, sys
from torch.cuda import _code_compatible_with_device
pairs = json.loads(sys.argv[1])
print(json.dumps([_code_compatible_with_device(device, code) for code, device in pairs]))
"""


@pytest.mark.train
def test_binary_code_runs_where_torch_says(run_python: Callable[..., Any], bare_env: dict[str, str]) -> None:
    known = [50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90, 100, 103, 120, 121]
    pairs = [(code, device) for code in known for device in known]
    theirs = run_python(THEIRS, json.dumps(pairs), env=bare_env)
    ours = [runs_on([f"sm_{code}"], divmod(device, 10)) for code, device in pairs]
    assert [p for p, a, b in zip(pairs, ours, theirs, strict=True) if a is not b] == []


@pytest.mark.parametrize(
    ("capability", "driver", "wheels"),
    [
        ((8, 0), (13, 0), "torch --index-url https://download.pytorch.org/whl/cu130"),
        ((12, 0), (13, 1), "torch --index-url https://download.pytorch.org/whl/cu130"),
        ((7, 0), (13, 0), "torch --index-url https://download.pytorch.org/whl/cu126"),  # Volta left CUDA 13
        ((8, 0), (12, 4), "torch --index-url https://download.pytorch.org/whl/cu126"),
        ((12, 0), (12, 8), '"torch==2.11.*" --index-url https://download.pytorch.org/whl/cu128'),
        (None, (12, 2), "torch --index-url https://download.pytorch.org/whl/cu126"),
        (None, (13, 0), "torch --index-url https://download.pytorch.org/whl/cu130"),
        ((8, 0), (11, 8), None),
        ((8, 0), None, None),
        ((3, 5), (12, 4), None),
    ],
)
def test_install_line(
    capability: tuple[int, int] | None, driver: tuple[int, int] | None, wheels: str | None
) -> None:
    line = install_line(capability, driver)
    assert line == (wheels and f"pip uninstall -y torch && pip install {wheels}")


@given(st.tuples(st.integers(3, 14), st.integers(0, 9)), st.tuples(st.integers(9, 15), st.integers(0, 9)))
def test_a_suggested_wheel_never_needs_a_newer_driver(
    capability: tuple[int, int], driver: tuple[int, int]
) -> None:
    line = install_line(capability, driver)
    if line is not None:
        assert int(line.rpartition("/cu")[2][:2]) <= driver[0]
