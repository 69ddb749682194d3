"""Filters, references, resampling and baselines against MNE, and the properties that the ceilings rely on."""

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.datasets.preprocessing import (
    Preprocessing,
    band_pass,
    cut_with_baseline,
    preprocess_array,
    resample,
    resampling_factors,
)

INSIDE = slice(30, -30)


def noise(channels: int = 4, samples: int = 2000) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(channels, samples)).astype(np.float32)


@pytest.mark.parametrize(("sfreq_in", "sfreq_out"), [(250.0, 50.0), (256.0, 100.0), (1000.0, 120.0), (100.0, 250.0)])
def test_resampling_is_mnes_polyphase(sfreq_in: float, sfreq_out: float) -> None:
    up, down = resampling_factors(sfreq_in, sfreq_out)
    # A length that divides: otherwise MNE rounds it, and bends the rate to fit.
    data = noise(samples=2000 // down * down)
    ours = resample(data, sfreq_in, sfreq_out)
    theirs = mne.filter.resample(data.astype(float), up, down, method="polyphase", verbose="error")
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[:, INSIDE], theirs[:, INSIDE], atol=2e-4)


def test_equal_rates_change_nothing() -> None:
    data = noise()
    assert resample(data, 250.0, 250.0) is data
    np.testing.assert_array_equal(preprocess_array(data, 250.0), data)


def test_nothing_above_half_the_new_rate_is_folded_down() -> None:
    time = np.arange(5000) / 250
    tone = np.sin(2 * np.pi * 40 * time)[None].astype(np.float32)
    assert np.abs(resample(tone, 250.0, 50.0)[:, INSIDE]).max() < 0.01
    slow = np.sin(2 * np.pi * 10 * time)[None].astype(np.float32)
    np.testing.assert_allclose(resample(slow, 250.0, 50.0)[:, INSIDE], slow[:, ::5][:, INSIDE], atol=0.01)


def test_a_pulse_stays_where_it_was() -> None:
    data = np.zeros((1, 2000), dtype=np.float32)
    data[0, 1000] = 1.0
    assert int(np.argmax(resample(data, 250.0, 50.0))) == 200


def test_offsets_make_no_step_at_the_ends() -> None:
    data = noise() * 1e-5 + 0.3
    np.testing.assert_allclose(resample(data, 250.0, 50.0), 0.3, atol=1e-4)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 200), st.floats(-5, 5), st.booleans(), st.booleans())
def test_the_whole_chain_is_linear_and_the_same_at_every_time(
    shift: int, factor: float, filtered: bool, referenced: bool
) -> None:
    chain = Preprocessing(
        high_pass=2.0 if filtered else None,
        low_pass=20.0 if filtered else None,
        reference="average" if referenced else None,
    )
    first, second = noise(3, 6000), noise(3, 6000)[:, ::-1].copy()

    def run(data: np.ndarray) -> np.ndarray:
        return preprocess_array(data, 250.0, 50.0, settings=chain)

    middle = slice(350, -350)
    mixed = run(first + np.float32(factor) * second)
    np.testing.assert_allclose(mixed[:, middle], (run(first) + factor * run(second))[:, middle], atol=2e-4)
    later = run(np.roll(first, 5 * shift, axis=1))
    np.testing.assert_allclose(later[:, 400:-400], np.roll(run(first), shift, axis=1)[:, 400:-400], atol=2e-4)


def test_filter_and_reference_are_mnes() -> None:
    data = noise(4, 5000).astype(np.float64)
    info = mne.create_info(["Fz", "Cz", "Oz", "Pz"], 250.0, "eeg")
    raw = mne.io.RawArray(data.copy(), info, verbose="error").filter(1.0, 30.0, verbose="error")
    raw.set_eeg_reference("average", projection=False, verbose="error")
    chain = Preprocessing(high_pass=1.0, low_pass=30.0, reference="average")
    np.testing.assert_allclose(preprocess_array(data, 250.0, settings=chain), raw.get_data(), atol=1e-5)


def test_high_pass_alone_removes_drift() -> None:
    time = np.arange(20_000) / 250
    drift = np.sin(2 * np.pi * 0.01 * time)[None]
    assert np.abs(band_pass(drift, 250.0, 0.5, None)[:, 3000:-3000]).max() < 0.02


def test_baselines_are_mnes() -> None:
    data = noise(3, 3000)
    info = mne.create_info(3, 100.0, "eeg")
    raw = mne.io.RawArray(data.astype(np.float64), info, verbose="error")
    onsets = np.array([100, 700, 1500])
    events = np.column_stack([onsets, np.zeros(3, int), np.ones(3, int)])
    epochs = mne.Epochs(raw, events, tmin=-0.2, tmax=0.49, baseline=(-0.2, -0.01), preload=True, verbose="error")
    ours = cut_with_baseline(data, onsets, 50, (-20, 0))
    np.testing.assert_allclose(ours, epochs.get_data()[:, :, 20:], atol=1e-5)
    with pytest.raises(DataError, match="window 0 or its baseline reaches beyond the 3000 recorded samples"):
        cut_with_baseline(data, np.array([10]), 50, (-20, 0))
    with pytest.raises(DataError, match="window 1"):
        cut_with_baseline(data, np.array([100, 2990]), 50, (-20, 0))
    with pytest.raises(ConfigError, match="baseline: got 0 samples"):
        cut_with_baseline(data, onsets, 50, (0, 0))


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(ConfigError, match="low_pass: got 130 Hz, expected between 0 and 125 Hz"):
        band_pass(noise(), 250.0, None, 130.0)
    with pytest.raises(ConfigError, match="high_pass: got 30 Hz, expected less than low_pass"):
        Preprocessing(high_pass=30.0, low_pass=1.0)
    with pytest.raises(ConfigError, match="reference: got 'nose'"):
        Preprocessing(reference="nose")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"baseline: got 0 to -0\.2 s"):
        Preprocessing(baseline=(0.0, -0.2))
    with pytest.raises(ConfigError, match="sfreq: got 0 Hz"):
        resample(noise(), 250.0, 0.0)
    with pytest.raises(ConfigError, match="no common grid"):
        resample(noise(), 250.0, np.pi)


def test_the_description_tells_chains_apart() -> None:
    chains = [
        Preprocessing(),
        Preprocessing(high_pass=0.1),
        Preprocessing(low_pass=40.0),
        Preprocessing(reference="average"),
        Preprocessing(baseline=(-0.2, 0.0)),
    ]
    assert len({str(sorted(chain.describe().items(), key=str)) for chain in chains}) == len(chains)
