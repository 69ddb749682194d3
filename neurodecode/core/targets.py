"""Embeddings of stimuli on disk: sharded, resumable, keyed by stimulus and by the space they live in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.files import atomic_path, fingerprint, open_array, read_json, read_table, write_json, write_table

TargetKind = Literal["vector", "tokens", "series"]
SHARD_BYTES = 128 * 2**20  # a shard is written once it is as large: it is held twice while it is


@dataclass(frozen=True)
class TargetSpace:
    """What makes two embeddings comparable.

    Parameters
    ----------
    model : str
        Name of the frozen network.
    weights : str
        SHA-256 of its weights.
    layer : str
        Layer taken.
    pooling : str
        How positions were pooled.
    preprocessing : str
        Fingerprint or short text of the input transform.
    normalised : bool
        Whether vectors have unit norm.
    kind : str
        ``vector`` ``(dim,)``, ``tokens`` ``(n_tokens, dim)`` or ``series`` ``(n_frames, dim)`` at `rate`.
    shape : tuple of int
        Shape of one embedding; for a series, of one frame.
    rate : float, optional
        Frames per second of a series.

    Examples
    --------
    >>> space = TargetSpace("net", "00", "last", "mean", "224", False, "vector", (8,))
    >>> space == TargetSpace.from_dict(space.to_dict())
    True
    """

    model: str
    weights: str
    layer: str
    pooling: str
    preprocessing: str
    normalised: bool
    kind: TargetKind
    shape: tuple[int, ...]
    rate: float | None = None

    def __post_init__(self) -> None:
        expected = {"vector": 1, "tokens": 2, "series": 1}
        if self.kind not in expected:
            raise DataError(f"target space: kind {self.kind!r} is not one of {', '.join(expected)}")
        if len(self.shape) != expected[self.kind]:
            raise DataError(f"target space {self.label}: shape {self.shape} does not fit kind {self.kind!r}")
        if (self.kind == "series") != (self.rate is not None):
            raise DataError(f"target space {self.label}: a rate is for series and only for them")

    @property
    def label(self) -> str:
        """Give the short name used in messages and tables."""
        return f"{self.model}/{self.layer}/{self.pooling}"

    @property
    def digest(self) -> str:
        """Compute the fingerprint of everything above."""
        return fingerprint(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        values = asdict(self)
        values["shape"] = list(self.shape)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TargetSpace":
        """Build from what `to_dict` gave."""
        try:
            return cls(**{**values, "shape": tuple(int(size) for size in values["shape"])})
        except (KeyError, TypeError) as error:
            raise DataError(f"target space: {error}") from None

    def require(self, other: "TargetSpace", *, what: str) -> None:
        """Raise a MismatchError that names both sides unless `other` is this space."""
        if self == other:
            return
        differing = [name for name, value in self.to_dict().items() if other.to_dict()[name] != value]
        raise MismatchError(
            f"{what}: expects the target space {self.label} {self.shape} but got {other.label} {other.shape}; "
            f"they differ in {', '.join(differing)}"
        )


class TargetWriter:
    """Write embeddings shard by shard, so that an interrupted extraction goes on where it stopped.

    Parameters
    ----------
    folder : Path
        Where shards, index and space are written.
    space : TargetSpace
        The space. Resuming in a folder of another space is a MismatchError.
    shard_size : int
        Stimuli per shard at most; fewer where they would take more than 128 MiB.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "net"
    >>> writer = TargetWriter(folder, TargetSpace("net", "00", "last", "mean", "224", False, "vector", (2,)))
    >>> writer.add("a", np.ones(2, dtype=np.float32))
    >>> targets = writer.close()
    >>> targets.get(["a"]).shape
    (1, 2)
    """

    def __init__(self, folder: Path, space: TargetSpace, *, shard_size: int = 512) -> None:
        self.folder = folder
        self.space = space
        self.shard_size = shard_size
        self._pending: list[tuple[str, NDArray[np.float32]]] = []
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "space.json").exists():
            space.require(TargetSpace.from_dict(read_json(folder / "space.json")), what=str(folder))
        else:
            write_json(folder / "space.json", space.to_dict())
        self._index = _read_index(folder) if (folder / "index.csv").exists() else _empty_index()
        #: Stimuli that need no second extraction.
        self.done: set[str] = set(self._index["stimulus"])

    def add(self, stimulus: str, embedding: NDArray[np.float32]) -> None:
        """Take one embedding: the space's shape, for a series with a leading axis of frames."""
        expected = self.space.shape
        shape = embedding.shape[1:] if self.space.kind == "series" else embedding.shape
        if shape != expected:
            raise DataError(
                f"target of {stimulus!r}: shape {embedding.shape}, expected {expected} in {self.space.label}"
            )
        if not np.isfinite(embedding).all():
            raise DataError(f"target of {stimulus!r}: not finite in {self.space.label}")
        if stimulus in self.done:
            raise DataError(f"target of {stimulus!r}: added twice")
        self._pending.append((stimulus, np.asarray(embedding, dtype=np.float32)))
        self.done.add(stimulus)
        if len(self._pending) >= self.shard_size or sum(array.nbytes for _, array in self._pending) >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a shard, then name it in the index: in this order, so that the index never lies."""
        if not self._pending:
            return
        shard = 0 if self._index.empty else int(self._index["shard"].max()) + 1
        arrays = [array if self.space.kind == "series" else array[None] for _, array in self._pending]
        lengths = [len(array) for array in arrays]
        with atomic_path(self.folder / f"shard-{shard:05d}.npy") as temporary:
            np.save(temporary, np.concatenate(arrays), allow_pickle=False)
        rows = pd.DataFrame(
            {
                "stimulus": [name for name, _ in self._pending],
                "shard": shard,
                "start": np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(int),
                "length": lengths,
            }
        )
        self._index = pd.concat([self._index, rows], ignore_index=True)
        write_table(self.folder / "index.csv", self._index)
        self._pending = []

    def close(self) -> "Targets":
        """Write the last shard, mark the folder whole and open it."""
        self.flush()
        write_json(self.folder / "complete.json", {"n_stimuli": len(self._index), "digest": self.space.digest})
        return Targets.open(self.folder)


def _empty_index() -> pd.DataFrame:
    return pd.DataFrame({"stimulus": pd.Series(dtype=str), "shard": [], "start": [], "length": []}).astype(
        {"shard": int, "start": int, "length": int}
    )


def _read_index(folder: Path) -> pd.DataFrame:
    return read_table(folder / "index.csv", required=("stimulus", "shard", "start", "length"), text=("stimulus",))


class Targets:
    """Embeddings of a set of stimuli in one space, memory-mapped.

    Parameters
    ----------
    space : TargetSpace
        The space.
    index : pandas.DataFrame
        Columns `stimulus, shard, start, length`.
    shards : dict of int to ndarray
        Arrays that the index points into.
    """

    def __init__(self, space: TargetSpace, index: pd.DataFrame, shards: dict[int, NDArray[np.float32]]) -> None:
        self.space = space
        self.index = index
        self._shards = shards
        self._where = {
            str(row.stimulus): (int(row.shard), int(row.start), int(row.length))  # type: ignore[arg-type]
            for row in index.itertuples()
        }

    @classmethod
    def open(cls, folder: Path) -> "Targets":
        """Open a whole folder, or raise a DataError if it is missing, unfinished or cut."""
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of targets; make it with `neurodecode embed`")
        if not (folder / "complete.json").exists():
            raise DataError(f"{folder}: the extraction of targets was not finished; run `neurodecode embed` again")
        space = TargetSpace.from_dict(read_json(folder / "space.json"))
        index = _read_index(folder)
        shards = {int(shard): open_array(folder / f"shard-{int(shard):05d}.npy") for shard in index["shard"].unique()}
        for shard, rows in index.groupby("shard"):
            array = shards[int(str(shard))]
            expected = (int((rows["start"] + rows["length"]).max()), *space.shape)
            if array.shape != expected:
                raise DataError(f"{folder}: shard {shard} has shape {array.shape}, the index expects {expected}")
        return cls(space, index, shards)

    @classmethod
    def from_arrays(cls, space: TargetSpace, stimuli: Sequence[str], embeddings: NDArray[np.float32]) -> "Targets":
        """Hold vectors or tokens of `stimuli`, ``(n_stimuli, *space.shape)``, in memory."""
        if embeddings.shape != (len(stimuli), *space.shape):
            raise DataError(f"targets: shape {embeddings.shape}, expected {(len(stimuli), *space.shape)}")
        index = pd.DataFrame({"stimulus": list(stimuli), "shard": 0, "start": np.arange(len(stimuli)), "length": 1})
        return cls(space, index, {0: np.asarray(embeddings, dtype=np.float32)})

    @property
    def stimuli(self) -> list[str]:
        """List the stimuli, in the order of extraction."""
        return list(self._where)

    def __contains__(self, stimulus: object) -> bool:
        """Tell whether a stimulus has an embedding."""
        return stimulus in self._where

    def _locate(self, stimulus: str) -> tuple[int, int, int]:
        if stimulus not in self._where:
            raise DataError(f"stimulus {stimulus!r} has no target in {self.space.label} ({len(self._where)} stimuli)")
        return self._where[stimulus]

    def get(self, stimuli: Sequence[str]) -> NDArray[np.float32]:
        """Read embeddings of vectors or tokens.

        Parameters
        ----------
        stimuli : sequence of str
            Identifiers, repeats allowed.

        Returns
        -------
        ndarray of float32, shape (n_stimuli, *space.shape)
            A copy.
        """
        if self.space.kind == "series":
            raise DataError(f"targets of {self.space.label} are time series: read them with `slice`")
        output = np.empty((len(stimuli), *self.space.shape), dtype=np.float32)
        for row, stimulus in enumerate(stimuli):
            shard, start, _ = self._locate(stimulus)
            output[row] = self._shards[shard][start]
        return output

    def slice(self, stimulus: str, onset: float, duration: float) -> NDArray[np.float32]:
        """Read the frames of a series from `onset` for `duration`, both in seconds.

        Returns
        -------
        ndarray of float32, shape (round(duration * rate), dim)
            A copy; a DataError if the series is shorter.
        """
        if self.space.kind != "series" or self.space.rate is None:
            raise DataError(f"targets of {self.space.label} are no time series: read them with `get`")
        shard, start, length = self._locate(stimulus)
        first, count = round(onset * self.space.rate), round(duration * self.space.rate)
        if first < 0 or first + count > length:
            raise DataError(
                f"target of {stimulus!r}: {onset:g} s + {duration:g} s is outside its {length / self.space.rate:g} s"
            )
        return np.array(self._shards[shard][start + first : start + first + count], dtype=np.float32)
