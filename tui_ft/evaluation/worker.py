"""The evaluation process: `python -m tui_ft.evaluation.worker RUN_DIR`. Starts light; torch comes later."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tui_ft.evaluation import metrics, report
from tui_ft.evaluation.job import Session, run
from tui_ft.evaluation.rows import UnseenRows, read
from tui_ft.evaluation.weights import tokenizer_of, tuned_folder
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.text import count


def main(argv: Sequence[str]) -> int:
    """Evaluate the run in this process; returns the exit code. Nothing is raised."""
    parser = argparse.ArgumentParser(prog="python -m tui_ft.evaluation.worker")
    parser.add_argument("run", type=Path, help="folder of the run")
    return run(parser.parse_args(argv).run, "evaluate", evaluate)


def evaluate(session: Session) -> str:
    """Answer the unseen rows with both models, compare, and save the report; returns the verdict's sentence.

    Raises TuiFtError subclasses for what a user can mend, Stopped when asked to stop.
    """
    folder = session.folder
    session.phase("reading the unseen rows")
    recipe, plan = folder.read_recipe(), folder.read_plan()
    schema = metrics.read_schema(Path(recipe.evaluate.schema_)) if recipe.evaluate.schema_ else None
    tokenizer = tokenizer_of(plan)
    tuned_folder(folder, plan)
    unseen = read(
        folder,
        tokenizer,
        seq_len=plan.train.seq_len,
        most=recipe.evaluate.max_rows,
        seed=recipe.data.seed,
    )
    references = [row.reference for row in unseen.rows if row.prompt_ids is not None]
    choice = metrics.choose(references, recipe.evaluate.metrics, schema=schema is not None)
    limit = longest_answer(recipe, references, tokenizer)
    answers, seconds = _answers(session, plan, recipe, unseen, tokenizer, limit)
    compared = [
        report.Compared(
            row.row_id, row.file, row.line, row.prompt, row.reference, row.answer_tokens, base, tuned
        )
        for row, base, tuned in zip(unseen.rows, answers["base"], answers["tuned"], strict=True)
    ]
    setting = _setting(plan, unseen, limit)
    found = report.build(
        compared,
        choice,
        setting,
        schema=schema,
        samples=recipe.evaluate.samples,
        seconds=seconds,
        seed=recipe.data.seed,
    )
    report.save(folder.evaluation, found, compared)
    session.event("evaluation", verdict=found.verdict, rows=found.rows, text=found.sentence)
    return found.sentence


def longest_answer(recipe: Recipe, references: Sequence[str], tokenizer: ChatTokenizer) -> int:
    """How many tokens an answer may take: what the recipe says, else room for the longest expected one.

    Half as much again plus 16 tokens: an answer that runs on beyond that is wrong already, and waiting
    for it would take most of the time.
    """
    most = recipe.evaluate.max_new_tokens
    if "evaluate.max_new_tokens" in recipe.pinned or not references:
        return most
    return min(most, int(1.5 * max(tokenizer.lengths(references))) + 16)


def _answers(
    session: Session,
    plan: Plan,
    recipe: Recipe,
    unseen: UnseenRows,
    tokenizer: ChatTokenizer,
    limit: int,
) -> tuple[dict[str, list[report.Answer]], dict[str, float]]:
    session.phase("loading the models")
    from tui_ft.evaluation.generate import answer_rows
    from tui_ft.evaluation.loading import Models, Which

    models = Models(session.folder, plan, recipe)
    answers: dict[str, list[report.Answer]] = {}
    seconds: dict[str, float] = {}
    order: tuple[Which, ...] = ("base", "tuned")
    for which in order:
        with models.use(which) as model:
            session.phase(f"answering with the {which} model", total=len(unseen.rows))
            began = time.monotonic()
            answers[which] = answer_rows(
                model,
                unseen.rows,
                tokenizer,
                max_new_tokens=limit,
                progress=session.progress,
                check=session.check,
            )
            seconds[which] = time.monotonic() - began
        session.event(
            "answered",
            model=which,
            seconds=round(seconds[which], 2),
            text=f"{count(len(unseen.rows), 'row')} answered by the {which} model in {seconds[which]:.0f} s",
        )
    return answers, seconds


def _setting(plan: Plan, unseen: UnseenRows, limit: int) -> report.Setting:
    notes: list[Any] = [*unseen.notes]
    if plan.method.name == "qlora":
        notes.append(
            "Both models ran on the 4-bit base, as in training; merged into 16 bits they may differ."
        )
    return report.Setting(
        split=unseen.split,
        rows_available=unseen.available,
        max_new_tokens=limit,
        precision="4-bit nf4" if plan.method.name == "qlora" else plan.train.precision,
        device=plan.device_name,
        notes=tuple(notes),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
