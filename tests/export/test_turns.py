"""Chat templates as turns, and as Ollama's Go templates, against the templates themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.conftest import shipped_templates
from tests.export.go_template import execute
from tui_ft.data.rows import Message
from tui_ft.export import turns
from tui_ft.export.ollama import go_template, modelfile, without
from tui_ft.models.tokenizer import ChatTokenizer

TEMPLATES = shipped_templates()
# What the README of a wizard must be able to promise.
MUST = (
    "gemma", "gemma3", "llama3", "llama3_1", "llama3_2", "phi3", "qwen2_5", "qwen3", "qwen3_instruct_2507",
    "deepseek_r1_distill", "gptoss", "lfm2",
)  # fmt: skip
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + '</s>' }}{% else %}{{ raise_exception('Only user and assistant') }}"
    "{% endif %}{% endfor %}"
)
NUMBERED = (
    "{% for m in messages %}{{ loop.index }}. {{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
CONVERSATIONS = [
    ["Hello."],
    ["What is 2 + 2?", "4", "And 3 + 3?"],
    ["{{ .Role }} {% x %}", "}}", '"""', "b", "c"],
]


def conversation(contents: list[str], system: str = "") -> list[Message]:
    """User and assistant in turn, behind a system message."""
    messages = [Message(role=("user", "assistant")[i % 2], content=text) for i, text in enumerate(contents)]
    return [Message(role="system", content=system), *messages] if system else messages


@pytest.mark.parametrize("name", [*TEMPLATES, "mistral", "chatml"])
def test_what_is_found_writes_what_the_template_writes(name: str, tokenizer: ChatTokenizer) -> None:
    source = {**TEMPLATES, "mistral": MISTRAL, "chatml": tokenizer.template or ""}[name]
    with_template = tokenizer.with_template(source)
    found = turns.find(with_template)
    if found is None:
        assert name not in MUST
        return
    go = go_template(found)
    for contents in CONVERSATIONS:
        for system in ("", "Be brief.\nAlways.") if found.takes_system else ("",):
            messages = conversation(contents, system)
            expected = with_template.render(messages, None, True)
            assert found.render(messages) == expected
            if go is not None:
                assert execute(go, messages) == expected


def test_most_real_templates_are_found(tokenizer: ChatTokenizer) -> None:
    real = [name for name in TEMPLATES if not name.endswith("_training")]
    found = [name for name in real if turns.find(tokenizer.with_template(TEMPLATES[name]))]
    assert len(found) >= 0.85 * len(real)


@pytest.mark.parametrize(
    "source",
    [NUMBERED, "{{ messages[-1]['content'] }}", "{{ raise_exception('no') }}", "", "{{ messages | length }}"],
)
def test_other_templates_are_left_alone(source: str, tokenizer: ChatTokenizer) -> None:
    assert turns.find(tokenizer.with_template(source)) is None


def test_a_default_system_message_is_found(tokenizer: ChatTokenizer) -> None:
    found = turns.find(tokenizer.with_template(TEMPLATES["qwen2_5"]))
    assert found is not None
    assert found.default_system is not None
    assert found.default_system.startswith("You are Qwen")


def test_a_system_message_folded_into_the_first_question(tokenizer: ChatTokenizer) -> None:
    found = turns.find(tokenizer.with_template(TEMPLATES["gemma3"]))
    assert found is not None
    assert (found.system, found.joint, found.takes_system) == (None, "\n\n", True)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda text: f"<{text}>"))
def test_any_turn_markers_are_quoted_right(marker: str) -> None:
    around = turns.Around(marker, f"{marker}|")
    found = turns.Turns(marker, around, "", None, around, around, f"{marker}>")
    go = go_template(found)
    if '"""' in marker:
        assert go is None
    elif go is not None:
        messages = conversation(["one", "two", "three"], "four")
        assert execute(go, messages) == found.render(messages)


def test_the_first_token_is_not_written_twice(tokenizer: ChatTokenizer) -> None:
    llama = turns.find(tokenizer.with_template(TEMPLATES["llama3"]))
    dated = turns.find(tokenizer.with_template(TEMPLATES["llama3_1"]))
    assert llama is not None
    assert dated is not None
    bos = tokenizer.special_tokens["bos_token"]
    for found in (llama, dated):
        plain = found.render(conversation(["Hello."]))
        assert plain.startswith(bos)
        assert without(bos, found).render(conversation(["Hello."])) == plain.removeprefix(bos)
        assert without("", found) == found


def test_the_modelfile(tokenizer: ChatTokenizer) -> None:
    found = turns.find(tokenizer)
    text = modelfile(
        "../gguf-q8_0/x-Q8_0.gguf", found, stops=["<|im_end|>", "<|eot|>"], system='Say "yes".', temperature=0
    )
    assert text.startswith("FROM ../gguf-q8_0/x-Q8_0.gguf\n")
    assert 'TEMPLATE """{{ range' in text
    assert text.count("PARAMETER stop ") == 2
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert 'SYSTEM """Say "yes"."""' in text
    assert "PARAMETER temperature 0\n" in text


def test_an_unknown_template_is_left_out_and_said_to_be() -> None:
    text = modelfile("x.gguf", None, stops=["</s>"])
    assert "TEMPLATE " not in text.replace("# No TEMPLATE", "")
    assert "# No TEMPLATE" in text


def test_a_system_prompt_that_cannot_be_quoted_is_said_to_be_missing() -> None:
    for system in ('Say """', 'Say "yes"'):
        text = modelfile("x.gguf", None, stops=[], system=system)
        assert "SYSTEM" not in text
        assert "cannot be quoted" in text


def test_a_template_that_cannot_be_quoted_is_left_out(tokenizer: ChatTokenizer) -> None:
    found = turns.find(tokenizer)
    assert found is not None
    assert go_template(replace(found, opening='"""')) is None
    assert go_template(replace(found, prompt='says "')) is None
