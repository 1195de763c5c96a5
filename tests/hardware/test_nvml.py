"""Reading GPUs, against the stub in a child process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

Detect = Callable[..., dict[str, Any]]

GAUGES = {
    "nvmlDeviceGetName": ("name", "unknown GPU"),
    "nvmlDeviceGetUUID": ("uuid", ""),
    "nvmlDeviceGetMemoryInfo": ("free_bytes", None),
    "nvmlDeviceGetUtilizationRates": ("utilisation", None),
    "nvmlDeviceGetTemperature nvmlDeviceGetTemperatureV": ("temperature_c", None),
    "nvmlDeviceGetPowerUsage": ("power_w", None),
    "nvmlDeviceGetEnforcedPowerLimit": ("power_limit_w", None),
    "nvmlDeviceGetCudaComputeCapability": ("capability", None),
    "nvmlDeviceGetMigMode": ("mig", False),
}
# NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, GPU_IS_LOST, NOT_READY and UNKNOWN of nvml.h
CODES = (3, 4, 13, 15, 27, 999)

SILENCE = """
import json, os, sys
from tui_ft.hardware.nvml import sample
gauges, codes = json.loads(sys.argv[1])
answers, tick = {}, 0
for gauge in gauges:
    for code in codes:
        tick += 1
        with open(os.environ["NVML_STUB"], "w") as told:
            told.write("gpus 2\\n" + "".join(f"gpu1.rc.{call} {code}\\n" for call in gauge.split()))
        os.utime(os.environ["NVML_STUB"], ns=(tick, tick))
        from dataclasses import asdict
        answers[f"{gauge} {code}"] = [asdict(gpu) for gpu in sample()]
print(json.dumps(answers))
"""


def test_reads_every_gauge(detect_on: Detect) -> None:
    here = detect_on(
        f"""gpus 2
        driver 570.12
        cuda 12080
        gpu0.used 20
        gpu0.compute {os.getpid()}:2048
        gpu0.graphics {os.getpid()}:2048 4194303:-
        gpu1.name NVIDIA GeForce RTX 4090
        gpu1.total 24
        gpu1.capability 8.9
        gpu1.util 100
        gpu1.temp 88
        gpu1.power 449.5
        gpu1.limit 450
        """
    )
    assert here["driver"] == "570.12"
    assert here["cuda_driver"] == "12.8"
    first, second = here["gpus"]
    assert first["total_bytes"] == 80 << 30
    assert first["free_bytes"] == 60 << 30
    assert [(p["pid"], p["memory_bytes"]) for p in first["processes"]] == [
        (os.getpid(), 2 << 30),
        (4194303, None),
    ]
    assert first["processes"][0]["name"].startswith(("pytest", "python"))
    assert first["processes"][1]["name"] is None
    assert second | {"processes": []} == {
        "index": 1,
        "uuid": "GPU-000000a1-0000-0000-0000-000000000000",
        "name": "NVIDIA GeForce RTX 4090",
        "short_name": "RTX 4090",
        "total_bytes": 24 << 30,
        "free_bytes": 24 << 30,
        "capability": "8.9",
        "bf16": True,
        "fp8": True,
        "utilisation": 1.0,
        "temperature_c": 88,
        "power_w": 449.5,
        "power_limit_w": 450.0,
        "processes": [],
        "mig": False,
        "slice": None,
        "visible": True,
        "usable": False,  # the PyTorch of the tests is a CPU build
    }


def test_a_silent_gauge_is_unknown_and_silences_nothing_else(
    run_python: Callable[..., Any], stub_env: Callable[[str], dict[str, str]]
) -> None:
    answers = run_python(SILENCE, json.dumps([list(GAUGES), CODES]), env=stub_env("gpus 2"))
    assert len(answers) == len(GAUGES) * len(CODES)
    for case, (whole, silent) in answers.items():
        key, missing = GAUGES[case.rpartition(" ")[0]]
        assert silent[key] == missing, case
        untouched = {k for k in whole if k not in {key, "index", "uuid", "total_bytes"}}
        assert {k: silent[k] for k in untouched} == {k: whole[k] for k in untouched}, case


@pytest.mark.parametrize("kind", ["Compute", "Graphics"])
def test_old_drivers_list_processes_by_the_older_call(detect_on: Detect, kind: str) -> None:
    here = detect_on(
        f"rc.nvmlDeviceGet{kind}RunningProcesses_v3 13\n{kind.lower()} 4194303:100",
    )
    assert [process["pid"] for process in here["gpus"][0]["processes"]] == [4194303]


def test_temperature_by_the_newer_call(detect_on: Detect) -> None:
    assert detect_on("rc.nvmlDeviceGetTemperature 13\ntemp 55")["gpus"][0]["temperature_c"] == 55


def test_a_name_that_is_not_text_is_unknown(
    run_python: Callable[..., Any], stub_env: Callable[[str], dict[str, str]]
) -> None:
    env = stub_env("")
    with open(env["NVML_STUB"], "wb") as told:  # noqa: PTH123
        told.write(b"name NVIDIA \xff\xfe\n")
    code = "import json; from tui_ft.hardware.nvml import sample; print(json.dumps(sample()[0].name))"
    assert run_python(code, env=env) == "unknown GPU"


def test_control_characters_in_a_name_do_not_reach_the_terminal(detect_on: Detect) -> None:
    assert detect_on("name NVIDIA \x1b[31mT4\x1b]0;x\x07")["gpus"][0]["name"] == "NVIDIA T4"


def test_cuda_version_from_the_older_call(detect_on: Detect) -> None:
    assert detect_on("rc.nvmlSystemGetCudaDriverVersion_v2 13\ncuda 12040")["cuda_driver"] == "12.4"


def test_a_driver_that_hides_its_version(detect_on: Detect) -> None:
    here = detect_on(
        "rc.nvmlSystemGetCudaDriverVersion_v2 999\nrc.nvmlSystemGetCudaDriverVersion 999\n"
        "rc.nvmlSystemGetDriverVersion 999"
    )
    assert (here["driver"], here["cuda_driver"]) == (None, None)


def test_mig_slices_stand_for_their_card(detect_on: Detect) -> None:
    here = detect_on(
        """gpus 2
        gpu0.mig 1
        gpu0.slices 3
        gpu0.slice_total 9.75
        gpu0.slice_used 1
        gpu1.mig 0
        """
    )
    slices, (card,) = here["gpus"][:3], here["gpus"][3:]
    assert [(s["index"], s["slice"], s["mig"]) for s in slices] == [(0, 0, True), (0, 1, True), (0, 2, True)]
    assert slices[0]["uuid"].startswith("MIG-")
    assert slices[0]["short_name"] == "A100 80GB MIG 1g.10gb"
    assert slices[0]["total_bytes"] == int(9.75 * (1 << 30))
    assert (slices[0]["capability"], slices[0]["temperature_c"]) == ("8.0", 61)
    assert (slices[0]["utilisation"], slices[0]["power_w"]) == (None, None)
    assert (card["index"], card["mig"], card["slice"]) == (1, False, None)
    # CUDA shows one slice, and then no other GPU.
    assert [gpu["visible"] for gpu in here["gpus"]] == [True, False, False, False]


def test_a_named_mig_slice_is_the_visible_one(detect_on: Detect) -> None:
    told = "mig 1\nslices 3"
    second = detect_on(told)["gpus"][1]["uuid"]
    for name in (second, second[:30], "MIG-GPU-000000a0-0000-0000-0000-000000000000/8/0"):
        visible = [gpu["visible"] for gpu in detect_on(told, CUDA_VISIBLE_DEVICES=name)["gpus"]]
        expected = (
            [False, True, False] if name != second[:30] else [False, False, False]
        )  # an ambiguous start
        assert visible == expected, name


@pytest.mark.parametrize(
    ("value", "visible"),
    [
        ("1", [False, True, False]),
        ("2,0", [True, False, True]),
        ("0,-1,1", [True, False, False]),
        ("", [False, False, False]),
        ("GPU-000000a2", [False, False, True]),
        ("7", [False, False, False]),
    ],
)
def test_cuda_visible_devices(detect_on: Detect, value: str, visible: list[bool]) -> None:
    here = detect_on("gpus 3", CUDA_VISIBLE_DEVICES=value)
    assert [gpu["visible"] for gpu in here["gpus"]] == visible


SAMPLES = """
import json, os, time
from tui_ft.hardware.nvml import sample
sample()
start = time.process_time()
for _ in range(50):
    gpus = sample()
cost_ms = (time.process_time() - start) / 50 / len(gpus) * 1000
with open(os.environ["NVML_STUB"], "a") as told:
    told.write("util 7\\n")
os.utime(os.environ["NVML_STUB"], ns=(1, 1))
print(json.dumps({"cost_ms": cost_ms, "util": sample()[0].utilisation}))
"""


def test_sampling_is_cheap_and_sees_changes(
    run_python: Callable[..., Any], stub_env: Callable[[str], dict[str, str]]
) -> None:
    answer = run_python(SAMPLES, env=stub_env(f"gpus 8\ncompute {os.getpid()}:1000 {os.getppid()}:10"))
    assert answer["util"] == 0.07
    assert answer["cost_ms"] < 5  # our share of a dashboard's sample; the driver's own is not in it


def test_without_the_library_there_is_nothing_to_sample(
    run_python: Callable[..., Any], bare_env: dict[str, str]
) -> None:
    code = (
        "import json; from tui_ft.hardware.nvml import read, sample;"
        "print(json.dumps([sample(), read().failure.kind]))"
    )
    assert run_python(code, env=bare_env) == [[], "no-library"]
