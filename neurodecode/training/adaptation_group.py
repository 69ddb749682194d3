"""What a group is expected to answer, for a network: the start of its linear path, and queries to fit a rule on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neurodecode.core.errors import DataError
from neurodecode.encoders.brain.readout import SubjectReadout
from neurodecode.encoders.linear.bank import Bank, rows_of, take_rows
from neurodecode.encoders.linear.group import GroupResponses
from neurodecode.encoders.linear.group_prior import fit_group_model
from neurodecode.encoders.linear.trials import Strings, TrialSet
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.target_reduction import TargetReduction
from neurodecode.training.warm_start import training_trials, weights_of_linear_map

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GroupStart:
    """What a network of a new subject may know of the group's responses.

    Parameters
    ----------
    responses : GroupResponses
        On the new subject's channels, before any transform.
    bank : mapping of str to array of shape (n_names, dim)
        Targets of `responses.names`, flattened.
    shown : array of str
        Stimuli that the group was trained on: none that is tested.
    repetitions : float
        Trials in a query that is to be decoded.
    """

    responses: GroupResponses
    bank: Bank
    shown: Strings
    repetitions: float

    def put(self, encoder: nn.Module, data: BrainDataModule, *, seed: int) -> str:
        """Put a linear decoder into the new subject's linear path: the aligned group's encoding model turned around.

        Parameters
        ----------
        encoder : nn.Module
            Changed in place where it has a linear path to reduced targets; left as it is otherwise.
        data : BrainDataModule
            The budget, of whose training windows alone the alignment is fitted; its first subject is the new one.
        seed : int
            Of the folds that choose the alignment.

        Returns
        -------
        str
            What was aligned and how, in a word; empty where nothing was put in.
        """
        path = getattr(encoder, "linear_path", None)
        preparation = data.prepare_fold()
        reductions = {name: preparation.reductions[name] for name in data.targets}
        if not isinstance(path, SubjectReadout) or not all(
            isinstance(one, TargetReduction) for one in reductions.values()
        ):
            return ""
        subject = data.subjects[0]
        trials = training_trials(data, subject)
        group = GroupResponses(self.responses.names, preparation.apply(subject, self.responses.signals))
        names = self.responses.names.tolist()
        model = fit_group_model(trials, group, self.bank, names, strategy="ridge", seed=seed)
        known = take_rows(self.bank, rows_of(self.shown, self.responses.names))
        expected = model.aligned.predict(model.frame.apply(group.of(self.shown)), known)
        centred = expected - expected.mean(axis=0)
        error = model.model_error + np.eye(centred.shape[1]) / self.repetitions
        covariance = centred.T @ centred / len(centred) + error

        def coordinates(rows: Floats) -> Floats:
            return np.asarray(model.frame.apply(rows).reshape(len(rows), -1) - expected.mean(axis=0))

        maps, offset = weights_of_linear_map(coordinates, trials.shape)
        for name, reduction in reductions.items():
            reduced = np.asarray(reduction(known[name].astype(np.float32)), dtype=np.float64)
            middle = reduced.mean(axis=0)
            weights = np.linalg.solve(covariance, centred.T @ (reduced - middle) / len(centred))
            path.set_solution(
                subject, name, torch.from_numpy(maps @ weights), torch.from_numpy(offset @ weights + middle)
            )
        return f"group, {model.notes['penalty']}"

    def queries(self, own: TrialSet, repetitions: int, *, seed: int) -> NDArray[np.float32]:
        """Make queries as the new subject would answer to the stimuli that the group was trained on.

        Parameters
        ----------
        own : TrialSet
            The budget's single trials.
        repetitions : int
            Trials in a query.
        seed : int
            Of the draws.

        Returns
        -------
        ndarray of float32, shape (n_shown, n_channels, n_times)
            The group's expected responses, scaled to the new subject, with the mean of as many of the budget's
            residuals, drawn at random, as there are repetitions.

        Raises
        ------
        DataError
            If the budget has other channels than the group.
        """
        if own.shape != self.responses.signals.shape[1:]:
            raise DataError(f"group: has {self.responses.signals.shape[1:]} channels and times, expected {own.shape}")
        theirs = self.responses.of(own.stimulus).astype(np.float64)
        mean, own_mean = theirs.mean(axis=0), own.signals.mean(axis=0, dtype=np.float64)
        spread = float(((theirs - mean) ** 2).sum())
        scale = float(((own.signals - own_mean) * (theirs - mean)).sum()) / spread if spread > 0 else 0.0
        scale = max(scale, 0.0)
        residuals = (own.signals - own_mean - scale * (theirs - mean)).astype(np.float32)
        found: NDArray[np.float32] = (own_mean + scale * (self.responses.of(self.shown) - mean)).astype(np.float32)
        generator = np.random.default_rng(seed)
        for _ in range(repetitions):
            found += residuals[generator.integers(0, len(residuals), len(found))] / repetitions
        return found
