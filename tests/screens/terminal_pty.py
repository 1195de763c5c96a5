"""A real terminal for tests: a pseudo-terminal with the program in a session of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PATIENCE_S = 60.0


class Terminal:
    """Runs a command on a pseudo-terminal and keeps every byte it sends."""

    def __init__(
        self,
        command: Sequence[str],
        home: Path,
        *,
        size: tuple[int, int] = (80, 24),
        ignore_hangup: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.received = b""
        self._master, self._slave = pty.openpty()
        columns, rows = size
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self._slave)

        def attach() -> None:
            os.setsid()
            fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)
            if ignore_hangup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)

        self.process = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            preexec_fn=attach,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "TUI_FT_HOME": str(home / "tui-ft"),
                "TERM": "xterm-256color",
                "LANG": "C.UTF-8",
                "HF_HUB_OFFLINE": "1",
                **(environ or {}),
            },
        )

    def read_until(self, wanted: str) -> None:
        """Read until this text has come; fails after a minute."""
        end = time.monotonic() + _PATIENCE_S
        while wanted.encode() not in self.received:
            assert time.monotonic() < end, self.received[-2000:]
            self._read(0.2)

    def read_for(self, seconds: float) -> bytes:
        """What comes within a time."""
        start, end = len(self.received), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(min(0.2, left))
        return self.received[start:]

    def read_rest(self) -> bytes:
        """What comes until the program has ended."""
        start, end = len(self.received), time.monotonic() + _PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < end, "it did not end"
            self._read(0.1)
        while self._read(0.1):
            pass
        return self.received[start:]

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return False
        with contextlib.suppress(OSError):
            self.received += os.read(self._master, 65536)
        return True

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    @property
    def settings(self) -> list[Any]:
        """The terminal's settings now, as the shell would find them."""
        return termios.tcgetattr(self._slave)

    def vanish(self) -> None:
        """The connection drops."""
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        if self._master >= 0:
            self.vanish()


def wizard(home: Path, *flags: str, **options: Any) -> Terminal:
    """`tui-ft` on a terminal."""
    return Terminal([sys.executable, "-m", "tui_ft", *flags], home, **options)
