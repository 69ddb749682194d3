"""What a group of people is expected to answer to each stimulus.

The weights from features to the brain that are fitted to the mean response of a group are, for one penalty, the mean of
the weights fitted to each of its members.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.encoders.linear.bank import Bank, rows_of, take_rows
from neurodecode.encoders.linear.noise import Whitener, noise_kind_of
from neurodecode.encoders.linear.stage import Stage, fit_stage
from neurodecode.encoders.linear.trials import Strings, TrialSet, grouped_folds

Floats = NDArray[np.float64]

GROUP_FOLDS = 3


@dataclass(frozen=True)
class GroupResponses:
    """What the group is expected to answer to each stimulus.

    Parameters
    ----------
    names : array of str, shape (n_stimuli,)
    signals : array of float32, shape (n_stimuli, n_channels, n_times)
        In the unit of the recordings. A stimulus that the group was shown is predicted by models that did not see it.
    """

    names: Strings
    signals: NDArray[np.float32]

    def of(self, stimuli: Sequence[str] | Strings) -> NDArray[np.float32]:
        """Give the responses to some stimuli."""
        return self.signals[rows_of(np.asarray(stimuli, dtype=np.str_), self.names)]


def unwhitened(whitener: Whitener, rows: Floats) -> Floats:
    """Undo `Whitener.apply`: from rows (n, channels x times) back to signals (n, channels, times).

    Examples
    --------
    >>> from neurodecode.encoders.linear.noise import fit_whitener
    >>> signals = np.random.default_rng(0).standard_normal((60, 3, 4))
    >>> whitener = fit_whitener(signals, np.repeat(np.arange(20), 3).astype(str), np.ones(60, dtype=np.int64))
    >>> bool(np.allclose(unwhitened(whitener, whitener.apply(signals)), signals))
    True
    """
    arrays, shape = whitener.arrays, whitener.shape
    if whitener.kind == "kronecker":
        left = np.linalg.solve(arrays["space"], rows.reshape(-1, *shape))
        return np.asarray(np.linalg.solve(arrays["time"].T, left.transpose(0, 2, 1)).transpose(0, 2, 1))
    flat: Floats = rows
    if whitener.kind == "dense":
        flat = np.asarray(np.linalg.solve(arrays["root"].T, rows.T).T, dtype=np.float64)
    elif whitener.kind == "low_rank":
        flat = _undo(rows, arrays["basis"], arrays["basis_gain"])
    alive = arrays["gain"] > 0
    return np.asarray(np.where(alive, flat / np.where(alive, arrays["gain"], 1.0), 0.0).reshape(-1, *shape))


def _undo(rows: Floats, basis: Floats, gain: Floats) -> Floats:
    """Solve for the rows to which multiples of a few directions were added (Woodbury)."""
    inner = np.diag(1 / gain) + basis @ basis.T
    return np.asarray(rows - np.linalg.solve(inner.T, (rows @ basis.T).T).T @ basis)


def expected_signals(stage: Stage, bank: Bank) -> NDArray[np.float32]:
    """Give the response that a fitted encoding model expects to stimuli, in the unit of the recordings."""
    coordinates = stage.encoding.predict(stage.scaler.apply(bank))
    rows = stage.subspace.mean + coordinates @ stage.subspace.basis.T
    signals = np.zeros((len(rows), stage.n_channels, stage.whitener.shape[1]), dtype=np.float32)
    signals[:, stage.channels] = unwhitened(stage.whitener, rows)
    return signals


def fit_group(others: TrialSet, bank: Bank, names: Sequence[str], *, seed: int) -> GroupResponses:
    """Fit what a group answers.

    Parameters
    ----------
    others : TrialSet
        Rows of all members, on one layout of channels; averages of each over the repetitions of a stimulus. What
        differs between members counts as noise.
    bank : mapping of str to array of shape (n_stimuli, dim)
    names : sequence of str
        Stimulus of each row of the bank, those included that the group was never shown.
    seed : int
        Of the folds.

    Returns
    -------
    GroupResponses
        For all stimuli of the bank.
    """
    stimuli = np.asarray(names, dtype=np.str_)
    signals = np.zeros((len(stimuli), *others.shape), dtype=np.float64)
    seen = np.zeros(len(stimuli), dtype=np.int64)
    new = ~np.isin(stimuli, others.stimulus)
    for train, left_out in grouped_folds(others.group, GROUP_FOLDS, seed):
        kept = others.select(train)
        stage = fit_stage(kept, bank, stimuli, noise_kind=noise_kind_of(kept.stimulus), seed=seed)
        wanted = np.flatnonzero(new | np.isin(stimuli, others.stimulus[left_out]))
        signals[wanted] += expected_signals(stage, take_rows(bank, wanted))
        seen[wanted] += 1
    return GroupResponses(stimuli, (signals / np.maximum(seen, 1)[:, None, None]).astype(np.float32))
