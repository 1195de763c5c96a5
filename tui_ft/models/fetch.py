"""Fetch a model's files from the hub: `python -m tui_ft.models.fetch`, as a child of `download`.

Reads one JSON object {id, revision, allow} from stdin. Writes JSON lines to stdout: first {"bytes": …} still
to come, at last {"folder": …}, or {"what", "where", "fix", "input"} when it did not work.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tui_ft.errors import EnvironmentProblem, InputError, TuiFtError
from tui_ft.models.hub_errors import endpoint, explain
from tui_ft.settings import hub_cache
from tui_ft.text import size

_SPARE_BYTES = 200_000_000  # left free for the run itself


def fetch(request: dict[str, Any]) -> None:
    """Carry out one request. Raises EnvironmentProblem when the disk has no room for it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    cache = hub_cache()
    cache.mkdir(parents=True, exist_ok=True)
    wanted = {
        "repo_id": request["id"],
        "revision": request["revision"],
        "allow_patterns": request["allow"],
        "cache_dir": cache,
        "endpoint": endpoint(),
    }
    planned = snapshot_download(**wanted, dry_run=True)
    to_come = sum(file.file_size or 0 for file in planned if file.will_download)
    _check_room(to_come, cache)
    _say({"bytes": to_come})
    _say({"folder": snapshot_download(**wanted)})


def _check_room(to_come: int, cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if to_come and free < to_come + _SPARE_BYTES:
        raise EnvironmentProblem(
            f"the download needs {size(to_come)}, {size(free)} are free",
            where=str(cache),
            fix="Free some space, or set HF_HOME to a folder on a larger disk.",
        )


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    try:
        fetch(asked)
    except Exception as error:
        told = error if isinstance(error, TuiFtError) else explain(error, asked["id"])
        problem = told.problems[0]
        _say(
            {
                "what": problem.what,
                "where": problem.where,
                "fix": problem.fix,
                "input": isinstance(told, InputError),
            }
        )
