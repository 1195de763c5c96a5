"""Places off this box: a folder, an rsync target, a repository of the hub. Each verifies what it holds.

Everything of a run goes to `<target>/<run id>/…`, laid out as the run itself, so that a copied run can be
put under another home and gone on with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.files import sha256, sync_folder
from tui_ft.redact import redact
from tui_ft.runs.checkpoints import MANIFEST
from tui_ft.runs.folder import RunFolder
from tui_ft.text import excerpt

_STALL_S = 60  # without a byte
_SLOWEST = 100_000  # bytes a second; below it a transfer counts as stuck
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15"


class CopyFailed(EnvironmentProblem):
    """A copy was not made, or is not what it was copied from."""


class Vanished(Exception):
    """What was to be copied is not there any more: a newer checkpoint has taken its place."""


@dataclass(frozen=True, slots=True)
class Item:
    """A folder of the run that is copied as one. `name` is its path inside the run, "" for the run itself."""

    name: str
    hashes: Mapping[str, str]  # file inside it → sha256
    size_bytes: int

    @classmethod
    def of(cls, folder: RunFolder, name: str, files: Sequence[str] = ()) -> Item:
        """The folder as it is now, hashed. Raises Vanished when it is gone."""
        place = folder.path / name
        try:
            names = list(files) or sorted(
                str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()
            )
            hashes = {name: sha256(place / name) for name in names}
            total = sum((place / name).stat().st_size for name in names)
        except FileNotFoundError as error:
            raise Vanished(name) from error
        if not hashes:
            raise Vanished(name)
        return cls(name, hashes, total)

    @classmethod
    def checkpoint(cls, folder: RunFolder, step: int) -> Item:
        """A sealed checkpoint, by the hashes it was sealed with."""
        name = f"checkpoints/step-{step}"
        try:
            manifest = folder.path / name / MANIFEST
            entries = json.loads(manifest.read_text(encoding="utf-8"))["files"]
            hashes = {file: entry["sha256"] for file, entry in entries.items()}
            return cls(
                name,
                {**hashes, MANIFEST: sha256(manifest)},
                sum(entry["bytes"] for entry in entries.values()),
            )
        except FileNotFoundError as error:
            raise Vanished(name) from error


class Target(Protocol):
    """A place for copies."""

    @property
    def to(self) -> str:
        """As the recipe names it."""

    def put(self, folder: RunFolder, item: Item) -> None:
        """Copy and verify. Raises CopyFailed, or Vanished when the item is gone here."""

    def remove(self, folder: RunFolder, name: str) -> None:
        """Take an earlier copy away. Raises CopyFailed."""


def target(to: str) -> Target:
    """The place a recipe names. Raises InputError when it is none."""
    if to.startswith("hub:"):
        return HubTarget(to, to.removeprefix("hub:"))
    if to.startswith(("/", "~", "./", "../")):
        return FolderTarget(to, Path(to).expanduser())
    if to.startswith("rsync://") or ":" in to:
        return RsyncTarget(to)
    raise InputError(
        f"'{excerpt(to)}' is no place for copies",
        where="copies.to",
        fix='Write a folder as "/mnt/backup", another box as "user@host:path", or "hub:owner/name".',
    )


@dataclass(frozen=True, slots=True)
class FolderTarget:
    """A folder, on another disk if it is to be worth anything. It has to be there: a mount may be missing."""

    to: str
    root: Path

    def put(self, folder: RunFolder, item: Item) -> None:
        """Write beside its end place, read back and hash, rename."""
        if not self.root.is_dir():
            raise CopyFailed(f"there is no folder {self.root}", fix="Make it, or mount the disk it is on.")
        final = self.root / folder.id / item.name
        fresh = final.parent / f".copying-{final.name}" if item.name else final
        try:
            if item.name:
                shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True, exist_ok=True)
            for name in item.hashes:
                self._copy(folder.path / item.name / name, fresh / name)
            wrong = [name for name, digest in item.hashes.items() if _read_back(fresh / name) != digest]
            if wrong:
                raise CopyFailed(f"{wrong[0]} is not what it was copied from", where=str(fresh))
            if item.name:
                if final.exists():
                    shutil.rmtree(final)
                fresh.replace(final)
            sync_folder(final.parent)
        except OSError as error:
            if isinstance(error, _SourceGone):
                if item.name:
                    shutil.rmtree(fresh, ignore_errors=True)
                raise Vanished(item.name) from error
            raise CopyFailed(f"cannot copy: {error.strerror or error}", where=str(final)) from error

    def remove(self, folder: RunFolder, name: str) -> None:
        """Delete a folder there."""
        shutil.rmtree(self.root / folder.id / name, ignore_errors=True)

    def _copy(self, source: Path, to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        partly = to.with_name(f".{to.name}.part")
        try:
            opened = source.open("rb")
        except FileNotFoundError as error:
            raise _SourceGone(error.errno, error.strerror, error.filename) from error
        with opened, partly.open("wb") as copy:
            shutil.copyfileobj(opened, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        partly.replace(to)


class _SourceGone(OSError):
    """The file here is gone, not the place it was to go to."""


@dataclass(frozen=True, slots=True)
class RsyncTarget:
    """Another box, through rsync: over ssh without a question asked, or an rsync daemon."""

    to: str

    def put(self, folder: RunFolder, item: Item) -> None:
        """Copy the files, then the manifest that makes them a checkpoint; compare checksums at both ends."""
        source = f"{folder.path.parent}/./{folder.id}/{item.name}"
        sources = [f"{source.rstrip('/')}/{name}" for name in item.hashes if name != MANIFEST]
        self._rsync(folder, item, ["-tR", *sources, f"{self.to.rstrip('/')}/"])
        if MANIFEST in item.hashes:
            sources.append(f"{source.rstrip('/')}/{MANIFEST}")
            self._rsync(folder, item, ["-tR", sources[-1], f"{self.to.rstrip('/')}/"])
        different = self._rsync(
            folder, item, ["-cnR", "--out-format=%i %n", *sources, f"{self.to.rstrip('/')}/"]
        )
        files = [line for line in different.splitlines() if line[1:2] == "f" and line[:1] in "<>c"]
        if files:
            raise CopyFailed(f"{files[0].partition(' ')[2]} is not what it was copied from", where=self.to)

    def remove(self, folder: RunFolder, name: str) -> None:
        """Let rsync delete what an empty folder does not have."""
        parent, _, last = f"{folder.id}/{name}".rpartition("/")
        with tempfile.TemporaryDirectory() as nothing:
            chosen = [f"--include=/{last}/", f"--include=/{last}/**", "--exclude=*"]
            there = f"{self.to.rstrip('/')}/{parent}/"
            self._run(["-r", "--delete", *chosen, f"{nothing}/", there], 600.0)

    def _rsync(self, folder: RunFolder, item: Item, arguments: Sequence[str]) -> str:
        # A partial file goes on where it was cut off, out of sight of whoever reads the copy.
        done = self._run(
            ["--partial-dir=.rsync-partial", *arguments], 600.0 + item.size_bytes / _SLOWEST, check=False
        )
        if done.returncode and not (folder.path / item.name).is_dir():
            raise Vanished(item.name)
        return self._checked(done)

    def _run(
        self, arguments: Sequence[str], seconds: float, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        environment = {"RSYNC_RSH": _SSH, **os.environ, "LC_ALL": "C"}
        try:
            done = subprocess.run(
                ["rsync", f"--timeout={_STALL_S}", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=environment,
                timeout=seconds,
                check=False,
            )
        except FileNotFoundError:
            raise CopyFailed(
                "rsync is not installed on this box", fix="Install it: apt install rsync"
            ) from None
        except subprocess.TimeoutExpired:
            raise CopyFailed(f"no end after {seconds:.0f} s", where=self.to) from None
        if check:
            self._checked(done)
        return done

    def _checked(self, done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()] or ["rsync failed"]
            raise CopyFailed(
                redact(excerpt(said[0], 160)),
                where=self.to,
                fix="Try it by hand: rsync and ssh must not ask.",
            )
        return done.stdout


@dataclass(slots=True)
class HubTarget:
    """A private repository of the Hugging Face Hub. The token is the hub's own; it is never seen here."""

    to: str
    repository: str
    api: Any = None  # as huggingface_hub.HfApi

    def put(self, folder: RunFolder, item: Item) -> None:
        """Upload, then compare what the hub holds: sha256 of large files, git's sha1 of small ones."""
        place = folder.path / item.name
        within = f"{folder.id}/{item.name}".rstrip("/")
        try:
            api = self._connected()
            api.upload_folder(
                repo_id=self.repository,
                folder_path=str(place),
                path_in_repo=within,
                allow_patterns=list(item.hashes),
                commit_message=f"Copy {within}",
            )
            paths = {f"{within}/{name}": name for name in item.hashes}
            held = {info.path: info for info in api.get_paths_info(self.repository, list(paths))}
        except Exception as error:  # the hub's client raises what its many layers raise
            if not place.is_dir():
                raise Vanished(item.name) from error
            raise CopyFailed(
                redact(excerpt(f"{type(error).__name__}: {error}", 160)),
                where=self.to,
                fix="Log in with `hf auth login`; the token must be allowed to write.",
            ) from error
        for path, name in paths.items():
            if path not in held or not _same(held[path], place / name, item.hashes[name]):
                raise CopyFailed(f"{name} is not what it was copied from", where=self.to)

    def remove(self, folder: RunFolder, name: str) -> None:
        """Delete the folder in a new commit; its files stay in the repository's history."""
        try:
            self._connected().delete_folder(f"{folder.id}/{name}", self.repository)
        except Exception as error:
            raise CopyFailed(redact(excerpt(str(error), 160)), where=self.to) from error

    def _connected(self) -> Any:
        if self.api is None:
            from huggingface_hub import HfApi

            api = HfApi()
            api.create_repo(self.repository, private=True, exist_ok=True)
            self.api = api
        return self.api


def _same(held: Any, path: Path, digest: str) -> bool:
    """Whether the hub's entry is this file."""
    large = getattr(held, "lfs", None)
    if large is not None:
        return bool(large.sha256 == digest)
    data = path.read_bytes()
    return bool(held.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())


def _read_back(path: Path) -> str:
    """The hash of what is on the disk, not of what is still in memory, as far as the system lets go of it."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return sha256(path)
