import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tui_ft.errors import EnvironmentProblem
from tui_ft.files import sha256, write_atomically, write_json


def test_the_content_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_json_refuses_nan_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_json(path, {"loss": 1.0})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"loss": float("nan")})
    assert '"loss": 1.0' in path.read_text()


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path: Path) -> None:
    # A file-size limit stands in for the full disk: the kernel refuses the write in the same way.
    path = tmp_path / "big.bin"
    path.write_text("old")
    script = (
        "import sys; from pathlib import Path; from tui_ft.files import write_atomically\n"
        "from tui_ft.errors import EnvironmentProblem\n"
        "try: write_atomically(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except EnvironmentProblem as error: print(error)\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=True,
    )
    assert "the disk is full" in done.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EnvironmentProblem, match="may not be written"):
        write_atomically(tmp_path / "x", "y")


def test_a_file_in_the_place_of_a_folder_is_an_environment_problem(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        write_atomically(tmp_path / "home" / "x", "y")


def test_sha256_of_known_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf")
