"""The simulated speech study: voice, words, the truth that the oracle needs, and the reader."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import ConfigError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.simulation.sentences import draw_sentences
from neurodecode.datasets.simulation.speech_study import FEATURE_RATE, SpeechSize, run_features, simulate_speech_study
from neurodecode.datasets.simulation.speech_truth import load_speech_truth
from neurodecode.datasets.simulation.voice import SAMPLING_RATE, speak

pytest.importorskip("espeakng_loader", reason="the voice is in the extra 'speech'")
SIZE = SpeechSize(sentences=40, runs=2, subjects=2)


def loudness(waves: list[np.ndarray]) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Drive the sources by what needs no network: loudness in two bands."""
    step = round(SAMPLING_RATE / FEATURE_RATE)
    found = []
    for wave in waves:
        frames = wave[: len(wave) // step * step].reshape(-1, step)
        power = np.log10(np.column_stack([frames.std(axis=1), np.diff(frames, axis=1).std(axis=1)]) + 1e-4)
        found.append(((power - power.mean(axis=0)) / power.std(axis=0)).astype(np.float32))
    return ("loud", "bright"), found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    return simulate_speech_study(root / "spoken_meg", features_of=loudness, driven_by="loudness", size=SIZE)


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedStudy:
    return prepare_study(
        open_study("spoken_meg", folder.parent), tmp_path_factory.mktemp("cache") / "spoken", sfreq=50.0
    )


def test_sentences_are_plain_and_different() -> None:
    texts = draw_sentences(300, 0)
    assert len(set(texts)) == 300
    assert draw_sentences(10, 0) == texts[:10]
    assert draw_sentences(10, 1) != texts[:10]
    assert all(9 <= len(text.split()) <= 14 and text.isascii() for text in texts)


def test_the_voice_says_every_word_once_and_in_order() -> None:
    text = draw_sentences(2, 0)[1]
    spoken = speak(text)
    assert spoken.words["word"].tolist() == text.lower().rstrip(".").split()
    assert (np.diff(spoken.words["onset"]) > 0).all()
    assert (spoken.words["duration"] > 0).all()
    ends = spoken.words["onset"] + spoken.words["duration"]
    np.testing.assert_allclose(ends.iloc[:-1], spoken.words["onset"].iloc[1:], atol=1e-9)
    assert abs(ends.iloc[-1] - len(spoken.wave) / SAMPLING_RATE) < 0.01
    assert 3.0 < len(spoken.wave) / SAMPLING_RATE < 6.0
    assert 0.05 < np.abs(spoken.wave).max() <= 1.0
    assert set(spoken.phonemes["word_number"]) <= set(range(len(spoken.words)))


def test_the_reader_gives_the_words_the_sound_has(prepared: PreparedStudy, folder: Path) -> None:
    windows = prepared.recording("sub-01").windows
    assert set(windows["length"]) == {150}
    assert prepared.recording("sub-01").sensors.tmin == 0.15
    story = pd.read_csv(folder / "stimuli" / "story-01.tsv", sep="\t")
    first = story[story["trial_type"] == "word"].iloc[0]
    row = windows[windows["anchor"] == "word"].iloc[0]
    assert (row["word"], row["onset"]) == (first["word"], pytest.approx(first["onset"], abs=1e-3))
    assert row["start"] == round((row["onset"] + 0.15) * 50)
    words = prepared.annotation("sub-01", "words")
    assert len(words) == sum(len(text.split()) for text in draw_sentences(SIZE.sentences, 0))
    assert len(prepared.annotation("sub-02", "phonemes")) > 2 * len(words)
    assert {"series", "series_onset"} <= set(prepared.stimuli.table.columns)
    assert prepared.simulated


def test_a_tested_sentence_is_one_segment_from_its_first_word(prepared: PreparedStudy) -> None:
    windows, split = prepared.recording("sub-01").windows, prepared.split
    for part in ("val", "test"):
        rows = windows.iloc[split.rows("sub-01", part)]
        assert rows["split_text"].is_unique
        np.testing.assert_allclose(rows["audio_onset"], rows["passage_start"], atol=1e-3)
    trained = set(windows.iloc[split.rows("sub-01", "train")]["split_text"])
    assert not trained & set(windows.iloc[split.rows("sub-01", "test")]["split_text"])


def test_signals_are_the_response_and_noise_of_the_stated_level(prepared: PreparedStudy, folder: Path) -> None:
    truth = load_speech_truth(folder, "sub-02")
    layers, features = run_features(folder, 0, 100.0)
    assert layers == truth.layers == ("loud", "bright")
    response = truth.response(features)
    block = next(iter(prepared.recording("sub-02").blocks.values())).data
    assert abs(response.shape[1] / 2 - block.shape[1]) <= 1
    length = min(block.shape[1], response[:, ::2].shape[1])
    rest = block[:, :length] - response[:, ::2][:, :length]
    spread = np.cov(rest)
    # Resampling takes away what noise there is above 25 Hz; the rest has the stated covariance.
    share = np.trace(spread) / np.trace(truth.noise_space)
    assert 0.7 < share < 1.05
    assert np.corrcoef(spread.ravel(), truth.noise_space.ravel())[0, 1] > 0.95
    again = truth.noise(500, 0)
    np.testing.assert_array_equal(again, truth.noise(500, 0))
    assert not np.array_equal(again, truth.noise(500, 1))


def test_a_folder_of_another_simulation_is_refused_and_the_same_is_kept(folder: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*_meg.fif"))
    simulate_speech_study(folder, features_of=loudness, driven_by="loudness", size=SIZE)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*_meg.fif"))
    with pytest.raises(ConfigError, match="holds a simulation with seed 0, expected 1"):
        simulate_speech_study(folder, features_of=loudness, driven_by="loudness", size=SIZE, seed=1)
    with pytest.raises(ConfigError, match="sfreq: got 90"):
        SpeechSize(sfreq=90.0)


def test_words_are_windows_with_their_sentence(folder: Path, tmp_path: Path) -> None:
    study = open_study("spoken_meg", folder.parent, {"windows": {"unit": "words", "duration": 1.0, "lag": -0.2}})
    prepared = prepare_study(study, tmp_path / "words", sfreq=50.0)
    assert (prepared.info["kind"], prepared.info["averaging"]) == ("word", "occurrence")
    recording = prepared.recording("sub-01")
    assert recording.sensors.tmin == -0.2
    windows = recording.windows
    texts = draw_sentences(SIZE.sentences, 0)
    said = [word for text in texts for word in text.lower().rstrip(".").split()]
    assert sorted(windows["stimulus"]) == sorted(said)
    assert prepared.stimuli.names == sorted(set(said))
    assert set(prepared.stimuli.table["kind"]) == {"word"}
    # A sentence's words are those of its text, in order, and all on one side of the split.
    heard = windows.sort_values("onset").groupby("sentence", sort=False)["stimulus"].agg(" ".join)
    assert sorted(heard) == sorted(text.lower().rstrip(".") for text in texts)
    parts = {part: prepared.split.rows("sub-01", part) for part in ("train", "val", "test")}
    sides = {part: set(windows["sentence"].iloc[rows]) for part, rows in parts.items()}
    assert not sides["train"] & sides["test"]
    assert not sides["train"] & sides["val"]
    assert sum(map(len, parts.values())) == len(windows)
    assert windows["start"].iloc[0] == round((windows["onset"].iloc[0] - 0.2) * 50)


def test_rules_of_words_are_checked(folder: Path) -> None:
    for windows, problem in (
        ("word", "windows: got 'word', expected one of segments, words; did you mean 'words'"),
        ({"unit": "words", "merge": 6.0}, "merge: got 6.0 with windows at words, expected 0.0"),
        ({"unit": "words", "lag": -3.0}, "lag: got -3.0, expected seconds, more than minus the duration"),
    ):
        with pytest.raises(ConfigError, match=problem):
            open_study("spoken_meg", folder.parent, {"windows": windows})
