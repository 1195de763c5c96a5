"""Our readings against gpustat's, on the same NVML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

MIB = 1 << 20


def test_same_readings_as_gpustat(
    stub_env: Callable[[str], dict[str, str]], detect_on: Callable[..., dict[str, Any]]
) -> None:
    pytest.importorskip("gpustat", reason="gpustat is part of the [dev] extra", exc_type=ImportError)
    told = f"""gpus 3
        driver 575.57.08
        used 1.5
        gpu0.used 20.25
        gpu0.compute {os.getpid()}:1024
        gpu0.graphics {os.getppid()}:12
        gpu1.name NVIDIA GeForce RTX 4090
        gpu1.total 23.988
        gpu1.temp 83
        gpu1.power 431
        gpu1.limit 450
        gpu1.util 99
        gpu2.name Tesla T4
        gpu2.rc.nvmlDeviceGetTemperature 3
        gpu2.rc.nvmlDeviceGetTemperatureV 3
        gpu2.rc.nvmlDeviceGetUtilizationRates 3
        gpu2.rc.nvmlDeviceGetPowerUsage 4
        gpu2.rc.nvmlDeviceGetEnforcedPowerLimit 3
        """
    asked = subprocess.run(
        [sys.executable, "-m", "gpustat", "--json"],
        env=stub_env(told),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs, ours = json.loads(asked.stdout), detect_on(told)
    assert ours["driver"] == theirs["driver_version"]
    assert len(ours["gpus"]) == len(theirs["gpus"]) == 3
    for our, their in zip(ours["gpus"], theirs["gpus"], strict=True):
        assert (our["index"], our["uuid"], our["name"]) == (their["index"], their["uuid"], their["name"])
        assert our["total_bytes"] // MIB == their["memory.total"]
        assert (our["total_bytes"] - our["free_bytes"]) // MIB == their["memory.used"]
        assert our["temperature_c"] == their["temperature.gpu"]
        assert our["utilisation"] == (None if (busy := their["utilization.gpu"]) is None else busy / 100)
        assert our["power_w"] == their["power.draw"]
        assert our["power_limit_w"] == their["enforced.power.limit"]
        assert {p["pid"]: p["memory_bytes"] // MIB for p in our["processes"]} == {
            p["pid"]: p["gpu_memory_usage"] for p in their["processes"]
        }
