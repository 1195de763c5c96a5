"""architectures.toml says what the installed transformers says.

`python tests/models/test_architectures_current.py` writes the file anew after an update of transformers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tui_ft.models import config

TABLE = Path(config.__file__).with_name("architectures.toml")
KEYS = (
    *(name for names in config._NAMES.values() for name in names),
    *("head_dim", "moe_intermediate_size", "sliding_window", "use_sliding_window", "tie_word_embeddings"),
    *("attention_bias", "mlp_bias", "decoder_sparse_step"),
)

# Class defaults rather than those of an instance, which derives some fields from others.
READ = """
import dataclasses, json, sys
import transformers
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
kinds, keys = json.loads(sys.argv[1])
defaults = {}
for kind in kinds:
    fields = {field.name: field.default for field in dataclasses.fields(CONFIG_MAPPING[kind])}
    defaults[kind] = {
        key: fields[key] for key in keys if isinstance(fields.get(key), (bool, int))
    }
print(json.dumps({
    "transformers": transformers.__version__,
    "causal_lm": sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    "defaults": defaults,
}))
"""


def installed() -> dict[str, Any]:
    """The table as the installed transformers gives it, read in a child process."""
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps([config.KNOWN, KEYS])],
        capture_output=True,
        text=True,
        check=True,
    )
    table: dict[str, Any] = json.loads(done.stdout)
    return table


@pytest.mark.train
def test_the_table_is_that_of_the_installed_transformers() -> None:
    assert tomllib.loads(TABLE.read_text(encoding="utf-8")) == installed(), __doc__


if __name__ == "__main__":
    TABLE.write_text(
        "# Made from the installed transformers by tests/models/test_architectures_current.py.\n"
        + tomli_w.dumps(installed()),
        encoding="utf-8",
    )
