"""A group's expected responses brought to a new person: a frame to compare them in, a map over channels, a rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.encoders.linear.bank import (
    Bank,
    BankScaler,
    fit_bank_scaler,
    fit_feature_kernel,
    symmetric_eigen,
)
from neurodecode.encoders.linear.encoding import EncodingModel, fit_encoding
from neurodecode.encoders.linear.noise import Whitener, fit_whitener, noise_kind_of
from neurodecode.encoders.linear.stage import harmonic_mean
from neurodecode.encoders.linear.subspace import Subspace, fit_subspace
from neurodecode.encoders.linear.trials import TrialSet

Floats = NDArray[np.float64]

#: Topographies and time courses of the group's responses in which a new person's are sought; one time leaves a map.
MOST_TOPOGRAPHIES, MOST_COURSES, MOST_OF_A_MAP = 30, 12, 200


@dataclass(frozen=True)
class Frame:
    """Few whitened numbers in which measured and expected responses are compared.

    Parameters
    ----------
    whitener : Whitener
        Of the new person.
    space, time : arrays of shape (n_channels, n_topographies) and (n_times, n_courses)
        Orthonormal columns, so that the noise of one trial stays the identity.
    """

    whitener: Whitener
    space: Floats
    time: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Topographies and time courses."""
        return self.space.shape[1], self.time.shape[1]

    def apply(self, signals: NDArray[np.floating]) -> Floats:
        """Signals ``(n, n_channels, n_times)`` to ``(n, n_topographies, n_courses)``."""
        rows = self.whitener.apply(signals).reshape(len(signals), *self.whitener.shape)
        return np.asarray(self.space.T @ rows @ self.time)


def fit_frame(own: TrialSet, expected: NDArray[np.floating]) -> Frame:
    """Whiten with the new person's noise; keep the leading topographies and time courses of the group's responses."""
    whitener = fit_whitener(own.signals, own.stimulus, own.repetitions, kind=noise_kind_of(own.stimulus))
    rows = whitener.apply(expected - expected.mean(axis=0)).reshape(-1, *own.shape)
    space = symmetric_eigen(np.tensordot(rows, rows, axes=([0, 2], [0, 2])))[1]
    time = symmetric_eigen(np.tensordot(rows, rows, axes=([0, 1], [0, 1])))[1]
    most = MOST_TOPOGRAPHIES if own.shape[1] > 1 else MOST_OF_A_MAP
    return Frame(whitener, space[:, :most], time[:, :MOST_COURSES])


@dataclass(frozen=True)
class Rest:
    """An encoding model of what the aligned group does not explain."""

    scaler: BankScaler
    subspace: Subspace
    encoding: EncodingModel

    def predict(self, bank: Bank) -> Floats:
        """Predict the rest ``(n, n_numbers)`` for stimuli."""
        coordinates = self.encoding.predict(self.scaler.apply(bank))
        return np.asarray(self.subspace.mean + coordinates @ self.subspace.basis.T)


@dataclass(frozen=True)
class Aligned:
    """A new person's response as the group's, mapped over topographies, and a rest.

    Parameters
    ----------
    weights : array of shape (n_topographies, n_topographies)
    own_mean, group_mean : arrays of shape (n_topographies, n_courses)
        Mean response of the person and of the group to the stimuli of the fit.
    rest : Rest, optional
    """

    weights: Floats
    own_mean: Floats
    group_mean: Floats
    rest: Rest | None

    def predict(self, expected: Floats, bank: Bank) -> Floats:
        """Predict ``(n, n_numbers)`` from the group's ``(n, n_topographies, n_courses)`` and the features."""
        rows = self.own_mean + self.weights @ (expected - self.group_mean)
        flat = rows.reshape(len(rows), -1)
        return flat if self.rest is None else np.asarray(flat + self.rest.predict(bank))


def alignment(own: Floats, group: Floats, counts: NDArray[np.int64], penalty: float) -> Floats:
    """Find the map over topographies from the group's responses to a person's, shrunk towards a scaled identity.

    Parameters
    ----------
    own, group : arrays of shape (n, n_topographies, n_courses)
        Centred responses to the same stimuli.
    counts : array of int, shape (n,)
        Trials in each of the person's rows: their weight.
    penalty : float
        In units of the mean power of a topography of the group; infinite leaves the scaled identity.

    Returns
    -------
    array of shape (n_topographies, n_topographies)

    Examples
    --------
    >>> group = np.random.default_rng(0).standard_normal((200, 3, 2))
    >>> turned = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    >>> np.abs(alignment(turned @ group, group, np.ones(200, dtype=np.int64), 1e-3) - turned).max() < 0.01
    np.True_
    """
    weighted = group * counts[:, None, None]
    power = np.tensordot(weighted, group, axes=([0, 2], [0, 2]))
    together = np.tensordot(own, weighted, axes=([0, 2], [0, 2]))
    total = float(np.trace(power))
    identity = np.eye(len(power))
    scale = max(float(np.trace(together)) / total, 0.0) if total > 0 else 0.0
    if np.isinf(penalty) or total <= 0:
        return np.asarray(scale * identity)
    ridge = penalty * total / len(power)
    return np.asarray(np.linalg.solve(power + ridge * identity, (together + ridge * scale * identity).T).T)


def fit_aligned(
    own: Floats, counts: NDArray[np.int64], group: Floats, bank: Bank, *, penalty: float, rest: bool
) -> Aligned:
    """Fit the map over topographies, and an encoding model of what it leaves.

    Parameters
    ----------
    own, group : arrays of shape (n, n_topographies, n_courses)
        Responses of the person, one row a stimulus, and of the group to the same stimuli.
    counts : array of int, shape (n,)
    bank : mapping of str to array of shape (n, dim)
        Features of the same stimuli.
    penalty : float
        See `alignment`.
    rest : bool
        Whether the rest is modelled.
    """
    shares = counts / counts.sum()
    own_mean, group_mean = (np.tensordot(shares, values, axes=1) for values in (own, group))
    weights = alignment(own - own_mean, group - group_mean, counts, penalty)
    model = Aligned(weights, own_mean, group_mean, None)
    if not rest:
        return model
    left = own.reshape(len(own), -1) - model.predict(group, bank)
    noise = 1 / harmonic_mean(counts)
    scaler = fit_bank_scaler(bank)
    scaled = scaler.apply(bank)
    kernel = fit_feature_kernel(scaled)
    kernels = kernel.between(scaled)
    values, vectors = symmetric_eigen(kernels.mean(axis=0))
    subspace = fit_subspace(left, own.shape[1:], values, vectors, noise)
    encoding = fit_encoding(subspace.apply(left), subspace.variance, kernel, kernels, vectors, noise)
    return Aligned(weights, own_mean, group_mean, Rest(scaler, subspace, encoding))
