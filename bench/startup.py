"""Time from exec to first frame: the wizard beside a bare Textual app, under a real pty, interleaved.

python bench/startup.py [rounds]
"""

from __future__ import annotations

import os
import pty
import select
import signal
import statistics
import sys
import tempfile
import time

BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("FIRST FRAME")
Bare().run()
"""
# What is looked for in the bytes: text that only the first frame holds.
COMMANDS = {
    "bare Textual app": ([sys.executable, "-c", BARE], b"FIRST FRAME"),
    "tui-ft": ([sys.executable, "-m", "tui_ft"], b"Decide"),
    "tui-ft --help": ([sys.executable, "-m", "tui_ft", "--help"], b"exit codes"),
}


def first_frame_s(argv: list[str], marker: bytes, home: str) -> float:
    """Seconds from exec until `marker` is on the terminal."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", "TUI_FT_HOME": home}
        os.execve(argv[0], argv, env)
    seen = b""
    try:
        while marker not in seen:
            if not select.select([terminal], [], [], 20)[0]:
                raise TimeoutError(f"no first frame from {argv} in 20 s")
            seen += os.read(terminal, 65536)
        return time.perf_counter() - started
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(rounds):
            for name, (argv, marker) in COMMANDS.items():
                times[name].append(first_frame_s(argv, marker, home))
    bare = statistics.median(times["bare Textual app"])
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        spread = f"{min(seconds):.3f}-{max(seconds):.3f}"
        print(f"{name:18} {middle:6.3f} s  ({spread})  {middle - bare:+.3f} s, {middle / bare:.2f}x of bare")


if __name__ == "__main__":
    main()
