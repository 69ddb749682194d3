"""The command `embed`, as a user types it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neurodecode.cli.main import main
from neurodecode.core.feature_table import FeatureTable
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.targets import Targets


class TinyStudy:
    def __init__(self, root: Path) -> None:
        self.root = root

    def stimuli(self) -> Stimuli:
        names = ["a", "b", "c"]
        table = pd.DataFrame({"stimulus": names, "kind": "image", "path": [f"{name}.png" for name in names]})
        return Stimuli(table.assign(concept=names, text="thing"), self.root)

    def feature_tables(self) -> dict[str, FeatureTable]:
        return {}


@pytest.fixture
def tiny_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed, name in enumerate("abc"):
        values = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    monkeypatch.setattr("neurodecode.datasets.catalogue.open_study", lambda name, root, options: TinyStudy(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_embed_writes_targets_and_says_where(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "tiny", "--encoder", "pixels", "--size", "4"]) == 0
    folder = Path("outputs/targets/tiny/pixels")
    assert f"Targets: {folder}" in capsys.readouterr().out.replace("\n", "")
    targets = Targets.open(folder / "pixels")
    assert targets.get(["b"]).shape == (1, 48)
    assert main(["embed", "tiny", "--encoder", "pixels", "--size", "4"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoder", "pixel"], "encoder: got 'pixel', expected one of"),
        (["--encoder", "pixels", "--layers", "conv1"], "got the option 'layers', expected some of size"),
        (["--encoder", "gabor", "--layers", "w1", "w2"], "layers: got 'w1', expected some of wavelength4"),
        (["--encoder", "gabor", "--pooling", "median"], "pooling: got 'median'"),
        (["--encoder", "open_clip"], "expected a folder, or a model with the tag"),
        (["--encoder", "open_clip", "--folder", "absent"], "folder: absent does not exist"),
    ],
)
def test_embed_errors_are_one_line(
    tiny_study: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", "tiny", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_embed_refuses_circular_targets(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "openmoji_eeg", "--encoder", "alexnet"]) == 2
    assert "circular" in capsys.readouterr().err
    assert not Path("outputs").exists()
