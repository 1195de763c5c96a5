"""What the wizard holds: what the user chose, what was found out, and where they are. No drawing here.

What the user chose is a recipe in the making and is saved with every change, so that the wizard can be
left at any moment and resumed exactly there. What was found out is found out again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tui_ft.errors import TuiFtError
from tui_ft.files import write_atomically
from tui_ft.settings import Home

if TYPE_CHECKING:
    from tui_ft.advice.verdict import Verdict
    from tui_ft.data.rows import DatasetReport
    from tui_ft.hardware.facts import Hardware
    from tui_ft.models.facts import ModelFacts
    from tui_ft.planning.plan import Plan
    from tui_ft.recipe import Recipe

Answers = Mapping[str, "str | tuple[str, ...]"]
Place = Literal[
    "welcome", "question", "verdict", "hardware", "pick-model", "model", "pick-data", "data", "plan", "train",
    "evaluate", "export", "runs",
]  # fmt: skip
State = Literal["done", "here", "ahead", "look"]  # look: something there needs the user

STEPS = ("Decide", "Hardware", "Model", "Data", "Plan", "Train", "Evaluate", "Export")
_STEP_OF: dict[str, int] = {
    "question": 0, "verdict": 0, "hardware": 1, "pick-model": 2, "model": 2, "pick-data": 3, "data": 3,
    "plan": 4, "train": 5, "evaluate": 6, "export": 7,
}  # fmt: skip
_FIRST_OF_RUN = 5  # from this step on it is about a run, no longer about a recipe
# Changing these does not make another run necessary.
_AFTERWARDS = frozenset({"limits", "evaluate", "export", "notify", "copies", "track"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step as the rail shows it."""

    number: int
    name: str
    state: State
    summary: str = ""  # what was decided there, in a few words


@dataclass(frozen=True, slots=True)
class Draft:
    """The wizard's state. `recipe` is what the user wrote, as plain TOML values."""

    place: Place = "welcome"
    question: str = ""  # id of the question being asked
    answers: Answers = field(default_factory=dict)
    reached: int = 0  # how many of the first five steps are behind, for the recipe in the making
    recipe: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    name: str = ""
    recipe_path: str = ""
    run: str = ""  # the run that was started or opened last
    finished: int = 0  # how many of its three steps (train, evaluate, export) are behind
    verdict: Verdict | None = None
    hardware: Hardware | None = None
    facts: ModelFacts | None = None
    report: DatasetReport | None = None
    plan: Plan | None = None

    @property
    def step(self) -> int | None:
        """Index of the step the user is at; None outside of the eight."""
        return _STEP_OF.get(self.place)

    @property
    def model_id(self) -> str:
        """The chosen model, or ""."""
        return str(self.recipe.get("model", {}).get("id", ""))

    @property
    def data_paths(self) -> tuple[str, ...]:
        """The chosen data, or ()."""
        path = self.recipe.get("data", {}).get("path", "")
        return (path,) if isinstance(path, str) and path else tuple(path)

    @property
    def price(self) -> float:
        """What the box costs per hour; 0 when unknown."""
        return float(self.recipe.get("limits", {}).get("price_per_hour", 0.0))

    def value(self, key: str) -> Any:
        """What the user wrote for a dotted key, or None."""
        section, _, leaf = key.partition(".")
        return self.recipe.get(section, {}).get(leaf)

    def with_values(self, changes: Mapping[str, Any]) -> Draft:
        """A draft with dotted recipe keys changed; None takes a key out. What rests on them is dropped."""
        recipe = {section: dict(table) for section, table in self.recipe.items()}
        for key, value in changes.items():
            section, _, leaf = key.partition(".")
            if value is None:
                recipe.get(section, {}).pop(leaf, None)
            else:
                recipe.setdefault(section, {})[leaf] = value
        sections = {key.partition(".")[0] for key in changes}
        draft = replace(self, recipe={k: v for k, v in recipe.items() if v}, plan=None)
        if sections <= _AFTERWARDS:
            return draft
        draft = replace(draft, reached=min(self.reached, 4))
        if "model" in sections:
            return replace(draft, facts=None, report=None)
        return replace(draft, report=None) if "data" in sections else draft

    def with_run(self, run: str) -> Draft:
        """Another run, at its first step."""
        return replace(self, run=run, finished=0)

    def with_done(self, step: int) -> Draft:
        """Step `step` (0-based) is behind."""
        if step >= _FIRST_OF_RUN:
            return replace(self, finished=max(self.finished, step - _FIRST_OF_RUN + 1))
        return replace(self, reached=max(self.reached, step + 1))

    def with_verdict(self, verdict: Verdict) -> Draft:
        """The advice on these answers."""
        return replace(self, verdict=verdict)

    def document(self) -> dict[str, Any]:
        """The recipe as plain TOML values, with the decision it rests on."""
        document: dict[str, Any] = {"version": 1}
        if self.name:
            document["name"] = self.name
        if self.verdict is not None and self.answers:
            document["decision"] = {
                "verdict": self.verdict.verdict,
                "answers": {k: list(v) if isinstance(v, tuple) else v for k, v in self.answers.items()},
                "overridden": self.overridden,
            }
        return document | {section: dict(table) for section, table in self.recipe.items()}

    @property
    def overridden(self) -> bool:
        """The user went on although the advice was not to fine-tune."""
        return self.reached > 0 and self.verdict is not None and not self.verdict.advises_training

    def to_recipe(self) -> Recipe:
        """The recipe so far. Raises InputError while model or data are missing, or a value is wrong."""
        from tui_ft.recipe import parse

        return parse(self.document())

    @property
    def at_run(self) -> bool:
        """The user looks at a run, which need not come from the recipe in the making."""
        return self.step is not None and self.step >= _FIRST_OF_RUN

    def steps(self) -> tuple[Step, ...]:
        """The eight steps with their state and what was decided there."""
        summaries = ("",) * len(STEPS)
        if not self.at_run:
            model = self.model_id.rpartition("/")[2]
            found = (_verdict_words(self), _hardware_words(self), model, _data_words(self), _plan_words(self))
            summaries = (*found, "", "", "")
        states = [self._state(i) for i in range(len(STEPS))]
        return tuple(
            Step(i + 1, name, states[i], summaries[i] if states[i] != "ahead" else "")
            for i, name in enumerate(STEPS)
        )

    def _state(self, step: int) -> State:
        if step == self.step:
            return "here"
        if step >= _FIRST_OF_RUN:
            return "done" if self.run and step - _FIRST_OF_RUN < self.finished else "ahead"
        if step >= self.reached and not self.at_run:
            return "ahead"
        blocked = step == 3 and self.report is not None and self.report.blocked and not self.at_run
        return "look" if blocked else "done"

    def closed(self, step: int) -> str:
        """Why a step cannot be opened yet; "" when it can."""
        if step >= _FIRST_OF_RUN:
            return "" if self.run else "Start a run first (step 5)."
        if step >= 3 and not self.model_id:
            return "Choose a model first (step 3)."
        if step >= 4 and not self.data_paths:
            return "Choose the data first (step 4)."
        return ""


def place_of_step(draft: Draft, step: int) -> Place:
    """Where a step opens, given what is chosen already."""
    if step == 0:
        return "verdict" if draft.verdict is not None and draft.reached else "question"
    if step == 2:
        return "model" if draft.model_id else "pick-model"
    if step == 3:
        return "data" if draft.data_paths else "pick-data"
    names: dict[int, Place] = {1: "hardware", 4: "plan", 5: "train", 6: "evaluate", 7: "export"}
    return names[step]


def dumps(draft: Draft) -> str:
    """What is worth keeping, as TOML."""
    import tomli_w

    kept: dict[str, Any] = {
        "place": draft.place,
        "question": draft.question,
        "reached": draft.reached,
        "name": draft.name,
        "recipe_path": draft.recipe_path,
        "run": draft.run,
        "finished": draft.finished,
        "answers": {k: list(v) if isinstance(v, tuple) else v for k, v in draft.answers.items()},
        "recipe": {section: dict(table) for section, table in draft.recipe.items()},
    }
    return tomli_w.dumps(kept)


def loads(text: str) -> Draft:
    """A draft from what `dumps` wrote. Raises ValueError for anything else."""
    kept = tomllib.loads(text)
    words = {k: kept.get(k, "") for k in ("place", "question", "name", "recipe_path", "run")}
    counts = {k: kept.get(k, 0) for k in ("reached", "finished")}
    answers, recipe = kept.get("answers", {}), kept.get("recipe", {})
    sound = (
        all(isinstance(v, str) for v in words.values())
        and all(isinstance(v, int) for v in counts.values())
        and isinstance(answers, dict)
        and isinstance(recipe, dict)
        and all(isinstance(v, dict) for v in recipe.values())
        and words["place"] in (*_STEP_OF, "welcome", "runs")
    )
    if not sound:
        raise ValueError("not a session of tui-ft")
    return Draft(
        **words,
        **counts,
        answers={k: tuple(v) if isinstance(v, list) else str(v) for k, v in answers.items()},
        recipe=recipe,
    )


def load(home: Home) -> Draft:
    """The draft that was left, or a new one. A session file that cannot be read is set aside, not deleted."""
    try:
        return loads(home.session.read_text(encoding="utf-8"))
    except OSError:
        return Draft()
    except ValueError:
        aside = home.session.with_suffix(".unreadable.toml")
        try:
            home.session.replace(aside)
        except OSError:
            return Draft()
        return Draft()


def save(draft: Draft, home: Home) -> TuiFtError | None:
    """Keep the draft. Returns the problem when the home folder refuses: the wizard can go on without."""
    try:
        # A file name need not be text; such a one cannot be kept, but must not stop anybody.
        write_atomically(home.session, dumps(draft).encode("utf-8", "replace"), durable=False)
    except TuiFtError as error:
        return error
    return None


def from_recipe_file(path: Path) -> Draft:
    """A draft that starts from a recipe; its own checklist answers come along. Raises InputError."""
    from tui_ft.recipe import load

    return from_recipe(load(path), path.absolute().parent, path.absolute())


def from_recipe(recipe: Recipe, base: Path, path: Path | None = None) -> Draft:
    """A draft from a recipe whose paths are relative to `base`; it opens at the plan."""
    from tui_ft.recipe import with_absolute_paths

    document = with_absolute_paths(recipe, base).document()
    decision = document.get("decision", {})
    sections = {k: dict(v) for k, v in document.items() if isinstance(v, Mapping) and k != "decision"}
    return Draft(
        place="plan",
        name=str(document.get("name", "")),
        recipe_path=str(path or ""),
        recipe=sections,
        answers={
            k: tuple(v) if isinstance(v, list) else str(v) for k, v in decision.get("answers", {}).items()
        },
        reached=4,
    )


def _verdict_words(draft: Draft) -> str:
    if draft.verdict is None:
        return ""
    return "against the advice" if draft.overridden else str(draft.verdict.verdict)


def _hardware_words(draft: Draft) -> str:
    if draft.hardware is None:
        return ""
    gpus = draft.hardware.usable_gpus
    if not gpus:
        return "processor only"
    from tui_ft.hardware.describe import short_name

    name = short_name(gpus[0].name)
    return name if len(gpus) == 1 else f"{len(gpus)} × {name}"


def _data_words(draft: Draft) -> str:
    if draft.report is not None:
        return f"{draft.report.usable_rows:,} rows"
    return Path(draft.data_paths[0]).name if draft.data_paths else ""


def _plan_words(draft: Draft) -> str:
    if draft.plan is None:
        return ""
    names = {"lora": "LoRA", "qlora": "QLoRA", "dora": "DoRA", "full": "full"}
    rank = f", rank {draft.plan.method.rank}" if draft.plan.method.rank else ""
    return f"{names[draft.plan.method.name]}{rank}"
