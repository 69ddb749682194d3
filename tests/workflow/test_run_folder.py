"""The folder of a result is read back as it was written, or refused by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import DataError
from neurodecode.workflow.run_folder import RankingTables, load_gallery, save_gallery


def make_tables() -> RankingTables:
    queries = pd.DataFrame(
        {
            "subject": ["sub-01", "sub-01", "sub-02"],
            "query": ["1E10", "null", "1E10"],
            "stimulus": ["1E10", "null", "1E10"],
            "correct": ["1E10", "null", "1E10"],
            "unit": ["1E10", "null", "1E10"],
            "fold": 0,
            "repetitions": [20, 20, 20],
        }
    )
    candidates = pd.DataFrame({"candidate": ["null", "1E10"], "text": ["nothing", "a code that looks like a number"]})
    rng = np.random.default_rng(0)
    scores = {
        ("ridge", "sub-01"): rng.normal(size=(2, 2)).astype(np.float32),
        ("ridge", "sub-02"): rng.normal(size=(1, 2)).astype(np.float32),
    }
    return RankingTables(queries, candidates, scores)


def test_ranking_tables_come_back_whole(tmp_path: Path) -> None:
    tables = make_tables()
    tables.save(tmp_path)
    again = RankingTables.load(tmp_path)
    assert again.subjects == ["sub-01", "sub-02"]
    assert again.models == ["ridge"]
    assert again.correct("sub-01").tolist() == [1, 0]
    for key, matrix in tables.scores.items():
        np.testing.assert_array_equal(again.scores[key], matrix)


def test_right_answer_outside_the_candidates_is_refused() -> None:
    tables = make_tables()
    queries = tables.queries.assign(correct=["1E10", "cat", "1E10"])
    with pytest.raises(DataError, match="'cat' is not among the candidates"):
        RankingTables(queries, tables.candidates, tables.scores)


def test_matrix_of_another_size_is_refused() -> None:
    tables = make_tables()
    with pytest.raises(DataError, match=r"ridge, sub-02: shape \(1, 3\), expected \(1, 2\)"):
        RankingTables(
            tables.queries, tables.candidates, {**tables.scores, ("ridge", "sub-02"): np.zeros((1, 3), np.float32)}
        )


def test_file_cut_in_half_is_named(tmp_path: Path) -> None:
    make_tables().save(tmp_path)
    path = tmp_path / "scores.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"scores\.npz: not readable"):
        RankingTables.load(tmp_path)


def test_gallery_comes_back(tmp_path: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 255, (2, 4, 4, 3), dtype=np.uint8)
    save_gallery(tmp_path / "gallery.npz", ["a", "b"], pictures)
    np.testing.assert_array_equal(load_gallery(tmp_path / "gallery.npz")["b"], pictures[1])
