"""The way through the wizard by keyboard alone, at 80×24: forward, back, wrong input, resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tui_ft.screens import draft as drafts
from tui_ft.screens.shell import TuiFt

from tests.screens import sample_wizard
from tests.screens.pilot import (
    SMALL,
    data_file,
    draft,
    make_app,
    model_folder,
    page,
    place,
    press,
    running,
    settled,
    shown,
    text_of,
    type_text,
    until,
)
from tui_ft.errors import InputError
from tui_ft.settings import Home


async def test_the_first_start_greets_and_offers_ways_in(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        assert place(pilot) == "welcome"
        for way in ("Start", "From a recipe", "Just show me", "Runs"):
            assert way in shown(pilot)
        assert "Go on" not in shown(pilot)


async def test_every_answer_is_kept_when_going_back(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        await press(pilot, "enter", "down", "enter")
        answers = dict(draft(pilot).answers)
        assert answers == {"gap": "form"}
        await press(pilot, "space", "down", "space", "enter")
        await press(pilot, "escape", "escape")
        assert "What is wrong with the answers" in shown(pilot)
        assert "● The facts are right" in shown(pilot)
        await press(pilot, "enter")
        assert shown(pilot).count("[x]") == 2


async def test_i_dont_know_excludes_the_other_answers(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        await press(pilot, "enter", "down", "enter", "space", "end", "space")
        assert shown(pilot).count("[x]") == 1
        await press(pilot, "home", "space")
        assert shown(pilot).count("[x]") == 1


async def test_no_is_an_answer_and_going_on_is_asked_and_recorded(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        await press(pilot, "enter", "enter", "v")
        assert place(pilot) == "verdict"
        assert "Advice: RAG" in text_of(pilot, "#facts")
        await press(pilot, "enter")
        assert "Train all the same?" in shown(pilot)
        await press(pilot, "enter")  # the safe answer is marked
        assert place(pilot) == "verdict"
        await press(pilot, "enter", "y")
        assert place(pilot) == "hardware"
        decision = draft(pilot).document()["decision"]
        assert decision["overridden"] is True
        assert decision["verdict"] == "RAG"


async def test_the_advice_can_be_written_down(tmp_path: Path) -> None:
    async with running(make_app(tmp_path / "home")) as pilot:
        await press(pilot, "enter", "enter", "v", "w")
        await press(pilot, "ctrl+u")
        await type_text(pilot, str(tmp_path / "advice.txt"))
        await press(pilot, "enter")
    assert "Advice: RAG" in (tmp_path / "advice.txt").read_text()


async def test_a_price_must_be_a_number(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        await press(pilot, "g", "2", "p")
        await type_text(pilot, "cheap")
        await press(pilot, "enter")
        assert "Type a number" in shown(pilot)
        await press(pilot, *["backspace"] * 5)
        await type_text(pilot, "0.55")
        await press(pilot, "enter")
        assert "$0.55/h" in shown(pilot)


async def test_a_step_that_is_closed_says_why(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        await press(pilot, "g", "5")
        await until(pilot, lambda: "Choose a model first" in shown(pilot))
        assert place(pilot) == "welcome"


async def test_a_wrong_model_name_is_explained_and_the_right_one_taken(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    async with running(make_app(tmp_path / "home")) as pilot:
        await press(pilot, "g", "3")
        await type_text(pilot, "Qwen/Qwen3-0.6C")
        await press(pilot, "enter")
        assert place(pilot) == "pick-model"
        assert "Did you mean" in shown(pilot)
        await press(pilot, "ctrl+u")
        await type_text(pilot, str(tmp_path / "nowhere"))
        await press(pilot, "enter")
        assert place(pilot) == "pick-model"
        await press(pilot, "ctrl+u")
        await type_text(pilot, str(folder))
        await press(pilot, "enter")
        assert place(pilot) == "model"
        assert "LlamaForCausalLM" in shown(pilot)


async def test_the_marked_model_is_the_one_that_is_taken(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        await press(pilot, "g", "3", "down", "down", "enter")
        assert place(pilot) == "model"
        chosen = draft(pilot).model_id
        assert chosen.rpartition("/")[2] in text_of(pilot, "#facts")
        await press(pilot, "c")
        assert place(pilot) == "pick-model"
        await press(pilot, "escape")
        assert place(pilot) == "model"


async def with_model(tmp_path: Path) -> Home:
    """A home whose wizard was left before the data."""
    home = Home(tmp_path / "home")
    left = drafts.Draft(place="pick-data", reached=3, recipe={"model": {"id": str(model_folder(tmp_path))}})
    assert drafts.save(left, home) is None
    return home


async def test_data_that_is_not_there_or_empty_gets_one_clear_message(tmp_path: Path) -> None:
    home = await with_model(tmp_path)
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    async with running(make_app(home.root)) as pilot:
        for path, what in ((tmp_path / "missing.jsonl", "no such file"), (empty, "empty")):
            await press(pilot, "ctrl+u")
            await type_text(pilot, str(path))
            await press(pilot, "enter")
            assert place(pilot) == "pick-data"
            assert what in shown(pilot)
            assert "✗" in shown(pilot)


async def test_from_a_file_to_its_report_and_preview(tmp_path: Path) -> None:
    home = await with_model(tmp_path)
    path = data_file(tmp_path)
    async with running(make_app(home.root)) as pilot:
        await type_text(pilot, f"{path.parent}/")
        await until(pilot, lambda: "tickets.jsonl" in shown(pilot))
        await press(pilot, "down", "enter")
        assert place(pilot) == "data"
        report = text_of(pilot, "#facts")
        assert "80 rows" in report
        assert "prompt and answer pairs" in report
        assert "are JSON" in report
        await press(pilot, "p")
        assert "underlined is learned" in shown(pilot)
        await press(pilot, "right", "escape")
        assert place(pilot) == "data"


async def test_findings_that_block_are_opened_to_their_rows_and_accepted(tmp_path: Path) -> None:
    home = await with_model(tmp_path)
    path = data_file(tmp_path)
    with path.open("a") as file:
        file.write('{"prompt": "torn\n')
    async with running(make_app(home.root)) as pilot:
        await type_text(pilot, str(path))
        await press(pilot, "enter")
        assert place(pilot) == "data"
        await press(pilot, "enter")
        assert place(pilot) == "data"
        assert "mended or accepted" in shown(pilot)
        await press(pilot, "f")
        await until(pilot, lambda: "Findings" in shown(pilot))
        await press(pilot, "enter")
        await until(pilot, lambda: "tickets.jsonl:81" in shown(pilot))
        await press(pilot, "escape", "escape", "a", "y")
        assert draft(pilot).value("data.ignore") == ["unparseable"]
        assert "accepted" in text_of(pilot, "#facts")


async def test_the_mapping_is_corrected(tmp_path: Path) -> None:
    home = await with_model(tmp_path)
    path = data_file(tmp_path)
    async with running(make_app(home.root)) as pilot:
        await type_text(pilot, str(path))
        await press(pilot, "enter", "m")
        await until(pilot, lambda: "What is a row?" in shown(pilot))
        await press(pilot, "enter")
        await until(pilot, lambda: "Which column is the prompt?" in shown(pilot))
        await press(pilot, "home", "enter")
        await until(pilot, lambda: "Which column is the completion?" in shown(pilot))
        await press(pilot, "enter", "home", "enter", "home", "enter")
        columns = draft(pilot).value("data.columns")
        assert set(columns) == {"prompt", "completion"}


async def test_leaving_at_any_place_and_coming_back_there(tmp_path: Path) -> None:
    home = await with_model(tmp_path)
    path = data_file(tmp_path)
    async with running(make_app(home.root)) as pilot:
        await type_text(pilot, str(path))
        await press(pilot, "enter")
        assert place(pilot) == "data"
        await pilot.press("ctrl+c")
    async with running(make_app(home.root)) as pilot:
        assert place(pilot) == "data"
        assert "80 rows" in text_of(pilot, "#facts")
        await press(pilot, "escape")
        assert place(pilot) == "model"


async def test_a_session_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "session.toml").write_text("place = [\x00")
    async with running(make_app(tmp_path)) as pilot:
        assert place(pilot) == "welcome"
    assert (tmp_path / "session.unreadable.toml").exists()


async def test_a_home_that_refuses_is_said_once_and_does_not_stop_anybody(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    async with running(make_app(blocked / "home")) as pilot:
        await press(pilot, "enter", "enter")
        assert place(pilot) == "question"
        assert "Question 2" in shown(pilot)


async def test_below_80_by_24_there_is_a_notice_and_nothing_is_lost(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        await press(pilot, "enter", "down")
        await pilot.resize_terminal(70, 20)
        await settled(pilot)
        assert "tui-ft needs 80×24" in shown(pilot)
        assert "Question" not in shown(pilot)
        await pilot.resize_terminal(*SMALL)
        await settled(pilot)
        assert "● The facts are right" in shown(pilot)


async def test_every_page_shows_its_key_card(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        for step in "123":
            await press(pilot, "g", step, "f1")
            assert "Keys ·" in shown(pilot)
            await press(pilot, "escape")
            if page(pilot).place == "pick-model":
                break


async def test_remapped_keys_work_and_are_shown(tmp_path: Path) -> None:
    tmp_path.joinpath("keys.toml").write_text('"welcome.runs" = "x"\n"no.such" = "y"\n')
    async with running(make_app(tmp_path)) as pilot:
        assert "x runs" in shown(pilot)
        await press(pilot, "x")
        assert place(pilot) == "runs"


async def test_a_recipe_opens_at_its_plan_and_edits_are_worked_out_at_once(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        f'name = "mine"\n[model]\nid = "{model_folder(tmp_path)}"\n[data]\npath = "data/tickets.jsonl"\n'
    )
    data_file(tmp_path)
    async with running(make_app(tmp_path / "home", recipe=recipe)) as pilot:
        assert place(pilot) == "plan"
        assert "SAFE" in text_of(pilot, "#summary")
        await press(pilot, "down", "e")
        await until(pilot, lambda: "method.rank" in shown(pilot))
        await type_text(pilot, "many")
        await press(pilot, "enter")
        assert "should be" in shown(pilot)
        await press(pilot, "ctrl+u")
        await type_text(pilot, "32")
        await press(pilot, "enter")
        await until(pilot, lambda: "was 16" in shown(pilot) or "was 8" in shown(pilot))
        assert draft(pilot).value("method.rank") == 32
        await press(pilot, "u")
        assert draft(pilot).value("method.rank") is None
        await press(pilot, "w", "ctrl+u")
        await type_text(pilot, str(tmp_path / "saved"))
        await press(pilot, "enter")
        await until(pilot, lambda: "Written to" in shown(pilot))
    assert 'name = "mine"' in (tmp_path / "saved.toml").read_text()


async def test_every_option_of_a_recipe_can_be_reached(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'[model]\nid = "{model_folder(tmp_path)}"\n[data]\npath = "data/tickets.jsonl"\n')
    data_file(tmp_path)
    async with running(make_app(tmp_path / "home", recipe=recipe)) as pilot:
        await press(pilot, "o")
        await until(pilot, lambda: "All options" in shown(pilot))
        await press(pilot, "enter")
        await until(pilot, lambda: "model.revision" in shown(pilot))
        await press(pilot, "escape")
        assert place(pilot) == "plan"


def test_a_wrong_recipe_is_told_before_the_screen_opens(tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.toml"
    recipe.write_text('[model]\nid = "a/b"\n[data]\npath = "x"\n[train]\nepoch = 3\n')
    with pytest.raises(InputError, match="epochs"):
        make_app(tmp_path / "home", recipe=recipe)


async def test_turning_a_knob_tells_its_effect_first_and_works_it_out(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'[model]\nid = "{model_folder(tmp_path)}"\n[data]\npath = "data/tickets.jsonl"\n')
    data_file(tmp_path)
    async with running(make_app(tmp_path / "home", recipe=recipe)) as pilot:
        await press(pilot, "down")
        assert "← 8" in text_of(pilot, "#why")
        assert "→ 32" in text_of(pilot, "#why")
        await press(pilot, "right")
        await until(pilot, lambda: "was 16" in shown(pilot))
        assert draft(pilot).value("method.rank") == 32
        assert "← 16" in text_of(pilot, "#why")
        await press(pilot, "c")
        await until(pilot, lambda: "one more epoch" in shown(pilot))
        await press(pilot, "escape", "p")
        await type_text(pilot, "0.5")
        await press(pilot, "enter")
        await until(pilot, lambda: "money $" in text_of(pilot, "#summary"))
    assert "0.5" in (tmp_path / "home" / "prices.toml").read_text()


def _planning(home: Path, values: dict[str, object]) -> TuiFt:
    """The plan page of an 8B model on a card of 24 GB, with these values of the recipe."""
    app = sample_wizard.wizard(home, "plan")
    app.draft = app.draft.with_values({"data.ignore": ["unparseable"], **values})
    app.draft = replace(app.draft, report=sample_wizard.report())
    return app


async def test_another_way_takes_the_place_of_the_plan(tmp_path: Path) -> None:
    async with running(_planning(tmp_path, {"method.name": "lora"})) as pilot:
        await press(pilot, "a")
        await until(pilot, lambda: "Other ways to do it" in shown(pilot))
        before = draft(pilot).plan
        assert before is not None
        assert before.alternatives[0].title == "safest"
        await press(pilot, "down", "enter")
        await until(pilot, lambda: draft(pilot).plan not in (None, before))
        after = draft(pilot).plan
        assert after is not None
        assert after.memory.peak_bytes < before.memory.peak_bytes


async def test_a_plan_that_does_not_fit_is_not_started_and_shows_the_way_out(tmp_path: Path) -> None:
    async with running(_planning(tmp_path, {"method.name": "full"})) as pilot:
        assert "WON'T FIT" in text_of(pilot, "#summary")
        assert "f make it fit" in shown(pilot)
        await press(pilot, "enter")
        assert "not started" in shown(pilot)
        await press(pilot, "f")
        await until(pilot, lambda: "Make it fit" in shown(pilot))
        await press(pilot, "enter")
        await until(pilot, lambda: "SAFE" in text_of(pilot, "#summary"))
        assert "a other ways" in shown(pilot)


async def test_a_limit_is_tried_out_on_the_lengths_and_taken(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'[model]\nid = "{model_folder(tmp_path)}"\n[data]\npath = "data/tickets.jsonl"\n')
    data_file(tmp_path)
    async with running(make_app(tmp_path / "home", recipe=recipe)) as pilot:
        await press(pilot, "g", "4")
        assert "chosen by the plan" in text_of(pilot, "#facts")
        await press(pilot, "right")
        assert "64 tokens cut nothing" in text_of(pilot, "#facts")
        assert draft(pilot).value("train.seq_len") is None
        await press(pilot, "l")
        assert draft(pilot).value("train.seq_len") == 64
        await press(pilot, "l")
        assert draft(pilot).value("train.seq_len") is None


async def test_a_repaired_copy_takes_the_place_of_the_data(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'[model]\nid = "{model_folder(tmp_path)}"\n[data]\npath = "data/tickets.jsonl"\n')
    data_file(tmp_path)
    broken = tmp_path / "data" / "tickets.jsonl"
    broken.write_text('{"prompt": "Hi", "completion": ""}\n' + broken.read_text())
    before = broken.read_bytes()
    async with running(make_app(tmp_path / "home", recipe=recipe)) as pilot:
        await press(pilot, "g", "4")
        assert "must be mended" in text_of(pilot, "#facts")
        await press(pilot, "r")
        await until(pilot, lambda: "What can be repaired" in shown(pilot))
        assert "Drop 1 row with an empty answer." in shown(pilot)
        assert "the row is left out" in text_of(pilot, "#difference")
        await press(pilot, "enter")
        await until(pilot, lambda: "Write the repaired copy to" in shown(pilot))
        await press(pilot, "enter")
        await until(pilot, lambda: "tickets.repaired.jsonl" in text_of(pilot, "#facts"))
        assert "must be mended" not in text_of(pilot, "#facts")
    assert broken.read_bytes() == before
    assert (tmp_path / "data" / "tickets.repaired.jsonl.log.jsonl").is_file()
