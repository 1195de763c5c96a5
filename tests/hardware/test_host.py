"""Processor, memory, cores and file systems, with the container's limits."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.hardware.host import (
    container_memory,
    mounts,
    nearest_existing,
    nvidia_traces,
    read_host,
    sample_host,
    usable_cores,
)

GIB = 1 << 30


def tree(root: Path, files: dict[str, str | int]) -> Path:
    """A root folder with these files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def test_this_machine() -> None:
    host = read_host({"runs": Path.home(), "temporary files": Path("/tmp")})
    assert host.cpu
    assert 1 <= host.cores <= (os.cpu_count() or 1)
    assert 0 < host.ram_available_bytes <= host.ram_total_bytes <= psutil.virtual_memory().total
    assert {use for mount in host.mounts for use in mount.uses} == {"runs", "temporary files"}
    for mount in host.mounts:
        usage = psutil.disk_usage(str(mount.path))
        assert mount.total_bytes == usage.total
        assert abs(mount.free_bytes - usage.free) < GIB  # others write meanwhile


def test_no_limits_in_an_empty_root(tmp_path: Path) -> None:
    assert container_memory(tmp_path) == (None, 0)
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
    assert read_host({}, tmp_path).mounts == ()


def test_memory_limit_of_cgroup_2_counts_no_droppable_cache(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": 2 * GIB,
            "sys/fs/cgroup/memory.current": GIB,
            "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB // 4}\nactive_file 7",
        },
    )
    assert container_memory(root) == (2 * GIB, GIB - GIB // 4)
    host = read_host({}, root)
    assert host.ram_total_bytes == 2 * GIB
    assert host.ram_available_bytes <= 2 * GIB - (GIB - GIB // 4)
    assert host.ram_limited_by_container
    assert sample_host(root=root).ram_used_bytes == GIB - GIB // 4


def test_the_tightest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/container",
            "sys/fs/cgroup/pod/memory.max": 3 * GIB,
            "sys/fs/cgroup/pod/memory.current": GIB,
            "sys/fs/cgroup/pod/container/memory.max": "max",
        },
    )
    assert container_memory(root) == (3 * GIB, GIB)


def test_memory_limit_of_cgroup_1(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "9:cpu,cpuacct:/d\n4:memory:/docker/abc\n0::/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": 4 * GIB,
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": GIB,
            "sys/fs/cgroup/memory/docker/abc/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB // 2}",
        },
    )
    assert container_memory(root) == (4 * GIB, GIB // 2)


def test_the_hosts_path_inside_a_container_falls_back_to_what_is_mounted(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/of-the-host",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": GIB,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": 5,
        },
    )
    assert container_memory(root) == (GIB, 5)


def test_a_limit_above_the_machines_memory_is_none(tmp_path: Path) -> None:
    root = tree(
        tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": 2 * psutil.virtual_memory().total}
    )
    host = read_host({}, root)
    assert not host.ram_limited_by_container
    assert host.ram_total_bytes == psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "100000 100000"}, 1),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/a",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": 150000,
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": 100000,
            },
            1,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": -1,
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": 100000,
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "6400000 100000"}, None),
    ],
)
def test_cores_by_quota_and_affinity(tmp_path: Path, files: dict[str, str | int], cores: int | None) -> None:
    assert usable_cores(tree(tmp_path, files)) == (cores or len(os.sched_getaffinity(0)))


@given(st.binary(max_size=60), st.binary(max_size=40))
def test_garbled_control_groups_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, a: bytes, b: bytes
) -> None:
    root = tree(tmp_path_factory.mktemp("root"), {"proc/self/cgroup": "", "sys/fs/cgroup/cpu.max": ""})
    (root / "proc/self/cgroup").write_bytes(a)
    (root / "sys/fs/cgroup/cpu.max").write_bytes(b)
    (root / "sys/fs/cgroup/memory.max").write_bytes(b)
    (root / "sys/fs/cgroup/memory.stat").write_bytes(b)
    assert usable_cores(root) >= 1
    limit, used = container_memory(root)
    assert limit is None or limit >= 0
    assert used >= 0


@pytest.mark.parametrize(
    ("cpuinfo", "name", "fast"),
    [
        (
            "processor\t: 0\nmodel name\t: Intel Xeon 8481C\nflags\t\t: fpu avx512_bf16 amx_bf16",
            "Intel Xeon 8481C",
            True,
        ),
        ("processor\t: 0\nmodel name\t: AMD EPYC 7763\nflags\t\t: fpu avx2", "AMD EPYC 7763", False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n\nprocessor\t: 1", None, True),
    ],
)
def test_processor(tmp_path: Path, cpuinfo: str, name: str | None, fast: bool) -> None:
    host = read_host({}, tree(tmp_path, {"proc/cpuinfo": cpuinfo}))
    assert host.cpu_bf16 is fast
    assert host.cpu == name if name else host.cpu


def test_paths_on_one_file_system_are_one_mount(tmp_path: Path) -> None:
    (found,) = mounts({"runs": tmp_path / "not" / "yet", "model cache": tmp_path})
    assert found.uses == ("runs", "model cache")
    assert found.path.is_mount()
    assert tmp_path.is_relative_to(found.path)


def test_another_file_system_is_another_mount(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    found = {mount.uses: mount for mount in mounts({"runs": tmp_path, "temporary files": memory / "x"})}
    assert found["temporary files",].path == memory
    assert found["temporary files",].filesystem == "tmpfs"
    assert found["runs",].path != memory


def test_nearest_existing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert nearest_existing(tmp_path / "a" / "b") == tmp_path
    assert nearest_existing(tmp_path / "file" / "below a file") == tmp_path / "file"
    assert nearest_existing(tmp_path) == tmp_path


def test_traces_of_a_card(tmp_path: Path) -> None:
    assert nvidia_traces(tmp_path) == type(nvidia_traces(tmp_path))(card=False, driver=False, container=False)
    root = tree(
        tmp_path,
        {
            "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de",
            "sys/bus/pci/devices/0000:01:00.0/class": "0x030200",
            "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06",
            ".dockerenv": "",
        },
    )
    traces = nvidia_traces(root)
    assert (traces.card, traces.driver, traces.container) == (True, True, True)


def test_an_nvidia_sound_device_is_no_gpu(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de",
            "sys/bus/pci/devices/0000:01:00.1/class": "0x040300",
        },
    )
    assert not nvidia_traces(root).card


def test_processor_share_needs_two_samples() -> None:
    first = sample_host()
    assert first.cpu is None
    while (second := sample_host(first)).total_s == first.total_s:
        sum(range(100_000))  # the kernel counts in ticks of 10 ms
    assert second.cpu is not None
    assert 0 <= second.cpu <= 1
    assert 0 < second.ram_used_bytes < second.ram_total_bytes
