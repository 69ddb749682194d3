"""Retrieval of speech segments on a small simulated study: above chance, chance when shuffled, below its ceilings."""

from pathlib import Path

import numpy as np
import pytest

from neurodecode.cli import retrieve
from neurodecode.core.errors import DataError, MismatchError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.results import Results
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.simulation.speech_study import FEATURE_RATE, SpeechSize, simulate_speech_study
from neurodecode.encoders.stimulus.mel import MelEncoder
from neurodecode.training.speech_targets import extract_speech_targets
from neurodecode.workflow.plan import Plan, check_plan
from neurodecode.workflow.records import retrieval_records
from neurodecode.workflow.retrieve import Retrieval, with_controls
from neurodecode.workflow.run_folder import RankingTables
from neurodecode.workflow.shuffle import shuffled_copy
from neurodecode.workflow.spaces import Workspace
from neurodecode.workflow.speech import is_speech, limits_of, make_bank, rank_segments
from neurodecode.workflow.speech_ceilings import ceiling_scores
from neurodecode.workflow.speech_models import lags_of
from neurodecode.workflow.speech_segments import SeriesBank, check_rates, segment_items

pytest.importorskip("espeakng_loader", reason="the voice is in the extra 'speech'")


def mel_features(waves: list[np.ndarray]) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Drive the sources by four mel bands: a decoder that knows mel bands can do well."""
    bands = [MelEncoder(["mel"], rate=FEATURE_RATE, bands=4).encode([wave])["mel"][0] for wave in waves]
    mean, spread = np.concatenate(bands).mean(axis=0), np.concatenate(bands).std(axis=0)
    return ("low", "low", "high", "high"), [((band - mean) / spread).astype(np.float32) for band in bands]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    space = Workspace(tmp_path_factory.mktemp("speech"))
    size = SpeechSize(sentences=80, runs=2, subjects=1)
    simulate_speech_study(space.data / "spoken_meg", features_of=mel_features, driven_by="mel bands", size=size)
    return space


@pytest.fixture(scope="module")
def prepared(space: Workspace) -> PreparedStudy:
    return prepare_study(open_study("spoken_meg", space.data), space.cache("spoken_meg"), sfreq=50.0)


@pytest.fixture(scope="module")
def bank(prepared: PreparedStudy, space: Workspace) -> SeriesBank:
    return make_bank(prepared, space)


@pytest.fixture(scope="module")
def ranked(prepared: PreparedStudy, bank: SeriesBank) -> Retrieval:
    return rank_segments(prepared, prepared, bank, None, prepared.subjects)


def test_both_ways_find_the_segment(ranked: Retrieval) -> None:
    correct = ranked.tables.correct("sub-01")
    chance = 1 / len(ranked.tables.candidates)
    assert ranked.tables.models == ["fused", "ridge", "encoding", "chosen"]
    for model in ("ridge", "encoding", "fused"):
        matrix = ranked.tables.scores[model, "sub-01"]
        assert (matrix.argmax(axis=1) == correct).mean() > 5 * chance
    report = ranked.reports["sub-01/0"]
    assert set(report["rules"]) == {"ridge", "encoding"}
    assert ranked.chosen["sub-01/0"] in ("ridge", "encoding", "fused")


def test_shuffled_pairs_are_chance(
    prepared: PreparedStudy, bank: SeriesBank, space: Workspace, ranked: Retrieval
) -> None:
    copy = shuffled_copy(prepared, space.shuffled("spoken_meg", 0), seed=0)
    blind = rank_segments(prepared, copy, bank, None, ["sub-01"])
    correct = blind.tables.correct("sub-01")
    places = (-blind.tables.scores["fused", "sub-01"]).argsort(axis=1).argsort(axis=1)[np.arange(len(correct)), correct]
    # The mean rank of a blind ranking of n is (n - 1) / 2, give or take three standard errors.
    n = len(blind.tables.candidates)
    assert abs(places.mean() - (n - 1) / 2) < 3 * n / np.sqrt(12 * len(correct))
    tables = with_controls(ranked.tables, blind, seed=0)
    scores, _, _ = retrieval_records(prepared, tables, joint=False, seed=0, absent={"oracle": "not asked for here"})
    directions = {score.direction for score in scores if score.model == "ridge"}
    assert {"image_given_brain", "brain_given_image"} <= directions
    assert all(score.simulated for score in scores)
    assert {score.model for score in scores} >= {"shuffled_brain", "shuffled_brain_permuted"}


def test_the_oracle_knows_best(prepared: PreparedStudy, ranked: Retrieval, space: Workspace) -> None:
    items = segment_items(prepared, "sub-01", fold=0)
    candidates = [str(name) for name in ranked.tables.candidates["candidate"]]
    found = ceiling_scores(space.data / "spoken_meg", prepared, "sub-01", items, candidates)
    correct = ranked.tables.correct("sub-01")
    hits = {name: float((matrix.argmax(axis=1) == correct).mean()) for name, matrix in found.items()}
    assert hits["oracle"] >= 0.95
    assert hits["oracle"] >= hits["ideal_learner"] > 5 / len(candidates)


def test_training_windows_that_overlap_almost_wholly_are_left_out(prepared: PreparedStudy) -> None:
    few = segment_items(prepared, "sub-01", fold=0)
    everything = segment_items(prepared, "sub-01", fold=0, spacing=0.0)
    assert len(few.train.stimulus) < len(everything.train.stimulus) / 2
    assert set(few.train.group) == set(everything.train.group)
    assert len(few.test.stimulus) == len(everything.test.stimulus)


def test_targets_at_another_rate_are_refused(prepared: PreparedStudy, tmp_path: Path) -> None:
    targets = extract_speech_targets(prepared.stimuli, MelEncoder(["envelope"], rate=120.0), tmp_path / "t")
    with pytest.raises(MismatchError, match="120 frames per second"):
        check_rates(prepared, SeriesBank(targets, prepared.stimuli, 3.0))


def test_lags_look_at_the_same_delays_both_ways() -> None:
    backward, forward = lags_of(100.0, 0.0)
    assert (backward[0], backward[-1]) == (2, 66)
    assert forward == [-lag for lag in reversed(backward)]


def test_speech_is_a_modality_of_the_quickstart() -> None:
    assert is_speech(Plan(modality="speech"))
    assert Plan(modality="speech").name == "spoken_meg"
    assert Plan(modality="speech").built_in
    assert is_speech(Plan(study="gwilliams2022"))
    assert not is_speech(Plan(modality="meg"))
    check_plan(Plan(modality="speech"))


def test_overlapping_test_segments_are_a_stated_limit(ranked: Retrieval) -> None:
    assert limits_of(ranked.tables) == []
    queries = ranked.tables.queries.assign(unit="one")
    said = limits_of(RankingTables(queries, ranked.tables.candidates, ranked.tables.scores))
    assert "intervals are too narrow" in said[0]


def test_the_command_ranks_segments(
    prepared: PreparedStudy, bank: SeriesBank, space: Workspace, ranked: Retrieval, tmp_path: Path
) -> None:
    output = tmp_path / "result"
    retrieve.run(prepared.folder, space.targets("spoken_meg"), data=space.data / "spoken_meg", output=output, seed=0)
    results = Results.from_json(output / "results.json")
    fused = results.select(metric="top1", model="fused", subject="sub-01", direction="image_given_brain")[0]
    correct = ranked.tables.correct("sub-01")
    assert fused.value == pytest.approx((ranked.tables.scores["fused", "sub-01"].argmax(axis=1) == correct).mean())
    assert fused.simulated
    assert results.select(metric="top1", model="oracle", subject="mean", direction="image_given_brain")
    assert any(absent.model == "exact_learner" for absent in results.absent)
    with pytest.raises(DataError, match="no folder of targets"):
        retrieve.run(prepared.folder, tmp_path / "nothing", output=output)
