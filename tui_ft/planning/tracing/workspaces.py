"""What CUDA kernels need beside their outputs, and answers that fake tensors cannot give.

The tracing runs on fake CPU tensors. Three kernels behave differently on a GPU: attention (FlashAttention 2's
backward), 4-bit products (bitsandbytes makes the 16-bit weight for a moment), and selection by a mask.
"""

from __future__ import annotations

from typing import Any

import torch

_NF4_BLOCK = 64


def scratch(name: str, args: tuple[Any, ...]) -> int:
    """Bytes that the CUDA kernel of an operation holds while it runs."""
    if name.startswith("aten::_scaled_dot_product_flash_attention_for_cpu_backward"):
        return _attention_backward(args[1], args[2])
    if name.startswith("bitsandbytes::gemm_4bit"):
        # bitsandbytes/backends/cuda/ops.py: the weight is dequantised, then multiplied, for all but few rows.
        inputs, shape = args[0], args[2]
        size = shape[0] * shape[1]
        return int(size * inputs.element_size() + size // _NF4_BLOCK * 4)
    return 0


def _attention_backward(query: torch.Tensor, key: torch.Tensor) -> int:
    """FlashAttention 2, mha_bwd: fp32 sums for dq, softmax_d, and dk and dv of all heads when they share."""
    rows, heads, length, width = query.shape
    padded = -(-length // 128) * 128
    sums: int = rows * heads * padded * (-(-width // 32) * 32) * 4
    shared: int = 2 * query.numel() * query.element_size() if key.shape[1] != heads else 0
    return int(sums + rows * heads * padded * 4 + shared)


def answer(name: str, args: tuple[Any, ...], scored: int) -> torch.Tensor | None:
    """The result of selecting by a boolean mask: `scored` rows. None for all other operations."""
    if name != "aten::index.Tensor":
        return None
    tensor, indices = args
    if len(indices) != 1 or indices[0] is None or indices[0].dtype != torch.bool:
        return None
    kept: torch.Tensor = tensor.new_empty((scored, *tensor.shape[indices[0].dim() :]))
    return kept
