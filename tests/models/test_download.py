"""Downloads: what is fetched and what is not, progress, stopping, stalling, a full disk."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.models import catalogue, download, fetch
from tui_ft.models.download import DownloadCancelled
from tui_ft.models.facts import ModelFacts
from tui_ft.models.resolve import resolve
from tui_ft.settings import Home, hub_cache

Published = Callable[..., ModelFacts]


@pytest.fixture
def published(fake_hub: Any, make_model: Any, own_home: Home) -> Published:
    """Publish a model with all kinds of files; the facts that the hub gives of it."""

    def publish(model_id: str = "owner/small") -> ModelFacts:
        folder = make_model()
        for name in ("pytorch_model.bin", "consolidated.safetensors", "modeling.py", "model.gguf"):
            (folder / name).write_bytes(b"x" * 100)
        fake_hub.add(model_id, folder)
        return resolve(model_id, home=own_home, offline=False)

    return publish


def test_weights_come_and_nothing_dangerous(published: Published) -> None:
    seen: list[tuple[int, int]] = []
    folder = download.download(published(), lambda done, total: seen.append((done, total)))
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"} <= names
    assert not names & {"pytorch_model.bin", "consolidated.safetensors", "modeling.py", "model.gguf"}
    done, total = seen[-1]
    assert done == total == (folder / "model.safetensors").stat().st_size


def test_code_comes_only_when_allowed(published: Published) -> None:
    folder = download.download(published(), allow_code=True)
    assert (folder / "modeling.py").read_bytes() == b"x" * 100
    assert not (folder / "pytorch_model.bin").exists()


def test_what_is_here_is_not_fetched(fake_hub: Any, make_model: Any, own_home: Home) -> None:
    facts = resolve(str(make_model()), home=own_home)
    assert download.download(facts) == facts.folder
    assert not fake_hub.asked


def test_a_model_of_the_catalogue_is_fetched_by_its_id(fake_hub: Any, make_model: Any) -> None:
    fake_hub.add("Qwen/Qwen3-0.6B", make_model())
    suggestion = catalogue.find("Qwen/Qwen3-0.6B")
    assert suggestion is not None
    assert (download.download(suggestion.facts()) / "model.safetensors").is_file()


def test_every_shard_comes(fake_hub: Any, make_model: Any, save_tensors: Any, own_home: Home) -> None:
    folder = make_model()
    (folder / "model.safetensors").unlink()
    shards = {"a": "part_one.safetensors", "b": "part_two.safetensors"}
    for name, shard in shards.items():
        save_tensors(folder / shard, {name: [4]})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    fake_hub.add("owner/shards", folder)
    facts = resolve("owner/shards", home=own_home, offline=False)
    assert not facts.has_weights
    fetched = download.download(facts)
    assert {path.name for path in fetched.glob("*.safetensors")} == set(shards.values())
    assert facts.has_weights


def test_offline_says_so(published: Published) -> None:
    with pytest.raises(EnvironmentProblem, match="hub cannot be reached"):
        download.download(published(), offline=True)


def test_stopped_by_the_user(fake_hub: Any, published: Published) -> None:
    facts = published()
    fake_hub.stall.add("model.safetensors")
    with pytest.raises(DownloadCancelled, match="was stopped"):
        download.download(facts, cancelled=lambda: any("model.safetensors" in a for a in fake_hub.asked))


def test_a_hub_that_goes_silent_is_tried_twice(
    fake_hub: Any, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = published()
    fake_hub.stall.add("model.safetensors")
    monkeypatch.setattr(download, "_STALLED_AFTER_S", 2.0)
    with pytest.raises(EnvironmentProblem, match="sent nothing for 2 s, twice"):
        download.download(facts)


def test_the_door_is_locked(fake_hub: Any, published: Published) -> None:
    facts = published()
    fake_hub.refuse["owner/small"] = (401, "GatedRepo", "restricted")
    with pytest.raises(EnvironmentProblem, match="you are not logged in"):
        download.download(facts)


def test_the_model_is_gone(fake_hub: Any, published: Published) -> None:
    facts = replace(published(), revision=None)
    fake_hub.files.clear()
    with pytest.raises(InputError, match="no model of this name"):
        download.download(facts)


def test_torn_weights_are_noticed(fake_hub: Any, published: Published) -> None:
    facts = published()
    whole = fake_hub.files["owner/small"]["model.safetensors"]
    fake_hub.files["owner/small"]["model.safetensors"] = whole[:-100]
    with pytest.raises(InputError, match="100 B too short"):
        download.download(facts)


def test_a_full_disk_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    with pytest.raises(EnvironmentProblem, match="the download needs") as caught:
        fetch._check_room(free, tmp_path)
    assert "HF_HOME" in caught.value.fix


def test_a_child_that_dies_is_reported(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = published()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EnvironmentProblem, match="ended unexpectedly"):
        download.download(facts)
    assert hub_cache().is_dir()
