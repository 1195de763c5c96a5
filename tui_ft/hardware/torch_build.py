"""The installed PyTorch without importing it, what its GPU code runs on, and which wheel would fit better."""

from __future__ import annotations

import ast
import platform
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from tui_ft.hardware.facts import TorchBuild

INDEX = "https://download.pytorch.org/whl"

# Code for these integrated GPUs is built for them alone, and they run no other minor version's code
# (torch.cuda.DEVICE_REQUIREMENT).
_INTEGRATED = frozenset({(5, 3), (6, 2), (7, 2), (8, 7)})

_PUBLISHED = re.compile(r"^PYTORCH_RELEASES_CODE_CC\b[^=]*=\s*(\{.*?^\})", re.MULTILINE | re.DOTALL)


def find_torch() -> Path | None:
    """Folder of the installed torch package; None when there is none."""
    spec = find_spec("torch")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def read_build(folder: Path | None) -> TorchBuild | None:
    """Version, CUDA and ROCm from torch/version.py. None when the folder holds no torch."""
    if folder is None:
        return None
    try:
        tree = ast.parse((folder / "version.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    values = dict(_constants(tree))
    version = values.get("__version__")
    if not isinstance(version, str):
        return None
    cuda = values.get("cuda")
    rocm = values.get("hip")
    return TorchBuild(
        version=version,
        cuda=parse_cuda(cuda) if isinstance(cuda, str) else None,
        rocm=rocm if isinstance(rocm, str) else None,
        published_archs=_published_archs(folder, cuda) if isinstance(cuda, str) else (),
    )


def parse_cuda(text: str) -> tuple[int, int] | None:
    """`"12.8"` as (12, 8)."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def runs_on(archs: Iterable[str], capability: tuple[int, int]) -> bool | None:
    """Whether code for `archs` ("sm_80", "compute_90", …) runs on a GPU. None when nothing is known.

    Binary code runs on its own major version at the same or a higher minor; PTX ("compute_…") is compiled
    for anything newer. CUDA Programming Guide, "Compute Capabilities: Compatibility Guarantees".
    """
    known = [match for arch in archs if (match := re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", arch))]
    if not known:
        return None
    for kind, major, minor in (match.groups() for match in known):
        code = (int(major), int(minor))
        if kind == "compute":
            fits = code <= capability
        elif code in _INTEGRATED or capability in _INTEGRATED:
            fits = code == capability
        else:
            fits = code[0] == capability[0] and code[1] <= capability[1]
        if fits:
            return True
    return False


def install_line(capability: tuple[int, int] | None, cuda_driver: tuple[int, int] | None) -> str | None:
    """The pip line for a torch that this driver and this GPU can run; None when there is none.

    CUDA 13 needs a driver of its own major version and a GPU of capability 7.5 or newer; CUDA 12.6 is built
    for 5.0 to 9.0, and CUDA 12.8, last published with torch 2.11, also for Blackwell. PyTorch RELEASE.md,
    "PyTorch CUDA Support Matrix", 2.11 to 2.14; NVIDIA "CUDA Compatibility", minor version compatibility.
    """
    if cuda_driver is None or cuda_driver[0] < 12:
        return None
    newest = capability is None or capability >= (7, 5)
    if cuda_driver[0] >= 13 and newest:
        return pip_line("cu130")
    if capability is None or (5, 0) <= capability < (10, 0):
        return pip_line("cu126")
    return pip_line("cu128", "torch==2.11.*") if capability >= (10, 0) else None


def pip_line(wheels: str, torch: str = "torch") -> str:
    """Replace torch by a build from one of its own indexes. pip alone would say it is installed already."""
    requirement = f'"{torch}"' if torch != "torch" else torch
    return f"pip uninstall -y torch && pip install {requirement} --index-url {INDEX}/{wheels}"


def _constants(tree: ast.Module) -> Iterable[tuple[str, object]]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets: list[ast.expr] = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        if isinstance(statement.value, ast.Constant):
            yield from ((t.id, statement.value.value) for t in targets if isinstance(t, ast.Name))


def _published_archs(folder: Path, cuda: str) -> tuple[str, ...]:
    """Architectures of the published wheels for this CUDA, from the table that torch itself carries."""
    try:
        source = (folder / "cuda" / "__init__.py").read_text(encoding="utf-8")
        match = _PUBLISHED.search(source)
        table = ast.literal_eval(match[1]) if match else {}
        numbers = table[".".join(cuda.split(".")[:2])]["aarch64" if _on_arm() else "x86_64"]
        return tuple(f"sm_{number}" for number in sorted(numbers))
    except (OSError, ValueError, SyntaxError, LookupError, TypeError, AttributeError):
        return ()


def _on_arm() -> bool:
    return platform.machine().lower() == "aarch64"
