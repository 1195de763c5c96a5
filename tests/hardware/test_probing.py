"""The probe, in a real child process, and what becomes of it when something breaks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tui_ft.hardware.probing import parse, run_probe

COUNTS_WORDS = """
class _Nothing:
    cuda = None
    @staticmethod
    def is_available(): return False
    @staticmethod
    def get_arch_list(): return []
version = cuda = _Nothing()
__version__ = "9.9"
class bfloat16: pass
"""


@pytest.mark.train
def test_the_real_stack_computes_on_this_processor(bare_env: dict[str, str]) -> None:
    probe = run_probe(environ=bare_env)
    assert probe.error == ""
    assert probe.torch.startswith("2.")
    processor = probe.devices[0]
    assert processor.device == "cpu"
    assert dict(processor.results) == {"matmul": "", "bf16": "", "nf4": ""}


@pytest.mark.train
def test_a_library_that_takes_the_process_down_is_named(bare_env: dict[str, str], tmp_path: Path) -> None:
    package = tmp_path / "bitsandbytes"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nos.abort()\n")
    probe = run_probe(environ=bare_env | {"PYTHONPATH": str(tmp_path)})
    assert probe.error == ""
    results = probe.devices[0].results
    assert (results["matmul"], results["bf16"]) == ("", "")
    assert results["nf4"] == "the process died of it: Aborted"


def test_a_library_that_fails_is_a_result(bare_env: dict[str, str], fake_torch: Callable[..., Path]) -> None:
    site = fake_torch("9.9", None, body=COUNTS_WORDS)
    probe = run_probe(environ=bare_env | {"PYTHONPATH": str(site)})
    assert probe.error == ""
    assert probe.torch == "9.9"
    assert probe.devices[0].results["matmul"].startswith("AttributeError: ")


def test_torch_that_cannot_be_imported(bare_env: dict[str, str], fake_torch: Callable[..., Path]) -> None:
    site = fake_torch("2.13.0", "13.0", body="raise ImportError('libcudart.so.13: cannot open')")
    probe = run_probe(environ=bare_env | {"PYTHONPATH": str(site)})
    assert probe.error == "ImportError: libcudart.so.13: cannot open"
    assert not probe.slow


def test_torch_that_crashes_at_import(bare_env: dict[str, str], fake_torch: Callable[..., Path]) -> None:
    site = fake_torch("2.13.0", "13.0", body="import os\nos.abort()\n")
    assert run_probe(environ=bare_env | {"PYTHONPATH": str(site)}).error == "the check ended without a word"


def test_torch_that_never_answers(bare_env: dict[str, str], fake_torch: Callable[..., Path]) -> None:
    site = fake_torch("2.13.0", "13.0", body="import time\ntime.sleep(600)\n")
    probe = run_probe(timeout_s=0.5, environ=bare_env | {"PYTHONPATH": str(site)})
    assert probe.slow
    assert probe.error == "no answer within 0.5 s, trying to start"


def test_a_file_in_the_current_folder_is_not_taken_for_torch(
    bare_env: dict[str, str], fake_torch: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('not this one')")
    site = fake_torch("9.9", None, body=COUNTS_WORDS)
    monkeypatch.chdir(tmp_path)
    assert os.path.exists("torch.py")  # noqa: PTH110
    assert run_probe(environ=bare_env | {"PYTHONPATH": str(site)}).torch == "9.9"


def test_parse_names_gpus_and_keeps_what_crashed() -> None:
    gpu0 = {"device": "cuda:0", "uuid": "aa11", "capability": [8, 0], "results": {"matmul": "", "bf16": ""}}
    found = {"torch": "2.13.0+cu130", "cuda": "13.0", "archs": ["sm_80"], "available": True, "why": ""}
    probe = parse(json.dumps(found | {"devices": [gpu0]}), {"nf4 cuda:0": "the process died of it: Aborted"})
    assert probe.archs == ("sm_80",)
    (gpu,) = probe.devices
    assert (gpu.uuid, gpu.capability) == ("aa11", (8, 0))
    assert dict(gpu.results) == {"matmul": "", "bf16": "", "nf4": "the process died of it: Aborted"}


@pytest.mark.parametrize("answer", ["", "{}", "[]", "no json", '{"torch": 1}'])
def test_parse_refuses_rubbish(answer: str) -> None:
    assert parse(answer).error.startswith("the check gave no readable answer")
