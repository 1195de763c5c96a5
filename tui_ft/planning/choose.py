"""The rules: one function per setting, each with its reason and where the rule comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from tui_ft.planning.batches import Spread
from tui_ft.planning.box import Box
from tui_ft.planning.plan import Optimizer, Precision
from tui_ft.recipe import MethodName, Objective
from tui_ft.text import count, parameters, percent

Value = TypeVar("Value")

GUIDES = "fine-tuning guides"
REGRET = "Thinking Machines, LoRA Without Regret"
QLORA = "QLoRA repository"
TOOLS = "defaults of other tools"
FORMULA = "memory formula"
OWN = "tui-ft"

LENGTH_STEP = 64  # sequence lengths are multiples of this
USUAL_LENGTH = 2048
PACKED_LENGTH = 2048  # shorter packed sequences leave a GPU idle


@dataclass(frozen=True, slots=True)
class Choice(Generic[Value]):
    """A value with its reason."""

    value: Value
    why: str
    source: str = OWN


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be learned, as the rules see it."""

    objective: Objective
    rows: int  # trained on
    answers: Literal["json", "label", "short", "long", "none"]
    parameters: int
    context_length: int | None
    lengths: Spread  # of all rows; empty when unknown
    plain_text: bool  # rows without an answer to tell apart

    @property
    def preference(self) -> bool:
        """Learns from pairs or from thumbs up and down."""
        return self.objective in ("dpo", "kto", "orpo")


def objective(job: Job) -> Choice[Objective]:
    """The recipe's; nothing is guessed here."""
    words: dict[Objective, str] = {
        "sft": "learns to answer as the rows do",
        "cpt": "goes on reading plain text",
        "dpo": "learns from pairs of a better and a worse answer",
        "kto": "learns from answers marked good or bad",
        "orpo": "learns answers and preferences at once",
    }
    return Choice(job.objective, words[job.objective])


def rank(job: Job, method: MethodName | None) -> Choice[int]:
    """By how much there is to learn: rows and kind of task."""
    rows = count(job.rows, "row")
    if method == "full":
        return Choice(0, "full training has no adapter")
    if job.objective == "cpt":
        return Choice(32 if job.rows < 1_000 else 64, f"{rows} of new text; knowledge needs room", TOOLS)
    if job.preference:
        return Choice(16, "preferences change little", TOOLS)
    if job.rows > 100_000:
        return Choice(
            128 if job.answers == "long" else 64, f"{rows} hold more than a small adapter can", REGRET
        )
    if job.rows > 10_000:
        return Choice(32, f"{rows}; 64 above 100,000", GUIDES)
    if job.answers == "label" and job.rows < 1_000:
        return Choice(8, f"{rows} of short labels, a simple task", GUIDES)
    kind = {
        "json": "format task",
        "label": "labels",
        "short": "short answers",
        "long": "long answers",
        "none": "text",
    }
    return Choice(16, f"{rows}, {kind[job.answers]}; 32 above 10,000 rows", GUIDES)


def ranks(wanted: int, *, last: bool) -> list[int]:
    """Ranks to try, best first: half the wanted one, or down to 8 where no other method is left."""
    least = 8 if last else max(8, wanted // 2)
    tried = [wanted >> halved for halved in range(wanted.bit_length())]
    return [wanted, *(rank for rank in tried[1:] if rank >= least)]


def alpha(rank: int) -> Choice[int]:
    """Twice the rank."""
    return Choice(
        2 * rank, "twice the rank" if rank else "full training has no adapter", GUIDES if rank else OWN
    )


def dropout(job: Job, method: MethodName) -> Choice[float]:
    """Only where overfitting is near."""
    if method == "full":
        return Choice(0.0, "full training has no adapter")
    if job.preference:
        return Choice(0.0, "answers are compared with a model that drops nothing", "trl")
    if job.rows < 1_000:
        return Choice(0.05, f"{count(job.rows, 'row')}: helps against overfitting below 1,000", GUIDES)
    return Choice(0.0, "enough rows; it would only cost memory", TOOLS)


def learning_rate(job: Job, method: MethodName) -> Choice[float]:
    """By method and size. Training every weight takes a tenth of an adapter's rate."""
    full = method == "full"
    if job.preference:
        return Choice(5e-7 if full else 5e-6, "preference training needs small steps", TOOLS)
    if job.objective == "cpt":
        return Choice(1e-5 if full else 1e-4, "usual for plain text", TOOLS)
    size = parameters(job.parameters)
    if job.parameters < 1_000_000_000:
        adapter, why, source = 5e-4, f"{size}: small models take larger steps", REGRET
    elif job.parameters <= 13_000_000_000:
        adapter, why, source = 2e-4, "usual for adapters up to 13B", GUIDES
    else:
        adapter, why, source = 1e-4, f"{size}: half the usual above 13B", QLORA
    if full:
        return Choice(adapter / 10, "a tenth of what adapters take", REGRET)
    return Choice(adapter, why, source)


def beta(job: Job) -> Choice[float]:
    """One value for all three: nobody ships another."""
    return Choice(0.1, f"usual for {job.objective}", TOOLS)


def epochs(job: Job) -> Choice[float]:
    """Fewer passes over more rows."""
    rows = count(job.rows, "row")
    if job.preference or job.objective == "cpt":
        return Choice(1.0, "one pass is usual here", TOOLS)
    if job.rows < 1_000:
        return Choice(3.0, f"{rows}; the best checkpoint is kept", GUIDES)
    if job.rows <= 10_000:
        return Choice(2.0, f"{rows}; more passes forget more", GUIDES)
    return Choice(1.0, f"{rows} are enough to see once", GUIDES)


def effective_batch(job: Job) -> Choice[int]:
    """Rows per update, never more than there are."""
    if job.rows < 500:
        wanted, why, source = 8, "few rows: smaller updates, more of them", GUIDES
    elif job.rows <= 100_000:
        wanted, why, source = 16, "usual for adapters", GUIDES
    else:
        wanted, why, source = 32, "many rows; adapters do worse above 32", REGRET
    return Choice(max(1, min(wanted, job.rows)), why, source)


def precision(box: Box, method: MethodName) -> Choice[Precision]:
    """By what the device computes natively."""
    if box.device == "cpu":
        if method == "full":
            return Choice("fp32", "every weight is trained: small updates would round away in 16 bits")
        if box.cpu_bf16:
            return Choice("bf16", "this processor computes it about twice as fast as fp32", "measured")
        return Choice("fp32", "this processor has no fast bf16")
    if box.capability is None:
        return Choice("bf16", "the GPU does not tell its capability; every card since 2020 can")
    text = ".".join(map(str, box.capability))
    if box.bf16:
        return Choice("bf16", f"compute capability {text}: native", "NVIDIA")
    return Choice("fp16", f"compute capability {text}: bf16 needs 8.0", "NVIDIA")


def loss_on(job: Job) -> Choice[Literal["answers", "all"]]:
    """Answers, where there are any to tell apart."""
    if job.plain_text:
        return Choice("all", "plain text has no answers to tell apart")
    return Choice("answers", "questions need not be learned", GUIDES)


def lengths(job: Job, box: Box, *, packed: bool) -> list[Choice[int]]:
    """Lengths to try, best first: the longest row whole, then what 99 and 95 % of the rows need.

    A few rows far longer than the rest don't set the length: above twice the 99th percentile they are cut,
    and the plan says so. Packed sequences on a GPU are long enough to keep it busy. Never longer than the
    model's context.
    """
    limit = job.context_length or 1 << 20
    if not job.lengths:
        return [Choice(min(USUAL_LENGTH, limit), "lengths are unknown without the model's tokenizer", GUIDES)]
    least = PACKED_LENGTH if packed and box.device == "cuda" else LENGTH_STEP
    whole, usual, most = (
        max(least, rounded(length))
        for length in (job.lengths.longest, job.lengths.percentile(0.99), job.lengths.percentile(0.95))
    )
    if job.objective == "cpt":
        whole = usual = most = min(whole, USUAL_LENGTH if box.device == "cuda" else 512)
    wanted = [usual, most] if whole > max(2 * usual, 512) else [whole, usual, most]
    distinct = dict.fromkeys(min(length, limit) for length in wanted)
    return [_length(job, length, limit, packed=packed) for length in distinct]


def rounded(length: int) -> int:
    """The next length that sequences may have."""
    return max(LENGTH_STEP, math.ceil(length / LENGTH_STEP) * LENGTH_STEP)


def _length(job: Job, length: int, limit: int, *, packed: bool) -> Choice[int]:
    cut = job.lengths.share_cut(length) or 0.0
    why = f"whole answer kept in {percent(1 - cut, digits=1)}" if cut else "every row is kept whole"
    if cut and length >= limit:
        why += "; more than the model can read"
    elif cut:
        why += f" ({job.lengths.longest:,} for all)"
    return Choice(length, f"several rows in one; {why}" if packed else why)


def packing(job: Job, box: Box) -> Choice[bool]:
    """Where padding would waste a fifth of the work or more."""
    if job.preference:
        return Choice(False, "pairs are not packed", "trl")
    if job.objective == "cpt":
        return Choice(True, "texts are laid end to end", TOOLS)
    if not job.lengths:
        return Choice(False, "lengths are unknown")
    if box.device == "cpu":
        return Choice(False, "a processor's small batches waste little on padding")
    longest = job.lengths.longest
    waste = 1 - job.lengths.mean(longest) / job.lengths.padded(longest, 8)
    if waste >= 0.2:
        return Choice(True, f"{percent(waste)} less padding")
    return Choice(False, f"rows are alike; it would save {percent(waste)}")


def optimizer(method: MethodName, box: Box) -> list[Choice[Optimizer]]:
    """Optimizers to try, best first, the one that needs least last."""
    why = "the reference" if method == "full" else "the reference; its states are small for adapters"
    plain: Choice[Optimizer] = Choice("adamw", why)
    if box.device == "cpu":
        return [plain]
    if method == "qlora":
        return [Choice("paged_adamw_32bit", "gives way to main memory when the GPU is full", QLORA)]
    small: Choice[Optimizer] = Choice("adamw_8bit", "a quarter of the states' memory", "bitsandbytes")
    if method == "full":
        paged = "states in main memory; slower, but it fits"
        return [plain, small, Choice("paged_adamw_8bit", paged, "bitsandbytes")]
    return [plain, small]


def eval_every(steps: int, validation_rows: int, rows_per_update: int, forward_share: float) -> Choice[int]:
    """Steps between evaluations: about ten a run, and never more than a tenth of its time.

    `forward_share` is the cost of evaluating a row over the cost of training on it.
    """
    if not validation_rows:
        return Choice(max(1, steps), "there are no validation rows")
    affordable = math.ceil(validation_rows * forward_share / (0.1 * rows_per_update))
    wished = min(50, math.ceil(steps / 10))
    chosen = max(1, min(steps, max(affordable, wished)))
    if affordable > wished:
        return Choice(chosen, f"{count(validation_rows, 'validation row')}; at most 10 % of the time")
    return Choice(chosen, f"{count(max(1, steps // chosen), 'evaluation')} over the run", GUIDES)


def early_stopping(asked: int, validation_rows: int) -> Choice[int]:
    """Needs validation rows to see anything."""
    if not validation_rows:
        return Choice(0, "there are no validation rows to watch")
    if not asked:
        return Choice(0, "never stops early")
    return Choice(asked, f"stops after {count(asked, 'evaluation')} without gain", GUIDES)


# Settings whose default suits nearly every run: why it does.
DEFAULTS: dict[str, tuple[str, str]] = {
    "method.targets": ("adapters on every linear layer come closest to full training", REGRET),
    "method.rslora": ("only matters for ranks above 64", TOOLS),
    "method.continue_from": ("starts a new adapter", OWN),
    "method.good_weight": ("good and bad answers weigh the same in all", "KTO"),
    "method.bad_weight": ("good and bad answers weigh the same in all", "KTO"),
    "train.group_by_length": ("rows come in random order", OWN),
    "train.neftune_alpha": ("no noise", OWN),
    "train.max_steps": ("the epochs decide", OWN),
    "train.schedule": ("falls slowly, then fast, then slowly", GUIDES),
    "train.warmup": ("the first steps are the roughest", GUIDES),
    "train.weight_decay": ("adapters are small enough without", TOOLS),
    "train.max_grad_norm": ("cuts off spikes", TOOLS),
    "train.seed": ("the same seed repeats the run", OWN),
    "train.save_every_minutes": ("most that a crash can cost", OWN),
    "train.keep_checkpoints": ("besides the best one", OWN),
    "train.smoke_test": ("up to 30 steps that most runs do not need", OWN),
    "train.on_oom": ("the same training in smaller pieces", OWN),
    "train.on_nan": ("what made it NaN should be looked at first", OWN),
    "train.dry_run": ("finds out before the first step whether it fits", OWN),
}
