"""The eight steps line by line: the same questions, the same functions, no drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tui_ft import recipe as recipes
from tui_ft.advice.command import verdict_text
from tui_ft.advice.questions import DONT_KNOW, Answers, Question, as_document, next_question
from tui_ft.advice.verdict import Verdict, decide
from tui_ft.commands.eval import evaluate
from tui_ft.commands.export import export
from tui_ft.commands.follow import download_lines, ended_well
from tui_ft.commands.show import describe as describe_run
from tui_ft.commands.watch import watch
from tui_ft.data.describe import report_lines
from tui_ft.errors import InputError, TuiFtError
from tui_ft.evaluation.report import table
from tui_ft.hardware.describe import gpu_rows
from tui_ft.hardware.detect import detect
from tui_ft.models.catalogue import SUGGESTIONS
from tui_ft.models.describe import fact_lines
from tui_ft.pipeline import Prepared, find_model, open_recipe, prepare, start
from tui_ft.plain.ask import Asker, Back, Choice, asker
from tui_ft.planning import prices
from tui_ft.planning.describe import plan_lines
from tui_ft.recipe import Recipe
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view
from tui_ft.settings import Home
from tui_ft.text import parameters, size

_SKIP = Choice("<skip>", "Skip this question")
_YES, _NO = Choice("yes", "Yes"), Choice("no", "No")
_FORMATS = (
    Choice("merged", "Merged model", "a folder that transformers and vLLM load"),
    Choice("gguf:q4_k_m", "GGUF Q4_K_M", "small; for llama.cpp and Ollama"),
    Choice("gguf:q8_0", "GGUF Q8_0", "nearly lossless"),
    Choice("ollama", "Ollama", "GGUF with a Modelfile"),
    Choice("vllm", "vLLM", "the lines that serve it"),
)


@dataclass(frozen=True, slots=True)
class _Walk:
    """What is known so far."""

    home: Home
    ask: Asker
    recipe: Recipe
    base: Path
    prepared: Prepared | None = None
    folder: RunFolder | None = None


def walk(home: Home, recipe_name: str | None) -> None:
    """Ask through all eight steps. `b` goes a step back; Ctrl-C leaves, a started run goes on."""
    ask = asker()
    print("tui-ft: from the question to an exported model. b goes back, Ctrl-C leaves.")
    if recipe_name:
        opened = open_recipe(recipe_name)
        state = _Walk(home, ask, opened.recipe, opened.base)
    else:
        # Model and data are asked for before anything reads them.
        state = _Walk(home, ask, recipes.parse({"model": {"id": "?"}, "data": {"path": "?"}}), Path.cwd())
    steps: list[tuple[str, Callable[[_Walk], _Walk]]] = [
        ("Decide", _decide),
        ("Hardware", _hardware),
        ("Model", _model),
        ("Data", _data),
        ("Plan", _plan),
        ("Train", _train),
        ("Evaluate", _evaluate),
        ("Export", _export),
    ]
    at = 0
    while at < len(steps):
        name, step = steps[at]
        print(f"\n{at + 1} of {len(steps)}: {name}")
        try:
            state = step(state)
        except Back:
            at = max(0, at - 1)
        except TuiFtError as error:
            print(f"\n{error}")
            if ask.choose("Try this step again?", [_YES, Choice("no", "No, leave")], "yes") == "no":
                raise
        else:
            at += 1


def ask_advice(ask: Asker | None = None) -> tuple[Answers, Verdict]:
    """The questionnaire, one question at a time."""
    ask = ask or asker()
    given: list[tuple[Question, str | tuple[str, ...] | None]] = []
    while True:
        answers = {q.id: value for q, value in given if value is not None}
        skipped = [q.id for q, value in given if value is None]
        question = next_question(answers, skipped=skipped)
        if question is None:
            return answers, decide(answers)
        try:
            given.append((question, _ask_one(ask, question)))
        except Back:
            if not given:
                raise
            given.pop()


def _ask_one(ask: Asker, question: Question) -> str | tuple[str, ...] | None:
    print(f"\n{question.help}\nExample: {question.example}")
    choices = [Choice(option.value, option.label) for option in question.options]
    if question.many:
        return tuple(ask.several(question.text, choices)) or None
    chosen = ask.choose(question.text, [*choices, _SKIP], DONT_KNOW)
    return None if chosen == _SKIP.value else chosen


def _decide(state: _Walk) -> _Walk:
    choices = [
        Choice("ask", "Find out: up to twelve questions"),
        Choice("skip", "I know that I want to fine-tune"),
    ]
    if state.ask.choose("Do you need fine-tuning at all?", choices, "ask") == "skip":
        return state
    answers, verdict = ask_advice(state.ask)
    print(f"\n{verdict_text(verdict)}")
    if not verdict.advises_training and state.ask.choose("Go on all the same?", [_YES, _NO], "no") == "no":
        print("\nA good reason not to train is a good outcome. Come back when it changes.")
        raise SystemExit(1)
    decision = {
        "verdict": verdict.verdict,
        "answers": as_document(answers),
        "overridden": not verdict.advises_training,
    }
    return replace(state, recipe=recipes.parse({**state.recipe.document(), "decision": decision}))


def _hardware(state: _Walk) -> _Walk:
    hardware = detect(state.home)
    print("\n".join(gpu_rows(hardware)))
    box = prices.box_name(hardware)
    known = state.recipe.limits.price_per_hour or prices.known(state.home, box) or 0.0
    price = state.ask.text("What does this box cost per hour? 0 if you don't know", f"{known:g}", _number)
    prices.remember(state.home, box, float(price))
    return replace(state, recipe=state.recipe.with_values({"limits.price_per_hour": float(price)}))


def _number(text: str) -> str:
    try:
        return "" if 0 <= float(text) < 10_000 else "Please type a price, for example 0.55."
    except ValueError:
        return "Please type a number, for example 0.55."


def _model(state: _Walk) -> _Walk:
    choices = [
        Choice(s.id, s.id, f"{parameters(s.parameters)} · {s.licence} · {s.good_for}") for s in SUGGESTIONS
    ]
    current = "" if state.recipe.model.id == "?" else state.recipe.model.id
    if current and all(choice.value != current for choice in choices):
        choices.insert(0, Choice(current, current, "from the recipe"))
    chosen = state.ask.choose(
        "Which model to start from? (suggestions)",
        [*choices, Choice("<other>", "Another: hub id or folder")],
        current,
    )
    if chosen == "<other>":
        chosen = state.ask.text("Hub id (owner/name) or folder")
    state = replace(state, recipe=state.recipe.with_values({"model.id": chosen}))
    print("\n".join(fact_lines(find_model(state.recipe, state.base, state.home))))
    return state


def _data(state: _Walk) -> _Walk:
    current = state.recipe.data.path
    shown = "" if current == "?" else current if isinstance(current, str) else current[0]
    path = state.ask.text(
        "Which file holds your examples?", shown, lambda text: "" if text else "Please type a path."
    )
    if path != shown:
        kept = {"path": str(Path(path).expanduser().absolute()) if not path.startswith("hub:") else path}
        state = replace(state, recipe=recipes.parse({**state.recipe.document(), "data": kept}))
    prepared = prepare(state.recipe, state.base, state.home, say=print)
    print("\n".join(report_lines(prepared.report)))
    blocking = [finding for finding in prepared.report.findings if finding.blocks]
    if blocking:
        accept = state.ask.choose(
            "Something must be mended or accepted before training.",
            [Choice("no", "Choose other data"), Choice("yes", "Accept it as it is")],
            "no",
        )
        if accept == "no":
            raise InputError("the data is not ready", fix="Mend the file and try again, or choose another.")
        ignored = [*state.recipe.data.ignore, *(finding.id for finding in blocking)]
        state = replace(state, recipe=state.recipe.with_values({"data.ignore": ignored}))
    return replace(state, prepared=prepared)


def _plan(state: _Walk) -> _Walk:
    while True:
        prepared = prepare(state.recipe, state.base, state.home)
        print("\n".join(plan_lines(prepared.plan)))
        chosen = state.ask.choose(
            "Start with this plan?",
            [
                Choice("go", "Start training"),
                Choice("change", "Change a value"),
                Choice("save", "Save it as a recipe"),
            ],
            "go",
        )
        if chosen == "go":
            return replace(state, prepared=prepared)
        if chosen == "save":
            path = Path(state.ask.text("Where to", f"{prepared.plan.name}.toml")).expanduser()
            recipes.save(recipes.with_absolute_paths(state.recipe, state.base), path)
            print(f"Wrote {path}. The same as this: tui-ft train {path}")
        else:
            state = replace(state, recipe=_changed(state))


def _changed(state: _Walk) -> Recipe:
    """The recipe with one value changed; a wrong value is explained and nothing changes."""
    keys = [(key, option) for key, option in recipes.options() if key.startswith(("method.", "train."))]
    key = state.ask.choose(
        "Which value?", [Choice(key, key, option.description or "") for key, option in keys]
    )
    text = state.ask.text(f"{key} =")
    try:
        return state.recipe.with_values({key: recipes.value_from_text(key, text)})
    except InputError as error:
        print(error)
        return state.recipe


def _train(state: _Walk) -> _Walk:
    assert state.prepared is not None
    folder = start(state.prepared, state.home, progress=download_lines(print))
    print(f"Started {folder.id}. It goes on when you leave; `tui-ft watch {folder.id}` comes back to it.")
    watch(folder)
    print("\n".join(describe_run(view(folder))))
    ended_well(folder, "train")
    return replace(state, folder=folder)


def _evaluate(state: _Walk) -> _Walk:
    assert state.folder is not None
    print(table(evaluate(state.folder), samples=True))
    return state


def _export(state: _Walk) -> _Walk:
    assert state.folder is not None
    formats = state.ask.several("Which formats?", _FORMATS, state.recipe.export.to)
    if formats:
        for artefact in export(state.folder, formats):
            print(f"{artefact.path} ({size(artefact.bytes)})")
    print(f"\nEverything of this run is in {state.folder.path}.")
    return state
