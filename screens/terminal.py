"""What this terminal can do, told from the environment. No Textual here: it is asked before the import."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Literal

Color = Literal["auto", "truecolor", "256", "16", "none"]
Depth = Literal["truecolor", "256", "16", "none"]


@dataclass(frozen=True, slots=True)
class Terminal:
    """How to draw here."""

    depth: Depth
    light: bool  # the background is light, as far as the terminal says
    ascii: bool
    remote: bool  # over SSH: fewer bytes, fewer frames


def look(
    environ: Mapping[str, str],
    *,
    color: Color = "auto",
    ascii: bool = False,  # noqa: A002
) -> Terminal:
    """Capabilities by the environment, overruled by what the user asked for."""
    return Terminal(
        depth=_depth(environ) if color == "auto" else color,
        light=_light_background(environ),
        ascii=ascii or environ.get("TERM") in ("linux", "vt100", "vt220") or not _utf8(environ),
        remote="SSH_CONNECTION" in environ or "SSH_TTY" in environ,
    )


def tune(terminal: Terminal, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that Textual reads once, at import. What the user has set stays."""
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    environ.setdefault("TEXTUAL_FPS", "15" if terminal.remote else "30")
    # A slow link can split an escape sequence; too short a wait would read its ESC as a key press.
    environ.setdefault("ESCDELAY", "200" if terminal.remote else "100")
    if terminal.depth == "none":
        environ["NO_COLOR"] = "1"
        environ["TEXTUAL_COLOR_SYSTEM"] = "standard"
    else:
        # A colour that was asked for by name outranks a NO_COLOR from the shell's profile.
        environ.pop("NO_COLOR", None)
        environ["TEXTUAL_COLOR_SYSTEM"] = "standard" if terminal.depth == "16" else terminal.depth


def _depth(environ: Mapping[str, str]) -> Depth:
    if environ.get("NO_COLOR"):
        return "none"
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return "truecolor"
    term = environ.get("TERM", "")
    if term in ("vt100", "vt220", "dumb", ""):
        return "none"
    return "256" if term.endswith(("-256color", "-direct", "kitty")) else "16"


def _light_background(environ: Mapping[str, str]) -> bool:
    # "foreground;background" as ANSI numbers: rxvt, Konsole and others set it; 7 and 15 are the whites.
    return environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")


def _utf8(environ: Mapping[str, str]) -> bool:
    named = next((v for k in ("LC_ALL", "LC_CTYPE", "LANG") if (v := environ.get(k))), "")
    if named in ("C", "POSIX"):
        return False
    # Rented containers often set no locale at all behind a UTF-8 terminal; only another charset is a no.
    charset = named.partition(".")[2].partition("@")[0].lower().replace("-", "")
    return charset in ("", "utf8")
