"""Headers of weight files: counted exactly, and every kind of damage named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.errors import InputError
from tui_ft.models import headers
from tui_ft.models.headers import Tensor, Weights


def weights(**tensors: tuple[str, tuple[int, ...]]) -> Weights:
    """Weights by dotted name, written with two underscores for each dot."""
    return Weights(
        {
            name.replace("__", "."): Tensor(dtype, shape, 2 * math.prod(shape))
            for name, (dtype, shape) in tensors.items()
        },
        0,
    )


def test_a_file_is_read_by_its_header(save_tensors: Any, tmp_path: Path) -> None:
    path = save_tensors(tmp_path / "a.safetensors", {"a": [3, 4], "b": [5], "c": []})
    assert headers.read_header(path) == {
        "a": Tensor("BF16", (3, 4), 24),
        "b": Tensor("BF16", (5,), 10),
        "c": Tensor("BF16", (), 2),
    }


def test_the_real_library_writes_what_we_read(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"x": np.zeros((2, 3), np.float32), "y": np.zeros(7, np.float16)}, tmp_path / "m.safetensors")
    read = headers.read_files([tmp_path / "m.safetensors"])
    assert read.parameters(tied=False) == 13
    assert read.dtype == "F32"
    assert read.file_bytes == (tmp_path / "m.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a safetensors file"),
        (b"1234567", "not a safetensors file"),
        (b"\xff" * 100, "not a safetensors file"),
        ((1000).to_bytes(8, "little") + b"{}", "ends inside its header"),
        ((2).to_bytes(8, "little") + b"{]", "damaged header"),
        ((2).to_bytes(8, "little") + b"[]", "damaged header"),
        ((8).to_bytes(8, "little") + b'{"a":{}}', "damaged header"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n", "Git LFS"),
    ],
)
def test_damage_is_named_with_the_file(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        headers.read_header(path)
    assert caught.value.problems[0].where == str(path)
    assert caught.value.fix


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        headers.read_header(tmp_path / "gone.safetensors")


def test_all_bad_files_are_reported_at_once(make_model: Any, save_tensors: Any) -> None:
    folder = make_model()
    (folder / "model.safetensors").unlink()
    save_tensors(folder / "model-00001-of-00002.safetensors", {"a": [4]})
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (folder / name).write_bytes(b"\xff" * 20)
    with pytest.raises(InputError) as caught:
        headers.read_folder(folder)
    assert len(caught.value.problems) == 2


@given(cut=st.integers(min_value=1))
def test_a_torn_file_never_passes(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("torn")
    header = json.dumps({"a": {"dtype": "F32", "shape": [50], "data_offsets": [0, 200]}}).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(200)
    path = folder / "a.safetensors"
    path.write_bytes(whole[: len(whole) - 1 - cut % len(whole)])
    with pytest.raises(InputError):
        headers.read_header(path)


def test_missing_shards_are_named(make_model: Any) -> None:
    folder = make_model()
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(InputError, match="2 weight files of the index missing: model-00001"):
        headers.read_folder(folder)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("{", "is damaged"),
        ('{"weight_map": []}', "names no weight files"),
        ('{"weight_map": {"a": "../../secret.safetensors"}}', "outside its folder"),
    ],
)
def test_a_bad_index_is_named(make_model: Any, index: str, words: str) -> None:
    folder = make_model()
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=words):
        headers.read_folder(folder)


def test_adapters_and_copies_are_no_weights(make_model: Any, save_tensors: Any) -> None:
    folder = make_model()
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    save_tensors(folder / "adapter_model.safetensors", {"lora": [999]})
    save_tensors(folder / "consolidated.safetensors", {"again": [999]})
    assert headers.read_folder(folder).parameters(tied=True) == 728


def test_a_tied_head_is_counted_once() -> None:
    both = weights(
        model__embed_tokens__weight=("BF16", (10, 4)), lm_head__weight=("BF16", (10, 4)), n=("F32", (4,))
    )
    assert both.parameters(tied=True) == 44
    assert both.parameters(tied=False) == 84


def test_a_head_alone_is_counted_even_if_tied() -> None:
    assert weights(lm_head__weight=("BF16", (10, 4))).parameters(tied=True) == 40


def test_buffers_are_not_parameters() -> None:
    stored = weights(
        w=("F32", (2, 2)),
        h__0__attn__bias=("U8", (1, 1, 8, 8)),
        layers__0__self_attn__rotary_emb__inv_freq=("F32", (16,)),
        layers__0__attn__bias=("F32", (3,)),
    )
    assert stored.parameters(tied=False) == 7


def test_packed_weights_do_not_tell_their_number() -> None:
    packed = weights(
        q_proj__weight=("U8", (2048, 1)), q_proj__weight__absmax=("U8", (64,)), norm__weight=("BF16", (64,))
    )
    assert packed.packed
    assert packed.parameters(tied=False) is None
    assert not weights(norm__weight=("BF16", (64,)), tokens=("I64", (64, 2))).packed
