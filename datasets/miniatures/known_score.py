"""The score that a miniature is known to have: codes predicted by least squares, looked up among the candidates."""

import numpy as np

from neurodecode.core.prepared import PreparedStudy
from neurodecode.datasets.miniatures.planted import code_of


def known_score(
    prepared: PreparedStudy, subject: str, *, shuffle: bool = False, fold: int = 0, name: str = "stimulus"
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
        Whether training windows get each other's codes, so that only chance is left.
    fold : int
        Of the split.
    name : str
        Column of the window table from which `neurodecode.datasets.miniatures.planted.code_of` makes the code.

    Returns
    -------
    float
        0 to 1; chance is one over the number of test stimuli.
    """
    recording = prepared.recording(subject)
    names = recording.windows[name].astype(str).to_numpy()
    values = recording.read(np.arange(len(names))).reshape(len(names), -1).astype(np.float64)
    train = prepared.split.rows(subject, "train", fold=fold)
    test = prepared.split.rows(subject, "test", fold=fold)
    centre = values[train].mean(axis=0)
    codes = np.stack([code_of(one) for one in names[train]])
    if shuffle:
        codes = np.random.default_rng(0).permutation(codes)
    weights = np.linalg.lstsq(values[train] - centre, codes, rcond=None)[0]
    candidates = np.unique(names[test])
    predicted = np.stack([values[test[names[test] == one]].mean(axis=0) - centre for one in candidates]) @ weights
    true = np.stack([code_of(one) for one in candidates])
    nearest = np.argmax(np.corrcoef(predicted, true)[: len(true), len(true) :], axis=1)
    return float(np.mean(nearest == np.arange(len(true))))
