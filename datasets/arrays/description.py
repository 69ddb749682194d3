"""What the few lines of YAML beside somebody's arrays say."""

from collections.abc import Mapping
from dataclasses import dataclass

from neurodecode.datasets.preprocessing import Preprocessing

DIMENSIONS = ("trial", "channel", "time")
# A voxel, a vertex or a parcel is a channel.
SYNONYMS = {"voxel": "channel", "vertex": "channel", "parcel": "channel", "sensor": "channel", "epoch": "trial"}
# What is known of a trial: a column of its table, or a file of its own.
COLUMNS = ("stimulus", "subject", "session", "run", "repetition", "onset", "concept", "text")
PARTS = ("train", "val", "test")
SPLIT_UNITS = ("stimulus", "concept", "text", "run", "session", "subject", "cluster")


@dataclass(frozen=True)
class Source:
    """An array or a list in a file.

    Parameters
    ----------
    file : str
        Relative to the data folder; may hold ``{subject}``, ``{session}`` and ``{run}``.
    key : str
        Which array of a ``.npz``, ``.mat`` or ``.h5`` file, or which column of a ``.csv`` file.
    """

    file: str
    key: str = ""


@dataclass(frozen=True)
class FeatureSource:
    """Ready vectors of the stimuli.

    Parameters
    ----------
    file, key : str
        The array ``(n_stimuli, n_numbers)``.
    names : Source, optional
        The stimulus of each row. Without it the file has an array or a column `stimulus`, or the rows are numbered.
    first : int
        Number of the first row, where rows are numbered.
    """

    file: str
    key: str = ""
    names: Source | None = None
    first: int = 0


@dataclass(frozen=True)
class ListedSplit:
    """A split that comes with the data.

    Parameters
    ----------
    unit : str
        What must be on one side only.
    column : str
        Column of the trials that says train, val or test; or
    train, val, test : tuple of str or Source, optional
        Lists of units. What no list names trains, unless there is a list for training.
    """

    unit: str = "stimulus"
    column: str = ""
    train: tuple[str, ...] | Source | None = None
    val: tuple[str, ...] | Source | None = None
    test: tuple[str, ...] | Source | None = None


@dataclass(frozen=True)
class Description:
    """What a stranger says of his or her arrays; see the page on your own data for every key.

    A column is named by a string, or comes from a file of its own (a `Source`).
    """

    modality: str
    signals: Source
    order: tuple[str, ...]
    stimulus: str | Source
    name: str = ""
    citation: str = ""
    licence: str = ""
    kind: str = ""
    trials: str = ""
    subject: str | Source | None = None
    session: str | Source | None = None
    run: str | Source | None = None
    repetition: str | Source | None = None
    onset: str | Source | None = None
    concept: str | Source | None = None
    text: str | Source | None = None
    sfreq: float | None = None
    tmin: float = 0.0
    baseline: tuple[float, float] | None = None
    window: tuple[float, float] | None = None
    preprocessing: Preprocessing | None = None
    channels: tuple[str, ...] | Source | None = None
    channel_kind: str = ""
    unit: str = "a.u."
    pictures: str = ""
    features: Mapping[str, FeatureSource] | None = None
    split: str | ListedSplit = "stimulus"
    averaging: str = "stimulus"

    @property
    def continuous(self) -> bool:
        """Tell whether the signals are whole recordings, out of which windows are cut at the onsets."""
        return "trial" not in self.order
