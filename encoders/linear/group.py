"""What a group of people is expected to answer to each stimulus.

The weights from features to the brain that are fitted to the mean response of a group are, for one penalty, the mean of
the weights fitted to each of its members.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.encoders.linear.bank import Bank, rows_of, take_rows
from neurodecode.encoders.linear.noise import UNREPEATED, Whitener
from neurodecode.encoders.linear.stage import Stage, fit_stage
from neurodecode.encoders.linear.trials import Strings, TrialSet, grouped_folds, join

Floats = NDArray[np.float64]

GROUP_FOLDS = 3
#: Rows of single members from which the noise, what differs between members included, is estimated.
NOISE_ROWS = 4000
#: With fewer rows that repeat another one's stimulus, all that varies counts as noise.
LEAST_REPEATS = 40


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


def member_means(members: Iterable[TrialSet], *, seed: int, noise_rows: int = NOISE_ROWS) -> TrialSet:
    """Bring members together, one in memory at a time: a mean over members for most stimuli, single rows for some.

    Parameters
    ----------
    members : iterable of TrialSet
        Averages over the repetitions of each stimulus, of one member after the other, on one layout of channels.
    seed : int
        Draws the stimuli whose rows stay single, so that what differs between members can be told from what they share.
    noise_rows : int
        About how many rows stay single; of stimuli that several members were shown.

    Returns
    -------
    TrialSet
        With the same mean responses, weighted by repetitions, as all rows of all members have.

    Raises
    ------
    DataError
        If there is no member, or their channels and times differ.

    Examples
    --------
    >>> one = TrialSet(np.ones((2, 1, 1)), np.array(["a", "b"]), np.array(["a", "b"]), np.array([1, 3]))
    >>> two = TrialSet(np.zeros((2, 1, 1)), np.array(["a", "b"]), np.array(["a", "b"]), np.array([1, 1]))
    >>> found = member_means([one, two], seed=0).averaged()
    >>> found.signals.ravel().tolist(), found.repetitions.tolist()
    ([0.5, 0.75], [2, 4])
    """
    sums: dict[tuple[str, str], Floats] = {}
    counts: dict[tuple[str, str], int] = {}
    single: list[TrialSet] = []
    n_rows = 0
    for member in members:
        if single and member.shape != single[0].shape:
            raise DataError(f"group: got {member.shape} channels and times, expected {single[0].shape} as others have")
        for row, cell in enumerate(zip(member.group.tolist(), member.stimulus.tolist(), strict=True)):
            weighted = member.signals[row].astype(np.float64) * member.repetitions[row]
            sums[cell] = sums[cell] + weighted if cell in sums else weighted
            counts[cell] = counts.get(cell, 0) + int(member.repetitions[row])
        n_rows += len(member)
        # The draws of a smaller share are among those of a larger one, so what was kept before is only cut down.
        single = [_drawn(one, noise_rows / n_rows, seed) for one in [*single, member]]
    if not single:
        raise DataError("group: got no member, expected at least one")
    names, times = np.unique(np.concatenate([one.stimulus for one in single]), return_counts=True)
    repeated = names[times > 1]
    rows = [one.select(np.isin(one.stimulus, repeated)) for one in single if np.isin(one.stimulus, repeated).any()]
    means = sorted(cell for cell in sums if cell[1] not in set(repeated.tolist()))
    if means:
        rows.append(
            TrialSet(
                np.stack([sums[cell] / counts[cell] for cell in means]).astype(np.float32),
                np.array([stimulus for _, stimulus in means]),
                np.array([unit for unit, _ in means]),
                np.array([counts[cell] for cell in means]),
            )
        )
    return join(rows)


def _drawn(trials: TrialSet, share: float, seed: int) -> TrialSet:
    """Keep the rows of a share of the stimuli, the same ones for every member, but at least one row."""
    places = np.array([zlib.crc32(f"{seed} {name}".encode()) / 2**32 for name in trials.stimulus.tolist()])
    return trials.select(places <= max(share, float(places.min())))


def fit_group(others: TrialSet, bank: Bank, names: Sequence[str], *, seed: int) -> GroupResponses:
    """Fit what a group answers.

    Parameters
    ----------
    others : TrialSet
        Of all members, on one layout of channels: averages of each over the repetitions of a stimulus, or what
        `member_means` makes of those. What differs between members counts as noise.
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
        repeats = len(kept) - len(np.unique(kept.stimulus))
        noise = "auto" if repeats >= LEAST_REPEATS else UNREPEATED
        stage = fit_stage(kept, bank, stimuli, noise_kind=noise, seed=seed)
        wanted = np.flatnonzero(new | np.isin(stimuli, others.stimulus[left_out]))
        signals[wanted] += expected_signals(stage, take_rows(bank, wanted))
        seen[wanted] += 1
    return GroupResponses(stimuli, (signals / np.maximum(seen, 1)[:, None, None]).astype(np.float32))
