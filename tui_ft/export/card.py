"""README.md of the merged model: what it is made of, what was measured, under which licence. Light."""

from __future__ import annotations

from tui_ft.evaluation.compare import show
from tui_ft.evaluation.metrics import METRICS
from tui_ft.evaluation.report import EvalReport
from tui_ft.export.check import Check
from tui_ft.planning.plan import Plan


def card(name: str, plan: Plan, licence: str | None, report: EvalReport | None, check: Check) -> str:
    """The text of the card. A licence that is not known is said to be unknown, never guessed."""
    method = plan.method
    how = "all weights" if method.name == "full" else f"{method.name}, rank {method.rank}"
    lines = [
        "---",
        f"base_model: {plan.model_id}",
        *([f"license: {licence}"] if licence else []),
        "---",
        "",
        f"# {name}",
        "",
        f"Fine-tuned from {plan.model_id} ({how}) on {plan.rows_train:,} rows with tui-ft.",
        f"Licence: that of the base model, {licence or 'which its folder does not name'}; "
        "the training data may add terms of its own.",
        "",
        "## Measured",
        "",
    ]
    if report is None:
        lines.append("Not evaluated yet: `tui-ft eval` compares base and tuned model on unseen rows.")
    else:
        lines += [
            f"{report.sentence} Base and tuned model on {report.rows} unseen rows:",
            "",
            "| | base | tuned |",
            "|---|---|---|",
            *(
                f"| {METRICS[key].title} | {show(key, report.base[key])} | {show(key, report.tuned[key])} |"
                for key in report.difference
            ),
        ]
    lines += ["", "## Checked", "", f"Merged weights against the trained ones: {check.summary}.", ""]
    return "\n".join(lines)
