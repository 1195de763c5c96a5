"""From a name to facts: folders, cache, the built-in model, the catalogue, and every wrong turn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tui_ft.errors import EnvironmentProblem, InputError, TuiFtError
from tui_ft.models import cached, catalogue
from tui_ft.models.download import download
from tui_ft.models.resolve import known_ids, resolve
from tui_ft.settings import Home, hub_cache

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(model_id: str, folder: Path, *, ref: str = "main", commit: str = COMMIT) -> Path:
    """Lay a model folder into the hub cache as huggingface_hub would."""
    repo = hub_cache() / f"models--{model_id.replace('/', '--')}"
    snapshot = repo / "snapshots" / commit
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(snapshot)
    if ref:
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / ref).write_text(commit)
    return snapshot


# -- what is here


def test_a_folder(make_model: Any, own_home: Home) -> None:
    folder = make_model()
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\nlicense: x\n")
    facts = resolve(str(folder), home=own_home)
    assert (facts.source, facts.folder, facts.revision) == ("folder", folder, None)
    assert (facts.model_type, facts.architecture) == ("llama", "LlamaForCausalLM")
    assert (facts.parameters, facts.parameters_exact, facts.dtype) == (728, True, "BF16")
    assert facts.weight_bytes == (folder / "model.safetensors").stat().st_size
    assert facts.has_weights
    assert facts.chat_template is not None
    assert facts.chat_template.startswith("{% for m in messages %}")
    assert (facts.licence, facts.gated, facts.quantized, facts.notes) == ("apache-2.0", None, None, ())
    assert facts.dims is not None
    assert (facts.dims.layers, facts.dims.kv_size, facts.dims.tied) == (1, 4, True)


def test_a_relative_folder(make_model: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model("mine")
    monkeypatch.chdir(folder.parent)
    assert resolve("mine", home=own_home).folder == folder
    assert resolve("./mine", home=own_home).folder == folder


def test_a_licence_with_a_name_of_its_own(make_model: Any, own_home: Home) -> None:
    folder = make_model()
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: falcon-llm-license\n---\n")
    assert resolve(str(folder), home=own_home).licence == "falcon-llm-license"


def test_a_cached_model_needs_no_network(make_model: Any, own_home: Home) -> None:
    snapshot = put_in_cache("owner/small", make_model())
    facts = resolve("owner/small", home=own_home, offline=False)
    assert (facts.source, facts.revision, facts.folder) == ("cache", COMMIT, snapshot)
    assert facts.parameters_exact


@pytest.mark.parametrize("revision", ["v1", COMMIT])
def test_a_cached_revision(make_model: Any, own_home: Home, revision: str) -> None:
    put_in_cache("owner/small", make_model(), ref="v1")
    assert resolve("owner/small", revision, home=own_home).revision == COMMIT
    with pytest.raises(EnvironmentProblem, match="hub cannot be reached"):
        resolve("owner/small", "v2", home=own_home)


def test_a_cache_without_a_branch_gives_the_newest(make_model: Any, own_home: Home) -> None:
    put_in_cache("owner/small", make_model(), ref="")
    assert resolve("owner/small", home=own_home).revision == COMMIT


def test_a_revision_cannot_leave_the_cache(make_model: Any, own_home: Home) -> None:
    put_in_cache("owner/small", make_model())
    secret = hub_cache() / "secret"
    secret.write_text(COMMIT)
    assert cached.snapshot("owner/small", "../../secret") is None
    assert cached.snapshot("owner/small", str(secret)) is None


def test_half_a_download_is_not_taken_for_a_model(make_model: Any, own_home: Home) -> None:
    folder = put_in_cache("owner/small", make_model())
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    facts = resolve("owner/small", home=own_home)
    assert not facts.has_weights
    assert (facts.parameters, facts.parameters_exact, facts.weight_bytes) == (728, False, None)
    assert cached.local_models(own_home) == []


def test_models_at_hand_are_listed(make_model: Any, own_home: Home) -> None:
    put_in_cache("owner/small", make_model("a"))
    put_in_cache("owner/config-only", make_model("b"))
    (hub_cache() / "models--owner--config-only/snapshots" / COMMIT / "model.safetensors").unlink()
    (hub_cache() / "datasets--owner--rows").mkdir()
    own_home.models.mkdir(parents=True)
    make_model("mine").rename(own_home.models / "mine")
    (own_home.models / ".mine.tmp").mkdir()
    listed = cached.local_models(own_home)
    assert [(model.id, model.prepared) for model in listed] == [("mine", True), ("owner/small", False)]
    assert all(model.weight_bytes > 1000 for model in listed)
    assert cached.cached_ids() == ["owner/config-only", "owner/small"]
    assert known_ids(own_home)[:3] == ["owner/config-only", "owner/small", "mine"]
    assert resolve("mine", home=own_home).source == "built-in"


def test_nothing_at_hand(own_home: Home) -> None:
    assert cached.local_models(own_home) == []
    assert known_ids(own_home) == [suggestion.id for suggestion in catalogue.SUGGESTIONS]


def test_a_suggestion_can_be_planned_offline(own_home: Home) -> None:
    facts = resolve("meta-llama/Llama-3.1-8B-Instruct", home=own_home)
    assert (facts.source, facts.gated, facts.licence) == ("catalogue", True, "llama3.1")
    assert (facts.folder, facts.has_weights, facts.parameters_exact) == (None, False, False)
    assert facts.parameters == 8_030_261_248
    assert facts.weight_bytes == 2 * 8_030_261_248
    assert facts.dims is not None
    assert facts.dims.layers == 32


# -- special models


def test_quantised_weights_are_counted_from_the_config(
    make_model: Any, save_tensors: Any, own_home: Home
) -> None:
    folder = make_model(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    save_tensors(folder / "model.safetensors", {"model.layers.0.mlp.up_proj.weight": [64, 1]}, "U8", 1)
    facts = resolve(str(folder), home=own_home)
    assert (facts.quantized, facts.parameters, facts.parameters_exact) == ("bitsandbytes", 728, False)
    assert facts.notes[0] == "The stored weights are quantised (bitsandbytes)."


def test_packed_weights_without_a_word_in_the_config(
    make_model: Any, save_tensors: Any, own_home: Home
) -> None:
    folder = make_model()
    save_tensors(folder / "model.safetensors", {"model.layers.0.mlp.up_proj.weight": [64, 1]}, "U8", 1)
    facts = resolve(str(folder), home=own_home)
    assert (facts.quantized, facts.parameters, facts.parameters_exact) == ("unknown", 728, False)


def test_remote_code_is_a_fact_not_an_error(make_model: Any, own_home: Home) -> None:
    mapped = {"AutoModelForCausalLM": "modeling_new.NewForCausalLM"}
    asked = resolve(str(make_model("a", model_type="brand_new", auto_map=mapped)), home=own_home)
    assert asked.needs_remote_code
    native = resolve(str(make_model("b", auto_map=mapped)), home=own_home)
    assert not native.needs_remote_code


def test_an_unknown_architecture_is_read_by_its_names(make_model: Any, own_home: Home) -> None:
    facts = resolve(str(make_model(model_type="brand_new", tie_word_embeddings=False)), home=own_home)
    assert facts.dims is not None
    assert facts.dims.approximate
    assert facts.dims.tied, "the weights have no head of their own"
    assert (facts.parameters, facts.parameters_exact) == (728, True)
    assert "rough estimate" in facts.notes[0]
    assert "does not list the architecture 'brand_new'" in facts.notes[1]


def test_an_unreadable_architecture_still_has_facts(make_model: Any, own_home: Home) -> None:
    facts = resolve(str(make_model(model_type="odd", hidden_size=[8, 16])), home=own_home)
    assert facts.dims is None
    assert facts.parameters == 728
    assert "memory cannot be planned" in facts.notes[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
        {"architectures": ["LlamaForSequenceClassification"]},
        {"architectures": ["BertModel"], "model_type": "bert"},
        {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True},
    ],
)
def test_models_that_do_not_write(make_model: Any, own_home: Home, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="does not write text") as caught:
        resolve(str(make_model(**changes)), home=own_home)
    assert "instruct" in caught.value.fix


# -- wrong turns


def failing(name: str, home: Home) -> TuiFtError:
    with pytest.raises(TuiFtError) as caught:
        resolve(name, home=home)
    assert caught.value.fix
    return caught.value


def test_no_name(own_home: Home) -> None:
    assert "no model is named" in failing("  ", own_home).what


def test_a_path_that_is_not_there(make_model: Any, own_home: Home) -> None:
    folder = make_model("support-model")
    error = failing(str(folder.parent / "suport-model"), own_home)
    assert isinstance(error, InputError)
    assert error.what == "there is no such folder"
    assert str(folder) in error.fix
    assert "Check the path" in failing("/nowhere/at/all", own_home).fix


def test_a_file_instead_of_a_folder(make_model: Any, own_home: Home) -> None:
    folder = make_model()
    assert "a model is a folder" in failing(str(folder / "model.safetensors"), own_home).what
    (folder / "x.gguf").write_bytes(b"GGUF")
    assert "GGUF" in failing(str(folder / "x.gguf"), own_home).what
    (folder / "x.pt").write_bytes(b"")
    assert "pickle" in failing(str(folder / "x.pt"), own_home).what


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no config.json"),
        (["notes.txt"], "no config.json"),
        (["adapter_config.json", "adapter_model.safetensors"], "adapter, not a model"),
        (["model.Q4_K_M.gguf"], "cannot be trained"),
        (["model_index.json"], "image model"),
        (["config.json", "pytorch_model.bin"], "pickle"),
        (["config.json", "model.gguf"], "cannot be trained"),
    ],
)
def test_folders_without_a_model(tmp_path: Path, own_home: Home, files: list[str], words: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("{}")
    error = failing(str(folder), own_home)
    assert isinstance(error, InputError)
    assert words in error.what
    assert error.problems[0].where == str(folder)


def test_a_config_alone_is_enough_to_plan_for_but_not_to_train(make_model: Any, own_home: Home) -> None:
    folder = make_model()
    for file in folder.iterdir():
        if file.name != "config.json":
            file.unlink()
    facts = resolve(str(folder), home=own_home)
    assert facts.dims is not None
    assert facts.parameters
    assert not facts.parameters_exact
    assert not facts.has_weights
    assert any("planned for, not trained" in note for note in facts.notes)
    with pytest.raises(InputError, match="no weights here"):
        download(facts)


def test_a_pickle_is_refused_with_the_way_to_convert(make_model: Any, own_home: Home) -> None:
    folder = make_model()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert f"from_pretrained('{folder}')" in failing(str(folder), own_home).fix


@pytest.mark.parametrize("content", ["{", "[]", '"text"'])
def test_a_damaged_config(make_model: Any, own_home: Home, content: str) -> None:
    folder = make_model()
    (folder / "config.json").write_text(content)
    error = failing(str(folder), own_home)
    assert "is damaged" in error.what
    assert error.problems[0].where == str(folder / "config.json")


def test_every_wrong_size_is_named(make_model: Any, own_home: Home) -> None:
    folder = make_model(hidden_size="8", num_hidden_layers=-1, vocab_size=True)
    error = failing(str(folder), own_home)
    named = {problem.where for problem in error.problems}
    assert named == {f"config.json: {key}" for key in ("hidden_size", "num_hidden_layers", "vocab_size")}


@pytest.mark.parametrize("name", ["owner/na me", "a..b/c", "owner/a--b", "ünïcode/x", "\x1b[31mred"])
def test_names_that_cannot_be(name: str, own_home: Home) -> None:
    error = failing(name, own_home)
    assert "neither a folder nor a hub id" in error.what
    assert "\x1b" not in str(error)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Qwen/Qwen3-4B-Instruct-2570", "Qwen/Qwen3-4B-Instruct-2507"),
        ("HuggingFaceTB/SmolLM-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("Llama-3.1-8B-Instrct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("owner/smal", "owner/small"),
    ],
)
def test_a_slip_is_taken_for_one(make_model: Any, own_home: Home, typed: str, meant: str) -> None:
    put_in_cache("owner/small", make_model())
    error = failing(typed, own_home)
    assert isinstance(error, InputError)
    assert meant in error.fix


def test_an_unknown_name_offline_is_the_networks_fault(own_home: Home) -> None:
    error = failing("somebody/something-else", own_home)
    assert isinstance(error, EnvironmentProblem)
    assert "hub cannot be reached" in error.what


@given(name=st.text(max_size=40) | st.from_regex(r"[~/.][\w/.~-]*", fullmatch=True))
@example(name="/" + "x" * 300)
@example(name="x" * 300)
@example(name="/a\0b")
def test_any_other_text_is_one_of_our_errors(name: str) -> None:
    with pytest.raises(TuiFtError) as caught:
        resolve(name, home=Home(Path("/nonexistent")), offline=True)
    assert caught.value.fix


# -- lightness


def test_nothing_heavy_is_loaded(make_model: Any, own_home: Home) -> None:
    folder = make_model()
    code = (
        "import sys; from pathlib import Path\n"
        "from tui_ft.models import catalogue, cached, download, smollm2\n"
        "from tui_ft.models.resolve import resolve\n"
        "from tui_ft.settings import home\n"
        f"resolve({str(folder)!r}, home=home()); cached.local_models(home())\n"
        "heavy = {'torch', 'transformers', 'datasets', 'trl', 'peft', 'textual', 'numpy', 'gguf'}\n"
        "heavy |= {'huggingface_hub', 'jinja2', 'tokenizers', 'pydantic', 'safetensors', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
