"""The hub through the real client: facts without weights, and every kind of refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tui_ft.errors import EnvironmentProblem, InputError, TuiFtError
from tui_ft.models.resolve import resolve
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.settings import Home, hub_cache

TOKEN = "hf_abcdefghijklmnopqrstuvwxyz012345"


def test_facts_come_without_the_weights(fake_hub: Any, make_model: Any, own_home: Home) -> None:
    fake_hub.add("owner/small", make_model(), gated="auto", cardData={"license": "mit"})
    facts = resolve("owner/small", home=own_home, offline=False)
    assert facts.source == "hub"
    assert facts.revision == fake_hub.commit("owner/small")
    assert (facts.parameters, facts.parameters_exact, facts.dtype) == (728, True, "BF16")
    assert (facts.licence, facts.gated, facts.context_length) == ("mit", True, 128)
    assert facts.weight_bytes == len(fake_hub.files["owner/small"]["model.safetensors"])
    assert not facts.has_weights
    assert facts.folder is not None
    assert not list(facts.folder.glob("*.safetensors"))
    assert ChatTokenizer.load(facts.folder).eos_id == 1


def test_sharded_weights_are_counted_by_their_index(
    fake_hub: Any, make_model: Any, save_tensors: Any, own_home: Home
) -> None:
    folder = make_model()
    (folder / "model.safetensors").unlink()
    shards = {"a.weight": "model-00001-of-00002.safetensors", "b.weight": "model-00002-of-00002.safetensors"}
    for number, (name, shard) in enumerate(shards.items(), 1):
        save_tensors(folder / shard, {name: [10 * number, 3]})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    fake_hub.add("owner/shards", folder)
    assert resolve("owner/shards", home=own_home, offline=False).parameters == 90


def test_what_was_asked_for_once_is_known_offline(fake_hub: Any, make_model: Any, own_home: Home) -> None:
    fake_hub.add("owner/small", make_model())
    resolve("owner/small", home=own_home, offline=False)
    facts = resolve("owner/small", home=own_home, offline=True)
    assert facts.source == "cache"
    assert (facts.parameters, facts.parameters_exact, facts.has_weights) == (728, False, False)
    assert "counted from the config" in " ".join(facts.notes)


def refused(
    hub: Any, home: Home, monkeypatch: pytest.MonkeyPatch, *, token: str = "", model_id: str = "owner/small"
) -> TuiFtError:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(TuiFtError) as caught:
        resolve(model_id, home=home, offline=False)
    assert TOKEN not in str(caught.value)
    return caught.value


def test_gated_without_a_token(
    fake_hub: Any, make_model: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.add("owner/small", make_model(), gated="manual")
    fake_hub.refuse["owner/small"] = (401, "GatedRepo", "Access to model owner/small is restricted.")
    error = refused(fake_hub, own_home, monkeypatch)
    assert isinstance(error, EnvironmentProblem)
    assert "you are not logged in" in error.what
    assert f"{fake_hub.url}/owner/small" in error.fix
    assert "hf auth login" in error.fix


def test_gated_with_a_bad_token(
    fake_hub: Any, make_model: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.add("owner/small", make_model(), gated="auto")
    fake_hub.refuse["owner/small"] = (401, "GatedRepo", f"Invalid token {TOKEN}")
    error = refused(fake_hub, own_home, monkeypatch, token=TOKEN)
    assert "does not accept your access token" in error.what


def test_gated_and_the_licence_not_accepted(
    fake_hub: Any, make_model: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.add("owner/small", make_model(), gated="auto")
    fake_hub.refuse["owner/small"] = (403, "GatedRepo", "you are not in the authorized list")
    error = refused(fake_hub, own_home, monkeypatch, token=TOKEN)
    assert "has not been let in" in error.what
    assert f"Accept the licence at {fake_hub.url}/owner/small" in error.fix


def test_gated_and_the_token_may_not_read_gated_models(
    fake_hub: Any, make_model: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.add("owner/small", make_model(), gated="auto")
    said = "Please enable access to public gated repositories in your fine-grained token settings."
    fake_hub.refuse["owner/small"] = (403, "GatedRepo", said)
    error = refused(fake_hub, own_home, monkeypatch, token=TOKEN)
    assert "fine-grained token" in error.what


def test_a_token_that_the_hub_does_not_know(
    fake_hub: Any, make_model: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.add("owner/small", make_model())
    fake_hub.refuse_info["owner/small"] = (401, "", "Invalid credentials in Authorization header")
    error = refused(fake_hub, own_home, monkeypatch, token=TOKEN)
    assert isinstance(error, EnvironmentProblem)
    assert "does not accept your access token" in error.what


def test_a_token_without_the_right(
    fake_hub: Any, make_model: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.add("owner/small", make_model())
    fake_hub.refuse_info["owner/small"] = (403, "", "Forbidden")
    error = refused(fake_hub, own_home, monkeypatch, token=TOKEN)
    assert "may not read this model" in error.what


@pytest.mark.parametrize("status", [401, 404])
def test_no_such_model_names_the_nearest(
    fake_hub: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    fake_hub.refuse_info["Qwen/Qwen3-0.6"] = (status, "RepoNotFound", "Repository not found")
    error = refused(fake_hub, own_home, monkeypatch, model_id="Qwen/Qwen3-0.6")
    assert isinstance(error, InputError)
    assert "no model of this name" in error.what
    assert "Qwen/Qwen3-0.6B" in error.fix
    assert "hf auth login" in error.fix


def test_no_such_model_for_someone_logged_in(
    fake_hub: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refused(fake_hub, own_home, monkeypatch, token=TOKEN, model_id="nobody/xyzzy")
    assert "your account has no access" in error.fix
    assert "Check the spelling" in error.fix


def test_no_such_revision(fake_hub: Any, make_model: Any, own_home: Home) -> None:
    fake_hub.add("owner/small", make_model())
    with pytest.raises(InputError, match="no such revision"):
        resolve("owner/small", "v9", home=own_home, offline=False)


@pytest.mark.parametrize(("status", "words"), [(429, "slow down"), (500, "HTTP 500"), (504, "HTTP 504")])
def test_a_hub_in_trouble(
    fake_hub: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    fake_hub.refuse_info["owner/small"] = (status, "", "")
    error = refused(fake_hub, own_home, monkeypatch)
    assert isinstance(error, EnvironmentProblem)
    assert words in error.what


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, fake_hub: Any, own_home: Home) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = refused(fake_hub, own_home, monkeypatch)
    assert isinstance(error, EnvironmentProblem)
    assert "hub cannot be reached" in error.what


def test_a_suggested_model_keeps_its_sizes_when_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, fake_hub: Any, own_home: Home
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    facts = resolve("qwen/qwen3-8b", home=own_home, offline=False)
    assert (facts.id, facts.source, facts.parameters) == ("Qwen/Qwen3-8B", "catalogue", 8_190_735_360)
    assert "The hub was not asked" in facts.notes[0]


def test_pickle_only(fake_hub: Any, make_model: Any, own_home: Home) -> None:
    folder = make_model()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    fake_hub.add("owner/old", folder)
    with pytest.raises(InputError, match="pickle") as caught:
        resolve("owner/old", home=own_home, offline=False)
    assert "from_pretrained('owner/old')" in caught.value.fix
    assert not any("resolve" in line for line in fake_hub.asked)


def test_a_repository_of_gguf_files(fake_hub: Any, tmp_path: Path, own_home: Home) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "model.gguf").write_bytes(b"GGUF")
    fake_hub.add("owner/small-GGUF", tmp_path / "repo")
    with pytest.raises(InputError, match="GGUF files"):
        resolve("owner/small-GGUF", home=own_home, offline=False)


def test_damaged_weights_on_the_hub(fake_hub: Any, make_model: Any, own_home: Home) -> None:
    folder = make_model()
    (folder / "model.safetensors").write_bytes(b"\xff" * 200)
    fake_hub.add("owner/torn", folder)
    with pytest.raises(InputError, match="weights on the hub are damaged"):
        resolve("owner/torn", home=own_home, offline=False)


def test_a_read_only_cache(
    fake_hub: Any, make_model: Any, own_home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_hub.add("owner/small", make_model())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(EnvironmentProblem, match=r"cannot write|may not be written") as caught:
        resolve("owner/small", home=own_home, offline=False)
    assert str(hub_cache()) in str(caught.value)
