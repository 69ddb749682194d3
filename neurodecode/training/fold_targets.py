"""The targets of a fold's candidates: how large the encoder predicts them, fitted on those of training, and read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError
from neurodecode.core.targets import Targets
from neurodecode.training.target_reading import (
    SERIES_ONSET,
    StoredTargets,
    TargetReader,
    require_degraded,
    target_keys,
    target_shape,
)
from neurodecode.training.target_reduction import (
    TargetForm,
    TargetMap,
    TargetReduction,
    TargetScaling,
    reduced_size,
)

#: Most training stimuli that the centre and the scale of a target are taken from.
SCALING_STIMULI = 8000


def open_targets(
    targets: Mapping[str, str], training_targets: Mapping[str, str] | None
) -> tuple[dict[str, Targets], dict[str, Targets]]:
    """Open folders of targets, and of those that take their place in training.

    Raises
    ------
    ConfigError, MismatchError
        If degraded targets have no other ones, or ones that differ in more than the degradation.
    """
    opened = {name: Targets.open(Path(folder)) for name, folder in targets.items()}
    degraded = {}
    for name, folder in (training_targets or {}).items():
        if name not in opened:
            raise ConfigError(f"training_targets: got {name!r}, expected one of {', '.join(opened)}")
        degraded[name] = Targets.open(Path(folder))
        require_degraded(name, opened[name].space, degraded[name].space)
    return opened, degraded


def check_form(form: TargetForm, components: int | dict[str, int] | None, whitening: float) -> None:
    """Refuse settings of principal components for targets that are not reduced to any.

    Examples
    --------
    >>> check_form("raw", None, 0.0)
    """
    if form != "components" and (components is not None or whitening):
        raise ConfigError(
            f"target_form: got {form} with components {components} and target_whitening {whitening:g}, "
            "expected null and 0"
        )


class FoldTargets:
    """Every target of every candidate of a fold.

    Parameters
    ----------
    targets, degraded : mapping of str to Targets
        By head; `degraded` ones take the place of `targets` in training.
    candidates : sequence of str
        What is to be recognised.
    shown : mapping of str to str
        A stimulus that shows each candidate.
    trained : ndarray of int
        Rows of the candidates that are shown in training.
    stimuli : pandas.DataFrame
        The study's table of stimuli.
    seconds : float
        Duration of a window.
    form, components, whitening
        See `target_form`, `components` and `target_whitening` of `BrainDataModule`.
    seed : int
        Of the draw of stimuli that a scale is taken from.

    Raises
    ------
    ConfigError, DataError
        If there is no target of a candidate, or components are asked of a target that is not there.
    """

    def __init__(
        self,
        targets: Mapping[str, Targets],
        degraded: Mapping[str, Targets],
        candidates: Sequence[str],
        shown: Mapping[str, str],
        trained: NDArray[np.int64],
        stimuli: pd.DataFrame,
        seconds: float,
        *,
        form: TargetForm,
        components: int | dict[str, int] | None,
        whitening: float,
        seed: int,
    ) -> None:
        self.targets, self.degraded = dict(targets), dict(degraded)
        self.candidates, self.trained, self.seconds = list(candidates), trained, seconds
        self.form: TargetForm = form
        self.components, self.whitening, self.seed = components, whitening, seed
        if isinstance(components, dict):
            unknown = [name for name in components if name not in self.targets]
            if unknown and self.targets:
                raise ConfigError(f"components: got {unknown[0]!r}, expected one of {', '.join(self.targets)}")
        self._onsets = [0.0] * len(self.candidates)
        self._keys: dict[str, list[str]] = {}
        if self.targets:
            if SERIES_ONSET in stimuli:
                onsets = dict(zip(stimuli["stimulus"].astype(str), stimuli[SERIES_ONSET].astype(float), strict=True))
                self._onsets = [onsets[name if name in onsets else shown[name]] for name in self.candidates]
            self._keys = target_keys(self.targets, self.candidates, shown, stimuli)

    def describe(self) -> dict[str, Any]:
        """Return size, form and space of every target, in plain values."""
        found: dict[str, Any] = {}
        for name, target in self.targets.items():
            shape = target_shape(target.space, self.seconds)
            size: int | list[int] = list(shape) if len(shape) > 1 else shape[0]
            if self.form == "components":
                size = reduced_size(int(np.prod(shape)), len(self.trained), self._n_components(name))
            found[name] = {"size": size, "form": self.form, "space": target.space.to_dict()}
            if name in self.degraded:
                found[name]["training_space"] = self.degraded[name].space.to_dict()
        return found

    def fit(self, name: str) -> TargetReduction | TargetScaling:
        """Fit what brings a target into its form, on the candidates of training."""
        rows = self.trained
        if self.form == "raw":
            return TargetScaling.identity()
        if self.form == "scaled":
            if len(rows) > SCALING_STIMULI:
                drawn = np.random.default_rng([self.seed, 2]).choice(rows, SCALING_STIMULI, replace=False)
                rows = np.sort(drawn)
            return TargetScaling.fit(self._reader(name).chunks(rows))
        values = self.embeddings(name)[rows]
        return TargetReduction.fit(values, n_components=self._n_components(name), whitening=self.whitening)

    def embeddings(self, name: str) -> NDArray[np.float32]:
        """Read one target of every candidate, flattened, shape (n_candidates, dim)."""
        values = self._reader(name).read(np.arange(len(self.candidates)))
        return values.reshape(len(values), -1)

    def reduced(
        self, reductions: Mapping[str, TargetMap], sizes: Mapping[str, Any], *, training: bool
    ) -> dict[str, torch.Tensor | StoredTargets]:
        """Return every target of every candidate as the encoder predicts it, shape (n_candidates, *size).

        Parameters
        ----------
        reductions : mapping of str to TargetMap
            What was fitted.
        sizes : mapping
            As `describe` tells them.
        training : bool
            Whether degraded targets take the place of the others.
        """
        found: dict[str, torch.Tensor | StoredTargets] = {}
        for name in self.targets:
            degraded = training and name in self.degraded
            reader, scaling = self._reader(name, degraded=degraded), reductions[name]
            if isinstance(sizes[name]["size"], list):
                found[name] = StoredTargets(reader, scaling)
                continue
            # Of degraded targets there need not be any but for the stimuli that are trained on.
            rows = self.trained if degraded else np.arange(len(self.candidates))
            values = reader.read(rows)
            flat = np.zeros((len(self.candidates), int(np.prod(values.shape[1:]))), dtype=np.float32)
            flat[rows] = values.reshape(len(rows), -1)
            found[name] = torch.from_numpy(scaling(flat))
        return found

    def _n_components(self, name: str) -> int | None:
        return self.components.get(name) if isinstance(self.components, dict) else self.components

    def _reader(self, name: str, *, degraded: bool = False) -> TargetReader:
        targets = self.degraded[name] if degraded else self.targets[name]
        return TargetReader(targets, self._keys[name], self._onsets, self.seconds)
