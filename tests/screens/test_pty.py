"""On a real terminal: it is left as it was found, whatever ends the program, and nothing spins."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.screens.terminal_pty import wizard

LEAVES_ALTERNATE_SCREEN = b"\x1b[?1049l"
MOUSE_OFF = b"\x1b[?1003l"
CURSOR_ON = b"\x1b[?25h"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    with wizard(tmp_path) as terminal:
        terminal.read_until("Just show me")
        os.kill(terminal.process.pid, number)
        rest = terminal.read_rest()
        assert LEAVES_ALTERNATE_SCREEN in rest
        assert MOUSE_OFF in rest
        assert CURSOR_ON in rest
        assert terminal.settings == terminal.before
        assert terminal.process.returncode == 128 + number


def test_ctrl_c_leaves_at_once_and_says_that_the_place_is_kept(tmp_path: Path) -> None:
    with wizard(tmp_path) as terminal:
        terminal.read_until("Just show me")
        terminal.send("\r")
        terminal.read_until("Question 1")
        terminal.send("\x03")
        rest = terminal.read_rest()
        assert LEAVES_ALTERNATE_SCREEN in rest
        assert b"Your place is kept" in rest
        assert terminal.settings == terminal.before
        assert terminal.process.returncode == 0
    assert (tmp_path / "tui-ft" / "session.toml").exists()


def test_a_terminal_that_vanishes_ends_the_program_even_under_nohup(tmp_path: Path) -> None:
    with wizard(tmp_path, ignore_hangup=True) as terminal:
        terminal.read_until("Just show me")
        terminal.vanish()
        end = time.monotonic() + 20
        while terminal.process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        assert terminal.process.returncode is not None


def test_without_a_mouse_no_mouse_codes_are_sent(tmp_path: Path) -> None:
    with wizard(tmp_path, "--no-mouse") as terminal:
        terminal.read_until("Just show me")
        terminal.send("\x11")
        terminal.read_rest()
        assert b"\x1b[?1003h" not in terminal.received


def test_ascii_means_ascii(tmp_path: Path) -> None:
    with wizard(tmp_path, "--ascii") as terminal:
        terminal.read_until("Just show me")
        terminal.send("\r")
        terminal.read_until("Question 1")
        assert terminal.received.isascii()


def test_no_colour_means_no_colour_codes(tmp_path: Path) -> None:
    with wizard(tmp_path, "--color", "none") as terminal:
        terminal.read_until("Just show me")
        codes = terminal.received
        assert b"38;2;" not in codes
        assert b"38;5;" not in codes
        assert not any(f"\x1b[{number}m".encode() in codes for number in (*range(30, 38), *range(90, 98)))


def test_sixteen_colours_are_the_terminals_own(tmp_path: Path) -> None:
    with wizard(tmp_path, environ={"TERM": "screen"}) as terminal:
        terminal.read_until("Just show me")
        assert b"38;2;" not in terminal.received
        assert b"38;5;" not in terminal.received


def test_a_quiet_page_sends_nothing(tmp_path: Path) -> None:
    with wizard(tmp_path) as terminal:
        terminal.read_until("RAM")  # the machine has been looked at
        terminal.read_for(1.0)
        assert terminal.read_for(3.0) == b""
