"""The encoding model: from the bank to the brain, a penalty for every layer and direction, and a likelihood.

Each direction of the signal subspace is a Gaussian process over stimuli: its covariance is a weighted sum of the
layers' kernels, its weights and scale are averaged by how likely they make the training rows. That is banded ridge
regression with the penalties integrated over a grid instead of picked.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.special
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.linear.bank import FeatureKernel, layer_weightings, symmetric_eigen

Floats = NDArray[np.float64]

# Multiples of the prior variance. Larger ones would only follow the noise in directions chosen on the same rows.
SCALES = np.array([0.1, 0.3, 1.0])
# Directions of the kernel over training rows that are worth modelling; what is left is shrunk to nothing anyhow.
MOST_KERNEL_DIRECTIONS = 400
ENCODING_RULES = ("correlation", "noise_likelihood", "likelihood")


@dataclass(frozen=True)
class EncodingModel:
    """Kernel regression from the bank to the coordinates of the signal subspace.

    Parameters
    ----------
    kernel : FeatureKernel
        Compares stimuli with those of training.
    duals : array of shape (n_layers, n_training, n_directions)
        Weight of every training row for each layer and direction.
    intercept : array of shape (n_directions,)
    layer_shares : dict of str to float
        Average weight of each layer over directions, for the report.
    model_error : array of shape (n_directions, n_directions)
        Covariance of what the model gets wrong about a stimulus it has not seen; zeros until estimated out of fold.
    """

    kernel: FeatureKernel
    duals: Floats
    intercept: Floats
    layer_shares: dict[str, float]
    model_error: Floats

    def predict(self, scaled: Mapping[str, Floats]) -> Floats:
        """Predicted coordinates (n_stimuli, n_directions) of stimuli given by their scaled layers."""
        kernels = self.kernel.between(scaled)
        return np.asarray(np.einsum("lmn,lnd->md", kernels, self.duals, optimize=True) + self.intercept)


def fit_encoding(
    coordinates: Floats,
    variance: Floats,
    kernel: FeatureKernel,
    kernels: Floats,
    kernel_vectors: Floats,
    noise: float,
) -> EncodingModel:
    """Fit the banded regression from layers to coordinates.

    Parameters
    ----------
    coordinates : array of shape (n, n_directions)
        Training rows in the signal subspace.
    variance : array of shape (n_directions,)
        Prior variance of each direction, from the subspace; the scales tried are multiples of it.
    kernel : FeatureKernel
        Fitted on the same rows.
    kernels : array of shape (n_layers, n, n)
        What it gives between them.
    kernel_vectors : array of shape (n, n)
        Eigenvectors of the evenly weighted kernel, by falling eigenvalue; the leading ones span the model.
    noise : float
        Noise variance of a row along every direction.

    Returns
    -------
    EncodingModel
        With a model error of zero.

    References
    ----------
    Dupre la Tour, Eickenberg, Nunez-Elizalde and Gallant 2022, doi:10.1016/j.neuroimage.2022.119728 (banded ridge).
    """
    intercept = coordinates.mean(axis=0)
    span = kernel_vectors[:, : min(MOST_KERNEL_DIRECTIONS, len(kernel_vectors))]
    small = np.stack([span.T @ (layer @ span) for layer in kernels])
    rows = span.T @ (coordinates - intercept)
    weightings = layer_weightings(len(kernels))
    costs = np.empty((len(weightings), len(SCALES), rows.shape[1]))
    duals = np.empty((len(weightings), len(SCALES), *rows.shape))
    for number, weighting in enumerate(weightings):
        values, vectors = symmetric_eigen(np.tensordot(weighting, small, axes=1))
        rotated = vectors.T @ rows
        for step, scale in enumerate(SCALES):
            total = scale * variance * values[:, None] + noise
            costs[number, step] = 0.5 * (np.log(total) + rotated**2 / total).sum(axis=0)
            duals[number, step] = vectors @ (scale * variance / total * rotated)
    flat = costs.reshape(-1, rows.shape[1])
    posterior = scipy.special.softmax(-flat, axis=0).reshape(costs.shape)
    by_layer = np.einsum("wl,wsd,wsnd->lnd", weightings, posterior, duals, optimize=True)
    shares = np.einsum("wl,wsd->l", weightings, posterior) / rows.shape[1]
    n_directions = rows.shape[1]
    return EncodingModel(
        kernel,
        np.stack([span @ dual for dual in by_layer]),
        intercept,
        {layer: float(share) for layer, share in zip(kernel.rows, shares, strict=True)},
        np.zeros((n_directions, n_directions)),
    )


def shrink_spikes(covariance: Floats, ratio: float) -> Floats:
    """Shrink eigenvalues of a sample covariance whose noise is the identity, leaving only what noise cannot explain.

    Parameters
    ----------
    covariance : array of shape (n, n)
    ratio : float
        Dimensions over samples.

    Returns
    -------
    array of shape (n, n)
        Identity plus spikes (Donoho, Gavish and Johnstone 2018, doi:10.1214/17-AOS1601).

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((1000, 50))
    >>> float(np.abs(shrink_spikes(noise.T @ noise / 1000, 0.05) - np.eye(50)).max()) < 0.3
    True
    """
    values, vectors = np.linalg.eigh(covariance)
    edge = (1 + np.sqrt(ratio)) ** 2
    above = values > edge
    centred = np.where(above, values, edge) + 1 - ratio
    root = np.sqrt(np.maximum(centred**2 - 4 * np.where(above, values, edge), 0.0))
    shrunk = np.where(above, (centred + root) / 2, 1.0)
    return np.asarray((vectors * shrunk) @ vectors.T)


def model_error_covariance(residuals: Floats, noise: Floats) -> Floats:
    """Covariance of held-out residuals beyond their noise, positive semi-definite.

    Parameters
    ----------
    residuals : array of shape (n, n_directions)
        Measured less predicted coordinates of rows whose whole unit was left out when the model was fitted.
    noise : array of shape (n_directions, n_directions)
        Covariance that the noise of the rows gives them.

    Returns
    -------
    array of shape (n_directions, n_directions)

    Examples
    --------
    >>> residuals = np.random.default_rng(0).standard_normal((4000, 2)) * np.sqrt([3.0, 1.0])
    >>> (model_error_covariance(residuals, np.eye(2)).round(0) + 0.0).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    values, vectors = np.linalg.eigh(noise)
    values = np.maximum(values, 1e-6 * values.max())
    root, inverse = (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T
    whitened = residuals @ inverse
    n_rows, n_directions = residuals.shape
    shrunk = shrink_spikes(whitened.T @ whitened / n_rows, n_directions / n_rows)
    excess = root @ (shrunk - np.eye(n_directions)) @ root
    return np.asarray((excess + excess.T) / 2, dtype=np.float64)


def encoding_scores(
    rule: str, measured: Floats, predicted: Floats, model_error: Floats, repetitions: NDArray[np.int64]
) -> Floats:
    """Score every candidate's predicted coordinates against every measured row.

    Parameters
    ----------
    rule : {"correlation", "noise_likelihood", "likelihood"}
        Pearson correlation over directions; Gaussian log-likelihood with the noise of the row alone; or with noise over
        repetitions plus model error.
    measured : array of shape (n_queries, n_directions)
    predicted : array of shape (n_candidates, n_directions)
    model_error : array of shape (n_directions, n_directions)
    repetitions : array of int of shape (n_queries,)
        Trials averaged into each query.

    Returns
    -------
    array of shape (n_queries, n_candidates)
        Larger is better. Log-likelihoods are relative to a prediction of zero, which ranks the same.

    Raises
    ------
    ConfigError
        If the rule is not known.

    Examples
    --------
    >>> measured = np.array([[1.0, 0.0]])
    >>> encoding_scores("noise_likelihood", measured, np.eye(2), np.zeros((2, 2)), np.array([4])).tolist()
    [[2.0, -2.0]]
    """
    if rule not in ENCODING_RULES:
        raise ConfigError(f"rule of the encoding model: got {rule!r}, expected one of {', '.join(ENCODING_RULES)}")
    if rule == "correlation":
        return correlation(measured, predicted)
    scores = np.empty((len(measured), len(predicted)))
    for count in np.unique(repetitions):
        rows = repetitions == count
        covariance = np.eye(measured.shape[1]) / count
        if rule == "likelihood":
            covariance = covariance + model_error
        scores[rows] = gaussian_scores(measured[rows], predicted, covariance)
    return scores


def gaussian_scores(measured: Floats, means: Floats, covariance: Floats) -> Floats:
    """Log density of rows under Gaussians with given means and one covariance, less that of a mean of zero.

    Examples
    --------
    >>> gaussian_scores(np.array([[1.0]]), np.array([[1.0], [3.0]]), np.eye(1)).tolist()
    [[0.5, -1.5]]
    """
    factor = scipy.linalg.cholesky(covariance, lower=True)
    left = scipy.linalg.solve_triangular(factor, measured.T, lower=True)
    right = scipy.linalg.solve_triangular(factor, means.T, lower=True)
    return np.asarray(left.T @ right - 0.5 * (right**2).sum(axis=0))


def correlation(left: Floats, right: Floats) -> Floats:
    """Pearson correlation between all rows of two matrices; 0 where a row is constant.

    Examples
    --------
    >>> correlation(np.array([[1.0, 2.0, 3.0]]), np.array([[3.0, 2.0, 1.0], [5.0, 5.0, 5.0]])).round(6).tolist()
    [[-1.0, 0.0]]
    """
    left = left - left.mean(axis=1, keepdims=True)
    right = right - right.mean(axis=1, keepdims=True)
    return cosine(left, right)


def cosine(left: Floats, right: Floats) -> Floats:
    """Cosine between all rows of two matrices; 0 where a row is zero."""
    lengths = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=1)
    products = left @ right.T
    return np.asarray(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 1e-300))
