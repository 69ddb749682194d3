"""How well the best possible listeners do on simulated data.

All three work on whitened signals (see `preparation.whiten`), on averages over repetitions: with Gaussian noise of
known covariance, the average and the number of trials behind it say as much about the weights as the single trials do.

- The oracle knows the true response to every candidate; it is limited by the noise of the test trials alone.
- The ideal learner knows the features, the noise and the prior variance of every weight, learns the weights of each
  channel and time on its own by Bayesian linear regression, and scores candidates by the posterior predictive. It
  ignores that outputs share sources, so it is a reference, not a bound.
- The exact learner also knows topographies and time courses: the true posterior over the weights, and so the limit.
"""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

Array = NDArray[np.float64]


def oracle(test: Array, counts: Array, responses: Array) -> Array:
    """Log-likelihood of each candidate under its true mean response.

    `-counts / 2 * |test - response|^2`, without the constant. With a pseudo-inverse in the whitening this is the
    likelihood in the space that the preprocessing left.

    Parameters
    ----------
    test : array of shape (n_test, n_outputs)
        Whitened averages.
    counts : array of shape (n_test,)
        How many trials each average holds.
    responses : array of shape (n_candidates, n_outputs)
        Whitened true mean responses.

    Returns
    -------
    array of shape (n_test, n_candidates), float64
        Log-likelihood up to a constant a row.

    Examples
    --------
    >>> (oracle(np.array([[1.0]]), np.array([2.0]), np.array([[1.0], [0.0]])).round(6) + 0.0).tolist()
    [[0.0, -1.0]]
    """
    _check("test", test, counts)
    distances = (test**2).sum(axis=1)[:, None] - 2 * test @ responses.T + (responses**2).sum(axis=1)
    scores: Array = -0.5 * counts[:, None] * distances
    return scores


def ideal_learner(
    train: Array,
    train_counts: Array,
    train_design: Array,
    prior_variance: Array,
    test: Array,
    test_counts: Array,
    candidate_design: Array,
    noise_variance: Array | None = None,
) -> Array:
    """Log posterior predictive of each candidate with an independent Bayesian regression for every output.

    For output `d` the weights are `w_d ~ N(0, diag(prior_variance[:, d]))` and the data `y_d = train_design @ w_d +
    noise`. A candidate `z` predicts `N(z @ mean_d, z @ cov_d @ z + noise_variance_d / test_counts)`, and outputs are
    treated as independent.

    Parameters
    ----------
    train : array of shape (n_train, n_outputs)
        Whitened averages, one a training picture (or single trials with counts of one).
    train_counts : array of shape (n_train,)
        How many trials each average holds.
    train_design : array of shape (n_train, n_features)
        The simulator's features of the training pictures.
    prior_variance : array of shape (n_features, n_outputs)
        Prior variance of every weight.
    test : array of shape (n_test, n_outputs)
        Whitened averages.
    test_counts : array of shape (n_test,)
        How many trials each average holds.
    candidate_design : array of shape (n_candidates, n_features)
        The simulator's features of the candidates.
    noise_variance : array of shape (n_outputs,), optional
        Variance of one trial's whitened noise; ones by default. Outputs without noise variance are left out.

    Returns
    -------
    array of shape (n_test, n_candidates), float64
        Log predictive density up to a constant a row.

    Examples
    --------
    >>> train, design = np.array([[2.0], [-2.0]]), np.array([[1.0], [-1.0]])
    >>> scores = ideal_learner(
    ...     train, np.ones(2), design, np.ones((1, 1)), np.array([[1.5]]), np.ones(1), np.array([[1.0], [-1.0]]))
    >>> bool(scores[0, 0] > scores[0, 1])
    True
    """
    _check("train", train, train_counts)
    _check("test", test, test_counts)
    variance = np.ones(train.shape[1]) if noise_variance is None else noise_variance
    kept = np.flatnonzero(variance > 1e-9)
    gram = (train_design.T * train_counts) @ train_design
    moment = (train_design.T * train_counts) @ train[:, kept]
    means = np.empty((len(candidate_design), len(kept)))
    spreads = np.empty_like(means)
    for start in range(0, len(kept), 256):
        part = slice(start, start + 256)
        root = np.sqrt(prior_variance[:, kept[part]]).T
        scaled = root / variance[kept[part], None]
        # In units of the prior deviations the posterior precision is I + S G S, which exists for zero prior variances
        # too.
        precision = np.eye(len(gram)) + scaled[:, :, None] * gram * root[:, None, :]
        covariance = root[:, :, None] * np.linalg.inv(precision) * root[:, None, :]
        weights = np.einsum("dpq,qd->dp", covariance, moment[:, part] / variance[kept[part]])
        means[:, part] = candidate_design @ weights.T
        spreads[:, part] = np.einsum("jp,dpq,jq->jd", candidate_design, covariance, candidate_design, optimize=True)
    scores = np.empty((len(test), len(candidate_design)))
    for count in np.unique(test_counts):
        rows = test_counts == count
        predictive = spreads + variance[kept] / count
        scores[rows] = _gaussian(test[rows][:, kept], means, predictive)
    return scores


def exact_learner(
    train: Array,
    train_counts: Array,
    train_design: Array,
    basis: Array,
    weight_variance: Array,
    test: Array,
    test_counts: Array,
    candidate_design: Array,
) -> Array:
    """Log posterior predictive of each candidate under the true posterior over all source weights.

    Signals are projected on the span of the sources, which loses nothing in white noise. There
    `y = R @ (weights.T @ z) + noise`, and the weights of all sources are jointly Gaussian.

    Parameters
    ----------
    train : array of shape (n_train, n_outputs)
        Whitened averages, one a training picture (or single trials with counts of one).
    train_counts : array of shape (n_train,)
        How many trials each average holds.
    train_design : array of shape (n_train, n_features)
        The simulator's features of the training pictures.
    basis : array of shape (n_sources, n_outputs)
        Whitened response of each source at activation one.
    weight_variance : array of shape (n_features, n_sources)
        Prior variance of every weight; zero where a feature does not drive a source.
    test : array of shape (n_test, n_outputs)
        Whitened averages.
    test_counts : array of shape (n_test,)
        How many trials each average holds.
    candidate_design : array of shape (n_candidates, n_features)
        The simulator's features of the candidates.

    Returns
    -------
    array of shape (n_test, n_candidates), float64
        Log predictive density up to a constant a row.

    Examples
    --------
    >>> train, design = np.array([[2.0], [-2.0]]), np.array([[1.0], [-1.0]])
    >>> scores = exact_learner(train, np.ones(2), design, np.ones((1, 1)), np.ones((1, 1)),
    ...     np.array([[1.5]]), np.ones(1), np.array([[1.0], [-1.0]]))
    >>> bool(scores[0, 0] > scores[0, 1])
    True
    """
    _check("train", train, train_counts)
    _check("test", test, test_counts)
    left, singular, right = np.linalg.svd(basis, full_matrices=False)
    kept = singular > 1e-9 * singular[0]
    # Columns: the directions of the span. A source's response is a row of `mixing`.
    mixing, directions = left[:, kept] * singular[kept], right[kept]
    train_projected, test_projected = train @ directions.T, test @ directions.T

    features, sources = np.nonzero(weight_variance)
    deviations = np.sqrt(weight_variance[features, sources])
    gram = (train_design.T * train_counts) @ train_design
    overlap = mixing @ mixing.T
    moment = (train_design.T * train_counts) @ train_projected @ mixing.T
    information = gram[np.ix_(features, features)] * overlap[np.ix_(sources, sources)]
    precision = np.eye(len(features)) + deviations[:, None] * information * deviations
    factor = scipy.linalg.cho_factor(precision, lower=True)
    mean = deviations * scipy.linalg.cho_solve(factor, deviations * moment[features, sources])
    weights = np.zeros_like(weight_variance)
    weights[features, sources] = mean
    predicted = candidate_design @ weights @ mixing

    scores = np.empty((len(test), len(candidate_design)))
    n_sources = len(basis)
    for candidate, row in enumerate(candidate_design):
        # How the candidate's response depends on each weight: one column a weight, one row a source.
        lever = np.zeros((n_sources, len(features)))
        lever[sources, np.arange(len(features))] = row[features] * deviations
        half = scipy.linalg.solve_triangular(factor[0], (mixing.T @ lever).T, lower=True)
        values, vectors = np.linalg.eigh(half.T @ half)
        residual = (test_projected - predicted[candidate]) @ vectors
        spread = values + 1.0 / test_counts[:, None]
        scores[:, candidate] = -0.5 * (residual**2 / spread + np.log(spread)).sum(axis=1)
    return scores


def _gaussian(values: Array, means: Array, variances: Array) -> Array:
    """Sum over outputs of the log density of every value under every candidate's independent Gaussian."""
    precision = 1.0 / variances
    scores: Array = -0.5 * (
        values**2 @ precision.T
        - 2 * values @ (means * precision).T
        + (means**2 * precision).sum(axis=1)
        + np.log(variances).sum(axis=1)
    )
    return scores


def _check(name: str, values: Array, counts: Array) -> None:
    if counts.shape != (len(values),):
        raise DataError(f"{name}_counts: expected one count for each of {len(values)} rows, got shape {counts.shape}")
    if (counts <= 0).any():
        raise DataError(f"{name}_counts: expected positive numbers of trials, got {counts.min():g}")
