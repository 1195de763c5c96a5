"""The export process on real, tiny models: merged and served, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tuned_run import make_run, run_module, write_adapter
from tui_ft.export import check as checks
from tui_ft.export.shop import fingerprint
from tui_ft.runs import status
from tui_ft.runs.events import EventReader
from tui_ft.runs.folder import RunFolder

WORKER = "tui_ft.export.worker"

pytestmark = pytest.mark.train


@pytest.fixture
def run(tmp_path: Path, tiny: Path) -> RunFolder:
    folder = make_run(tmp_path, tiny, settings='[export]\nto = ["merged", "vllm"]\n')
    write_adapter(folder.adapter, tiny)
    return folder


def test_merged_and_vllm_as_the_recipe_says_and_only_once(run: RunFolder) -> None:
    done = run_module(WORKER, str(run.path))
    assert done.returncode == 0, done.stderr
    end = status.reality(run, "export")
    assert (end.state, end.message) == ("finished", "exported merged, vllm")
    merged = run.exports / "merged"
    assert sorted(path.name for path in run.exports.iterdir()) == ["merged", "vllm"]
    assert checks.passed_for(merged, fingerprint(run.adapter))
    assert not [path for path in merged.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    assert str(merged) in (run.exports / "vllm" / "README.md").read_text()
    assert "owner/tiny" in (merged / "README.md").read_text()
    kinds = [event["kind"] for event in EventReader(run.events).read()]
    assert kinds.count("artefact") == 2
    made = (merged / "model.safetensors").stat().st_mtime_ns
    assert run_module(WORKER, str(run.path), "--to", "merged").returncode == 0
    assert (merged / "model.safetensors").stat().st_mtime_ns == made


def test_an_adapter_that_does_nothing_is_a_failed_export(run: RunFolder, tiny: Path) -> None:
    write_adapter(run.adapter, tiny, strength=0.0)
    done = run_module(WORKER, str(run.path), "--to", "vllm")
    assert done.returncode == 4, done.stderr
    end = status.reality(run, "export")
    assert end.state == "failed"
    assert "merged failed its check" in end.message
    assert not (run.exports / "merged").exists()
    assert not (run.exports / "vllm").exists()
    aside = run.exports / ".failed" / "merged"
    assert json.loads((aside / checks.CHECK).read_text())["passed"] is False
    assert not (run.exports / ".work").exists()


def test_a_tokenizer_that_llama_cpp_does_not_know(run: RunFolder, converter_home: Path) -> None:
    (run.path.parents[1] / "tools").symlink_to(converter_home / "tools")
    done = run_module(WORKER, str(run.path), "--to", "gguf:q8_0")
    assert done.returncode == 4, done.stderr
    assert "llama.cpp does not know this model's tokenizer" in status.reality(run, "export").message
    assert (run.exports / "merged").is_dir()
    assert not (run.exports / "gguf-q8_0").exists()


@pytest.mark.parametrize(
    ("names", "code", "words"),
    [
        (["--to", "ggfu"], 2, "no export format 'ggfu'"),
        (["--to", "hub"], 3, "no Hugging Face token"),
    ],
)
def test_refused_at_once(run: RunFolder, names: list[str], code: int, words: str) -> None:
    assert run_module(WORKER, str(run.path), *names).returncode == code
    end = status.reality(run, "export")
    assert end.state == "failed"
    assert words in end.message


def test_a_base_that_is_stored_quantised(run: RunFolder, tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "quantised"
    base.mkdir()
    for path in tiny.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(
        json.dumps({**config, "quantization_config": {"quant_method": "bitsandbytes"}})
    )
    run.plan.write_text(json.dumps({**json.loads(run.plan.read_text()), "model_folder": str(base)}))
    assert run_module(WORKER, str(run.path), "--to", "merged").returncode == 2
    assert "stored quantised" in status.reality(run, "export").message


def test_a_base_that_was_swapped(run: RunFolder, tiny: Path) -> None:
    run.lock.write_text(f'[packages]\n[data.prepared]\n[model.files]\n"config.json" = "{"0" * 64}"\n')
    assert run_module(WORKER, str(run.path), "--to", "merged").returncode == 2
    assert "config.json was 000000000000" in status.reality(run, "export").message
