"""The states of the optimizers as they lie on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch

_SMALLEST_8BIT = 4096  # weights; smaller tensors keep fp32 states (bitsandbytes, min_8bit_size)
_SMALLEST_PAGED = 100_000  # weights; smaller tensors stay on the GPU (bitsandbytes, get_state_buffer)
_BLOCK = 256


class Optimizer:
    """AdamW of torch, or of bitsandbytes with 8-bit or paged states. Its updates work in place."""

    def __init__(self, parameters: Sequence[torch.Tensor], name: str, device: str) -> None:
        self.parameters = parameters
        self._name = name
        self._paged = name.startswith("paged") and device == "cuda"
        self._states: list[torch.Tensor] = []

    def step(self) -> None:
        """Update in place; the first step makes the states."""
        if not self._states:
            self.make_states()

    def make_states(self) -> None:
        """What the first step leaves behind."""
        self._states = [state for parameter in self.parameters for state in self._made_for(parameter)]

    def zero_grad(self) -> None:
        """Let go of all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def _made_for(self, parameter: torch.Tensor) -> list[torch.Tensor]:
        if self._name == "adamw":
            return [torch.empty_like(parameter), torch.empty_like(parameter)]
        size = parameter.numel()
        eight = "8bit" in self._name and size >= _SMALLEST_8BIT
        dtype = torch.uint8 if eight else torch.float32
        scales = [torch.empty(-(-size // _BLOCK)) for _ in range(2)] if eight else []
        if self._paged and size >= _SMALLEST_PAGED:
            return scales
        return [*(torch.empty_like(parameter, dtype=dtype) for _ in range(2)), *scales]
