"""From a run's time series to one response a trial: means over a window of volumes, or betas of a linear model."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

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
    """Find the volumes that follow each onset by a delay within a window.

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
    first = np.ceil((onsets + window[0] - times[0]) / step - 1e-6).astype(np.int64)
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
    mean = signals.mean(axis=0, dtype=np.float64)
    percent = 100 * (signals / mean - 1)
    names = [f"trial_{row:05d}" for row in range(len(events))]
    base = pd.DataFrame({"onset": events["onset"].to_numpy(), "duration": events["duration"].to_numpy()})
    if not separate:
        return _betas(percent, base.assign(trial_type=names), names, confounds, times, hrf, noise, high_pass)
    betas = np.empty((len(events), signals.shape[1]), dtype=np.float32)
    for row in range(len(events)):
        kinds = np.where(np.arange(len(events)) == row, "trial", "others")
        betas[row] = _betas(percent, base.assign(trial_type=kinds), ["trial"], confounds, times, hrf, noise, high_pass)
    return betas


def _check_estimable(design: pd.DataFrame, wanted: Sequence[str]) -> None:
    """Allow regressors that say the same twice, such as a head that drifts like a cosine, unless they are trials."""
    for name in wanted:
        course, others = design[name].to_numpy(), design.drop(columns=name).to_numpy()
        rest = course - others @ np.linalg.lstsq(others, course, rcond=None)[0]
        if np.linalg.norm(rest) < SAME * np.linalg.norm(course):
            raise DataError(
                f"trial {wanted.index(name)} cannot be told from the other trials and regressors of its run"
            )


def _betas(
    percent: NDArray[np.float64],
    events: pd.DataFrame,
    wanted: Sequence[str],
    confounds: pd.DataFrame,
    times: NDArray[np.float64],
    hrf: str,
    noise: str,
    high_pass: float | None,
) -> Signals:
    from nilearn.glm.first_level import make_first_level_design_matrix, run_glm

    varying = confounds.loc[:, (confounds.max() > confounds.min()).to_numpy()]
    with _quiet(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        design = make_first_level_design_matrix(
            times,
            events,
            hrf_model=hrf,
            drift_model="polynomial" if high_pass is None else "cosine",
            high_pass=0.01 if high_pass is None else high_pass,
            add_regs=varying.to_numpy() if varying.shape[1] else None,
            add_reg_names=list(varying.columns) if varying.shape[1] else None,
        )
        if any("singular" in str(warning.message) for warning in said):
            _check_estimable(design, wanted)
        if design.shape[1] >= len(times):
            raise DataError(
                f"{len(wanted)} trials and {design.shape[1] - len(wanted)} other regressors are too many for a model "
                f"of {len(times)} volumes; take response lss or window"
            )
        labels, results = run_glm(percent, design.to_numpy(), noise_model=noise)
    rows = [list(design.columns).index(name) for name in wanted]
    betas = np.empty((len(wanted), percent.shape[1]), dtype=np.float32)
    for label, result in results.items():
        betas[:, labels == label] = result.theta[rows]
    return betas
