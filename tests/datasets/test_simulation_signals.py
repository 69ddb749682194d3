"""Sources, noise and what preprocessing does to them."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.datasets.preprocessing import Preprocessing, cut_with_baseline, preprocess_array
from neurodecode.datasets.simulation.components import design_matrix, reduce_layer
from neurodecode.datasets.simulation.forward import gain_matrix
from neurodecode.datasets.simulation.noise import autocovariance, continuous_noise
from neurodecode.datasets.simulation.preparation import inverse_root, prepare, prepare_as, whiten
from neurodecode.datasets.simulation.sensors import eeg_info, head_sphere, meg_info
from neurodecode.datasets.simulation.settings import (
    EVOKED,
    ONSET_SPACING,
    WINDOW_DURATION,
    DipoleSettings,
    NoiseSettings,
)
from neurodecode.datasets.simulation.signals import beta_run, continuous_run
from neurodecode.datasets.simulation.subject import stream, subject_truth
from neurodecode.datasets.simulation.timecourses import time_course
from neurodecode.datasets.simulation.trials import plan_trials
from neurodecode.datasets.simulation.truth import Truth

N_TRAIN, N_TEST = 24, 4
REFERENCED = Preprocessing(reference="average")


def make_truth(modality: str = "eeg", number: int = 0, **options: float | str | int) -> Truth:
    generator = np.random.default_rng(0)
    n_stimuli = N_TRAIN + N_TEST
    layers = {"early": generator.standard_normal((n_stimuli, 30)), "late": generator.standard_normal((n_stimuli, 30))}
    splits = ("train",) * N_TRAIN + ("test",) * N_TEST
    design, names = design_matrix(layers, np.array(splits) == "train", 3)
    stimuli = tuple(f"s{row}" for row in range(n_stimuli))
    return subject_truth(modality, number, design, names, stimuli, splits, **{"sfreq": 100.0, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth()


def test_components_are_fitted_on_training_pictures_alone() -> None:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((50, 20)) * np.linspace(3, 0.1, 20)
    training = np.arange(50) < 40
    scores = reduce_layer(features, training, 5)
    changed = features.copy()
    changed[45] += 100.0
    np.testing.assert_allclose(np.delete(reduce_layer(changed, training, 5), 45, axis=0), np.delete(scores, 45, axis=0))
    centred = features - features[training].mean(axis=0)
    directions = np.linalg.svd(centred[training], full_matrices=False)[2][:5]
    reference = centred @ directions.T
    reference /= reference[training].std(axis=0)
    np.testing.assert_allclose(np.abs(scores), np.abs(reference), atol=1e-8)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({}, "at least one layer"),
        ({EVOKED: np.zeros((10, 9))}, "reserved"),
        ({"early": np.zeros((9, 9))}, "expected 10 rows"),
        ({"early": np.zeros((10, 9))}, "directions of variance"),
        ({"early": np.full((10, 9), np.nan)}, "finite"),
    ],
)
def test_features_that_cannot_drive_sources_are_refused(features: dict[str, NDArray[np.float64]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        design_matrix(features, np.ones(10, dtype=bool), 3)


def test_time_courses_are_causal_and_band_limited() -> None:
    settings = DipoleSettings()
    times = np.arange(1000) / 1000.0
    for frequency in (0.0, settings.highest_frequency):
        wave = time_course(times, settings.first_latency, min(settings.widths), frequency, 0.7)
        assert wave[0] == 0.0
        assert abs(wave[-1]) < 1e-6
        spectrum = np.abs(np.fft.rfft(wave, 8000)) ** 2
        assert spectrum[np.fft.rfftfreq(8000, 1e-3) > 20].sum() < 0.01 * spectrum.sum()


def test_noise_has_the_promised_autocovariance_and_forgets_between_trials() -> None:
    settings = NoiseSettings()
    noise = continuous_noise(40, 20_000, 100.0, settings, np.random.default_rng(0)).astype(np.float64)
    expected = autocovariance(41, 100.0, settings)
    empirical = [np.mean(noise[:, : noise.shape[1] - lag] * noise[:, lag:]) for lag in range(41)]
    np.testing.assert_allclose(empirical, expected, atol=0.01)
    gap = round((ONSET_SPACING - WINDOW_DURATION) * 250)
    lags = autocovariance(gap + 400, 250.0, settings)
    assert np.abs(lags[gap:]).max() < 0.1 * lags[0]


def test_noise_is_the_same_process_at_every_rate() -> None:
    slow, fast = (autocovariance(round(0.5 * rate), rate, NoiseSettings()) for rate in (100.0, 250.0))
    # Every 20 ms both have a sample; at 250 Hz there is a little more power, between 50 and 125 Hz.
    np.testing.assert_allclose(slow[::2][1:], fast[::5][1:], atol=0.02)


def test_forward_model_knows_physics() -> None:
    info = eeg_info(100.0)
    centre, radius = head_sphere(info)
    place = centre + radius * np.array([[0.1, -0.7, 0.1]])
    electric = gain_matrix(info, place, centre, radius)
    magnetic = gain_matrix(meg_info(100.0), place, centre, radius)
    radial = (place - centre)[0] / np.linalg.norm(place - centre)
    # A radial dipole in a sphere makes no magnetic field, and its potential is strongest over it.
    assert np.abs(magnetic[:, 0] @ radial).max() < 1e-3 * np.abs(magnetic).max()
    strongest = info["ch_names"][int(np.abs(electric[:, 0] @ radial).argmax())]
    assert strongest in ("Oz", "O1", "O2", "POz", "PO3", "PO4")
    with pytest.raises(ConfigError, match="within"):
        gain_matrix(info, centre[None] + radius, centre, radius)


def test_layers_go_from_occipital_and_early_to_late(truth: Truth) -> None:
    energy = truth.timecourses**2
    times = np.arange(energy.shape[1]) / truth.sfreq
    centres = (energy * times).sum(axis=1) / energy.sum(axis=1)
    driven = {layer: (truth.weight_variance[np.array(truth.layers) == layer] > 0).any(axis=0) for layer in truth.layers}
    assert centres[driven["early"]].mean() + 0.05 < centres[driven["late"]].mean()
    posterior = np.array([name.startswith(("O", "PO")) for name in truth.channels])
    share = (truth.topographies[posterior] ** 2).sum(axis=0) / (truth.topographies**2).sum(axis=0)
    assert share[driven["early"]].mean() > share[driven["late"]].mean()


def test_subjects_share_a_part_of_their_weights(truth: Truth) -> None:
    other = make_truth(number=1)
    drives = (truth.weight_variance > 0) & (np.array(truth.layers) != EVOKED)[:, None]
    correlation = np.corrcoef(truth.weights[drives], other.weights[drives])[0, 1]
    assert correlation == pytest.approx(0.7, abs=0.12)
    assert not np.allclose(truth.topographies, other.topographies)
    assert truth.topographies.shape == other.topographies.shape


def test_the_same_seed_gives_the_same_subject_at_every_rate(truth: Truth) -> None:
    faster = make_truth(sfreq=250.0)
    np.testing.assert_array_equal(truth.weights, faster.weights)
    np.testing.assert_allclose(truth.topographies, faster.topographies)
    np.testing.assert_allclose(truth.timecourses[:, ::2], faster.timecourses[:, ::5], atol=1e-12)
    assert not np.allclose(truth.weights, make_truth(seed=1).weights)


def test_trials_are_counted_shuffled_and_on_the_grid() -> None:
    stimuli = [f"s{row}" for row in range(30)]
    splits = ["train"] * 20 + ["val"] * 4 + ["test"] * 6
    trials = plan_trials(stimuli, splits, np.random.default_rng(0), trials_per_run=50)
    counts = trials.groupby(["split", "stimulus"]).size()
    assert set(counts["train"]) == set(counts["val"]) == {4}
    assert set(counts["test"]) == {20}
    assert (trials.groupby("run")["split"].agg(lambda sides: len({side == "test" for side in sides})) == 1).all()
    assert (trials.groupby("stimulus")["repetition"].agg(lambda values: len(set(values)) == len(values))).all()
    for _run, shown in trials.groupby("run"):
        assert np.diff(shown["onset"]).min() >= ONSET_SPACING - 1e-9
        np.testing.assert_allclose(shown["onset"] * 50, np.round(shown["onset"] * 50), atol=1e-6)
    assert list(trials["stimulus"][:20]) != stimuli[:20]


def epochs_of(
    truth: Truth, settings: Preprocessing, onsets_per_run: int, runs: int
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Draw runs, prepare them as the reader does, cut windows."""
    shown = plan_trials(truth.stimuli, truth.splits, np.random.default_rng(1), trials_per_run=onsets_per_run)
    windows, names = [], []
    for run, table in list(shown.groupby("run"))[:runs]:
        signal = continuous_run(truth, table, int(str(run)))
        prepared = preprocess_array(signal, truth.sfreq, 50.0, settings=settings)
        starts = np.round(table["onset"].to_numpy(dtype=np.float64) * 50).astype(int)
        if settings.baseline is None:
            windows.extend(prepared[:, start : start + 40] for start in starts)
        else:
            first, last = (round(edge * 50) for edge in settings.baseline)
            windows.extend(cut_with_baseline(prepared, starts, 40, (first, last)))
        names.extend(table["stimulus"])
    return np.array(windows), np.array(names, dtype=np.str_)


@pytest.mark.parametrize(
    "settings",
    [
        REFERENCED,
        Preprocessing(high_pass=0.5, low_pass=20.0),
        Preprocessing(reference="average", baseline=(-0.2, 0.0)),
    ],
    ids=["referenced", "filtered", "baseline"],
)
def test_predicted_responses_and_noise_are_those_of_prepared_runs(truth: Truth, settings: Preprocessing) -> None:
    quiet = replace(truth, noise_space=truth.noise_space * 1e-12)
    prepared = prepare_as(truth, settings, 50.0)
    windows, names = epochs_of(quiet, settings, 60, 1)
    activations = truth.activations[truth.rows(names)]
    expected = np.einsum("ns,cs,st->nct", activations, prepared.topographies, prepared.timecourses)
    # Single precision, and what the filters carry over from the neighbouring trials, are all that may differ.
    alone = 0.01 if settings.high_pass is None else 0.2
    assert np.abs(windows - expected).max() < alone * np.abs(expected).max()

    windows, names = epochs_of(truth, settings, 60, 3)
    noise = windows - np.einsum(
        "ns,cs,st->nct", truth.activations[truth.rows(names)], prepared.topographies, prepared.timecourses
    )
    whitened = whiten(prepared)
    residual = whitened.apply(noise)
    assert residual.var() == pytest.approx(whitened.noise_variance.mean(), rel=0.03)
    if settings.low_pass is None:
        by_channel = residual.reshape(len(names), 63, 40)
        assert np.abs(np.corrcoef(by_channel.transpose(1, 0, 2).reshape(63, -1)) - np.eye(63)).max() < 0.15
        assert np.abs(np.corrcoef(by_channel.transpose(2, 0, 1).reshape(40, -1)) - np.eye(40)).max() < 0.15


def test_an_average_reference_costs_one_dimension(truth: Truth) -> None:
    whitened = whiten(prepare_as(truth, REFERENCED, 50.0))
    assert np.linalg.matrix_rank(whitened.space, tol=1e-6 * np.abs(whitened.space).max()) == 62
    assert whitened.noise_variance.sum() == pytest.approx(62 * 40, rel=1e-6)


def test_a_filter_that_is_not_linear_is_refused(truth: Truth) -> None:
    with pytest.raises(DataError, match="linear"):
        prepare(truth, lambda signals, rate: (np.abs(signals), rate))


def test_a_high_pass_is_followed(truth: Truth) -> None:
    sections = scipy.signal.butter(2, 1.0, "highpass", fs=truth.sfreq, output="sos")
    prepared = prepare(truth, lambda signals, rate: (scipy.signal.sosfiltfilt(sections, signals, axis=1), rate))
    whole = prepare(truth)
    assert np.trace(prepared.noise_time) < np.trace(whole.noise_time)
    assert prepared.noise_time.shape == (80, 80)


def test_inverse_root_of_a_full_covariance() -> None:
    generator = np.random.default_rng(0)
    factor = generator.standard_normal((5, 5))
    root = inverse_root(factor @ factor.T)
    np.testing.assert_allclose(root @ factor @ factor.T @ root, np.eye(5), atol=1e-8)


def test_full_realism_adds_what_it_says(truth: Truth) -> None:
    full = replace(truth, realism="full")
    assert full.approximate
    assert not truth.approximate
    trials = plan_trials(truth.stimuli, truth.splits, np.random.default_rng(1))
    trials = trials[trials["run"] == 1]
    plain, rich = continuous_run(truth, trials, 1), continuous_run(full, trials, 1)
    frontal, back = truth.channels.index("Fp1"), truth.channels.index("Oz")
    added = rich - plain
    assert np.abs(added[frontal]).max() > 2 * np.abs(added[back]).max()
    np.testing.assert_array_equal(rich, continuous_run(full, trials, 1))


def test_beta_maps_have_responses_and_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurodecode.datasets.simulation import subject
    from neurodecode.datasets.simulation.settings import VolumeSettings

    monkeypatch.setattr(subject, "VolumeSettings", lambda: VolumeSettings(grids=((7, 8, 6),)))
    truth = make_truth("fmri")
    trials = plan_trials(truth.stimuli, truth.splits, np.random.default_rng(1))
    trials = trials[trials["run"] == 1]
    betas = beta_run(truth, trials, 1)
    assert betas.shape == (len(trials), len(truth.channels))
    whitened = whiten(prepare(truth))
    residual = (
        whitened.apply(betas[:, :, None]) - truth.activations[truth.rows(list(trials["stimulus"]))] @ whitened.basis
    )
    assert residual.var() == pytest.approx(1.0, rel=0.05)
    with pytest.raises(DataError, match="no continuous"):
        continuous_run(truth, trials, 1)


@pytest.mark.parametrize(("options", "message"), [({"sfreq": 120.0}, "sfreq"), ({"modality": "pet"}, "modality")])
def test_what_cannot_be_simulated_is_refused(options: dict[str, str | float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_truth(**options)  # type: ignore[arg-type]


def test_streams_differ_by_purpose() -> None:
    drawn = {float(stream(0, *purpose).random()) for purpose in (("noise", 1), ("noise", 2), ("trials", 1))}
    assert len(drawn) == 3
