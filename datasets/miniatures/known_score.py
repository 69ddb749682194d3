"""The score that a miniature is known to have: codes predicted by least squares, looked up among the candidates."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.datasets.miniatures.planted import code_of

SHUFFLES = 20


def known_score(
    prepared: PreparedStudy,
    subject: str,
    *,
    shuffle: bool = False,
    fold: int = 0,
    code: Callable[[str], NDArray[np.float64]] = code_of,
) -> float:
    """Compute the share of test stimuli whose predicted code is nearer to their own code than to any other's.

    The map from signals to codes is fitted to the training windows in closed form; windows of a test stimulus are
    averaged.

    Parameters
    ----------
    prepared : PreparedStudy
        Of a miniature.
    subject : str
        Whose windows.
    shuffle : bool
        Whether training windows get each other's codes, so that only chance is left: the mean of 20 such scores.
    fold : int
        Of the split.
    code : callable
        Gives the code of a stimulus by its name.

    Returns
    -------
    float
        0 to 1; chance is one over the number of test stimuli.
    """
    recording = prepared.recording(subject)
    names = recording.windows["stimulus"].astype(str).to_numpy()
    values = recording.read(np.arange(len(names))).reshape(len(names), -1).astype(np.float64)
    train = prepared.split.rows(subject, "train", fold=fold)
    test = prepared.split.rows(subject, "test", fold=fold)
    centre = values[train].mean(axis=0)
    codes = np.stack([code(one) for one in names[train]])
    candidates = np.unique(names[test])
    responses = np.stack([values[test[names[test] == one]].mean(axis=0) - centre for one in candidates])
    true = np.stack([code(one) for one in candidates])
    scores = []
    for seed in range(SHUFFLES) if shuffle else [None]:
        shown = codes if seed is None else np.random.default_rng(seed).permutation(codes)
        predicted = responses @ np.linalg.lstsq(values[train] - centre, shown, rcond=None)[0]
        nearest = np.argmax(np.corrcoef(predicted, true)[: len(true), len(true) :], axis=1)
        scores.append(float(np.mean(nearest == np.arange(len(true)))))
    return float(np.mean(scores))
