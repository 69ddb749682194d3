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
    squares = rotated**2
    cost = np.empty((len(VARIANCE_GRID), rotated.shape[1]))
    for number, variance in enumerate(VARIANCE_GRID):
        total = variance * kernel_values + noise
        cost[number] = np.log(total).sum() + (1 / total) @ squares
    return np.asarray(VARIANCE_GRID[cost.argmin(axis=0)])


def _apparent_variance_of_noise(kernel_values: Floats, noise: float, n_columns: int = 500) -> float:
    """Mean of `likeliest_variance` when there is only noise: its maximum over positive values is not zero."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((len(kernel_values), n_columns)) * np.sqrt(noise)
    return float(likeliest_variance(rows, kernel_values, noise).mean())


def _rotations(smoothed: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Orthonormal topographies and time courses by falling energy of the smoothed rows."""
    n_channels, n_times = shape
    rows = smoothed.reshape(-1, n_channels, n_times)
    if n_times == 1:
        flat = rows[:, :, 0]
        if n_channels <= len(flat):
            return symmetric_eigen(flat.T @ flat)[1], np.ones((1, 1))
        values, vectors = symmetric_eigen(flat @ flat.T)
        kept = values > 1e-9 * values[0]
        return flat.T @ (vectors[:, kept] / np.sqrt(values[kept])), np.ones((1, 1))
    space = symmetric_eigen(np.tensordot(rows, rows, axes=([0, 2], [0, 2])))[1]
    time = symmetric_eigen(np.tensordot(rows, rows, axes=([0, 1], [0, 1])))[1]
    return space, time


def _rotate(rows: Floats, shape: tuple[int, int], space: Floats, time: Floats) -> Floats:
    return np.asarray((space.T @ rows.reshape(-1, *shape) @ time).reshape(len(rows), -1))


def _separable(variances: Floats, floor: float) -> Floats:
    """Replace variances (topographies, time courses) by a product of two margins, less what noise explains of each."""
    n_space, n_time = variances.shape
    if n_time == 1:
        return np.maximum(variances - FLOOR_FACTOR * floor, 0.0)
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

    Alternates between smoothing the rows with the kernel, taking the leading topographies and time courses of the
    smooth part, and giving each product of the two its likeliest prior variance. Products that no more than noise would
    explain are dropped; the rest are rotated to independent directions by a few steps of expectation maximisation on
    their full prior covariance.

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
        At least one and at most 100 directions, also where there is nothing but noise.
    """
    mean = whitened.mean(axis=0)
    rows = kernel_vectors.T @ (whitened - mean)
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
    n_products = int(np.clip((flat > 1e-3 * flat.max()).sum(), LEAST_PRODUCTS, MOST_PRODUCTS)) if flat.any() else LEAST_PRODUCTS
    chosen = order[: min(n_products, len(order))]
    start = np.maximum(flat[chosen], floor)
    values, mixing = _prior_covariance(rotated[:, chosen], kernel_values, start, noise)
    n_directions = min(MOST_DIRECTIONS, max(1, int((values > 1e-2 * values[0]).sum())))
    products = space[:, None, chosen // time.shape[1]] * time[None, :, chosen % time.shape[1]]
    basis = products.reshape(-1, len(chosen)) @ mixing[:, :n_directions]
    return Subspace(mean, basis, values[:n_directions])


def _prior_covariance(rows: Floats, kernel_values: Floats, start: Floats, noise: float) -> tuple[Floats, Floats]:
    """Eigenvalues and eigenvectors of the prior covariance between directions, by expectation maximisation.

    Few steps from a diagonal start: the maximum itself would explain noise.
    """
    covariance = np.diag(start)
    usable = kernel_values > 1e-10 * kernel_values[0]
    rows, weights = rows[usable], kernel_values[usable]
    for _ in range(COVARIANCE_ROUNDS):
        values, vectors = symmetric_eigen(covariance)
        total = weights[:, None] * values + noise
        latent = np.sqrt(weights)[:, None] * values / total * (rows @ vectors)
        spread = (values * noise / total).sum(axis=0)
        covariance = vectors @ ((latent.T @ latent + np.diag(spread)) / len(rows)) @ vectors.T
        covariance = (covariance + covariance.T) / 2
    return symmetric_eigen(covariance)

