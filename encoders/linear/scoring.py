"""Rules that score candidates for a predicted embedding: cosine, correlation, Gaussian likelihood, density ratio.

Predictions and candidates are coordinates on the joint components of the bank. Each query is scored on its own. What
a rule needs is fitted on held-out predictions of training stimuli (each unit predicted by a model that never saw it) or
on validation.

The density ratio is `log p(prediction | candidate) - log p(prediction)` for jointly Gaussian predictions and targets.
It differs from the likelihood in that the prediction is not taken for an unbiased one: ridge shrinks what it cannot
read from the brain, so the mean of the prediction is a fitted linear map of the candidate.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, MismatchError
from neurodecode.encoders.linear.encoding import correlation, cosine, gaussian_scores
from neurodecode.encoders.linear.noise import ledoit_wolf
from neurodecode.encoders.linear.trials import Strings, grouped_folds

Floats = NDArray[np.float64]

RULES = ("cosine", "correlation", "gaussian", "density_ratio")
SLOPE_PENALTIES = np.logspace(-4, 3, 15)
# No direction of the prediction is trusted beyond this share of its held-out residual variance, whatever the noise.
LEAST_MODEL_SHARE = 0.02


@dataclass(frozen=True)
class Rule:
    """A fitted scoring rule.

    Parameters
    ----------
    kind : str
        One of `RULES`.
    rank : int
        Leading directions of the predictions that the Gaussian rules use; 0 for the others.
    arrays : dict of str to array
        Fitted numbers; see `fit_rule`.
    """

    kind: str
    rank: int
    arrays: dict[str, Floats]

    @property
    def name(self) -> str:
        """Kind, with the rank where there is one."""
        return f"{self.kind}_{self.rank}" if self.rank else self.kind


def fit_rule(
    kind: str,
    predictions: Floats,
    truths: Floats,
    groups: Strings,
    *,
    rank: int = 20,
    grams: Floats | None = None,
    repetitions: float = 1.0,
    trial_noise: Floats | None = None,
    seed: int = 0,
) -> Rule:
    """Fit one rule on held-out predictions.

    Parameters
    ----------
    kind : {"cosine", "correlation", "gaussian", "density_ratio"}
    predictions : array of shape (n, n_targets)
        Each row predicted by a model that did not see its unit.
    truths : array of shape (n, n_targets)
    groups : array of str of shape (n,)
        Unit of each row.
    rank : int
        Leading principal directions of the predictions for the two Gaussian rules; at most a quarter of the rows.
    grams : array of shape (n_layers, n_targets, n_targets), optional
        Inner products within each layer; the cosine is then the mean over layers of the layers' cosines.
    repetitions : float
        Trials averaged into each of these rows (harmonic mean).
    trial_noise : array of shape (n_targets, n_targets), optional
        Covariance of predictions due to the noise of one trial. When given, queries of other counts get a residual
        covariance with the noise of their own count.
    seed : int
        Of the folds that choose the slope's penalty.

    Returns
    -------
    Rule

    Raises
    ------
    ConfigError
        If the kind is not known.
    """
    if kind not in RULES:
        raise ConfigError(f"scoring rule: got {kind!r}, expected one of {', '.join(RULES)}")
    if kind == "cosine":
        return Rule(kind, 0, {"grams": np.eye(truths.shape[1])[None] if grams is None else grams})
    if kind == "correlation":
        return Rule(kind, 0, {"scale": 1 / np.maximum(truths.std(axis=0), 1e-9 * max(float(truths.std()), 1e-300))})
    centre = predictions.mean(axis=0)
    centred = predictions - centre
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    usable = int((lengths > 1e-6 * lengths[0]).sum()) if lengths[0] > 0 else 1
    rank = max(1, min(rank, usable, len(predictions) // 4))
    basis = directions[:rank].T / np.maximum(lengths[:rank] / np.sqrt(len(centred)), 1e-300)
    if kind == "gaussian":
        # Candidates are compared with predictions as they are, apart from a constant offset.
        slope, target_centre = basis, truths.mean(axis=0)
        residuals = (centred - (truths - target_centre)) @ basis
    else:
        target_centre = truths.mean(axis=0)
        slope, residuals = _slope(centred @ basis, truths - target_centre, groups, seed)
    covariance, _ = ledoit_wolf(residuals)
    noise = np.zeros((rank, rank)) if trial_noise is None else basis.T @ trial_noise @ basis
    explained = (truths - target_centre) @ slope
    arrays = {
        "centre": centre,
        "target_centre": target_centre,
        "basis": basis,
        "slope": slope,
        "model": _without_noise(covariance, noise / repetitions),
        "noise": noise,
        "explained": explained.T @ explained / len(explained),
        "repetitions": np.array([repetitions], dtype=np.float64),
    }
    return Rule(kind, rank, arrays)


def _slope(reduced: Floats, targets: Floats, groups: Strings, seed: int) -> tuple[Floats, Floats]:
    """Ridge map from targets to reduced predictions, and its residuals out of fold, a penalty a direction."""
    folds = grouped_folds(groups, 5, seed)
    unit = max(float((targets**2).mean()), 1e-300) * len(targets)
    errors = np.zeros((len(SLOPE_PENALTIES), reduced.shape[1]))
    guesses = np.empty((len(SLOPE_PENALTIES), *reduced.shape))
    for train, held_out in folds:
        values, vectors = np.linalg.eigh(targets[train].T @ targets[train])
        moments = vectors.T @ (targets[train].T @ reduced[train])
        rotated = targets[held_out] @ vectors
        for number, penalty in enumerate(SLOPE_PENALTIES):
            guesses[number, held_out] = rotated @ (moments / (np.maximum(values, 0)[:, None] + penalty * unit))
        errors += ((reduced[held_out] - guesses[:, held_out]) ** 2).sum(axis=1)
    best = errors.argmin(axis=0)
    columns = np.arange(reduced.shape[1])
    residuals = reduced - guesses[best, :, columns].T
    values, vectors = np.linalg.eigh(targets.T @ targets)
    moments = vectors.T @ (targets.T @ reduced)
    return vectors @ (moments / (np.maximum(values, 0)[:, None] + SLOPE_PENALTIES[best] * unit)), residuals


def _without_noise(covariance: Floats, noise: Floats) -> Floats:
    """Take the noise out of a residual covariance, leaving every direction at least a small share of it."""
    if not noise.any():
        return covariance
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    shares, directions = np.linalg.eigh(np.eye(len(covariance)) - inverse @ noise @ inverse)
    kept = (directions * np.maximum(shares, LEAST_MODEL_SHARE)) @ directions.T
    result = root @ kept @ root
    return np.asarray((result + result.T) / 2)


def score(predictions: Floats, candidates: Floats, rule: Rule, repetitions: NDArray[np.int64] | None = None) -> Floats:
    """Score every candidate for every prediction.

    Parameters
    ----------
    predictions : array of shape (n_queries, n_targets)
    candidates : array of shape (n_candidates, n_targets)
    rule : Rule
    repetitions : array of int of shape (n_queries,), optional
        Trials averaged into each query; by default as many as in the rows the rule was fitted on.

    Returns
    -------
    array of shape (n_queries, n_candidates)
        Larger is better; a query's row does not depend on the other queries.

    Raises
    ------
    MismatchError
        If the number of targets differs from the rule's.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> truths = generator.standard_normal((200, 3))
    >>> predictions = 0.5 * truths + 0.05 * generator.standard_normal((200, 3))
    >>> rule = fit_rule("density_ratio", predictions, truths, np.arange(200).astype(str))
    >>> bool((score(predictions, truths, rule).argmax(axis=1) == np.arange(200)).mean() > 0.9)
    True
    """
    if predictions.shape[1] != candidates.shape[1]:
        raise MismatchError(f"candidates: got {candidates.shape[1]} targets, expected {predictions.shape[1]}")
    if rule.kind == "cosine":
        parts = []
        for gram in rule.arrays["grams"]:
            values, vectors = np.linalg.eigh(gram)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            parts.append(cosine(predictions @ root, candidates @ root))
        return np.asarray(np.mean(parts, axis=0))
    if rule.kind == "correlation":
        return correlation(predictions * rule.arrays["scale"], candidates * rule.arrays["scale"])
    arrays = rule.arrays
    fitted = float(arrays["repetitions"][0])
    counts = np.full(len(predictions), fitted) if repetitions is None else np.asarray(repetitions, dtype=np.float64)
    reduced = (predictions - arrays["centre"]) @ arrays["basis"]
    means = (candidates - arrays["target_centre"]) @ arrays["slope"]
    scores = np.empty((len(predictions), len(candidates)))
    for count in np.unique(counts):
        rows = counts == count
        covariance = arrays["model"] + arrays["noise"] / count
        scores[rows] = gaussian_scores(reduced[rows], means, covariance)
        if rule.kind == "density_ratio":
            marginal = _log_density(reduced[rows], covariance + arrays["explained"])
            scores[rows] += (_log_density(reduced[rows], covariance) - marginal)[:, None]
    return scores


def _log_density(rows: Floats, covariance: Floats) -> Floats:
    """Log density of zero-mean Gaussian rows, without the constant of the dimension."""
    factor = scipy.linalg.cholesky(covariance, lower=True)
    whitened = scipy.linalg.solve_triangular(factor, rows.T, lower=True)
    return np.asarray(-0.5 * (whitened**2).sum(axis=0) - np.log(np.diag(factor)).sum())
