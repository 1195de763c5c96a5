"""Read one request from stdin, trace, print one JSON object."""

from __future__ import annotations

import gc
import json
import os
import sys
import warnings
from importlib.metadata import version
from typing import Any

from tui_ft.errors import TuiFtError
from tui_ft.planning.plan import MethodPlan, TrainPlan


def main() -> None:
    """Answer one request. A problem that a user can mend is an answer too."""
    # Libraries print to stdout when they are imported; it is kept for the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    request = json.load(sys.stdin)
    try:
        said = _traced(request)
    except TuiFtError as error:
        said = {"problems": [[p.what, p.where, p.fix] for p in error.problems]}
    print(json.dumps(said), file=answer, flush=True)
    os._exit(0)  # taking the libraries down again costs a second


def _traced(request: dict[str, Any]) -> dict[str, Any]:
    gc.disable()  # what is imported stays
    from tui_ft.planning.tracing.building import read_config
    from tui_ft.planning.tracing.depth import trace_whole
    from tui_ft.planning.tracing.step import Job

    gc.freeze()
    gc.enable()
    method = request["method"]
    targets = method["targets"]
    method = {**method, "targets": targets if isinstance(targets, str) else tuple(targets)}
    job = Job(MethodPlan(**method), TrainPlan(**request["train"]), request["device"], request["scored"])
    whole = trace_whole(read_config(request["config"]), job, full_depth=request["full_depth"])
    (name, layer), peak = max(whole.peaks.items(), key=lambda entry: entry[1].total)
    return {
        "moment": name,
        "layer": layer,
        "layers": whole.layers,
        "parts": dict(peak.parts),
        "depths": list(whole.depths),
        "trained_bytes": whole.trained_bytes,
        "versions": ", ".join(f"{name} {version(name)}" for name in ("transformers", "peft", "trl")),
    }


if __name__ == "__main__":
    main()
