"""What events tables of continuous speech have in common: samples that are onsets, words that everybody heard alike."""

from pathlib import Path

import numpy as np
import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.datasets.speech_passages import WindowRule

# How far an event's sample may be from its onset (s).
SAMPLE_TOLERANCE = 0.002
# How far one word may be heard apart in two recordings of the same sound (s).
SNAP = 0.03


def check_samples(table: pd.DataFrame, path: Path) -> None:
    """Prove that onsets and samples of an events table tell the same time at one rate.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `onset` (s) and `sample`; rows without numbers are passed over.
    path : Path
        The file, for messages.

    Raises
    ------
    DataError
        Naming the first line whose sample is not its onset's, by more than 2 ms.
    """
    onset = pd.to_numeric(table["onset"], errors="coerce").to_numpy(dtype=np.float64)
    sample = pd.to_numeric(table["sample"], errors="coerce").to_numpy(dtype=np.float64)
    good = np.isfinite(onset) & np.isfinite(sample) & (onset > 1)
    if not good.any():
        return
    rate = float(np.median(sample[good] / onset[good]))
    off = np.abs(sample - onset * round(rate)) > max(1.5, SAMPLE_TOLERANCE * rate)
    off &= np.isfinite(sample)
    if off.any():
        row = int(np.argmax(off))
        raise DataError(
            f"{path}: line {row + 2}: onset {onset[row]:g} s is sample {onset[row] * rate:.0f} at {rate:.0f} Hz, "
            f"got sample {sample[row]:.0f}"
        )


def snapped(words: pd.DataFrame, reference: pd.DataFrame, where: str) -> pd.DataFrame:
    """Give words the places in the sound, and the sentences, that they have in another recording of it.

    Where such times were measured in each recording they differ by a millisecond or two, but a segment must be the same
    whoever hears it.

    Parameters
    ----------
    words, reference : pandas.DataFrame
        Words of one sound file in order, with columns `word` and `audio_onset`; of the reference also `sentence`.
    where : str
        The file, for messages.

    Returns
    -------
    pandas.DataFrame
        The words with `audio_onset` and `sentence` of the reference.

    Raises
    ------
    DataError
        Naming the first word that the reference does not have at that time, within 30 ms.

    Examples
    --------
    >>> first = pd.DataFrame({"word": ["a", "b"], "audio_onset": [0.5, 1.0], "sentence": ["0", "0"]})
    >>> snapped(first.assign(audio_onset=[0.501, 1.002]).drop(columns="sentence"), first, "x")["audio_onset"].tolist()
    [0.5, 1.0]
    """
    known = reference["audio_onset"].to_numpy(dtype=np.float64)
    times = words["audio_onset"].to_numpy(dtype=np.float64)
    after = np.clip(np.searchsorted(known, times), 1, len(known) - 1) if len(known) > 1 else np.zeros(len(times), int)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(known[before] - times) <= np.abs(known[after] - times), before, after)
    same = words["word"].to_numpy() == reference["word"].to_numpy()[nearest]
    wrong = ~same | (np.abs(known[nearest] - times) > SNAP)
    if wrong.any():
        row = int(np.argmax(wrong))
        other = reference.iloc[int(nearest[row])]
        raise DataError(
            f"{where}: word {words['word'].iloc[row]!r} at {times[row]:.3f} s of the sound, expected "
            f"{other['word']!r} at {other['audio_onset']:.3f} s as in the first recording of it"
        )
    return words.assign(audio_onset=known[nearest], sentence=reference["sentence"].to_numpy()[nearest])


def presentations(words: pd.DataFrame, rule: WindowRule, where: str) -> list[pd.DataFrame]:
    """Cut a run where another audio file begins, or the same one again, and check the two clocks within each.

    Parameters
    ----------
    words : pandas.DataFrame
        What `check_words` gave for the run.
    rule : WindowRule
        Its `tolerance` is used.
    where : str
        The file, for messages.

    Raises
    ------
    DataError
        If the delay between recording and audio file jumps from one word to the next.

    Examples
    --------
    >>> heard = pd.DataFrame({"onset": [1.5, 5.0], "audio_onset": [0.5, 0.0], "audio": "a.wav", "word": "yes"})
    >>> len(presentations(heard, WindowRule(), "events.tsv"))
    2
    """
    audio = words["audio"].to_numpy().astype(str)
    times = words["audio_onset"].to_numpy(dtype=np.float64)
    begins = np.flatnonzero(np.concatenate([[True], (audio[1:] != audio[:-1]) | (np.diff(times) < 0)])[: len(words)])
    found = []
    for begin, end in zip(begins, [*begins[1:], len(words)], strict=False):
        part = words.iloc[begin:end]
        jumps = np.abs(np.diff((part["onset"] - part["audio_onset"]).to_numpy(dtype=np.float64)))
        if (jumps > rule.tolerance).any():
            row = int(np.argmax(jumps > rule.tolerance)) + 1
            raise DataError(
                f"{where}: the word {part['word'].iloc[row]!r} at {part['onset'].iloc[row]:g} s is at "
                f"{part['audio_onset'].iloc[row]:g} s of {audio[begin]}, {jumps[row - 1]:.3f} s off the word before; "
                f"expected at most {rule.tolerance:g} s"
            )
        found.append(part)
    return found
