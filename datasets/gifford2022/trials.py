"""From continuous recordings to trials as the authors made them: which repetitions count, baseline and resampling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.datasets.gifford2022.continuous import TARGET, Run

# The authors' epochs and baseline (s), rate (Hz), seed, and repetitions that they keep of each picture in a session.
EPOCH = (-0.2, 1.0)
SFREQ = 250.0
SEED = 20200220
KEPT = {"train": 2, "test": 20}
# At most this much signal (s) is in memory at a time.
STRETCH = 60.0


@dataclass(frozen=True)
class Grid:
    """The times of an epoch before and after resampling.

    Parameters
    ----------
    before, after : int
        Samples of the recording before the onset, and from it to the end of the epoch.
    sfreq_in, sfreq : float
        Rates in Hz.
    first, stop : int
        Samples of the resampled epoch that are kept.
    """

    before: int
    after: int
    sfreq_in: float
    sfreq: float
    first: int
    stop: int

    @property
    def tmin(self) -> float:
        """Give the time of the first sample that is kept, in seconds."""
        return round(-self.before / self.sfreq_in + self.first / self.sfreq, 9)


def grid_of(sfreq_in: float, sfreq: float, window: tuple[float, float]) -> Grid:
    """Find the samples that an epoch consists of.

    Parameters
    ----------
    sfreq_in, sfreq : float
        Recorded and wanted rate in Hz.
    window : tuple of float
        First time and end (s) of what is kept.

    Examples
    --------
    >>> grid = grid_of(1000.0, 250.0, (0.0, 1.0))
    >>> grid.first, grid.stop, grid.tmin
    (50, 300, 0.0)
    """
    before, after = round(-EPOCH[0] * sfreq_in), round(EPOCH[1] * sfreq_in) + 1
    length = round((before + after) * sfreq / sfreq_in)
    times = -before / sfreq_in + np.arange(length) / sfreq
    inside = np.flatnonzero((times > window[0] - 1e-6) & (times < window[1] - 1e-6))
    return Grid(before, after, sfreq_in, sfreq, int(inside[0]), int(inside[-1]) + 1)


def list_trials(sessions: Sequence[Sequence[Run]], part: str, n_pictures: int) -> pd.DataFrame:
    """List the repetitions that the authors keep: a fixed number of each picture in a session, by their seed.

    Targets and surplus repetitions (fillers) are left out, and so are events whose epoch was not recorded whole.

    Parameters
    ----------
    sessions : sequence of sequence of Run
        Recordings by session.
    part : str
        ``train`` or ``test``.
    n_pictures : int
        Number of pictures of the part.

    Returns
    -------
    pandas.DataFrame
        Columns `number, session, run (position among all runs), name, sample, onset, repetition`, sorted by picture and
        repetition.

    Raises
    ------
    DataError
        If a picture was never shown, or not as often as the others.
    """
    tables, position = [], 0
    for runs in sessions:
        events = []
        for run in runs:
            before, after = round(-EPOCH[0] * run.sfreq), round(EPOCH[1] * run.sfreq) + 1
            whole = (run.samples >= before) & (run.samples + after <= run.n_samples) & (run.codes != TARGET)
            columns = {"number": run.codes[whole], "session": run.session, "run": position, "name": run.name}
            events.append(
                pd.DataFrame({**columns, "sample": run.samples[whole], "onset": run.samples[whole] / run.sfreq})
            )
            position += 1
        table = pd.concat(events, ignore_index=True)
        tables.append(table.iloc[kept_rows(table["number"].to_numpy(), part, where=str(runs[0].path))])
    trials = pd.concat(tables, ignore_index=True)
    trials["order"] = np.arange(len(trials))
    trials = trials.sort_values(["number", "order"], ignore_index=True).drop(columns="order")
    trials["repetition"] = trials.groupby("number").cumcount() + 1
    counts = trials["number"].value_counts().reindex(range(1, n_pictures + 1), fill_value=0).to_numpy()
    if (counts != counts.max()).any():
        at = int(np.argmax(counts != counts.max()))
        raise DataError(
            f"{sessions[0][0].path}: picture {at + 1} of the {part} part has {counts[at]} trials in {len(sessions)} "
            f"sessions, expected {counts.max()} as others have"
        )
    return trials


def kept_rows(numbers: NDArray[np.int64], part: str, *, where: str) -> NDArray[np.int64]:
    """Choose the trials of one session that the authors keep.

    Parameters
    ----------
    numbers : ndarray of int, shape (n_events,)
        Pictures in the order in which they were shown, targets left out.
    part : str
        ``train`` (2 of each are kept) or ``test`` (20, or as many as all have where they are fewer).
    where : str
        How messages name the file.

    Returns
    -------
    ndarray of int
        Positions, by picture, repetitions in the authors' order.
    """
    from sklearn.utils import shuffle

    order = np.argsort(numbers, kind="stable")
    found, first, counts = np.unique(numbers[order], return_index=True, return_counts=True)
    keep = min(KEPT[part], int(counts.max()))
    fewest = int(counts.min())
    if fewest < keep:
        if int(counts.max()) >= KEPT[part]:
            picture = found[int(np.argmin(counts))]
            raise DataError(
                f"{where}: picture {picture} was shown {fewest} times in the session, expected at least {keep}"
            )
        keep = fewest
    drawn = {int(count): shuffle(np.arange(count), random_state=SEED, n_samples=keep) for count in np.unique(counts)}
    return np.concatenate([order[start + drawn[int(count)]] for start, count in zip(first, counts, strict=True)])


def cut_trials(
    runs: Sequence[Run], trials: pd.DataFrame, grid: Grid
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Cut trials out of the recordings, a minute of signal at a time.

    The baseline is the mean from the start of the epoch to the onset; resampling is MNE's, epoch by epoch.

    Parameters
    ----------
    runs : sequence of Run
        All recordings.
    trials : pandas.DataFrame
        From `list_trials`.
    grid : Grid
        From `grid_of`.

    Yields
    ------
    rows : ndarray of int
        Positions in `trials`.
    signals : ndarray of float32, shape (n_rows, n_channels, n_times)
        In volts.
    """
    for position, members in trials.groupby("run", sort=True):
        run = runs[int(str(position))]
        ordered = members.sort_values("sample")
        rows, samples = ordered.index.to_numpy(), ordered["sample"].to_numpy()
        begin = 0
        while begin < len(rows):
            stop = int(np.searchsorted(samples, samples[begin] + STRETCH * run.sfreq))
            start = samples[begin] - grid.before
            stretch = run.read(int(start), int(samples[stop - 1] + grid.after))
            cuts = samples[begin:stop] - grid.before - start
            epochs = np.stack([stretch[:, cut : cut + grid.before + grid.after] for cut in cuts])
            yield rows[begin:stop], finish(epochs, grid)
            begin = stop


def finish(epochs: NDArray[np.float64], grid: Grid) -> NDArray[np.float32]:
    """Subtract the baseline, resample and keep the wanted samples.

    Parameters
    ----------
    epochs : ndarray of float64, shape (n, n_channels, before + after)
        As recorded; changed in place.
    grid : Grid
        From `grid_of`.
    """
    import mne

    epochs -= epochs[:, :, : grid.before + 1].mean(axis=2, keepdims=True)
    if grid.sfreq != grid.sfreq_in:
        epochs = mne.filter.resample(
            epochs, grid.sfreq, grid.sfreq_in, npad="auto", pad="edge", window="auto", verbose="error"
        )
    return epochs[:, :, grid.first : grid.stop].astype(np.float32)
