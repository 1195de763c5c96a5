"""A book of every storage that is alive, kept while real code runs on fake tensors."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tui_ft.planning.tracing.workspaces import answer, scratch

_ROUNDING = 512  # bytes: torch's CUDA allocator hands out nothing smaller

Moment = tuple[str, int]
"""What a step is doing, and in which layer: ("backward", 3). Parts without layers have layer 0."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The most bytes alive during one moment, by part."""

    total: int = 0
    parts: Mapping[str, int] = field(default_factory=dict)


class Ledger(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes of all storages made under it, and remembers the peak of each moment.

    New storages belong to `part`; `moment` says what is going on. `scored` is the number of positions
    that a boolean mask selects, which fake tensors cannot know.
    """

    def __init__(self, *, scored: int) -> None:
        super().__init__()
        self.part = "weights"
        self.moment: Moment = ("build", 0)
        self.peaks: dict[Moment, Peak] = {}
        self._scored = scored
        self._total = 0
        self._parts: Counter[str] = Counter()
        self._alive: dict[int, tuple[weakref.ref[Any], int, str]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation; its outputs come into the book, and what a GPU kernel needs on the side."""
        name = func.name()
        aside = scratch(name, args)
        if aside:
            self._add(aside, self.part)
        out = answer(name, args, self._scored)
        if out is None:
            out = func(*args, **(kwargs or {}))
        self._record(out)
        if aside:
            self._add(-aside, self.part)
        return out

    def reset(self) -> None:
        """Forget the peaks so far; what is alive stays in the book."""
        self.peaks.clear()

    def move(self, tensor: torch.Tensor, part: str) -> None:
        """Book a storage under another part."""
        key = tensor.untyped_storage()._cdata
        known = self._alive.get(key)
        if known is not None:
            reference, size, old = known
            self._alive[key] = (reference, size, part)
            self._parts[old] -= size
            self._parts[part] += size

    def bytes_of(self, part: str) -> int:
        """Bytes alive that belong to a part."""
        return self._parts[part]

    def _record(self, out: Any) -> None:
        if isinstance(out, torch.Tensor):
            self._enter(out)
        elif isinstance(out, (tuple, list)):
            for one in out:
                self._record(one)

    def _enter(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or not size:
            return
        size = -(-size // _ROUNDING) * _ROUNDING
        self._alive[key] = (weakref.ref(storage, partial(self._leave, key)), size, self.part)
        self._add(size, self.part)

    def _leave(self, key: int, _: Any) -> None:
        _, size, part = self._alive.pop(key)
        self._total -= size
        self._parts[part] -= size

    def _add(self, size: int, part: str) -> None:
        self._total += size
        self._parts[part] += size
        peak = self.peaks.get(self.moment)
        if peak is None or self._total > peak.total:
            self.peaks[self.moment] = Peak(self._total, dict(self._parts))
