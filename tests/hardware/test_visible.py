"""CUDA_VISIBLE_DEVICES by CUDA's rules."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.hardware.visible import Device, visibility

CARDS = (Device(0, "GPU-aa11"), Device(1, "GPU-aa22"), Device(2, "GPU-bb33"))
SLICED = (
    Device(0, "GPU-aa11"),
    Device(1, "MIG-c1", slice=0, instance=(7, 0), card_uuid="GPU-cc"),
    Device(1, "MIG-c2", slice=1, instance=(8, 0), card_uuid="GPU-cc"),
    Device(2, "MIG-d1", slice=0, instance=(7, 0), card_uuid="GPU-dd"),
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, (0, 1, 2)),
        ("", ()),
        ("2,0", (2, 0)),
        (" 1 , 2 ", (1, 2)),
        ("0,-1,2", (0,)),
        ("-1", ()),
        ("0,9,1", (0,)),
        ("1,1", ()),
        ("1gpu,2", (1, 2)),
        ("all", ()),
        ("0,,1", (0,)),
        ("GPU-bb", (2,)),
        ("GPU-bb33,GPU-aa1", (2, 0)),
        ("GPU-aa", ()),
        ("GPU-bb,GPU-bb33", ()),
        ("GPU-bb,0", (2,)),
        ("0,GPU-bb", (0,)),
    ],
)
def test_cards(value: str | None, shown: tuple[int, ...]) -> None:
    assert visibility(value, CARDS).shown == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, (1,)),  # one slice, and then no whole card
        ("0", (0,)),
        ("1", (1,)),
        ("0,1", (1,)),
        ("2,1", (3,)),
        ("MIG-c2", (2,)),
        ("MIG-c2,MIG-d1", (2,)),
        ("MIG-c", ()),
        ("MIG-GPU-cc/8/0", (2,)),
        ("MIG-GPU-cc/9/0", ()),
        ("GPU-dd", (3,)),
        ("GPU-aa11", (0,)),
    ],
)
def test_slices(value: str | None, shown: tuple[int, ...]) -> None:
    assert visibility(value, SLICED).shown == shown


def test_says_what_it_did_not_understand() -> None:
    assert visibility("0,7,1", CARDS).unknown == "7"
    assert visibility("GPU-zz", CARDS).unknown == "GPU-zz"
    assert visibility("none", CARDS).unknown == "none"
    assert visibility("0,-1", CARDS).unknown is None
    assert visibility("", CARDS).unknown is None
    assert visibility("1,1", CARDS).repeated
    assert visibility("1", CARDS).by_index
    assert not visibility("GPU-bb", CARDS).by_index


@given(st.text("0123456789,-+ GPUMIabc/", max_size=20), st.sampled_from([CARDS, SLICED, ()]))
def test_never_fails_and_shows_no_device_twice(value: str, devices: tuple[Device, ...]) -> None:
    shown = visibility(value, devices).shown
    assert len(set(shown)) == len(shown)
    assert all(0 <= position < len(devices) for position in shown)


TORCH = """
import json, os, sys
import torch
values, uuids = json.loads(sys.argv[1])
answers = []
for value in values:
    os.environ["CUDA_VISIBLE_DEVICES"] = value
    named = torch.cuda._parse_visible_devices()
    if named and isinstance(named[0], str):
        answers.append(torch.cuda._transform_uuid_to_ordinals(named, uuids))
    else:
        known = [number < len(uuids) for number in named]
        answers.append(named[: known.index(False)] if False in known else named)
print(json.dumps(answers))
"""


@pytest.mark.train
def test_agrees_with_torch(run_python: Callable[..., Any], bare_env: dict[str, str]) -> None:
    names = [
        "0",
        "1",
        "2",
        "5",
        "-1",
        "",
        "1x",
        "+2",
        "GPU-aa1",
        "GPU-aa",
        "GPU-bb33",
        "GPU-",
        "GPU-zz",
        "zz",
    ]
    draw = random.Random(0)
    values = [",".join(draw.choices(names, k=draw.randint(1, 4))) for _ in range(2000)]
    theirs = run_python(TORCH, json.dumps([values, [card.uuid for card in CARDS]]), env=bare_env)
    ours = [list(visibility(value, CARDS).shown) for value in values]
    assert [v for v, a, b in zip(values, ours, theirs, strict=True) if a != b] == []
