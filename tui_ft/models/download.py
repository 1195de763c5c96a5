"""Fetching the weights, with progress, in a child process that can be stopped at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui_ft.errors import EnvironmentProblem, InputError, RunFailed
from tui_ft.models import headers, hub, smollm2
from tui_ft.models.cached import shard_names
from tui_ft.models.facts import ModelFacts
from tui_ft.models.folder import no_weights
from tui_ft.models.hub_errors import HubUnreachable
from tui_ft.settings import hub_cache
from tui_ft.text import excerpt

Progress = Callable[[int, int], None]  # bytes that have come, bytes in all

_LOOK_EVERY_S = 0.5
_STALLED_AFTER_S = 60.0
_WEIGHTS = ("model.safetensors", "model-*.safetensors")


class DownloadCancelled(RunFailed):
    """The user stopped the download; what has come is kept and not fetched again."""

    def __init__(self, model_id: str) -> None:
        super().__init__(
            "the download was stopped", where=model_id, fix="Start it again: it goes on where it was."
        )


def download(
    facts: ModelFacts,
    progress: Progress = lambda _done, _total: None,
    *,
    allow_code: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
    offline: bool | None = None,
) -> Path:
    """The folder with the model's weights; fetched into the hub cache if they aren't on this machine.

    Only configuration, tokenizer, template and safetensors files are fetched; Python files only with
    `allow_code`, pickles never. `progress` and `cancelled` are called twice a second from the calling
    thread. A connection that brings nothing for a minute is tried once more without the Xet protocol.

    Raises DownloadCancelled, InputError (no such model, no or damaged weights) or EnvironmentProblem (no
    network, no access, no room on the disk).
    """
    if facts.folder is not None and facts.has_weights:
        return facts.folder
    if facts.source == "folder" and facts.folder is not None:
        raise no_weights({entry.name for entry in facts.folder.iterdir()}, str(facts.folder))
    model_id = smollm2.HUB_ID if smollm2.names_it(facts.id) else facts.id
    if hub.offline(offline):
        raise HubUnreachable(model_id)
    shards = shard_names(facts.folder) if facts.folder else []
    request = {
        "id": model_id,
        "revision": facts.revision,
        "allow": [*hub.SMALL_FILES, *_WEIGHTS, *shards, *(["*.py"] if allow_code else [])],
    }
    for environment in ({}, {"HF_HUB_DISABLE_XET": "1"}):
        folder = _attempt(request, environment, progress, cancelled)
        if folder is not None:
            headers.read_folder(folder)
            return folder
    raise EnvironmentProblem(
        f"the hub sent nothing for {_STALLED_AFTER_S:.0f} s, twice",
        where=model_id,
        fix="Check the network and start again: it goes on where it was.",
    )


def _attempt(
    request: dict[str, Any],
    environment: dict[str, str],
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Path | None:
    """One try; None when it stalled."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tui_ft.models.fetch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,  # a line left in a buffer would not wake the selector
        env={**os.environ, **environment},
    )
    try:
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once: its silence is reported below
            child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
        return _watch(child, request["id"], progress, cancelled)
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def _watch(
    child: subprocess.Popen[bytes], model_id: str, progress: Progress, cancelled: Callable[[], bool]
) -> Path | None:
    assert child.stdout is not None
    blobs = hub_cache() / f"models--{model_id.replace('/', '--')}" / "blobs"
    at_start = received = _on_disk(blobs)
    total = 0
    last_change = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(_LOOK_EVERY_S):
                line = child.stdout.readline()
                if not line:
                    raise EnvironmentProblem(
                        f"the download ended unexpectedly (exit code {child.wait()})",
                        where=model_id,
                        fix="Start it again: it goes on where it was.",
                    )
                message = json.loads(line)
                if "folder" in message:
                    progress(total, total)
                    return Path(message["folder"])
                if "what" in message:
                    raise _problem(message)
                total = message["bytes"]
            if cancelled():
                raise DownloadCancelled(model_id)
            now = _on_disk(blobs)
            if now != received:
                received, last_change = now, time.monotonic()
            elif time.monotonic() - last_change > _STALLED_AFTER_S:
                return None
            if total:
                progress(min(total, max(0, received - at_start)), total)


def _problem(message: dict[str, Any]) -> InputError | EnvironmentProblem:
    kind = InputError if message["input"] else EnvironmentProblem
    return kind(excerpt(message["what"], 300), where=message["where"], fix=message["fix"])


def _on_disk(blobs: Path) -> int:
    """Bytes really written: a file may be given its full length before its content comes."""
    written = 0
    try:
        entries = list(os.scandir(blobs))
    except OSError:
        return 0
    for entry in entries:
        try:
            written += entry.stat().st_blocks * 512
        except OSError:  # renamed between listing and looking
            continue
    return written
