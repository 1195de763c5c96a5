"""The rows a run trains and is measured on, as token ids and labels on disk.

`train.parquet`, `validation.parquet` and `test.parquet` hold one row each per example; `splits.json`
holds counts, the hashes of the sources and the report; `dropped.jsonl` every row left out and why.
`splits.json` is written last: without it the folder is not prepared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tui_ft.data.catalog import check_ignored
from tui_ft.data.check import OnProgress, Progress, to_json
from tui_ft.data.gather import common_of
from tui_ft.data.groups import NEAR
from tui_ft.data.masks import Encoded, LossOn
from tui_ft.data.prints import Prints
from tui_ft.data.read import Meter
from tui_ft.data.rows import DatasetReport, Row
from tui_ft.data.sides import Ledger, side_of, traits_of_judged
from tui_ft.data.split import SIDES, Side, Split
from tui_ft.data.stream import Input, Judged, judge, open_inputs
from tui_ft.data.survey import Survey
from tui_ft.data.windows import windows
from tui_ft.errors import InputError, Problem
from tui_ft.files import disk_problem, sha256, write_json
from tui_ft.recipe import Data

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

IGNORED = -100  # the label of a token that is not learned, as torch's cross entropy has it
_BATCH = 512


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared data folder. Counts are by side; tokens are those left after the length limit.

    `rows` counts what is trained on: a long text as often as it has pieces.
    """

    folder: Path
    seq_len: int
    loss_on: str
    rows: Mapping[str, int]
    tokens: Mapping[str, int]
    learned: Mapping[str, int]
    dropped: Mapping[str, int]  # by reason: the id of a finding, "max_rows" or "mix_share"
    sources: tuple[Mapping[str, Any], ...]  # path, part, bytes, sha256
    report: Mapping[str, Any]  # as `tui-ft check --json`

    def path(self, side: Side) -> Path:
        """The Parquet file of one side; it exists even when it holds no rows.

        Columns: row_id, file, line, input_ids, labels (-100 where nothing is learned), messages and tools
        (JSON; messages is [] for plain text), window (0-based; a long text has one row per piece). Where
        pairs are learned, also rejected_ids and rejected_labels; where verdicts are, good (true or false).
        """
        return self.folder / f"{side}.parquet"


def prepare(
    data: Data,
    *,
    base: Path,
    folder: Path,
    tokenizer: ChatTokenizer,
    seq_len: int,
    loss_on: LossOn = "answers",
    progress: OnProgress | None = None,
) -> Prepared:
    """Write the rows of a recipe in the folder `base` into `folder`.

    Conversations are cut to `seq_len` tokens, plain texts are divided into pieces of that length.

    Raises InputError when data cannot be read, when findings block that the recipe does not accept, or
    when nothing is left to train on; EnvironmentProblem when the disk is full or a hub cannot be reached.
    """
    check_ignored(data.ignore)
    inputs = open_inputs(data, base)
    split = _split(data, inputs, loss_on)
    survey = Survey(data, inputs, tokenizer, seq_len, loss_on=loss_on)
    meter = Meter(source for given in inputs for source in given.sources)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "splits.json").unlink(missing_ok=True)
        with _Writer(folder, seq_len, loss_on) as writer:
            for judged in judge(inputs, data, tokenizer, loss_on=loss_on, meter=meter):
                usable = survey.see(judged)
                side = _side(judged, split)
                if usable and side and judged.row and judged.encoded:
                    writer.write(side, judged.row, judged.encoded)
                else:
                    writer.drop(judged)
                if progress and survey.rows % _BATCH == 0:
                    progress(Progress(survey.rows, meter.done_bytes, meter.total_bytes))
            report = survey.report()
            _refuse_blocked(report)
        writer.commit()
        prepared = Prepared(
            folder, seq_len, loss_on, writer.rows, writer.tokens, writer.learned, writer.dropped,
            _sources(inputs), to_json(report),
        )  # fmt: skip
        _save(prepared, data.seed)
    except OSError as error:
        raise disk_problem(error, folder) from error
    return prepared


def _split(data: Data, inputs: Sequence[Input], loss_on: LossOn) -> Split:
    """The split, from all rows before any of them is left out; the same that a check reports."""
    ledger, prints = Ledger(data), Prints(common_of(data, inputs))
    # Held-out files too: two rows may be near each other by way of a third.
    for judged in judge(inputs, data, loss_on=loss_on):
        if judged.row is not None:
            if data.group_by == NEAR:
                prints.see(judged.row, judged.part, len(ledger))
            ledger.add(judged.part, traits_of_judged(judged, judged.row))
    return ledger.split(prints.compare().together(ledger.key))


def _side(judged: Judged, split: Split) -> Side | None:
    row = judged.row
    return None if row is None else side_of(judged.part, traits_of_judged(judged, row), split)


def load(folder: Path) -> Prepared | None:
    """What `prepare` left in a folder; None when it did not finish."""
    try:
        stored = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Prepared(
        folder, stored["seq_len"], stored["loss_on"], stored["rows"], stored["tokens"], stored["learned"],
        stored["dropped"], tuple(stored["sources"]), stored["report"],
    )  # fmt: skip


def _save(prepared: Prepared, seed: int) -> None:
    document = {
        "version": 1,
        "seed": seed,
        "seq_len": prepared.seq_len,
        "loss_on": prepared.loss_on,
        "rows": dict(prepared.rows),
        "tokens": dict(prepared.tokens),
        "learned": dict(prepared.learned),
        "dropped": dict(prepared.dropped),
        "sources": [dict(source) for source in prepared.sources],
        "report": dict(prepared.report),
    }
    write_json(prepared.folder / "splits.json", document)


def _refuse_blocked(report: DatasetReport) -> None:
    problems = [
        Problem(
            finding.what, _where(finding.examples), f'{finding.fix} Or accept it: ignore = ["{finding.id}"].'
        )
        for finding in report.findings
        if finding.blocks
    ]
    if problems:
        raise InputError(problems)
    if not report.sizes.train:
        raise InputError("no row is left to train on", where="data", fix="`tui-ft check` shows why.")


def _where(examples: Sequence[Any]) -> str:
    return f"{examples[0].file}:{examples[0].line}" if examples else "data"


def _sources(inputs: Sequence[Input]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"path": source.name, "part": given.part, "bytes": source.size_bytes, "sha256": sha256(source.path)}
        for given in inputs
        for source in given.sources
    )


def _labels(ids: Sequence[int], trained: Sequence[bool]) -> list[int]:
    """The tokens that are learned, the others ignored."""
    return [token if on else IGNORED for token, on in zip(ids, trained, strict=True)]


def _part(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(f".{path.name}.part")


class _Writer:
    """One Parquet file per side, the list of dropped rows, and their counts."""

    def __init__(self, folder: Path, seq_len: int, loss_on: LossOn) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self.rows: Counter[str] = Counter(dict.fromkeys(SIDES, 0))
        self.tokens: Counter[str] = Counter(dict.fromkeys(SIDES, 0))
        self.learned: Counter[str] = Counter(dict.fromkeys(SIDES, 0))
        self.dropped: Counter[str] = Counter()
        self._seq_len = seq_len
        tokens = pa.list_(pa.int32())
        more: dict[LossOn, dict[str, Any]] = {
            "pairs": {"rejected_ids": tokens, "rejected_labels": tokens},
            "verdicts": {"good": pa.bool_()},
        }
        self._schema = pa.schema(
            {
                "row_id": pa.string(),
                "file": pa.string(),
                "line": pa.int64(),
                "input_ids": tokens,
                "labels": tokens,
                "messages": pa.string(),
                "tools": pa.string(),
                "window": pa.int32(),
                **more.get(loss_on, {}),
            }
        )
        self._pending: dict[Side, list[dict[str, Any]]] = {side: [] for side in SIDES}
        self._targets = {_part(folder / f"{side}.parquet"): folder / f"{side}.parquet" for side in SIDES}
        self._files = {
            side: parquet.ParquetWriter(_part(folder / f"{side}.parquet"), self._schema) for side in SIDES
        }
        self._dropped = (folder / "dropped.jsonl").open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for side in SIDES:
                self._flush(side)
        for file in self._files.values():
            file.close()
        self._dropped.close()
        for part in self._targets if error else ():
            part.unlink(missing_ok=True)

    def commit(self) -> None:
        """Give the finished files their names, after the `with` block."""
        for part, target in self._targets.items():
            part.replace(target)

    def write(self, side: Side, row: Row, encoded: Encoded) -> None:
        """Add a row, cut after the length limit, or a plain text in pieces."""
        if row.text is None:
            whole = slice(self._seq_len)
            self._write(
                side, row, encoded.ids[whole], encoded.trained[whole], **self._judged(row, encoded, whole)
            )
            return
        for number, (ids, trained) in enumerate(windows(encoded.ids, encoded.trained, self._seq_len)):
            self._write(side, row, ids, trained, number)

    def _judged(self, row: Row, encoded: Encoded, whole: slice) -> dict[str, Any]:
        """What preferences add to a row: the rejected answer, or whether the answer is good."""
        if "good" in self._schema.names:
            # An answer nobody judged stands in a file of good ones.
            return {"good": row.label is not False}
        if encoded.rejected is None:
            return {}
        ids = encoded.rejected.ids[whole]
        return {"rejected_ids": ids, "rejected_labels": _labels(ids, encoded.rejected.trained[whole])}

    def _write(
        self,
        side: Side,
        row: Row,
        ids: Sequence[int],
        trained: Sequence[bool],
        window: int = 0,
        **judged: Any,
    ) -> None:
        labels = _labels(ids, trained)
        self.rows[side] += 1
        self.tokens[side] += len(ids)
        self.learned[side] += sum(label != IGNORED for label in labels)
        self._pending[side].append(
            {
                "row_id": row.id,
                "file": row.file,
                "line": row.line,
                "input_ids": ids,
                "labels": labels,
                "messages": json.dumps(row.dialogue, ensure_ascii=False),
                "tools": json.dumps(row.tools, ensure_ascii=False),
                "window": window,
                **judged,
            }
        )
        if len(self._pending[side]) >= _BATCH:
            self._flush(side)

    def drop(self, judged: Judged) -> None:
        """Write down a row that is left out, and why."""
        place = judged.fault or judged.row
        if judged.fault is not None:
            reason = getattr(judged.fault, "id", "unparseable")
        elif judged.encoded is not None and judged.encoded.prompt_length >= self._seq_len:
            reason = "prompt-too-long"
        else:
            reason = "mix_share" if judged.part == "mix" else "max_rows"
        self.dropped[reason] += 1
        if place is not None:
            line = {"file": place.file, "line": place.line, "part": judged.part, "reason": reason}
            self._dropped.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _flush(self, side: Side) -> None:
        import pyarrow as pa

        if self._pending[side]:
            self._files[side].write_table(pa.Table.from_pylist(self._pending[side], self._schema))
            self._pending[side].clear()
