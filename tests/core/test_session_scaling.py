"""Each session is scaled by its own training windows, wherever windows of a fold are read."""

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.session_scaling import FLAG, fit_session_scaling, scaled

N, CHANNELS, TIMES = 240, 3, 7
GAINS = {"1": np.array([1.0, 4.0, 0.5]), "2": np.array([3.0, 1.0, 2.0])}
SHIFTS = {"1": np.array([5.0, 0.0, -2.0]), "2": np.array([0.0, 1.0, 9.0])}


def recording(*, mixing: np.ndarray | None = None) -> Recording:
    generator = np.random.default_rng(0)
    sessions = ["1"] * (N // 2) + ["2"] * (N // 2)
    signals = generator.normal(size=(N, CHANNELS, TIMES))
    if mixing is not None:
        signals = np.einsum("oc,nct->not", mixing, signals)
    signals = np.stack(
        [GAINS[s][:, None] * signal + SHIFTS[s][:, None] for s, signal in zip(sessions, signals, strict=True)]
    )
    block = Block("e", signals.astype(np.float32), Sensors(("a", "b", "c"), ("eeg",) * 3, sfreq=7.0, tmin=0, unit="V"))
    windows = pd.DataFrame(
        {"subject": "sub-01", "session": sessions, "run": "1", "block": "e", "start": range(N), "length": TIMES,
         "stimulus": [f"s{row % 10}" for row in range(N)], "repetition": 1, "onset": 0.0}
    )  # fmt: skip
    return Recording("sub-01", "eeg", {"e": block}, windows)


@pytest.mark.parametrize("kind", ["zscore", "robust", "whiten"])
def test_statistics_are_those_of_the_training_windows_alone(kind: str) -> None:
    plain = recording()
    train = np.array([row for row in range(N) if row % 3])
    fitted = fit_session_scaling(plain, train, kind)  # type: ignore[arg-type]
    held_out = np.setdiff1d(np.arange(N), train)
    spoiled = plain.blocks["e"].data
    spoiled[held_out] += 1000
    again = fit_session_scaling(plain, train, kind)  # type: ignore[arg-type]
    assert np.array_equal(fitted.filters, again.filters)
    assert np.array_equal(fitted.offsets, again.offsets)


def test_zscore_against_numpy_and_averages_of_scaled_windows() -> None:
    plain = recording()
    train = np.arange(0, N, 2)
    view = scaled(plain, fit_session_scaling(plain, train, "zscore"))
    raw = plain.read(np.arange(N)).astype(np.float64)
    expected = np.empty_like(raw)
    for name in ("1", "2"):
        members = (plain.windows["session"] == name).to_numpy()
        own = raw[members & np.isin(np.arange(N), train)]
        expected[members] = (raw[members] - own.mean((0, 2))[:, None]) / own.std((0, 2))[:, None]
    assert np.allclose(view.read(np.arange(N)), expected, atol=1e-4)
    group = np.array([1, 3, 140, 231])
    assert np.allclose(view.read_averaged([group])[0], expected[group].mean(0), atol=1e-4)


def test_whitening_makes_the_noise_of_each_session_white() -> None:
    mixing = np.array([[1.0, 0.8, 0], [0, 1, 0], [0.3, 0, 2]])
    plain = recording(mixing=mixing)
    view = scaled(plain, fit_session_scaling(plain, np.arange(N), "whiten"))
    for rows in (np.arange(N // 2), np.arange(N // 2, N)):
        signals = view.read(rows).transpose(1, 0, 2).reshape(CHANNELS, -1)
        covariance = np.cov(signals)
        assert np.abs(covariance / np.trace(covariance) * CHANNELS - np.eye(CHANNELS)).max() < 0.35


def test_sessions_without_training_windows_are_listed_and_labels_do_not_matter() -> None:
    plain = recording()
    train = np.arange(N // 2)
    fitted = fit_session_scaling(plain, train, "whiten")
    assert fitted.without_training == ("2",)
    assert scaled(plain, fitted).flags == (FLAG,)
    assert scaled(plain, fit_session_scaling(plain, np.arange(N), "whiten")).flags == ()
    windows = plain.windows.copy()
    windows.loc[N // 2 :, "stimulus"] = "other"
    relabelled = Recording("sub-01", "eeg", plain.blocks, windows)
    assert np.array_equal(fit_session_scaling(relabelled, train, "whiten").filters, fitted.filters)


def test_clamp_and_errors() -> None:
    plain = recording()
    fitted = fit_session_scaling(plain, np.arange(N), "robust", clamp=0.5)
    assert np.abs(scaled(plain, fitted).read([0, N - 1])).max() == pytest.approx(0.5)
    with pytest.raises(DataError, match="session: got '9', expected one of 1, 2"):
        fitted.apply(plain.read([0]), ["9"])
    with pytest.raises(ConfigError, match="expected one of none, zscore"):
        fit_session_scaling(plain, np.arange(N), "none")
    plain.blocks["e"].data[: N // 2, 1] = 3
    with pytest.raises(DataError, match="session '1': standardize: channel 1 is constant"):
        fit_session_scaling(plain, np.arange(N), "zscore")
