"""Start the linear path of an encoder from a closed-form decoder, fitted on the training windows of the fold."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.readout import SubjectReadout
from neurodecode.encoders.linear.bank import rows_of, take_rows
from neurodecode.encoders.linear.noise import noise_kind_of
from neurodecode.encoders.linear.stage import Bank, Stage, fit_stage
from neurodecode.encoders.linear.trials import TrialSet
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.target_reduction import TargetReduction

Floats = NDArray[np.float64]
Start = Literal["ridge", "encoding"]

ROWS_AT_A_TIME = 512
# What an encoding model gets wrong about new stimuli, as a share of the noise of a training row. Validation of the
# simulated EEG is flat around it (0 to 0.2); what the model gets wrong about its own training stimuli is far less.
MODEL_ERROR = 0.2


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
    signals = data.prepare_fold().apply(subject, data.study.recording(subject, fold=data.fold).read(rows))
    return TrialSet(
        signals,
        np.repeat(items.table["candidate"].to_numpy().astype(str)[mine], counts),
        np.repeat(items.table["unit"].to_numpy().astype(str)[mine], counts),
        np.ones(len(rows), dtype=np.int64),
    )


def posterior_weights(responses: Floats, targets: Floats, noise: float) -> Floats:
    """Turn an encoding model around: the weights of the expected target given a noisy response.

    Parameters
    ----------
    responses : ndarray of shape (n_stimuli, n_directions)
        What the encoding model predicts for the training stimuli, free of noise.
    targets : ndarray of shape (n_stimuli, n_targets)
        Targets of the same stimuli.
    noise : float
        Variance of the noise along every direction, what the model gets wrong included.

    Returns
    -------
    ndarray of shape (n_directions, n_targets)
        For centred responses and targets that are jointly Gaussian.

    Examples
    --------
    >>> posterior_weights(np.array([[1.0], [-1.0]]), np.array([[2.0], [-2.0]]), 1.0).tolist()
    [[1.0]]
    """
    centred = responses - responses.mean(axis=0)
    covariance = centred.T @ centred / len(centred)
    together = centred.T @ (targets - targets.mean(axis=0)) / len(centred)
    return np.asarray(np.linalg.solve(covariance + noise * np.eye(len(covariance)), together), dtype=np.float64)


def closed_form_decoder(
    trials: TrialSet, bank: Bank, names: NDArray[np.str_], kind: Start, *, seed: int
) -> tuple[Stage, Callable[[Floats], Floats]]:
    """Fit a closed-form decoder from signals to the joint components of the targets.

    Parameters
    ----------
    trials : TrialSet
        Training windows.
    bank : mapping of str to ndarray of shape (n_names, dim)
        Targets of every candidate.
    names : ndarray of str
        Which candidate each row of the bank belongs to.
    kind : str
        ``ridge``: from the signal to the targets; ``encoding``: from the targets to the signal, turned around.
    seed : int
        Of inner folds.

    Returns
    -------
    stage : Stage
        What was fitted.
    decode : callable
        From signals ``(n, n_channels, n_times)`` to components ``(n, n_components)``; linear but for a constant.
    """
    stage = fit_stage(trials, bank, names, noise_kind=noise_kind_of(trials.stimulus), seed=seed)
    if kind == "ridge":
        return stage, lambda rows: np.asarray(stage.ridge.predict(stage.coordinates(rows)))
    shown = take_rows(bank, rows_of(trials.averaged().stimulus, names))
    responses, targets = stage.encoding.predict(stage.scaler.apply(shown)), stage.targets(shown)
    weights = posterior_weights(responses, targets, (1 + MODEL_ERROR) / stage.repetitions)
    offset = targets.mean(axis=0) - responses.mean(axis=0) @ weights
    return stage, lambda rows: np.asarray(stage.coordinates(rows) @ weights + offset)


def start_linear_path(encoder: nn.Module, data: BrainDataModule, kind: Start, *, seed: int) -> None:
    """Put each subject's closed-form decoder into the encoder's linear path.

    Both kinds share what ``retrieve`` fits beside every decoder: signals whitened with the noise between repetitions,
    reduced to the directions in which the stimuli leave a trace, penalties chosen within the training windows. Nothing
    but training windows of the fold is used.

    Parameters
    ----------
    encoder : nn.Module
        With a ``linear_path``; changed in place.
    data : BrainDataModule
        The fold.
    kind : str
        See :func:`closed_form_decoder`.
    seed : int
        Of inner folds.

    Raises
    ------
    ConfigError
        If the encoder has no linear path.
    """
    path = getattr(encoder, "linear_path", None)
    if not isinstance(path, SubjectReadout):
        raise ConfigError(
            f"warm_start: got {kind} with {type(encoder).__name__} without a linear path, expected linear_path: true"
        )
    names = np.array(data.candidates)
    preparation = data.prepare_fold()
    bank = {name: data.embeddings(name) for name in data.targets}
    for subject in data.subjects:
        trials = training_trials(data, subject)
        stage, decode = closed_form_decoder(trials, bank, names, kind, seed=seed)
        weights, intercept = weights_of_linear_map(decode, trials.shape)
        for name, loading in stage.components.loadings.items():
            # Joint components -> the layer in its own units -> the reduced target that the head predicts.
            reduction = preparation.reductions[name]
            if not isinstance(reduction, TargetReduction):
                raise ConfigError(f"warm_start: got {kind} with target_form {data.target_form}, expected components")
            into = loading.T @ (reduction.components.T / reduction.scales) * stage.scaler.scales[name]
            offset = (stage.scaler.means[name] - reduction.mean) @ reduction.components.T / reduction.scales
            path.set_solution(
                subject, name, torch.from_numpy(weights @ into), torch.from_numpy(intercept @ into + offset)
            )
