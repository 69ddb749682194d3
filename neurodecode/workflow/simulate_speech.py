"""The built-in speech study, simulated: sentences, voice, Whisper's states and the writer put together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.progress import progress_bar
from neurodecode.datasets.simulation.speech_study import FEATURE_RATE, SpeechSize, simulate_speech_study
from neurodecode.encoders.stimulus.audio import SAMPLING_RATE
from neurodecode.encoders.stimulus.whisper import WhisperTinyEncoder

#: States of Whisper tiny.en that drive the sources, from early to late, and components kept of each.
STATES = ("state0", "state2", "state4")
COMPONENTS = 10
#: Whisper hears half a minute at a time, of which the middle part is taken: a state knows five seconds on both sides.
PIECE, EDGE = 30.0, 5.0
DRIVEN_BY = f"principal components ({COMPONENTS} each) of {', '.join(STATES)} of Whisper tiny.en's encoder"


def whisper_features(waves: Sequence[NDArray[np.float32]]) -> tuple[tuple[str, ...], list[NDArray[np.float32]]]:
    """Compute what drives the simulated sources: leading components of Whisper's states, of unit variance.

    The mean over all pieces at each place in a piece is taken away first: it is what Whisper adds to say how late it
    is, and no brain has it.

    Parameters
    ----------
    waves : sequence of ndarray, shape (n_samples,)
        The stories at 16 kHz.

    Returns
    -------
    layers : tuple of str
        The state of each column.
    features : list of ndarray of float32, shape (n_frames, n_features)
        At 50 Hz, for each story.
    """
    encoder = WhisperTinyEncoder(STATES, rate=FEATURE_RATE)
    whole, edge = round(PIECE * SAMPLING_RATE), round(EDGE * SAMPLING_RATE)
    step = whole - 2 * edge
    pieces: list[NDArray[np.float32]] = []
    owners: list[int] = []
    for number, wave in enumerate(waves):
        count = -(-len(wave) // step)
        padded = np.pad(wave, (edge, count * step - len(wave) + edge))
        pieces += [padded[start * step : start * step + whole] for start in range(count)]
        owners += [number] * count
    kept: dict[str, list[NDArray[np.float32]]] = {state: [] for state in STATES}
    first, last = round(EDGE * FEATURE_RATE), round((PIECE - EDGE) * FEATURE_RATE)
    with progress_bar("hearing the sentences through Whisper", total=len(pieces)) as advance:
        for piece in pieces:
            for state, values in encoder.encode([piece]).items():
                kept[state].append(values[0, first:last])
            advance(1)
    parts: list[NDArray[np.float64]] = []
    for state in STATES:
        stacked = np.stack(kept[state]).astype(np.float64)
        flat = (stacked - stacked.mean(axis=0)).reshape(-1, stacked.shape[2])
        values, directions = np.linalg.eigh(flat.T @ flat / len(flat))
        order = np.argsort(values)[::-1][:COMPONENTS]
        # The sign of a direction is arbitrary: its largest entry is made positive.
        signs = np.sign(directions[np.abs(directions[:, order]).argmax(axis=0), order])
        scores = flat @ directions[:, order] * signs / np.sqrt(values[order])
        parts.append(scores.reshape(len(pieces), -1, COMPONENTS))
    together = np.concatenate(parts, axis=2).astype(np.float32)
    found = []
    for number, wave in enumerate(waves):
        rows = together[[place for place, owner in enumerate(owners) if owner == number]]
        frames = round(len(wave) / SAMPLING_RATE * FEATURE_RATE)
        found.append(rows.reshape(-1, rows.shape[2])[:frames])
    return tuple(state for state in STATES for _ in range(COMPONENTS)), found


def simulate_spoken(folder: Path, *, seed: int = 0, size: SpeechSize | None = None) -> Path:
    """Write the built-in speech study.

    Parameters
    ----------
    folder : Path
        The data set.
    seed : int
        Of everything that is drawn.
    size : SpeechSize, optional
        How much.

    Returns
    -------
    Path
        `folder`.
    """
    with progress_bar("simulating listeners") as advance:
        return simulate_speech_study(
            folder,
            features_of=whisper_features,
            driven_by=DRIVEN_BY,
            size=size,
            seed=seed,
            progress=lambda part: advance(description=f"simulating listeners, {part}"),
        )
