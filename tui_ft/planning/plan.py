"""The plan: every choice a run needs, with its reason and its cost. Plain values, as stored in plan.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tui_ft.recipe import MethodName, Objective

Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"]
Precision = Literal["bf16", "fp16", "fp32"]
Strategy = Literal["single", "ddp", "fsdp"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a value was chosen. `source` names where the rule comes from."""

    key: str  # recipe key, e.g. "method.rank"
    value: str
    why: str
    source: str = ""
    pinned: bool = False  # the user wrote it


@dataclass(frozen=True, slots=True)
class MethodPlan:
    """[method] with nothing left open."""

    name: MethodName
    objective: Objective
    rank: int  # 0 for full
    alpha: int
    dropout: float
    targets: str | tuple[str, ...]
    rslora: bool
    beta: float = 0.1  # of dpo, kto and orpo
    good_weight: float | None = None  # of kto; None weighs both kinds of answers alike
    bad_weight: float | None = None
    continue_from: str = ""  # folder of the adapter to go on from; "" starts a new one

    @property
    def preference(self) -> bool:
        """Learns from pairs or from verdicts."""
        return self.objective in ("dpo", "kto", "orpo")


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """[train] with nothing left open. Step counts are optimizer steps."""

    epochs: float
    learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    micro_batch: int
    grad_accum: int
    seq_len: int
    packing: bool
    gradient_checkpointing: bool
    optimizer: Optimizer
    precision: Precision
    loss_on: Literal["answers", "all"]
    max_grad_norm: float
    seed: int
    early_stopping: int
    eval_every: int
    save_every_minutes: float
    keep_checkpoints: int
    gpus: int = 1  # that train together; processes on a box without any
    strategy: Strategy = "single"  # how they share the work
    group_by_length: bool = False
    neftune_alpha: float = 0.0  # 0 is off

    @property
    def effective_batch(self) -> int:
        """Rows per update, over all GPUs."""
        return self.micro_batch * self.grad_accum * self.gpus


UNDECIDED = TrainPlan(
    epochs=1,
    learning_rate=0,
    schedule="cosine",
    warmup_steps=0,
    weight_decay=0,
    micro_batch=1,
    grad_accum=1,
    seq_len=0,
    packing=False,
    gradient_checkpointing=True,
    optimizer="adamw",
    precision="bf16",
    loss_on="answers",
    max_grad_norm=1,
    seed=42,
    early_stopping=0,
    eval_every=1,
    save_every_minutes=10,
    keep_checkpoints=2,
)
"""[train] before anything is settled, to be replaced field by field."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Peak memory in bytes, by part. `band` is the relative error either way."""

    weights: int
    adapters: int
    optimizer: int
    gradients: int
    activations: int
    loss_head: int
    context: int  # CUDA context or, on the CPU, the Python process with its libraries
    peak_bytes: int
    band: float
    peak_at: str  # where the peak occurs, in words
    assumptions: tuple[str, ...] = ()
    verified: bool = False  # counted on the real model, storage by storage; else by formula
    scored: float = 1.0  # share of a batch's tokens that are learned from, as it was counted

    @property
    def allocated_bytes(self) -> int:
        """The peak without the context: what torch itself allocates."""
        return self.peak_bytes - self.context

    def parts(self) -> dict[str, int]:
        """The parts by name; they add up to the peak."""
        return {
            "weights": self.weights,
            "adapters": self.adapters,
            "optimizer": self.optimizer,
            "gradients": self.gradients,
            "activations": self.activations,
            "loss head": self.loss_head,
            "context": self.context,
        }

    def to_json(self) -> dict[str, Any]:
        """As in `plan --json`."""
        return {
            "peak_bytes": self.peak_bytes,
            "allocated_bytes": self.allocated_bytes,
            "parts": self.parts(),
            "band": self.band,
            "peak_at": self.peak_at,
            "assumptions": list(self.assumptions),
            "verified": self.verified,
            "scored": self.scored,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> MemoryEstimate:
        """As `to_json` has written it."""
        parts = {name.replace(" ", "_"): value for name, value in document["parts"].items()}
        return cls(
            **parts,
            peak_bytes=document["peak_bytes"],
            band=document["band"],
            peak_at=document["peak_at"],
            assumptions=tuple(document["assumptions"]),
            verified=document.get("verified", False),
            scored=document.get("scored", 1.0),
        )


Fit = Literal["safe", "tight", "wont_fit", "unknown"]


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate with its ends."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FitPlan:
    """One way to train and what it needs in bytes: a row of `tui-ft fit`, an alternative to a plan."""

    method: MethodName
    rank: int
    seq: int
    micro_batch: int
    grad_accum: int
    gradient_checkpointing: bool
    optimizer: Optimizer
    precision: Precision
    peak_bytes: int
    need_bytes: int  # what should be free: overhead of the allocator and the band included
    parts: dict[str, int]
    band: float
    fits: Fit
    reasons: tuple[str, ...] = ()
    packing: bool = False
    strategy: Strategy = "single"  # how several GPUs share the work; bytes are those of one of them
    longest: int | None = None  # longest sequence that is safe, tokens; None was not looked for
    title: str = ""  # of an alternative: "safest", "fastest", "best quality", "full"
    changes: dict[str, Any] = field(default_factory=dict)  # what turns the recipe into this; None un-pins
    share_cut: float | None = None  # of the rows, which lose their end; None when lengths are unknown
    steps: int | None = None
    time_s: Range | None = None
    money: Range | None = None  # at the price that was given, else at typical ones
    verified: bool = False  # the memory was counted on the real model; else by formula

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> FitPlan:
        """As `dataclasses.asdict` has written it."""
        ranges = {key: Range(**document[key]) if document.get(key) else None for key in ("time_s", "money")}
        return cls(**{**document, **ranges, "reasons": tuple(document["reasons"])})


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the recipe that makes a plan safe."""

    changes: dict[str, Any]  # recipe key -> value, as `Recipe.with_values` takes them; None un-pins
    words: str  # what it does and what it costs
    peak_bytes: int  # then
    saves_bytes: int
    share_cut: float | None = None  # of the rows, then; None when lengths are unknown


@dataclass(frozen=True, slots=True)
class LargerGpu:
    """What a card with more memory would buy."""

    name: str
    memory_bytes: int
    price: Range | None  # dollars per hour, None when nobody gave one
    words: str
    plan: FitPlan

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LargerGpu:
        """As `dataclasses.asdict` has written it."""
        price = document["price"]
        plan = FitPlan.from_json(document["plan"])
        return cls(**{**document, "price": Range(**price) if price else None, "plan": plan})


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for an hour of the box."""

    low: float
    high: float
    typical: bool  # what such boxes cost by the catalogue; False: what the user said
    as_of: str = ""  # when typical prices were read


@dataclass(frozen=True, slots=True)
class Cost:
    """What one part of the work takes. None is unknown."""

    time_s: Range | None
    money: Range | None  # dollars, at the price of `Costs`

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Cost:
        """As `dataclasses.asdict` has written it."""
        time_s, money = document["time_s"], document["money"]
        return cls(Range(**time_s) if time_s else None, Range(**money) if money else None)


@dataclass(frozen=True, slots=True)
class Costs:
    """Time and money by part of the work, and the price they were computed at."""

    price: Price | None
    training: Cost  # loading and saving too, evaluations not
    evaluation: Cost  # all evaluations while training
    one_more_epoch: Cost  # with its evaluations
    final_evaluation: Cost  # base and tuned model answer the unseen rows
    export: Cost
    whole: Cost  # training, evaluations and final evaluation
    notes: tuple[str, ...] = ()  # what the figures rest on and leave out

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Costs:
        """As `dataclasses.asdict` has written it."""
        parts = {
            name: Cost.from_json(document[name])
            for name in ("training", "evaluation", "one_more_epoch", "final_evaluation", "export", "whole")
        }
        price = Price(**document["price"]) if document["price"] else None
        return cls(price=price, notes=tuple(document["notes"]), **parts)


@dataclass(frozen=True, slots=True)
class ManagedCost:
    """What a managed fine-tuning API would ask for the same tokens, in dollars."""

    provider: str
    low: float
    high: float
    as_of: str  # when the price was read
    source: str


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """What the run takes on one file system, in bytes."""

    path: str  # of the file system; "" when unknown
    uses: tuple[str, ...]  # "runs", "model cache"
    needed_bytes: int
    free_bytes: int | None
    parts: dict[str, int]  # "download", "checkpoints", "adapter", "merged", "gguf", "prepared data"

    @property
    def enough(self) -> bool:
        """There is room, as far as is known."""
        return self.free_bytes is None or self.needed_bytes <= self.free_bytes

    def to_json(self) -> dict[str, Any]:
        """An entry of `disk.mounts`."""
        return {**asdict(self), "enough": self.enough}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DiskNeed:
        """As `to_json` has written it."""
        values = {key: value for key, value in document.items() if key != "enough"}
        return cls(**{**values, "uses": tuple(document["uses"])})


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, fully decided."""

    name: str
    model_id: str
    model_folder: str  # "" when the weights still have to be fetched
    device: Literal["cuda", "cpu"]
    device_name: str
    method: MethodPlan
    train: TrainPlan
    rows_train: int
    rows_validation: int
    rows_test: int
    steps: int  # optimizer steps of the whole run
    tokens: int  # tokens the model sees, all epochs
    memory: MemoryEstimate
    memory_available_bytes: int | None
    fits: Fit
    time_s: Range | None  # None when there is no measured basis for an estimate
    money: Range | None  # None without a price
    disk_bytes: int
    disk_free_bytes: int | None
    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...] = ()
    time_basis: str = ""  # what the time rests on, or why there is none
    alternatives: tuple[FitPlan, ...] = ()  # up to three other sensible ways
    relief: tuple[Step, ...] = ()  # what would make it safe, cheapest first; () when it is
    larger: LargerGpu | None = None
    on_gpu: MemoryEstimate | None = None  # for a plan on a processor: the same settings on a GPU
    several: tuple[FitPlan, ...] = ()  # what each GPU of the box would hold if all trained, by strategy
    costs: Costs | None = None  # by part; `money` above only counts with a price of the user's
    managed: tuple[ManagedCost, ...] = ()  # the same tokens at a managed API
    disks: tuple[DiskNeed, ...] = ()  # per file system; `disk_bytes` above is where runs are kept

    def to_json(self) -> dict[str, Any]:
        """plan.json and `tui-ft plan --json`."""
        document = asdict(self)
        del document["memory"]
        available = document.pop("memory_available_bytes")
        fits = document.pop("fits")
        time_s, money = document.pop("time_s"), document.pop("money")
        disk, free = document.pop("disk_bytes"), document.pop("disk_free_bytes")
        del document["disks"]
        return {
            **document,
            "memory": {
                **self.memory.to_json(),
                "fits": fits,
                "available_bytes": available,
            },
            "on_gpu": self.on_gpu.to_json() if self.on_gpu is not None else None,
            "time": None if time_s is None else {"low_s": time_s["low"], "high_s": time_s["high"]},
            "money": money,
            "disk": {
                "needed_bytes": disk,
                "free_bytes": free,
                "mounts": [need.to_json() for need in self.disks],
            },
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """The plan as it was written by `to_json`. Raises KeyError or TypeError when it is another shape."""
        rest = dict(document)
        memory, disk = rest.pop("memory"), rest.pop("disk")
        time_s, money = rest.pop("time"), rest.pop("money")
        on_gpu = rest.pop("on_gpu", None)
        targets = rest["method"]["targets"]
        return cls(
            **{
                **rest,
                "method": MethodPlan(
                    **{**rest["method"], "targets": targets if isinstance(targets, str) else tuple(targets)}
                ),
                "train": TrainPlan(**rest["train"]),
                "reasons": tuple(Reason(**reason) for reason in rest["reasons"]),
                "warnings": tuple(rest["warnings"]),
                "alternatives": tuple(map(FitPlan.from_json, rest["alternatives"])),
                "relief": tuple(Step(**step) for step in rest.get("relief", ())),
                "several": tuple(map(FitPlan.from_json, rest.get("several", ()))),
                "larger": LargerGpu.from_json(rest["larger"]) if rest.get("larger") else None,
                "costs": Costs.from_json(rest["costs"]) if rest.get("costs") else None,
                "managed": tuple(ManagedCost(**offer) for offer in rest.get("managed", ())),
            },
            memory=MemoryEstimate.from_json(memory),
            on_gpu=None if on_gpu is None else MemoryEstimate.from_json(on_gpu),
            memory_available_bytes=memory["available_bytes"],
            fits=memory["fits"],
            time_s=None if time_s is None else Range(time_s["low_s"], time_s["high_s"]),
            money=None if money is None else Range(**money),
            disk_bytes=disk["needed_bytes"],
            disk_free_bytes=disk["free_bytes"],
            disks=tuple(map(DiskNeed.from_json, disk.get("mounts", ()))),
        )
