"""`tui-ft doctor`, on this machine and on made-up ones."""

from __future__ import annotations

import json
import os
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tui_ft.hardware import surroundings
from tui_ft.hardware.detect import detect
from tui_ft.hardware.doctor import (
    check_lines,
    examine,
    hardware_checks,
    package_checks,
    python_check,
    summary,
    to_json,
)
from tui_ft.hardware.facts import Gpu, Hardware, Host, Mount, Notice
from tui_ft.hardware.probing import Probe, Tried
from tui_ft.hardware.surroundings import Check
from tui_ft.settings import Home, home

GIB = 1 << 30
ROOT = Path(__file__).parents[2]

ASK_HUB = """
import json
from dataclasses import asdict
from tui_ft.hardware.surroundings import hub_check
print(json.dumps(asdict(hub_check(timeout_s=1.0))))
"""


def test_looks_at_everything() -> None:
    found = examine(home(), probe=False)
    names = [check.name for check in found]
    for name in ("Python", "packages", "PyTorch", "home folder", "hub", "hub token", "terminal", "tmux"):
        assert name in names
    assert any(name.startswith("disk /") for name in names)
    assert all(check.fix for check in found if check.state == "problem")
    report = to_json(found)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["ok"] is (report["problems"] == 0)
    assert len(report["checks"]) == len(found)


@pytest.mark.train
def test_the_real_stack_passes() -> None:
    found = {check.name: check for check in examine(home())}
    assert found["PyTorch"].state == "ok"
    assert "computes on cpu" in found["PyTorch"].what
    assert found["bitsandbytes"].what == "4-bit weights work on cpu."


def test_python() -> None:
    assert python_check().what


def test_tested_versions_are_those_of_the_constraints() -> None:
    constraints = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    tested = tomllib.loads((ROOT / "tui_ft/hardware/tested.toml").read_text())
    assert {name: constraints.get(name) for name in tested} == tested


def test_packages_that_are_wrong_or_missing(
    run_python: Callable[..., Any], bare_env: dict[str, str], tmp_path: Path
) -> None:
    older = tmp_path / "site" / "transformers-4.9.0.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 4.9.0\n")
    code = (
        "import json; from dataclasses import asdict; from tui_ft.hardware.doctor import package_checks;"
        "print(json.dumps([asdict(check) for check in package_checks()]))"
    )
    found = run_python(code, env=bare_env | {"PYTHONPATH": str(older.parent)})
    (problem,) = [check for check in found if check["state"] == "problem"]
    assert problem["name"] == "transformers"
    assert problem["what"].startswith("4.9.0; tui-ft needs ")
    assert problem["fix"].splitlines()[1].startswith("pip install 'transformers==5.")


def test_packages_here() -> None:
    assert [check.state for check in package_checks()] == ["ok"]


# Hardware


def hardware(*notices: Notice, free: int = 50 * GIB) -> Hardware:
    gpu = Gpu(0, "GPU-0", "NVIDIA L4", 24 * GIB, 23 * GIB, (8, 9), 0.0, 40, 30.0, 72.0)
    host = Host("cpu", 8, GIB, GIB, False, False, (Mount(Path("/data"), 99 * GIB, free, ("runs",)),))
    return Hardware((gpu,), host, "580.65.06", (13, 0), notices, detect(home()).torch)


def test_a_healthy_gpu() -> None:
    probe = Probe(devices=(Tried("cuda:0", "0", (8, 9), {"matmul": "", "bf16": "", "nf4": ""}),))
    found = {check.name: check for check in hardware_checks(hardware(), probe)}
    assert {check.state for check in found.values()} == {"ok"}
    assert found["driver"].what == "NVIDIA 580.65.06, runs CUDA up to 13.0."
    assert found["GPU 0"].what == "L4, 23.0 GiB free of 24.0 GiB, sm_89."
    assert found["bitsandbytes"].what == "4-bit weights work on cuda:0."
    assert found["disk /data"].what == "50.0 GiB free of 99.0 GiB for runs."


def test_notices_appear_once_and_where_they_belong() -> None:
    notices = (
        Notice("driver-too-old", "error", "old", "update"),
        Notice("gpu-busy", "warning", "busy", gpu="GPU-0"),
    )
    found = [(c.name, c.state, c.what) for c in hardware_checks(hardware(*notices, free=GIB), None)]
    assert found[0] == ("driver", "problem", "old")
    assert ("GPU 0", "warning", "busy") in found
    assert [c[1] for c in found if c[0] == "disk /data"] == ["warning"]
    assert len([c for c in found if c[0] == "driver"]) == 1


def test_failing_4_bit_is_not_called_working() -> None:
    probe = Probe(devices=(Tried("cuda:0", "0", (8, 9), {"matmul": "", "nf4": "broken"}),))
    found = list(hardware_checks(hardware(Notice("4bit-fails", "warning", "no", gpu="GPU-0")), probe))
    assert [(c.state, c.what) for c in found if c.name == "bitsandbytes"] == [("warning", "no")]


def test_lines_for_people() -> None:
    fine = Check("Python", "ok", "3.11.7")
    broken = Check("hub token", "problem", "Something is wrong. " * 9, "Do this:\n" + "command " * 20)
    assert check_lines(fine) == ["ok       Python        3.11.7"]
    lines = check_lines(broken)
    assert lines[0].startswith("problem  hub token     Something is wrong.")
    assert lines[-1] == " " * 23 + "command " * 20
    assert all(len(line) < 80 for line in lines[:-1])
    assert summary([fine, broken, broken]) == "2 problems, 0 warnings"


# Home, hub, token


def test_a_home_that_can_be_written_is_not_created(tmp_path: Path) -> None:
    assert surroundings.home_check(Home(tmp_path / "a" / "b")).state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written() -> None:
    check = surroundings.home_check(Home(Path("/proc/tui-ft")))
    assert check.state == "problem"
    assert "/proc/tui-ft cannot be written to" in check.what
    assert "TUI_FT_HOME" in check.fix


class Hub(BaseHTTPRequestHandler):
    status = 200

    def do_HEAD(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def hub_address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def online(env: dict[str, str], address: str) -> dict[str, str]:
    return env | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": address}


def test_a_hub_that_answers(
    run_python: Callable[..., Any], bare_env: dict[str, str], hub_address: str
) -> None:
    check = run_python(ASK_HUB, env=online(bare_env, hub_address))
    assert (check["state"], check["what"]) == ("ok", f"{hub_address} answers.")


def test_a_hub_in_trouble(
    run_python: Callable[..., Any],
    bare_env: dict[str, str],
    hub_address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hub, "status", 503)
    check = run_python(ASK_HUB, env=online(bare_env, hub_address))
    assert check["state"] == "warning"
    assert "status 503" in check["what"]


def test_no_network_is_a_warning(run_python: Callable[..., Any], bare_env: dict[str, str]) -> None:
    check = run_python(ASK_HUB, env=online(bare_env, "http://127.0.0.1:9"))
    assert check["state"] == "warning"
    assert "cached or local still work" in check["what"]


def test_a_hub_that_is_silent(run_python: Callable[..., Any], bare_env: dict[str, str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        check = run_python(ASK_HUB, env=online(bare_env, f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert check["state"] == "warning"


def test_offline_on_purpose(run_python: Callable[..., Any], bare_env: dict[str, str]) -> None:
    check = run_python(ASK_HUB, env=bare_env)
    assert check["state"] == "warning"
    assert check["fix"].endswith("\nunset HF_HUB_OFFLINE")


def test_the_token_is_never_shown(run_python: Callable[..., Any], bare_env: dict[str, str]) -> None:
    code = (
        "import json; from dataclasses import asdict; from tui_ft.hardware.surroundings import token_check;"
        "print(json.dumps(asdict(token_check())))"
    )
    assert "only gated or private models" in run_python(code, env=bare_env)["what"]
    check = run_python(code, env=bare_env | {"HF_TOKEN": "hf_verysecret"})
    assert check["what"] == "found in HF_TOKEN."
    assert "verysecret" not in json.dumps(check)


# Terminal, tmux, logging out


@pytest.mark.parametrize(
    ("environ", "state", "says"),
    [
        ({"TERM": "xterm-256color", "LANG": "de_DE.UTF-8"}, "ok", "xterm-256color, 256 colours, UTF-8."),
        ({"TERM": "xterm", "COLORTERM": "truecolor", "LC_ALL": "C.utf8"}, "ok", "16 million colours"),
        ({"TERM": "screen", "LANG": "en_US.UTF-8"}, "ok", "16 colours"),
        ({"TERM": "xterm-256color", "LANG": "C"}, "warning", "(C) is not UTF-8"),
        ({"TERM": "xterm-256color"}, "warning", "(none) is not UTF-8"),
        ({"TERM": "xterm", "LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "warning", "(POSIX)"),
        ({"TERM": "dumb", "LANG": "C.UTF-8"}, "warning", "TERM is dumb"),
        ({}, "warning", "TERM is not set"),
    ],
)
def test_terminal(environ: dict[str, str], state: str, says: str) -> None:
    check = surroundings.terminal_check(environ)
    assert check.state == state
    assert says in check.what


def test_tmux(tmp_path: Path) -> None:
    assert "inside" in surroundings.tmux_check({"TMUX": "/tmp/tmux-0/default,1,0"}).what
    assert "not installed" in surroundings.tmux_check({"PATH": str(tmp_path)}).what
    script(tmp_path / "tmux", "exit 0")
    assert surroundings.tmux_check({"PATH": str(tmp_path)}).what.startswith("installed")


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def systemd(tmp_path: Path) -> Path:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "var/lib/systemd/linger").mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/user.slice/user-1000.slice/session-3.scope\n")
    return tmp_path


@pytest.mark.parametrize(
    ("busctl", "state", "says"),
    [
        ("echo b false", "ok", "Runs go on after logout."),
        ("echo b true", "warning", "KillUserProcesses"),
        ("echo no bus >&2; exit 1", "ok", "does not tell"),
        (None, "ok", "does not tell"),
    ],
)
def test_logging_out(
    systemd: Path, monkeypatch: pytest.MonkeyPatch, busctl: str | None, state: str, says: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    if busctl:
        script(systemd / "busctl", busctl)
    check = surroundings.logout_check({"PATH": str(systemd), "USER": "mia"}, systemd)
    assert check.state == state
    assert says in check.what
    if state == "warning":
        assert check.fix.splitlines()[1:] == ["loginctl enable-linger", "systemd-run --user --scope tui-ft"]


def test_logging_out_of_a_lingering_user_service(systemd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    script(systemd / "busctl", "echo b true")
    (systemd / "proc/self/cgroup").write_text(
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope"
    )
    environ = {"PATH": str(systemd), "USER": "mia"}
    assert surroundings.logout_check(environ, systemd).state == "warning"
    (systemd / "var/lib/systemd/linger/mia").touch()
    assert surroundings.logout_check(environ, systemd).state == "ok"


def test_logging_out_without_systemd_or_as_root(
    tmp_path: Path, systemd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no systemd" in surroundings.logout_check({}, tmp_path / "empty").what
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert "root" in surroundings.logout_check({}, systemd).what


def test_gguf() -> None:
    assert surroundings.gguf_check().name == "GGUF export"
