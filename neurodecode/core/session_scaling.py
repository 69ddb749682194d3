"""Scaling within each session: fitted on the training windows of a fold, applied before anything is averaged.

Impedances, head positions and the scanner's gain change from day to day. Repetitions of a stimulus are averaged over
sessions, so this has to come before averaging and cannot be one of the transforms that follow it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Recording
from neurodecode.core.transforms import NoiseWhitener, Standardize

Kind = Literal["none", "zscore", "robust", "whiten"]
KINDS: tuple[Kind, ...] = ("none", "zscore", "robust", "whiten")
FEWEST_WINDOWS = 2
FLAG = "sessions without training windows are scaled by all of their own windows, without labels"


@dataclass(frozen=True)
class SessionScaling:
    """A linear step for each session of one subject.

    Parameters
    ----------
    kind : str
        ``zscore`` (mean and standard deviation of each channel), ``robust`` (median and interquartile range) or
        ``whiten`` (mean, then multivariate noise normalisation).
    sessions : tuple of str
        Names, in the order of the arrays.
    filters : ndarray of float32, shape (n_sessions, n_channels) or (n_sessions, n_channels, n_channels)
        What channels are multiplied by.
    offsets : ndarray of float32, shape (n_sessions, n_channels)
        What is subtracted before.
    clamp : float
        Values beyond this are clipped; 0 means no clipping.
    without_training : tuple of str
        Sessions that had no training window; they are scaled by all of their windows.

    References
    ----------
    Guggenmos, Sterzer, Cichy (2018), doi:10.1016/j.neuroimage.2018.02.044.
    """

    kind: Kind
    sessions: tuple[str, ...]
    filters: NDArray[np.float32]
    offsets: NDArray[np.float32]
    clamp: float = 0.0
    without_training: tuple[str, ...] = ()

    def apply(self, signals: NDArray[np.float32], sessions: Sequence[str] | NDArray[np.str_]) -> NDArray[np.float32]:
        """Scale signals ``(n, n_channels, n_times)``, each by its session ``(n,)``."""
        place = {name: row for row, name in enumerate(self.sessions)}
        unknown = sorted(set(map(str, sessions)) - set(place))
        if unknown:
            raise DataError(f"session: got {unknown[0]!r}, expected one of {', '.join(self.sessions)}")
        rows = np.array([place[str(name)] for name in sessions], dtype=np.int64)
        scaled = np.empty_like(signals)
        for row in np.unique(rows):
            members = rows == row
            centred = signals[members] - self.offsets[row][:, None]
            if self.filters.ndim == 3:
                scaled[members] = np.matmul(self.filters[row], centred)
            else:
                scaled[members] = centred * self.filters[row][:, None]
        if self.clamp > 0:
            np.clip(scaled, -self.clamp, self.clamp, out=scaled)
        return scaled


def fit_session_scaling(
    recording: Recording,
    rows: NDArray[np.int64],
    kind: Kind,
    *,
    clamp: float = 0.0,
    most: int = 2000,
    borrow: bool = False,
) -> SessionScaling:
    """Learn how each session is scaled from its training windows.

    Parameters
    ----------
    recording : Recording
        One subject.
    rows : ndarray of int
        The training windows of a fold. A session without any is scaled by all of its windows, without labels; it is
        listed in the result.
    kind : str
        One of `KINDS` but ``none``.
    clamp : float
        See `SessionScaling`.
    most : int
        Windows used of each session, evenly spaced; whitening uses all.
    borrow : bool
        Scale a session with too few training windows by the training windows of all sessions instead of its own
        windows, so that nothing but training windows enters.

    Returns
    -------
    SessionScaling
        For every session of the recording.

    Raises
    ------
    ConfigError
        For an unknown kind.
    DataError
        If a session has a constant channel, too few windows, or no repeated stimulus where whitening needs one.

    Examples
    --------
    >>> import pandas as pd
    >>> from neurodecode.core.recording import Block
    >>> from neurodecode.core.sensors import Sensors
    >>> block = Block("e", np.random.default_rng(0).normal(5, 3, (40, 1, 9)).astype(np.float32),
    ...               Sensors(("Oz",), ("eeg",), sfreq=9.0, tmin=0.0, unit="V"))
    >>> table = pd.DataFrame({"subject": "sub-01", "session": ["1"] * 20 + ["2"] * 20, "run": "1", "block": "e",
    ...                       "start": range(40), "length": 9, "stimulus": "a", "repetition": 1, "onset": 0.0})
    >>> recording = Recording("sub-01", "eeg", {"e": block}, table)
    >>> fitted = fit_session_scaling(recording, np.arange(40), "zscore")
    >>> bool(abs(fitted.apply(recording.read([0, 30]), ["1", "2"]).mean()) < 0.5)
    True
    """
    if kind not in KINDS[1:]:
        raise ConfigError(f"session_scaling: got {kind!r}, expected one of {', '.join(KINDS)}")
    of_windows = recording.windows["session"].astype(str).to_numpy()
    stimuli = recording.windows["stimulus"].astype(str).to_numpy().astype(str)
    names = list(dict.fromkeys(of_windows))
    filters, offsets, without = [], [], []
    for name in names:
        mine = np.sort(rows[of_windows[rows] == name])
        if borrow and len(mine) < FEWEST_WINDOWS:
            mine = np.sort(rows)
        if not len(mine):
            without.append(str(name))
            mine = np.flatnonzero(of_windows == name)
        if len(mine) < FEWEST_WINDOWS:
            raise DataError(f"{recording.subject}: session {name!r} has {len(mine)} windows, too few to scale it")
        used = mine if kind == "whiten" or len(mine) <= most else mine[np.linspace(0, len(mine) - 1, most).astype(int)]
        signals = recording.read(used)
        try:
            scale = Standardize(robust=kind == "robust").fit(signals, stimuli[used])
            assert scale.centre is not None
            assert scale.scale is not None
            offsets.append(scale.centre[:, 0])
            if kind == "whiten":
                # A session without training windows must not use labels: all of its windows count as one stimulus.
                labels = stimuli[used] if name not in without else np.full(len(used), "one")
                whitener = NoiseWhitener().fit(signals, labels)
                assert whitener.filters is not None
                filters.append(whitener.filters)
            else:
                filters.append(np.float32(1) / scale.scale[:, 0])
        except DataError as error:
            raise DataError(f"{recording.subject}: session {name!r}: {error}") from None
    return SessionScaling(
        kind,
        tuple(map(str, names)),
        np.stack(filters).astype(np.float32),
        np.stack(offsets).astype(np.float32),
        clamp,
        tuple(without),
    )


@dataclass(frozen=True)
class ScaledRecording(Recording):
    """A recording whose windows are scaled within their session when they are read.

    Parameters
    ----------
    scaling : SessionScaling
        Fitted on the training windows of a fold.
    """

    scaling: SessionScaling | None = None

    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Read windows, scaled; see `Recording.read`."""
        signals = super().read(rows)
        if self.scaling is None:
            return signals
        return self.scaling.apply(signals, self._sessions[np.asarray(rows, dtype=np.int64)])

    @cached_property
    def _sessions(self) -> NDArray[np.str_]:
        """The session of each window: looked up once, read many times."""
        return self.windows["session"].to_numpy().astype(str)


def scaled(recording: Recording, scaling: SessionScaling) -> ScaledRecording:
    """Give the recording with its windows scaled when they are read; a flag says where no training window was."""
    values = {field.name: getattr(recording, field.name) for field in fields(Recording)}
    if scaling.without_training:
        values["flags"] = (*recording.flags, FLAG)
    return ScaledRecording(**values, scaling=scaling)
