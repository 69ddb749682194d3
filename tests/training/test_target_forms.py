"""Targets in their own shape, degraded ones for training alone, and what an encoder is told about the sensors."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError, MismatchError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Recording
from neurodecode.core.split import Split, published_split
from neurodecode.core.targets import TargetSpace, TargetWriter
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.brain_encoder import BrainEncoder
from neurodecode.encoders.brain.gated_convolution import GatedConvolutions
from neurodecode.encoders.brain.heads import TimeHeads
from neurodecode.encoders.brain.linear import Linear
from neurodecode.training.contrastive import Contrastive
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.decode_task import DecodeTask
from neurodecode.training.preparation import Preparation, require_same_interface, subject_sensors

NAMES = [f"s{number:02d}" for number in range(40)]
N_TRAIN = 24
VALUES = np.random.default_rng(3).normal(2.0, 3.0, size=(40, 4, 5)).astype(np.float32)


def write(folder: Path, space: TargetSpace, values: np.ndarray) -> str:
    writer = TargetWriter(folder, space)
    for name, value in zip(NAMES, values, strict=True):
        writer.add(name, value)
    writer.close()
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("targets")
    tokens = TargetSpace("net", "00", "last", "none", "sharp", False, "tokens", (4, 5))
    series = TargetSpace("net", "00", "last", "none", "16 kHz", False, "series", (5,), 25.0)
    return {
        "tokens": write(root / "tokens", tokens, VALUES),
        "blurred": write(root / "blurred", replace(tokens, preprocessing="blurred"), VALUES + 100),
        "other": write(root / "other", replace(tokens, layer="first"), VALUES),
        # 6 samples at 50 Hz are 0.12 s: 3 frames at 25 Hz of the 4 there are.
        "series": write(root / "series", series, VALUES),
    }


def test_tokens_keep_their_shape(tiny_study: PreparedStudy, folders: dict[str, str]) -> None:
    data = BrainDataModule(str(tiny_study.folder), {"tokens": folders["tokens"]}, target_form="raw")
    assert data.interface["targets"]["tokens"]["size"] == [4, 5]
    data.setup("fit")
    for batch in data.train_dataloader():
        rows = [NAMES.index(name) for name in batch.candidates]
        np.testing.assert_allclose(batch.targets["tokens"].numpy(), VALUES[rows])
    flat = BrainDataModule(str(tiny_study.folder), {"tokens": folders["tokens"]})
    assert flat.interface["targets"]["tokens"]["size"] == 20
    with pytest.raises(MismatchError, match=r"has size \[4, 5\] there, but 20"):
        require_same_interface(data.interface, flat.interface, what="last.ckpt")


def test_scaled_targets_use_training_stimuli_alone_and_are_restored(
    tiny_study: PreparedStudy, folders: dict[str, str]
) -> None:
    data = BrainDataModule(str(tiny_study.folder), {"tokens": folders["tokens"]}, target_form="scaled")
    data.setup("fit")
    scaled = data.reduced_targets()["tokens"][torch.arange(40)].numpy()
    trained = VALUES[:N_TRAIN]
    np.testing.assert_allclose(scaled, (VALUES - trained.mean()) / trained.std(), rtol=1e-4, atol=1e-5)
    assert scaled[:N_TRAIN].mean() == pytest.approx(0, abs=1e-5)
    again = Preparation.from_state(data.preparation.state())
    np.testing.assert_allclose(again.reductions["tokens"].restore(scaled), VALUES, rtol=1e-4, atol=1e-4)


def test_series_are_cut_to_the_window(tiny_study: PreparedStudy, folders: dict[str, str]) -> None:
    data = BrainDataModule(str(tiny_study.folder), {"speech": folders["series"]}, target_form="raw")
    assert data.interface["targets"]["speech"]["size"] == [3, 5]
    data.setup("fit")
    np.testing.assert_allclose(data.reduced_targets()["speech"][torch.arange(40)].numpy(), VALUES[:, :3])


def test_segments_are_told_apart_over_all_times_at_once(tiny_study: PreparedStudy, folders: dict[str, str]) -> None:
    """Loss of a time-kept prediction equals that of the flattened one, and trains every part of the encoder."""
    data = BrainDataModule(str(tiny_study.folder), {"speech": folders["series"]}, target_form="scaled", batch_size=12)
    data.setup("fit")
    torch.manual_seed(0)
    encoder = partial(BrainEncoder, front_end=_linear_front, backbone=partial(GatedConvolutions, width=6, n_layers=2),
                      heads=TimeHeads)  # fmt: skip
    task = DecodeTask(encoder, data.interface, objectives="brainmagick")
    (batch, *_) = list(data.train_dataloader())
    output = task(batch.groups)
    assert output.heads["speech"].shape == (12, 3, 5)
    loss, _ = task.objectives(output, batch.targets, batch, 0.0)
    estimate, candidate = output.heads["speech"].flatten(1), batch.targets["speech"].flatten(1)
    scores = estimate @ (candidate / candidate.norm(dim=1, keepdim=True)).T
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores, torch.arange(12)))
    loss.backward()
    assert all(parameter.grad is not None for parameter in task.encoder.parameters())
    task.preparation = data.preparation
    decoded = task.decode("sub-01", np.zeros((2, 7, 6), dtype=np.float32))
    assert decoded["speech"].shape == (2, 3, 5)


def _linear_front(n_channels: Mapping[str, int], n_times: int) -> torch.nn.Module:
    from neurodecode.encoders.brain.front_ends import SubjectLinear

    return SubjectLinear(n_channels, n_times, width=4)


def test_degraded_targets_train_and_never_test(tiny_study: PreparedStudy, folders: dict[str, str]) -> None:
    data = BrainDataModule(
        str(tiny_study.folder), {"tokens": folders["tokens"]}, target_form="raw",
        training_targets={"tokens": folders["blurred"]},
    )  # fmt: skip
    assert data.interface["targets"]["tokens"]["training_space"]["preprocessing"] == "blurred"
    data.setup("fit")
    for loader, shift in ((data.train_dataloader(), 100), (data.val_dataloader(), 0), (data.test_dataloader(), 0)):
        for batch in loader:
            rows = [NAMES.index(name) for name in batch.candidates]
            np.testing.assert_allclose(batch.targets["tokens"].numpy(), VALUES[rows] + shift, rtol=1e-6)
    another = {"tokens": folders["other"]}
    with pytest.raises(MismatchError, match="differs from net/last/none in layer"):
        BrainDataModule(str(tiny_study.folder), {"tokens": folders["tokens"]}, training_targets=another)
    with pytest.raises(ConfigError, match="training_targets: got 'more'"):
        BrainDataModule(str(tiny_study.folder), {"tokens": folders["tokens"]}, training_targets={"more": "nowhere"})


# -- sensors -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uneven(tiny_study_class: type, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    """The second subject has positions and voxels, and no training windows."""

    class Uneven(tiny_study_class):  # type: ignore[misc]
        def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
            recording = super().load(subject, sfreq=sfreq, store=store)
            block = recording.blocks["all"]
            count = len(block.sensors)
            layout = np.arange(2.0 * count).reshape(count, 2)
            grid = np.arange(3 * count).reshape(count, 3)
            sensors = replace(block.sensors, layout=layout, grid=grid, volume=(30, 30, 30))
            windows = recording.windows
            if subject == "sub-02":
                windows = windows[~windows["stimulus"].isin(NAMES[:N_TRAIN])].reset_index(drop=True)
            return replace(recording, blocks={"all": replace(block, sensors=sensors)}, windows=windows)

        def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
            parts = dict(zip(NAMES, ["train"] * 24 + ["val"] * 8 + ["test"] * 8, strict=True))
            return published_split(windows, parts, column="stimulus", unit="stimulus", rule="planted")

    return prepare_study(Uneven(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("cache") / "uneven")


def test_encoders_learn_where_the_channels_lie(uneven: PreparedStudy, folders: dict[str, str]) -> None:
    data = BrainDataModule(
        str(uneven.folder), {"tokens": folders["tokens"]}, transforms=[{"name": "select_channels", "region": "front"}]
    )
    sensors = subject_sensors(data.interface)
    assert dict(sensors) == {"sub-01": 3, "sub-02": 3}
    layout = sensors.layouts["sub-02"]
    assert layout.names == ("E0", "E1", "E2")
    assert layout.volume == (30, 30, 30)
    np.testing.assert_array_equal(layout.grid, np.arange(9).reshape(3, 3))
    np.testing.assert_allclose(layout.positions, np.arange(6.0).reshape(3, 2))
    subjects = {
        name: {**entry, "sensors": {**entry["sensors"], "positions": "0 0; 1 1; 2 2"}}
        for name, entry in data.interface["subjects"].items()
    }
    moved = {**data.interface, "subjects": subjects}
    with pytest.raises(MismatchError, match="the channels of sub-01 lie elsewhere"):
        require_same_interface(data.interface, moved, what="last.ckpt")


def test_a_subject_without_training_windows_is_named(uneven: PreparedStudy, folders: dict[str, str]) -> None:
    data = BrainDataModule(str(uneven.folder), {"tokens": folders["tokens"]})
    with pytest.raises(DataError, match="sub-02 has no training windows in fold 0"):
        data.setup("fit")


def test_more_subjects_than_the_front_end_knows() -> None:
    encoder = BrainEncoder({"sub-01": 3}, 4, {"x": 2}, backbone=Linear)
    with pytest.raises(MismatchError, match=r"'sub-02', expected one the encoder was built for \(sub-01\)"):
        encoder([SubjectBatch("sub-01", torch.zeros(1, 3, 4)), SubjectBatch("sub-02", torch.zeros(1, 3, 4))])


def test_a_batch_of_one_trains_nothing_contrastive_and_can_be_scored(tiny_study: PreparedStudy,
                                                                     tiny_targets: dict[str, str]) -> None:  # fmt: skip
    data = BrainDataModule(str(tiny_study.folder), tiny_targets, batch_size=1)
    data.setup("fit")
    (batch, *_) = list(data.train_dataloader())
    task = DecodeTask(partial(BrainEncoder, front_end=_linear_front, backbone=Linear), data.interface,
                      objectives=[Contrastive()])  # fmt: skip
    with pytest.raises(ConfigError, match="got a batch of one row, expected two; raise batch_size"):
        task.train().objectives(task(batch.groups), batch.targets, batch, 0.0)
    loss, _ = task.eval().objectives(task(batch.groups), batch.targets, batch, 0.0)
    assert float(loss.detach()) == 0.0
