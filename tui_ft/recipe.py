"""The recipe: everything a run needs, as TOML that people keep, edit, share and re-run.

Each option is declared once, here, with its type, bounds, help and cost; forms, `--help`, the JSON
Schema and the docs are drawn from these declarations. An option left out is None and the plan
fills it from the box and the data; `pinned` tells which ones the user wrote.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from tui_ft.errors import InputError, Problem
from tui_ft.files import write_atomically
from tui_ft.text import nearest

MethodName = Literal["lora", "qlora", "dora", "full"]
Objective = Literal["sft", "cpt", "dpo", "kto", "orpo"]
DataFormat = Literal[
    "auto", "messages", "sharegpt", "alpaca", "prompt-completion", "text", "preference", "kto"
]

_URL = r"^(https?://\S+|env:[A-Za-z_][A-Za-z0-9_]*|)$"


def _option(default: Any, help: str, *, cost: str = "", **bounds: Any) -> Any:  # noqa: A002
    return Field(default, description=help, json_schema_extra={"cost": cost} if cost else None, **bounds)


class _Section(BaseModel):
    # `model_` is pydantic's own prefix; a recipe has no field that clashes with its methods.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Decision(_Section):
    """What the checklist said. Optional; kept so that a reader knows why this run exists."""

    verdict: str = _option("", "What the checklist advised.")
    answers: dict[str, str | list[str]] = _option({}, "The answers it was based on, by question id.")
    overridden: bool = _option(False, "True when the user went on against the advice.")


class Model(_Section):
    """The model to start from."""

    id: str = _option(
        ..., "Hub id such as owner/name, or a folder with config.json and safetensors.", min_length=1
    )
    revision: str = _option("", "Hub branch, tag or commit. Empty takes the newest and records its commit.")
    trust_remote_code: bool = _option(
        False, "Run Python code that comes with this model. Only for authors you trust."
    )


class Data(_Section):
    """What the model learns from."""

    path: str | list[str] = _option(..., "File, list of files, or hub:owner/name. Relative to the recipe.")
    format: DataFormat = _option("auto", "Shape of the rows; auto looks at many of them.")
    columns: dict[str, str] = _option({}, 'Which column is what, e.g. { prompt = "question" }.')
    validation: float = _option(0.1, "Share held out to watch for overfitting.", ge=0, lt=1)
    test: float = _option(0.1, "Share held out for the final evaluation.", ge=0, lt=1)
    validation_path: str = _option("", "A file of your own to validate on, instead of a share.")
    test_path: str = _option("", "A file of your own to test on, instead of a share.")
    seed: int = _option(42, "Decides which rows are held out. The same seed gives the same split.", ge=0)
    system: str = _option("", "System prompt put before rows that have none.")
    stratify: str = _option(
        "", "Hold out the same share of every label: answer, or the column that holds the label."
    )
    group_by: str = _option(
        "", "Keep rows together that share this column; near keeps near duplicates together."
    )
    split_by_time: str = _option("", "Column with a time: the newest rows are test, the next validation.")
    max_held_out: int = _option(
        1000, "Most rows held out for validation, and for test; 0 for no limit.", cost="time", ge=0
    )
    mix: list[str] = _option([], "Files of general data to mix in against forgetting.")
    mix_share: float = _option(
        0.1, "Share of training rows taken from mix, chosen by the seed; 0 takes all of it.", ge=0, lt=1
    )
    ignore: list[str] = _option([], "Ids of data findings to accept as they are.")
    max_rows: int = _option(0, "Use only this many rows, chosen by the seed; 0 uses all.", ge=0)


class Method(_Section):
    """What is trained."""

    name: MethodName | None = _option(
        None,
        "lora trains small added matrices, qlora does so on a 4-bit base, full trains every weight.",
        cost="memory: qlora < lora < full",
    )
    objective: Objective = _option(
        "sft", "sft learns from answers; the others from plain text or preferences."
    )
    rank: int | None = _option(
        None, "Size of the added matrices.", cost="memory and time grow with it", ge=1, le=1024
    )
    alpha: int | None = _option(None, "Strength of the adapter; twice the rank is usual.", ge=1, le=4096)
    dropout: float | None = _option(None, "Share of adapter inputs dropped while training.", ge=0, lt=1)
    targets: str | list[str] = _option(
        "all-linear", "Modules that get an adapter; all-linear is the safe choice."
    )
    rslora: bool = _option(False, "Scale by alpha over the square root of the rank; for ranks above 64.")
    continue_from: str = _option(
        "",
        "Go on from this adapter: a run's id or name, or a folder; empty starts a new one. Rank and modules "
        "are its own.",
    )
    beta: float | None = _option(
        None,
        "For dpo, kto and orpo: how strictly to stay near the model as it was; for orpo, the weight of the "
        "preference.",
        gt=0,
        le=10,
    )
    good_weight: float | None = _option(
        None, "For kto: weight of good answers; left out, both kinds weigh the same in all.", gt=0, le=100
    )
    bad_weight: float | None = _option(None, "For kto: weight of bad answers.", gt=0, le=100)


class Train(_Section):
    """How it is trained."""

    epochs: float | None = _option(None, "Passes over the data.", cost="time grows with it", gt=0, le=100)
    max_steps: int = _option(0, "Stop after this many steps; 0 goes by epochs.", ge=0)
    learning_rate: float | None = _option(
        None, "Size of each update. Too high diverges, too low learns nothing.", gt=0, le=1
    )
    schedule: Literal["cosine", "linear", "constant", "wsd"] = _option(
        "cosine", "How the learning rate falls over the run; wsd stays constant and falls in the last fifth."
    )
    warmup: float = _option(0.05, "Share of steps over which the learning rate rises.", ge=0, le=0.5)
    weight_decay: float = _option(0.0, "Pulls weights towards zero.", ge=0, le=1)
    micro_batch: int | None = _option(
        None, "Rows computed at once.", cost="memory grows with it", ge=1, le=1024
    )
    grad_accum: int | None = _option(
        None,
        "Micro-batches added up before each update; micro_batch x grad_accum is the effective batch.",
        ge=1,
        le=4096,
    )
    seq_len: int | None = _option(
        None, "Longest row in tokens; longer ones are cut.", cost="memory grows with it", ge=8, le=1_048_576
    )
    packing: Literal["auto", "on", "off"] = _option(
        "auto", "Put several short rows into one sequence.", cost="saves time"
    )
    group_by_length: bool = _option(
        False, "Put rows of similar length into one batch.", cost="saves time; the order is less random"
    )
    gradient_checkpointing: bool | None = _option(
        None, "Recompute activations instead of keeping them.", cost="about 20-30 % slower, much less memory"
    )
    optimizer: Literal["auto", "adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"] = _option(
        "auto", "8-bit and paged variants need less GPU memory."
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = _option("auto", "Number format of the computation.")
    loss_on: Literal["answers", "all"] = _option(
        "answers", "Learn from the answers only, or from every token."
    )
    neftune_alpha: float = _option(
        0.0, "Noise on the inputs, which can make answers livelier; 5 is usual, 0 is off.", ge=0, le=100
    )
    max_grad_norm: float = _option(1.0, "Longest update allowed, against spikes.", gt=0)
    seed: int = _option(42, "Order of rows and dropout. The same seed on the same box repeats the run.", ge=0)
    early_stopping: int = _option(3, "Stop after this many evaluations without gain; 0 never stops.", ge=0)
    eval_every: int | Literal["auto"] = _option("auto", "Steps between evaluations.", cost="time")
    save_every_minutes: float = _option(10, "Most minutes of work that can be lost.", gt=0)
    keep_checkpoints: int = _option(2, "Checkpoints kept besides the best one.", cost="disk", ge=1)
    dry_run: bool = _option(
        True,
        "Try the longest batch before the first step: does it fit, how fast is it?",
        cost="time of about three steps",
    )
    gpus: Annotated[int, Field(ge=1, le=64)] | Literal["all"] = _option(
        1,
        "How many GPUs train together; all takes every one that is like the first. Rows per update stay the "
        "same. On a box without a GPU: processes.",
    )
    strategy: Literal["auto", "ddp", "fsdp"] = _option(
        "auto",
        "How several GPUs share the work: ddp puts a whole copy on each, auto is that; fsdp, a part on each, "
        "is not built yet.",
    )
    smoke_test: bool = _option(
        False,
        "Learn 8 rows by heart before the first step, then start over: can this model learn at all?",
        cost="time of up to 30 steps",
    )
    on_nan: Literal["stop", "rollback"] = _option(
        "stop",
        "When a gradient becomes NaN or infinite: stop, or go back to an earlier checkpoint with half the "
        "learning rate, at most twice.",
    )
    on_oom: Literal["halve", "stop"] = _option(
        "halve",
        "When memory runs out: go on from the last checkpoint with half the rows at once and as many per "
        "update, at most three times, or stop.",
        cost="time: up to save_every_minutes of work is done again",
    )


class Evaluate(_Section):
    """How base and tuned model are compared."""

    metrics: list[str] | Literal["auto"] = _option(
        "auto", "exact_match, json_valid, schema_valid, loss; auto looks at the answers."
    )
    schema_: str = Field("", alias="schema", description="JSON Schema file that answers must satisfy.")
    samples: int = _option(5, "Answers shown side by side.", ge=0, le=100)
    max_rows: int = _option(100, "Most rows answered by each model.", cost="time", ge=1)
    max_new_tokens: int = _option(256, "Longest answer in tokens.", cost="time", ge=1)


class Export(_Section):
    """What comes out at the end."""

    to: list[Literal["merged", "gguf:f16", "gguf:q8_0", "gguf:q4_k_m", "ollama", "vllm", "hub"]] = _option(
        ["merged"], "Formats to export."
    )


class Limits(_Section):
    """What the run may cost."""

    price_per_hour: float = _option(0.0, "What this box costs per hour; 0 when unknown.", ge=0)
    max_hours: float = _option(0.0, "Stop and save after this long; 0 for no limit.", ge=0)
    max_cost: float = _option(0.0, "Stop and save at this cost; 0 for no limit.", ge=0)
    deadline: str = _option(
        "",
        'Stop and save at this local time, "2026-12-24 18:00" or "07:30", or so long after the start: "6h".',
        pattern=r"^(\d+(\.\d+)? ?[mhd]|\d\d:\d\d|\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?|)$",
    )
    on_finish: str = _option(
        "",
        "Command to run when the run ends, however it does; it finds TUI_FT_RUN, TUI_FT_STATE, TUI_FT_DIR "
        "and TUI_FT_MESSAGE in its environment.",
    )
    on_finish_timeout_s: float = _option(3600, "Longest time that command may take, in seconds.", gt=0)
    shutdown_command: str = _option(
        "", 'Command that ends the box when the run is over, such as "sudo shutdown now"; empty for none.'
    )
    shutdown_after_s: float = _option(
        300, "Seconds before it is run, in which `tui-ft stop` can call it off.", ge=0
    )


class Notify(_Section):
    """Who is told when a run ends."""

    webhook: str = _option(
        "", "URL that gets a JSON object; env:NAME takes it from the environment.", pattern=_URL
    )
    ntfy: str = _option(
        "", "Topic of an ntfy server, e.g. https://ntfy.sh/my-topic; env:NAME as well.", pattern=_URL
    )
    bell: bool = _option(False, "Ring the terminal that watches when the run ends or an error shows.")


class Copies(_Section):
    """Where copies of every checkpoint and of the result go, off this box."""

    to: list[str] = _option(
        [],
        'Folders ("/mnt/backup"), rsync targets ("user@host:path", "rsync://host/module/path") or hub '
        'repositories ("hub:owner/name"). Each copy is verified by its hashes.',
        cost="network and disk there, never the training's time",
    )


class Track(_Section):
    """Where the numbers go besides the run folder."""

    to: list[Literal["wandb", "mlflow", "tensorboard", "trackio"]] = _option(
        [],
        "Trackers that get the numbers of events.jsonl as well; off by default. Each is its own package.",
    )
    project: str = _option("tui-ft", "Project or experiment that runs are filed under.", min_length=1)
    tags: list[str] = _option([], "Words to find the run by.")
    wandb_mode: Literal["online", "offline"] = _option(
        "online", "offline keeps what W&B gets in the run folder; `wandb sync` sends it later."
    )
    url: str = _option(
        "",
        "Server of MLflow, or of a W&B of your own; empty takes its own default, MLflow a file.",
        pattern=_URL,
    )


class Recipe(_Section):
    """A whole recipe. Only `[model] id` and `[data] path` are required."""

    version: Literal[1] = _option(1, "Format of this file.")
    name: str = _option("", "Name of the run.", max_length=64, pattern=r"^[A-Za-z0-9._-]*$")
    decision: Decision = Decision()
    model: Model
    data: Data
    method: Method = Method()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    export: Export = Export()
    limits: Limits = Limits()
    notify: Notify = Notify()
    copies: Copies = Copies()
    track: Track = Track()

    def with_values(self, changes: Mapping[str, Any]) -> Recipe:
        """A copy with dotted keys changed, e.g. {"train.epochs": 2}; None un-pins a key.

        Raises InputError when a value is out of bounds or a key is unknown.
        """
        document = self.document()
        for key, value in changes.items():
            *sections, leaf = key.split(".")
            table = document
            for section in sections:
                table = table.setdefault(section, {})
            if value is None:
                table.pop(leaf, None)
            else:
                table[leaf] = value
        return parse(document)

    def document(self) -> dict[str, Any]:
        """What the user wrote, as plain TOML values. Left-out options stay left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)

    @property
    def pinned(self) -> frozenset[str]:
        """Dotted keys the user wrote, e.g. `train.epochs`."""
        return frozenset(
            f"{section}.{key}"
            for section, table in self.document().items()
            if isinstance(table, dict)
            for key in table
        )


def options() -> Iterator[tuple[str, FieldInfo]]:
    """Every option as (dotted key, declaration), in the order of the file."""
    for section, field in Recipe.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for key, option in field.annotation.model_fields.items():
                yield f"{section}.{option.alias or key}", option
        else:
            yield section, field


def json_schema() -> dict[str, Any]:
    """JSON Schema of the recipe, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(by_alias=True),
    }


def parse(document: Mapping[str, Any], *, source: str = "recipe") -> Recipe:
    """A recipe from plain values. Raises InputError that lists every problem with its key."""
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise InputError([_problem(detail, source) for detail in error.errors()]) from None


def loads(text: str, *, source: str = "recipe") -> Recipe:
    """A recipe from TOML text. Raises InputError naming line or key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=source, fix="Strings need quotes.") from None
    return parse(document, source=source)


def load(path: Path) -> Recipe:
    """A recipe from a file. Raises InputError when it cannot be read or is wrong."""
    try:
        return loads(path.read_text(encoding="utf-8-sig"), source=str(path))
    except FileNotFoundError:
        raise InputError(
            f"there is no recipe at {path}", fix="`tui-ft recipe list` shows the ones that ship with tui-ft."
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            "not a text file in UTF-8", where=str(path), fix="A recipe is a TOML file."
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None


def dumps(recipe: Recipe) -> str:
    """The recipe as TOML, only what was written."""
    return tomli_w.dumps(recipe.document())


def save(recipe: Recipe, path: Path) -> None:
    """Write the recipe atomically. Raises EnvironmentProblem when the disk or folder refuses."""
    write_atomically(path, dumps(recipe))


def data_paths(recipe: Recipe, base: Path) -> tuple[str, ...]:
    """The data paths, made absolute against the folder of the recipe; `hub:` ids stay as they are."""
    paths = [recipe.data.path] if isinstance(recipe.data.path, str) else recipe.data.path
    return tuple(resolve(path, base) for path in paths)


def resolve(path: str, base: Path) -> str:
    """A path of the recipe, absolute; `hub:` ids and the empty string stay as they are."""
    if not path or path.startswith("hub:"):
        return path
    return str((base / Path(path).expanduser()).absolute())


def with_absolute_paths(recipe: Recipe, base: Path) -> Recipe:
    """The recipe as it can be used from any folder; `base` is where its relative paths start."""
    data = recipe.data
    paths = data_paths(recipe, base)
    changes: dict[str, Any] = {"data.path": paths[0] if isinstance(data.path, str) else list(paths)}
    for key, value in (
        ("data.validation_path", data.validation_path),
        ("data.test_path", data.test_path),
        ("evaluate.schema", recipe.evaluate.schema_),
    ):
        if value:
            changes[key] = resolve(value, base)
    if data.mix:
        changes["data.mix"] = [resolve(path, base) for path in data.mix]
    model = Path(resolve(recipe.model.id, base))
    if (model / "config.json").is_file():
        changes["model.id"] = str(model)
    return recipe.with_values(changes)


def value_from_text(key: str, text: str) -> Any:
    """What a person typed for an option, as a value: `2e-4`, `true`, `["q_proj"]`; else the text itself.

    An empty text is None: the plan decides. Whether it suits the option is checked by `with_values`.
    """
    text = text.strip()
    if not text:
        return None
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    option = dict(options()).get(key)
    wants_text = option is not None and option.annotation is str
    return text if wants_text and not isinstance(value, str) else value


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with `KEY=VALUE` texts applied, as `--set` takes them; an empty value un-pins its key.

    Raises InputError naming every text that is no setting, and whatever `with_values` raises.
    """
    changes: dict[str, Any] = {}
    problems: list[Problem] = []
    known = dict(options())
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals:
            problems.append(Problem("has no value", f"--set {setting}", "Write it as train.epochs=2."))
        elif key not in known:
            close = nearest(key, known)
            fix = f"Did you mean {close[0]}?" if close else "`tui-ft recipe schema` lists all keys."
            problems.append(Problem("unknown key", f"--set {key}", fix))
        else:
            changes[key] = value_from_text(key, text)
    if problems:
        raise InputError(problems)
    return recipe.with_values(changes) if changes else recipe


def _problem(detail: Any, source: str) -> Problem:
    """Pydantic's error detail in the words of the recipe."""
    location = [str(part) for part in detail["loc"] if not str(part).startswith(("function-", "union"))]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        known = [dotted for dotted, _ in options()] + list(Recipe.model_fields)
        siblings = [k for k in known if k.rpartition(".")[0] == key.rpartition(".")[0]]
        close = nearest(key, siblings) or nearest(location[-1], [k.rpartition(".")[2] for k in known])
        return Problem(
            "unknown key", f"{source}: {key}", f"Did you mean {close[0]}?" if close else "Remove it."
        )
    if detail["type"] == "missing":
        return Problem("is missing", f"{source}: {key}", "Every recipe needs [model] id and [data] path.")
    option = dict(options()).get(".".join(location[:2]))
    message = detail["msg"].removeprefix("Input should be ")
    given = "" if isinstance(detail["input"], dict) else f", not {detail['input']!r}"
    return Problem(
        f"should be {message}{given}" if message != detail["msg"] else f"{detail['msg']}{given}",
        f"{source}: {key}",
        option.description or "" if option else "",
    )
