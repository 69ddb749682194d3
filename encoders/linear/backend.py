"""The one place where himalaya is imported and its global backend is set: numpy, whatever else is installed."""

from typing import Any

from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV

set_backend("numpy")


def kernel_ridge_cv(alphas: Any, folds: Any, n_alphas_batch: int | None = None) -> Any:
    """Kernel ridge regression on a precomputed kernel with one penalty a target, chosen on given folds.

    Parameters
    ----------
    alphas : array of float
        Penalties to try.
    folds : list of (train, held_out)
        Row indices of each fold.
    n_alphas_batch : int, optional
        Penalties solved at once; fewer take less memory.

    Returns
    -------
    himalaya.kernel_ridge.KernelRidgeCV
        Not fitted yet.
    """
    set_backend("numpy")
    return KernelRidgeCV(
        alphas=alphas,
        kernel="precomputed",
        cv=folds,
        solver_params={"local_alpha": True, "n_alphas_batch": n_alphas_batch},
        warn=False,
    )
