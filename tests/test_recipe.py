import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft import recipe
from tui_ft.errors import InputError

SMALL = '[model]\nid = "owner/name"\n[data]\npath = "train.jsonl"\n'


def test_only_model_and_data_are_required_and_only_they_are_pinned() -> None:
    assert recipe.loads(SMALL).pinned == {"model.id", "data.path"}


def test_what_was_left_out_stays_left_out() -> None:
    assert recipe.loads(recipe.dumps(recipe.loads(SMALL))).document() == {
        "model": {"id": "owner/name"},
        "data": {"path": "train.jsonl"},
    }


def test_a_changed_value_is_pinned_and_none_unpins_it() -> None:
    changed = recipe.loads(SMALL).with_values({"train.epochs": 2, "data.seed": 7})
    assert changed.train.epochs == 2
    assert "train.epochs" in changed.pinned
    assert "train.epochs" not in changed.with_values({"train.epochs": None}).pinned


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + "[train]\nepoch = 2", "train.epoch: unknown key\n  Did you mean train.epochs?"),
        (SMALL + "[trian]\nepochs = 2", "trian: unknown key\n  Did you mean train?"),
        (SMALL + '[train]\npacking = "yes"', "train.packing: should be 'auto', 'on' or 'off', not 'yes'"),
        (SMALL + "[train]\nlearning_rate = -1", "train.learning_rate: should be greater than 0, not -1"),
        (SMALL + "[train]\nlearning_rate = nan", "train.learning_rate: should be a finite number"),
        (SMALL + "[method]\nrank = 0", "method.rank: should be greater than or equal to 1"),
        ("[data]\npath = 'x'", "model: is missing"),
        ("[model]\nid = 3\n[data]\npath = 'x'", "model.id: should be a valid string, not 3"),
        ("x =", "not valid TOML"),
    ],
)
def test_mistakes_are_named_with_key_and_way_out(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe.loads(text, source="my.toml")
    assert message in str(caught.value)
    assert "my.toml" in str(caught.value)


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(InputError) as caught:
        recipe.loads(SMALL + '[train]\nepoch = 2\nmicro_batch = "x"\n[export]\nto = ["zip"]')
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("content", [b"\xff\xfe", b"caf\xe9 = 1"])
def test_a_file_that_is_not_text_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a text file"):
        recipe.load(path)


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no recipe at"):
        recipe.load(tmp_path / "none.toml")


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    given_paths = recipe.loads('[model]\nid="m"\n[data]\npath=["a.jsonl", "/b.jsonl", "hub:o/n"]')
    assert recipe.data_paths(given_paths, tmp_path) == (str(tmp_path / "a.jsonl"), "/b.jsonl", "hub:o/n")


def test_every_option_has_help_and_the_schema_knows_it() -> None:
    options = dict(recipe.options())
    assert all(option.description for key, option in options.items() if "." in key)
    schema = json.dumps(recipe.json_schema())
    assert all(f'"{key.split(".")[-1]}"' in schema for key in options)


@given(
    st.dictionaries(
        st.sampled_from([key for key, _ in recipe.options() if "." in key]),
        st.one_of(
            st.integers(),
            st.floats(),
            st.text(max_size=8),
            st.booleans(),
            st.lists(st.text(max_size=4), max_size=3),
        ),
        max_size=4,
    )
)
def test_any_value_is_taken_or_refused_with_its_key(changes: dict[str, object]) -> None:
    assert _taken_or_refused_with_key(changes)


def _taken_or_refused_with_key(changes: dict[str, object]) -> bool:
    try:
        changed = recipe.loads(SMALL).with_values(changes)
    except InputError as error:
        return all(problem.where for problem in error.problems)
    return recipe.loads(recipe.dumps(changed)) == changed


def test_help_needs_no_slow_library() -> None:
    script = (
        "import sys; from tui_ft.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'textual', 'pydantic', 'transformers', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(','.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("train.learning_rate", "2e-4", 2e-4),
        ("method.targets", '["q_proj", "v_proj"]', ["q_proj", "v_proj"]),
        ("train.gradient_checkpointing", "true", True),
        ("train.packing", "on", "on"),
        ("data.system", "12", "12"),
        ("train.epochs", "  ", None),
    ],
)
def test_typed_text_becomes_a_value(key: str, typed: str, value: object) -> None:
    assert recipe.value_from_text(key, typed) == value


def test_absolute_paths_make_a_recipe_work_from_anywhere(tmp_path: Path) -> None:
    given_recipe = recipe.loads(SMALL + 'validation_path = "v.jsonl"\n[evaluate]\nschema = "s.json"')
    absolute = recipe.with_absolute_paths(given_recipe, tmp_path)
    assert absolute.data.path == str(tmp_path / "train.jsonl")
    assert absolute.data.validation_path == str(tmp_path / "v.jsonl")
    assert absolute.evaluate.schema_ == str(tmp_path / "s.json")
    assert absolute.model.id == "owner/name"
