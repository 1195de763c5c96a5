"""Run `probe` in a child process and read its answer. A crash of a native library is a finding too."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui_ft.text import excerpt

_TIMEOUT_S = 180.0  # importing torch from a cold network disk takes a minute
_CRASHES = 4  # parts that may crash before we give up


@dataclass(frozen=True, slots=True)
class Tried:
    """One device and what was tried on it. An empty result means that it works."""

    device: str  # "cpu", "cuda:0", …
    uuid: str  # without "GPU-" or "MIG-"; empty for the CPU or when torch does not tell
    capability: tuple[int, int] | None
    results: Mapping[str, str]  # "matmul", "bf16", "nf4"


@dataclass(frozen=True, slots=True)
class Probe:
    """What PyTorch can do here. `error` is set, and the rest empty, when it could not even be asked."""

    error: str = ""
    slow: bool = False  # the error is that there was no answer in time
    torch: str = ""
    cuda: str | None = None
    archs: tuple[str, ...] = ()
    available: bool = False
    why: str = ""  # torch's own words on why CUDA is not available
    devices: tuple[Tried, ...] = ()


def run_probe(*, timeout_s: float = _TIMEOUT_S, environ: Mapping[str, str] | None = None) -> Probe:
    """Start the child, wait for it, and start it again without the part that crashed it. Takes 3 to 60 s."""
    crashed: dict[str, str] = {}
    for _ in range(_CRASHES):
        command = [sys.executable, "-P", "-m", "tui_ft.hardware.probe", *crashed]
        try:
            child = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                env=environ,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            stuck = _last_part(_decoded(expired.stderr))
            return Probe(error=f"no answer within {timeout_s:g} s, trying {stuck or 'to start'}", slow=True)
        except OSError as error:
            return Probe(error=f"the check could not be started: {error}")
        if child.returncode == 0:
            return parse(child.stdout, crashed)
        part = _last_part(child.stderr)
        if part is None or part in crashed or child.returncode > 0:
            return Probe(error=_last_line(child.stderr))
        crashed[part] = f"the process died of it: {signal.strsignal(-child.returncode)}"
    return Probe(error=f"PyTorch crashed while trying {', '.join(crashed)}")


def parse(answer: str, crashed: Mapping[str, str] | None = None) -> Probe:
    """The child's JSON object, with the parts that had to be left out because they crashed it."""
    crashed = crashed or {}
    try:
        found: dict[str, Any] = json.loads(answer)
        return Probe(
            torch=found["torch"],
            cuda=found["cuda"],
            archs=tuple(found["archs"]),
            available=found["available"],
            why=excerpt(found["why"] or crashed.get("cuda", ""), 300),
            devices=tuple(_tried(device, crashed) for device in found["devices"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        return Probe(error=f"the check gave no readable answer ({type(error).__name__})")


def _tried(found: Mapping[str, Any], crashed: Mapping[str, str]) -> Tried:
    name = found["device"]
    results = {part: excerpt(text, 200) for part, text in found["results"].items()}
    lost = {part.removesuffix(f" {name}"): how for part, how in crashed.items() if part.endswith(f" {name}")}
    capability = found["capability"]
    return Tried(
        device=name,
        uuid=found["uuid"].removeprefix("GPU-").removeprefix("MIG-"),
        capability=(capability[0], capability[1]) if capability else None,
        results={**results, **lost},
    )


def _last_part(stderr: str) -> str | None:
    parts = [line.removeprefix("trying: ") for line in stderr.splitlines() if line.startswith("trying: ")]
    return parts[-1] if parts else None


def _last_line(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    return excerpt(lines[-1], 200) if lines else "the check ended without a word"


def _decoded(output: bytes | str | None) -> str:
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""
