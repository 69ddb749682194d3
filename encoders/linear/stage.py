"""One complete fit on given training rows: noise, subspace, encoding model and ridge decoder.

Nothing in here looks at other rows, so a fold is the same function on fewer rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import MismatchError
from neurodecode.encoders.linear.bank import (
    BankScaler,
    JointComponents,
    fit_bank_scaler,
    fit_feature_kernel,
    fit_joint_components,
    rows_of,
    summed_products,
    symmetric_eigen,
    take_rows,
)
from neurodecode.encoders.linear.encoding import EncodingModel, fit_encoding, model_error_covariance
from neurodecode.encoders.linear.noise import Whitener, fit_whitener, noise_residuals
from neurodecode.encoders.linear.ridge import RidgeDecoder, fit_ridge
from neurodecode.encoders.linear.subspace import Subspace, explained, fit_subspace
from neurodecode.encoders.linear.trials import Strings, TrialSet, grouped_folds

Floats = NDArray[np.float64]
Bank = Mapping[str, NDArray[np.floating]]

MOST_TARGETS = 200
MOST_CHANNELS = 600  # of a map; larger maps are cut down to the voxels that the features explain
LEAST_CHANNELS = 200
LEAST_GAIN = 2.0  # in nats of likelihood


@dataclass(frozen=True)
class Stage:
    """Everything fitted on one set of training rows.

    Parameters
    ----------
    channels : array of int
        Channels that are used; all of them but for large maps.
    whitener, subspace, scaler, components, encoding, ridge
        The fitted parts, in the order in which data passes them.
    repetitions : float
        Harmonic mean of the trials in a training row.
    n_channels : int
        Channels of the signals it takes.
    """

    channels: NDArray[np.intp]
    whitener: Whitener
    subspace: Subspace
    scaler: BankScaler
    components: JointComponents
    encoding: EncodingModel
    ridge: RidgeDecoder
    repetitions: float
    n_channels: int

    def coordinates(self, signals: NDArray[np.floating]) -> Floats:
        """Coordinates of signals (n, channels, times) in the signal subspace."""
        if signals.shape[1] != self.n_channels:
            raise MismatchError(f"signals: got {signals.shape[1]} channels, expected {self.n_channels}")
        return self.subspace.apply(self.whitener.apply(signals[:, self.channels]))

    def full_basis(self) -> Floats:
        """Directions over all channels (n_channels x n_times, n_directions), zero where a channel is not used."""
        n_times = self.whitener.shape[1]
        basis = np.zeros((self.n_channels, n_times, self.subspace.basis.shape[1]))
        basis[self.channels] = self.subspace.basis.reshape(len(self.channels), n_times, -1)
        return basis.reshape(self.n_channels * n_times, -1)

    def targets(self, bank: Bank) -> Floats:
        """Coordinates of stimuli on the joint components."""
        return self.components.scores(self.scaler.apply(bank))


def harmonic_mean(repetitions: NDArray[np.int64]) -> float:
    """Count whose noise is the average noise of the rows."""
    return float(1 / np.mean(1 / repetitions))


def fit_stage(trials: TrialSet, bank: Bank, names: Strings, *, noise_kind: str = "auto", seed: int = 0) -> Stage:
    """Fit all parts on the given rows.

    Parameters
    ----------
    trials : TrialSet
        Training rows: single trials, or averages if stimuli repeat across units.
    bank : mapping of str to array of shape (n_stimuli, dim)
    names : array of str of shape (n_stimuli,)
        Stimulus of each row of the bank.
    noise_kind : str
        See `neurodecode.encoders.linear.noise.fit_whitener`.
    seed : int
        Of the inner folds that choose penalties.

    Returns
    -------
    Stage

    Notes
    -----
    Rows of one stimulus and unit are averaged before fitting. Rows are then treated alike, with the noise of their
    harmonic mean count.
    """
    averages = trials.averaged()
    repetitions = harmonic_mean(averages.repetitions)
    own = take_rows(bank, rows_of(averages.stimulus, names))
    scaler = fit_bank_scaler(own)
    scaled = scaler.apply(own)
    components = fit_joint_components(scaled, *symmetric_eigen(summed_products(scaled)), MOST_TARGETS)
    kernel = fit_feature_kernel(scaled)
    kernels = kernel.between(scaled)
    values, vectors = symmetric_eigen(kernels.mean(axis=0))
    channels = _channels(trials, averages, values, vectors, 1 / repetitions, noise_kind)
    whitener = fit_whitener(trials.signals[:, channels], trials.stimulus, trials.repetitions, kind=noise_kind)
    whitened = whitener.apply(averages.signals[:, channels])
    subspace = fit_subspace(whitened, whitener.shape, values, vectors, 1 / repetitions)
    coordinates = subspace.apply(whitened)
    encoding = fit_encoding(coordinates, subspace.variance, kernel, kernels, vectors, 1 / repetitions)
    ridge = fit_ridge(coordinates, components.scores(scaled), averages.group, prior=subspace.variance, seed=seed)
    n_channels = trials.shape[0]
    return Stage(channels, whitener, subspace, scaler, components, encoding, ridge, repetitions, n_channels)


def _channels(
    trials: TrialSet, averages: TrialSet, kernel_values: Floats, kernel_vectors: Floats, noise: float, noise_kind: str
) -> NDArray[np.intp]:
    """Choose the voxels of a large map that the features explain best; all channels of anything else.

    A covariance of thousands of voxels cannot be estimated from a few thousand trials, and most voxels carry nothing.
    """
    n_channels, n_times = trials.shape
    if n_times > 1 or n_channels <= MOST_CHANNELS:
        return np.arange(n_channels)
    residuals = noise_residuals(trials.signals, trials.stimulus, trials.repetitions, noise_kind)[:, :, 0]
    deviation = np.sqrt((residuals.astype(np.float64) ** 2).mean(axis=0))
    alive = deviation > 1e-9 * deviation.max()
    rows = (averages.signals[:, :, 0] - averages.signals[:, :, 0].mean(axis=0)) / np.where(alive, deviation, 1.0)
    gain = np.where(alive, explained(kernel_vectors.T @ rows, kernel_values, noise), -1.0)
    wanted = int(np.clip((gain > LEAST_GAIN).sum(), LEAST_CHANNELS, MOST_CHANNELS))
    return np.sort(np.argsort(-gain, kind="stable")[:wanted])


@dataclass(frozen=True)
class HeldOut:
    """What the fold models said about training rows whose unit they had not seen, in the frame of the full stage.

    Parameters
    ----------
    predictions, truths : arrays of shape (n, n_targets)
        Joint components predicted by the folds' ridges, and the true ones.
    groups : array of str of shape (n,)
    """

    predictions: Floats
    truths: Floats
    groups: Strings


def cross_fit(
    stage: Stage, trials: TrialSet, bank: Bank, names: Strings, *, n_folds: int, noise_kind: str = "auto", seed: int = 0
) -> tuple[Stage, HeldOut]:
    """Refit the stage leaving units out, to learn how wrong it is about units it has not seen.

    Every fold refits everything (noise, subspace, bank components, penalties). Leaving out trials instead, while other
    trials of the same picture stay in training, would give residuals that are far too small.

    Parameters
    ----------
    stage : Stage
        Fitted on all of `trials`.
    trials, bank, names, noise_kind, seed
        As in `fit_stage`.
    n_folds : int
        Folds over units.

    Returns
    -------
    stage : Stage
        With the model error of its encoding model filled in.
    held_out : HeldOut
    """
    predictions, truths, groups, residuals, noises = [], [], [], [], []
    for train, left_out in grouped_folds(trials.group, n_folds, seed):
        fold = fit_stage(trials.select(train), bank, names, noise_kind=noise_kind, seed=seed)
        rows = trials.select(left_out).averaged()
        own = take_rows(bank, rows_of(rows.stimulus, names))
        coordinates = fold.coordinates(rows.signals)
        scores = fold.ridge.predict(coordinates)
        back = fold.components.layers(scores, fold.scaler)
        predictions.append(stage.targets(back))
        truths.append(stage.targets(own))
        groups.append(rows.group)
        bridge = fold.full_basis().T @ stage.full_basis()
        residuals.append((coordinates - fold.encoding.predict(fold.scaler.apply(own))) @ bridge)
        noises.append(bridge.T @ bridge * float(np.sum(1 / rows.repetitions)))
    residual = np.concatenate(residuals)
    noise = np.sum(noises, axis=0) / len(residual)
    error = model_error_covariance(residual, noise)
    # Where the folds' directions only partly cover the full ones, part of the error was lost on the way; scale it up.
    covered = np.clip(np.diag(noise) * stage.repetitions, 0.25, 1.0)
    error = error / np.sqrt(np.outer(covered, covered))
    encoding = replace(stage.encoding, model_error=error)
    held_out = HeldOut(np.concatenate(predictions), np.concatenate(truths), np.concatenate(groups))
    return replace(stage, encoding=encoding), held_out


def move(source: Stage, target: Stage, held_out: HeldOut) -> tuple[Stage, HeldOut]:
    """Carry the model error and the held-out predictions of one stage over into the frame of another.

    Used when the models are refitted on more rows: how wrong they are about unseen units was learned before, on fewer.

    Parameters
    ----------
    source : Stage
        The stage that `cross_fit` completed.
    target : Stage
        A stage fitted on more rows of the same subject.
    held_out : HeldOut
        In the frame of `source`.

    Returns
    -------
    stage : Stage
        `target` with a model error.
    held_out : HeldOut
        In the frame of `target`.
    """
    bridge = source.full_basis().T @ target.full_basis()
    covered = np.clip((bridge**2).sum(axis=0), 0.25, 1.0)
    error = bridge.T @ source.encoding.model_error @ bridge / np.sqrt(np.outer(covered, covered))
    moved = HeldOut(
        target.targets(source.components.layers(held_out.predictions, source.scaler)),
        target.targets(source.components.layers(held_out.truths, source.scaler)),
        held_out.groups,
    )
    return replace(target, encoding=replace(target.encoding, model_error=error)), moved
