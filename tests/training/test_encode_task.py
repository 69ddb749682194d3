"""The task ``encode`` on a tiny study with a planted linear code."""

from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from neurodecode.core.errors import ConfigError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.encoding.region_encoder import RegionEncoder
from neurodecode.training.command_line import run
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.encode_task import EncodeTask

CONFIGS = Path(str(files("neurodecode.configs")))


def test_small_adeli_learns_to_predict_signals_and_comes_back_from_its_checkpoint(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    arguments = [
        "--config", str(CONFIGS / "recipe" / "adeli.yaml"),
        "--config", str(CONFIGS / "size" / "small" / "adeli.yaml"),
        "--data.study", str(tiny_study.folder),
        "--data.targets", str(tiny_targets),
        "--trainer.default_root_dir", str(tmp_path),
        "--trainer.max_epochs", "20",
        "--trainer.check_val_every_n_epoch", "20",
        "--model.optimizer.lr", "0.003",
        "--trainer.accelerator", "cpu",
    ]  # fmt: skip
    found = run("fit", arguments)
    assert found is not None
    assert isinstance(found.model, EncodeTask)
    logged = found.trainer.logged_metrics
    assert float(logged["val/correlation"]) > 0.3
    assert 0 < float(logged["val/normalised"]) <= 1
    assert found.model.encoder.regions == ["elsewhere", "front"]
    # The evidence is that of all rows, and readouts are no matter of steps.
    with pytest.raises(ConfigError, match="batch_size: got a batch of 12 rows, expected all 48 of training"):
        run("fit", [*arguments, "--data.batch_size", "12"])

    loaded = EncodeTask.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    data = found.datamodule
    assert isinstance(data, BrainDataModule)
    (batch, *_) = list(data.val_dataloader())
    features = {name: data.embeddings(name)[batch.candidate_index.numpy()] for name in data.targets}
    expected = found.model.eval()(batch)
    (count, *_) = (len(group) for group in batch.groups)
    signal = loaded.encode("sub-01", {name: values[:count] for name, values in features.items()}, batch_size=3)
    np.testing.assert_allclose(signal, expected[0].detach().numpy(), atol=1e-4)
    assert loaded.ratios is not None
    assert loaded.ratios["sub-02"].shape == (9, 6)
    with pytest.raises(ConfigError, match="features: got none for 'second"):
        loaded.encode("sub-01", {"first": features["first"]})

    looked = loaded.attention(features)
    assert looked is not None
    assert looked.shape == (len(features["first"]), 2, len(found.model.encoder.tokens))
    np.testing.assert_allclose(looked.sum(axis=2), 1.0, atol=1e-5)

    # Candidates are ranked by how well the predicted signals fit the measured ones: well above chance, 4.5 of 8.
    stimuli = [f"s{number:02d}" for number in range(24, 32)]
    place = [data.candidates.index(name) for name in stimuli]
    gallery = {name: data.embeddings(name)[place] for name in data.targets}
    recording = data.study.recording("sub-01")
    shown = recording.windows["stimulus"].to_numpy().astype(str)
    averages = recording.read_averaged([np.flatnonzero(shown == name) for name in stimuli])
    scores = loaded.score("sub-01", averages, gallery)
    ranks = (scores > np.diag(scores)[:, None]).sum(axis=1) + 1
    assert ranks.mean() < 2.5

    # The test part, through the command.
    tested = run("test", [*arguments, "--ckpt_path", str(tmp_path / "checkpoints" / "last.ckpt")])
    assert tested is not None
    assert float(tested.trainer.logged_metrics["test/correlation"]) > 0.2


def test_the_squared_error_is_learnt_by_batches(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], tmp_path: Path
) -> None:
    found = run("fit", [
        "--config", str(CONFIGS / "recipe" / "adeli.yaml"),
        "--config", str(CONFIGS / "size" / "small" / "adeli.yaml"),
        "--data.study", str(tiny_study.folder),
        "--data.targets", str(tiny_targets),
        "--data.batch_size", "12",
        "--model.objective", "error",
        "--model.optimizer.lr", "0.003",
        "--trainer.default_root_dir", str(tmp_path),
        "--trainer.max_epochs", "12",
        "--trainer.check_val_every_n_epoch", "12",
        "--trainer.accelerator", "cpu",
    ])  # fmt: skip
    assert found is not None
    assert float(found.trainer.logged_metrics["val/correlation"]) > 0.3


def test_the_ceiling_is_that_of_training_windows_alone(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = BrainDataModule(str(tiny_study.folder), tiny_targets)
    task = EncodeTask(partial(RegionEncoder, width=8, n_heads=2, hidden=8), data.interface)
    with pytest.raises(ConfigError, match="without training windows"):
        task.record()
    data.setup("fit")
    (batch, *_) = list(data.train_dataloader())
    torch.testing.assert_close(
        task._loss(batch, [group.signal + 2 for group in batch.groups]), torch.full((len(batch),), 4.0)
    )
