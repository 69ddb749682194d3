"""Readouts that are solved for, not trained, while the rest of an encoder is trained by their evidence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.linear.noise import noise_kind_of, noise_residuals
from neurodecode.training.batches import Batch
from neurodecode.training.readout_evidence import Cohort, NoiseBasis, ReadoutEvidence, noise_basis

Windows = Mapping[str, tuple[NDArray[np.float32], NDArray[np.str_]]]


def require_all_rows(batch: Batch, count: int, averaging: object) -> None:
    """Refuse a batch that is not all of training, with all its repetitions averaged.

    Raises
    ------
    ConfigError
        Naming both.
    """
    if len(batch) != count:
        raise ConfigError(
            f"batch_size: got a batch of {len(batch)} rows, expected all {count} of training in one process, "
            "since the evidence is that of all of them"
        )
    if averaging != "all":
        raise ConfigError(f"average_training: got {averaging}, expected all, since the evidence is that of fixed rows")


class SolvedReadouts:
    """An encoder with its evidence and the training rows, which stay the same in every epoch.

    Parameters
    ----------
    encoder : nn.Module
        A :class:`neurodecode.encoders.encoding.region_encoder.RegionEncoder` or the like.
    evidence : ReadoutEvidence
        Of its readouts.
    windows : mapping of str to tuple
        Single training windows ``(n_windows, n_channels, n_times)`` of every subject, transformed, and what each is a
        repetition of. The noise is what varies between repetitions; with (nearly) none, all that varies.
    batch : Batch
        All rows of training.
    """

    def __init__(self, encoder: nn.Module, evidence: ReadoutEvidence, windows: Windows, batch: Batch) -> None:
        self.encoder: Any = encoder
        self.evidence = evidence
        self.cohorts, self.features = self._prepare(windows, batch)
        self._stale = True

    def _prepare(self, windows: Windows, batch: Batch) -> tuple[list[Cohort], dict[str, Tensor]]:
        bases: dict[str, dict[str, NoiseBasis]] = {}
        for subject, (signals, names) in windows.items():
            flat = np.asarray(signals, np.float32).reshape(len(signals), -1)
            ones = np.ones(len(flat), dtype=np.int64)
            residuals = noise_residuals(flat, names, ones, noise_kind_of(names))
            bases[subject] = {
                region: noise_basis(residuals, outputs.cpu().numpy()).to(batch.repetitions.device)
                for region, outputs in self.encoder.outputs_of(subject).items()
            }
        # Subjects saw the same pictures, whose answers need not be computed twice.
        _, first, place = np.unique(batch.candidate_index.cpu().numpy(), return_index=True, return_inverse=True)
        device = batch.repetitions.device
        sizes = [len(group) for group in batch.groups]
        together: dict[tuple[bytes, bytes], tuple[Tensor, Tensor, dict[str, Tensor]]] = {}
        for group, rows, count in zip(
            batch.groups,
            torch.as_tensor(place.reshape(-1), device=device).split(sizes),
            batch.repetitions.split(sizes),
            strict=True,
        ):
            order = torch.argsort(rows, stable=True)
            rows, count = rows[order], count[order]
            key = rows.cpu().numpy().tobytes(), count.cpu().numpy().tobytes()
            together.setdefault(key, (rows, count.float(), {}))[2][group.subject] = group.signal.flatten(1).float()[
                order
            ]
        cohorts = [
            Cohort.of(rows, count, signals, bases, self.evidence.n_bins) for rows, count, signals in together.values()
        ]
        kept = torch.as_tensor(first, device=device)
        return cohorts, {name: values[kept] for name, values in batch.targets.items()}

    def loss(self) -> Tensor:
        """Return the negative log evidence of all training rows."""
        self._stale = True
        loss: Tensor = self.evidence(self.encoder.answers(self.features).float(), self.cohorts)
        return loss

    @torch.no_grad()
    def settle(self) -> None:
        """Give the encoder the readouts that its features now ask for; nothing where no step was taken since."""
        if not self._stale:
            return
        training = self.encoder.training
        self.encoder.eval()
        answers = self.encoder.answers(self.features).float()
        for subject, regions in self.evidence.readouts(answers, self.cohorts).items():
            for weight, bias, outputs in regions.values():
                self.encoder.set_readout(subject, outputs, weight, bias)
        self.encoder.train(training)
        self._stale = False
