"""A new person's response with a group's as its prior mean.

It is the group's, aligned by a map over channels that is shrunk towards a multiple of the identity, plus what an
encoding model explains of the rest. How much of each is chosen by folds inside the new person's own data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.linear.bank import Bank, rows_of, take_rows
from neurodecode.encoders.linear.encoding import encoding_scores, model_error_covariance
from neurodecode.encoders.linear.group import GroupResponses
from neurodecode.encoders.linear.group_alignment import Aligned, Floats, Frame, fit_aligned, fit_frame
from neurodecode.encoders.linear.selection import Indices, per_query_cross_entropy, truth_index
from neurodecode.encoders.linear.trials import TrialSet, grouped_folds

Option = tuple[float, bool, str]

OWN_FOLDS = 4
#: The most complete rule first: it is taken unless another is clearly better.
RULES: tuple[str, ...] = ("likelihood", "noise_likelihood", "correlation")
#: With fewer stimuli the group is only scaled, for there is nothing to choose a map over channels by; or what the
#: aligned group leaves is not modelled.
LEAST_FOR_MAP, LEAST_FOR_REST = 20, 40
#: Penalties of the map over channels, in units of the mean power of the group's channels; infinite: only scaled.
PENALTIES: tuple[float, ...] = (np.inf, 10.0, 1.0, 0.1, 0.01)
#: How much of the group a new person takes: as it is, aligned, or as the mean of a prior.
GRIDS: Mapping[str, tuple[tuple[float, bool], ...]] = {
    "group": ((np.inf, False),),
    "ridge": tuple((penalty, False) for penalty in PENALTIES),
    "group_prior": tuple((penalty, rest) for penalty in PENALTIES for rest in (False, True)),
}


@dataclass(frozen=True)
class GroupModel:
    """A group's encoding model adapted to a new person, with the rule that scores candidates.

    Parameters
    ----------
    frame, aligned, rule, model_error
        What was fitted and chosen; the rule is one of `RULES`.
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
    losses: dict[Option, Floats] = {}
    errors: dict[tuple[float, bool], Floats] = {}
    # One frame for all folds, so that their errors can be pooled: it knows noise and what the group answers, but which
    # response belongs to which stimulus only through repetitions.
    frame = fit_frame(own, expected)
    measured, theirs = frame.apply(rows.signals), frame.apply(expected)
    flat = measured.reshape(len(measured), -1)
    for penalty, rest in grid_of(strategy, len(np.unique(rows.stimulus))):
        predicted = np.empty_like(flat)
        for train, left_out in folds:
            model = fit_aligned(
                measured[train], rows.repetitions[train], theirs[train], take_rows(features, train),
                penalty=penalty, rest=rest,
            )  # fmt: skip
            predicted[left_out] = model.predict(theirs[left_out], take_rows(features, left_out))
        noise = np.eye(flat.shape[1]) * float(np.mean(1 / rows.repetitions))
        errors[penalty, rest] = model_error_covariance(flat - predicted, noise)
        for rule in RULES:
            asked = []
            for _, left_out in folds:
                scores = encoding_scores(
                    rule, flat[left_out], predicted[left_out], errors[penalty, rest], rows.repetitions[left_out]
                )
                # A stimulus may be in several units; each is one candidate.
                shown, first = np.unique(rows.stimulus[left_out], return_index=True)
                asked.append((scores[:, first], truth_index(rows.stimulus[left_out], shown)))
            losses[penalty, rest, rule] = pooled_cross_entropy(asked)
    penalty, rest, rule = simplest_within_error(losses)
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
            "selection": f"{len(folds)} folds over units of the budget, the simplest within a standard error",
            "cross_entropy": float(losses[penalty, rest, rule].mean()),
            "options": {
                f"{one[0]:g}/{'rest' if one[1] else 'no rest'}/{one[2]}": float(loss.mean())
                for one, loss in losses.items()
            },
        },
    )


def grid_of(strategy: str, n_stimuli: int) -> list[tuple[float, bool]]:
    """List a strategy's penalties, with and without a modelled rest, the simplest first.

    Examples
    --------
    >>> grid_of("group_prior", 10), grid_of("group_prior", 30) == grid_of("ridge", 30)
    ([(inf, False)], True)
    """
    return [
        (penalty, rest)
        for penalty, rest in GRIDS[strategy]
        if (np.isinf(penalty) or n_stimuli >= LEAST_FOR_MAP) and (not rest or n_stimuli >= LEAST_FOR_REST)
    ]


def pooled_cross_entropy(asked: Sequence[tuple[Floats, Indices]]) -> Floats:
    """Give every query's cross-entropy, in nats, with the one temperature that is best for all folds together.

    Parameters
    ----------
    asked : sequence of (scores, truth)
        Of every fold: an array ``(n_queries, n_candidates)``, larger is better, and the right candidate's index.

    Returns
    -------
    array of shape (n_all_queries,)

    Examples
    --------
    >>> scores = np.array([[9.0, 0.0], [0.0, 9.0]])
    >>> bool(pooled_cross_entropy([(scores, np.array([0, 1])), (scores, np.array([0, 1]))]).max() < 0.1)
    True
    """
    spread = float(np.sqrt(np.mean([np.var(scores - scores.mean(axis=1, keepdims=True)) for scores, _ in asked])))
    if spread == 0 or not np.isfinite(spread):
        return np.concatenate([np.full(len(scores), np.log(scores.shape[1])) for scores, _ in asked])

    def losses(factor: float) -> Floats:
        return np.concatenate([per_query_cross_entropy(scores * factor, truth) for scores, truth in asked])

    found = scipy.optimize.minimize_scalar(
        lambda logarithm: float(losses(np.exp(logarithm) / spread).mean()), bounds=(-6.0, 6.0), method="bounded"
    )
    return losses(float(np.exp(found.x)) / spread)


def simplest_within_error(losses: Mapping[Option, Floats]) -> Option:
    """Take the first option whose loss is within one standard error of the best, paired over queries.

    Folds of few stimuli cannot tell options apart, and the smallest of many noisy losses is that of a model which fits
    too much; so the group is followed as it is unless the new person's data clearly say otherwise.

    Examples
    --------
    >>> simple, other = (np.inf, False, "likelihood"), (1.0, False, "likelihood")
    >>> simplest_within_error({simple: np.array([1.0, 2.0]), other: np.array([1.2, 1.7])}) == simple
    True
    """
    best = losses[min(losses, key=lambda one: float(losses[one].mean()))]
    for option, loss in losses.items():
        difference = loss - best
        if float(difference.mean()) <= float(difference.std()) / np.sqrt(max(len(difference) - 1, 1)):
            return option
    raise ConfigError("options: got none, expected at least one")
