"""A stand-in NVML, compiled from nvml_stub.c, and child processes that look at it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

_DETECT = """
import json, sys
from pathlib import Path
from tui_ft.hardware.describe import gpus_json
from tui_ft.hardware.detect import detect
from tui_ft.hardware.probing import parse
from tui_ft.settings import home
root, probe = sys.argv[1:]
hardware = detect(home(), root=Path(root), probe=parse(probe) if probe else None)
print(json.dumps(gpus_json(hardware), allow_nan=False))
"""


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that holds the stub as libnvidia-ml.so.1."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is needed to compile the NVML stub")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("nvml_stub.c")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(source)], check=True
    )
    return folder


@pytest.fixture
def bare_env(tmp_path: Path) -> dict[str, str]:
    """A child's environment: a home of its own, no GPU library, no hub."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TUI_FT_HOME": str(tmp_path / "tui-ft"),
        "HF_HUB_OFFLINE": "1",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def stub_env(nvml_library: Path, bare_env: dict[str, str], tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Environment in which NVML is the stub, telling what is given: `key value` lines, see nvml_stub.c."""

    def environment(told: str) -> dict[str, str]:
        facts = tmp_path / "nvml.txt"
        facts.write_text("\n".join(line.strip() for line in told.splitlines()) + "\n", encoding="utf-8")
        return bare_env | {"LD_LIBRARY_PATH": str(nvml_library), "NVML_STUB": str(facts)}

    return environment


@pytest.fixture
def run_python() -> Callable[..., Any]:
    """Run code in a child process and return the JSON it prints."""

    def run(code: str, *arguments: str, env: Mapping[str, str]) -> Any:
        child = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *arguments],
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert child.returncode == 0, child.stderr
        return json.loads(child.stdout)

    return run


@pytest.fixture
def fake_torch(tmp_path: Path) -> Callable[..., Path]:
    """A folder for PYTHONPATH with the files of a torch build. Importing that torch runs `body`."""

    def build(
        version: str, cuda: str | None, hip: str | None = None, *, archs: str = "", body: str = ""
    ) -> Path:
        folder = tmp_path / "site" / "torch"
        (folder / "cuda").mkdir(parents=True)
        (folder / "__init__.py").write_text(body or "raise AssertionError('torch was imported')\n")
        (folder / "version.py").write_text(
            f"from typing import Optional\n__version__ = {version!r}\n"
            f"cuda: Optional[str] = {cuda!r}\nhip: Optional[str] = {hip!r}\n"
        )
        (folder / "cuda" / "__init__.py").write_text(archs)
        return folder.parent

    return build


@pytest.fixture
def detect_on(
    stub_env: Callable[[str], dict[str, str]], run_python: Callable[..., Any], tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """`detect()` in a child process against the stub, as the JSON of `tui-ft gpus`."""

    def detect(told: str, *, root: Path | None = None, probe: str = "", **env: str) -> dict[str, Any]:
        answer: dict[str, Any] = run_python(
            _DETECT, str(root or tmp_path / "no-root"), probe, env=stub_env(told) | env
        )
        # How full the disk of whoever runs the tests is, is no part of any scenario.
        answer["notices"] = [notice for notice in answer["notices"] if notice["id"] != "low-disk"]
        return answer

    return detect
