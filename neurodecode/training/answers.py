"""What a pass over validation or test keeps: scores of every row against all candidates, never the predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurodecode.evaluation.ranks import ranks_from_scores


def retrieval_metrics(
    scores: NDArray[np.float32], subjects: Sequence[str], candidates: Sequence[str], names: Sequence[str]
) -> dict[str, float]:
    """Compute how well each subject's predictions find their stimulus among all of them.

    Parameters
    ----------
    scores : ndarray of shape (n_rows, n_names)
        Similarity of every prediction to every candidate.
    subjects, candidates : sequence of str, n_rows
        Whose prediction, and of what.
    names : sequence of str
        The candidates, each once.

    Returns
    -------
    dict of str to float
        ``mrr``, the mean reciprocal rank, and ``top5`` where there are more than five candidates; means over subjects.
        Empty if there is but one candidate.

    Examples
    --------
    >>> names = [str(number) for number in range(7)]
    >>> found = retrieval_metrics(np.eye(7, dtype=np.float32), ["a"] * 7, names, names)
    >>> found["top5"], found["mrr"]
    (1.0, 1.0)
    """
    if len(names) < 2:
        return {}
    values: dict[str, list[float]] = {}
    whose = np.array(subjects)
    for subject in np.unique(whose):
        rows = np.flatnonzero(whose == subject)
        ranks = ranks_from_scores(scores[rows], [candidates[int(row)] for row in rows], list(names))
        values.setdefault("mrr", []).append(float(ranks.reciprocal_rank().mean()))
        if len(names) > 5:
            values.setdefault("top5", []).append(float(ranks.top_k(5).mean()))
    return {name: float(np.mean(found)) for name, found in values.items()}


@dataclass
class Answers:
    """Scores and losses of the batches of one pass.

    A prediction that keeps time has a third of a million numbers, and there is one for every trial of every subject;
    what ranks them is one number a candidate.

    Parameters
    ----------
    names : list of str
        The candidates, each once.
    gallery : Tensor of shape (n_names, dim)
        What their predictions should be.

    Examples
    --------
    >>> import torch
    >>> answers = Answers(["x", "y"], torch.eye(2))
    >>> answers.add(torch.eye(2), subjects=["a", "a"], candidates=["x", "y"], loss=torch.tensor(0.5))
    >>> answers.loss, answers.metrics()
    (0.5, {'mrr': 1.0})
    """

    names: list[str]
    gallery: Tensor
    subjects: list[str] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    scores: list[NDArray[np.float32]] = field(default_factory=list)
    alone: list[NDArray[np.float32]] = field(default_factory=list)
    losses: list[tuple[Tensor, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gallery = functional.normalize(self.gallery.float(), dim=1)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.candidates)

    def add(
        self,
        brain: Tensor,
        *,
        subjects: Sequence[str],
        candidates: Sequence[str],
        loss: Tensor,
        alone: Tensor | None = None,
    ) -> None:
        """Score the predictions of a batch ``(n, dim)`` by cosine; ``alone``: those made without context."""
        self.subjects += subjects
        self.candidates += candidates
        self.losses.append((loss.detach(), len(candidates)))
        self.scores.append(self._cosines(brain))
        if alone is not None:
            self.alone.append(self._cosines(alone))

    def _cosines(self, brain: Tensor) -> NDArray[np.float32]:
        scores = functional.normalize(brain.float(), dim=1) @ self.gallery.T
        return scores.cpu().numpy()

    @property
    def loss(self) -> float:
        """Mean loss over rows."""
        return sum(float(loss) * rows for loss, rows in self.losses) / len(self)

    def metrics(self) -> dict[str, float]:
        """Compute the retrieval metrics, and those without context under names that end in ``_alone``."""
        found = retrieval_metrics(np.concatenate(self.scores), self.subjects, self.candidates, self.names)
        if self.alone:
            left = retrieval_metrics(np.concatenate(self.alone), self.subjects, self.candidates, self.names)
            found.update({f"{name}_alone": value for name, value in left.items()})
        return found
