"""Start the linear path of an encoder from ridge regression, fitted on the training windows of the fold."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.readout import SubjectReadout
from neurodecode.encoders.linear.stage import fit_stage
from neurodecode.encoders.linear.trials import TrialSet
from neurodecode.training.data_module import BrainDataModule

Floats = NDArray[np.float64]
ROWS_AT_A_TIME = 512


def weights_of_linear_map(function: Callable[[Floats], Floats], shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Find the weights of a function that is linear but for a constant, by asking it about unit impulses.

    Parameters
    ----------
    function : callable
        From rows ``(n, n_channels, n_times)`` to ``(n, n_outputs)``, a row at a time.
    shape : tuple of int
        Channels and times of a row.

    Returns
    -------
    weights : ndarray of shape (n_channels * n_times, n_outputs)
    intercept : ndarray of shape (n_outputs,)

    Examples
    --------
    >>> weights, intercept = weights_of_linear_map(lambda rows: rows.sum(axis=(1, 2))[:, None] * 2 + 1, (1, 3))
    >>> weights.ravel().tolist(), intercept.tolist()
    ([2.0, 2.0, 2.0], [1.0])
    """
    size = shape[0] * shape[1]
    intercept = function(np.zeros((1, *shape)))[0]
    parts = []
    for begin in range(0, size, ROWS_AT_A_TIME):
        count = min(ROWS_AT_A_TIME, size - begin)
        impulses = np.zeros((count, size))
        impulses[np.arange(count), begin + np.arange(count)] = 1.0
        parts.append(function(impulses.reshape(count, *shape)) - intercept)
    return np.concatenate(parts), intercept


def training_trials(data: BrainDataModule, subject: str) -> TrialSet:
    """Read a subject's training windows, transformed, one a row.

    Parameters
    ----------
    data : BrainDataModule
        With fitted transforms.
    subject : str
        One of its subjects.

    Returns
    -------
    TrialSet
        ``stimulus`` is the candidate each window shows, ``group`` the unit that the split keeps whole.
    """
    items = data.items("train")
    mine = np.flatnonzero((items.table["subject"] == subject).to_numpy())
    counts = [len(items.windows[item]) for item in mine]
    rows = np.concatenate([items.windows[item] for item in mine])
    signals = data.prepare_fold().apply(subject, data.study.recording(subject).read(rows))
    return TrialSet(
        signals,
        np.repeat(items.table["candidate"].to_numpy().astype(str)[mine], counts),
        np.repeat(items.table["unit"].to_numpy().astype(str)[mine], counts),
        np.ones(len(rows), dtype=np.int64),
    )


def start_from_ridge(encoder: nn.Module, data: BrainDataModule, *, seed: int) -> None:
    """Put each subject's ridge solution into the encoder's linear path.

    The ridge is the one that ``retrieve`` fits beside every decoder: signals whitened with the noise between
    repetitions, reduced to the directions in which the stimuli leave a trace, penalties chosen by inner folds that keep
    units whole. Only training windows of the fold are used.

    Parameters
    ----------
    encoder : nn.Module
        With a ``linear_path``; changed in place.
    data : BrainDataModule
        The fold.
    seed : int
        Of the inner folds.

    Raises
    ------
    ConfigError
        If the encoder has no linear path.
    """
    path = getattr(encoder, "linear_path", None)
    if not isinstance(path, SubjectReadout):
        raise ConfigError(
            f"warm_start: got ridge with {type(encoder).__name__} without a linear path, expected linear_path: true"
        )
    names = np.array(data.candidates)
    preparation = data.prepare_fold()
    bank = {name: data.embeddings(name) for name in data.targets}
    for subject in data.subjects:
        trials = training_trials(data, subject)
        stage = fit_stage(trials, bank, names, seed=seed)

        def predict(rows: Floats, fitted=stage) -> Floats:  # type: ignore[no-untyped-def]
            return np.asarray(fitted.ridge.predict(fitted.coordinates(rows)))

        weights, intercept = weights_of_linear_map(predict, trials.shape)
        for name, loading in stage.components.loadings.items():
            # Joint components -> the layer in its own units -> the reduced target that the head predicts.
            reduction = preparation.reductions[name]
            scale = stage.scaler.scales[name]
            into = loading.T @ (reduction.components.T / reduction.scales) * scale
            offset = (stage.scaler.means[name] - reduction.mean) @ reduction.components.T / reduction.scales
            path.set_solution(
                subject,
                name,
                torch.from_numpy(weights @ into),
                torch.from_numpy(intercept @ into + offset),
            )
