"""Writing files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tui_ft.errors import DiskFull, EnvironmentProblem


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write through a temporary file in the same folder and rename. Creates the folder.

    `durable` also waits for the disk, so that a power cut leaves the old or the new file; heartbeats
    pass False. Raises EnvironmentProblem when the disk is full or the folder refuses.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise disk_problem(error, path) from error


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Strict JSON, written atomically. Raises ValueError on NaN or infinity."""
    write_atomically(
        path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", durable=durable
    )


def sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_problem(error: OSError, path: Path) -> EnvironmentProblem:
    """An OSError from writing, in words with the way out."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull("the disk is full", where=str(path), fix="Free some space, or choose another --home.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EnvironmentProblem(
            "this folder may not be written to",
            where=str(path.parent),
            fix="Choose another with --home or TUI_FT_HOME.",
        )
    return EnvironmentProblem(f"cannot write: {error.strerror or error}", where=str(path))
