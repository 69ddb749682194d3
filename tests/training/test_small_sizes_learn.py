"""The small sizes of the fMRI recipes learn: on the miniature of the NSD they know pictures they never saw."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from neurodecode.cli.main import main
from neurodecode.core.files import read_json

LEAST = 0.25


@pytest.fixture(scope="module")
def nsd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature, prepared, with its pixels as targets."""
    root = tmp_path_factory.mktemp("nsd")
    data = ["--root", str(root / "data")]
    assert main(["miniature", "nsd", "--layout", "hdf5", "--output", str(root / "data")]) == 0
    assert main(["prepare", "nsd", *data, "--output", str(root / "cache")]) == 0
    assert main(["embed", "nsd", *data, "--encoder", "pixels", "--output", str(root / "targets")]) == 0
    return root


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["mindbridge", "mindeye1", "mindeye2", "neuro_vision", "umbrae", "wave", "zebra"])
def test_pictures_are_found_above_chance(recipe: str, nsd: Path, tmp_path: Path) -> None:
    assert (Path(str(files("neurodecode.configs"))) / "size" / "small" / f"{recipe}.yaml").is_file()
    words = ["benchmark", recipe, str(nsd / "cache"), str(nsd / "targets"), "--size", "small", "--setting", "joint",
             "--seeds", "[0]", "--linear", "false", "--output", str(tmp_path)]  # fmt: skip
    assert main(words) == 0
    rows = read_json(tmp_path / "benchmark.json")["rows"]
    (found,) = [
        row for row in rows
        if (row["model"], row["subject"], row["metric"], row["direction"])
        == ("decoder", "mean", "top1", "image_given_brain")
    ]  # fmt: skip
    assert found["chance"] == pytest.approx(1 / 16)
    assert np.isfinite(found["low"])
    assert found["low"] > found["chance"]
    assert found["value"] > LEAST
