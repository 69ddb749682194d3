"""From a run's time series to one response a trial: means over a window of volumes, or betas of a linear model."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.files import read_table

Response = Literal["window", "lsa", "lss"]
Signals = NDArray[np.float32]
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
PRESETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "motion": MOTION,
    "motion24": tuple(
        f"{name}{ending}" for name in MOTION for ending in ("", "_derivative1", "_power2", "_derivative1_power2")
    ),
}
# What releases up to 1.1 called these columns.
OLD_NAMES = {
    "trans_x": "X", "trans_y": "Y", "trans_z": "Z", "rot_x": "RotX", "rot_y": "RotY", "rot_z": "RotZ",
    "white_matter": "WhiteMatter", "csf": "CSF", "global_signal": "GlobalSignal",
    "framewise_displacement": "FramewiseDisplacement", "std_dvars": "stdDVARS",
}  # fmt: skip
# A course of which less than this is left, as a share, when the others are taken out says nothing of its own.
SAME = 1e-6
# Volumes before the magnetisation is steady; every release marks them with a column each.
NON_STEADY = ("non_steady_state_outlier", "NonSteadyStateOutlier")


def read_confounds(path: Path, wanted: str | Sequence[str], n_volumes: int) -> pd.DataFrame:
    """Read the columns that are taken out of the signals.

    Parameters
    ----------
    path : Path
        The table.
    wanted : str or sequence of str
        One of `PRESETS`, or columns by the names of newer releases; those of the oldest ones are translated. Columns
        that mark unsteady volumes are always added.
    n_volumes : int
        Volumes of the run.

    Returns
    -------
    pandas.DataFrame
        One row a volume; the first value of a derivative, which does not exist, is 0.

    Raises
    ------
    ConfigError
        If there is no such preset.
    DataError
        If a column is missing, a value is no number, or there are not as many rows as volumes.
    """
    if isinstance(wanted, str):
        if wanted not in PRESETS:
            expected = f"{', '.join(PRESETS)} or a list of columns"
            raise ConfigError(f"confounds: got {wanted!r}, expected {expected}{suggestion(wanted, PRESETS)}")
        wanted = PRESETS[wanted]
    table = read_table(path)
    known = [str(column) for column in table.columns]
    if len(table) != n_volumes:
        raise DataError(f"{path}: {len(table)} rows, but the run has {n_volumes} volumes")
    columns = {}
    for name in wanted:
        column = name if name in known else OLD_NAMES.get(name, name)
        if column not in known:
            raise DataError(
                f"{path}: column {name!r} is missing{suggestion(name, known) or ', got ' + ', '.join(known[:30])}"
            )
        columns[name] = pd.to_numeric(table[column], errors="coerce")
        if "derivative" in name:
            columns[name].iloc[0] = np.nan_to_num(columns[name].iloc[0])
    for column in known:
        if column.startswith(NON_STEADY):
            columns[column] = table[column]
    found = pd.DataFrame(columns, index=table.index).astype(np.float64)
    bad = ~np.isfinite(found.to_numpy())
    if bad.any():
        row, column_index = np.argwhere(bad)[0]
        raise DataError(f"{path}: line {row + 2}: {found.columns[column_index]} is not a number")
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what nilearn says of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def clean_run(signals: Signals, confounds: pd.DataFrame, repetition_time: float, high_pass: float | None) -> Signals:
    """Take drift and confounds out of a run's time series and scale each voxel to unit variance, with nilearn.

    Parameters
    ----------
    signals : ndarray of float32, shape (n_volumes, n_voxels)
        One run; no voxel constant.
    confounds : pandas.DataFrame
        From `read_confounds`; may have no column.
    repetition_time : float
        Seconds between volumes.
    high_pass : float, optional
        Slower changes (Hz) are drift, taken out with cosines; None takes out a linear trend only.

    Returns
    -------
    ndarray of float32, shape (n_volumes, n_voxels)
        In standard deviations; all volumes of the run were used, and no label.
    """
    from nilearn.signal import clean, create_cosine_drift

    regressors = confounds.to_numpy()
    varying = regressors[:, np.ptp(regressors, axis=0) > 0] if regressors.size else regressors
    if high_pass is not None:
        # Its own filter leaves the cosines out when a head drifts like one of them; the last column is the constant.
        cosines = create_cosine_drift(high_pass, repetition_time * np.arange(len(signals)))[:, :-1]
        varying = np.hstack([varying, cosines])
    with _quiet():
        cleaned = clean(
            signals,
            confounds=varying if varying.size else None,
            t_r=repetition_time,
            detrend=True,
            standardize="zscore_sample",
            filter=False,
        )
    return np.asarray(cleaned, dtype=np.float32)


def volumes_in_window(
    onsets: NDArray[np.float64], window: tuple[float, float], times: NDArray[np.float64]
) -> tuple[NDArray[np.int64], int]:
    """Find the volumes of a window after each onset, from the one nearest to its begin.

    Parameters
    ----------
    onsets : ndarray of float64, shape (n_trials,)
        Seconds from the first volume.
    window : tuple of float
        First delay, and the one after the last, in seconds.
    times : ndarray of float64, shape (n_volumes,)
        When each volume was taken.

    Returns
    -------
    first : ndarray of int, shape (n_trials,)
        First volume of each window; windows that reach beyond the run have -1.
    count : int
        Volumes in a window, the same for all.

    Examples
    --------
    >>> first, count = volumes_in_window(np.array([0.0, 7.0]), (4.0, 8.0), np.arange(10) * 2.0)
    >>> first.tolist(), count
    ([2, 6], 2)
    """
    step = float(times[1] - times[0])
    count = max(1, round((window[1] - window[0]) / step))
    # The nearest volume: an onset that was logged a few milliseconds late must not move the window by a whole volume.
    first = np.floor((onsets + window[0] - times[0]) / step + 0.5).astype(np.int64)
    outside = (first < 0) | (first + count > len(times))
    return np.where(outside, -1, first), count


def single_trial_betas(
    signals: Signals,
    events: pd.DataFrame,
    confounds: pd.DataFrame,
    times: NDArray[np.float64],
    *,
    separate: bool,
    hrf: str,
    noise: str,
    high_pass: float | None,
) -> Signals:
    """Estimate the response to each trial with nilearn's linear model, in percent of the voxel's mean.

    Parameters
    ----------
    signals : ndarray of float32, shape (n_volumes, n_voxels)
        One run; every voxel with a mean above 0.
    events : pandas.DataFrame
        Columns `onset` and `duration` in seconds, one row a trial.
    confounds : pandas.DataFrame
        From `read_confounds`.
    times : ndarray of float64, shape (n_volumes,)
        When each volume was taken.
    separate : bool
        Least squares separate: one model a trial, in which the other trials share a regressor (Mumford et al. 2012,
        doi:10.1016/j.neuroimage.2011.08.076). Otherwise least squares all: one model with a regressor a trial.
    hrf : str
        Haemodynamic response that nilearn knows, such as ``glover`` or ``spm``.
    noise : str
        ``ols`` (white) or ``ar1``.
    high_pass : float, optional
        Slower changes (Hz) are drift.

    Returns
    -------
    ndarray of float32, shape (n_trials, n_voxels)
        Betas; all volumes of the run were used, and onsets, but not which stimulus a trial showed.

    Raises
    ------
    DataError
        If the trials cannot be told from each other in this run.
    """
    from nilearn.glm.first_level import compute_regressor, make_first_level_design_matrix, run_glm

    percent = 100 * (signals / signals.mean(axis=0, dtype=np.float64) - 1)
    varying = confounds.loc[:, (confounds.max() > confounds.min()).to_numpy()].to_numpy()
    with _quiet():
        drift = make_first_level_design_matrix(
            times,
            drift_model="polynomial" if high_pass is None else "cosine",
            high_pass=0.01 if high_pass is None else high_pass,
        ).to_numpy()
        base = np.hstack([varying, drift])
        pairs = zip(events["onset"].astype(float), events["duration"].astype(float), strict=True)
        # One course a trial, or two with the derivative of the response.
        courses = np.stack(
            [compute_regressor(np.array([[onset], [length], [1.0]]), hrf, times)[0] for onset, length in pairs], axis=1
        )
    n_trials, n_kinds = courses.shape[1:]
    betas = np.empty((n_trials, signals.shape[1]), dtype=np.float32)
    if not separate:
        design = np.hstack([courses.reshape(len(times), -1), base])
        if design.shape[1] >= len(times):
            raise DataError(
                f"{n_trials} trials and {design.shape[1] - n_trials} other regressors are too many for a model of "
                f"{len(times)} volumes; take response lss or window"
            )
        rows = n_kinds * np.arange(n_trials)
        _check_estimable(design, rows, range(n_trials))
        betas[:] = _fit(run_glm, percent, design, rows, noise)
        return betas
    together = courses.sum(axis=1)
    for trial in range(n_trials):
        own = courses[:, trial]
        design = np.hstack([own, together - own, base])
        _check_estimable(design, np.array([0]), [trial])
        betas[trial] = _fit(run_glm, percent, design, np.array([0]), noise)
    return betas


def _fit(
    run_glm: Callable[..., Any],
    percent: NDArray[np.float64],
    design: NDArray[np.float64],
    rows: NDArray[np.int64],
    noise: str,
) -> NDArray[np.float64]:
    """Fit the model and give the betas of some of its regressors."""
    with _quiet():
        labels, results = run_glm(percent, design, noise_model=noise)
    betas = np.empty((len(rows), percent.shape[1]))
    for label, result in results.items():
        betas[:, labels == label] = result.theta[rows]
    return betas


def _check_estimable(design: NDArray[np.float64], rows: NDArray[np.int64], trials: Sequence[int]) -> None:
    """Allow regressors that say the same twice, such as a head that drifts like a cosine, unless they are trials."""
    lengths = np.linalg.norm(design, axis=0)
    scaled = design / np.where(lengths > 0, lengths, 1.0)
    if np.linalg.matrix_rank(scaled, tol=SAME) == design.shape[1]:
        return
    for row, trial in zip(rows, trials, strict=True):
        others = np.delete(scaled, row, axis=1)
        rest = scaled[:, row] - others @ np.linalg.lstsq(others, scaled[:, row], rcond=None)[0]
        if np.linalg.norm(rest) < SAME:
            raise DataError(f"trial {trial} cannot be told from the other trials and regressors of its run")
