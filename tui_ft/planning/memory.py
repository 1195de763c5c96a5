"""How much memory a step needs at its peak: a closed formula, by part, in well under a millisecond.

The peak is the largest of a few moments of a step. Weights, adapters and optimizer states are there at
each of them; what comes on top is compared. How good the figures are: docs/planning.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tui_ft.models.facts import Dims
from tui_ft.planning import anatomy, shards
from tui_ft.planning.activations import Computation, backward_extra, loss_head, numbers, saved_per_layer
from tui_ft.planning.anatomy import Family, Parameters
from tui_ft.planning.plan import Fit, MemoryEstimate, MethodPlan, Strategy, TrainPlan
from tui_ft.planning.shards import Held
from tui_ft.text import count

Device = Literal["cuda", "cpu"]

CUDA_CONTEXT = 600_000_000  # bytes of the driver's context and kernels, outside the allocator
PYTHON_ON_CPU = 600_000_000  # bytes of a worker that has loaded torch, transformers, trl and peft; measured
# Share of what all layers save that glibc (2.36) keeps in pieces too small to be used again, whether it is
# saved or recomputed: 0 to 0.4 in seven runs of SmolLM2, see docs/training.md.
PIECES_ON_CPU = 0.3
CUBLAS_WORKSPACE = 8 << 20
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)  # per weight, with double quantisation (bitsandbytes)
EIGHT_BIT_STATES = 2 + 2 * 4 / 256  # per weight, both moments of 8-bit Adam (bitsandbytes)

SMALLEST_8BIT, SMALLEST_PAGED = 4096, 100_000  # weights of a tensor (bitsandbytes)

# torch's allocator holds more than is in use: at least 3 %, on an A100 usually up to 10 %.
ALLOCATOR_LEAST, ALLOCATOR_USUAL = 1.03, 1.10


def estimate(
    dims: Dims,
    parameters: int | None,
    method: MethodPlan,
    train: TrainPlan,
    *,
    device: Device,
    model_type: str = "llama",
    scored: float = 1.0,
    guessed_dims: bool = False,
    gpus: int = 1,
    strategy: Strategy = "ddp",
) -> MemoryEstimate:
    """Peak memory of one training step on one device in bytes, by part.

    `parameters` is the exact count if known; `scored` the largest share of a batch's tokens that are learned
    from; `guessed_dims` says that the sizes were not read from a config; with several `gpus` the figures
    are those of one of them, see `shards`. On `cuda` the peak is what
    torch allocates plus the CUDA context; on `cpu` it is the resident memory of the worker process.
    """
    kind = anatomy.family(model_type)
    weights = anatomy.count(dims, kind, parameters)
    step = _Step.of(dims, kind, weights, method, train, device, scored)
    trained = step.trained * step.how.numbers.trained
    held = Held(
        weights=_weight_bytes(weights, method, step.how),
        adapters=0 if method.name == "full" else trained,
        optimizer=_states(train.optimizer, step.tensors, step.how.numbers.trained),
    )
    if gpus > 1 and strategy == "fsdp":
        held = shards.sharded(held, dims, weights, method, step.how.numbers, gpus)
    elif gpus > 1:
        held = shards.copied(held, trained)
    peak = max(step.moments(held.share), key=lambda moment: moment.total)
    parts = {
        "weights": round(held.weights),
        "adapters": round(held.adapters),
        "optimizer": round(held.optimizer),
        "gradients": round(peak.gradients + held.exchange),
        "activations": round(peak.activations + (CUBLAS_WORKSPACE if device == "cuda" else step.pieces)),
        "loss_head": round(peak.head),
        "context": CUDA_CONTEXT if device == "cuda" else PYTHON_ON_CPU,
    }
    return MemoryEstimate(
        **parts,
        peak_bytes=sum(parts.values()),
        band=max(_band(dims, kind, method, train, device, guessed_dims), held.band),
        peak_at=peak.name,
        assumptions=tuple(_assumptions(dims, kind, method, train, device, guessed_dims)),
        verified=False,
        scored=scored,
    )


def judge(memory: MemoryEstimate, available_bytes: int | None, device: Device) -> Fit:
    """Whether an estimate fits into what is free, with the allocator's overhead and the error band.

    safe: fits even at the usual overhead and the upper end of the band. tight: fits at the least overhead.
    """
    if available_bytes is None:
        return "unknown"
    low, high = need(memory, device)
    if high <= available_bytes:
        return "safe"
    return "tight" if low <= available_bytes else "wont_fit"


def need(memory: MemoryEstimate, device: Device) -> tuple[int, int]:
    """Least and most bytes that must be free for this to run: allocator overhead and band included."""
    least, usual = (ALLOCATOR_LEAST, ALLOCATOR_USUAL) if device == "cuda" else (1.0, 1.0)
    low = memory.allocated_bytes * least
    high = memory.allocated_bytes * max(usual, 1 + memory.band)
    return round(low + memory.context), round(high + memory.context)


def adapter_weights(dims: Dims, kind: Family, method: MethodPlan) -> int:
    """Trained weights of the adapters of all layers; DoRA adds a magnitude per output."""
    return dims.layers * sum(_tensors(dims, kind, method))


def _tensors(dims: Dims, kind: Family, method: MethodPlan) -> list[int]:
    return anatomy.adapter_tensors(dims, kind, method.targets, method.rank, magnitudes=method.name == "dora")


@dataclass(frozen=True, slots=True)
class _Moment:
    """Bytes alive at one moment of a step besides weights, adapters and optimizer states."""

    name: str
    gradients: float
    activations: float
    head: float = 0

    @property
    def total(self) -> float:
        return self.gradients + self.activations + self.head


@dataclass(frozen=True, slots=True)
class _Step:
    """One forward and backward of a micro-batch of `tokens`, described in bytes."""

    dims: Dims
    kind: Family
    weights: Parameters
    how: Computation
    train: TrainPlan
    tokens: int
    scored_tokens: int
    trained: int  # weights that get a gradient
    tensors: Mapping[int, int]  # the same as size of a tensor → how many of them
    expert_copies: float  # bytes of experts' weights that a layer sums up with their adapters

    @classmethod
    def of(
        cls,
        dims: Dims,
        kind: Family,
        weights: Parameters,
        method: MethodPlan,
        train: TrainPlan,
        device: Device,
        scored: float,
    ) -> _Step:
        pair = 2 if method.objective in ("dpo", "orpo") else 1  # chosen and rejected in one batch
        tokens = train.seq_len * train.micro_batch * pair
        rows_in_matrix = (
            train.micro_batch * pair if train.packing else 1
        )  # packing without padding is one long row
        how = Computation(
            method=method.name,
            numbers=numbers(method.name, train.precision),
            adapted=anatomy.adapted(dims, kind, method.targets) if method.name != "full" else (),
            rank=method.rank,
            dropout=method.dropout,
            row_tokens=train.seq_len * rows_in_matrix,
            masked=train.packing or train.micro_batch * pair > 1 or _windowed(dims, train),
            device=device,
        )
        if method.name == "full":
            rest = weights.other // max(1, dims.layers * 2)
            tensors = {weights.total - weights.other: 1, rest: weights.other // max(1, rest)}
            trained = weights.total
        else:
            sizes = _tensors(dims, kind, method)
            tensors = {size: dims.layers * times for size, times in Counter(sizes).items()}
            trained = dims.layers * sum(sizes)
        experts = 0.0
        if method.name != "full" and anatomy.adapts_experts(dims, kind, method.targets):
            experts = weights.experts / dims.layers * how.numbers.weights
        return cls(
            dims,
            kind,
            weights,
            how,
            train,
            tokens,
            max(1, round(tokens * scored)),
            trained,
            tensors,
            experts,
        )

    def moments(self, share: float = 1.0) -> list[_Moment]:
        """The moments at which the peak can be, with the share of the gradients that stays on this device."""
        moments = (
            self._with_checkpoints() if self.train.gradient_checkpointing else self._without_checkpoints()
        )
        if self.how.method == "full":
            every = self._gradients
            moments.append(_Moment("optimizer step", every, 0))
            if self.dims.tied:  # the embedding's gradient is added to the head's in a new tensor
                embedding = 2 * self.weights.embedding * self.how.numbers.trained
                moments.append(_Moment("gradient of the embedding", every, embedding + self._stream))
        return [replace(moment, gradients=moment.gradients * share) for moment in moments]

    def _with_checkpoints(self) -> list[_Moment]:
        checkpoints = self.dims.layers * self._stream + self._mask
        layer = self._layer + self._backward
        return [
            _Moment("loss", self._accumulated, checkpoints, self._head),
            _Moment(
                "backward of the last layer", max(self._accumulated, self._head_gradient), checkpoints + layer
            ),
            self._ending,
        ]

    def _without_checkpoints(self) -> list[_Moment]:
        saved = self.dims.layers * self._layer + self._mask
        if self.how.copies_inputs:
            saved += 2 * self.trained  # autocast keeps 16-bit copies of all adapters until the loss is there
        if (
            self.how.method != "full" and self.kind.pre_norm
        ):  # nothing before the first adapter needs a gradient
            saved -= 4 * self.dims.hidden * self.tokens
        return [
            _Moment("loss", self._accumulated, saved, self._head),
            _Moment(
                "backward of the last layer",
                max(self._accumulated, self._head_gradient),
                saved + self._backward,
            ),
            _Moment("forward of the last layer", self._accumulated, saved + self._spike),
            self._ending,
        ]

    @property
    def _ending(self) -> _Moment:
        """The first layer's backward, when nearly all gradients exist."""
        name = "backward of the first layer"
        if self.how.method != "full":
            return _Moment(name, self._gradients, self._stream + self._mask + self._layer + self._backward)
        formats = self.how.numbers
        alive = self._layer + 2 * self._stream + 2 * formats.compute * self.dims.intermediate * self.tokens
        gradients = self._gradients
        if (
            not self._accumulated
        ):  # those of this layer and of an untied embedding are yet to come, but for one matrix
            layer = (self.weights.linear + self.weights.experts) / self.dims.layers + 2 * self.dims.hidden
            embedding = 0 if self.dims.tied else self.weights.embedding
            gradients -= (layer + embedding - self.dims.hidden * self.dims.intermediate) * formats.trained
        return _Moment(name, gradients, alive + self._mask)

    @property
    def _accumulated(self) -> float:
        """Gradients that stay from one micro-batch to the next."""
        return self._gradients if self.train.grad_accum > 1 else 0

    @property
    def _head_gradient(self) -> float:
        return self.weights.embedding * self.how.numbers.trained if self.how.method == "full" else 0

    @property
    def _gradients(self) -> float:
        return self.trained * self.how.numbers.trained

    @property
    def _stream(self) -> float:
        """The hidden states between two layers."""
        return (
            max(self.how.numbers.compute, 4 if self.how.numbers.weights == 4 else 2)
            * self.dims.hidden
            * self.tokens
        )

    @property
    def _layer(self) -> float:
        return saved_per_layer(self.dims, self.kind, self.how) * self.tokens + self.expert_copies

    @property
    def pieces(self) -> float:
        """What the allocator of the processor keeps besides what is in use."""
        return PIECES_ON_CPU * self.dims.layers * self._layer

    @property
    def _mask(self) -> float:
        return self.tokens * self.how.row_tokens if self.how.masked else 0

    @property
    def _backward(self) -> float:
        extra = backward_extra(self.dims, self.kind, self.how, self.tokens)
        if self.how.copies_inputs:  # autocast keeps 16-bit copies of one layer's adapters
            extra += 2 * self.trained / self.dims.layers
        if self.expert_copies:  # the gradient of one of three stacks
            extra += self.expert_copies / 3
        return max(extra, self._spike)

    @property
    def _spike(self) -> float:
        """What DoRA needs to compute the norm of one weight: a unit matrix and the adapter's product.

        peft/tuners/lora/dora.py; autocast makes a 16-bit copy of the unit matrix.
        """
        if self.how.method != "dora":
            return 0
        e = self.how.numbers.compute
        unit = 4 + (e if self.how.numbers.autocast else 0)
        return max(unit * m.inputs**2 + e * m.size for m in self.how.adapted)

    @property
    def _head(self) -> float:
        return loss_head(self.dims, self.how, self.tokens, self.scored_tokens)


def _weight_bytes(weights: Parameters, method: MethodPlan, how: Computation) -> float:
    if method.name == "qlora":
        return weights.linear * NF4_BYTES + (weights.total - weights.linear) * how.numbers.weights
    reference = 2 if method.name == "full" and method.objective in ("dpo", "kto") else 1
    return weights.total * how.numbers.weights * reference


def _windowed(dims: Dims, train: TrainPlan) -> bool:
    """Rows are longer than the attention window, which then needs a mask of its own."""
    return dims.sliding_window is not None and train.seq_len >= dims.sliding_window


def _states(optimizer: str, tensors: Mapping[int, int], trained: int) -> float:
    """Bytes of optimizer states that stay on the device; `trained` is the bytes of one trained number.

    bitsandbytes/optim/optimizer.py: small tensors have fp32 states in the 8-bit optimizers, and paged
    optimizers keep the states of small tensors, and all scales, where they are.
    """
    if optimizer == "adamw":
        return 2.0 * trained * sum(size * times for size, times in tensors.items())
    states = 0.0
    for size, times in tensors.items():
        eight = "8bit" in optimizer and size >= SMALLEST_8BIT
        each = EIGHT_BIT_STATES if eight else 8.0
        if optimizer.startswith("paged") and size >= SMALLEST_PAGED:
            each = EIGHT_BIT_STATES - 2 if eight else 0.0
        states += each * size * times
    return states


def _band(
    dims: Dims, kind: Family, method: MethodPlan, train: TrainPlan, device: Device, guessed_dims: bool
) -> float:
    """Relative error either way. See docs/planning.md for where each figure comes from."""
    if guessed_dims:
        return 0.4
    if device == "cpu":
        return 0.25
    band = 0.05 if kind.known and not dims.approximate else 0.15
    if dims.experts or kind.eager or method.name == "dora" or train.precision != "bf16":
        band = max(band, 0.10)
    if method.objective in ("dpo", "kto", "orpo"):
        band = max(band, 0.15)
    return band


def _assumptions(
    dims: Dims, kind: Family, method: MethodPlan, train: TrainPlan, device: Device, guessed_dims: bool
) -> list[str]:
    said = [f"a batch of {count(train.micro_batch, 'row')}, each {train.seq_len:,} tokens long"]
    if guessed_dims:
        said.append("layer sizes guessed from the number of parameters")
    elif dims.approximate or not kind.known:
        said.append("an architecture we have not traced, treated like Llama")
    if train.optimizer.startswith("paged"):
        said.append("optimizer states of large matrices paged out to main memory")
    if method.name == "qlora" and dims.experts:
        said.append("experts stay in 16 bits: bitsandbytes quantises linear layers only")
    if kind.eager:
        said.append("this architecture keeps its attention scores, which grow with the square of the length")
    elif train.packing or train.micro_batch > 1:
        said.append("PyTorch attention with a mask, no FlashAttention")
    if device == "cpu":
        said.append("resident memory of the worker process; the system's file cache not counted")
    return said
