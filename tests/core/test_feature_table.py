"""Ready vectors: looked up by name, refused where they cannot be what they say."""

import numpy as np
import pytest

from neurodecode.core.errors import DataError
from neurodecode.core.feature_table import FeatureTable, numbering_hint

VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_vectors_go_by_name() -> None:
    table = FeatureTable("here", ("a", "b", "c"), VECTORS)
    assert table.of(["c", "a", "c"]).tolist() == [[4, 5], [0, 1], [4, 5]]
    assert not table.normalised
    assert FeatureTable("here", ("a", "b"), np.eye(2, dtype=np.float32)).normalised


def test_the_digest_is_of_names_and_numbers() -> None:
    digest = FeatureTable("here", ("a", "b", "c"), VECTORS).digest()
    assert digest == FeatureTable("there", ("a", "b", "c"), VECTORS.copy()).digest()
    assert digest != FeatureTable("here", ("a", "c", "b"), VECTORS).digest()
    assert digest != FeatureTable("here", ("a", "b", "c"), VECTORS + 1).digest()


@pytest.mark.parametrize(
    ("names", "vectors", "message"),
    [
        (("a", "b"), VECTORS, "here: 3 rows, but 2 names of stimuli"),
        (("a", "b", "a"), VECTORS, "here: the stimulus 'a' has more than one row"),
        (("a", "b", "c"), VECTORS[0], r"here: shape \(2,\), expected one row of numbers a stimulus"),
        ((), VECTORS[:0], r"here: shape \(0, 2\), expected one row"),
        (("a", "b", "c"), np.where(VECTORS == 3, np.nan, VECTORS), "here: the row of stimulus 'b' is not finite"),
    ],
)
def test_what_cannot_be_is_refused(names: tuple[str, ...], vectors: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        FeatureTable("here", names, vectors)


def test_a_missing_stimulus_is_named() -> None:
    table = FeatureTable("here", ("a", "b", "c"), VECTORS)
    with pytest.raises(DataError, match=r"here: stimulus 'd' has no row \(1 of 2 stimuli have none\)$"):
        table.of(["a", "d"])
    numbered = FeatureTable("here", ("0", "1", "2"), VECTORS)
    with pytest.raises(DataError, match="the rows are numbered from 0, the stimuli from 1: off by one"):
        numbered.of(["1", "2", "3"])
    assert numbering_hint(["0", "1"], ["5", "6"], what="x") == ""
    assert numbering_hint(["1", "2"], ["0", "1"], what="x") == "; x are numbered from 1, the stimuli from 0: off by one"
