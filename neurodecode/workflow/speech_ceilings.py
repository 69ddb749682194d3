"""The ceilings of the simulated speech study, for the very windows that the decoders are asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.datasets.preprocessing import Preprocessing, preprocess_array
from neurodecode.datasets.simulation.noise import autocovariance
from neurodecode.datasets.simulation.speech_study import run_features
from neurodecode.datasets.simulation.speech_truth import SpeechTruth, load_speech_truth, speech_truth_path
from neurodecode.encoders.linear.series_scoring import SeriesNoise, likelihood_scores
from neurodecode.encoders.linear.time_series import fit_lagged_ridge
from neurodecode.workflow.speech_models import lags_of
from neurodecode.workflow.speech_segments import SegmentItems

CEILINGS = ("oracle", "ideal_learner")
REASON_EXACT = (
    "the posterior over all weights and lags of a continuous response under its low-rank structure is not computed for "
    "speech; the ideal learner is the reference"
)
#: Share of the largest eigenvalue below which the temporal covariance of resampled noise is lifted: the resampling
#: filter leaves next to nothing near the new Nyquist frequency.
LIFT = 1e-4


def has_speech_truth(data: Path, subject: str) -> bool:
    """Tell whether a data set holds the ground truth of a listener."""
    return speech_truth_path(data, subject).is_file()


def noise_of(truth: SpeechTruth, sfreq: float, n_times: int) -> SeriesNoise:
    """Give the whitener of the known noise in a window, after resampling.

    Parameters
    ----------
    truth : SpeechTruth
        With covariance over the sensors and the spectrum over time.
    sfreq : float
        Rate of the windows in Hz.
    n_times : int
        Their length in samples.

    Returns
    -------
    SeriesNoise
    """
    step = round(truth.sfreq / sfreq)
    margin = 32
    n_in = (n_times + 2 * margin) * step
    covariance = scipy.linalg.toeplitz(autocovariance(n_in, truth.sfreq, truth.spectrum))
    if step > 1:
        # An impulse at each sample, resampled: the columns of the linear map that resampling is.
        operator = preprocess_array(np.eye(n_in, dtype=np.float32), truth.sfreq, sfreq, settings=Preprocessing())
        middle = operator[:, margin : margin + n_times].astype(np.float64)
        covariance = middle.T @ covariance @ middle
    else:
        covariance = covariance[:n_times, :n_times]
    covariance += LIFT * np.linalg.eigvalsh(covariance)[-1] * np.eye(n_times)
    time = scipy.linalg.inv(scipy.linalg.cholesky(covariance, lower=True))
    space = scipy.linalg.inv(scipy.linalg.cholesky(truth.noise_space, lower=True)).T
    return SeriesNoise(space, time)


def ceiling_scores(
    data: Path, prepared: PreparedStudy, subject: str, items: SegmentItems, candidates: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Score every candidate with what knows the truth, for the same test windows that the decoders get.

    The `oracle` knows each segment's true response. The `ideal_learner` knows the features that drove the sources and
    the covariance of the noise, and learns the response to them at all lags from the same training windows (ridge
    regression on whitened sensors, its penalty chosen on validation).

    Parameters
    ----------
    data : Path
        The simulated data set.
    prepared : PreparedStudy
        The study prepared from it.
    subject : str
        Whose windows.
    items : SegmentItems
        The parts of the fold.
    candidates : sequence of str
        The gallery.

    Returns
    -------
    dict of str to ndarray of float32, shape (n_test, n_candidates)
        By ceiling.
    """
    truth = load_speech_truth(data, subject)
    recording = prepared.recording(subject)
    sfreq, n_times, lag = recording.sensors.sfreq, recording.n_times, recording.sensors.tmin
    if recording.sensors.names != truth.channels:
        raise DataError(f"ceilings: {subject} has other channels than its ground truth")
    noise = noise_of(truth, sfreq, n_times)
    clean, features = {}, {}
    for run, name in enumerate(recording.blocks):
        driving = run_features(data, run, truth.sfreq)[1]
        clean[name] = preprocess_array(truth.response(driving), truth.sfreq, sfreq, settings=Preprocessing())
        features[name] = run_features(data, run, sfreq)[1]
    windows = recording.windows.drop_duplicates("stimulus").set_index("stimulus")
    blocks = {str(name): str(block) for name, block in windows["block"].items()}
    starts = {str(name): int(start) for name, start in windows["start"].items()}
    responses = _cut({name: values.T for name, values in clean.items()}, blocks, starts, candidates, 0, n_times)
    measured = np.swapaxes(items.test.signals, 1, 2).astype(np.float64)
    found = {"oracle": likelihood_scores(measured, responses, noise)}

    _, forward_lags = lags_of(sfreq, lag)
    before, after = max(0, -min(forward_lags)), max(0, max(forward_lags))
    # Features are cut relative to the sound, which is earlier than the brain's window by the lag.
    shift = round(lag * sfreq)
    sounds = {name: start - shift for name, start in starts.items()}

    def wide(names: Sequence[str]) -> NDArray[np.float64]:
        return _cut(features, blocks, sounds, names, before, n_times + after)

    def white(signals: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.swapaxes(signals, 1, 2).astype(np.float64) @ noise.space

    train, validation = items.train, items.validation
    model = fit_lagged_ridge(
        wide([str(name) for name in train.stimulus]),
        white(train.signals),
        (wide([str(name) for name in validation.stimulus]), white(validation.signals)),
        lags=forward_lags,
        before=before,
    )
    timed = SeriesNoise(np.eye(measured.shape[2]), noise.time)
    predicted = model.predict(wide(candidates), n_times)
    found["ideal_learner"] = likelihood_scores(measured @ noise.space, predicted, timed)
    return {name: np.asarray(matrix, dtype=np.float32) for name, matrix in found.items()}


def _cut(
    series: Mapping[str, NDArray[np.floating]],
    blocks: Mapping[str, str],
    starts: Mapping[str, int],
    names: Sequence[str],
    before: int,
    length: int,
) -> NDArray[np.float64]:
    """Cut windows out of continuous series ``(n_samples, dim)``, zeros where they reach beyond the ends."""
    output = np.zeros((len(names), before + length, next(iter(series.values())).shape[1]))
    for row, name in enumerate(names):
        values, first = series[blocks[name]], int(starts[name]) - before
        inner = values[max(first, 0) : first + before + length]
        offset = max(-first, 0)
        output[row, offset : offset + len(inner)] = inner
    return output
