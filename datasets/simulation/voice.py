"""A voice that reads sentences aloud and says when each word and phoneme begins: eSpeak NG from a wheel."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd
import scipy.signal
from numpy.typing import NDArray

from neurodecode.core.errors import DataError

SAMPLING_RATE: Final = 16000
VOICE: Final = "en-us"
WORDS_PER_MINUTE: Final = 165

# Numbers of eSpeak NG's public interface (speak_lib.h).
_SYNCHRONOUS, _PHONEME_EVENTS, _NO_EXIT = 2, 1, 0x8000
_RATE, _UTF8, _CHARACTERS = 1, 1, 1
_WORD, _PHONEME, _END = 1, 7, 0


class _Identifier(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identifier),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, eq=False)
class Spoken:
    """A sentence read aloud.

    Attributes
    ----------
    wave : ndarray of float32, shape (n_samples,)
        At 16 kHz, between -1 and 1.
    words : pandas.DataFrame
        `word`, `onset`, `duration` (s).
    phonemes : pandas.DataFrame
        `phoneme` (eSpeak's own names, without stress), `word_number` (from 0), `onset`, `duration` (s).
    """

    wave: NDArray[np.float32]
    words: pd.DataFrame
    phonemes: pd.DataFrame


@lru_cache(maxsize=1)
def _library() -> tuple[Any, int]:
    try:
        import espeakng_loader
    except ImportError:
        raise DataError(
            "voice: the package espeakng-loader is not installed, expected it from the extra 'speech'"
        ) from None
    library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
    rate = int(
        library.espeak_Initialize(
            _SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), _PHONEME_EVENTS | _NO_EXIT
        )
    )
    if rate <= 0:
        raise DataError(f"voice: eSpeak NG did not start (code {rate}); its data are {espeakng_loader.get_data_path()}")
    if library.espeak_SetVoiceByName(VOICE.encode()) or library.espeak_SetParameter(_RATE, WORDS_PER_MINUTE, 0):
        raise DataError(f"voice: eSpeak NG has no voice {VOICE!r}")
    return library, rate


def speak(text: str) -> Spoken:
    """Read a sentence aloud.

    Parameters
    ----------
    text : str
        Plain words; punctuation makes pauses.

    Returns
    -------
    Spoken
        Sound, words and phonemes; silence after the last phoneme is left out.

    Raises
    ------
    DataError
        If the voice is not installed, or it said something else than the words of the text.
    """
    library, rate = _library()
    pieces: list[NDArray[np.int16]] = []
    events: list[tuple[int, int, int, int, str]] = []

    def collect(wave: Any, count: int, found: Any) -> int:
        position = 0
        while found[position].type != _END:
            event = found[position]
            name = event.id.string.decode("utf-8", "replace") if event.type == _PHONEME else ""
            events.append((event.type, event.sample, event.text_position, event.length, name))
            position += 1
        if count > 0:
            pieces.append(np.ctypeslib.as_array(wave, shape=(count,)).copy())
        return 0

    # Kept in a variable: what the library calls must live as long as it may call.
    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    content = text.encode("utf-8")
    code = library.espeak_Synth(content, len(content) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    if code != 0 or not pieces:
        raise DataError(f"voice: eSpeak NG gave no sound for {text!r} (code {code})")
    return _spoken(text, np.concatenate(pieces), rate, events)


def _spoken(text: str, sound: NDArray[np.int16], rate: int, events: list[tuple[int, int, int, int, str]]) -> Spoken:
    marks = [(sample / rate, name.strip("',%=")) for kind, sample, _, _, name in events if kind == _PHONEME]
    # A pause is a phoneme that begins with an underscore; the first one after the last sound ends the sentence.
    last = max(place for place, (_, name) in enumerate(marks) if not name.startswith("_"))
    end = marks[last + 1][0] if last + 1 < len(marks) else len(sound) / rate
    words = _timed_words(text, [(sample / rate, at - 1) for kind, sample, at, _, _ in events if kind == _WORD], end)
    starts = words["onset"].to_numpy()
    rows = [
        (name, max(0, int(np.searchsorted(starts, start + 1e-9, side="right")) - 1), start, stop - start)
        for (start, name), (stop, _) in zip(marks[: last + 1], [*marks[1 : last + 1], (end, "")], strict=True)
        if not name.startswith("_") and name not in ("", ";")
    ]
    phonemes = pd.DataFrame(rows, columns=["phoneme", "word_number", "onset", "duration"])
    wave = scipy.signal.resample_poly(sound[: round(end * rate)].astype(np.float64) / 32768, 320, 441 * rate // 22050)
    return Spoken(wave.astype(np.float32), words, phonemes)


def _timed_words(text: str, marks: list[tuple[float, int]], end: float) -> pd.DataFrame:
    """Give every word its time. Some pairs ("for the") are spoken as one: they share its time by their letters."""
    if not marks or marks[0][1] != 0:
        raise DataError(f"voice: eSpeak NG does not say where the words of {text!r} are")
    rows: list[tuple[str, float, float]] = []
    following = [*marks[1:], (end, len(text))]
    for (start, place), (stop, next_place) in zip(marks, following, strict=True):
        together = text[place:next_place].lower().rstrip(". ").split()
        letters = [len(word) for word in together]
        edges = start + (stop - start) * np.concatenate([[0], np.cumsum(letters)]) / sum(letters)
        rows += [(word, float(edges[i]), float(edges[i + 1] - edges[i])) for i, word in enumerate(together)]
    words = pd.DataFrame(rows, columns=["word", "onset", "duration"])
    if words["word"].tolist() != text.lower().rstrip(".").split():
        raise DataError(f"voice: eSpeak NG said {' '.join(words['word'])!r}, expected {text!r}")
    return words
