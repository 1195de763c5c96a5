"""The export process: `python -m tui_ft.export.worker RUN_DIR --to merged --to gguf:q8_0 …`.

Starts light; torch comes when something has to be merged.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tui_ft.errors import RunFailed
from tui_ft.evaluation.job import Session, run
from tui_ft.export import targets
from tui_ft.export.stages import Stages
from tui_ft.export.targets import Target


def main(argv: Sequence[str]) -> int:
    """Export from the run in this process; returns the exit code. Nothing is raised."""
    parser = argparse.ArgumentParser(prog="python -m tui_ft.export.worker")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--to", action="append", metavar="FORMAT", help="what to export; repeatable")
    args = parser.parse_args(argv)
    return run(args.run, "export", lambda session: export(session, args.to or []))


def export(session: Session, names: Sequence[str]) -> str:
    """Make every export that is named, or that the recipe names when none is; returns what was made.

    One that fails its check does not keep the others from being made. Raises RunFailed naming it at the
    end, and other TuiFtError subclasses at once.
    """
    session.phase("looking at the run")
    wanted = targets.parse(names or session.folder.read_recipe().export.to)
    targets.check(wanted, session.folder)
    stages = Stages(session)
    made: list[str] = []
    failed: dict[Target, RunFailed] = {}
    try:
        for target in wanted:
            try:
                path = stages.make(target)
            except RunFailed as error:
                traceback.print_exc()
                failed[target] = error
                session.event("check", target=target, passed=False, text=error.what)
                if not stages.has_merged:
                    break  # the others would only try, and fail, to merge again
            else:
                made.append(f"{target} in {path}")
                session.event("artefact", what=target, path=str(path), text=f"{target} is in {path}")
    finally:
        stages.close()
    if failed:
        problems = dict.fromkeys(problem for error in failed.values() for problem in error.problems)
        raise RunFailed(list(problems))
    return f"exported {', '.join(wanted)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
