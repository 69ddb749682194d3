"""Where in the whitened signal the stimuli leave a trace: a few directions found with the help of the features.

One picture moves a whitened average far less than the noise does, and a principal component analysis of the averages
finds mostly noise. The features help twice. Smoothing the averages over pictures with similar features (a Gaussian
process with the bank's kernel) brings the shared part out, and the likelihood says how much of each direction the
features explain. Signals also have few topographies and few time courses, so the directions are first sought as
products of a topography and a time course, which are few numbers compared with the data they are estimated from.

All of it is fitted on training rows and refitted inside every fold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.encoders.linear.bank import symmetric_eigen

Floats = NDArray[np.float64]

# Prior variances that a direction may take, in units of the whitened noise of one trial.
VARIANCE_GRID = np.concatenate([[0.0], np.logspace(-3.5, 2.0, 18)])
ROTATION_ROUNDS = 4
COVARIANCE_ROUNDS = 5
START_SHRINKAGE = 100.0  # ratio of noise to signal of the first smoothing
FLOOR_FACTOR = 1.25  # a topography or time course must explain this many times what pure noise seems to
MOST_PRODUCTS = 160
LEAST_PRODUCTS = 8
MOST_DIRECTIONS = 100
MOST_MAP_DIRECTIONS = 300
MAP_ROUNDS = 6
MAP_THRESHOLD = 0.002  # what a direction of a map loses each round, in units of the noise of a row


@dataclass(frozen=True)
class Subspace:
    """Orthonormal directions of the whitened signal with the prior variance of the stimulus' response along each.

    Parameters
    ----------
    mean : array of shape (n_features,)
        Training mean of the whitened rows.
    basis : array of shape (n_features, n_directions)
        Orthonormal columns, so the noise of one trial stays the identity.
    variance : array of shape (n_directions,)
        Response variance per unit of the kernel, falling.
    """

    mean: Floats
    basis: Floats
    variance: Floats

    def apply(self, whitened: Floats) -> Floats:
        """Coordinates (n, n_directions) of whitened rows."""
        return np.asarray((whitened - self.mean) @ self.basis)


def likeliest_variance(rotated: Floats, kernel_values: Floats, noise: float) -> Floats:
    """Prior variance of each column under which the rows are likeliest.

    Parameters
    ----------
    rotated : array of shape (n, n_columns)
        Data in the kernel's eigenbasis: row i has variance `g * kernel_values[i] + noise`.
    kernel_values : array of shape (n,)
    noise : float

    Returns
    -------
    array of shape (n_columns,)
        From `VARIANCE_GRID`.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((2000, 2)) * np.sqrt([3.0, 1.0])
    >>> likeliest_variance(rows, np.full(2000, 2.0), 1.0).round(1).tolist()
    [1.1, 0.0]
    """
    return np.asarray(VARIANCE_GRID[_costs(rotated, kernel_values, noise).argmin(axis=0)])


def explained(rotated: Floats, kernel_values: Floats, noise: float) -> Floats:
    """Gain in log-likelihood (nats) of each column from letting the features explain part of it.

    The arguments are those of `likeliest_variance`. Pure noise gains less than one nat nineteen times out of twenty.
    """
    costs = _costs(rotated, kernel_values, noise)
    return np.asarray(costs[0] - costs.min(axis=0))


def _costs(rotated: Floats, kernel_values: Floats, noise: float) -> Floats:
    """Negative log-likelihood (n_variances, n_columns) of each column, up to a constant."""
    squares = rotated**2
    costs = np.empty((len(VARIANCE_GRID), rotated.shape[1]))
    for number, variance in enumerate(VARIANCE_GRID):
        total = variance * kernel_values + noise
        costs[number] = 0.5 * (np.log(total).sum() + (1 / total) @ squares)
    return costs


def _apparent_variance_of_noise(kernel_values: Floats, noise: float, n_columns: int = 500) -> float:
    """Mean of `likeliest_variance` when there is only noise: its maximum over positive values is not zero."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((len(kernel_values), n_columns)) * np.sqrt(noise)
    return float(likeliest_variance(rows, kernel_values, noise).mean())


def _rotations(smoothed: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Orthonormal topographies and time courses by falling energy of the smoothed rows."""
    rows = smoothed.reshape(-1, *shape)
    space = symmetric_eigen(np.tensordot(rows, rows, axes=([0, 2], [0, 2])))[1]
    time = symmetric_eigen(np.tensordot(rows, rows, axes=([0, 1], [0, 1])))[1]
    return space, time


def _rotate(rows: Floats, shape: tuple[int, int], space: Floats, time: Floats) -> Floats:
    return np.asarray((space.T @ rows.reshape(-1, *shape) @ time).reshape(len(rows), -1))


def _separable(variances: Floats, floor: float) -> Floats:
    """Replace variances (topographies, time courses) by a product of two margins, less what noise explains of each."""
    n_space, n_time = variances.shape
    space = np.maximum(variances.sum(axis=1) - FLOOR_FACTOR * floor * n_time, 0.0)
    time = np.maximum(variances.sum(axis=0) - FLOOR_FACTOR * floor * n_space, 0.0)
    product = np.outer(space, time)
    total = float(product.sum())
    if total == 0:
        return product
    return product * (float(variances[product > 0].sum()) / total)


def fit_subspace(
    whitened: Floats, shape: tuple[int, int], kernel_values: Floats, kernel_vectors: Floats, noise: float
) -> Subspace:
    """Find the directions of the whitened rows that the features explain.

    Signals with channels and times: alternates between smoothing the rows with the kernel, taking the leading
    topographies and time courses of the smooth part, and giving each product of the two its likeliest prior variance.
    Products that no more than noise would explain are dropped; the rest are rotated to independent directions by a few
    steps of expectation maximisation on their full prior covariance. Maps (one time, or one channel) skip the products:
    features keep their own likeliest variance, and expectation maximisation with a threshold on the eigenvalues finds
    the directions.

    Parameters
    ----------
    whitened : array of shape (n, channels x times)
        Training rows.
    shape : tuple of int
        Channels and times.
    kernel_values, kernel_vectors : arrays of shape (n,) and (n, n)
        Eigen-decomposition of the rows' kernel.
    noise : float
        Noise variance of a row along every direction (one over its number of trials).

    Returns
    -------
    Subspace
        At least one and at most 100 directions (300 for maps), also where there is nothing but noise.
    """
    mean = whitened.mean(axis=0)
    rows = kernel_vectors.T @ (whitened - mean)
    if min(shape) == 1:
        variance, basis = _map_directions(rows, kernel_values, noise)
        return Subspace(mean, basis, variance)
    floor = _apparent_variance_of_noise(kernel_values, noise)
    smoothed = (kernel_values / (kernel_values + START_SHRINKAGE))[:, None] * rows
    for _ in range(ROTATION_ROUNDS):
        space, time = _rotations(smoothed, shape)
        rotated = _rotate(rows, shape, space, time)
        apparent = likeliest_variance(rotated, kernel_values, noise).reshape(space.shape[1], time.shape[1])
        variance = _separable(apparent, floor)
        if not variance.any():
            break
        flat = variance.reshape(-1)
        gain = kernel_values[:, None] * flat
        kept = (gain / (gain + noise) * rotated).reshape(-1, space.shape[1], time.shape[1])
        smoothed = (space @ kept @ time.T).reshape(len(rows), -1)
    flat = variance.reshape(-1)
    order = np.argsort(-flat, kind="stable")
    n_products = (
        int(np.clip((flat > 1e-3 * flat.max()).sum(), LEAST_PRODUCTS, MOST_PRODUCTS)) if flat.any() else LEAST_PRODUCTS
    )
    chosen = order[: min(n_products, len(order))]
    start = np.maximum(flat[chosen], floor)
    values, mixing = _prior_covariance(rotated[:, chosen], kernel_values, start, noise)
    n_directions = min(MOST_DIRECTIONS, max(1, int((values > 1e-2 * values[0]).sum())))
    products = space[:, None, chosen // time.shape[1]] * time[None, :, chosen % time.shape[1]]
    basis = products.reshape(-1, len(chosen)) @ mixing[:, :n_directions]
    return Subspace(mean, basis, values[:n_directions])


def _map_directions(rows: Floats, kernel_values: Floats, noise: float) -> tuple[Floats, Floats]:
    """Variances and directions of a map's signal."""
    start = likeliest_variance(rows, kernel_values, noise)
    if not start.any():
        start = np.full(rows.shape[1], VARIANCE_GRID[1])
    # No feature is shut out at the start: what it shares with the others may speak for it.
    start = np.maximum(start, 0.3 * start.mean())
    values, vectors = _prior_covariance(
        rows, kernel_values, start, noise, n_rounds=MAP_ROUNDS, threshold=MAP_THRESHOLD * noise
    )
    kept = min(MOST_MAP_DIRECTIONS, max(1, int((values > 1e-3 * values[0]).sum())))
    return values[:kept], vectors[:, :kept]


def _prior_covariance(
    rows: Floats,
    kernel_values: Floats,
    start: Floats,
    noise: float,
    *,
    n_rounds: int = COVARIANCE_ROUNDS,
    threshold: float = 0.0,
) -> tuple[Floats, Floats]:
    """Eigenvalues and eigenvectors of the prior covariance between directions, by expectation maximisation.

    Few steps from a diagonal start: the maximum itself would explain noise.
    """
    covariance = np.diag(start)
    values, vectors = symmetric_eigen(covariance)
    usable = kernel_values > 1e-10 * kernel_values[0]
    rows, weights = rows[usable], kernel_values[usable]
    for _ in range(n_rounds):
        total = weights[:, None] * values + noise
        latent = np.sqrt(weights)[:, None] * values / total * (rows @ vectors)
        spread = (values * noise / total).sum(axis=0)
        covariance = vectors @ ((latent.T @ latent + np.diag(spread)) / len(rows)) @ vectors.T
        values, vectors = symmetric_eigen((covariance + covariance.T) / 2)
        if values[0] > threshold:
            values = np.maximum(values - threshold, 0.0)
    return values, vectors
