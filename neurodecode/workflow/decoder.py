"""The Python face of a trained network: load, decode, rank."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.training.decode_task import DecodeTask
from neurodecode.workflow.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from mne import BaseEpochs

    from neurodecode.workflow.bank import TargetBank

Vectors = Mapping[str, NDArray[np.float32]]
Signals = Union["BaseEpochs", NDArray[np.floating]]


@dataclass(frozen=True)
class Decoded:
    """What a network makes of some trials.

    Parameters
    ----------
    subject : str
        Whose trials.
    embeddings : mapping of str to ndarray of float32, shape (n_trials, *space.shape)
        By target, each in the target's own space; ``retrieval`` in a learned space, where the network has one.
    """

    subject: str
    embeddings: Vectors

    def __len__(self) -> int:
        """Give the number of trials."""
        return len(next(iter(self.embeddings.values())))

    def __getitem__(self, target: str) -> NDArray[np.float32]:
        """Give one target's embeddings."""
        if target not in self.embeddings:
            raise DataError(f"decoded: no target {target!r}, there are {', '.join(self.embeddings)}")
        return self.embeddings[target]


class Decoder:
    """A trained network, ready for recordings in memory.

    Parameters
    ----------
    task : DecodeTask
        Loaded from a checkpoint; `Decoder.load` does that.

    Examples
    --------
    With a checkpoint of ``neurodecode fit`` and epochs of the subject::

        decoder = Decoder.load("outputs/training")
        decoded = decoder.decode(epochs, "sub-01")
        table = decoder.rank(epochs, "sub-01", TargetBank.open(Path("outputs/targets")), names)
    """

    def __init__(self, task: DecodeTask) -> None:
        self.task = task

    @classmethod
    def load(cls, place: str | Path) -> "Decoder":
        """Load a checkpoint.

        Parameters
        ----------
        place : str or Path
            A checkpoint, or a run folder that holds one.

        Returns
        -------
        Decoder

        Raises
        ------
        DataError
            If there is none, several, or it cannot be read.
        """
        return cls(open_checkpoint(Path(place)))

    @property
    def subjects(self) -> list[str]:
        """List the subjects the network was trained for."""
        return list(self.task.interface["subjects"])

    @property
    def targets(self) -> list[str]:
        """List the targets it predicts."""
        return list(self.task.interface["targets"])

    def channels(self, subject: str) -> list[str]:
        """List a subject's channels in the order in which arrays must have them."""
        return list(self._expected(subject)["channels"])

    def decode(
        self,
        trials: Signals,
        subject: str,
        *,
        channels: Sequence[str] | None = None,
        sfreq: float | None = None,
        scaled: bool = False,
    ) -> Decoded:
        """Decode trials of one subject.

        Parameters
        ----------
        trials : mne.Epochs or ndarray of shape (n_trials, n_channels, n_times)
            Preprocessed as the study was. Of epochs, the channels are picked by name and the window by its times; the
            sampling rate must be that of the training. An array must have the channels in the order of training, and
            its unit.
        subject : str
            One of `subjects`.
        channels : sequence of str, optional
            Names of an array's channels, to have them checked; they are then put in order.
        sfreq : float, optional
            Sampling rate of an array in Hz, to have it checked.
        scaled : bool
            Say that the trials are scaled within their session as those of the training were, see
            `neurodecode.core.session_scaling`; needed where the study was prepared so.

        Returns
        -------
        Decoded
            Embeddings of every trial.

        Raises
        ------
        MismatchError
            If subject, channels, sampling rate, unit or window are not those of the training; it names both sides.
        """
        expected = self._expected(subject)
        kind = self.task.interface.get("session_scaling", ["none"])[0]
        if kind != "none" and not scaled:
            raise MismatchError(
                f"trials: the training's were scaled within their session ({kind}); scale these so and say scaled=True"
            )
        if isinstance(trials, np.ndarray):
            signals = trials
        else:
            self._check_unit(expected)
            channels, sfreq = list(trials.ch_names), float(trials.info["sfreq"])
            signals = trials.get_data(copy=True)
        _check_rate(sfreq, expected)
        if signals.ndim != 3:
            raise MismatchError(f"trials: got an array of shape {signals.shape}, expected (trials, channels, times)")
        if channels is not None:
            signals = signals[:, _order(channels, signals.shape[1], expected["channels"])]
        if not isinstance(trials, np.ndarray):
            signals = self._window(signals, float(trials.tmin), expected)
        wanted = (len(expected["channels"]), int(self.task.interface["n_times"]))
        if signals.shape[1:] != wanted:
            raise MismatchError(f"trials: got {signals.shape[1:]} channels and times, expected {wanted} of {subject}")
        return Decoded(subject, self.task.decode(subject, np.asarray(signals, dtype=np.float32)))

    def rank(
        self,
        trials: Signals,
        subject: str,
        candidates: "Vectors | TargetBank",
        names: Sequence[str],
        *,
        channels: Sequence[str] | None = None,
        sfreq: float | None = None,
        scaled: bool = False,
    ) -> pd.DataFrame:
        """Rank candidates for every trial by the mean over targets of the cosine with the decoded embedding.

        The rules of ``neurodecode retrieve``, which are fitted on validation data, score better; this needs nothing but
        the checkpoint.

        Parameters
        ----------
        trials, subject, channels, sfreq, scaled
            As in `decode`.
        candidates : mapping of str to ndarray of shape (n_candidates, dim), or TargetBank
            Embeddings of the candidates by target: some or all of `targets`. Of a bank, the rows of `names`.
        names : sequence of str
            The candidates.

        Returns
        -------
        pandas.DataFrame
            Columns ``trial``, ``rank`` (1 is best), ``candidate``, ``score``; one row for each trial and candidate.
        """
        from neurodecode.workflow.bank import TargetBank

        if len(names) < 2 or len(set(names)) != len(names):
            raise DataError(f"names: got {len(names)}, {len(set(names))} of them different, expected two or more")
        if isinstance(candidates, TargetBank):
            for target, space in candidates.spaces().items():
                if target in self.targets:
                    self._space(target).require(space, what=f"candidates: target {target!r}")
        rows = candidates.rows(names) if isinstance(candidates, TargetBank) else candidates
        common = [target for target in self.targets if target in rows]
        if not common:
            raise MismatchError(
                f"candidates: got the targets {', '.join(rows)}, expected some of {', '.join(self.targets)}"
            )
        decoded = self.decode(trials, subject, channels=channels, sfreq=sfreq, scaled=scaled)
        scores = np.mean([_cosines(decoded[target], rows[target], len(names), target) for target in common], axis=0)
        order = np.argsort(-scores, axis=1, kind="stable")
        n_trials, n_candidates = scores.shape
        return pd.DataFrame(
            {
                "trial": np.repeat(np.arange(n_trials), n_candidates),
                "rank": np.tile(np.arange(1, n_candidates + 1), n_trials),
                "candidate": np.array(list(names), dtype=object)[order].ravel(),
                "score": np.take_along_axis(scores, order, axis=1).ravel(),
            }
        )

    def _space(self, target: str) -> Any:
        from neurodecode.core.targets import TargetSpace

        return TargetSpace.from_dict(self.task.interface["targets"][target]["space"])

    def _expected(self, subject: str) -> dict[str, Any]:
        known = self.task.interface["subjects"]
        if subject not in known:
            raise MismatchError(f"subject: got {subject!r}, expected one of {', '.join(known)}")
        expected: dict[str, Any] = known[subject]
        if "channels" not in expected:
            raise DataError("checkpoint: does not name its channels, expected one made by this version; train it again")
        return expected

    def _check_unit(self, expected: Mapping[str, Any]) -> None:
        # MNE holds volts, teslas and teslas per metre; other units were made by a study's own preprocessing.
        foreign = [unit for unit in str(expected["unit"]).split(", ") if unit not in ("V", "T", "T/m")]
        if foreign:
            raise MismatchError(
                f"trials: got epochs in SI units, but the network was trained on signals in {expected['unit']}; "
                "give an array in that unit"
            )

    def _window(self, signals: NDArray[Any], tmin: float, expected: Mapping[str, Any]) -> NDArray[Any]:
        n_times = int(self.task.interface["n_times"])
        first = (expected["tmin"] - tmin) * expected["sfreq"]
        start = round(first)
        if abs(first - start) > 0.01 or start < 0 or start + n_times > signals.shape[2]:
            last = [begin + (count - 1) / expected["sfreq"]
                    for begin, count in ((tmin, signals.shape[2]), (expected["tmin"], n_times))]  # fmt: skip
            raise MismatchError(
                f"trials: epochs go from {tmin:g} to {last[0]:g} s, "
                f"expected samples from {expected['tmin']:g} to {last[1]:g} s"
            )
        return signals[:, :, start : start + n_times]


def _check_rate(sfreq: float | None, expected: Mapping[str, Any]) -> None:
    if sfreq is not None and not np.isclose(sfreq, expected["sfreq"], rtol=1e-6):
        raise MismatchError(f"trials: got a sampling rate of {sfreq:g} Hz, expected {expected['sfreq']:g} Hz")


def _order(channels: Sequence[str], count: int, expected: Sequence[str]) -> NDArray[np.int64]:
    """Give the position of each expected channel among the channels there are."""
    if len(channels) != count:
        raise MismatchError(f"channels: got {len(channels)} names, expected {count} as the trials have")
    place = {name: position for position, name in enumerate(channels)}
    missing = [name for name in expected if name not in place]
    if missing:
        raise MismatchError(
            f"channels: got {len(channels)} ({', '.join(list(channels)[:4])}, ...) without {missing[0]!r}, "
            f"expected the {len(expected)} of the training ({', '.join(list(expected)[:4])}, ...)"
        )
    return np.array([place[name] for name in expected], dtype=np.int64)


def _cosines(
    decoded: NDArray[np.float32], candidates: NDArray[np.float32], count: int, target: str
) -> NDArray[np.float64]:
    made = np.asarray(decoded, dtype=np.float64).reshape(len(decoded), -1)
    known = np.asarray(candidates, dtype=np.float64).reshape(len(candidates), -1)
    if known.shape != (count, made.shape[1]):
        raise MismatchError(f"candidates: {target!r} has shape {known.shape}, expected {(count, made.shape[1])}")
    lengths = [np.linalg.norm(values, axis=1, keepdims=True) for values in (made, known)]
    units = [values / np.where(size > 0, size, 1.0) for values, size in zip((made, known), lengths, strict=True)]
    return np.asarray(units[0] @ units[1].T)
