"""Try out PyTorch and bitsandbytes for real. Run as a child process only: `python -m tui_ft.hardware.probe`.

Prints one JSON object on stdout (read by `probing.parse`). What is being tried is announced on stderr first,
so that the parent can name it when a native library takes the whole process down. Arguments: parts to leave
out, as announced.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch

_SIDE = 64  # two matrices of 64 × 64: enough to load and launch a real kernel
_NF4_ERROR = 0.2  # mean relative error of a 4-bit product; about 0.08 for random weights


def main() -> None:
    """Try everything that is not left out, then print what was found."""
    skipped = frozenset(sys.argv[1:])
    # Libraries print to stdout when they are imported; it is kept for the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        available = torch.cuda.is_available() if _announce("cuda", skipped) else False
    devices = ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))] if available else ["cpu"]
    found = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "archs": torch.cuda.get_arch_list(),
        "available": available,
        "why": " ".join(str(warning.message) for warning in warned) if not available else "",
        "devices": [_try_device(name, skipped) for name in devices],
    }
    print(json.dumps(found), file=answer, flush=True)


def _try_device(name: str, skipped: frozenset[str]) -> dict[str, Any]:
    tests: dict[str, Callable[[str], None]] = {"matmul": _matmul, "bf16": _bf16, "nf4": _nf4}
    results = {
        part: _result(test, name) for part, test in tests.items() if _announce(f"{part} {name}", skipped)
    }
    return {"device": name, **_identity(name), "results": results}


def _announce(part: str, skipped: frozenset[str]) -> bool:
    if part in skipped:
        return False
    print(f"trying: {part}", file=sys.stderr, flush=True)
    return True


def _identity(name: str) -> dict[str, Any]:
    if name == "cpu":
        return {"uuid": "", "capability": None}
    properties = torch.cuda.get_device_properties(name)
    uuid = getattr(properties, "uuid", "")
    return {"uuid": str(uuid), "capability": [properties.major, properties.minor]}


def _result(test: Callable[[str], None], name: str) -> str:
    """Empty when the test passed, else what went wrong."""
    try:
        test(name)
    except Exception as error:  # whatever a library raises is the finding
        return f"{type(error).__name__}: {error}"
    return ""


def _matmul(name: str) -> None:
    a, b = torch.randn(2, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    product = (a.to(name) @ b.to(name)).cpu()
    # TF32 may be on: 10 bits of mantissa.
    if not torch.allclose(product, a @ b, rtol=1e-2, atol=1e-1):
        raise ArithmeticError("a matrix product came out wrong")


def _bf16(name: str) -> None:
    a, b = torch.randn(2, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    product = (a.to(name, torch.bfloat16) @ b.to(name, torch.bfloat16)).float().cpu()
    if not torch.allclose(product, a @ b, rtol=5e-2, atol=5e-1):
        raise ArithmeticError("a bf16 matrix product came out wrong")


def _nf4(name: str) -> None:
    """Quantise to 4 bits and multiply, as QLoRA does."""
    from bitsandbytes import matmul_4bit  # type: ignore[attr-defined]
    from bitsandbytes.functional import quantize_4bit

    weights, inputs = torch.randn(2, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    packed, state = quantize_4bit(weights.to(name), quant_type="nf4", blocksize=_SIDE)
    product = matmul_4bit(inputs.to(name), packed.t(), quant_state=state).float().cpu()
    exact = inputs @ weights.t()
    if not (product - exact).abs().mean() <= _NF4_ERROR * exact.abs().mean():
        raise ArithmeticError("a 4-bit matrix product came out wrong")


if __name__ == "__main__":
    main()
