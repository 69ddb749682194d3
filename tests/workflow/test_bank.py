"""A bank keeps its layers in the order of depth."""

from pathlib import Path

import numpy as np
import pytest

from neurodecode.core.errors import DataError
from neurodecode.core.files import write_json
from neurodecode.core.targets import TargetSpace, TargetWriter
from neurodecode.workflow.bank import TargetBank


def write(folder: Path, layer: str) -> None:
    writer = TargetWriter(folder / layer, TargetSpace("net", "00", layer, "mean", "224", False, "vector", (2,)))
    writer.add("a", np.ones(2, dtype=np.float32))
    writer.close()


def test_layers_follow_the_encoder_then_their_names(tmp_path: Path) -> None:
    for layer in ("stem", "blocks.10", "blocks.2", "added", "more"):
        write(tmp_path, layer)
    assert list(TargetBank.open(tmp_path).layers) == ["added", "blocks.10", "blocks.2", "more", "stem"]
    write_json(tmp_path / "encoder.json", {"layers": ["stem", "blocks.2", "gone", "blocks.10"]})
    assert list(TargetBank.open(tmp_path).layers) == ["stem", "blocks.2", "blocks.10", "added", "more"]


def test_a_folder_without_targets_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder of targets"):
        TargetBank.open(tmp_path)
