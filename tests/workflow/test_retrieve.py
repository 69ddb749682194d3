"""Ranking a study: planted signal is found, shuffled pairs are not, folds are pooled, and every record is whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from neurodecode.cli import retrieve
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.results import Results
from neurodecode.core.targets import TargetSpace, TargetWriter
from neurodecode.encoders.linear.trials import TrialSet
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.items import fold_items
from neurodecode.workflow.records import answers_of, retrieval_records
from neurodecode.workflow.retrieve import PERMUTED, SHUFFLED, Retrieval, rank_study, with_controls
from neurodecode.workflow.run_folder import RankingTables
from neurodecode.workflow.shuffle import shuffled_copy

LINEAR = ("ridge", "encoding", "fused")


def top1(tables: RankingTables, model: str, subject: str) -> float:
    return float((tables.scores[model, subject].argmax(axis=1) == tables.correct(subject)).mean())


@pytest.fixture(scope="module")
def ranked(small_study: PreparedStudy, bank: TargetBank) -> Retrieval:
    return rank_study(small_study, bank, decode=None, seed=0, subjects=["sub-01"])


@pytest.fixture(scope="module")
def shuffled(small_study: PreparedStudy, bank: TargetBank, tmp_path_factory: pytest.TempPathFactory) -> Retrieval:
    copy = shuffled_copy(small_study, tmp_path_factory.mktemp("shuffled") / "copy", seed=0)
    return rank_study(copy, bank, decode=None, seed=0, subjects=["sub-01"])


def test_every_linear_model_finds_the_planted_signal(ranked: Retrieval) -> None:
    assert ranked.tables.models == ["ridge", "encoding", "fused", "chosen"]
    for model in LINEAR:
        assert top1(ranked.tables, model, "sub-01") > 0.6  # chance is 1 of 24
    assert ranked.chosen["sub-01/0"] in LINEAR
    np.testing.assert_array_equal(
        ranked.tables.scores["chosen", "sub-01"], ranked.tables.scores[ranked.chosen["sub-01/0"], "sub-01"]
    )


def test_shuffled_pairs_lead_to_chance(ranked: Retrieval, shuffled: Retrieval) -> None:
    tables = with_controls(ranked.tables, shuffled, seed=0)
    # Of 24 candidates, six or more of 24 right has a probability below 0.001 by chance.
    for model in (SHUFFLED, PERMUTED):
        assert top1(tables, model, "sub-01") < 6 / 24
    np.testing.assert_array_equal(
        np.sort(tables.scores[PERMUTED, "sub-01"], axis=0), np.sort(tables.scores["fused", "sub-01"], axis=0)
    )


def test_answers_have_one_row_a_query_and_one_column_a_candidate(ranked: Retrieval) -> None:
    answers = answers_of(ranked.tables, by_unit=False)
    assert set(answers) == {(model, "sub-01") for model in (*LINEAR, "chosen")}
    assert answers["ridge", "sub-01"].scores.shape == (24, 24)
    assert ranked.tables.queries["repetitions"].tolist() == [3] * 24


def test_a_row_is_scored_as_if_it_were_alone(ranked: Retrieval) -> None:
    fitted = ranked.models["sub-01", 0]
    candidates = [str(name) for name in ranked.tables.candidates["candidate"]]
    test = fitted.items.test
    alone = TrialSet(test.signals[:1], test.stimulus[:1], test.group[:1], test.repetitions[:1])
    for model, matrix in fitted.score(alone, candidates).items():
        np.testing.assert_allclose(matrix[0], ranked.tables.scores[model, "sub-01"][0], rtol=1e-3, atol=1e-3)


def test_folds_are_pooled_over_one_gallery(of_runs: Retrieval) -> None:
    found = of_runs
    queries = found.tables.queries
    assert queries["fold"].tolist() == np.repeat(np.arange(6), 10).tolist()
    assert len(found.tables.candidates) == 10
    assert found.tables.scores["ridge", "sub-01"].shape == (60, 10)
    assert set(found.chosen) == {f"sub-01/{fold}" for fold in range(6)}
    # Each run is ranked by models that never saw it.
    assert queries.groupby("fold")["unit"].nunique().tolist() == [1] * 6
    assert top1(found.tables, "ridge", "sub-01") > 0.3  # chance is 1 of 10
    answers = answers_of(found.tables, by_unit=True)["ridge", "sub-01"]
    assert len(set(answers.units)) == 6
    assert len(set(answers.folds)) == 6


def test_the_command_writes_a_whole_result(
    small_study: PreparedStudy, targets_folder: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retrieve.run(
        small_study.folder, targets_folder, checkpoint=trained, output=tmp_path / "result", subjects=["sub-01"]
    )
    results = Results.from_json(tmp_path / "result" / "results.json")
    top = {
        score.model: score
        for score in results.scores
        if (score.metric, score.direction, score.subject) == ("top1", "image_given_brain", "sub-01")
    }
    assert {"ridge", "encoding", "decoder", "fused", "chosen", PERMUTED} == set(top)
    assert top["decoder"].value > 0.5
    assert "joint" in top["decoder"].protocol
    assert "within-subject" in top["ridge"].protocol
    assert any(score.metric == "curve_top1" for score in results.scores)
    reasons = {entry.model: entry.reason for entry in results.absent}
    assert reasons[SHUFFLED] == retrieve.REASON_SHUFFLED
    assert reasons["oracle"] == retrieve.REASON_NO_DATA
    files = {path.name for path in (tmp_path / "result").iterdir()}
    assert {"results.csv", "report.html", "scores.npz", "queries.csv", "gallery.npz", "config.yaml"} <= files
    assert "SIMULATED" in capsys.readouterr().out


def test_arguments_that_cannot_work_are_named(
    small_study: PreparedStudy, runs_study: PreparedStudy, targets_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--checkpoint: got one network, but runs has 6 folds"):
        retrieve.run(runs_study.folder, targets_folder, checkpoint=tmp_path)
    with pytest.raises(ConfigError, match=r"--data: got .* but runs is not simulated"):
        retrieve.run(runs_study.folder, targets_folder, data=tmp_path)
    with pytest.raises(DataError, match=r"--data: .* holds no ground truth of sub-01"):
        retrieve.run(small_study.folder, targets_folder, data=tmp_path)
    for wanted in (["sub-09"], [], ["sub-01", "sub-01"]):
        with pytest.raises(ConfigError, match=r"--subjects: got .*, expected some of sub-01, sub-02, each once"):
            retrieve.run(small_study.folder, targets_folder, subjects=wanted)
    with pytest.raises(DataError, match="not a prepared study"):
        retrieve.run(tmp_path, targets_folder)


def test_kept_models_rank_bit_for_bit_as_fitted_ones(
    runs_study: PreparedStudy, bank: TargetBank, of_runs: Retrieval, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rank_study(runs_study, bank, decode=None, seed=0, subjects=["sub-01"], keep=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"fold{fold}" for fold in range(6)]

    def never(*args: object, **options: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("neurodecode.encoders.linear.kept.fit_linear_suite", never)
    second = rank_study(runs_study, bank, decode=None, seed=0, subjects=["sub-01"], keep=tmp_path)
    for found in (first, second):
        assert found.chosen == of_runs.chosen
        assert found.reports == of_runs.reports
        assert list(found.tables.scores) == list(of_runs.tables.scores)
        for key, matrix in of_runs.tables.scores.items():
            np.testing.assert_array_equal(found.tables.scores[key], matrix)


@pytest.mark.parametrize("alike", [True, False])
def test_a_subject_who_is_left_out_is_read_by_models_of_the_others(
    alike: bool, across_study: Callable[[bool], PreparedStudy], bank: TargetBank
) -> None:
    prepared = across_study(alike)
    items = fold_items(prepared, "sub-02", fold=1)
    own = fold_items(prepared, "sub-02", fold=1).test
    assert len(items.train) == 2 * len(set(items.train.stimulus))
    assert set(items.train.repetitions) == set(own.repetitions) == {3}
    assert not set(items.train.stimulus) & set(items.test.stimulus)
    retrieval = rank_study(prepared, bank, decode=None, seed=0)
    scores, _, _ = retrieval_records(prepared, retrieval.tables, joint=False, seed=0, absent={})
    found = next(
        score
        for score in scores
        if (score.metric, score.direction, score.model, score.subject) == ("top1", "image_given_brain", "fused", "mean")
    )
    assert found.protocol.startswith("leave-one-subject-out | disjoint unit: stimulus")
    assert found.n_queries == len(own)
    assert (found.value > 0.5) if alike else (found.low <= found.chance)


def test_tokens_are_ranked_as_their_flat_vectors(small_study: PreparedStudy, bank: TargetBank, tmp_path: Path) -> None:
    names = bank.layers["first"].stimuli
    values = np.concatenate([bank.rows(names)["first"], bank.rows(names)["last"][:, 2:]], axis=1)
    for folder, kind, shape in (("flat", "vector", (6,)), ("wide", "tokens", (2, 3))):
        space = TargetSpace("planted", "00", "all", "none", "none", False, kind, shape)  # type: ignore[arg-type]
        writer = TargetWriter(tmp_path / folder / "all", space)
        for name, row in zip(names, values, strict=True):
            writer.add(name, row.reshape(shape))
        writer.close()

    found = {}
    for folder, shape in (("flat", (6,)), ("wide", (2, 3))):

        def network(
            fold: int, subject: str, signals: NDArray[np.float32], sequences: object = None, /,
            shape: tuple[int, ...] = shape,
        ) -> dict[str, NDArray[np.float32]]:  # fmt: skip
            return {"all": signals.reshape(len(signals), -1)[:, :6].reshape(-1, *shape)}

        wide = TargetBank.open(tmp_path / folder)
        found[folder] = rank_study(small_study, wide, decode=network, seed=0, subjects=["sub-01"])
    assert top1(found["wide"].tables, "ridge", "sub-01") > 0.6
    for model in ("ridge", "encoding", "fused", "decoder"):
        one, other = (found[folder].tables.scores[model, "sub-01"] for folder in ("flat", "wide"))
        np.testing.assert_allclose(other, one, rtol=2e-3, atol=2e-3)
    fitted = replace(found["wide"].models["sub-01", 0], decode=None)
    assert fitted.predict(fitted.items.test.signals, "all").shape == (24, 2, 3)
