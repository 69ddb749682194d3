"""A new person's response with a group's as its prior mean.

It is the group's, aligned by a map over channels that is shrunk towards a multiple of the identity, plus what an
encoding model explains of the rest. How much of each is chosen by folds inside the new person's own data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.linear.bank import (
    Bank,
    BankScaler,
    fit_bank_scaler,
    fit_feature_kernel,
    rows_of,
    symmetric_eigen,
    take_rows,
)
from neurodecode.encoders.linear.encoding import (
    ENCODING_RULES,
    EncodingModel,
    encoding_scores,
    fit_encoding,
    model_error_covariance,
)
from neurodecode.encoders.linear.group import GroupResponses
from neurodecode.encoders.linear.noise import Whitener, fit_whitener, noise_kind_of
from neurodecode.encoders.linear.selection import calibrated_cross_entropy, truth_index
from neurodecode.encoders.linear.stage import harmonic_mean
from neurodecode.encoders.linear.subspace import Subspace, fit_subspace
from neurodecode.encoders.linear.trials import TrialSet, grouped_folds

Floats = NDArray[np.float64]

OWN_FOLDS = 4
#: Topographies and time courses of the group's responses in which a new person's are sought; one time leaves a map.
MOST_TOPOGRAPHIES, MOST_COURSES, MOST_OF_A_MAP = 30, 12, 200
#: Penalties of the map over channels, in units of the mean power of the group's channels; infinite: only scaled.
PENALTIES: tuple[float, ...] = (np.inf, 10.0, 1.0, 0.1, 0.01)
#: How much of the group a new person takes: as it is, aligned, or as the mean of a prior.
GRIDS: Mapping[str, tuple[tuple[float, bool], ...]] = {
    "group": ((np.inf, False),),
    "ridge": tuple((penalty, False) for penalty in PENALTIES),
    "group_prior": tuple((penalty, rest) for penalty in PENALTIES for rest in (False, True)),
}


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


@dataclass(frozen=True)
class GroupModel:
    """A group's encoding model adapted to a new person, with the rule that scores candidates.

    Parameters
    ----------
    frame, aligned, rule, model_error
        What was fitted and chosen; the rule is one of `encoding.ENCODING_RULES`.
    notes : dict
        What was chosen and how, as plain JSON.
    """

    frame: Frame
    aligned: Aligned
    rule: str
    model_error: Floats
    notes: dict[str, Any] = field(default_factory=dict)

    def score(self, test: TrialSet, expected: NDArray[np.floating], candidates: Bank) -> Floats:
        """Score every candidate for each row of `test` on its own.

        Parameters
        ----------
        test : TrialSet
            Of the new person.
        expected : array of shape (n_candidates, n_channels, n_times)
            What the group answers to the candidates.
        candidates : mapping of str to array of shape (n_candidates, dim)

        Returns
        -------
        array of shape (n_queries, n_candidates)
        """
        predicted = self.aligned.predict(self.frame.apply(expected), candidates)
        measured = self.frame.apply(test.signals).reshape(len(test), -1)
        return encoding_scores(self.rule, measured, predicted, self.model_error, test.repetitions)


def fit_group_model(
    own: TrialSet, group: GroupResponses, bank: Bank, names: Sequence[str], *, strategy: str, seed: int
) -> GroupModel:
    """Adapt a group to a new person: choose by folds over the units of the person's own data, then fit on all of it.

    Parameters
    ----------
    own : TrialSet
        The new person's trials, all that may be used.
    group : GroupResponses
        Of others.
    bank, names
        Features of at least all stimuli of `own`.
    strategy : {"group", "ridge", "group_prior"}
        How much may be fitted; see `GRIDS`. Mean response, scale, noise and the scoring rule always are.
    seed : int
        Of the folds.

    Returns
    -------
    GroupModel

    Raises
    ------
    ConfigError
        If there is no such strategy.
    MismatchError
        If the group has other channels or times.
    """
    if strategy not in GRIDS:
        raise ConfigError(f"strategy: got {strategy!r}, expected one of {', '.join(GRIDS)}")
    if own.shape != group.signals.shape[1:]:
        raise MismatchError(
            f"group: has {group.signals.shape[1]} channels and {group.signals.shape[2]} times, the new subject "
            f"{own.shape[0]} and {own.shape[1]}; expected one layout"
        )
    stimuli = np.asarray(names, dtype=np.str_)
    rows = own.averaged()
    expected, features = group.of(rows.stimulus), take_rows(bank, rows_of(rows.stimulus, stimuli))
    folds = grouped_folds(rows.group, OWN_FOLDS, seed)
    found: dict[tuple[float, bool, str], float] = {}
    errors: dict[tuple[float, bool], Floats] = {}
    # One frame for all folds, so that their errors can be pooled: it knows noise and what the group answers, but which
    # response belongs to which stimulus only through repetitions.
    frame = fit_frame(own, expected)
    measured, theirs = frame.apply(rows.signals), frame.apply(expected)
    flat = measured.reshape(len(measured), -1)
    for penalty, rest in GRIDS[strategy]:
        predicted = np.empty_like(flat)
        for train, left_out in folds:
            model = fit_aligned(
                measured[train], rows.repetitions[train], theirs[train], take_rows(features, train),
                penalty=penalty, rest=rest,
            )  # fmt: skip
            predicted[left_out] = model.predict(theirs[left_out], take_rows(features, left_out))
        noise = np.eye(flat.shape[1]) * float(np.mean(1 / rows.repetitions))
        errors[penalty, rest] = model_error_covariance(flat - predicted, noise)
        for rule in ENCODING_RULES:
            losses = []
            for _, left_out in folds:
                scores = encoding_scores(
                    rule, flat[left_out], predicted[left_out], errors[penalty, rest], rows.repetitions[left_out]
                )
                # A stimulus may be in several units; each is one candidate.
                shown, first = np.unique(rows.stimulus[left_out], return_index=True)
                losses.append(calibrated_cross_entropy(scores[:, first], truth_index(rows.stimulus[left_out], shown)))
            found[penalty, rest, rule] = float(np.mean(losses))
    penalty, rest, rule = min(found, key=lambda one: found[one])
    final = fit_aligned(measured, rows.repetitions, theirs, features, penalty=penalty, rest=rest)
    return GroupModel(
        frame,
        final,
        rule,
        errors[penalty, rest],
        {
            "penalty": "scaled only" if np.isinf(penalty) else penalty,
            "rest": rest,
            "rule": rule,
            "selection": f"{len(folds)} folds over units of the budget",
            "cross_entropy": found[penalty, rest, rule],
            "options": {f"{one[0]:g}/{'rest' if one[1] else 'no rest'}/{one[2]}": loss for one, loss in found.items()},
        },
    )
