"""GGUF and Ollama with the real converter and llama.cpp, on tiny weights under SmolLM2's tokenizer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.tiny_model import make
from tests.tuned_run import make_run, run_module, write_adapter
from tui_ft.errors import EnvironmentProblem
from tui_ft.export import check as checks
from tui_ft.export.shop import fingerprint
from tui_ft.models import smollm2
from tui_ft.runs import status
from tui_ft.runs.folder import RunFolder
from tui_ft.settings import Home

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model llama.cpp knows: a tokenizer it recognises, rows of 256 values as its 4-bit blocks need."""
    root = tmp_path_factory.mktemp("known")
    try:
        known = smollm2.prepare(Home(root / "home"))
    except EnvironmentProblem as error:
        pytest.skip(error.what)
    folder = make(root / "model", hidden=256)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(known / name, folder / name)
    config = json.loads((folder / "config.json").read_text())
    words = json.loads((known / "config.json").read_text())["vocab_size"]
    weights = load_file(folder / "model.safetensors")
    random = np.random.default_rng(3)
    weights["model.embed_tokens.weight"] = (random.standard_normal((words, 256)) * 0.05).astype(np.float32)
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": words, "pad_token_id": 2}))
    return folder


@pytest.fixture(scope="module")
def exported(model: Path, converter_home: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with every kind of GGUF and a Modelfile."""
    home = tmp_path_factory.mktemp("home")
    folder = make_run(home, model, system="Answer in JSON.")
    write_adapter(folder.adapter, model, strength=0.3)
    (home / "tools").symlink_to(converter_home / "tools")
    wanted = [f"--to={name}" for name in ("gguf:f16", "gguf:q4_k_m", "ollama")]
    done = run_module("tui_ft.export.worker", str(folder.path), *wanted)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_file_is_there_and_proven(exported: RunFolder) -> None:
    assert status.reality(exported, "export").state == "finished"
    assert sorted(path.name for path in exported.exports.iterdir()) == [
        *("gguf-f16", "gguf-q4_k_m", "merged", "ollama")
    ]
    sizes = []
    for name in ("f16", "q4_k_m"):
        folder = exported.exports / f"gguf-{name}"
        assert checks.passed_for(folder, fingerprint(exported.adapter))
        notes = checks.notes(folder)
        assert notes["has_template"]
        assert notes["tokens_compared"] > 100
        sizes.append((folder / notes["file"]).stat().st_size)
    assert sizes == sorted(sizes, reverse=True)


def test_f16_is_the_merged_model(exported: RunFolder) -> None:
    document = json.loads((exported.exports / "gguf-f16" / checks.CHECK).read_text())
    values = {measure["name"]: measure["value"] for measure in document["measures"]}
    assert values["texts with the same tokens"] == 1.0
    assert values["KL(merged || GGUF)"] < 1e-3


def test_the_modelfile_names_the_file_the_template_and_the_stops(exported: RunFolder) -> None:
    text = (exported.exports / "ollama" / "Modelfile").read_text()
    source = text.splitlines()[0].removeprefix("FROM ")
    assert (exported.exports / "ollama" / source).resolve().is_file()
    assert 'TEMPLATE """{{ if not .System }}<|im_start|>system' in text
    assert 'SYSTEM """Answer in JSON."""' in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "ollama create tiny" in (exported.exports / "ollama" / "README.md").read_text()


@pytest.fixture(scope="module")
def spoiled(exported: RunFolder) -> dict[str, Any]:
    """What the check says when file and merged model do not belong together."""
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("gguf_child.py")), str(exported.path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("spoil", "measure"),
    [
        ("other weights", "KL(merged || GGUF)"),
        ("other tokenizer", "texts with the same tokens"),
        ("other stop", "stop tokens known"),
    ],
)
def test_a_wrong_file_fails(spoiled: dict[str, Any], spoil: str, measure: str) -> None:
    assert measure in spoiled[spoil]


def test_the_right_file_passes(spoiled: dict[str, Any]) -> None:
    assert spoiled["nothing"] == []
