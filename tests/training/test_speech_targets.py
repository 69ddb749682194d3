"""Embeddings of speech: cut where the split cuts, blind to the other side, read by slicing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io.wavfile

from neurodecode.core.errors import DataError, LeakageError
from neurodecode.core.split import Split
from neurodecode.core.split_rules import split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.stretches import MARGIN, with_stretches
from neurodecode.datasets.speech_passages import WindowRule, check_words, find_passages
from neurodecode.datasets.speech_windows import speech_stimuli, speech_windows
from neurodecode.encoders.stimulus.catalogue import build_stimulus_encoder
from neurodecode.encoders.stimulus.mel import MelEncoder
from neurodecode.training.speech_targets import extract_speech_targets, stretches_of

N_SENTENCES, N_WORDS = 30, 12


def study(folder: Path) -> tuple[Stimuli, dict[str, pd.DataFrame], Split]:
    rows = []
    for number in range(N_SENTENCES * N_WORDS):
        sentence, word = divmod(number, N_WORDS)
        time = sentence * 4.0 + word * 0.3
        rows.append([time + 1.0, 0.25, f"w{sentence}x{word}", f"s{sentence}", "tale.wav", time])
    words = check_words(
        pd.DataFrame(rows, columns=["onset", "duration", "word", "sentence", "audio", "audio_onset"]), "events"
    )
    rule = WindowRule()
    windows, _ = speech_windows(
        words, find_passages([words], rule), rule, subject="sub-01", block="b", sfreq=50.0, n_samples=10**5
    )
    noise = np.random.default_rng(0).normal(scale=0.1, size=round(N_SENTENCES * 4.0 * 16000))
    scipy.io.wavfile.write(folder / "tale.wav", 16000, noise.astype(np.float32))
    tables = {"sub-01": windows}
    stimuli = speech_stimuli([windows], folder)
    return stimuli, tables, split_by_rule("text", tables, stimuli, seed=3)


def test_stretches_hold_one_side_each_and_every_segment_is_in_one(tmp_path: Path) -> None:
    stimuli, windows, split = study(tmp_path)
    table = with_stretches(stimuli.table, windows, split)
    sides = dict(zip(windows["sub-01"]["stimulus"], split.table["fold_0"], strict=True))
    assert (table.assign(side=table["stimulus"].map(sides)).groupby("series")["side"].nunique() == 1).all()
    assert table["series"].nunique() < N_SENTENCES
    assert (table["series_stop"] - table["series_start"]).max() <= 28.0
    np.testing.assert_allclose(table["series_onset"], table["onset"] - table["series_start"] + MARGIN, atol=1e-6)
    ends = table.drop_duplicates("series").sort_values("series_start")
    assert (ends["series_start"].to_numpy()[1:] >= ends["series_stop"].to_numpy()[:-1] - 1e-9).all()


def test_embeddings_know_nothing_of_the_other_side(tmp_path: Path) -> None:
    stimuli, windows, split = study(tmp_path)
    stimuli = Stimuli(with_stretches(stimuli.table, windows, split), tmp_path)
    before = extract_speech_targets(stimuli, MelEncoder(), tmp_path / "before")["mel"]
    sides = dict(zip(windows["sub-01"]["stimulus"], split.table["fold_0"], strict=True))
    tested = stimuli.table[stimuli.table["stimulus"].map(sides) == "test"]
    other = stimuli.table[stimuli.table["stimulus"].map(sides) != "test"]
    rate, sound = scipy.io.wavfile.read(tmp_path / "tale.wav")
    changed = sound.copy()
    for row in other.drop_duplicates("series").itertuples():
        changed[round(row.series_start * rate) : round(row.series_stop * rate)] *= 7
    scipy.io.wavfile.write(tmp_path / "tale.wav", rate, changed)
    after = extract_speech_targets(stimuli, MelEncoder(), tmp_path / "after")["mel"]
    for row in tested.itertuples():
        np.testing.assert_array_equal(
            before.slice(row.series, row.series_onset, 3.0), after.slice(row.series, row.series_onset, 3.0)
        )
    first = other.iloc[0]
    assert not np.array_equal(
        before.slice(first["series"], first["series_onset"], 3.0),
        after.slice(first["series"], first["series_onset"], 3.0),
    )
    with pytest.raises(DataError, match="is not what these targets were made of"):
        extract_speech_targets(stimuli, MelEncoder(), tmp_path / "before")


def test_a_segment_is_the_same_wherever_its_stretch_begins(tmp_path: Path) -> None:
    stimuli, windows, split = study(tmp_path)
    stimuli = Stimuli(with_stretches(stimuli.table, windows, split), tmp_path)
    targets = extract_speech_targets(stimuli, MelEncoder(["mel"]), tmp_path / "t")
    assert targets["mel"].space.kind == "series"
    assert targets["mel"].space.rate == 50.0
    row = stimuli.table[stimuli.table["onset"] > stimuli.table["series_start"]].iloc[0]
    _, sound = scipy.io.wavfile.read(tmp_path / "tale.wav")
    alone = MelEncoder(["mel"]).encode([sound[round(row["onset"] * 16000) :][: 3 * 16000]])["mel"][0]
    sliced = targets["mel"].slice(str(row["series"]), float(row["series_onset"]), 3.0)
    np.testing.assert_allclose(sliced[3:-3], alone[3:-3], atol=0.3)
    assert np.corrcoef(sliced[3:-3].ravel(), alone[3:-3].ravel())[0, 1] > 0.98
    again = extract_speech_targets(stimuli, MelEncoder(["mel"]), tmp_path / "t")
    assert again["mel"].stimuli == targets["mel"].stimuli
    assert len(stretches_of(stimuli)) == len(targets["mel"].stimuli)


def test_what_cannot_be_embedded(tmp_path: Path) -> None:
    stimuli, windows, split = study(tmp_path)
    with pytest.raises(DataError, match="embed the prepared study"):
        extract_speech_targets(stimuli, MelEncoder(), tmp_path / "t")
    cut = Stimuli(with_stretches(stimuli.table, windows, split), tmp_path)
    with pytest.raises(DataError, match="is for image, expected one for speech"):
        extract_speech_targets(cut, build_stimulus_encoder("pixels"), tmp_path / "t")
    (tmp_path / "tale.wav").unlink()
    with pytest.raises(DataError, match="no such sound file"):
        extract_speech_targets(cut, MelEncoder(), tmp_path / "t")


def test_a_split_through_overlapping_segments_is_refused(tmp_path: Path) -> None:
    stimuli, windows, _ = study(tmp_path)
    split = split_by_rule("stimulus", windows, stimuli)
    with pytest.raises(LeakageError, match="split speech by text"):
        with_stretches(stimuli.table, windows, split)
