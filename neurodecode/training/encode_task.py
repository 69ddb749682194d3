"""The task ``encode``: features of a stimulus to the brain."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.encoders.brain.batches import SubjectBatch
from neurodecode.encoders.linear.encoding import correlation
from neurodecode.evaluation.encoding_accuracy import (
    channel_correlation,
    explained_share,
    noise_ceiling,
    signal_to_noise,
)
from neurodecode.training.batches import Batch, rows_of
from neurodecode.training.gathering import gathered_sizes, world
from neurodecode.training.preparation import to_tensor
from neurodecode.training.prepared_task import EncoderFactory, PreparedTask
from neurodecode.training.readout_evidence import ReadoutEvidence
from neurodecode.training.solved_readouts import SolvedReadouts, require_all_rows
from neurodecode.training.task import OptimizerFactory, Schedule

Ratios = dict[str, NDArray[np.float64]]
Vectors = NDArray[np.float32]


class EncodeTask(PreparedTask):
    """Train an encoder of stimuli to give the signals of every subject.

    Parameters
    ----------
    encoder : callable
        Builds the encoder from the subjects' layouts, the number of time points and the shapes of the features.
    interface : dict
        What the data is like; linked from the data module.
    optimizer, schedule, warm_up, seed
        See :class:`neurodecode.training.task.Task`.
    objective : str
        ``error``: the squared error, by batches. ``evidence``: how likely the training signals are whatever the linear
        readouts are, which are then solved for; for few stimuli and much noise. Every batch holds all training rows,
        and the encoder is a :class:`neurodecode.encoders.encoding.region_encoder.RegionEncoder` or has its methods.

    Notes
    -----
    Logged are ``train/loss``, the squared error averaged over rows, channels and times (or the negative log evidence),
    and for validation and test ``loss``, ``correlation`` (Pearson's r over rows for every channel, averaged over
    channels, then subjects) and ``normalised``: explained over explainable variance, summed over channels, with the
    noise of every channel estimated from repetitions in the training windows; without repetitions there it is left out.
    """

    shown: ClassVar[tuple[str, ...]] = ("loss", "correlation", "normalised")

    def __init__(
        self,
        encoder: EncoderFactory,
        interface: dict[str, Any],
        optimizer: OptimizerFactory | None = None,
        schedule: Schedule = "constant",
        warm_up: float = 0.0,
        seed: int = 0,
        objective: Literal["error", "evidence"] = "error",
    ) -> None:
        super().__init__(interface, optimizer, schedule, warm_up, seed)
        self.save_hyperparameters()
        self.encoder = self.build_encoder(encoder)
        if objective not in ("error", "evidence"):
            raise ConfigError(f"objective: got {objective!r}, expected error or evidence")
        self.evidence = ReadoutEvidence.of(self.encoder) if objective == "evidence" else None
        self._solved: SolvedReadouts | None = None
        self.ratios: Ratios | None = None
        self._answers: list[tuple[Batch, list[Tensor]]] = []

    # -- checkpoints ------------------------------------------------------------------------------------------

    def record(self) -> dict[str, Any]:
        """Return what was fitted, and the signal-to-noise ratios of the training windows."""
        ratios = {subject: to_tensor(ratio) for subject, ratio in self._found_ratios().items()}
        return {**super().record(), "signal_to_noise": ratios}

    def take_record(self, record: dict[str, Any], *, what: str) -> None:
        """Compare with the data; take what was fitted."""
        super().take_record(record, what=what)
        if "signal_to_noise" not in record:
            raise DataError(f"{what}: got no signal-to-noise ratios, expected those of the training windows")
        self.ratios = {subject: ratio.numpy() for subject, ratio in record["signal_to_noise"].items()}

    def _found_ratios(self) -> Ratios:
        """Return the ratios by subject; subjects without repetitions in training have none."""
        if self.ratios is None:
            windows, preparation = self._training_windows(), self._found_preparation()
            assert preparation is not None
            self.ratios = {}
            for subject, (signals, names) in windows.items():
                ratio = signal_to_noise(preparation.apply(subject, signals), names)
                if ratio is not None:
                    self.ratios[subject] = ratio
        return self.ratios

    def _training_windows(self) -> dict[str, tuple[NDArray[np.float32], NDArray[np.str_]]]:
        read = getattr(getattr(self._trainer, "datamodule", None), "training_windows", None)
        if self._found_preparation() is None or not callable(read):
            raise ConfigError("data: got a data module without training windows, expected BrainDataModule")
        return {subject: read(subject) for subject in self.interface["subjects"]}

    # -- steps ------------------------------------------------------------------------------------------------

    def forward(self, batch: Batch) -> list[Tensor]:
        """Predict the signals of every group of a batch."""
        predicted: list[Tensor] = self.encoder(batch.targets, batch.groups)
        return predicted

    def _loss(self, batch: Batch, predicted: list[Tensor]) -> Tensor:
        errors = [
            ((prediction.float() - group.signal) ** 2).flatten(1).mean(dim=1)
            for prediction, group in zip(predicted, batch.groups, strict=True)
        ]
        return torch.cat(errors)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean squared error, or the negative log evidence."""
        if self.evidence is not None:
            return self._evidence_step(batch, self.evidence)
        errors = self._loss(batch, self(batch))
        _, count = world()
        loss: Tensor = errors.sum() * (count / sum(gathered_sizes(errors)))
        self.require_finite(loss)
        self.log_means("train", {"loss": loss.detach()}, len(batch))
        return loss

    def _evidence_step(self, batch: Batch, evidence: ReadoutEvidence) -> Tensor:
        if self._solved is None:
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
            require_all_rows(batch, len(data.items("train")), data.average_training)
            windows, preparation = self._training_windows(), self._found_preparation()
            assert preparation is not None
            prepared = {subject: (preparation.apply(subject, own), names) for subject, (own, names) in windows.items()}
            self._solved = SolvedReadouts(self.encoder, evidence, prepared, batch)
        loss = self._solved.loss()
        self.require_finite(loss)
        self.log_means("train", {"loss": loss.detach()}, len(batch))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Solve for the readouts before they are judged."""
        if self._solved is not None:
            self._solved.settle()

    def on_train_epoch_end(self) -> None:
        """Solve for the readouts before they are saved."""
        self.on_validation_epoch_start()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the predictions of a validation batch."""
        self._answers.append((batch, self(batch)))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the predictions of a test batch."""
        self._answers.append((batch, self(batch)))

    def on_validation_epoch_end(self) -> None:
        """Log how well the signals of the validation stimuli are predicted."""
        self._conclude("val")

    def on_test_epoch_end(self) -> None:
        """Log how well the signals of the test stimuli are predicted."""
        self._conclude("test")

    def _conclude(self, part: Literal["val", "test"]) -> None:
        answers, self._answers = self._answers, []
        if not answers:
            return
        errors = torch.cat([self._loss(batch, predicted) for batch, predicted in answers])
        correlations, shares = [], []
        for subject in self.interface["subjects"]:
            found = [rows for batch, predicted in answers for rows in rows_of(subject, batch, predicted)]
            if sum(len(rows[0]) for rows in found) < 2:
                continue
            predicted, measured, repetitions = (np.concatenate(parts) for parts in zip(*found, strict=True))
            found_correlation = channel_correlation(predicted, measured)
            correlations.append(float(found_correlation.mean()))
            if subject in self._found_ratios():
                ceiling = noise_ceiling(self._found_ratios()[subject], float(1 / np.mean(1 / repetitions)))
                share = explained_share(found_correlation, ceiling)
                if np.isfinite(share):
                    shares.append(share)
        values: dict[str, Tensor | float] = {"loss": errors.mean()}
        if correlations:
            values["correlation"] = float(np.mean(correlations))
        if shares:
            values["normalised"] = float(np.mean(shares))
        self.log_means(part, values, len(errors))

    # -- from Python ------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(
        self, subject: str, features: Mapping[str, NDArray[np.float32]], *, batch_size: int = 64
    ) -> NDArray[np.float32]:
        """Predict a subject's signals for any stimuli, such as all candidates of a gallery.

        Parameters
        ----------
        subject : str
            One of the subjects the encoder was trained for.
        features : mapping of str to ndarray of shape (n_stimuli, *space.shape)
            Every target, as its model gives it; what was fitted to it in training is applied here.
        batch_size : int
            Stimuli at a time.

        Returns
        -------
        ndarray of float32, shape (n_stimuli, n_channels, n_times)
            In the units of ``preparation.apply(subject, signals)``, with which it is to be compared.

        Raises
        ------
        ConfigError
            For a task that was not loaded from a checkpoint, or no features.
        """
        prepared = self._reduced(features)
        count = len(next(iter(prepared.values())))
        parts = []
        for begin in range(0, count, batch_size):
            piece = {name: values[begin : begin + batch_size].to(self.device) for name, values in prepared.items()}
            wanted = SubjectBatch(subject, torch.zeros(len(next(iter(piece.values()))), 0, 0))
            (predicted,) = self.encoder(piece, [wanted])
            parts.append(predicted.float().cpu().numpy())
        return np.concatenate(parts)

    @torch.inference_mode()
    def attention(self, features: Mapping[str, NDArray[np.float32]], *, batch_size: int = 64) -> Vectors | None:
        """Tell where every region looks for any stimuli.

        Parameters
        ----------
        features, batch_size
            As for :meth:`encode`.

        Returns
        -------
        ndarray of float32, shape (n_stimuli, n_regions, n_tokens), or None
            See :meth:`neurodecode.encoders.encoding.region_encoder.RegionEncoder.attention`; None for an encoder
            without attention.
        """
        look = getattr(self.encoder, "attention", None)
        if not callable(look):
            return None
        prepared = self._reduced(features)
        count = len(next(iter(prepared.values())))
        pieces = [
            look({name: values[begin : begin + batch_size].to(self.device) for name, values in prepared.items()})
            for begin in range(0, count, batch_size)
        ]
        return np.asarray(torch.cat(pieces).float().cpu().numpy(), dtype=np.float32)

    def _reduced(self, features: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
        """Apply to features what was fitted to them in training."""
        if self.preparation is None:
            raise ConfigError("encode: got a task without fitted transforms, expected one loaded from a checkpoint")
        self.eval()
        prepared = {}
        for name, size in self.target_sizes.items():
            if name not in features or not len(features[name]):
                raise ConfigError(f"features: got none for {name!r}, expected those of {', '.join(self.target_sizes)}")
            flat = np.asarray(features[name], np.float32).reshape(len(features[name]), -1)
            shape = [size] if isinstance(size, int) else size
            prepared[name] = torch.from_numpy(self.preparation.reductions[name](flat)).reshape(-1, *shape)
        return prepared

    def score(
        self, subject: str, signals: NDArray[np.float32], candidates: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float64]:
        """Score every candidate for every measured signal: the correlation with what is predicted for it.

        Parameters
        ----------
        subject : str
            Whose signals.
        signals : ndarray of float32, shape (n_queries, n_channels, n_times)
            As they are in the prepared study; the transforms fitted in training are applied here.
        candidates : mapping of str to ndarray of shape (n_candidates, *space.shape)
            Features of the gallery.

        Returns
        -------
        ndarray of shape (n_queries, n_candidates)
            Pearson's r over channels and times, each query by itself; larger is better.
        """
        predicted = self.encode(subject, candidates)
        assert self.preparation is not None
        measured = self.preparation.apply(subject, np.asarray(signals, np.float32))
        if measured.shape[1:] != predicted.shape[1:]:
            raise DataError(f"signals: got shape {measured.shape[1:]}, expected {predicted.shape[1:]} as predicted")
        rows = measured.reshape(len(measured), -1), predicted.reshape(len(predicted), -1)
        return correlation(rows[0].astype(np.float64), rows[1].astype(np.float64))
