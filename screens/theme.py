"""Colours: one accent, and three words for trouble. Every pair is at least 4.5:1, proven by a test.

Variables beyond Textual's own: $muted (helps, labels), $rule (lines), $good, $bad, $warn, $cursor
(background of the line the cursor is on). They only underline what words and marks already say.
"""

from __future__ import annotations

from textual.theme import Theme

from .terminal import Terminal

DARK, LIGHT, ANSI_DARK, ANSI_LIGHT, MONO = (
    "tui-ft-dark",
    "tui-ft-light",
    "tui-ft-16-dark",
    "tui-ft-16-light",
    "tui-ft-mono",
)


def _rgb(
    name: str, *, dark: bool, paper: str, raised: str, ink: str, muted: str, rule: str, accent: str,
    cursor: str, warn: str, bad: str,
) -> Theme:  # fmt: skip
    return Theme(
        name=name,
        dark=dark,
        primary=accent,
        secondary=accent,
        accent=accent,
        success=accent,
        warning=warn,
        error=bad,
        background=paper,
        surface=raised,
        panel=raised,
        foreground=ink,
        variables={
            "muted": muted,
            "rule": rule,
            "good": accent,
            "warn": warn,
            "bad": bad,
            "cursor": cursor,
            "cursor-style": "bold",
            "text-disabled": muted,
            "block-cursor-background": cursor,
            "block-cursor-foreground": ink,
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-background": cursor,
            "block-cursor-blurred-foreground": ink,
            "block-hover-background": raised,
            "border": accent,
            "border-blurred": rule,
            "input-cursor-background": ink,
            "input-cursor-foreground": paper,
            "input-cursor-text-style": "none",
            "input-selection-background": cursor,
            "input-selection-foreground": ink,
            "scrollbar": rule,
            "scrollbar-hover": muted,
            "scrollbar-active": muted,
            "scrollbar-background": paper,
            "scrollbar-background-hover": paper,
            "scrollbar-background-active": paper,
            "scrollbar-corner-color": paper,
        },
    )


def _ansi(name: str, *, dark: bool, accent: str, warn: str, bad: str) -> Theme:
    """Sixteen colours: the terminal's own ink and paper, no shades, the cursor line reversed."""
    paper, ink = ("ansi_black", "ansi_white") if dark else ("ansi_white", "ansi_black")
    return Theme(
        name=name,
        ansi=True,
        dark=dark,
        primary=accent,
        secondary=accent,
        accent=accent,
        success=accent,
        warning=warn,
        error=bad,
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        foreground="ansi_default",
        variables={
            "ansi-background": paper,
            "ansi-foreground": ink,
            "muted": "ansi_default",
            "rule": "ansi_default",
            "good": accent,
            "warn": warn,
            "bad": bad,
            "cursor": "ansi_default",
            "cursor-style": "reverse",
            "text-muted": "ansi_default",
            "text-disabled": "ansi_default",
            "block-cursor-background": "ansi_default",
            "block-cursor-foreground": "ansi_default",
            "block-cursor-text-style": "reverse",
            "block-cursor-blurred-background": "ansi_default",
            "block-cursor-blurred-foreground": "ansi_default",
            "block-cursor-blurred-text-style": "reverse",
            "border": accent,
            "border-blurred": "ansi_default",
            "input-cursor-text-style": "reverse",
            "input-cursor-background": "ansi_default",
            "input-cursor-foreground": "ansi_default",
            "input-selection-background": "ansi_default",
            "scrollbar": "ansi_default",
            "scrollbar-hover": "ansi_default",
            "scrollbar-active": "ansi_default",
            "scrollbar-background": "ansi_default",
            "scrollbar-background-hover": "ansi_default",
            "scrollbar-background-active": "ansi_default",
            "screen-selection-background": ink,
            "screen-selection-foreground": paper,
        },
    )


THEMES = (
    _rgb(
        DARK, dark=True, paper="#15181d", raised="#1e232a", ink="#d8dce3", muted="#9aa3b0", rule="#3a424e",
        accent="#5ec4b6", cursor="#203938", warn="#e2b26b", bad="#f2858b",
    ),
    _rgb(
        LIGHT, dark=False, paper="#fbfaf7", raised="#f0eeea", ink="#22272e", muted="#5a6370", rule="#b9bfc7",
        accent="#0a6b62", cursor="#d3ebe6", warn="#7d4e00", bad="#b0232a",
    ),
    _ansi(ANSI_DARK, dark=True, accent="ansi_cyan", warn="ansi_yellow", bad="ansi_bright_red"),
    _ansi(ANSI_LIGHT, dark=False, accent="ansi_blue", warn="ansi_magenta", bad="ansi_red"),
    _ansi(MONO, dark=True, accent="ansi_default", warn="ansi_default", bad="ansi_default"),
)  # fmt: skip


def theme_for(terminal: Terminal) -> str:
    """The name of the theme that reads well here."""
    if terminal.depth == "none":
        return MONO
    if terminal.depth == "16":
        return ANSI_LIGHT if terminal.light else ANSI_DARK
    return LIGHT if terminal.light else DARK
