"""Talk to base and tuned model in this terminal: `python -m tui_ft.evaluation.chat RUN_DIR`.

Line by line, so that it works over any connection. What a model says is made harmless before it is printed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_ft.data.layout import prompt_text
from tui_ft.errors import ExitCode, InputError, TuiFtError
from tui_ft.evaluation.rows import sample
from tui_ft.evaluation.talk import Talk, hear
from tui_ft.evaluation.weights import tokenizer_of, tuned_folder
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.runs import status
from tui_ft.runs.diagnosis import explain
from tui_ft.runs.folder import RunFolder
from tui_ft.text import excerpt, sanitize

if TYPE_CHECKING:
    from tui_ft.evaluation.loading import Models, Which

_MOST_TOKENS = 512


def main(argv: Sequence[str]) -> int:
    """Chat until the user leaves; returns the exit code. Nothing is raised."""
    parser = argparse.ArgumentParser(prog="python -m tui_ft.evaluation.chat")
    parser.add_argument("run", type=Path, help="folder of the run")
    folder = RunFolder(parser.parse_args(argv).run.absolute())
    warnings.filterwarnings("ignore")
    try:
        chat(folder)
    except (KeyboardInterrupt, EOFError):
        print()
    # A library's error has to reach the user as a sentence.
    except Exception as error:
        known = error if isinstance(error, TuiFtError) else explain(error)
        print(f"tui-ft: {sanitize(str(known), multiline=True)}", file=sys.stderr)
        return int(known.exit_code)
    return int(ExitCode.DONE)


def chat(folder: RunFolder) -> None:
    """Load the models and answer line after line. Raises TuiFtError subclasses, EOFError at the end."""
    recipe, plan = folder.read_recipe(), folder.read_plan()
    tokenizer = tokenizer_of(plan)
    tuned_folder(folder, plan)
    if plan.device == "cuda" and status.alive(folder):
        raise InputError(
            "this run is at work on the GPU, and a second copy of the model may not fit beside it",
            where=folder.id,
            fix=f"Wait for it, or stop it with `tui-ft stop {folder.id}`.",
        )
    print("Loading the models …", flush=True)
    from transformers.utils import logging as transformers_logging

    from tui_ft.evaluation.loading import Models

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    models = Models(folder, plan, recipe)
    with models.use("tuned"):
        pass
    talk = Talk(system=_usual_system(folder, tokenizer, plan.train.seq_len))
    if talk.system:
        print(f"System prompt, as in training: {excerpt(talk.system, 60)}")
    print("The tuned model answers. /base, /tuned and /both choose who does; /help lists the rest.")
    while True:
        talk = _turn(talk, models, tokenizer)


def _turn(talk: Talk, models: Models, tokenizer: ChatTokenizer) -> Talk:
    """One line from the user, and what comes of it. Raises EOFError when the user leaves."""
    print(f"\n{talk.speaker}> " if sys.stdin.isatty() else "", end="", flush=True)
    line = sys.stdin.readline()
    reply = hear(line, talk)
    if not line or reply.leave:
        raise EOFError
    if reply.say:
        print(sanitize(reply.say, multiline=True))
    if not reply.question:
        return reply.talk
    speakers: tuple[Which, ...] = ("base", "tuned") if talk.speaker == "both" else (talk.speaker,)
    for which in speakers:
        print(f"{which:<6}", end="", flush=True)
        if answer := _answer(models, which, talk, reply.question, tokenizer):
            talk = talk.answered(which, reply.question, answer)
    return talk


def _answer(models: Models, which: Which, talk: Talk, question: str, tokenizer: ChatTokenizer) -> str:
    """The model's answer, printed while it is made; what there is of it when Ctrl-C cuts it short."""
    try:
        text = prompt_text(talk.asked(which, question), tokenizer)
    except InputError as error:
        print(sanitize(str(error), multiline=True))
        return ""
    import torch
    from transformers import GenerationConfig

    printer = _Printer(tokenizer)
    ids = torch.tensor([tokenizer.encode(text)[0]])
    with models.use(which) as model:
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=_MOST_TOKENS,
            eos_token_id=list(tokenizer.stop_ids),
            pad_token_id=tokenizer.stop_ids[0],
        )
        ids = ids.to(model.device)
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config, streamer=printer
            )
        signal.signal(signal.SIGINT, previous)
    print()
    return printer.text


class _Printer:
    """Prints tokens as they come, harmless and never half a character. Called as a transformers streamer."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self.text = ""
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._began = False
        self._shown = 0

    def put(self, value: Any) -> None:
        """Take the prompt first, then one token after the other."""
        if not self._began:
            self._began = True
            return
        self._ids += value.flatten().tolist()
        text = self._tokenizer.decode(self._ids, skip_special=True)
        # An unfinished character decodes to U+FFFD until its last byte is there.
        self.text = text.rstrip("\ufffd")
        harmless = sanitize(self.text, multiline=True)
        print(harmless[self._shown :], end="", flush=True)
        self._shown = max(self._shown, len(harmless))

    def end(self) -> None:
        """Nothing is held back."""


def _usual_system(folder: RunFolder, tokenizer: ChatTokenizer, seq_len: int) -> str:
    """The system prompt that all rows share, "" when they do not."""
    found = {row.system for row in sample(folder, tokenizer, seq_len=seq_len, most=20)}
    return found.pop() if len(found) == 1 else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
