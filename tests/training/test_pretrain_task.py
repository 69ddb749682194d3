"""The task ``pretrain`` on a tiny study of oscillations, and a decoder that starts from its weights."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, LeakageError, MismatchError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Block, Recording
from neurodecode.training.command_line import CommandLine, run
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.pretrain_data import PretrainDataModule
from neurodecode.training.pretrain_task import PretrainTask, start_from_pretraining

CONFIGS = Path(str(files("neurodecode.configs")))
N_TIMES = 6


@pytest.fixture(scope="module")
def sequences(tiny_study_class: type, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    """Continuous oscillations of a random phase a window; two windows of rest, one across a test window."""

    class Sequences(tiny_study_class):  # type: ignore[misc]
        channels: Mapping[str, int] = {"sub-01": 7, "sub-02": 7}

        def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
            recording = super().load(subject, sfreq=sfreq, store=store)
            block = recording.blocks["all"]
            windows = recording.windows
            generator = np.random.default_rng(list(self.channels).index(subject))
            phase = generator.uniform(0, 2 * np.pi, size=(len(windows) + 2, 1, 1))
            shift = np.linspace(0, 3, 7)[:, None]
            data = np.sin(phase + shift + np.arange(N_TIMES)) + 0.1 * generator.normal(size=(len(phase), 7, N_TIMES))
            running = data.transpose(1, 0, 2).reshape(7, -1).astype(np.float32)
            start = np.arange(len(windows)) * N_TIMES
            rest = windows.iloc[[0, 0]].assign(stimulus="", repetition=0, onset=0.0)
            tested = int(start[windows["stimulus"] == "s39"][0])
            table = pd.concat(
                [windows.assign(start=start), rest.assign(start=[len(windows) * N_TIMES + 1, tested - 2])],
                ignore_index=True,
            )
            sensors = replace(block.sensors, names=tuple(f"P{number}" for number in range(7)))
            return replace(recording, blocks={"all": Block("all", running, sensors)}, windows=table)

    root = tmp_path_factory.mktemp("source")
    return prepare_study(Sequences(root), tmp_path_factory.mktemp("cache") / "sequences")


def fit(recipe: str, study: PreparedStudy, folder: Path, *extra: str) -> CommandLine:
    found = run(
        "fit",
        [
            "--config", str(CONFIGS / "recipe" / f"{recipe}.yaml"),
            "--config", str(CONFIGS / "size" / "small" / f"{recipe}.yaml"),
            "--data.study", str(study.folder),
            "--data.batch_size", "16",
            "--trainer.default_root_dir", str(folder),
            "--trainer.accelerator", "cpu",
            *extra,
        ],
    )  # fmt: skip
    assert found is not None
    return found


def test_windows_that_show_nothing_are_trained_on_unless_they_touch_tested_ones(sequences: PreparedStudy) -> None:
    data = PretrainDataModule(str(sequences.folder))
    trained = data.items("train")
    mine = trained.table["subject"] == "sub-01"
    rest = trained.table[mine & (trained.table["stimulus"] == "")]
    assert rest["item"].tolist() == ["sub-01 window 120"]
    assert mine.sum() == 24 * 3 + 1
    assert len(data.items("test")) == 2 * 8 * 3
    data.setup("fit")
    (batch, *_) = list(data.val_dataloader())
    assert not batch.targets
    assert batch.groups[0].signal.shape[1:] == (7, N_TIMES)


@pytest.fixture(scope="module")
def pretrained(sequences: PreparedStudy, tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, Path]:
    folder = tmp_path_factory.mktemp("pretrained")
    extra = ("--trainer.max_epochs", "8", "--model.optimizer.lr", "0.005", "--trainer.check_val_every_n_epoch", "8")
    return fit("wave_pretrain", sequences, folder, *extra), folder / "checkpoints" / "last.ckpt"


def test_pretraining_beats_persistence(pretrained: tuple[CommandLine, Path]) -> None:
    found, path = pretrained
    logged = found.trainer.logged_metrics
    assert float(logged["val/loss"]) < 0.5 * float(logged["val/persistence"])
    assert isinstance(PretrainTask.load_from_checkpoint(path), PretrainTask)


def test_a_decoder_starts_from_it(
    pretrained: tuple[CommandLine, Path], sequences: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    _, path = pretrained
    extra = ("--data.targets", str(tiny_targets), "--model.pretrained", str(path), "--trainer.max_epochs", "1")
    extra += ("--model.encoder.front_end", "Identity", "--trainer.max_steps", "-1")
    found = fit("wave", sequences, tmp_path / "fine", *extra, "--model.optimizer.lr", "0")
    assert isinstance(found.model, DecodeTask)
    there = torch.load(path, weights_only=True)["state_dict"]
    for name, weight in found.model.encoder.backbone.state_dict().items():
        torch.testing.assert_close(weight, there[f"encoder.backbone.{name}"])
    assert torch.isfinite(found.trainer.logged_metrics["train/loss"])

    # Weights that were loaded before are not overwritten.
    loaded = DecodeTask.load_from_checkpoint(tmp_path / "fine" / "checkpoints" / "last.ckpt")
    places = loaded.encoder.get_parameter("backbone.places")
    torch.nn.init.zeros_(places)
    loaded.setup("fit")
    assert not places.any()

    interface = found.model.interface
    assert "backbone.places" in start_from_pretraining(found.model.encoder, path, interface)
    with pytest.raises(LeakageError, match="its test windows may have been trained on"):
        start_from_pretraining(found.model.encoder, path, {**interface, "fold": 1})
    with pytest.raises(MismatchError, match="has the transforms"):
        start_from_pretraining(found.model.encoder, path, {**interface, "transforms": []})
    with pytest.raises(ConfigError, match=r"DecodeTask, expected .*PretrainTask"):
        start_from_pretraining(found.model.encoder, tmp_path / "fine" / "checkpoints" / "last.ckpt", interface)
