"""The small sizes of the recipes for fMRI take real steps on a tiny study."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Recording
from neurodecode.training.command_line import CommandLine, run
from neurodecode.training.decode_task import DecodeTask

CONFIGS = Path(str(files("neurodecode.configs")))
RECIPES = ["mindbridge", "mindeye1", "mindeye2", "umbrae"]
OF_VOLUMES = ["neuro_vision", "zebra"]


@pytest.fixture(scope="module")
def volume_study(tiny_study_class: type, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    """The tiny study with its voxels in a volume."""

    class InVolumes(tiny_study_class):  # type: ignore[misc]
        def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
            recording = super().load(subject, sfreq=sfreq, store=store)
            block = recording.blocks["all"]
            count = len(block.sensors)
            grid = np.stack([np.arange(count) % 5, np.arange(count) // 5, np.zeros(count)], axis=1).astype(np.int64)
            sensors = replace(block.sensors, grid=grid, volume=(5, 2, 1))
            return replace(recording, blocks={"all": replace(block, sensors=sensors)})

    root = tmp_path_factory.mktemp("source")
    return prepare_study(InVolumes(root), tmp_path_factory.mktemp("cache") / "volumes")


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


@pytest.mark.parametrize("recipe", [*RECIPES, *OF_VOLUMES])
def test_small_sizes_take_steps(
    recipe: str, volume_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    found = fit(recipe, volume_study, tiny_targets, tmp_path, "--data.batch_size", "12")
    assert found.trainer.global_step == 4
    logged = found.trainer.logged_metrics
    assert torch.isfinite(logged["train/loss"])
    assert 0 < float(logged["val/mrr"]) <= 1
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()


def test_candidates_are_ranked_by_the_contrastive_head_where_it_predicts_the_targets(
    volume_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    fit("mindeye2", volume_study, tiny_targets, tmp_path, "--data.batch_size", "12")
    task = DecodeTask.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    subject = volume_study.subjects[0]
    signals = volume_study.recording(subject).read(np.arange(3))
    plain = task.decode(subject, signals)
    ranking = task.decode(subject, signals, ranking=True)
    assert list(ranking) == list(tiny_targets)
    begin = 0
    for name, values in ranking.items():
        reduction = task.preparation.reductions[name]
        size = task.target_sizes[name]
        own = plain["retrieval"][:, begin : begin + size]
        np.testing.assert_allclose(values, reduction.restore(own), rtol=1e-5, atol=1e-6)
        assert not np.allclose(values, plain[name])
        begin += size
    assert begin == plain["retrieval"].shape[1]


def test_a_linear_space_of_its_own_ranks_as_its_products_do(
    volume_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    subject = volume_study.subjects[0]
    of_one = ("--data.batch_size", "6", "--data.subjects", f"[{subject}]")
    fit("neurobridge", volume_study, tiny_targets, tmp_path, *of_one)
    task = DecodeTask.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    signals = volume_study.recording(subject).read(np.arange(3))
    plain = task.decode(subject, signals)
    ranking = task.decode(subject, signals, ranking=True)
    assert list(ranking) == list(tiny_targets)
    generator = torch.Generator().manual_seed(0)
    stimuli = {name: torch.randn(5, size, generator=generator) for name, size in task.target_sizes.items()}
    with torch.no_grad():
        there = plain["retrieval"] @ (task.image_side(stimuli) - task.image_side.projection.bias).numpy().T
    here = np.zeros((3, 5), dtype=np.float32)
    for name, values in ranking.items():
        reduction = task.preparation.reductions[name]
        assert np.ptp(reduction.scales) == 0  # with one scale for all components, products in the target's space agree
        here += (
            (values - reduction.mean)
            @ (reduction.restore(stimuli[name].numpy()) - reduction.mean).T
            / (reduction.scales[0] ** 2)
        )
    np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-4)
