"""Pairs of brain and stimulus within a batch: how alike they are, which belong together, and their cross entropy."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from neurodecode.core.errors import ConfigError
from neurodecode.training.objectives import Objective

Side = Literal["brain", "image", "both", "none"]
Duplicates = Literal["ignored", "masked", "positive"]

# What torch's own `normalize` takes for the length of a vector of zeros.
SMALLEST_LENGTH = 1e-12


def normalise_sides(brain: Tensor, image: Tensor, side: Side) -> tuple[Tensor, Tensor]:
    """Scale the rows of the named side to unit length.

    Examples
    --------
    >>> brain, image = normalise_sides(torch.full((1, 4), 2.0), torch.full((1, 4), 2.0), "image")
    >>> float(brain.norm()), float(image.norm())
    (4.0, 1.0)
    """
    if side in ("brain", "both"):
        brain = functional.normalize(brain, dim=1)
    if side in ("image", "both"):
        image = functional.normalize(image, dim=1)
    return brain, image


def similarities(brain: Tensor, image: Tensor, side: Side) -> Tensor:
    """Compute the products of all pairs after the rows of the named side were scaled to unit length.

    The lengths divide the products and not the vectors, which of series of features are thousands of times as large.

    Parameters
    ----------
    brain : Tensor of shape (n, dim)
        Predictions.
    image : Tensor of shape (m, dim)
        What they are compared with.
    side : str
        As in :func:`normalise_sides`.

    Returns
    -------
    Tensor of shape (n, m)

    Examples
    --------
    >>> similarities(torch.full((1, 4), 2.0), torch.full((1, 4), 3.0), "image")
    tensor([[4.]])
    """
    products = brain @ image.T
    if side in ("brain", "both"):
        products = products / brain.norm(dim=1).clamp_min(SMALLEST_LENGTH)[:, None]
    if side in ("image", "both"):
        products = products / image.norm(dim=1).clamp_min(SMALLEST_LENGTH)
    return products


def pair_weights(
    candidates: Tensor, partner: Tensor | None, keep: Tensor | None, duplicates: Duplicates
) -> tuple[Tensor, Tensor]:
    """Return which candidates are right for which rows, and which pairs must not count as wrong.

    Parameters
    ----------
    candidates : Tensor of int64, shape (n,)
        Which candidate each row shows.
    partner, keep : Tensor of shape (n,) or None
        The mix, if the signals were mixed.
    duplicates : str
        What is done with other rows of the same candidate: ``ignored`` counts them as wrong answers (as most published
        code does), ``masked`` leaves them out, ``positive`` counts them as right ones.

    Returns
    -------
    right : Tensor of shape (n, n)
        Weight of column j as the answer to row i; rows sum to 1.
    left_out : Tensor of bool, shape (n, n)
        Pairs that are taken out of the comparison.

    Examples
    --------
    >>> pair_weights(torch.tensor([7, 8, 7]), None, None, "positive")[0]
    tensor([[0.5000, 0.0000, 0.5000],
            [0.0000, 1.0000, 0.0000],
            [0.5000, 0.0000, 0.5000]])
    """
    same = candidates[:, None] == candidates[None, :]
    itself = torch.eye(len(candidates), device=candidates.device)
    own = same.float() / same.float().sum(dim=1, keepdim=True) if duplicates == "positive" else itself
    if partner is None or keep is None:
        right, related = own, same
    else:
        share = keep[:, None].to(own)
        right = share * own + (1 - share) * own[partner]
        related = same | (same[partner] & (share < 1))
    left_out = related & (right == 0) if duplicates == "masked" else torch.zeros_like(same)
    return right, left_out


def cross_entropy_of_pairs(logits: Tensor, right: Tensor, left_out: Tensor) -> Tensor:
    """Sum over rows the cross entropy between the right answers and the softmax of the logits.

    Parameters
    ----------
    logits, right : Tensor of shape (n_rows, n_columns)
        Similarities, and weights of the right answers.
    left_out : Tensor of bool, shape (n_rows, n_columns)
        Pairs taken out of the softmax; their weight must be 0.

    Returns
    -------
    Tensor
        A scalar.
    """
    log_probabilities = logits.masked_fill(left_out, -torch.inf).log_softmax(dim=1)
    return -(right * log_probabilities.masked_fill(left_out, 0.0)).sum()


def require_several(objective: Objective, n_rows: int) -> None:
    """Refuse to train on a batch in which there is nothing to tell apart: its loss would be zero whatever is predicted.

    Raises
    ------
    ConfigError
        For a training batch of one row.
    """
    if objective.training and n_rows < 2:
        raise ConfigError(f"objective {objective.name!r}: got a batch of one row, expected two; raise batch_size")
