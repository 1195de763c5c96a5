"""What `tui-ft doctor` looks at besides hardware: home folder, hub, terminal, what logging out does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tui_ft.hardware.host import ROOT, nearest_existing
from tui_ft.settings import Home
from tui_ft.text import excerpt

HUB_TIMEOUT_S = 3.0
_COMMAND_TIMEOUT_S = 3.0

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the doctor looked at. A command in `fix` stands on a line of its own."""

    name: str
    state: State
    what: str
    fix: str = ""


def checks(home: Home, environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> Iterator[Check]:
    """Everything around the hardware, in the order it is shown. Takes up to a few seconds."""
    yield home_check(home)
    yield hub_check(environ)
    yield token_check(environ)
    yield terminal_check(environ)
    yield tmux_check(environ)
    yield logout_check(environ, root)
    yield gguf_check()


def home_check(home: Home) -> Check:
    """Whether runs can be written. Creates nothing that stays."""
    place = nearest_existing(home.root)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        return Check(
            "home folder",
            "problem",
            f"{home.root} cannot be written to: {error.strerror or error}.",
            "Choose another folder with --home or TUI_FT_HOME.",
        )
    return Check("home folder", "ok", f"{home.root} can be written to.")


def hub_check(environ: Mapping[str, str] = os.environ, timeout_s: float = HUB_TIMEOUT_S) -> Check:
    """Whether the Hugging Face hub answers. Being offline is no error: what is cached still works."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        name = "HF_HUB_OFFLINE" if environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"
        return Check(
            "hub",
            "warning",
            f"{name} is set: only models and data that are cached or local can be used.",
            f"To download, type:\nunset {name}",
        )
    answer: list[str] = []
    # A name server that does not answer blocks longer than any timeout of the request.
    asking = threading.Thread(target=_ask_hub, args=(constants.ENDPOINT, timeout_s, answer), daemon=True)
    asking.start()
    asking.join(timeout_s + 0.5)
    trouble = answer[0] if answer else f"no answer within {timeout_s:.0f} s"
    if not trouble:
        return Check("hub", "ok", f"{constants.ENDPOINT} answers.")
    return Check(
        "hub",
        "warning",
        f"{constants.ENDPOINT} cannot be reached ({trouble}). "
        "Models and data that are cached or local still work.",
        "Check the network or the proxy (HTTPS_PROXY), or set HF_ENDPOINT to a mirror.",
    )


def _ask_hub(endpoint: str, timeout_s: float, answer: list[str]) -> None:
    """Append "" when the hub answers, else what went wrong. Uses the connection that downloads use."""
    from huggingface_hub import get_session

    try:
        status = get_session().head(endpoint, timeout=timeout_s).status_code
    except Exception as error:  # the HTTP library's errors share no base class that is public
        answer.append(excerpt(f"{type(error).__name__}: {error}", 100))
    else:
        answer.append(f"status {status}" if status >= 500 else "")


def token_check(environ: Mapping[str, str] = os.environ) -> Check:
    """Whether a hub token is there. The token itself is never shown."""
    from huggingface_hub import get_token

    if get_token() is None:
        return Check(
            "hub token",
            "ok",
            "none; only gated or private models need one. To log in: hf auth login",
        )
    known = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN")
    return Check("hub token", "ok", "found in HF_TOKEN." if known else "found (logged in).")


def terminal_check(environ: Mapping[str, str] = os.environ) -> Check:
    """TERM, colours, UTF-8 and size."""
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        return Check(
            "terminal",
            "warning",
            f"TERM is {term or 'not set'}, so the wizard runs line by line (--plain).",
            "For the full screen, type:\nexport TERM=xterm-256color",
        )
    deep = environ.get("COLORTERM", "") in ("truecolor", "24bit")
    colours = "16 million" if deep else "256" if "256" in term else "16"
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    if "utf8" not in locale.lower().replace("-", ""):
        return Check(
            "terminal",
            "warning",
            f"{term}, {colours} colours; the language setting ({excerpt(locale, 20) or 'none'}) is not "
            "UTF-8, so the screen is drawn with ASCII characters only.",
            "If this terminal shows UTF-8, type:\nexport LANG=C.UTF-8",
        )
    width, height = shutil.get_terminal_size()
    if sys.stdout.isatty() and (width < 80 or height < 24):
        return Check(
            "terminal",
            "warning",
            f"{term}, {width} columns by {height} lines; the wizard needs 80 by 24.",
            "Make the window larger, or use a smaller font.",
        )
    return Check("terminal", "ok", f"{term}, {colours} colours, UTF-8.")


def tmux_check(environ: Mapping[str, str] = os.environ) -> Check:
    """tmux is a comfort, not a need: runs outlive the terminal by themselves."""
    if environ.get("TMUX") or environ.get("STY"):
        what = "You are inside tmux or screen."
    elif shutil.which("tmux", path=environ.get("PATH")):
        what = "installed, not in use. Not needed: a run goes on when the connection drops."
    else:
        what = "not installed. Not needed: a run goes on when the connection drops."
    return Check("tmux", "ok", what)


def logout_check(environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> Check:
    """Whether systemd-logind ends a user's processes at logout (logind.conf(5), KillUserProcesses)."""
    if not (root / "run/systemd/system").is_dir():
        return Check("logging out", "ok", "There is no systemd here that would end runs at logout.")
    if os.getuid() == 0:
        return Check("logging out", "ok", "Runs of root are not ended at logout.")
    kills = _kills_at_logout(environ)
    if not kills:
        what = "Runs go on after logout." if kills is False else "systemd does not tell; runs usually go on."
        return Check("logging out", "ok", what)
    cgroup = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    user = environ.get("USER") or environ.get("LOGNAME") or str(os.getuid())
    if "/user@" in cgroup and (root / "var/lib/systemd/linger" / user).exists():
        return Check(
            "logging out", "ok", "Runs go on after logout: tui-ft runs under your lingering user service."
        )
    return Check(
        "logging out",
        "warning",
        "systemd ends all your processes when you log out (KillUserProcesses), training too.",
        "Start tui-ft outside the login session:\nloginctl enable-linger\nsystemd-run --user --scope tui-ft",
    )


def _kills_at_logout(environ: Mapping[str, str]) -> bool | None:
    manager = "org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager"
    busctl = shutil.which("busctl", path=environ.get("PATH"))
    if busctl is None:
        return None
    try:
        asked = subprocess.run(
            [busctl, "get-property", *manager.split(), "KillUserProcesses"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"b true": True, "b false": False}.get(asked.stdout.strip())


def gguf_check() -> Check:
    """Whether export for llama.cpp and Ollama is installed."""
    if find_spec("cyllama") is not None:
        return Check("GGUF export", "ok", "installed.")
    return Check(
        "GGUF export",
        "warning",
        "not installed. Only exporting for llama.cpp and Ollama needs it.",
        "pip install 'tui-ft[gguf]'",
    )
