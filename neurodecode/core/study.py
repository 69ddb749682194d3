"""What a study must offer, so that every command can read it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError
from neurodecode.core.feature_table import FeatureTable
from neurodecode.core.recording import Recording
from neurodecode.core.split import Split
from neurodecode.core.stimuli import Stimuli

Modality = Literal["eeg", "meg", "fmri"]


@dataclass(frozen=True)
class StudyInfo:
    """What is known of a study before a file of it is opened.

    Parameters
    ----------
    name : str
        Name on the command line.
    modality : str
        ``eeg``, ``meg`` or ``fmri``.
    kind : str
        What the stimuli are, as in the table of stimuli: ``image``, ``speech`` or ``word`` (where pictures were shown
        but only their category is known, the stimuli are the category's name).
    description : str
        One sentence.
    citation : str
        Author, year, DOI.
    licence : str
        Of the data.
    where : str
        Where to get it.
    size : str
        How big it is on disk.
    simulated : bool
        Whether a simulator made it.
    expected : mapping of str to int
        Counts that the reader checks, such as ``subjects`` and ``stimuli``.
    averaging : str
        What one item of a score is: ``stimulus`` (repetitions of a stimulus are averaged) or a column of the window
        table, such as ``block_of_trials`` where category blocks are the items.
    candidates : str
        What is ranked: ``stimulus`` or ``concept`` (where many stimuli share one candidate, such as a category).
    """

    name: str
    modality: Modality
    kind: Literal["image", "speech", "word"]
    description: str
    citation: str
    licence: str
    where: str
    size: str
    simulated: bool
    expected: Mapping[str, int] = field(default_factory=dict)
    averaging: str = "stimulus"
    candidates: Literal["stimulus", "concept"] = "stimulus"


class Study(ABC):
    """A data set on disk, read as it lies there; one subclass a study, named author-year.

    Parameters
    ----------
    root : Path
        The study's own folder.

    Attributes
    ----------
    info : StudyInfo
        What is known of the study; a class attribute, except where one class reads many data sets.
    places : tuple of str
        Folders under a data root where the study may lie; the data root itself is tried last.
    needed : tuple of str
        Files in that folder by which it is recognised.
    own_splits : tuple of str
        Names of the splits that the study publishes; the first is what `split` makes.
    placed_by : str
        An option that, where it is given, takes the data root itself for the study's folder.
    """

    info: StudyInfo
    places: ClassVar[tuple[str, ...]] = ()
    needed: ClassVar[tuple[str, ...]] = ()
    own_splits: ClassVar[tuple[str, ...]] = ("published",)
    placed_by: ClassVar[str] = ""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the study's folder under a data root, or None if it is not there. Cheap: looks at names only."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if cls.needed and all((folder / name).is_file() for name in cls.needed):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the paths that `find` tries, for the message when nothing is found."""
        return [data_root / place / name for place in (*cls.places, ".") for name in cls.needed]

    @abstractmethod
    def subjects(self) -> list[str]:
        """List the subjects that are on disk."""

    @abstractmethod
    def stimuli(self) -> Stimuli:
        """Read the table of stimuli."""

    def sources(self) -> list[Path]:
        """List the files that the cache depends on; by default all in the study's folder."""
        return [path for path in sorted(self.root.rglob("*")) if path.is_file()]

    def feature_tables(self) -> dict[str, FeatureTable]:
        """Read the ready vectors of the stimuli that come with the data, by layer; most studies have none."""
        return {}

    @abstractmethod
    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject, with the preprocessing that sees no split, resampled to `sfreq` (Hz) where that applies.

        Large studies put their signals into `store` as they go, run by run or chunk by chunk; it may be left out.
        """

    def annotations(self, subject: str) -> dict[str, pd.DataFrame]:
        """Read what is known of a subject's recordings beside the windows, by name: ``words``, ``phonemes``.

        Each has the columns `run`, `block`, `onset` and `duration` (seconds of the block). Most studies have none.
        """
        return {}

    @abstractmethod
    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Make the study's own split over the window tables of its subjects."""

    def named_split(self, rule: str, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Make one of `own_splits` by its name; a study with more than one says how."""
        if rule != self.own_splits[0]:
            raise ConfigError(f"split: got {rule!r}, expected one of {', '.join(self.own_splits)}")
        return self.split(windows)

    @abstractmethod
    def steps(self) -> dict[str, Any]:
        """Describe the preprocessing in plain values; they are a part of the cache's fingerprint."""
