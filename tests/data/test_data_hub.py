"""Datasets on the hub: which files, out of the cache, and what is said when it is out of reach."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tui_ft.data.hub import choose, parse_id
from tui_ft.data.read import read
from tui_ft.errors import EnvironmentProblem, InputError

ID = "hub:someone/things"


@pytest.mark.parametrize("given", ["hub:things", "hub:", "hub:a/b c", "hub:a//b"])
def test_an_id_needs_an_owner_and_a_name(given: str) -> None:
    with pytest.raises(InputError, match="not a dataset of the hub"):
        parse_id(given)


def test_an_id_may_name_a_revision_and_a_file() -> None:
    assert parse_id("hub:a/b@v1/data/x.parquet").revision == "v1"
    assert parse_id("hub:a/b@v1/data/x.parquet").inside == "data/x.parquet"
    assert parse_id("hub:a/b").revision == "main"


@pytest.mark.parametrize(
    ("names", "inside", "chosen"),
    [
        (["README.md", "rows.jsonl"], "", ["rows.jsonl"]),
        (["train.jsonl", "test.jsonl"], "", ["train.jsonl"]),
        (["train.jsonl", "test.jsonl"], "test.jsonl", ["test.jsonl"]),
        (["x.json", "d/train-0-of-1.parquet", "d/test-0-of-1.parquet"], "", ["d/train-0-of-1.parquet"]),
        (["en/train.jsonl", "fr/train.jsonl"], "fr", ["fr/train.jsonl"]),
    ],
)
def test_training_files_are_chosen(names: list[str], inside: str, chosen: list[str]) -> None:
    assert choose(names, inside, ID) == chosen


@pytest.mark.parametrize(
    ("names", "inside", "what"),
    [
        (["script.py"], "", "no files that can be read"),
        (["train.jsonl"], "tran.jsonl", "has no tran.jsonl"),
        (["en/train.jsonl", "fr/train.jsonl"], "", "several subsets: en, fr"),
    ],
)
def test_what_cannot_be_chosen_is_told(names: list[str], inside: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        choose(names, inside, ID)


def test_half_a_dataset_in_the_cache_is_not_taken_for_a_whole() -> None:
    with pytest.raises(EnvironmentProblem, match="only 1 of 3 files"):
        choose(["train-00000-of-00003.parquet"], "", ID)


def cached(names: dict[str, str]) -> None:
    snapshot = Path(os.environ["HF_HOME"]) / "hub/datasets--someone--things/snapshots/abc"
    for name, content in names.items():
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).write_text(content)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs/main").write_text("abc")


def test_the_cache_serves_without_a_hub(tmp_path: Path) -> None:
    cached({"train.jsonl": '{"text": "one"}\n', "test.jsonl": '{"text": "two"}\n'})
    rows = list(read([ID], tmp_path))
    assert [(row.file, row.line) for row in rows] == [("hub:someone/things/train.jsonl", 1)]


def test_an_unreachable_hub_is_an_environment_problem(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="the hub cannot be reached"):
        list(read([ID], tmp_path))


class _Hub(BaseHTTPRequestHandler):
    """One dataset of one file, one that is gated, and nothing else."""

    protocol_version = "HTTP/1.1"
    rows = b'{"text": "from the hub"}\n'

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path.startswith("/api/datasets/someone/things"):
            files = [{"rfilename": "train.jsonl", "size": len(self.rows)}]
            tree = [{"type": "file", "path": "train.jsonl", "size": len(self.rows), "oid": "1" * 40}]
            info = {"_id": "1", "id": "someone/things", "sha": "a" * 40, "siblings": files}
            self._send(200, {}, json.dumps(tree if "/tree/" in self.path else info).encode())
        elif self.path.startswith("/datasets/someone/things/resolve/"):
            headers = {"X-Repo-Commit": "a" * 40, "ETag": '"' + "1" * 40 + '"'}
            self._send(200, headers, self.rows)
        elif "gated" in self.path:
            self._send(403, {"X-Error-Code": "GatedRepo"}, b"{}")
        else:
            self._send(404, {"X-Error-Code": "RepoNotFound"}, b"{}")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub on this machine that the real client talks to."""
    import huggingface_hub.constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.daemon_threads = True
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.usefixtures("hub")
def test_files_are_fetched_from_the_hub(tmp_path: Path) -> None:
    rows = list(read([ID], tmp_path))
    assert [row.values for row in rows if hasattr(row, "values")] == [{"text": "from the hub"}]


@pytest.mark.usefixtures("hub")
def test_a_gated_dataset_and_a_missing_one_have_their_own_words(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="the dataset is gated"):
        list(read(["hub:someone/gated"], tmp_path))
    with pytest.raises(InputError, match="no such dataset"):
        list(read(["hub:someone/else"], tmp_path))
