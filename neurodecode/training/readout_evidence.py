"""Train what comes before linear readouts by the evidence: readouts are integrated out, so that they cannot overfit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.linear.noise import ledoit_wolf

#: Regions of more outputs than this have independent noise: their covariance would cost too much.
MOST_CORRELATED = 2000
#: Share of a readout's outputs' variance that is signal, at the start.
FIRST_SHARE = 0.01


@dataclass(frozen=True)
class NoiseBasis:
    """Uncorrelated directions of the noise of a subject's region.

    Parameters
    ----------
    outputs : Tensor of int, shape (n_outputs,)
        Which of the subject's outputs (channels x times, flattened) lie in the region.
    deviations : Tensor of shape (n_outputs,)
        Of the noise of a single trial along every direction, falling.
    directions : Tensor of shape (n_outputs, n_outputs), or None
        Orthonormal columns; None: the outputs themselves.
    """

    outputs: Tensor
    deviations: Tensor
    directions: Tensor | None

    def whiten(self, signals: Tensor) -> Tensor:
        """Map signals ``(n, n_outputs)`` of the region to directions whose noise has variance 1."""
        turned = signals if self.directions is None else signals @ self.directions
        return turned / self.deviations

    def to(self, device: torch.device | str) -> "NoiseBasis":
        """Return the same on another device."""
        directions = None if self.directions is None else self.directions.to(device)
        return NoiseBasis(self.outputs.to(device), self.deviations.to(device), directions)

    def restore(self, weights: Tensor) -> Tensor:
        """Map weights of the directions ``(width, n_outputs)`` to those of the outputs."""
        scaled = weights * self.deviations
        return scaled if self.directions is None else scaled @ self.directions.T


def noise_basis(residuals: NDArray[np.floating], outputs: NDArray[np.int64]) -> NoiseBasis:
    """Find the directions of the noise of some outputs, from rows of nothing but noise.

    Parameters
    ----------
    residuals : ndarray of shape (n, n_all_outputs)
        Noise of single trials, of mean 0.
    outputs : ndarray of int
        Which outputs.

    Returns
    -------
    NoiseBasis
        The covariance is shrunk (Ledoit and Wolf); beyond `MOST_CORRELATED` outputs it is diagonal.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((500, 3)) * [1.0, 3.0, 1.0]
    >>> [round(float(value)) for value in noise_basis(rows, np.array([0, 1])).deviations]
    [3, 1]
    """
    own = np.asarray(residuals[:, outputs], dtype=np.float64)
    deviations = np.sqrt((own**2).mean(axis=0))
    deviations = np.maximum(deviations, 1e-6 * max(float(deviations.max()), 1e-30))
    directions = None
    order = np.argsort(-deviations, kind="stable")
    if len(outputs) <= MOST_CORRELATED:
        covariance, _ = ledoit_wolf(own)
        values, vectors = np.linalg.eigh(covariance)
        deviations = np.sqrt(np.maximum(values[::-1], 1e-12 * values[-1]))
        directions = torch.from_numpy(vectors[:, ::-1].astype(np.float32))
        order = np.arange(len(outputs))
    return NoiseBasis(
        torch.from_numpy(np.asarray(outputs)[order]), torch.from_numpy(deviations[order].astype(np.float32)), directions
    )


@dataclass(frozen=True)
class Cohort:
    """Subjects who saw the same pictures equally often, whose regions can be regressed on features together.

    Parameters
    ----------
    rows : Tensor of int, shape (n,)
        Which pictures.
    repetitions : Tensor of shape (n,)
        How many repetitions were averaged into each row.
    answers : dict of str to Tensor of shape (n, n_directions)
        For every region the whitened signals of all subjects beside each other, times the root of the repetitions.
    bins : dict of str to Tensor of int, shape (n_directions,)
        Bin of every direction.
    parts : dict of str to list of tuple
        For every region and subject, in the order of the columns: subject, basis, level of the signals.
    """

    rows: Tensor
    repetitions: Tensor
    answers: dict[str, Tensor]
    bins: dict[str, Tensor]
    parts: dict[str, list[tuple[str, NoiseBasis, Tensor]]]

    @classmethod
    def of(
        cls,
        rows: Tensor,
        repetitions: Tensor,
        signals: Mapping[str, Tensor],
        bases: Mapping[str, Mapping[str, NoiseBasis]],
        n_bins: int,
    ) -> "Cohort":
        """Whiten the signals ``(n, n_outputs)`` of some subjects, centred by the mean over all repetitions."""
        root, share = repetitions.sqrt()[:, None], repetitions / repetitions.sum()
        answers: dict[str, list[Tensor]] = {}
        bins: dict[str, list[Tensor]] = {}
        parts: dict[str, list[tuple[str, NoiseBasis, Tensor]]] = {}
        for subject, measured in signals.items():
            for region, basis in bases[subject].items():
                own = measured[:, basis.outputs]
                level = share @ own
                count = own.shape[1]
                answers.setdefault(region, []).append(basis.whiten(own - level) * root)
                bins.setdefault(region, []).append(torch.arange(count, device=own.device) * n_bins // count)
                parts.setdefault(region, []).append((subject, basis, level))
        return cls(
            rows,
            repetitions,
            {region: torch.cat(columns, dim=1) for region, columns in answers.items()},
            {region: torch.cat(columns) for region, columns in bins.items()},
            parts,
        )


class ReadoutEvidence(nn.Module):
    """How likely signals are under features of every region, whatever the linear readouts are.

    A direction of a region's noise is read from the region's features by weights that are Gaussian around 0. Their
    variance is learnt, one for every region and `n_bins` bins of directions (by falling noise: signals that neighbours
    share lie where their noise is shared, too).

    Parameters
    ----------
    regions : sequence of str
        Names of the regions.
    width : int
        Number of features of a region.
    n_bins : int
        Bins of directions.

    References
    ----------
    MacKay (1992). Bayesian interpolation. Neural Computation 4. https://doi.org/10.1162/neco.1992.4.3.415

    Examples
    --------
    >>> evidence = ReadoutEvidence(["V1"], 4, n_bins=1)
    >>> bases = {"a": {"V1": NoiseBasis(torch.arange(3), torch.ones(3), None)}}
    >>> cohort = Cohort.of(torch.arange(50), torch.ones(50), {"a": torch.randn(50, 3)}, bases, 1)
    >>> features = torch.randn(50, 1, 4)
    >>> evidence(features, [cohort]).shape, evidence.readouts(features, [cohort])["a"]["V1"][0].shape
    (torch.Size([]), torch.Size([3, 4]))
    """

    #: A step of the prior's logarithm for a step of the other weights.
    PACE = 50.0

    def __init__(self, regions: Sequence[str], width: int, n_bins: int = 6) -> None:
        super().__init__()
        if n_bins < 1:
            raise ConfigError(f"n_bins: got {n_bins}, expected at least 1")
        self.regions = list(regions)
        self.n_bins = n_bins
        #: Logarithm of the prior variances, in steps that suit the learning rate of the other weights.
        self.scales = nn.Parameter(torch.zeros(len(self.regions), n_bins))
        self._start = float(np.log(FIRST_SHARE / width))

    @classmethod
    def of(cls, encoder: nn.Module, n_bins: int = 6) -> "ReadoutEvidence":
        """Build the evidence of an encoder's readouts.

        Raises
        ------
        ConfigError
            If the encoder has no readouts that can be solved for.
        """
        wanted = ("answers", "outputs_of", "set_readout", "regions", "width")
        missing = [name for name in wanted if not hasattr(encoder, name)]
        if missing:
            raise ConfigError(
                f"objective: got evidence with a {type(encoder).__name__}, which has no {missing[0]}; "
                "expected a RegionEncoder"
            )
        return cls(encoder.regions, encoder.width, n_bins)  # type: ignore[arg-type]

    def forward(self, features: Tensor, cohorts: Sequence[Cohort]) -> Tensor:
        """Return the negative log evidence a number, less that of noise alone.

        Parameters
        ----------
        features : Tensor of shape (n_pictures, n_regions, width)
            What the encoder finds for every region.
        cohorts : sequence of Cohort
            All rows of training.

        Returns
        -------
        Tensor
            A scalar, in nats.
        """
        total, count = features.new_zeros(()), 0
        for cohort in cohorts:
            for region, answers in cohort.answers.items():
                design, _ = self._design(features, cohort, region)
                gram, products = design.T @ design, design.T @ answers
                for members, variance in self._bins(cohort, region):
                    factor = _factor(gram, variance)
                    explained = torch.linalg.solve_triangular(factor, products[:, members], upper=False).square().sum()
                    spread = 2 * factor.diagonal().log().sum()
                    total = total + 0.5 * (len(members) * spread - variance * explained)
                count += answers.numel()
        return total / max(count, 1)

    @torch.no_grad()
    def readouts(
        self, features: Tensor, cohorts: Sequence[Cohort]
    ) -> dict[str, dict[str, tuple[Tensor, Tensor, Tensor]]]:
        """Return the expected readouts given the rows: ridge regression with the learnt variances.

        Parameters
        ----------
        features, cohorts
            As for :meth:`forward`.

        Returns
        -------
        dict of str to dict of str to tuple of Tensor
            For every subject and region weights ``(n_outputs, width)``, intercepts ``(n_outputs,)`` and which outputs
            they are of.
        """
        found: dict[str, dict[str, tuple[Tensor, Tensor, Tensor]]] = {}
        for cohort in cohorts:
            for region, answers in cohort.answers.items():
                design, mean = self._design(features, cohort, region)
                gram, products = design.T @ design, design.T @ answers
                solved = torch.empty_like(products)
                for members, variance in self._bins(cohort, region):
                    solved[:, members] = variance * torch.cholesky_solve(products[:, members], _factor(gram, variance))
                sizes = [len(basis.outputs) for _, basis, _ in cohort.parts[region]]
                for (subject, basis, level), part in zip(cohort.parts[region], solved.split(sizes, dim=1), strict=True):
                    weights = basis.restore(part).T
                    found.setdefault(subject, {})[region] = weights, level - weights @ mean, basis.outputs
        return found

    def _design(self, features: Tensor, cohort: Cohort, region: str) -> tuple[Tensor, Tensor]:
        """Return a region's features as the whitened signals are: centred, times the root of the repetitions."""
        found = features[cohort.rows, self.regions.index(region)]
        mean = cohort.repetitions / cohort.repetitions.sum() @ found
        return (found - mean) * cohort.repetitions.sqrt()[:, None], mean

    def _bins(self, cohort: Cohort, region: str) -> list[tuple[Tensor, Tensor]]:
        """Return the directions of every bin and the variance of their weights."""
        bins, place = cohort.bins[region], self.regions.index(region)
        return [
            (torch.nonzero(bins == number).flatten(), (self._start + self.PACE * self.scales[place, number]).exp())
            for number in bins.unique().tolist()
        ]


def _factor(gram: Tensor, variance: Tensor) -> Tensor:
    unit = torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
    factor: Tensor = torch.linalg.cholesky(unit + variance * gram)
    return factor
