"""Every notice, from a machine that causes it: the stub for NVML, a folder for /sys, files for torch."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tui_ft.hardware import gpu_notices, notices, torch_notices
from tui_ft.hardware.evidence import Evidence
from tui_ft.hardware.facts import Gpu, Hardware, Host, Mount, Notice, NvidiaTraces, TorchBuild
from tui_ft.hardware.notices import mount_notices
from tui_ft.hardware.nvml import Reading

GIB = 1 << 30
CUDA_13 = ("2.13.0+cu130", "13.0")
ARCHS = 'PYTORCH_RELEASES_CODE_CC = {\n "13.0": {"x86_64": {75, 80, 120}, "aarch64": {75, 80, 120}},\n}\n'
WORKS = {"matmul": "", "bf16": "", "nf4": ""}

Box = Callable[..., dict[str, Any]]


def card(root: Path, *, driver: bool = False, container: bool = False) -> Path:
    """A machine with an NVIDIA card on its bus."""
    device = root / "sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030200\n")
    if driver:
        (root / "proc/driver/nvidia").mkdir(parents=True)
        (root / "proc/driver/nvidia/version").write_text("NVRM version: 580.65.06")
    if container:
        (root / ".dockerenv").write_text("")
    return root


def answer(
    results: dict[str, str] = WORKS,
    *,
    archs: tuple[str, ...] = ("sm_80", "sm_120"),
    available: bool = True,
    why: str = "",
) -> str:
    """What the probe prints on a machine with the stub's first GPU."""
    uuid = "000000a0-0000-0000-0000-000000000000"
    device = {"device": "cuda:0", "uuid": uuid, "capability": [8, 0], "results": results}
    found = {"torch": "2.13.0+cu130", "cuda": "13.0", "archs": archs, "available": available, "why": why}
    return json.dumps(found | {"devices": [device]})


@pytest.fixture
def on_gpu_box(detect_on: Box, fake_torch: Callable[..., Path]) -> Box:
    """`detect()` on the stub with a PyTorch built for CUDA 13.0."""
    site = fake_torch(*CUDA_13, archs=ARCHS)

    def detect(told: str = "", **options: Any) -> dict[str, Any]:
        return detect_on(told, **({"PYTHONPATH": str(site)} | options))

    return detect


def only(here: dict[str, Any], identifier: str, severity: str = "error") -> dict[str, Any]:
    """The one notice there is."""
    (notice,) = here["notices"]
    assert (notice["id"], notice["severity"]) == (identifier, severity), notice
    return dict(notice)


def test_a_healthy_box_has_nothing_to_say(on_gpu_box: Box) -> None:
    here = on_gpu_box("gpus 2\nused 1", probe=answer())
    assert here["notices"] == []
    assert here["device"] == "cuda"
    assert here["summary"] == "2 × A100 80GB · 79.0 GiB free each"


# No GPU, no driver, no library


def test_no_gpu_means_cpu_and_is_no_problem(
    run_python: Callable[..., Any], bare_env: dict[str, str], tmp_path: Path
) -> None:
    notice = only(without_nvml(run_python, bare_env, tmp_path), "no-gpu", "info")
    assert "everything runs on the CPU" in notice["what"]


@pytest.mark.parametrize(
    ("driver", "container", "identifier", "says"),
    [
        (False, False, "no-driver", "no NVIDIA driver is installed"),
        (True, False, "no-nvml-library", "cannot be found"),
        (False, True, "no-nvml-library", "this container cannot reach it"),
        (True, True, "no-nvml-library", "this container cannot reach it"),
    ],
)
def test_a_card_without_a_library(
    run_python: Callable[..., Any],
    bare_env: dict[str, str],
    tmp_path: Path,
    *,
    driver: bool,
    container: bool,
    identifier: str,
    says: str,
) -> None:
    root = card(tmp_path / "root", driver=driver, container=container)
    notice = only(without_nvml(run_python, bare_env, root), identifier)
    assert says in notice["what"]
    assert ("--gpus all" in notice["fix"]) is container


def without_nvml(run_python: Callable[..., Any], env: dict[str, str], root: Path) -> dict[str, Any]:
    code = (
        "import json, sys; from pathlib import Path\n"
        "from tui_ft.hardware.describe import gpus_json; from tui_ft.hardware.detect import detect\n"
        "from tui_ft.settings import home\n"
        "print(json.dumps(gpus_json(detect(home(), root=Path(sys.argv[1])))))"
    )
    here: dict[str, Any] = run_python(code, str(root), env=env)
    assert here["device"] == "cpu"
    return here | {"notices": [n for n in here["notices"] if n["id"] != "low-disk"]}


@pytest.mark.parametrize(
    ("rc", "identifier", "says"),
    [
        (9, "driver-not-loaded", "the driver is not loaded"),
        (18, "driver-mismatch", "different versions"),
        (4, "nvml-no-permission", "does not let this user"),
        (999, "nvml-failed", "Unknown Error"),
    ],
)
def test_nvml_does_not_start(on_gpu_box: Box, tmp_path: Path, rc: int, identifier: str, says: str) -> None:
    told = f"rc.nvmlInitWithFlags {rc}"
    here = on_gpu_box(told, root=card(tmp_path / "root"))
    notice = only(here, identifier)
    assert says in notice["what"]
    assert notice["fix"]
    assert here["device"] == "cpu"
    # The image of a GPU machine on a machine without one: nothing is broken.
    assert only(on_gpu_box(told), identifier, "warning")


def test_a_driver_without_devices(on_gpu_box: Box) -> None:
    assert "--gpus all" in only(on_gpu_box("gpus 0"), "no-devices", "warning")["fix"]


# Single GPUs


@pytest.mark.parametrize(
    "told", ["gpu1.rc.nvmlDeviceGetHandleByIndex_v2 15", "gpu1.rc.nvmlDeviceGetMemoryInfo 15"]
)
def test_a_lost_gpu_is_left_out_and_the_others_are_used(on_gpu_box: Box, told: str) -> None:
    here = on_gpu_box(f"gpus 2\n{told}")
    notice = only(here, "gpu-unreadable")
    assert notice["what"] == "GPU 1 cannot be used: the driver says “GPU is lost”."
    assert [gpu["usable"] for gpu in here["gpus"]] == [True, False]
    assert here["summary"] == "A100 80GB · 80.0 GiB free"


def test_a_gpu_of_another_user(on_gpu_box: Box) -> None:
    here = on_gpu_box("gpus 2\ngpu0.rc.nvmlDeviceGetHandleByIndex_v2 4")
    assert "Insufficient Permissions" in only(here, "gpu-unreadable")["what"]
    assert [gpu["usable"] for gpu in here["gpus"]] == [False, True]


@pytest.mark.parametrize(
    ("value", "says"), [("", "hides all 2 GPUs"), ("-1", "hides"), ("0,0", "names a GPU twice")]
)
def test_all_hidden(on_gpu_box: Box, value: str, says: str) -> None:
    here = on_gpu_box("gpus 2", CUDA_VISIBLE_DEVICES=value)
    notice = only(here, "all-hidden", "warning")
    assert notice["what"].startswith(f"CUDA_VISIBLE_DEVICES={value} ")
    assert says in notice["what"]
    assert notice["fix"].endswith("\nunset CUDA_VISIBLE_DEVICES")
    assert here["device"] == "cpu"


def test_a_name_that_is_no_gpu(on_gpu_box: Box) -> None:
    notice = only(on_gpu_box("gpus 2", CUDA_VISIBLE_DEVICES="0,5,1"), "visible-unknown", "warning")
    assert "names “5”, which is no GPU of this machine" in notice["what"]


def test_numbers_mean_other_gpus_when_they_differ(on_gpu_box: Box) -> None:
    told = "gpus 2\ngpu1.name NVIDIA GeForce RTX 4090"
    assert only(on_gpu_box(told, CUDA_VISIBLE_DEVICES="1"), "cuda-order", "warning")
    for fine in (
        {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        {"CUDA_VISIBLE_DEVICES": "GPU-000000a1"},
        {},
    ):
        assert on_gpu_box(told, **fine)["notices"] == []


def test_mig(on_gpu_box: Box) -> None:
    here = on_gpu_box("mig 1\nslices 2\nslice_total 9.75")
    notice = only(here, "mig", "info")
    assert notice["what"].startswith(
        "2 MIG slices found. A run uses one slice, now GPU 0 slice 0 with 9.8 GiB."
    )
    assert here["summary"] == "A100 80GB MIG 1g.10gb · 9.8 GiB free"


def test_mig_without_a_slice(on_gpu_box: Box) -> None:
    here = on_gpu_box("mig 1\nslices 0")
    assert (
        "sudo nvidia-smi mig -cgi 0 -C -i 0" in only(here, "mig-without-slice", "warning")["fix"].splitlines()
    )
    assert here["device"] == "cpu"


def test_a_busy_gpu_names_who_holds_it(on_gpu_box: Box) -> None:
    here = on_gpu_box(f"used 71.5\ncompute {os.getpid()}:61440 4194303:11000")
    notice = only(here, "gpu-busy", "warning")
    assert notice["what"].startswith("GPU 0 has 8.5 GiB free of 80.0 GiB: ")
    assert (
        f"(pid {os.getpid()}) holds 60.0 GiB, a process that cannot be seen from here (pid 4194303)"
        in notice["what"]
    )
    assert here["device"] == "cuda"


def test_a_busy_gpu_whose_holder_is_hidden(on_gpu_box: Box) -> None:
    assert "cannot be seen from here" in only(on_gpu_box("used 40"), "gpu-busy", "warning")["what"]


def test_a_desktop_is_not_busy(on_gpu_box: Box) -> None:
    assert on_gpu_box("total 8\nused 1.5")["notices"] == []


# PyTorch


def test_no_torch() -> None:
    reading = Reading(gpus=(gpu(),), cuda_driver=(12, 8))
    found = tuple(torch_notices.about(evidence(reading, None)))
    assert [n.id for n in found] == ["no-torch"]
    assert found[0].fix.endswith("/cu126")
    assert [n.fix[-4:] for n in torch_notices.about(evidence(Reading(), None))] == ["/cpu"]


def test_torch_without_cuda(detect_on: Box, fake_torch: Callable[..., Path]) -> None:
    site = fake_torch("2.13.0+cpu", None)
    here = detect_on("cuda 12080", PYTHONPATH=str(site))
    notice = only(here, "torch-without-cuda")
    assert (
        notice["what"]
        == "The installed PyTorch (2.13.0+cpu) cannot use the A100 80GB: it is made for the CPU only."
    )
    assert notice["fix"].splitlines()[1] == (
        "pip uninstall -y torch && pip install torch --index-url https://download.pytorch.org/whl/cu126"
    )
    assert here["device"] == "cpu"
    assert here["summary"].startswith("CPU only, A100 80GB not usable · ")


def test_torch_for_amd(detect_on: Box, fake_torch: Callable[..., Path]) -> None:
    site = fake_torch("2.13.0+rocm7.0", None, "7.0")
    assert "AMD GPUs" in only(detect_on("", PYTHONPATH=str(site)), "torch-without-cuda")["what"]
    ids = [n["id"] for n in detect_on("gpus 0", PYTHONPATH=str(site))["notices"]]
    assert ids == ["no-devices", "torch-rocm"]


def test_driver_too_old(on_gpu_box: Box) -> None:
    notice = only(on_gpu_box("driver 550.54.15\ncuda 12040"), "driver-too-old")
    assert "550.54.15" in notice["what"]
    assert "CUDA up to 12.4" in notice["what"]
    assert "made for CUDA 13.0" in notice["what"]
    assert notice["fix"].endswith("/cu126")


def test_driver_too_old_for_any_torch(on_gpu_box: Box) -> None:
    fix = only(on_gpu_box("driver 470.1\ncuda 11040"), "driver-too-old")["fix"]
    assert "580 or newer" in fix
    assert "pip" not in fix


def test_an_older_driver_of_the_same_cuda_generation_is_fine(
    detect_on: Box, fake_torch: Callable[..., Path]
) -> None:
    site = fake_torch("2.8.0+cu128", "12.8")
    assert detect_on("cuda 12020", PYTHONPATH=str(site))["notices"] == []


def test_no_kernels_as_published(on_gpu_box: Box) -> None:
    here = on_gpu_box("name Tesla V100-SXM2-16GB\ncapability 7.0")
    notice = only(here, "no-kernels", "warning")
    assert "seems to have no code for the V100 16GB (sm_70)" in notice["what"]
    assert notice["fix"].endswith("/cu126")
    assert here["device"] == "cuda"  # a guess does not stop anybody


def test_no_kernels_as_measured(on_gpu_box: Box) -> None:
    told = "gpus 2\ngpu1.name NVIDIA GeForce RTX 5090\ngpu1.capability 12.0"
    here = on_gpu_box(told, probe=answer(archs=("sm_80", "sm_90")))
    notice = only(here, "no-kernels")
    assert "has no code for the RTX 5090 (sm_120). It has sm_80, sm_90." in notice["what"]
    assert [gpu["usable"] for gpu in here["gpus"]] == [True, False]


def test_cuda_unavailable_is_never_passed_over(on_gpu_box: Box) -> None:
    here = on_gpu_box(probe=answer(available=False, why="CUDA initialization: Unexpected error"))
    assert "CUDA initialization: Unexpected error" in only(here, "cuda-unavailable")["what"]
    assert here["device"] == "cpu"


def test_cuda_unavailable_is_not_said_twice(on_gpu_box: Box) -> None:
    here = on_gpu_box("cuda 12040", probe=answer(available=False))
    assert only(here, "driver-too-old")


def test_a_gpu_that_nvml_does_not_show(on_gpu_box: Box) -> None:
    here = on_gpu_box("rc.nvmlInitWithFlags 999", probe=answer())
    assert {n["id"] for n in here["notices"]} == {"nvml-failed", "gpu-without-nvml"}


def test_torch_that_does_not_start(on_gpu_box: Box) -> None:
    notice = only(on_gpu_box(probe="rubbish"), "torch-broken")
    assert notice["fix"].splitlines()[1] == (
        'pip uninstall -y torch && pip install "torch==2.13.0" --index-url https://download.pytorch.org/whl/cu130'
    )


@pytest.mark.parametrize(
    ("results", "identifier", "severity", "device"),
    [
        ({"matmul": "RuntimeError: no kernel image", "nf4": "x"}, "compute-fails", "error", "cpu"),
        ({"matmul": "", "bf16": "RuntimeError: no", "nf4": ""}, "bf16-fails", "warning", "cuda"),
        ({"matmul": "", "bf16": "", "nf4": "CUDA Setup failed"}, "4bit-fails", "warning", "cuda"),
    ],
)
def test_what_was_tried_and_failed(
    on_gpu_box: Box, results: dict[str, str], identifier: str, severity: str, device: str
) -> None:
    here = on_gpu_box(probe=answer(results))
    notice = only(here, identifier, severity)
    assert "on the A100 80GB" in notice["what"]
    assert notice["gpu"] == here["gpus"][0]["uuid"]
    assert here["device"] == device


def test_a_full_gpu_is_not_called_broken(on_gpu_box: Box) -> None:
    here = on_gpu_box(
        probe=answer({"matmul": "OutOfMemoryError: CUDA out of memory. Tried to allocate 20 MiB"})
    )
    assert only(here, "compute-fails")["fix"].startswith("Its memory is full")


def test_bf16_is_not_missed_where_it_never_was(on_gpu_box: Box) -> None:
    results = WORKS | {"bf16": "RuntimeError: no"}
    here = on_gpu_box("name Tesla T4\ncapability 7.5", probe=answer(results, archs=("sm_75",)))
    assert here["notices"] == []


# Disks and memory


def mount(free: int, *uses: str, filesystem: str = "ext4") -> Mount:
    return Mount(Path("/data"), 100 * GIB, free, uses, filesystem)


def test_low_disk() -> None:
    (notice,) = mount_notices(mount(3 * GIB, "runs", "model cache", "temporary files"))
    assert notice.id == "low-disk"
    assert notice.what.startswith("Only 3.0 GiB free on /data, which holds runs and model cache.")
    assert list(mount_notices(mount(3 * GIB, "temporary files"))) == []
    assert list(mount_notices(mount(30 * GIB, "runs"))) == []


def test_places_that_do_not_last() -> None:
    assert [n.id for n in mount_notices(mount(99 * GIB, "runs", filesystem="tmpfs"))] == ["runs-in-memory"]
    assert [n.id for n in mount_notices(mount(99 * GIB, "runs", filesystem="overlay"))] == [
        "runs-in-container"
    ]
    assert list(mount_notices(mount(99 * GIB, "model cache", filesystem="overlay"))) == []


@pytest.mark.parametrize(
    ("gpus", "size", "found"), [(2, 64 << 20, True), (1, 64 << 20, False), (2, 8 * GIB, False)]
)
def test_small_shared_memory(gpus: int, size: int, *, found: bool) -> None:
    reading = Reading(gpus=tuple(gpu(index) for index in range(gpus)), cuda_driver=(13, 0))
    all_of_them = notices.notices(evidence(reading, TorchBuild("2.13.0+cu130", (13, 0)), shared=size))
    assert [n.id for n in all_of_them] == (["small-shared-memory"] if found else [])


# All of them


def gpu(index: int = 0) -> Gpu:
    return Gpu(index, f"GPU-{index}", "NVIDIA L4", 24 * GIB, 24 * GIB, (8, 9), 0.0, 40, 30.0, 72.0)


def evidence(reading: Reading, torch: TorchBuild | None, shared: int | None = None) -> Evidence:
    host = Host("cpu", 8, 64 * GIB, 60 * GIB, False, False, (), shared)
    return Evidence(reading, NvidiaTraces(card=True, driver=True, container=False), host, torch)


def test_the_gravest_comes_first(on_gpu_box: Box) -> None:
    here = on_gpu_box("cuda 12040\nused 70\nmig 0", CUDA_VISIBLE_DEVICES="0,9")
    assert [n["severity"] for n in here["notices"]] == ["error", "warning", "warning"]


def test_an_error_of_the_box_rules_out_every_gpu_one_of_a_gpu_only_that() -> None:
    host = evidence(Reading(), None).host
    gpus = (gpu(0), gpu(1))
    box = Hardware(gpus, host, None, None, (Notice("x", "error", "x"),))
    one = Hardware(
        gpus, host, None, None, (Notice("x", "error", "x", gpu="GPU-1"), Notice("y", "warning", "y"))
    )
    assert (box.usable_gpus, box.device) == ((), "cpu")
    assert (one.usable_gpus, one.device) == ((gpus[0],), "cuda")


def test_every_notice_has_a_test_and_speaks_plainly() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for module in (notices, torch_notices, gpu_notices):
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Notice":
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found[first.value] = ast.unparse(node)
    assert len(found) > 20
    for identifier, source in found.items():
        assert f'"{identifier}"' in tests, f"no test meets {identifier}"
        assert "!" not in source, identifier


def test_notices_are_json() -> None:
    reading = Reading(gpus=(gpu(),), cuda_driver=(11, 0))
    found = notices.notices(evidence(reading, TorchBuild("2.13.0+cu130", (13, 0))))
    assert json.dumps([n.id for n in found]) == '["driver-too-old"]'
