"""Transforms against scikit-learn, MNE and plain formulas; state that comes back; misuse."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import RobustScaler, StandardScaler

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.transforms import NoiseWhitener, SelectChannels, Standardize, TransformChain

RNG = np.random.default_rng(0)


def signals(n: int = 60, channels: int = 5, times: int = 7) -> np.ndarray:
    mixing = np.random.default_rng(1).normal(size=(channels, channels))
    return np.einsum("ij,njt->nit", mixing, RNG.normal(1.0, 2.0, (n, channels, times))).astype(np.float32)


NO_STIMULI = np.zeros(60, dtype=str)


@pytest.mark.parametrize("per_time", [False, True])
def test_standardize_is_scikit_learns(per_time: bool) -> None:
    train, test = signals(), signals(9)
    scaled = Standardize(per_time=per_time).fit(train, NO_STIMULI)(test)
    if per_time:
        reference = StandardScaler().fit(train.reshape(60, -1)).transform(test.reshape(9, -1)).reshape(9, 5, 7)
    else:
        rows = train.transpose(0, 2, 1).reshape(-1, 5)
        reference = StandardScaler().fit(rows).transform(test.transpose(0, 2, 1).reshape(-1, 5))
        reference = reference.reshape(9, 7, 5).transpose(0, 2, 1)
    np.testing.assert_allclose(scaled, reference, rtol=1e-4, atol=1e-4)
    assert scaled.dtype == np.float32


def test_robust_standardize_is_scikit_learns() -> None:
    train = signals()
    rows = train.transpose(0, 2, 1).reshape(-1, 5)
    reference = RobustScaler(unit_variance=True).fit(rows).transform(rows).reshape(60, 7, 5).transpose(0, 2, 1)
    np.testing.assert_allclose(Standardize(robust=True).fit(train, NO_STIMULI)(train), reference, rtol=2e-3, atol=2e-3)


def test_mnes_scaler_agrees() -> None:
    mne = pytest.importorskip("mne")
    train = signals()
    info = mne.create_info(5, 100.0, "eeg", verbose="error")
    reference = mne.decoding.Scaler(info, scalings="mean").fit(train.astype(float)).transform(train.astype(float))
    np.testing.assert_allclose(Standardize().fit(train, NO_STIMULI)(train), reference, rtol=1e-4, atol=1e-4)


def test_clamping() -> None:
    train = signals()
    scaled = Standardize(clamp=1.5).fit(train, NO_STIMULI)(train)
    free = Standardize().fit(train, NO_STIMULI)(train)
    np.testing.assert_array_equal(scaled, np.clip(free, -1.5, 1.5))


def test_nothing_of_the_test_side_enters() -> None:
    train, test = signals(), signals(9)
    fitted = Standardize().fit(train, NO_STIMULI)
    np.testing.assert_array_equal(fitted(test)[:4], fitted(test[:4]))


def test_constant_and_broken_channels_are_named() -> None:
    flat = signals()
    flat[:, 2] = 3.0
    with pytest.raises(DataError, match="channel 2 is constant"):
        Standardize().fit(flat, NO_STIMULI)
    broken = signals()
    broken[0, 0, 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        Standardize().fit(broken, NO_STIMULI)
    with pytest.raises(DataError, match="fitted on 5 channels, got 4"):
        Standardize().fit(signals(), NO_STIMULI)(signals(channels=4))
    with pytest.raises(DataError, match="expected signals"):
        Standardize().fit(signals()[0], NO_STIMULI)


def repeated(n_stimuli: int = 300, repetitions: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    mixing = generator.normal(size=(5, 5))
    answers = generator.normal(0, 4, (n_stimuli, 5, 3))
    stimuli = np.repeat([f"s{index:03d}" for index in range(n_stimuli)], repetitions)
    noise = np.einsum("ij,njt->nit", mixing, generator.normal(size=(len(stimuli), 5, 3)))
    return (np.repeat(answers, repetitions, axis=0) + noise).astype(np.float32), stimuli, mixing @ mixing.T


def test_the_whitener_finds_the_noise_not_the_answers() -> None:
    values, stimuli, covariance = repeated()
    whitener = NoiseWhitener(shrinkage=0.0).fit(values, stimuli)
    assert whitener.filters is not None
    np.testing.assert_allclose(whitener.filters @ covariance @ whitener.filters.T, np.eye(5), atol=0.12)


def test_the_whitener_uses_ledoit_and_wolf_on_unbiased_residuals() -> None:
    values, stimuli, _ = repeated(30, 2)
    order = np.random.default_rng(0).permutation(len(stimuli))
    whitener = NoiseWhitener().fit(values[order], stimuli[order])
    half = (values[::2] - values[1::2]) / 2 * np.sqrt(2)
    residuals = np.stack([half, -half], axis=1).reshape(60, 5, 3).transpose(0, 2, 1).reshape(-1, 5)
    expected = LedoitWolf(assume_centered=True).fit(residuals.astype(np.float64)).covariance_
    assert whitener.filters is not None
    inverse = np.linalg.inv(whitener.filters.astype(np.float64))
    np.testing.assert_allclose(inverse @ inverse.T, expected, rtol=1e-3, atol=1e-4)


def test_fixed_shrinkage_and_single_trials() -> None:
    values, stimuli, _ = repeated(30, 2)
    whitener = NoiseWhitener(shrinkage=1.0).fit(values, stimuli)
    assert whitener.filters is not None
    np.testing.assert_allclose(whitener.filters, np.eye(5) * whitener.filters[0, 0], atol=1e-6)
    lonely = np.concatenate([values, signals(1, 5, 3) * 100])
    again = NoiseWhitener(shrinkage=1.0).fit(lonely, np.append(stimuli, "once"))
    assert again.filters is not None
    np.testing.assert_allclose(again.filters, whitener.filters, rtol=1e-6)
    with pytest.raises(DataError, match="no stimulus is repeated"):
        NoiseWhitener().fit(values[::2], stimuli[::2])


def test_an_average_reference_is_not_blown_up() -> None:
    values, stimuli, _ = repeated()
    values -= values.mean(axis=1, keepdims=True)
    filters = NoiseWhitener(shrinkage=0.0).fit(values, stimuli).filters
    assert filters is not None
    np.testing.assert_allclose(filters @ np.ones(5), 0, atol=1e-3)
    assert np.abs(filters).max() < 100


def test_selection() -> None:
    values = signals()
    chosen = SelectChannels(np.array([3, 0]), 5).fit(values, NO_STIMULI)
    np.testing.assert_array_equal(chosen(values), values[:, [3, 0]])
    with pytest.raises(DataError, match="fitted on 5 channels, got 4"):
        chosen(values[:, :4])


def test_a_chain_fits_in_order_and_comes_back_from_a_file(tmp_path: Path) -> None:
    values, stimuli, _ = repeated(40, 3)
    chain = TransformChain([SelectChannels(np.array([0, 2, 4]), 5), NoiseWhitener(), Standardize(clamp=4.0)])
    chain.fit(values, stimuli)
    by_hand = NoiseWhitener().fit(values[:, [0, 2, 4]], stimuli)(values[:, [0, 2, 4]])
    by_hand = Standardize(clamp=4.0).fit(by_hand, stimuli)(by_hand)
    np.testing.assert_array_equal(chain(values), by_hand)
    np.savez(tmp_path / "chain.npz", **chain.state())  # type: ignore[arg-type]
    with np.load(tmp_path / "chain.npz", allow_pickle=False) as archive:
        again = TransformChain.from_state({name: archive[name] for name in archive.files})
    np.testing.assert_array_equal(again(values), chain(values))
    with pytest.raises(DataError, match="'unknown' is not one of"):
        TransformChain.from_state({"0:unknown:x": np.zeros(1)})


@pytest.mark.parametrize("transform", [Standardize(), NoiseWhitener()])
def test_unfitted_transforms_refuse(transform: Standardize | NoiseWhitener) -> None:
    with pytest.raises(ConfigError, match="not fitted yet"):
        transform(signals())
    with pytest.raises(ConfigError, match="not fitted yet"):
        transform.state()
