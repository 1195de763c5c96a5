"""Keeping tokens and passwords out of logs, events and every other file of a run.

Known are the values of the environment's own secrets, the hub's token file, and texts that look like
tokens whoever they belong to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

MASK = "[secret]"

_NAMED = re.compile(
    r"(TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY|AUTHORIZATION)", re.IGNORECASE
)
_SHORTEST = 8  # a shorter value is more likely a setting, and would blank out ordinary words
# Hugging Face, GitHub, OpenAI and the like, AWS, Slack; user:password@ and Bearer headers.
_LOOKS = (
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)",
    r"(?<=Bearer )[A-Za-z0-9._~+/=-]{16,}",
)


def known_secrets(environment: Mapping[str, str]) -> frozenset[str]:
    """Values of the environment that are secrets by the name of their variable, and the hub's own token."""
    values = {
        value
        for name, value in environment.items()
        if _NAMED.search(name) and len(value) >= _SHORTEST and not _is_path(value)
    }
    home = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    try:
        token = Path(environment.get("HF_TOKEN_PATH") or home / "token").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        token = ""
    return frozenset(values | ({token} if len(token) >= _SHORTEST else set()))


def redact(text: str) -> str:
    """The text with every secret replaced by `[secret]`."""
    return _pattern().sub(MASK, text)


class Redacting:
    """A text stream that never shows a secret. Everything but writing is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text without its secrets; returns how much was given, as a stream does."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line without its secrets."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    """Made once: a process' secrets do not change."""
    values = sorted(known_secrets(os.environ), key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, values), *_LOOKS]))


def _is_path(value: str) -> bool:
    return value.startswith(("/", "~", "./", "file:"))
