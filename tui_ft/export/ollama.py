"""A Modelfile for Ollama, with the model's real template and every stop. Light.

Ollama's templates are Go's; without one it guesses from a list of known templates, and a model tuned on
another then answers badly. What is written here renders a conversation exactly as the model was trained
on, or is left out and said to be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from tui_ft.export.turns import Around, Turns


def modelfile(
    gguf: str,
    turns: Turns | None,
    *,
    stops: Sequence[str],
    bos: str = "",
    system: str = "",
    temperature: float = 0.0,
) -> str:
    """The Modelfile for the GGUF file at this path, relative to the Modelfile.

    `bos` is the text of the token that the GGUF file has put before every prompt, "" when it has none;
    the template must not write it a second time. `system` is the system prompt of the training rows.
    """
    lines = [f"FROM {gguf}", ""]
    template = None if turns is None else go_template(without(bos, turns))
    if template is None:
        lines += [
            "# No TEMPLATE: this model's chat template cannot be said in Ollama's language. Ollama takes the",
            "# one inside the GGUF file if it knows it: look at `ollama show --template` first.",
        ]
    else:
        lines.append(f'TEMPLATE """{template}"""')
    if system:
        lines += ["", *_system(system)]
    lines += ["", *(f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops)]
    lines += ["# As evaluated: always the most likely word.", f"PARAMETER temperature {temperature:g}"]
    return "\n".join(lines) + "\n"


def _system(system: str) -> list[str]:
    if '"""' in system or system.endswith('"'):
        return ["# The training rows' system prompt cannot be quoted here; send it with every request."]
    return ["# The system prompt of the training rows.", f'SYSTEM """{system}"""']


def readme(name: str) -> str:
    """README.md of the export."""
    return "\n".join(
        [
            f"# {name} in Ollama",
            "",
            "In this folder, on a machine with Ollama:",
            "",
            f"    ollama create {name} -f Modelfile",
            f"    ollama run {name}",
            "",
            "The Modelfile names the GGUF file by a path next to this folder; copy both folders together.",
            "Ollama itself was not started when this was written.",
            "",
        ]
    )


def without(bos: str, turns: Turns) -> Turns:
    """The format without this token at its very beginning."""
    if not bos:
        return turns
    if turns.opening.startswith(bos):
        return replace(turns, opening=turns.opening.removeprefix(bos))
    if not turns.opening and turns.default_system is not None and turns.system is not None:
        before = turns.system.before.removeprefix(bos)
        return replace(turns, system=Around(before, turns.system.after))
    return turns


def go_template(turns: Turns) -> str | None:
    """The format in Go's template language, over Ollama's .System and .Messages; None if it cannot be quoted.

    Ollama joins neighbouring messages of the same role before it renders them.
    """
    text = _quoted(turns.opening)
    if turns.system is not None and turns.default_system is not None:
        text += "{{ if not .System }}" + _quoted(turns.system.write(turns.default_system)) + "{{ end }}"
    text += "{{ range $i, $_ := .Messages }}"
    folded = ""
    if turns.system is not None:
        text += '{{ if eq .Role "system" }}' + _turn(turns.system) + '{{ else if eq .Role "user" }}'
    else:
        text += '{{ if eq .Role "user" }}'
        if turns.joint:
            # The first question stands at 0, or at 1 behind the system message.
            folded = "{{ if and $.System (le $i 1) }}{{ $.System }}" + _quoted(turns.joint) + "{{ end }}"
    text += _quoted(turns.user.before) + folded + "{{ .Content }}" + _quoted(turns.user.after)
    text += '{{ else if eq .Role "assistant" }}' + _turn(turns.assistant)
    text += "{{ end }}{{ end }}" + _quoted(turns.prompt)
    return None if '"""' in text or text.endswith('"') else text


def _turn(around: Around) -> str:
    return _quoted(around.before) + "{{ .Content }}" + _quoted(around.after)


def _quoted(text: str) -> str:
    """Literal text; double braces would begin an action."""
    return text.replace("{{", '{{ "{{" }}')
