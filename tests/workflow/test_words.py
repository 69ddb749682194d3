"""Words in sentences: windows, ranking with the sentence and without, and scores that frequent words do not decide."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurodecode.cli import retrieve
from neurodecode.core.array_store import ArrayStore
from neurodecode.core.feature_table import FeatureTable
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import Block, Recording
from neurodecode.core.results import Results
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split
from neurodecode.core.split_rules import split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.speech_passages import check_words, find_passages
from neurodecode.datasets.speech_words import WordRule, word_info, word_stimuli, word_windows
from neurodecode.encoders.stimulus.feature_tables import FeatureTableEncoder
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.retrieval import evaluate_retrieval
from neurodecode.training.targets_extraction import extract_targets
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.decoding import Sequences
from neurodecode.workflow.records import retrieval_records
from neurodecode.workflow.words import rank_words

VOCABULARY = "the the the dog cat goat horse fox owl crow hid ran slept sang".split()
RATE, STEP, N_WORDS, N_SENTENCES = 20.0, 0.5, 5, 90
RULE = WordRule(duration=0.8, lag=-0.2)


def vector_of(word: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=6).astype(np.float32)


def heard() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for sentence in range(N_SENTENCES):
        for word in range(N_WORDS):
            onset = 1.0 + STEP * (sentence * (N_WORDS + 1) + word)
            rows.append((onset, 0.3, str(generator.choice(VOCABULARY)), f"{sentence}", "tale.wav", onset))
    columns = ["onset", "duration", "word", "sentence", "audio", "audio_onset"]
    return check_words(pd.DataFrame(rows, columns=columns), "here")


class Tale(Study):
    """Every word's vector, one dimension a sensor, 0.1 to 0.3 s after its onset; and noise."""

    info = word_info(StudyInfo("tale", "meg", "speech", "Made up.", "nobody", "none", "nowhere", "0", True))

    def subjects(self) -> list[str]:
        return ["sub-01"]

    def stimuli(self) -> Stimuli:
        return word_stimuli([pd.DataFrame({"stimulus": heard()["word"]})])

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        words = heard()
        signal = np.random.default_rng(1).normal(size=(6, round((words["onset"].max() + 2) * RATE))) * 0.7
        for onset, word in zip(words["onset"], words["word"], strict=True):
            first = round((onset + 0.1) * RATE)
            signal[:, first : first + 5] += vector_of(word)[:, None]
        names = [f"M{number}" for number in range(6)]
        block = Block("run", (store or ArrayStore()).keep(signal.astype(np.float32)),
                      Sensors(names, ["mag"] * 6, RATE, RULE.lag, "T"))  # fmt: skip
        table, left_out = word_windows(
            words, find_passages([words], RULE), RULE, subject=subject, block="run", run="1", sfreq=RATE,
            n_samples=signal.shape[1],
        )  # fmt: skip
        assert left_out == 0
        return Recording(subject, "meg", {"run": block}, table, simulated=True)

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        return split_by_rule("text", windows, test_share=0.3)

    def steps(self) -> dict[str, Any]:
        return {"windows": RULE.describe()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(Tale(tmp_path_factory.mktemp("tale")), tmp_path_factory.mktemp("cache") / "tale")


@pytest.fixture(scope="module")
def targets(prepared: PreparedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = prepared.stimuli.names
    table = FeatureTable("made up", tuple(names), np.stack([vector_of(name) for name in names]))
    folder: Path = tmp_path_factory.mktemp("targets")
    extract_targets(names, str, FeatureTableEncoder({"word": table}), folder)
    return folder


@pytest.fixture(scope="module")
def bank(targets: Path) -> TargetBank:
    return TargetBank.open(targets)


def listener(fold: int, subject: str, signals: np.ndarray, sequences: Sequences | None = None, /) -> dict[str, Any]:
    """Read the word where it is; without the sentence, half of it is noise."""
    found = signals[:, :, 6:11].mean(axis=2)
    if sequences is None:
        found = found + np.random.default_rng(2).normal(size=found.shape) * 1.5
    else:
        assert (sequences.position < N_WORDS).all()
        assert len(np.unique(sequences.number)) == len(signals) / N_WORDS
    return {"word": found.astype(np.float32)}


def test_every_word_is_a_window_and_sentences_stay_whole(prepared: PreparedStudy) -> None:
    windows, split = prepared.recording("sub-01").windows, prepared.split
    assert len(windows) == N_SENTENCES * N_WORDS
    assert windows["occurrence"].is_unique
    assert windows["start"].iloc[0] == round((1.0 - 0.2) * RATE)
    texts = {part: set(windows["text"].iloc[split.rows("sub-01", part)]) for part in ("train", "val", "test")}
    assert all(texts.values())
    assert not texts["train"] & texts["test"]
    assert prepared.info["kind"] == "word"


def test_with_and_without_the_sentence(prepared: PreparedStudy, bank: TargetBank) -> None:
    ranked = rank_words(prepared, bank, listener, ["sub-01"])
    assert ranked.tables.models == ["fused", "decoder", "decoder_without_context", "ridge", "chosen"]
    scores, _, _ = retrieval_records(prepared, ranked.tables, joint=False, seed=0, absent={})
    found = {
        score.model: score
        for score in scores
        if (score.metric, score.direction, score.subject) == ("balanced_top1", "image_given_brain", "mean")
    }
    assert found["decoder"].value > found["decoder_without_context"].value + 0.2
    assert found["ridge"].low > found["ridge"].chance
    assert found["decoder"].chance == pytest.approx(1 / len(ranked.tables.candidates))
    assert any(score.model == "decoder minus decoder_without_context" for score in scores)


def test_a_network_without_context_has_one_row(prepared: PreparedStudy, bank: TargetBank) -> None:
    def deaf(fold: int, subject: str, signals: np.ndarray, sequences: Sequences | None = None, /) -> dict[str, Any]:
        return {"word": signals[:, :, 6:11].mean(axis=2)}

    models = rank_words(prepared, bank, deaf, ["sub-01"]).tables.models
    assert "decoder" in models
    assert "decoder_without_context" not in models


def test_balanced_shares() -> None:
    words = ["the"] * 80 + ["dog"] * 10 + ["cat"] * 6 + ["owl"] * 4
    names = ["the", "dog", "cat", "owl"]
    truth, right = np.array([names.index(word) for word in words]), np.arange(100) % 2
    answers = {
        ("oracle", "sub-01"): Answers(np.eye(4)[truth], words, names),
        ("usual", "sub-01"): Answers(np.tile([1.0, 0.0, 0.0, 0.0], (100, 1)), words, names),
        ("half", "sub-01"): Answers(np.eye(4)[truth] * np.where(right, 1, -1)[:, None], words, names),
    }
    found = evaluate_retrieval(answers, protocol="joint", averaged="signals x 1", simulated=True, seed=0, balanced=True)
    value = {(s.model, s.metric): s for s in found.scores if s.direction == "image_given_brain" and s.subject == "mean"}
    assert value["oracle", "balanced_top1"].value == pytest.approx(1.0)
    assert value["usual", "top1"].value == pytest.approx(0.8)
    assert value["usual", "balanced_top1"].value == pytest.approx(0.25)
    # Independently: the mean over words of each one's share.
    shares = pd.Series(right).groupby(pd.Series(words)).mean().mean()
    assert value["half", "balanced_top1"].value == pytest.approx(shares)
    assert all(0 <= s.low <= s.high <= 1 for s in value.values() if s.metric.startswith("balanced"))


def test_retrieve_says_what_was_ranked(
    prepared: PreparedStudy, targets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retrieve.run(prepared.folder, targets, output=tmp_path / "out", seed=0)
    said = capsys.readouterr().out
    assert "tale: word given brain" in said
    assert "balanced top-5" in said
    results = Results.from_json(tmp_path / "out" / "results.json")
    assert {"ridge", "fused"} <= {score.model for score in results.scores}
    assert any("overlap" in record.reason for record in results.absent if record.model == "encoding")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "balanced top-5" in page.lower()
    assert "image given brain" not in page
    assert "share samples, not words" in page
