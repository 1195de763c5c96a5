"""Telling somebody elsewhere that a run ended: a webhook, an ntfy topic. Standard library only."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tui_ft.errors import TuiFtError
from tui_ft.recipe import Notify
from tui_ft.redact import redact
from tui_ft.runs.view import RunView
from tui_ft.text import excerpt

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Notice:
    """One request to send. `to` says where without giving the address away, which may be a secret."""

    to: str
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class NoticeFailed(TuiFtError):
    """A notice did not get through."""


def notices(settings: Notify, run: RunView, environment: Mapping[str, str] = os.environ) -> Iterator[Notice]:
    """The notices a recipe asks for. Raises NoticeFailed when a variable it names is not set."""
    text = sentence(run)
    if settings.webhook:
        url = _address(settings.webhook, environment)
        # `text` is what Slack shows, `content` what Discord does.
        document = {**facts(run), "text": text, "content": text}
        yield Notice(
            f"the webhook at {urlsplit(url).hostname}",
            url,
            json.dumps(document).encode(),
            {"Content-Type": "application/json"},
        )
    if settings.ntfy:
        url = _address(settings.ntfy, environment)
        priority = "default" if run.state in ("finished", "stopped", "paused") else "high"
        title = f"{run.run}: {run.state}"
        yield Notice(
            f"ntfy at {urlsplit(url).hostname}", url, text.encode(), {"Title": title, "Priority": priority}
        )


def facts(run: RunView) -> dict[str, Any]:
    """What a webhook gets: no path, no setting, nothing of the data."""
    return {
        "run": run.run,
        "name": run.name,
        "state": run.state,
        "message": _harmless(run.message, 300),
        "step": run.step,
        "steps": run.steps,
        "loss": run.loss,
        "best": None if run.best is None else {"step": run.best.step, "eval_loss": run.best.eval_loss},
        "elapsed_s": run.elapsed_s,
    }


def sentence(run: RunView) -> str:
    """How the run ended, on one line."""
    return _harmless(f"{run.run}: {run.state}" + (f", {run.message}" if run.message else ""), 400)


def send(notice: Notice, *, timeout_s: float = _TIMEOUT_S) -> None:
    """POST it, once more after a first failure. Raises NoticeFailed."""
    problem = ""
    for _ in range(2):
        request = urllib.request.Request(
            notice.url, data=notice.body, headers=dict(notice.headers), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s):
                return
        except urllib.error.HTTPError as error:
            problem = f"it answered {error.code} {error.reason}"
            error.close()
            if error.code < 500:
                break
        # http.client raises ValueError for an address or header it cannot send.
        except (OSError, ValueError) as error:
            problem = str(getattr(error, "reason", "") or error)
    raise NoticeFailed(
        f"{notice.to} could not be told: {excerpt(problem, 120)}", fix="Look at [notify] of the recipe."
    )


def _harmless(text: str, width: int) -> str:
    return excerpt(redact(text), width)


def _address(given: str, environment: Mapping[str, str]) -> str:
    if not given.startswith("env:"):
        return given
    name = given.removeprefix("env:")
    url = environment.get(name, "")
    if not url.startswith(("http://", "https://")):
        raise NoticeFailed(
            f"the environment variable {name} holds no address",
            fix="Set it to a URL before the run is started.",
        )
    return url
