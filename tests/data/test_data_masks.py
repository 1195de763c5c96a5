"""What is learned is proven: on every chat template that trl ships, on ChatML, on plain prompts and texts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.samples import CHATML, Family, chat, trl_template, write_tokenizer
from tui_ft.data.layout import Refused, lay_out, prompt_text
from tui_ft.data.masks import Encoded, encode, encode_rows, prove, trained_runs
from tui_ft.data.rows import Message, Row, Unusable
from tui_ft.models.tokenizer import ChatTokenizer

SINGLE = chat(("user", "What is 2+2?"), ("assistant", "It is 4."))
MULTI = chat(
    ("user", "What is 2+2?"),
    ("assistant", "It is 4."),
    ("user", "And 3+3?"),
    ("assistant", "That makes 6."),
)
SYSTEM = chat(("system", "Be terse."), ("user", "What is 2+2?"), ("assistant", "It is 4."))

_IM_END = ("<|im_end|>",)
# `keeps`: the template writes earlier answers as they were given, so all are learned.
FAMILIES = {
    family.name: (family, keeps)
    for family, keeps in [
        (Family("cohere", ("<|END_OF_TURN_TOKEN|>",), "<|END_OF_TURN_TOKEN|>", "<BOS_TOKEN>"), True),
        (Family("cohere2", ("<|END_OF_TURN_TOKEN|>",), "<|END_OF_TURN_TOKEN|>", "<BOS_TOKEN>"), True),
        (Family("gemma", ("<end_of_turn>", "<eos>"), "<eos>", "<bos>"), True),
        (Family("gemma3", ("<end_of_turn>", "<eos>"), "<eos>", "<bos>"), True),
        (Family("gemma4", ("<turn|>", "<eos>"), "<eos>", "<bos>"), True),
        (Family("glm4moe", ("<|endoftext|>", "<|user|>", "<|observation|>"), "<|endoftext|>"), True),
        (Family("gptoss", ("<|return|>", "<|call|>"), "<|return|>", "<|startoftext|>"), False),
        (Family("lfm2", _IM_END, "<|im_end|>", "<|startoftext|>"), True),
        (Family("llama3", ("<|eot_id|>", "<|end_of_text|>"), "<|end_of_text|>", "<|begin_of_text|>"), True),
        (Family("llama3_1", ("<|eot_id|>", "<|eom_id|>"), "<|eot_id|>", "<|begin_of_text|>"), True),
        (Family("llama3_2", ("<|eot_id|>", "<|eom_id|>"), "<|eot_id|>", "<|begin_of_text|>"), True),
        (Family("muse_glimmer", ("<|eot|>",), "<|eot|>", "<|begin_of_text|>"), True),
        (Family("phi3", ("<|endoftext|>", "<|end|>"), "<|endoftext|>", "<s>"), True),
        (Family("phi3_5", ("<|endoftext|>", "<|end|>"), "<|endoftext|>", "<s>"), True),
        (Family("qwen2_5", (*_IM_END, "<|endoftext|>"), "<|im_end|>"), True),
        (Family("qwen3", (*_IM_END, "<|endoftext|>"), "<|im_end|>"), False),
        (Family("qwen3_instruct_2507", (*_IM_END, "<|endoftext|>"), "<|im_end|>"), True),
        (Family("qwen3_training", _IM_END, "<|im_end|>"), True),
        (Family("qwen3_5_think", _IM_END, "<|im_end|>"), False),
        (Family("qwen3_8", _IM_END, "<|im_end|>"), True),
        (
            Family(
                "deepseekv3", ("<｜end▁of▁sentence｜>",), "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"
            ),
            False,
        ),
        (
            Family(
                "deepseek_r1_distill",
                ("<｜end▁of▁sentence｜>",),
                "<｜end▁of▁sentence｜>",
                "<｜begin▁of▁sentence｜>",
            ),
            False,
        ),
        (Family("nemotron_3_nano", _IM_END, "<|im_end|>"), False),
        (Family("nemotron_3_super", _IM_END, "<|im_end|>"), False),
        (Family("qwen3_6", _IM_END, "<|im_end|>"), False),
        (Family("lfm2_v2", _IM_END, "<|im_end|>", "<|startoftext|>"), True),
        (Family("lfm2_2_5_v2", _IM_END, "<|im_end|>", "<|startoftext|>"), True),
        (Family("diffusion_gemma", ("<turn|>", "<eos>"), "<eos>", "<bos>"), True),
        (Family("qwen3_vl", _IM_END, "<|im_end|>"), True),
    ]
}
NO_SYSTEM = {"gemma"}
# Templates that write the thoughts before an answer.
REASONING = {
    "diffusion_gemma", "glm4moe", "gptoss", "lfm2_2_5_v2", "muse_glimmer", "nemotron_3_nano",
    "nemotron_3_super", "qwen3", "qwen3_5_think", "qwen3_6", "qwen3_8", "qwen3_training",
}  # fmt: skip
# Templates that refuse turns of which two belong to one side.
ALTERNATING = {"cohere", "cohere2", "gemma", "gemma3"}
_THOUGHTS = "Two and two make four, clearly."


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, ChatTokenizer]:
    """One of the chat families, with its tokenizer."""
    described, _ = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp(described.name)
    template = trl_template(described.name)
    return described.name, write_tokenizer(
        folder, template, stops=described.stops, eos=described.eos, bos=described.bos
    )


def learned(encoded: Encoded, tokenizer: ChatTokenizer) -> list[str]:
    return [tokenizer.decode(encoded.ids[begin:end]) for begin, end in trained_runs(encoded.trained)]


@pytest.mark.parametrize("row", [SINGLE, MULTI, SYSTEM], ids=["single", "multi", "system"])
def test_every_family_learns_answers_with_their_stop_token(
    family: tuple[str, ChatTokenizer], row: Row
) -> None:
    name, tokenizer = family
    if row is SYSTEM and name in NO_SYSTEM:
        with pytest.raises(Refused, match="refuses system messages") as caught:
            encode(row, tokenizer)
        assert caught.value.id == "system-refused"
        return
    encoded = encode(row, tokenizer)
    assert prove(encoded, row, tokenizer) == ()
    answers = [turn["content"] for turn in row.messages if turn["role"] == "assistant"]
    keeps = FAMILIES[name][1]
    expected = answers if keeps else answers[-1:]
    said = learned(encoded, tokenizer)
    assert len(said) == len(expected)
    for text, answer in zip(said, expected, strict=True):
        assert answer in text
        assert not any(turn["content"] in text for turn in row.messages if turn["role"] != "assistant")
    assert ("earlier-answers" in encoded.concerns) == (not keeps and row is MULTI)
    assert encoded.note == (
        "1 of 2 answers trained: the template rewrites the others" if encoded.note else ""
    )


def test_reasoning_is_learned_or_its_loss_is_told(family: tuple[str, ChatTokenizer]) -> None:
    name, tokenizer = family
    answer = Message(role="assistant", content="It is 4.", reasoning_content=_THOUGHTS)
    row = Row("1" * 16, "x", 1, (SINGLE.messages[0], answer))
    encoded = encode(row, tokenizer)
    assert prove(encoded, row, tokenizer) == ()
    (said,) = learned(encoded, tokenizer)
    assert (_THOUGHTS in said) == (name in REASONING)
    assert ("reasoning-dropped" in encoded.concerns) == (name not in REASONING)


def test_two_turns_of_one_side_are_refused_or_proven(family: tuple[str, ChatTokenizer]) -> None:
    name, tokenizer = family
    row = chat(("user", "What is 2+2?"), ("user", "And be brief."), ("assistant", "It is 4."))
    if name in ALTERNATING:
        with pytest.raises(Refused, match="alternat") as caught:
            encode(row, tokenizer)
        assert caught.value.id == "template-refuses"
        return
    encoded = encode(row, tokenizer)
    assert prove(encoded, row, tokenizer) == ()
    assert "It is 4." in learned(encoded, tokenizer)[0]


def _with_marks(template: str) -> str:
    """A template whose generation markers leave \\x02 and \\x03 in the text."""
    begun = re.sub(
        r"{%(-?)\s*generation\s*(-?)%}", lambda m: f"{{%{m[1]} if true {m[2]}%}}{{{{'\x02'}}}}", template
    )
    return re.sub(
        r"{%(-?)\s*endgeneration\s*(-?)%}", lambda m: f"{{{{'\x03'}}}}{{%{m[1]} endif {m[2]}%}}", begun
    )


def test_what_is_learned_lies_between_the_markers_of_the_training_template(
    family: tuple[str, ChatTokenizer],
) -> None:
    # trl marks by hand, in a second template, what a model says; here no template needs such marks.
    name, tokenizer = family
    try:
        marked = _with_marks(trl_template(f"{name}_training"))
    except FileNotFoundError:
        pytest.skip("trl ships no marked template of this family")
    with_marks = tokenizer.with_template(marked).render(MULTI.messages)
    said = "".join(re.findall("\x02(.*?)\x03", with_marks, re.DOTALL))
    own = lay_out(MULTI, tokenizer.with_template(trl_template(f"{name}_training")))
    assert own.spans
    for begin, end in own.spans:
        assert own.text[begin:end].strip() in said


def test_chatml_learns_exactly_the_answers(chatml: ChatTokenizer) -> None:
    encoded = encode(MULTI, chatml)
    assert learned(encoded, chatml) == ["It is 4.<|im_end|>", "That makes 6.<|im_end|>"]
    assert encoded.concerns == ()
    assert encoded.needed == len(encoded.ids) - 1  # all but the line break after the last stop token
    assert encoded.learned == sum(encoded.trained)
    assert encoded.prompt_length == len(chatml.encode(prompt_text(MULTI.messages[:1], chatml))[0])


def test_all_tokens_can_be_learned(chatml: ChatTokenizer) -> None:
    encoded = encode(SINGLE, chatml, loss_on="all")
    assert all(encoded.trained)
    assert encoded.prompt_length == 0


def test_loss_on_is_the_only_difference(chatml: ChatTokenizer) -> None:
    assert encode(SINGLE, chatml, loss_on="all").ids == encode(SINGLE, chatml).ids


def test_many_rows_are_encoded_as_one(chatml: ChatTokenizer) -> None:
    rows = [SINGLE, MULTI, Row("1" * 16, "x", 2, text="Words."), SYSTEM]
    assert list(encode_rows(rows, chatml)) == [encode(row, chatml) for row in rows]


def test_a_base_model_gets_prompt_and_completion_with_its_stop_token(base_model: ChatTokenizer) -> None:
    encoded = encode(SYSTEM, base_model)
    assert encoded.text == "<s>Be terse.\n\nWhat is 2+2?\nIt is 4.</s>"
    assert learned(encoded, base_model) == ["It is 4.</s>"]
    assert prove(encoded, SYSTEM, base_model) == ()
    assert encoded.ids.count(base_model.bos_id or -1) == 1


def test_a_prompt_that_ends_in_a_blank_keeps_its_tokens(base_model: ChatTokenizer) -> None:
    row = chat(("user", "Answer: "), ("assistant", "the printer"))
    encoded = encode(row, base_model)
    assert prove(encoded, row, base_model) == ()
    assert base_model.decode(encoded.ids) == encoded.text
    assert encoded.concerns == ()


def test_a_base_model_cannot_write_a_conversation(base_model: ChatTokenizer) -> None:
    with pytest.raises(Refused, match="no chat template") as caught:
        encode(MULTI, base_model)
    assert caught.value.id == "no-chat-template"
    refused = list(encode_rows([MULTI], base_model))
    assert refused == [Unusable("no-chat-template", "rows.jsonl", 1, caught.value.what)]


def test_plain_text_is_learned_whole_and_ends(base_model: ChatTokenizer, chatml: ChatTokenizer) -> None:
    row = Row("1" * 16, "x.txt", 1, text="the invoice is wrong")
    encoded = encode(row, base_model)
    assert encoded.text == "<s>the invoice is wrong</s>"
    assert encoded.trained == (False, *[True] * (len(encoded.ids) - 1))
    assert prove(encoded, row, base_model) == ()
    # ChatML's BOS begins turns, not texts: its tokenizer does not put it before plain text.
    assert encode(row, chatml).text == "the invoice is wrong<|im_end|>"


def write(folder: Path, template: str, *, eos: str | None = "</s>") -> ChatTokenizer:
    return write_tokenizer(folder, template, stops=["</s>"] if eos else [], eos=eos)


def test_a_template_without_a_stop_token_gets_one(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ '\n' + m.role + ': ' + m.content }}{% endfor %}"
    tokenizer = write(tmp_path, template + "{% if add_generation_prompt %}{{ '\nassistant: ' }}{% endif %}")
    encoded = encode(MULTI, tokenizer)
    assert encoded.text.endswith("That makes 6.</s>")
    assert learned(encoded, tokenizer) == ["That makes 6.</s>"]
    assert set(encoded.concerns) == {"stop-added", "earlier-answers"}
    assert prove(encoded, MULTI, tokenizer) == ()


def test_a_tokenizer_without_a_stop_token_is_refused(tmp_path: Path) -> None:
    tokenizer = write(tmp_path, "{% for m in messages %}{{ m.content }}{% endfor %}", eos=None)
    with pytest.raises(Refused, match="no end-of-text token"):
        encode(SINGLE, tokenizer)


def test_a_template_without_a_generation_prompt_learns_the_header_too(tmp_path: Path) -> None:
    tokenizer = write(
        tmp_path, "{% for m in messages %}{{ '[' + m.role + ']\n' + m.content + '</s>' }}{% endfor %}"
    )
    encoded = encode(MULTI, tokenizer)
    assert learned(encoded, tokenizer) == ["[assistant]\nIt is 4.</s>", "[assistant]\nThat makes 6.</s>"]
    assert prove(encoded, MULTI, tokenizer) == ()


def test_strict_alternation_is_refused_in_the_templates_words(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
        "{% endif %}{{ m.content }}</s>{% endfor %}"
    )
    row = chat(("user", "a"), ("assistant", "b"), ("tool", "c"), ("assistant", "d"))
    with pytest.raises(Refused, match="Conversation roles must alternate") as caught:
        encode(row, write(tmp_path, template))
    assert caught.value.id == "template-refuses"


@pytest.mark.parametrize(
    ("body", "concern"),
    [
        ("{{ m.role + '\n' + (m.content if m.role != 'system' else '') }}</s>", "system-dropped"),
        ("{{ m.role + '\n' + m.content.split('</think>')[-1] }}</s>", "answer-rewritten"),
        ("{{ m.role + '\n' + m.content }}</s>", "tools-dropped"),
    ],
)
def test_what_a_template_leaves_out_is_told(tmp_path: Path, body: str, concern: str) -> None:
    row = Row(
        "1" * 16,
        "x",
        1,
        (
            Message(role="system", content="Be terse."),
            Message(role="user", content="Tip?"),
            Message(role="assistant", content="<think>percent</think>Five."),
        ),
        tools=({"type": "function", "function": {"name": "tip"}},) if concern == "tools-dropped" else (),
    )
    tokenizer = write(tmp_path, "{% for m in messages %}" + body + "{% endfor %}")
    assert encode(row, tokenizer).concerns == (concern,)


def test_calls_of_tools_are_learned(tmp_path: Path) -> None:
    template = trl_template("qwen2_5")
    tokenizer = write_tokenizer(tmp_path, template, stops=_IM_END, eos="<|im_end|>")
    call = {"type": "function", "function": {"name": "tip", "arguments": {"bill": 5}}}
    row = Row(
        "1" * 16,
        "x",
        1,
        (
            Message(role="user", content="Tip for 5?"),
            Message(role="assistant", content="", tool_calls=[call]),
            Message(role="tool", content='{"tip": 1}'),
            Message(role="assistant", content="One."),
        ),
        tools=({"type": "function", "function": {"name": "tip", "parameters": {}}},),
    )
    encoded = encode(row, tokenizer)
    said = learned(encoded, tokenizer)
    assert '{"name": "tip", "arguments": {"bill": 5}}' in said[0]
    assert said[0].endswith("<|im_end|>")
    assert said[1] == "One.<|im_end|>"
    assert encoded.concerns == ()
    assert prove(encoded, row, tokenizer) == ()


def test_the_proof_notices_what_is_wrong(chatml: ChatTokenizer) -> None:
    good = encode(SINGLE, chatml)
    end = good.needed

    def changed(**parts: object) -> Encoded:
        values = {name: getattr(good, name) for name in Encoded.__slots__}
        return Encoded(**{**values, **parts})

    no_stop = changed(trained=tuple(on and i != end - 1 for i, on in enumerate(good.trained)))
    assert any("no stop token" in wrong for wrong in prove(no_stop, SINGLE, chatml))
    too_much = changed(trained=tuple(on or i == good.prompt_length - 1 for i, on in enumerate(good.trained)))
    assert any("not the prompt at inference" in wrong for wrong in prove(too_much, SINGLE, chatml))
    bos = (chatml.bos_id or 0,)
    twice = changed(ids=bos + good.ids, trained=(False, *good.trained))
    assert prove(twice, SINGLE, chatml)[0] == "begins with two BOS tokens"
    nothing = changed(trained=(False,) * len(good.ids))
    assert prove(nothing, SINGLE, chatml) == ("1 answers but 0 trained runs of tokens",)


_words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).filter(
    str.strip
)


@given(st.lists(st.tuples(_words, _words), min_size=1, max_size=3))
def test_any_text_keeps_the_promises(chatml: ChatTokenizer, exchanges: list[tuple[str, str]]) -> None:
    turns = [turn for ask, say in exchanges for turn in (("user", ask), ("assistant", say))]
    row = chat(*turns)
    encoded = encode(row, chatml)
    assert prove(encoded, row, chatml) == ()
    assert [text.removesuffix("<|im_end|>") for text in learned(encoded, chatml)] == [
        say for _, say in exchanges
    ]


@given(_words, _words)
def test_any_prompt_of_a_base_model_is_the_one_at_inference(
    base_model: ChatTokenizer, ask: str, say: str
) -> None:
    row = chat(("user", ask), ("assistant", say))
    encoded = encode(row, base_model)
    assert prove(encoded, row, base_model) == ()
    assert base_model.decode(encoded.ids) == encoded.text


def test_chatml_as_shipped_with_a_default_system_prompt(tmp_path: Path) -> None:
    default = "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are Smol<|im_end|>\n{% endif %}"
    tokenizer = write_tokenizer(tmp_path, default + CHATML, stops=_IM_END, eos="<|im_end|>")
    encoded = encode(SINGLE, tokenizer)
    assert encoded.text.startswith("<|im_start|>system\nYou are Smol")
    assert learned(encoded, tokenizer) == ["It is 4.<|im_end|>"]
    assert prove(encoded, SINGLE, tokenizer) == ()
