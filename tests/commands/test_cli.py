"""The command line's contract: one JSON object, exit codes, and one clear message for each wrong input."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_model

TICKETS = [
    {
        "messages": [
            {"role": "user", "content": f"Ticket {n}: the {what} does not work"},
            {"role": "assistant", "content": json.dumps({"category": what})},
        ]
    }
    for n in range(30)
    for what in ("printer", "invoice")
]


def tui_ft(*arguments: str | Path, home: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one command line without a terminal."""
    environment = {**os.environ, **env}
    if home is not None:
        environment["TUI_FT_HOME"] = str(home)
    return subprocess.run(
        [sys.executable, "-m", "tui_ft", *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment,
        check=False,
    )


def json_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one object on stdout."""
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, a data file and a recipe."""
    folder = tmp_path_factory.mktemp("place")
    tiny_model.make(folder / "model")
    (folder / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TICKETS))
    (folder / "recipe.toml").write_text('[model]\nid = "./model"\n[data]\npath = "tickets.jsonl"\n')
    return folder


def test_advice_takes_answers_and_gives_a_verdict(tmp_path: Path) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text('gap = "facts"\nknowledge = ["private"]\n')
    done = tui_ft("advise", "--answers", answers, "--json")
    document = json_of(done)
    assert (document["verdict"], done.returncode) == ("RAG", 1)
    assert document["reasons"]
    assert document["next_steps"]


def test_questions_are_listed() -> None:
    questions = json_of(tui_ft("advise", "--questions", "--json"))["questions"]
    assert len(questions) <= 12
    assert all(question["answers"] for question in questions)


def test_gpus_and_doctor_print_one_object() -> None:
    assert isinstance(json_of(tui_ft("gpus", "--json"))["gpus"], list)


def test_fit_by_name_without_a_gpu_or_a_hub() -> None:
    done = tui_ft("fit", "meta-llama/Llama-3.1-8B-Instruct", "--gpu", "rtx 4090", "--json")
    plans = {plan["method"]: plan for plan in json_of(done)["plans"]}
    assert done.returncode == 0
    assert plans["qlora"]["peak_bytes"] < plans["lora"]["peak_bytes"] < plans["full"]["peak_bytes"]


def test_nothing_fits_is_exit_code_one() -> None:
    assert tui_ft("fit", "meta-llama/Llama-3.1-8B-Instruct", "--vram", "2").returncode == 1


def test_check_reports_rows_and_findings(place: Path) -> None:
    done = tui_ft("check", place / "tickets.jsonl", "--model", place / "model", "--json")
    document = json_of(done)
    assert (document["rows"], document["shape"], done.returncode) == (60, "messages", 0)


def test_plan_has_the_contract_keys(place: Path) -> None:
    document = json_of(tui_ft("plan", place / "recipe.toml", "--json"))
    keys = {"method", "train", "steps", "tokens", "memory", "time", "money", "disk", "reasons"}
    assert keys <= document.keys()
    assert {"peak_bytes", "parts", "band", "fits"} <= document["memory"].keys()


def test_a_recipe_is_copied_but_never_over_a_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    assert tui_ft("recipe", "new", "demo", mine).returncode == 0
    assert tui_ft("recipe", "check", mine).returncode == 0
    again = tui_ft("recipe", "new", "demo", mine)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_the_schema_is_published() -> None:
    assert json_of(tui_ft("recipe", "schema"))["title"] == "Recipe"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["trian"], 2, "did you mean train?"),
        (["check", "nothing.jsonl"], 2, "nothing.jsonl"),
        (["plan", "nothing.toml"], 2, "there is no recipe"),
        (["plan", "dem"], 2, "Did you mean demo?"),
        (["recipe", "new", "dmo", "x.toml"], 2, "Did you mean demo?"),
        (["show", "nothing"], 2, "there are no runs yet"),
        (["fit", "HuggingFaceTB/SmolLM2-135M-Instrukt", "--vram", "8"], 2, "Did you mean"),
        (["fit", "meta-llama/Llama-3.1-8B-Instruct", "--gpu", "RTX 9999"], 2, "RTX 9999"),
        (["fit", "meta-llama/Llama-3.1-8B-Instruct"], 2, "this box has no GPU"),
        (["--json"], 2, "no JSON form"),
        ([], 2, "there is no terminal"),
    ],
)
def test_wrong_input_has_one_message_and_its_exit_code(
    arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    done = tui_ft(*arguments, home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def _recipe(place: Path, name: str, **replaced: str) -> Path:
    path = place / f"{name}.toml"
    path.write_text(
        f'[model]\nid = "{replaced.get("model", "./model")}"\n'
        f'[data]\npath = "{replaced.get("data", "tickets.jsonl")}"\n{replaced.get("more", "")}'
    )
    return path


def test_an_empty_file_is_named(place: Path) -> None:
    (place / "empty.jsonl").write_text("")
    done = tui_ft("plan", _recipe(place, "empty", data="empty.jsonl"))
    assert (done.returncode, "empty" in done.stderr) == (2, True)


def test_ten_rows_block_training_with_the_way_out(place: Path, tmp_path: Path) -> None:
    (place / "ten.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TICKETS[:10]))
    done = tui_ft("train", _recipe(place, "ten", data="ten.jsonl"), home=tmp_path / "home")
    assert done.returncode == 2
    assert "too-few-rows" in done.stderr
    assert not (tmp_path / "home" / "runs").exists()


def test_a_broken_line_is_named_with_file_and_line(place: Path) -> None:
    rows = [json.dumps(row) for row in TICKETS]
    rows[6] = rows[6][:40]
    (place / "broken.jsonl").write_text("\n".join(rows) + "\n")
    done = tui_ft("check", place / "broken.jsonl", "--json")
    lines = [example["line"] for f in json_of(done)["findings"] for example in f["examples"]]
    assert (done.returncode, 7 in lines) == (1, True)


def test_a_folder_without_weights_is_named(place: Path) -> None:
    (place / "bare").mkdir(exist_ok=True)
    done = tui_ft("plan", _recipe(place, "bare", model="./bare"))
    assert (done.returncode, "bare" in done.stderr) == (2, True)


def test_a_home_that_cannot_be_written_to_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    done = tui_ft("train", place / "recipe.toml", home=tmp_path / "home")
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert "--home" in done.stderr or "cannot write" in done.stderr


@pytest.mark.train
def test_the_whole_way(place: Path, tmp_path: Path) -> None:
    """Train, show, evaluate, merge, stop what is over: each through the command line."""
    home = tmp_path / "home"
    recipe = _recipe(
        place, "whole", more="[train]\nmax_steps = 4\n[evaluate]\nmax_new_tokens = 8\nmax_rows = 4"
    )
    done = tui_ft("train", recipe, "--follow", "--json", home=home)
    assert done.returncode == 0, done.stderr
    run = json_of(done)["run"]
    shown = json_of(tui_ft("show", run, "--json", home=home))
    assert (shown["state"], shown["step"], shown["steps"]) == ("finished", 4, 4)
    assert json_of(tui_ft("runs", "--json", home=home))["runs"][0]["run"] == run
    evaluated = tui_ft("eval", run, "--json", home=home)
    assert json_of(evaluated).keys() >= {"rows", "base", "tuned", "difference", "verdict"}, evaluated.stderr
    merged = tui_ft("merge", run, "--json", home=home)
    assert [Path(e["path"]).name for e in json_of(merged)["exports"]] == ["merged"], merged.stderr
    over = tui_ft("stop", run, home=home)
    assert (over.returncode, "there is nothing to stop" in over.stderr) == (2, True)
    again = tui_ft("resume", run, home=home)
    assert (again.returncode, "this run is finished" in again.stderr) == (2, True)
