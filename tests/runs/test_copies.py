"""Copies off the box: to a folder and through a real rsync, verified, and never in anybody's way."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.runs.test_checkpoints import save
from tui_ft.errors import InputError
from tui_ft.runs import checkpoints, copies, status
from tui_ft.runs.copier import Copier
from tui_ft.runs.copy_targets import CopyFailed, FolderTarget, HubTarget, Item, RsyncTarget, Target, target
from tui_ft.runs.events import EventLog, EventReader
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import show_json, view

needs_rsync = pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed here")


def trained(run: RunFolder, *targets: object) -> RunFolder:
    """A run with two checkpoints and a result."""
    listed = ", ".join(f'"{to}"' for to in targets)
    run.recipe.write_text(run.recipe.read_text() + f"[copies]\nto = [{listed}]\n")
    save(run, 3)
    save(run, 5)
    run.adapter.mkdir()
    (run.adapter / "adapter_model.safetensors").write_bytes(b"a" * 5000)
    (run.data).mkdir()
    (run.data / "train.parquet").write_bytes(b"rows")
    return run


def copier(run: RunFolder, *targets: Target) -> Copier:
    """A copier that does not dawdle."""
    return Copier(run, list(targets), EventLog(run.events), pause_s=0.001, wait=lambda _: None)


def alerts(run: RunFolder) -> list[dict[str, Any]]:
    """The alerts of a run."""
    return [event for event in EventReader(run.events).read() if event["kind"] == "alert"]


def test_everything_that_counts_is_copied_and_verified(run: RunFolder, tmp_path: Path) -> None:
    there = tmp_path / "backup"
    there.mkdir()
    trained(run, there)
    done = subprocess.run(
        [sys.executable, "-m", "tui_ft.runs.copier", str(run.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    copy = RunFolder(there / run.id)
    assert checkpoints.verify(copy.checkpoints / "step-5") == ""
    assert [found.step for found in checkpoints.listed(copy)] == [5]
    assert (copy.adapter / "adapter_model.safetensors").read_bytes() == b"a" * 5000
    assert copy.recipe.read_text() == run.recipe.read_text()
    assert copy.read_plan() == run.read_plan()
    assert (copy.data / "train.parquet").exists()
    assert not list(copy.path.rglob(".*"))
    (found,) = view(run).copies
    assert (found.to, found.step, found.problem) == (str(there), 5, "")
    assert found.words() == f"{there}: copied up to step 5, verified; the result too"
    assert show_json(view(run))["copies"][0]["step"] == 5
    assert copies.missing(run, [str(there)]) == []
    assert copies.unsafe(run) == ""
    assert not alerts(run)


def test_a_newer_checkpoint_is_brought_too_and_what_the_run_gave_up_is_taken_away(
    run: RunFolder, tmp_path: Path
) -> None:
    place = FolderTarget(str(tmp_path), tmp_path)
    trained(run, tmp_path)
    copier(run, place).run()
    save(run, 9)
    assert copies.missing(run, [str(tmp_path)]) == [f"step 9: not at {tmp_path} yet"]
    shutil.rmtree(run.checkpoints / "step-5")
    copier(run, place).run()
    copy = RunFolder(tmp_path / run.id)
    assert [found.step for found in checkpoints.listed(copy)] == [9]
    assert copies.missing(run, [str(tmp_path)]) == []


def test_a_copy_that_is_not_the_same_is_no_copy(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = FolderTarget(str(tmp_path), tmp_path)
    trained(run, tmp_path)
    good = FolderTarget._copy

    def rots(self: FolderTarget, source: Path, to: Path) -> None:
        good(self, source, to)
        if to.name == "weights.safetensors":
            to.write_bytes(b"x" + to.read_bytes()[1:])

    monkeypatch.setattr(FolderTarget, "_copy", rots)
    with pytest.raises(CopyFailed, match="is not what it was copied from"):
        place.put(run, Item.checkpoint(run, 5))
    assert not (tmp_path / run.id / "checkpoints" / "step-5").exists()
    copier(run, place).run()
    first, last = alerts(run)
    assert (first["id"], last["id"]) == ("copy-failed", "not-copied")
    assert f"step 5 and the adapter: not at {tmp_path} yet" in last["what"]
    assert f"tui-ft copy {run.id}" in last["action"]
    assert "step 5" in copies.unsafe(run)


def test_a_place_that_comes_back_gets_its_copy(run: RunFolder, tmp_path: Path) -> None:
    there = tmp_path / "mount"
    trained(run, there)
    rounds = 0

    def wait(_: float) -> None:
        nonlocal rounds
        rounds += 1
        time.sleep(0.01)
        if rounds == 3:
            there.mkdir()

    Copier(run, [FolderTarget(str(there), there)], EventLog(run.events), pause_s=0.001, wait=wait).run()
    (alert,) = alerts(run)
    assert alert["id"] == "copy-failed"
    assert f"there is no folder {there}" in alert["what"]
    assert copies.missing(run, [str(there)]) == []


def test_one_place_that_fails_does_not_hold_up_another(run: RunFolder, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    trained(run, bad, good)
    copier(run, FolderTarget(str(bad), bad), FolderTarget(str(good), good)).run()
    assert copies.missing(run, [str(good)]) == []
    assert len(copies.missing(run, [str(bad)])) == 1


def test_a_checkpoint_that_goes_while_it_is_copied_is_no_failure(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = FolderTarget(str(tmp_path), tmp_path)
    trained(run, tmp_path)
    good = FolderTarget._copy

    def pruned(self: FolderTarget, source: Path, to: Path) -> None:
        if source.parent.name == "step-5" and not (run.checkpoints / "step-7").exists():
            save(run, 7)
            shutil.rmtree(source.parent)
        good(self, source, to)

    monkeypatch.setattr(FolderTarget, "_copy", pruned)
    copier(run, place).run()
    assert not alerts(run)
    assert [found.step for found in checkpoints.listed(RunFolder(tmp_path / run.id))] == [7]
    assert not list((tmp_path / run.id).rglob(".copying*"))


def test_a_run_has_one_copier(run: RunFolder, tmp_path: Path) -> None:
    trained(run, tmp_path)
    with status.hold(run, "train"):
        command = [sys.executable, "-m", "tui_ft.runs.copier", str(run.path)]
        with subprocess.Popen(command) as first:
            while not copies.at_work(run):
                assert first.poll() is None
            assert subprocess.run(command, check=False).returncode == 0
            assert first.poll() is None
            assert os.getpriority(os.PRIO_PROCESS, first.pid) == 19
            first.terminate()
    assert not copies.at_work(run)


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        ("/mnt/backup", FolderTarget),
        ("~/backup", FolderTarget),
        ("user@host:path", RsyncTarget),
        ("host:/path", RsyncTarget),
        ("rsync://host/module/path", RsyncTarget),
        ("hub:owner/name", HubTarget),
    ],
)
def test_targets_are_told_apart(to: str, kind: type) -> None:
    assert isinstance(target(to), kind)


def test_what_is_no_place_is_said() -> None:
    with pytest.raises(InputError, match="is no place for copies"):
        target("backup")


def test_rubbish_in_the_state_is_no_state(run: RunFolder) -> None:
    for text in ("", "[]", '{"targets": 3}', '{"targets": [1]}', '{"targets": [{}]}'):
        copies.path(run).write_text(text)
        assert copies.read(run) == ()


# -- rsync


@needs_rsync
def test_rsync_brings_and_compares(run: RunFolder, tmp_path: Path) -> None:
    place = RsyncTarget(str(tmp_path / "there"))
    (tmp_path / "there").mkdir()
    trained(run, place.to)
    copier(run, place).run()
    copy = RunFolder(tmp_path / "there" / run.id)
    assert not alerts(run)
    assert checkpoints.verify(copy.checkpoints / "step-5") == ""
    assert (copy.adapter / "adapter_model.safetensors").read_bytes() == b"a" * 5000
    save(run, 9)
    shutil.rmtree(run.checkpoints / "step-5")
    copier(run, place).run()
    assert [path.name for path in copy.checkpoints.iterdir()] == ["step-9"]


@needs_rsync
def test_rsync_sees_a_copy_that_differs(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changed there without a trace in its time and size is found by its checksum."""
    (tmp_path / "there").mkdir()
    place = RsyncTarget(str(tmp_path / "there"))
    trained(run, place.to)
    item = Item.checkpoint(run, 5)
    place.put(run, item)
    copy = tmp_path / "there" / run.id / "checkpoints" / "step-5" / "weights.safetensors"
    before = copy.stat()
    copy.write_bytes(b"x" + copy.read_bytes()[1:])
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CopyFailed, match=r"weights\.safetensors is not what it was copied from"):
        place.put(run, item)


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An ssh server of our own on this machine; yields user@host."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(sshd).exists() or shutil.which("ssh") is None:
        pytest.skip("there is no sshd here")
    place = tmp_path / "ssh"
    place.mkdir(mode=0o700)
    for name in ("host", "me"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
    shutil.copy(place / "me.pub", place / "authorized")
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": place / "host",
        "AuthorizedKeysFile": place / "authorized",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
    }
    (place / "config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    server = subprocess.Popen([sshd, "-D", "-f", str(place / "config")], stderr=subprocess.DEVNULL)
    path = f"PATH={os.environ['PATH']}"
    with (place / "authorized").open("r+") as file:
        key = file.read()
        file.seek(0)
        library = os.environ.get("LD_LIBRARY_PATH", "")
        file.write(f'command="{path} LD_LIBRARY_PATH={library} sh -c \\"$SSH_ORIGINAL_COMMAND\\"" {key}')
    monkeypatch.setenv(
        "RSYNC_RSH",
        f"ssh -p {port} -i {place / 'me'} -o BatchMode=yes -o StrictHostKeyChecking=no "
        "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
    )
    until = time.monotonic() + 10
    while True:
        with contextlib.closing(socket.socket()) as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                break
        if server.poll() is not None or time.monotonic() > until:
            server.kill()
            pytest.skip("sshd does not run here")
        time.sleep(0.02)
    yield f"{getpass.getuser()}@127.0.0.1"
    server.terminate()
    server.wait()


@needs_rsync
def test_another_box_through_ssh(run: RunFolder, tmp_path: Path, loopback: str) -> None:
    (tmp_path / "there").mkdir()
    place = target(f"{loopback}:{tmp_path / 'there'}")
    trained(run, place.to)
    copier(run, place).run()
    assert not alerts(run)
    assert checkpoints.verify(tmp_path / "there" / run.id / "checkpoints" / "step-5") == ""


def test_a_transfer_that_hangs_is_ended(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "rsync"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    with pytest.raises(CopyFailed, match="no end after"):
        RsyncTarget("host:path")._run(["-r"], 0.2)


def test_a_missing_rsync_is_said(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(run, "host:path")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CopyFailed, match="rsync is not installed"):
        RsyncTarget("host:path").put(run, Item.checkpoint(run, 5))


# -- the hub, against a stand-in for its client


class Shelf:
    """What HfApi is asked for, kept in a folder. `rots` changes a byte of what is uploaded."""

    def __init__(self, root: Path, *, rots: bool = False) -> None:
        self.root = root
        self.rots = rots

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str,
        path_in_repo: str,
        allow_patterns: list[str],
        commit_message: str,
    ) -> None:
        for name in allow_patterns:
            to = self.root / path_in_repo / name
            to.parent.mkdir(parents=True, exist_ok=True)
            data = (Path(folder_path) / name).read_bytes()
            to.write_bytes(b"x" + data[1:] if self.rots else data)

    def get_paths_info(self, repo_id: str, paths: list[str]) -> list[SimpleNamespace]:
        import hashlib

        found = []
        for path in paths:
            data = (self.root / path).read_bytes()
            large = SimpleNamespace(sha256=hashlib.sha256(data).hexdigest()) if len(data) > 900 else None
            git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            found.append(SimpleNamespace(path=path, lfs=large, blob_id=git))
        return found


def test_the_hub_is_held_to_the_hashes_it_names(run: RunFolder, tmp_path: Path) -> None:
    trained(run, "hub:owner/name")
    copier(run, HubTarget("hub:owner/name", "owner/name", Shelf(tmp_path / "hub"))).run()
    assert not alerts(run)
    assert checkpoints.verify(tmp_path / "hub" / run.id / "checkpoints" / "step-5") == ""
    rotten = HubTarget("hub:owner/name", "owner/name", Shelf(tmp_path / "rotten", rots=True))
    with pytest.raises(CopyFailed, match="is not what it was copied from"):
        rotten.put(run, Item.checkpoint(run, 5))
