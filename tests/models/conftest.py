"""Small real model folders, and a model hub on this machine that the real client talks to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tui_ft.settings import Home, home

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 16,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
SHAPES = {
    "model.embed_tokens.weight": [16, 8],
    "model.norm.weight": [8],
    "model.layers.0.input_layernorm.weight": [8],
    "model.layers.0.post_attention_layernorm.weight": [8],
    "model.layers.0.self_attn.q_proj.weight": [8, 8],
    "model.layers.0.self_attn.k_proj.weight": [4, 8],
    "model.layers.0.self_attn.v_proj.weight": [4, 8],
    "model.layers.0.self_attn.o_proj.weight": [8, 8],
    "model.layers.0.mlp.gate_proj.weight": [16, 8],
    "model.layers.0.mlp.up_proj.weight": [16, 8],
    "model.layers.0.mlp.down_proj.weight": [8, 16],
}
PARAMETERS = 728
TEMPLATE = (
    "{% for m in messages %}{{ '<s>' + m['role'] + ': ' + m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)

MakeModel = Callable[..., Path]
SaveTensors = Callable[..., Path]


def safetensors_bytes(shapes: dict[str, list[int]], dtype: str = "BF16", width: int = 2) -> bytes:
    """A valid safetensors file of zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        length = width
        for side in shape:
            length *= side
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + length]}
        offset += length
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(offset)


@pytest.fixture
def save_tensors() -> SaveTensors:
    """Write a safetensors file of zeros with the given shapes."""

    def save(path: Path, shapes: dict[str, list[int]], dtype: str = "BF16", width: int = 2) -> Path:
        path.write_bytes(safetensors_bytes(shapes, dtype, width))
        return path

    return save


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Make a complete small model folder; keyword arguments change its config."""

    def make(name: str = "model", **changes: Any) -> Path:
        folder = tmp_path / name
        write_model(folder, **changes)
        return folder

    return make


def write_model(folder: Path, **changes: Any) -> None:
    """config, tokenizer, template and weights of a one-layer Llama with 728 parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    words = ["<s>", "</s>", "hello", "world", "user", "assistant", ":", "<unk>"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(SHAPES))


@pytest.fixture
def own_home() -> Home:
    """The home folder of this test."""
    return home()


@dataclass
class FakeHub:
    """What the hub holds, and how it answers for each model."""

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)  # by model id, by file name
    info: dict[str, dict[str, Any]] = field(default_factory=dict)  # additions to the model's info
    refuse: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # files: status, code, message
    refuse_info: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    stall: set[str] = field(default_factory=set)  # files whose content never comes
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def add(self, model_id: str, folder: Path, **info: Any) -> None:
        """Publish a model folder."""
        self.files[model_id] = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        self.info[model_id] = info

    def commit(self, model_id: str) -> str:
        """The one commit of a model."""
        return hashlib.sha1(model_id.encode()).hexdigest()


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub on this machine; HF_ENDPOINT points to it and the client is online."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if path.startswith("/api/models/"):
            parts = path.removeprefix("/api/models/").split("/")
            self._api("/".join(parts[:2]), parts[2:])
        else:
            owner, name, _, revision, *rest = path.strip("/").split("/")
            self._file(f"{owner}/{name}", revision, "/".join(rest))

    def _api(self, model_id: str, rest: list[str]) -> None:
        files = self.hub.files.get(model_id)
        if model_id in self.hub.refuse_info:
            return self._refuse(*self.hub.refuse_info[model_id])
        if files is None:
            return self._refuse(401, "RepoNotFound", "Repository not found")
        commit = self.hub.commit(model_id)
        if rest and rest[-1] not in ("main", commit):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {rest[-1]}")
        if rest[:1] == ["tree"]:
            listing = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files.items()
            ]
            return self._json(listing)
        return self._json(
            {
                "_id": "1",
                "id": model_id,
                "sha": commit,
                "private": False,
                "gated": False,
                "siblings": [{"rfilename": name, "size": len(data)} for name, data in files.items()],
                **self.hub.info.get(model_id, {}),
            }
        )

    def _file(self, model_id: str, revision: str, name: str) -> None:
        if model_id in self.hub.refuse:
            return self._refuse(*self.hub.refuse[model_id])
        data = self.hub.files.get(model_id, {}).get(name)
        if data is None:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        headers = {
            "X-Repo-Commit": self.hub.commit(model_id),
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        status = 200
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            data, status = data[int(first) : int(last or len(data)) + 1], 206
        return self._send(status, headers, data, stall=name in self.hub.stall and status == 200)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": message}, b"{}")

    def _json(self, value: Any) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _send(self, status: int, headers: dict[str, str], data: bytes, *, stall: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            if stall:
                self.hub.released.wait(60)
            self.wfile.write(data)
