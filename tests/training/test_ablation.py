"""Scores of a decoder without each region."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from neurodecode.core.errors import ConfigError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.layouts import SensorLayout
from neurodecode.training.ablation import ablation_table, without_region
from neurodecode.training.command_line import run
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.decode_task import DecodeTask

CONFIGS = Path(str(files("neurodecode.configs")))


def test_a_region_is_silenced_for_those_who_have_it() -> None:
    layouts = {
        "a": SensorLayout(("x", "y"), 0.0, regions={"V1": np.array([True, False])}),
        "b": SensorLayout(("x", "y"), 0.0),
    }
    groups = [SubjectBatch(subject, torch.ones(2, 2, 3)) for subject in layouts]
    first, second = without_region(groups, layouts, "V1")
    assert (first.signal[:, 0] == 0).all()
    assert (first.signal[:, 1] == 1).all()
    assert (second.signal == 1).all()
    assert (groups[0].signal == 1).all()


def test_scores_fall_without_a_region_that_is_read(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    found = run(
        "fit",
        [
            "--config", str(CONFIGS / "recipe" / "linear.yaml"),
            "--data.study", str(tiny_study.folder),
            "--data.targets", str(tiny_targets),
            "--data.components", "3",
            "--data.transforms", "[{name: select_channels, region: front}, {name: standardize}]",
            "--model.optimizer.lr", "0.01",
            "--trainer.max_epochs", "20",
            "--trainer.check_val_every_n_epoch", "20",
            "--trainer.default_root_dir", str(tmp_path),
            "--trainer.accelerator", "cpu",
        ],
    )  # fmt: skip
    assert found is not None
    assert isinstance(found.model, DecodeTask)
    assert isinstance(found.datamodule, BrainDataModule)
    table = ablation_table(found.model, found.datamodule)
    assert table["region"].tolist() == ["", "front"]
    assert table["n_channels"].tolist() == [0, 6]
    whole, without = table["mrr"]
    assert whole == pytest.approx(float(found.trainer.logged_metrics["val/mrr"]))
    # Nothing is left to read: all queries give the same, whatever was seen.
    assert whole > 0.6
    assert without < 0.4
    with pytest.raises(ConfigError, match="regions: got 'V1', expected some of front"):
        ablation_table(found.model, found.datamodule, ["V1"])
