"""The data module: a prepared study, its targets and a fold, as batches grouped by subject."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.split import Part
from neurodecode.core.targets import Targets
from neurodecode.encoders.brain.layouts import SensorLayout
from neurodecode.training.batches import Batch
from neurodecode.training.items import (
    Averaging,
    Items,
    check_averaging,
    items_of_sequences,
    items_of_subject,
    join_items,
)
from neurodecode.training.loading import ItemDataset, RequestSampler, as_it_is
from neurodecode.training.preparation import (
    Preparation,
    build_transforms,
    transformed_sensors,
)
from neurodecode.training.target_reading import (
    SERIES_ONSET,
    StoredTargets,
    TargetReader,
    require_degraded,
    target_keys,
    target_shape,
)
from neurodecode.training.target_reduction import TargetForm, TargetReduction, TargetScaling, reduced_size

#: Most training stimuli that the centre and the scale of a target are taken from.
SCALING_STIMULI = 8000
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

    #: Whether there is nothing to train without targets.
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
        self.subjects = list(self.study.subjects if subjects is None else subjects)
        unknown = [subject for subject in self.subjects if subject not in self.study.subjects]
        if unknown or not self.subjects:
            got, known = unknown[0] if unknown else "none", self.study.subjects
            raise ConfigError(f"subjects: got {got}, expected some of {', '.join(known)}{suggestion(got, known)}")
        self.average_training: Averaging = average_training
        self.average_evaluation: Averaging = average_evaluation
        self.batch_size = batch_size
        self.transforms = list(DEFAULT_TRANSFORMS) if transforms is None else list(transforms)
        self.components = components
        self.target_whitening = target_whitening
        self.target_form: TargetForm = target_form
        if target_form != "components" and (components is not None or target_whitening):
            raise ConfigError(
                f"target_form: got {target_form} with components {components} and target_whitening "
                f"{target_whitening:g}, expected null and 0"
            )
        self.sequence = sequence
        self.fitting_windows = fitting_windows
        self.predict_part: Part = predict_part
        self.num_workers = num_workers
        self.seed = seed
        self.targets = {name: Targets.open(Path(folder)) for name, folder in targets.items()}
        self.training_targets = {}
        for name, folder in (training_targets or {}).items():
            if name not in self.targets:
                raise ConfigError(f"training_targets: got {name!r}, expected one of {', '.join(self.targets)}")
            self.training_targets[name] = Targets.open(Path(folder))
            require_degraded(name, self.targets[name].space, self.training_targets[name].space)
        self._items = {part: self._list_items(part) for part in ("train", "val", "test")}
        self.candidates = self._list_candidates()
        self._lookup = self._target_keys()
        self.preparation = Preparation(self._describe())
        self._fitted = False
        self._reduced: dict[bool, dict[str, torch.Tensor | StoredTargets]] = {}

    # -- what is known before anything is read ----------------------------------------------------------------

    @property
    def interface(self) -> dict[str, Any]:
        """Subjects with their channels, time points, targets with their spaces, split and fold, in plain values."""
        return self.preparation.interface

    def items(self, part: Part) -> Items:
        """Return the table of items of a part, to which ``Batch.items`` points, and their windows."""
        return self._items[part]

    def _list_items(self, part: str) -> Items:
        info = self.study.info
        concepts = None
        if info["candidates"] == "concept":
            table = self.study.stimuli.table
            concepts = dict(zip(table["stimulus"].astype(str), table["concept"].astype(str), strict=True))
        if self.sequence is not None:
            return join_items(
                [
                    items_of_sequences(
                        self.study.recording(subject).windows,
                        self.split,
                        subject,
                        part,  # type: ignore[arg-type]
                        fold=self.fold,
                        sequence=self.sequence,
                        candidates=concepts,
                    )
                    for subject in self.subjects
                ]
            )
        return join_items(
            [
                items_of_subject(
                    self.study.recording(subject).windows,
                    self.split,
                    subject,
                    part,  # type: ignore[arg-type]
                    fold=self.fold,
                    averaging=info["averaging"],
                    candidates=concepts,
                )
                for subject in self.subjects
            ]
        )

    def _list_candidates(self) -> list[str]:
        shown = {name for items in self._items.values() for name in items.table["candidate"].astype(str)}
        return sorted(shown)

    def _target_keys(self) -> dict[str, list[str]]:
        """Return, for every target, the key of every candidate: its own name, or that of a stimulus that shows it."""
        shown: dict[str, str] = {}
        for items in self._items.values():
            for candidate, stimulus in zip(items.table["candidate"], items.table["stimulus"], strict=True):
                shown.setdefault(str(candidate), str(stimulus))
        table = self.study.stimuli.table
        if SERIES_ONSET in table:
            onsets = dict(zip(table["stimulus"].astype(str), table[SERIES_ONSET].astype(float), strict=True))
            self._onsets = [onsets[name if name in onsets else shown[name]] for name in self.candidates]
        else:
            self._onsets = [0.0] * len(self.candidates)
        return target_keys(self.targets, self.candidates, shown, table)

    def _training_rows(self) -> NDArray[np.int64]:
        """Return the candidates that are shown in training."""
        shown = set(self._items["train"].table["candidate"].astype(str))
        return np.array([row for row, name in enumerate(self.candidates) if name in shown], dtype=np.int64)

    def _n_components(self, name: str) -> int | None:
        if isinstance(self.components, dict):
            unknown = [key for key in self.components if key not in self.targets]
            if unknown:
                raise ConfigError(f"components: got {unknown[0]!r}, expected one of {', '.join(self.targets)}")
            return self.components.get(name)
        return self.components

    def _describe(self) -> dict[str, Any]:
        subjects, lengths = {}, {}
        for subject in self.subjects:
            recording = self.study.recording(subject)
            chain = build_transforms(self.transforms, recording.sensors)
            layout = SensorLayout.of(transformed_sensors(chain, recording.sensors))
            subjects[subject] = {
                "n_channels": len(layout.names),
                "layout": recording.sensors.layout_fingerprint(),
                "channels": list(recording.sensors.names),
                "sfreq": recording.sensors.sfreq,
                "tmin": recording.sensors.tmin,
                "unit": recording.sensors.unit,
                "sensors": layout.to_plain(),
            }
            lengths[subject] = recording.n_times
        if len(set(lengths.values())) != 1:
            listed = ", ".join(f"{subject}: {length}" for subject, length in lengths.items())
            raise DataError(f"{self.study.name}: windows differ in length between subjects ({listed})")
        n_training = len(self._training_rows())
        if n_training < 2:
            raise DataError(f"{self.study.name}: fold {self.fold} trains on {n_training} candidates, expected two")
        first = self.study.recording(self.subjects[0])
        self._seconds = first.n_times / first.sensors.sfreq if first.sensors.sfreq else 0.0
        targets: dict[str, Any] = {}
        for name, target in self.targets.items():
            shape = target_shape(target.space, self._seconds)
            size: int | list[int] = list(shape) if len(shape) > 1 else shape[0]
            if self.target_form == "components":
                size = reduced_size(int(np.prod(shape)), n_training, self._n_components(name))
            targets[name] = {"size": size, "form": self.target_form, "space": target.space.to_dict()}
            if name in self.training_targets:
                targets[name]["training_space"] = self.training_targets[name].space.to_dict()
        return {
            "study": self.study.name,
            "modality": self.study.info["modality"],
            "simulated": self.study.simulated,
            "subjects": subjects,
            "n_times": next(iter(lengths.values())),
            "targets": targets,
            "split": self.split.hash,
            "fold": self.fold,
            "transforms": self.transforms,
            "session_scaling": list(self.study.session_scaling),
        }

    # -- what is fitted on the training windows ---------------------------------------------------------------

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
        order = np.random.default_rng([self.seed, 1]).permutation(mine)
        counts = np.cumsum([len(items.windows[item]) for item in order])
        chosen = np.sort(order[: max(1, int(np.searchsorted(counts, self.fitting_windows, side="right")))])
        rows = np.concatenate([items.windows[item] for item in chosen])
        names = np.repeat(
            items.table["item"].to_numpy().astype(str)[chosen], [len(items.windows[item]) for item in chosen]
        )
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
                self.preparation.reductions[name] = self._fit_target(name)
            self._fitted = True
        return self.preparation

    def _fit_target(self, name: str) -> TargetReduction | TargetScaling:
        rows = self._training_rows()
        if self.target_form == "raw":
            return TargetScaling.identity()
        if self.target_form == "scaled":
            if len(rows) > SCALING_STIMULI:
                drawn = np.random.default_rng([self.seed, 2]).choice(rows, SCALING_STIMULI, replace=False)
                rows = np.sort(drawn)
            return TargetScaling.fit(self._reader(name).chunks(rows))
        return TargetReduction.fit(
            self.embeddings(name)[rows], n_components=self._n_components(name), whitening=self.target_whitening
        )

    def use(self, preparation: Preparation) -> None:
        """Take a fitted state from a checkpoint instead of fitting one."""
        self.preparation = preparation
        self._reduced = {}
        self._fitted = True

    def embeddings(self, name: str) -> NDArray[np.float32]:
        """Read one target of every candidate, flattened, shape (n_candidates, dim)."""
        values = self._reader(name).read(np.arange(len(self.candidates)))
        return values.reshape(len(values), -1)

    def _reader(self, name: str, *, degraded: bool = False) -> TargetReader:
        targets = self.training_targets[name] if degraded else self.targets[name]
        return TargetReader(targets, self._lookup[name], self._onsets, self._seconds)

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
            preparation = self.prepare_fold()
            found: dict[str, torch.Tensor | StoredTargets] = {}
            for name in self.targets:
                degraded = training and name in self.training_targets
                reader, scaling = self._reader(name, degraded=degraded), preparation.reductions[name]
                if isinstance(self.interface["targets"][name]["size"], list):
                    found[name] = StoredTargets(reader, scaling)
                    continue
                # Of degraded targets there need not be any but for the stimuli that are trained on.
                rows = self._training_rows() if degraded else np.arange(len(self.candidates))
                values = reader.read(rows)
                flat = np.zeros((len(self.candidates), int(np.prod(values.shape[1:]))), dtype=np.float32)
                flat[rows] = values.reshape(len(rows), -1)
                found[name] = torch.from_numpy(scaling(flat))
            self._reduced[training] = found
        return self._reduced[training]

    def gallery(self, part: Part) -> tuple[list[str], NDArray[np.int64]]:
        """Return the candidates that a part shows, each once, and their rows in :meth:`reduced_targets`."""
        shown = set(self._items[part].table["candidate"].astype(str))
        rows = np.array([row for row, name in enumerate(self.candidates) if name in shown], dtype=np.int64)
        return [self.candidates[row] for row in rows], rows

    # -- Lightning --------------------------------------------------------------------------------------------

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
        sampler = RequestSampler(
            dataset.subjects,
            batch_size=self.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            share=part == "train",
            sequences=dataset.sequences,
        )
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            collate_fn=as_it_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
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
