"""The command line: names, flags and exit codes. Each command is a module of `tui_ft.commands`.

Nothing slow is imported before the command is known, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tui_ft import __version__
from tui_ft.errors import ExitCode, TuiFtError
from tui_ft.settings import home
from tui_ft.text import nearest

_EPILOG = """\
exit codes: 0 done · 1 the answer is no · 2 bad input or usage · 3 this machine can't · 4 the run failed
Without a command tui-ft opens the wizard; if a run is going on, it opens there."""


class _Parser(argparse.ArgumentParser):
    """Argparse with errors in the same shape as all others."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice: " in message and "choose from" in message:
            given = message.split("invalid choice: ")[1].split(" ")[0].strip("'\"")
            close = nearest(given, _COMMANDS)
            message = f"there is no command '{given}'" + (f"; did you mean {close[0]}?" if close else "")
        print(f"tui-ft: {message}\n  `{self.prog} --help` shows what there is.", file=sys.stderr)
        raise SystemExit(int(ExitCode.BAD_INPUT))


def _recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file, or the name of a starter recipe")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's name, or enough of it to be the only one")


def _advise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--answers", metavar="F.toml", help="answers by question id, instead of asking")
    parser.add_argument("--questions", action="store_true", help="list the questions and allowed answers")


def _other_box(parser: argparse.ArgumentParser) -> None:
    memory = parser.add_mutually_exclusive_group()
    memory.add_argument("--gpu", metavar="NAME", help='a GPU this box need not have, e.g. "RTX 4090"')
    memory.add_argument("--vram", metavar="GIB", type=float, help="GPU memory in GiB")


def _fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="hub id, folder, or a name from the catalogue")
    _other_box(parser)
    parser.add_argument("--gpus", metavar="N", type=int, default=1, help="how many of them (default 1)")
    parser.add_argument(
        "--seq", metavar="N", type=int, default=2048, help="longest row in tokens (default 2048)"
    )
    _exact(parser)


def _exact(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exact", action="store_true", help="count the memory on the real model, without a GPU; some seconds"
    )


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", nargs="+", help="data files, a folder, or hub:owner/name")
    parser.add_argument("--model", metavar="M", help="count tokens as this model does")
    parser.add_argument("--seq", metavar="N", type=int, help="longest row in tokens")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a recipe key of [data], e.g. data.stratify=category; repeatable",
    )
    parser.add_argument(
        "--fix", metavar="OUT", help="write a fixed copy as JSON lines, and OUT.log.jsonl with every change"
    )
    parser.add_argument(
        "--yes",
        metavar="ID,ID",
        action="append",
        default=[],
        help="fixes that need a yes, by id, or all; repeatable",
    )
    parser.add_argument("--force", action="store_true", help="overwrite OUT")


def _plan(parser: argparse.ArgumentParser) -> None:
    _planned(parser)
    _other_box(parser)
    _exact(parser)


def _planned(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    if several:
        parser.add_argument(
            "recipe", metavar="RECIPE", nargs="+", help="a recipe file, or the name of a starter recipe"
        )
    else:
        _recipe(parser)
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a recipe key for this once, e.g. train.micro_batch=1; repeatable; no value un-pins it",
    )
    parser.add_argument(
        "--price",
        metavar="USD",
        type=float,
        help="what an hour of this box costs; remembered for this box, 0 forgets it",
    )


def _train(parser: argparse.ArgumentParser) -> None:
    _planned(parser, several=True)
    parser.add_argument(
        "--follow", action="store_true", help="stay and print progress; Ctrl-C leaves the run alive"
    )


def _stop(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("--after-epoch", action="store_true", help="go on to the end of this epoch first")


def _resume(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="make it longer, e.g. train.epochs=5, or change what may change in a training; repeatable",
    )


def _set(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument(
        "setting",
        metavar="KEY=VALUE",
        nargs="+",
        help="train.learning_rate, train.eval_every, train.save_every_minutes, limits.max_hours, "
        "limits.max_cost, limits.deadline or limits.price_per_hour",
    )


def _reproduce(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument(
        "--anyway", action="store_true", help="train although versions, data, model or device are other ones"
    )
    parser.add_argument(
        "--steps", metavar="N", type=int, default=0, help="stop after N steps and compare only those"
    )


def _watch(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("--once", action="store_true", help="print where the run is and return")


def _export(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument(
        "--to",
        metavar="FORMAT",
        action="append",
        help="merged, gguf (q4_k_m), gguf:f16, gguf:q8_0, gguf:q4_k_m, ollama, vllm, hub; repeatable",
    )


def _recipe_command(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|new|check|schema")
    actions.add_parser("list", help="the recipes that ship with tui-ft")
    show = actions.add_parser("show", help="print a recipe")
    _recipe(show)
    new = actions.add_parser("new", help="copy a starter recipe to a file of yours")
    new.add_argument("starter", metavar="STARTER", help="name of a starter recipe")
    new.add_argument("path", metavar="FILE", help="where to write it")
    check = actions.add_parser("check", help="find every mistake in a recipe")
    _recipe(check)
    actions.add_parser("schema", help="print the JSON Schema of a recipe, for editors")
    for action in actions.choices.values():
        _common(action)


def _nothing(parser: argparse.ArgumentParser) -> None:
    del parser


# name -> (one line of help, what it adds to the parser)
_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "advise": ("do I need fine-tuning at all?", _advise),
    "gpus": ("what this box has", _nothing),
    "fit": ("what fits into a GPU's memory, by method", _fit),
    "check": ("what is in the data, and what is wrong with it", _check),
    "plan": ("every choice of a recipe with its reason; memory, time, money", _plan),
    "train": ("start training in the background; several recipes one after another", _train),
    "runs": ("runs on this box, live and past", _nothing),
    "show": ("one run in numbers", _run),
    "watch": ("follow a run", _watch),
    "pause": ("save and end the process; `resume` goes on", _run),
    "resume": ("go on from the newest whole checkpoint", _resume),
    "stop": ("stop after this step and keep the best weights; take out of the queue", _stop),
    "save": ("save a checkpoint now and go on", _run),
    "validate": ("compute the validation loss now and go on", _run),
    "set": ("change a setting of a run while it trains", _set),
    "copy": ("bring what is not off this box yet to where the recipe says", _run),
    "reproduce": ("train a run once more and compare the curves", _reproduce),
    "eval": ("base against tuned on rows neither has seen", _run),
    "chat": ("talk to the base or the tuned model", _run),
    "merge": ("merge the adapter into the base, and check it", _run),
    "export": ("merged, GGUF, Ollama, vLLM; each checked", _export),
    "recipe": ("list, show, copy and check recipes", _recipe_command),
    "doctor": ("is everything here that tui-ft needs?", _nothing),
    "demo": ("the whole way on a built-in task, without a screen", _nothing),
}

# Commands that are one thing with different words; all others are modules of their own name.
_MODULES = {
    **dict.fromkeys(("pause", "stop", "save", "validate", "set"), "control"),
    "merge": "export",
}


def _common(parser: argparse.ArgumentParser) -> None:
    # SUPPRESS: a flag given before the command must not be undone by the default of the command's own.
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object on stdout"
    )
    parser.add_argument(
        "--home", metavar="DIR", default=argparse.SUPPRESS, help="where runs are kept (TUI_FT_HOME)"
    )


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="tui-ft",
        description="Fine-tune a language model from the terminal, or find out that you need not.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"tui-ft {__version__}")
    top.add_argument("--plain", action="store_true", help="the same steps line by line, for simple terminals")
    top.add_argument("--recipe", metavar="RECIPE", help="open the wizard with this recipe filled in")
    top.add_argument("--ascii", action="store_true", help="draw with plain characters only")
    top.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    top.add_argument("--color", choices=["auto", "truecolor", "256", "16", "none"], default="auto")
    _common(top)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, (line, add) in _COMMANDS.items():
        command = commands.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")
        add(command)
        _common(command)
    return top


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    args = parser().parse_args(arguments)
    args.home = home(getattr(args, "home", None))
    args.json = getattr(args, "json", False)
    name = _MODULES.get(args.command, args.command or "wizard")
    command = importlib.import_module(f"tui_ft.commands.{name}")
    try:
        return int(command.run(args))
    except TuiFtError as error:
        print(f"tui-ft: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("\ntui-ft: interrupted; nothing was lost", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        return int(ExitCode.DONE)
    except Exception:  # the last resort: people get a sentence, the log gets the traceback
        from tui_ft.log import record_crash

        print(f"tui-ft: something broke inside tui-ft\n  {record_crash(args.home)}", file=sys.stderr)
        return int(ExitCode.RUN_FAILED)
