"""What a check says of every file in corpus/: `python -m tests.data.corpus_listing` writes it down again.

Read the diff of corpus/expected.json by hand afterwards: it is the truth the tests hold the checks to.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from tests.data.samples import trl_template, write_tokenizer
from tui_ft.data.check import check
from tui_ft.data.rows import DatasetReport, Finding
from tui_ft.errors import InputError
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data

CORPUS = Path(__file__).parent / "corpus"
LISTING = CORPUS / "expected.json"
# Files of these folders are checked with a tokenizer and a chat template as well.
WITH_MODEL = ("clean", "turns")
SEQ_LEN = 2048


def files() -> list[str]:
    """Every file of the corpus, by its folder and name."""
    return sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))


def model(folder: Path) -> ChatTokenizer:
    """A tokenizer whose template knows system messages, tools and reasoning, and keeps all answers."""
    return write_tokenizer(folder, trl_template("qwen3_training"), stops=["<|im_end|>"], eos="<|im_end|>")


def look(name: str, tokenizer: ChatTokenizer) -> dict[str, Any]:
    """The report on one file, or why it cannot be read, in a form that reads well in a diff."""
    told = tokenizer if name.startswith(WITH_MODEL) else None
    path = CORPUS / name
    try:
        report = check(Data(path=path.name), base=path.parent, tokenizer=told, seq_len=SEQ_LEN)
    except InputError as error:
        # What a library says of damage differs from version to version.
        return {"error": re.sub(r"(the file is damaged.*?): .*", r"\1", error.what)}
    return _listed(report)


def _listed(report: DatasetReport) -> dict[str, Any]:
    return {
        "shape": report.mapping.shape,
        "rows": report.rows,
        "usable": report.usable_rows,
        "findings": sorted(map(_finding, report.findings)),
    }


def _finding(finding: Finding) -> str:
    lines = ", ".join(str(example.line) for example in finding.examples)
    return f"{finding.id}: {finding.severity}, {finding.count}" + (f", at {lines}" if lines else "")


def main() -> None:
    """Write the listing again, one file a line."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = model(Path(folder))
        lines = [
            f"{json.dumps(name)}: {json.dumps(look(name, tokenizer), ensure_ascii=False)}" for name in files()
        ]
    LISTING.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
