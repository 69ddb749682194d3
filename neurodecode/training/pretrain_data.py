"""Windows for pretraining on the brain alone: those of the training part, and those that show nothing."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import DataError
from neurodecode.core.recording import Recording
from neurodecode.core.split import Part, Split
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.items import Items, join_items

Rows = NDArray[np.int64]


def resting_rows(recording: Recording, split: Split, *, fold: int) -> Rows:
    """List the windows without a stimulus that share no sample with a validation or test window.

    Parameters
    ----------
    recording : Recording
        Of one subject.
    split : Split
        Of the study; windows it has in a part of the fold are not listed.
    fold : int
        Which fold.

    Returns
    -------
    ndarray of int
        Positions in the window table.
    """
    windows = recording.windows
    shown = windows["stimulus"].fillna("").astype(str).to_numpy() != ""
    free = ~shown
    held = np.zeros(len(windows), dtype=bool)
    for part in ("train", "val", "test"):
        rows = split.rows(recording.subject, part, fold=fold)
        free[rows] = False
        held[rows] |= part != "train"
    start, length = (windows[column].to_numpy(dtype=np.int64) for column in ("start", "length"))
    block = windows["block"].astype(str).to_numpy()
    for name in np.unique(block[free]):
        # Epochs are numbered, and different ones share no sample; windows of a run may.
        if recording.blocks[str(name)].epoched:
            continue
        others = np.flatnonzero(held & (block == name))
        for row in np.flatnonzero(free & (block == name)):
            before_end = start[others] < start[row] + length[row]
            free[row] = not (before_end & (start[row] < start[others] + length[others])).any()
    return np.flatnonzero(free).astype(np.int64)


class PretrainDataModule(BrainDataModule):
    """Single windows of a prepared study, without targets.

    Training goes through the training windows of the fold and all windows that show nothing, such as rest, as far as
    they share no sample with a validation or test window. Validation and test keep their own windows.

    Parameters
    ----------
    study, fold, subjects, batch_size, transforms, fitting_windows, num_workers, seed
        See :class:`neurodecode.training.data_module.BrainDataModule`.
    targets, components : dict or int, optional
        What the file of a study says of targets; not looked at.
    predict_part : str
        See there.

    Raises
    ------
    ConfigError, DataError
        If an argument cannot be used or a folder is not what it should be.
    """

    needs_targets = False

    def __init__(
        self,
        study: str,
        targets: dict[str, str] | None = None,
        fold: int = 0,
        subjects: list[str] | None = None,
        batch_size: int = 64,
        transforms: list[dict[str, Any]] | None = None,
        components: int | dict[str, int] | None = None,
        fitting_windows: int = 20000,
        predict_part: Literal["train", "val", "test"] = "test",
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            str(Path(study)),
            {},
            fold=fold,
            subjects=subjects,
            average_training=1,
            average_evaluation=1,
            batch_size=batch_size,
            transforms=transforms,
            fitting_windows=fitting_windows,
            predict_part=predict_part,
            num_workers=num_workers,
            seed=seed,
        )

    def _list_items(self, part: Part) -> Items:
        return join_items([self._items_of(subject, part) for subject in self.subjects])

    def _items_of(self, subject: str, part: Part) -> Items:
        recording = self.study.recording(subject)
        rows = self.split.rows(subject, part, fold=self.fold)
        if part == "train":
            rows = np.union1d(rows, resting_rows(recording, self.split, fold=self.fold)).astype(np.int64)
        if part == "train" and not len(rows):
            raise DataError(f"{self.study.name}: {subject} has no windows to train on in fold {self.fold}")
        names = [f"{subject} window {row}" for row in rows]
        stimuli = recording.windows["stimulus"].fillna("").astype(str).to_numpy()[rows]
        same = {"item": names, "candidate": names, "unit": names}
        table = pd.DataFrame({"subject": subject, **same, "stimulus": stimuli, "repetitions": 1})
        return Items(table, [np.array([row]) for row in rows])
