"""The event log: strict JSON, torn lines, incremental reading, speed."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.errors import EnvironmentProblem
from tui_ft.runs.events import EventLog, EventReader, is_kind

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_not_a_number_becomes_null_with_a_flag(tmp_path: Path) -> None:
    with EventLog(tmp_path / "e") as log:
        log.append("step", step=1, loss=math.nan, grad_norm=-math.inf, lr=0.1)
    (line,) = (tmp_path / "e").read_text().splitlines()
    event = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert event["loss"] is None
    assert event["nonfinite"] == {"loss": "nan", "grad_norm": "-inf"}
    assert is_kind(line.encode(), b"step")
    assert not is_kind(line.encode(), b"eval")


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda key: key not in ("self", "kind")), json_values
    )
)
def test_whatever_is_appended_is_one_readable_line(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("events") / "e"
    with EventLog(path) as log:
        log.append("x", **values)
        log.append("y")
    reader = EventReader(path)
    assert [event["kind"] for event in reader.read() if "kind" in event][-1] == "y"
    assert path.read_bytes().count(b"\n") == 2
    assert reader.garbage == 0


def test_a_reader_sees_only_what_is_new_and_never_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "e"
    reader = EventReader(path)
    assert list(reader.read()) == []
    path.write_bytes(b'{"t":1,"kind":"a"}\n{"t":2,"ki')
    assert [event["kind"] for event in reader.read()] == ["a"]
    assert list(reader.read()) == []
    with path.open("ab") as file:
        file.write(b'nd":"b"}\n')
    assert [event["kind"] for event in reader.read()] == ["b"]


def test_garbage_is_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "e"
    deep = b"[" * 100_000
    path.write_bytes(b'\xff\xfe\n{"t":1,"kind":"a"}\nnull\n{"kind":3}\n\n' + deep + b'\n{"kind":"b"}\n')
    reader = EventReader(path)
    assert [event["kind"] for event in reader.read()] == ["a", "b"]
    assert reader.garbage == 4


def test_a_new_writer_closes_a_torn_line_first(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_bytes(b'{"t":1,"kind":"a"}\n{"t":2,"kind":"to')
    with EventLog(path) as log:
        log.append("b")
    reader = EventReader(path)
    assert [event["kind"] for event in reader.read()] == ["a", "b"]
    assert reader.garbage == 1


def test_a_replaced_file_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('{"kind":"a"}\n{"kind":"b"}\n')
    reader = EventReader(path)
    assert len(list(reader.read())) == 2
    path.write_text('{"kind":"c"}\n')
    assert [event["kind"] for event in reader.read()] == ["c"]
    assert reader.restarts == 1


def test_lines_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    with EventLog(tmp_path / "e") as log:

        def write(_: int) -> None:
            for _ in range(100):
                log.append("x", pad="é" * 500)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
    reader = EventReader(tmp_path / "e")
    assert sum(1 for _ in reader.read()) == 400
    assert reader.garbage == 0


def test_a_full_disk_is_said_plainly() -> None:
    with EventLog(Path("/dev/full")) as log, pytest.raises(EnvironmentProblem, match="the disk is full"):
        log.append("x")


def test_a_long_log_is_read_quickly(tmp_path: Path) -> None:
    path = tmp_path / "e"
    line = b'{"t":1732310000.123,"kind":"step","step":1,"loss":0.5,"lr":0.0002,"grad_norm":1.0,"tokens":1}\n'
    path.write_bytes(line * 200_000)
    reader = EventReader(path)
    began = time.process_time()
    assert sum(1 for line in reader.lines() if is_kind(line, b"step")) == 200_000
    assert time.process_time() - began < 1.0


def test_a_sample_of_a_long_log_leaves_nothing_rare_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [
        b'{"t":%d.5,"kind":"%s","step":%d,"pad":"%s"}'
        % (number, b"alert" if number % 997 == 0 else b"step", number, b"x" * 150)
        for number in range(20_000)
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    reader = EventReader(path)
    seen = list(reader.sample(1 << 14))
    rest = list(reader.lines())
    assert [line for line in seen if is_kind(line, b"alert")] == [
        line for line in lines if is_kind(line, b"alert") and line not in rest
    ]
    assert 150 < len(seen) < 400
    assert len(rest) > 1000
    assert lines[-len(rest) :] == rest
    places = {line: place for place, line in enumerate(lines)}
    assert [places[line] for line in seen] == sorted(places[line] for line in seen)
    assert reader.unread_bytes == 0
    assert not list(reader.sample(1 << 14))
