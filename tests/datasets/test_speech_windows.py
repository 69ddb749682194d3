"""Windows of continuous speech: fixed lengths, whole passages, one id a segment, no text on two sides."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.split_rules import split_by_rule
from neurodecode.datasets.speech_passages import WindowRule, check_words, find_passages, normal_text
from neurodecode.datasets.speech_windows import join_windows, speech_stimuli, speech_windows

SFREQ = 100.0


def story(n_sentences: int = 40, n_words: int = 14, *, delay: float = 10.0, repeated: int = -1) -> pd.DataFrame:
    """Words of one audio file; one sentence repeats the words of the first if asked for."""
    rows, time = [], 0.5
    for sentence in range(n_sentences):
        source = 0 if sentence == repeated else sentence
        for word in range(n_words):
            rows.append([time + delay, 0.25, f"w{source}x{word}", f"s{sentence}", "audio/tale.wav", time])
            time += 0.3
        time += 0.4
    return pd.DataFrame(rows, columns=["onset", "duration", "word", "sentence", "audio", "audio_onset"])


def windows_of(words: pd.DataFrame, rule: WindowRule, subject: str = "sub-01") -> tuple[pd.DataFrame, pd.DataFrame]:
    table = check_words(words, "events.tsv")
    passages = find_passages([table], rule)
    windows, left_out = speech_windows(
        table, passages, rule, subject=subject, block="run-1", sfreq=SFREQ, n_samples=100_000, run="1"
    )
    assert left_out == 0
    return windows, passages


def test_windows_have_one_length_follow_the_sound_and_stay_in_their_passage() -> None:
    rule = WindowRule(lag=0.15)
    windows, passages = windows_of(story(), rule)
    assert set(windows["length"]) == {300}
    np.testing.assert_array_equal(windows["start"], np.round((windows["onset"] + 0.15) * SFREQ))
    np.testing.assert_allclose(windows["onset"], windows["audio_onset"] + 10.0)
    assert (windows["audio_onset"] + rule.duration <= windows["passage_stop"] + 1e-3).all()
    assert (windows["audio_onset"] >= windows["passage_start"] - 1e-3).all()
    assert len(passages) == 40
    assert set(windows["anchor"]) == {"word", "grid"}
    grid = windows[windows["anchor"] == "grid"]
    steps = (grid["audio_onset"] - grid["passage_start"]) / 0.5
    np.testing.assert_allclose(steps, np.round(steps), atol=0.01)


def test_a_segment_has_one_id_for_everybody_and_each_time() -> None:
    rule = WindowRule()
    first, _ = windows_of(story(delay=10.0), rule)
    again, _ = windows_of(story(delay=33.3), rule, "sub-02")
    assert first["stimulus"].tolist() == again["stimulus"].tolist()
    assert first["stimulus"].iloc[0] == "tale_00000500"
    twice = join_windows([first, first])
    assert twice["repetition"].value_counts().to_dict() == {1: len(first), 2: len(first)}
    stimuli = speech_stimuli([first, again])
    assert len(stimuli) == len(first)
    row = stimuli.get("tale_00000500")
    assert (row["kind"], row["path"], row["word"]) == ("speech", "audio/tale.wav", "w0x0")
    assert float(row["onset"]) == 0.5


def test_the_same_file_played_twice_in_a_run() -> None:
    both = pd.concat([story(4, delay=1.0), story(4, delay=60.0)], ignore_index=True)
    windows, _ = windows_of(both, WindowRule())
    assert (windows.groupby("stimulus").size() == 2).all()
    assert set(windows["repetition"]) == {1, 2}


def test_no_text_is_on_two_sides_even_when_sentences_are_joined() -> None:
    words = story(160, 6, repeated=31)
    words.loc[words["sentence"] == "s31", "word"] = words.loc[words["sentence"] == "s31", "word"].str.upper()
    rule = WindowRule(merge=6.0)
    windows, passages = windows_of(words, rule)
    assert (passages["stop"] - passages["start"]).min() >= 6.0
    of_sentence = {name: row.split_text for row in passages.itertuples() for name in row.sentences}
    assert of_sentence["s0"] == of_sentence["s31"]
    split = split_by_rule("text", {"sub-01": windows}, speech_stimuli([windows]), seed=1)
    side = split.table.assign(split_text=windows["split_text"]).groupby("split_text")["fold_0"].nunique()
    assert (side == 1).all()
    assert split.unit == "text"


def test_a_texts_side_does_not_depend_on_who_else_is_there() -> None:
    windows, _ = windows_of(story(60), WindowRule())
    half = windows[windows["split_text"].isin(sorted(set(windows["split_text"]))[10:])].reset_index(drop=True)
    whole_split, half_split = (split_by_rule("text", {"sub-01": table}) for table in (windows, half))
    whole = dict(zip(windows["split_text"], whole_split.table["fold_0"], strict=True))
    assert all(whole[text] == side for text, side in zip(half["split_text"], half_split.table["fold_0"], strict=True))


def test_short_sentences_that_are_everywhere_bind_nothing_together() -> None:
    rows, time = [], 0.5
    for sentence in range(60):
        words = ["Yes", "indeed"] if sentence % 2 else [f"w{sentence}x{number}" for number in range(14)]
        for word in words:
            rows.append([time, 0.25, word, f"s{sentence}", "audio/tale.wav", time])
            time += 0.3
        time += 0.4
    table = check_words(
        pd.DataFrame(rows, columns=["onset", "duration", "word", "sentence", "audio", "audio_onset"]), "events.tsv"
    )
    assert find_passages([table], WindowRule(merge=4.5))["split_text"].nunique() == 30
    assert find_passages([table], WindowRule(merge=4.5, binding=2))["split_text"].nunique() == 1
    alone = find_passages([table], WindowRule(merge=0.0))
    assert (alone["split_text"] == "yes indeed").sum() == 30, "whole passages that are alike are on one side"
    with pytest.raises(ConfigError, match=r"binding: got 2\.5, expected a number of words, at least 1"):
        WindowRule(binding=2.5)  # type: ignore[arg-type]


def test_windows_beyond_the_recording_are_counted() -> None:
    rule = WindowRule()
    table = check_words(story(4), "events.tsv")
    passages = find_passages([table], rule)
    n_samples = round(20 * SFREQ)
    windows, left_out = speech_windows(table, passages, rule, subject="s", block="b", sfreq=SFREQ, n_samples=n_samples)
    assert left_out > 0
    assert (windows["start"] + windows["length"]).max() <= n_samples


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio": None}, "events.tsv: audio of word 3 is empty"),
        ({"onset": "soon"}, "events.tsv: onset of word 3 is 'soon', expected seconds from 0"),
        ({"duration": -1.0}, "events.tsv: duration of word 3 is -1.0, expected seconds from 0"),
    ],
)
def test_bad_words_are_refused(change: dict[str, object], message: str) -> None:
    words = story(2).astype(object)
    for column, value in change.items():
        words.loc[3, column] = value
    with pytest.raises(DataError) as error:
        check_words(words, "events.tsv")
    assert message in str(error.value)


def test_clocks_that_part_are_refused() -> None:
    words = story(3)
    words.loc[words.index[5] :, "onset"] += 0.4
    table = check_words(words, "events.tsv")
    with pytest.raises(DataError, match=r"the word 'w0x5' at 12.4 s is at 2 s of audio/tale.wav, 0.400 s off"):
        speech_windows(
            table,
            find_passages([table], WindowRule()),
            WindowRule(),
            subject="s",
            block="b",
            sfreq=SFREQ,
            n_samples=9999,
            where="events.tsv",
        )


def test_sentences_apart_and_stems_that_clash_are_refused() -> None:
    words = story(3)
    words.loc[words["sentence"] == "s2", "sentence"] = "s0"
    with pytest.raises(DataError, match="sentence 's0' begins again at word 28"):
        find_passages([check_words(words, "x")], WindowRule())
    other = story(1).assign(audio="other/tale.mp3")
    with pytest.raises(DataError, match="have one stem"):
        find_passages([check_words(story(1), "x"), check_words(other, "y")], WindowRule())
    with pytest.raises(DataError, match="column 'audio' is missing"):
        check_words(story(1).drop(columns="audio"), "x")


@pytest.mark.parametrize("settings_", [{"duration": 0.0}, {"lag": -0.1}, {"stride": 0.0, "words": False}])
def test_rules_that_cut_nothing_are_refused(settings_: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        WindowRule(**settings_)  # type: ignore[arg-type]


def test_texts_are_compared_by_their_words() -> None:
    assert normal_text("It\u2019s  HERE!") == normal_text("it's here") == "it's here"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 25), min_size=1, max_size=8),
    merge=st.floats(0, 12),
    stride=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    lag=st.floats(0, 0.5),
)
def test_any_story_gives_whole_windows(lengths: list[int], merge: float, stride: float, lag: float) -> None:
    rows, time = [], 0.0
    for sentence, count in enumerate(lengths):
        for word in range(count):
            rows.append([time + 2.0, 0.2, f"w{word}", str(sentence), "a.wav", time])
            time += 0.31
    words = check_words(
        pd.DataFrame(rows, columns=["onset", "duration", "word", "sentence", "audio", "audio_onset"]), "x"
    )
    rule = WindowRule(merge=merge, stride=stride, lag=lag)
    passages = find_passages([words], rule)
    assert (passages["start"].to_numpy()[1:] >= passages["stop"].to_numpy()[:-1]).all()
    windows, _ = speech_windows(words, passages, rule, subject="s", block="b", sfreq=50.0, n_samples=10**6)
    assert windows["stimulus"].is_unique
    assert (windows["audio_onset"] + 3.0 <= windows["passage_stop"] + 1e-3).all()
