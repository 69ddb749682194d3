"""The data module: a prepared study, its targets and a fold, as batches grouped by subject."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.split import Part
from neurodecode.training.batches import Batch
from neurodecode.training.fold_subjects import (
    describe_subjects,
    draw_windows,
    items_of_fold,
    shown_stimuli,
    wanted_subjects,
)
from neurodecode.training.fold_targets import FoldTargets, check_form, open_targets
from neurodecode.training.items import Averaging, Items, check_averaging
from neurodecode.training.loading import ItemDataset, load_batches
from neurodecode.training.preparation import Preparation, build_transforms
from neurodecode.training.target_reading import StoredTargets
from neurodecode.training.target_reduction import TargetForm

PARTS: tuple[Part, ...] = ("train", "val", "test")
DEFAULT_TRANSFORMS: tuple[dict[str, Any], ...] = ({"name": "standardize"},)


class BrainDataModule(LightningDataModule):
    """Batches of averaged windows of one fold of a prepared study.

    Signals are read from memory maps as they are needed. Whatever is fitted (transforms of the signals, principal
    components of the targets) is fitted on the training windows of the fold, and the task saves it in its checkpoints.

    Parameters
    ----------
    study : str
        Folder of a prepared study.
    targets : dict of str to str
        Folder of targets for every head, such as ``{"blocks.2": ".../targets/blocks.2"}``.
    fold : int
        Fold of the study's split.
    subjects : list of str or None
        Who is trained together; None takes all subjects of the study.
    average_training, average_evaluation : int or str
        How many repetitions are averaged into a row: a number, drawn anew in every epoch, ``all``, or ``random``, a
        random number of them. Training visits every stimulus of every subject once an epoch.
    batch_size : int
        Most rows in a batch of one process, of all subjects together.
    transforms : list of dict
        Transforms of the signals, fitted for every subject; see
        :func:`neurodecode.training.preparation.build_transforms`.
    components : int, dict of str to int, or None
        Principal components kept of every target (None: all).
    target_whitening : float
        See :meth:`neurodecode.training.target_reduction.TargetReduction.fit`.
    target_form : str
        ``components``: principal components of the flattened target; ``raw``: the target in its own shape, so that
        tokens and time series keep it; ``scaled``: the same with one centre and one scale for all numbers. See
        :mod:`neurodecode.training.target_reduction`.
    training_targets : dict of str to str or None
        Folders of targets of degraded stimuli (blurred ones, say) that take the place of ``targets`` in training.
        Validation and test always use ``targets``.
    sequence : str or None
        Column of the window table that names sequences, such as ``sentence``: every window is then a row of its own,
        batches hold whole sequences, and an encoder with a context sees them together.
    fitting_windows : int
        Most training windows of a subject that transforms are fitted on; whole stimuli are drawn beyond that.
    predict_part : str
        Part of the fold that ``predict`` goes through: ``train``, ``val`` or ``test``.
    num_workers : int
        Processes that read ahead.
    seed : int
        Seed of all draws.

    Raises
    ------
    ConfigError, DataError
        If an argument cannot be used or a folder is not what it should be; found out when the module is built.
    """

    #: Whether nothing can be trained without targets.
    needs_targets = True

    def __init__(
        self,
        study: str,
        targets: dict[str, str],
        fold: int = 0,
        subjects: list[str] | None = None,
        average_training: int | Literal["all", "random"] = "all",
        average_evaluation: int | Literal["all"] = "all",
        batch_size: int = 256,
        transforms: list[dict[str, Any]] | None = None,
        components: int | dict[str, int] | None = None,
        target_whitening: float = 0.0,
        target_form: TargetForm = "components",
        training_targets: dict[str, str] | None = None,
        sequence: str | None = None,
        fitting_windows: int = 20000,
        predict_part: Literal["train", "val", "test"] = "test",
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_averaging("average_training", average_training)
        check_averaging("average_evaluation", average_evaluation)
        if batch_size < 1:
            raise ConfigError(f"batch_size: got {batch_size}, expected at least 1")
        if self.needs_targets and not targets:
            raise ConfigError("targets: got none, expected at least one folder of targets")
        self.study = PreparedStudy(Path(study))
        self.split = self.study.split
        if not 0 <= fold < self.split.n_folds:
            raise ConfigError(f"fold: got {fold}, expected 0 to {self.split.n_folds - 1}")
        self.fold = fold
        self.subjects = wanted_subjects(self.study, subjects)
        self.average_training: Averaging = average_training
        self.average_evaluation: Averaging = average_evaluation
        self.batch_size = batch_size
        self.transforms = list(DEFAULT_TRANSFORMS) if transforms is None else list(transforms)
        self.components = components
        self.target_whitening = target_whitening
        self.target_form: TargetForm = target_form
        check_form(target_form, components, target_whitening)
        self.sequence = sequence
        self.fitting_windows = fitting_windows
        self.predict_part: Part = predict_part
        self.num_workers = num_workers
        self.seed = seed
        self.targets, self.training_targets = open_targets(targets, training_targets)
        self._items: dict[Part, Items] = {part: self._list_items(part) for part in PARTS}
        self.candidates = sorted({str(name) for items in self._items.values() for name in items.table["candidate"]})
        self._fold_targets = self._open_fold_targets()
        self.preparation = Preparation(self._describe())
        self._fitted = False
        self._reduced: dict[bool, dict[str, torch.Tensor | StoredTargets]] = {}

    @property
    def interface(self) -> dict[str, Any]:
        """Subjects with their channels, time points, targets with their spaces, split and fold, in plain values."""
        return self.preparation.interface

    def items(self, part: Part) -> Items:
        """Return the table of items of a part, to which ``Batch.items`` points, and their windows."""
        return self._items[part]

    def _list_items(self, part: Part) -> Items:
        return items_of_fold(self.study, self.subjects, part, fold=self.fold, sequence=self.sequence)

    def _open_fold_targets(self) -> FoldTargets:
        _, trained = self.gallery("train")
        if len(trained) < 2:
            raise DataError(f"{self.study.name}: fold {self.fold} trains on {len(trained)} candidates, expected two")
        first = self.study.recording(self.subjects[0])
        return FoldTargets(
            self.targets,
            self.training_targets,
            self.candidates,
            shown_stimuli(self._items.values()),
            trained,
            self.study.stimuli.table,
            first.n_times / first.sensors.sfreq if first.sensors.sfreq else 0.0,
            form=self.target_form,
            components=self.components,
            whitening=self.target_whitening,
            seed=self.seed,
        )

    def _describe(self) -> dict[str, Any]:
        subjects, n_times = describe_subjects(self.study, self.subjects, self.transforms)
        return {
            "study": self.study.name,
            "modality": self.study.info["modality"],
            "simulated": self.study.simulated,
            "subjects": subjects,
            "n_times": n_times,
            "targets": self._fold_targets.describe(),
            "split": self.split.hash,
            "fold": self.fold,
            "transforms": self.transforms,
            "session_scaling": list(self.study.session_scaling),
        }

    def training_windows(self, subject: str) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
        """Read a subject's training windows, one by one, as they are before any transform.

        Returns
        -------
        signals : ndarray of float32, shape (n_windows, n_channels, n_times)
            At most ``fitting_windows``, whole items.
        names : ndarray of str, shape (n_windows,)
            What each window is a repetition of.
        """
        items = self._items["train"]
        mine = np.flatnonzero((items.table["subject"] == subject).to_numpy())
        if not len(mine):
            raise DataError(
                f"{self.study.name}: {subject} has no training windows in fold {self.fold}, expected at least one; "
                "leave the subject out with --data.subjects"
            )
        rows, names = draw_windows(items, mine, self.fitting_windows, np.random.default_rng([self.seed, 1]))
        return self.study.recording(subject, fold=self.fold).read(rows), names

    def prepare_fold(self) -> Preparation:
        """Fit transforms and reductions on the training windows of the fold; done once.

        Returns
        -------
        Preparation
            The fitted state.
        """
        if not self._fitted:
            for subject in self.subjects:
                chain = build_transforms(self.transforms, self.study.recording(subject).sensors)
                self.preparation.transforms[subject] = chain.fit(*self.training_windows(subject))
            for name in self.targets:
                self.preparation.reductions[name] = self._fold_targets.fit(name)
            self._fitted = True
        return self.preparation

    def use(self, preparation: Preparation) -> None:
        """Take a fitted state from a checkpoint instead of fitting one."""
        self.preparation = preparation
        self._reduced = {}
        self._fitted = True

    def embeddings(self, name: str) -> NDArray[np.float32]:
        """Read one target of every candidate, flattened, shape (n_candidates, dim)."""
        return self._fold_targets.embeddings(name)

    def reduced_targets(self, *, training: bool = False) -> dict[str, torch.Tensor | StoredTargets]:
        """Return every target of every candidate, as the encoder predicts it, shape (n_candidates, *size).

        Tokens and time series in their own shape are read when they are indexed; all else is in memory.

        Parameters
        ----------
        training : bool
            Whether it is for training, where ``training_targets`` take the place of ``targets``.
        """
        training = training and bool(self.training_targets)
        if training not in self._reduced:
            reductions, sizes = self.prepare_fold().reductions, self.interface["targets"]
            self._reduced[training] = self._fold_targets.reduced(reductions, sizes, training=training)
        return self._reduced[training]

    def gallery(self, part: Part) -> tuple[list[str], NDArray[np.int64]]:
        """Return the candidates that a part shows, each once, and their rows in :meth:`reduced_targets`."""
        shown = set(self._items[part].table["candidate"].astype(str))
        rows = np.array([row for row, name in enumerate(self.candidates) if name in shown], dtype=np.int64)
        return [self.candidates[row] for row in rows], rows

    def setup(self, stage: str) -> None:
        """Fit what is to be fitted; evaluation takes it from the checkpoint."""
        if stage == "fit":
            self.prepare_fold()

    def dataset(self, part: Part, averaging: Averaging) -> ItemDataset:
        """Return the data set of a part of the fold."""
        if not self._fitted:
            raise ConfigError("ckpt_path: got none, expected a checkpoint: nothing was fitted for this evaluation")
        return ItemDataset(
            self.study,
            self._items[part],
            self.preparation,
            self.reduced_targets(training=part == "train"),
            self.candidates,
            averaging,
            fold=self.fold,
        )

    def _loader(self, part: Part, averaging: Averaging, *, shuffle: bool) -> "DataLoader[Batch]":
        dataset = self.dataset(part, averaging)
        if not len(dataset):
            raise DataError(f"{self.study.name}: fold {self.fold} has no windows to {part}")
        return load_batches(
            dataset, self.batch_size, shuffle=shuffle, seed=self.seed, share=part == "train", workers=self.num_workers
        )

    def train_dataloader(self) -> "DataLoader[Batch]":
        """Return the shuffled batches of the training part."""
        return self._loader("train", self.average_training, shuffle=True)

    def val_dataloader(self) -> "DataLoader[Batch]":
        """Return the batches of the validation part."""
        return self._loader("val", self.average_evaluation, shuffle=False)

    def test_dataloader(self) -> "DataLoader[Batch]":
        """Return the batches of the test part."""
        return self._loader("test", self.average_evaluation, shuffle=False)

    def predict_dataloader(self) -> "DataLoader[Batch]":
        """Return the batches of the part named by ``predict_part``."""
        return self._loader(self.predict_part, self.average_evaluation, shuffle=False)
