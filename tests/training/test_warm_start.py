"""The warm start puts a closed-form decoder where it belongs."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from neurodecode.core.errors import ConfigError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.brain.brain_encoder import BrainEncoder
from neurodecode.encoders.brain.front_ends import SubjectLinear
from neurodecode.encoders.brain.linear import Linear
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.warm_start import (
    closed_form_decoder,
    posterior_weights,
    start_linear_path,
    training_trials,
    weights_of_linear_map,
)


def test_weights_of_an_affine_map_are_found() -> None:
    generator = np.random.default_rng(0)
    weights, intercept = generator.normal(size=(6, 4)), generator.normal(size=4)
    found = weights_of_linear_map(lambda rows: rows.reshape(len(rows), -1) @ weights + intercept, (2, 3))
    np.testing.assert_allclose(found[0], weights, atol=1e-12)
    np.testing.assert_allclose(found[1], intercept, atol=1e-12)


def test_turned_around_encoding_is_the_best_linear_prediction() -> None:
    """Against the definition: no other linear map predicts the targets of noisy responses better."""
    generator = np.random.default_rng(0)
    responses = generator.normal(size=(4000, 3)) * np.array([2.0, 1.0, 0.5])
    targets = responses @ generator.normal(size=(3, 2))
    noisy = np.repeat(responses, 20, axis=0) + generator.normal(size=(80000, 3))
    expected, *_ = np.linalg.lstsq(noisy, np.repeat(targets, 20, axis=0), rcond=None)
    np.testing.assert_allclose(posterior_weights(responses, targets, 1.0), expected, atol=0.03)


@pytest.mark.parametrize("kind", ["ridge", "encoding"])
def test_the_encoder_starts_as_the_closed_form(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], kind: Any
) -> None:
    data = BrainDataModule(str(tiny_study.folder), tiny_targets, components=2, transforms=[{"name": "standardize"}])
    data.setup("fit")
    counts = {name: entry["n_channels"] for name, entry in data.interface["subjects"].items()}
    encoder = BrainEncoder(
        counts,
        6,
        {"first": 2, "second.1": 2},
        front_end=partial(SubjectLinear, width=4),
        backbone=Linear,
        linear_path=True,
    ).eval()
    start_linear_path(encoder, data, kind, seed=0)
    bank = {name: data.embeddings(name) for name in data.targets}
    for subject in counts:
        stage, decode = closed_form_decoder(
            training_trials(data, subject), bank, np.array(data.candidates), kind, seed=0
        )
        recording = tiny_study.recording(subject)
        signals = data.preparation.apply(subject, recording.read(np.arange(10)))
        layers = stage.components.layers(decode(signals), stage.scaler)
        with torch.no_grad():
            heads = encoder([SubjectBatch(subject, torch.from_numpy(signals))]).heads
        for name, values in layers.items():
            expected = data.preparation.reductions[name](values)
            np.testing.assert_allclose(heads[name].numpy(), expected, atol=1e-4)


def test_training_trials_are_training_windows(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = BrainDataModule(str(tiny_study.folder), tiny_targets, transforms=[])
    trials = training_trials(data, "sub-01")
    assert len(trials) == 24 * 3
    assert set(trials.stimulus) == {f"s{number:02d}" for number in range(24)}
    table = tiny_study.recording("sub-01").windows
    rows = np.flatnonzero(table["stimulus"] == trials.stimulus[0])
    np.testing.assert_array_equal(trials.signals[:3], tiny_study.recording("sub-01").read(rows))


def test_an_encoder_without_a_linear_path_is_refused(tiny_study: PreparedStudy, tiny_targets: dict[str, str]) -> None:
    data = BrainDataModule(str(tiny_study.folder), tiny_targets)
    with pytest.raises(ConfigError, match="linear_path"):
        start_linear_path(torch.nn.Linear(2, 3), data, "ridge", seed=0)


@pytest.mark.parametrize("kind", ["ridge", "encoding"])
def test_the_closed_forms_find_the_planted_code(
    tiny_study: PreparedStudy, tiny_targets: dict[str, str], planted: np.ndarray, kind: Any
) -> None:
    data = BrainDataModule(str(tiny_study.folder), tiny_targets, transforms=[])
    bank = {name: data.embeddings(name) for name in data.targets}
    stage, decode = closed_form_decoder(training_trials(data, "sub-01"), bank, np.array(data.candidates), kind, seed=0)
    signals = tiny_study.recording("sub-01").read(np.arange(24, 40))
    found = stage.components.layers(decode(signals), stage.scaler)["second.1"]
    assert np.corrcoef(found.ravel(), planted[24:40, 2:].ravel())[0, 1] > 0.8
