"""The stories in the miniatures of speech studies: made-up words, when they are spoken, how they sound.

No two words of a study are the same, each word has a code, the brain's answer to a word is a linear map of its code
(see `PlantedSignal`), and the sound of a word is a chord whose tones are as loud as its code's values.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.split_rules import split_by_rule
from neurodecode.datasets.miniatures.planted import N_CODES, PlantedSignal, code_of
from neurodecode.datasets.simulation.sentences import draw_sentences

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
WORDS_OF_SENTENCE = 15
# Seconds from word to word, and from sentence to sentence.
STEP, PAUSE, LEAD_IN = 0.45, 0.35, 0.4
AUDIO_RATE = 8000
RESPONSE = 0.6
# Of seven sentences in a row one tests and one validates when texts are split by their hash.
PARTS = ("train", "train", "test", "train", "val", "train", "train")


@dataclass(frozen=True)
class SpokenWord:
    """A word of a story.

    Parameters
    ----------
    word : str
        Unique within the study, unless it is English.
    sentence : int
        Number of its sentence in the story, from 0.
    position : int
        Number of the word in its sentence, from 0.
    onset, duration : float
        Seconds in the sound file.
    """

    word: str
    sentence: int
    position: int
    onset: float
    duration: float

    def phonemes(self) -> list[tuple[str, float, float]]:
        """List its sounds, one a letter: name, onset and duration in seconds of the sound file."""
        length = self.duration / len(self.word)
        return [(letter, self.onset + index * length, length) for index, letter in enumerate(self.word)]


def tell(
    sentences: Mapping[str, int], *, n_words: int = WORDS_OF_SENTENCE, english: bool = False
) -> dict[str, list[SpokenWord]]:
    """Make up the stories of a study; each lasts about seven seconds a sentence, and all parts of a split occur.

    Parameters
    ----------
    sentences : mapping of str to int
        Number of sentences by name of the sound file.
    n_words : int
        Words a sentence.
    english : bool
        Whether sentences are plain English, of words that occur in many; `n_words` then is not used.

    Returns
    -------
    dict of str to list of SpokenWord
        By name of the sound file.

    Examples
    --------
    >>> story = tell({"a": 2})["a"]
    >>> len(story), story[0].onset, len({word.word for word in story})
    (30, 0.4, 30)
    """
    generator = np.random.default_rng(zlib.crc32(" ".join(sentences).encode()))
    total = sum(sentences.values())
    if english:
        pool = [text.rstrip(".").lower().split() for text in draw_sentences(60 + 12 * total, seed=total)]
    else:
        pool = _sentences(generator, 60 + 12 * total, n_words)
    table = pd.DataFrame({"stimulus": [" ".join(words) for words in pool], "text": [" ".join(words) for words in pool]})
    side = split_by_rule("text", {"sub-01": table}, seed=0).table["fold_0"].tolist()
    waiting = {part: [words for words, mine in zip(pool, side, strict=True) if mine == part] for part in set(PARTS)}
    stories: dict[str, list[SpokenWord]] = {}
    counter = 0
    for name, count in sentences.items():
        time, story = LEAD_IN, []
        for sentence in range(count):
            for position, word in enumerate(waiting[PARTS[counter % len(PARTS)]].pop()):
                duration = round(float(generator.uniform(0.2, 0.35)), 3)
                story.append(SpokenWord(word, sentence, position, round(time, 3), duration))
                time += STEP + round(float(generator.uniform(-0.04, 0.04)), 3)
            time += PAUSE
            counter += 1
        stories[name] = story
    return stories


def _sentences(generator: np.random.Generator, count: int, n_words: int) -> list[list[str]]:
    """Draw sentences of words that occur once."""
    seen: set[str] = set()
    words: list[str] = []
    while len(words) < count * n_words:
        syllables = int(generator.integers(2, 4))
        letters = [generator.choice(list(kind)) for _ in range(syllables) for kind in (CONSONANTS, VOWELS)]
        word = "".join(map(str, letters))
        if word not in seen:
            seen.add(word)
            words.append(word)
    return [words[begin : begin + n_words] for begin in range(0, len(words), n_words)]


def length_of(story: Sequence[SpokenWord]) -> float:
    """Give the length of a story's sound file in seconds."""
    return story[-1].onset + story[-1].duration + 1.0


def brain_signal(
    planted: PlantedSignal,
    heard: Sequence[tuple[float, str]],
    *,
    subject: int,
    n_channels: int,
    n_samples: int,
    rate: float,
    key: Sequence[int] = (),
) -> NDArray[np.float64]:
    """Compute what one recording holds: the answers to all words, and white noise.

    Parameters
    ----------
    planted : PlantedSignal
        Map and noise.
    heard : sequence of (float, str)
        Onset in seconds of the recording, and word.
    subject : int
        Number of the subject.
    n_channels, n_samples : int
        Shape of the signals.
    rate : float
        In Hz. The noise's deviation is that at 100 Hz; it grows with the root of the rate, so that a resampled
        recording is as noisy whatever it was recorded at.
    key : sequence of int
        Tells the noise of one recording from that of another.

    Returns
    -------
    ndarray of float64, shape (n_channels, n_samples)
        In the planted signal's unit.
    """
    noise = planted.trial_noise((n_channels, n_samples), subject, *key)
    signals: NDArray[np.float64] = noise * np.sqrt(rate / 100.0)
    for onset, word in heard:
        first = int(np.ceil(onset * rate))
        times = (np.arange(first, min(first + int(RESPONSE * rate), n_samples)) / rate) - onset
        signals[:, first : first + len(times)] += planted.response(
            word, subject=subject, n_channels=n_channels, times=times
        )
    return signals


def sound_of(story: Sequence[SpokenWord], *, rate: int = AUDIO_RATE) -> NDArray[np.int16]:
    """Play a story: of each word a chord of `N_CODES` tones, as loud as the values of its code."""
    samples = np.zeros(int(length_of(story) * rate))
    tones = np.geomspace(150.0, 0.42 * rate, N_CODES)
    for word in story:
        time = np.arange(int(word.duration * rate)) / rate
        loudness = 0.05 + (code_of(word.word) + 1) / 2
        chord = (loudness[:, None] * np.sin(2 * np.pi * tones[:, None] * time)).sum(axis=0)
        begin = int(word.onset * rate)
        samples[begin : begin + len(time)] += np.hanning(len(time)) * chord
    played: NDArray[np.int16] = np.round(samples * 30000 / np.abs(samples).max()).astype(np.int16)
    return played


def write_sound(path: Path, story: Sequence[SpokenWord]) -> None:
    """Write a story as a ``.wav`` file."""
    from scipy.io import wavfile

    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, AUDIO_RATE, sound_of(story))


def word_retrieval(study: PreparedStudy, *, shuffled: bool = False, seconds: float = 0.4) -> dict[str, Any]:
    """Score a prepared miniature as it is known to score: ridge from the signal after a word to the word's code.

    The test words of each subject are ranked by the cosine of predicted and true code; fitted on the training part.

    Parameters
    ----------
    study : PreparedStudy
        A prepared miniature of a speech study.
    shuffled : bool
        Whether the training pairs are shuffled, which must give chance.
    seconds : float
        How much of the beginning of a window is used.

    Returns
    -------
    dict
        ``top1`` (mean over subjects), ``chance`` and ``candidates``.
    """
    scores, chances, counts = [], [], []
    for subject in study.subjects:
        recording = study.recording(subject)
        windows = recording.windows
        spoken = (windows["anchor"] == "word").to_numpy()
        split = study.split
        parts = {"train": split.rows(subject, "train"), "test": split.rows(subject, "test")}
        rows = {part: mine[spoken[mine]] for part, mine in parts.items()}
        n_times = round(seconds * recording.sensors.sfreq)
        data = {
            part: recording.read(mine)[:, :, :n_times].reshape(len(mine), -1).astype(np.float64)
            for part, mine in rows.items()
        }
        words = {part: windows["word"].to_numpy().astype(str)[mine] for part, mine in rows.items()}
        codes = np.stack([code_of(word.lower()) for word in words["train"]])
        if shuffled:
            codes = codes[np.random.default_rng(0).permutation(len(codes))]
        mean, scale = data["train"].mean(axis=0), data["train"].std(axis=0)
        train, test = ((data[part] - mean) / scale for part in ("train", "test"))
        kernel = train @ train.T + 0.3 * train.shape[1] * np.eye(len(train))
        predicted = test @ train.T @ np.linalg.solve(kernel, codes - codes.mean(axis=0)) + codes.mean(axis=0)
        candidates = np.unique(words["test"])
        true = np.stack([code_of(str(word).lower()) for word in candidates])
        similarity = _unit(predicted) @ _unit(true).T
        scores.append(float((candidates[similarity.argmax(axis=1)] == words["test"]).mean()))
        chances.append(1 / len(candidates))
        counts.append(len(candidates))
    return {"top1": float(np.mean(scores)), "chance": float(np.mean(chances)), "candidates": counts}


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
