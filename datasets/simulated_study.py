"""What the three built-in simulated studies share: people who never were looking at OpenMoji drawings."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.split import Split, published_split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Modality, StudyInfo
from neurodecode.datasets import openmoji
from neurodecode.datasets.bids import BidsStudy
from neurodecode.datasets.preprocessing import Preprocessing

COLUMNS = ["stimulus", "kind", "path", "concept", "text", "name"]


def simulated_info(modality: Modality, *, description: str, size: str) -> StudyInfo:
    """Fill in what is the same for EEG, MEG and fMRI.

    Parameters
    ----------
    modality : str
        ``eeg``, ``meg`` or ``fmri``.
    description : str
        One sentence.
    size : str
        How big the folder is.

    Returns
    -------
    StudyInfo
        With `simulated` set.
    """
    return StudyInfo(
        name=f"openmoji_{modality}",
        modality=modality,
        kind="image",
        description=description,
        citation="simulated by neurodecode; pictures: OpenMoji, https://openmoji.org",
        licence="pictures CC BY-SA 4.0; signals made by the program",
        where=f"made by the program itself: neurodecode simulate --modality {modality}, or neurodecode quickstart",
        size=size,
        simulated=True,
    )


class SimulatedStudy(BidsStudy):
    """A simulated study, read from its BIDS folder by the reader that serves real data.

    The signals have no drift or hum that would have to be removed, so they are only resampled, and EEG gets an average
    reference; the ceilings are computed with the same functions. The split is the committed list of concepts, the same
    for all seeds and modalities.

    Parameters
    ----------
    root : Path
        The folder that `neurodecode simulate` wrote.
    """

    needed = ("dataset_description.json", "derivatives/simulation/simulation.json")
    window = (0.0, 0.8)
    preprocessing = Preprocessing()

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the study's folder under a data root; a simulation of another modality is not taken for it."""
        found = super().find(data_root)
        folder = {"eeg": "eeg", "meg": "meg", "fmri": "func"}[cls.info.modality]
        return found if found is not None and any(found.glob(f"sub-*/{folder}")) else None

    def stimuli(self) -> Stimuli:
        """List the study's drawings that this folder has."""
        folder = self.root / "stimuli"
        table = openmoji.stimuli().assign(path=lambda rows: rows["stimulus"] + ".png")
        there = {path.name for path in folder.glob("*.png")}
        table = table[table["path"].isin(there)].reset_index(drop=True)
        if table.empty:
            raise DataError(f"{folder}: none of the study's pictures is there")
        return Stimuli(table[COLUMNS], folder)

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Follow the committed list of concepts; events tables that say otherwise are refused."""
        table = openmoji.stimuli()
        concepts = dict(zip(table["stimulus"], table["concept"], strict=True))
        sides = dict(zip(table["stimulus"], table["split"], strict=True))
        with_concepts = {}
        for subject, rows in windows.items():
            wrong = rows[rows["split"] != rows["stimulus"].map(sides)]
            if not wrong.empty:
                first = wrong.iloc[0]
                expected = sides.get(first["stimulus"], "no part")
                name, got = first["stimulus"], first["split"]
                raise DataError(f"{self.root}: {subject} has {name!r} in {got!r}, the study's list in {expected!r}")
            with_concepts[subject] = rows.assign(concept=rows["stimulus"].map(concepts))
        parts = dict(zip(table["concept"], table["split"], strict=True))
        rule = f"the committed list {openmoji.TABLE_FILE}: no concept is on two sides"
        return published_split(with_concepts, parts, column="concept", unit="concept", rule=rule)
