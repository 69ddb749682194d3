"""The decoder: ridge regression from whitened brain signals to the joint components of the bank."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.encoders.linear.backend import kernel_ridge_cv
from neurodecode.encoders.linear.trials import Strings, grouped_folds

Floats = NDArray[np.float64]

PENALTIES = np.logspace(-4, 4, 17)
N_FOLDS = 3


@dataclass(frozen=True)
class RidgeDecoder:
    """Linear map from signal coordinates to targets.

    Parameters
    ----------
    weights : array of shape (n_features, n_targets)
    mean : array of shape (n_features,)
        Training mean of the features.
    intercept : array of shape (n_targets,)
        Training mean of the targets.
    penalties : array of shape (n_targets,)
        Chosen for each target, in units of the mean eigenvalue of the kernel.
    """

    weights: Floats
    mean: Floats
    intercept: Floats
    penalties: Floats

    def predict(self, features: Floats) -> Floats:
        """Predicted targets (n, n_targets)."""
        return np.asarray((features - self.mean) @ self.weights + self.intercept)

    def trial_noise(self) -> Floats:
        """Covariance (n_targets, n_targets) of predictions that one trial's noise causes, for whitened features."""
        return np.asarray(self.weights.T @ self.weights)


def fit_ridge(
    features: Floats,
    targets: Floats,
    groups: Strings,
    *,
    prior: Floats | None = None,
    seed: int = 0,
    n_folds: int = N_FOLDS,
) -> RidgeDecoder:
    """Fit the decoder in the dual, with one penalty a target chosen by inner folds that keep units whole.

    Parameters
    ----------
    features : array of shape (n, n_features)
        Whitened rows.
    targets : array of shape (n, n_targets)
    groups : array of str of shape (n,)
        Unit of each row.
    prior : array of shape (n_features,), optional
        How much signal each feature carries; a feature is scaled by its root, so that weak ones are penalised more.
    seed : int
        Of the inner folds.
    n_folds : int
        Inner folds.

    Returns
    -------
    RidgeDecoder
        Weights are for the features as given, without the scaling.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> features = generator.standard_normal((60, 4))
    >>> targets = features @ np.array([[1.0], [0.0], [2.0], [0.0]])
    >>> decoder = fit_ridge(features, targets, np.arange(60).astype(str))
    >>> decoder.weights.round(2).ravel().tolist()
    [1.0, 0.0, 2.0, 0.0]
    """
    root = np.ones(features.shape[1]) if prior is None else np.sqrt(np.maximum(prior, 0.0))
    mean, intercept = features.mean(axis=0), targets.mean(axis=0)
    scaled = (features - mean) * root
    kernel = scaled @ scaled.T
    unit = float(np.trace(kernel)) / len(kernel)
    if unit <= 0:
        empty = np.zeros((features.shape[1], targets.shape[1]))
        return RidgeDecoder(empty, mean, intercept, np.full(targets.shape[1], PENALTIES[-1]))
    model = kernel_ridge_cv(PENALTIES, grouped_folds(groups, n_folds, seed))
    model.fit(kernel / unit, targets - intercept)
    weights = (scaled.T @ np.asarray(model.dual_coef_)) / unit * root[:, None]
    return RidgeDecoder(weights, mean, intercept, np.asarray(model.best_alphas_, dtype=np.float64))
