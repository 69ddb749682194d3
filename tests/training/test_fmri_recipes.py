"""The small sizes of the recipes for fMRI take real steps on a tiny study."""

from importlib.resources import files
from pathlib import Path

import pytest
import torch

from neurodecode.core.prepared import PreparedStudy
from neurodecode.training.command_line import CommandLine, run

CONFIGS = Path(str(files("neurodecode.configs")))
RECIPES = ["mindbridge", "mindeye1", "mindeye2"]


def fit(recipe: str, study: PreparedStudy, targets: dict[str, str], folder: Path, *extra: str) -> CommandLine:
    found = run(
        "fit",
        [
            "--config", str(CONFIGS / "recipe" / f"{recipe}.yaml"),
            "--config", str(CONFIGS / "size" / "small" / f"{recipe}.yaml"),
            "--data.study", str(study.folder),
            "--data.targets", str(targets),
            "--trainer.default_root_dir", str(folder),
            "--trainer.max_steps", "4",
            "--trainer.accelerator", "cpu",
            *extra,
        ],
    )  # fmt: skip
    assert found is not None
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_small_sizes_take_steps(
    recipe: str, tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    found = fit(recipe, tiny_study, tiny_targets, tmp_path, "--data.batch_size", "12")
    assert found.trainer.global_step == 4
    logged = found.trainer.logged_metrics
    assert torch.isfinite(logged["train/loss"])
    assert 0 < float(logged["val/mrr"]) <= 1
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
