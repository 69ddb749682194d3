"""The simulated recording from which every form of the miniature of THINGS-EEG2 is made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurodecode.datasets.gifford2022.channels import CHANNELS
from neurodecode.datasets.miniatures.planted import PlantedSignal

# Names with digits, hyphens and underscores are on purpose.
TRAINING = tuple(
    "aardvark abacus air_conditioner baton4 bat2 cookie_cutter dog ice_cream jam t-shirt vine zebra".split()
)
TEST = ("aircraft_carrier", "antelope", "backscratcher", "bike", "cheese", "wok")
#: What the large miniature has beside these: enough for a network to learn from.
MORE_TRAINING = tuple(f"thing_{number:02d}" for number in range(48))
MORE_TEST = tuple(f"toy_{number:02d}" for number in range(14))
PICTURES_OF_CONCEPT = ("01b", "02s", "05n")
SUBJECTS, SESSIONS, PARTS_OF_SESSION = 2, 4, 2
REPETITIONS = {"train": 2, "test": 2}
SFREQ, ONSET_ASYNCHRONY, BEFORE, AFTER = 1000, 200, 300, 1100
SEED, TARGET = 20200220, 99999
UNIT, NOISE = 4e-6, 1.0
# The amplifier's order is not the one that the derivatives of others use.
RECORDED = tuple(np.random.default_rng(7).permutation(CHANNELS).tolist())


@dataclass(frozen=True)
class Part:
    """One stretch of recording: ``(63, n_samples)`` in volts, and what was shown when."""

    signals: NDArray[np.float64]
    samples: NDArray[np.int64]
    codes: NDArray[np.int64]


def concepts_of(part: str, *, large: bool = False) -> list[str]:
    """List the concepts of a part in order."""
    if part == "train":
        return sorted((*TRAINING, *(MORE_TRAINING if large else ())))
    return sorted((*TEST, *(MORE_TEST if large else ())))


def names_of(part: str, *, large: bool = False) -> list[tuple[str, str]]:
    """List concept and stimulus of each picture of a part, in the order of their numbers."""
    concepts = concepts_of(part, large=large)
    if part == "train":
        return [(concept, f"{concept}_{which}") for concept in concepts for which in PICTURES_OF_CONCEPT]
    return [(concept, f"{concept}_{PICTURES_OF_CONCEPT[row % 3]}") for row, concept in enumerate(concepts)]


def simulate_sessions(subject: int, seed: int, *, large: bool = False) -> list[dict[str, list[Part]]]:
    """Simulate all sessions of a subject."""
    return [
        {part: simulate(part, subject, session, seed, large=large) for part in ("train", "test")}
        for session in range(SESSIONS)
    ]


def simulate(part: str, subject: int, session: int, seed: int, *, large: bool = False) -> list[Part]:
    """Simulate one part of a session: pictures every 200 ms, with targets, and with fillers (surplus repetitions)."""
    planted = PlantedSignal(seed=seed, noise=NOISE, unit=UNIT)
    names = names_of(part, large=large)
    generator = np.random.default_rng([seed, subject, session, part == "train"])
    numbers = np.arange(1, len(names) + 1)
    if part == "train":
        # Sessions 1 and 2 show half of the concepts each, sessions 3 and 4 again.
        half = len(names) // 2
        numbers = numbers[:half] if session % 2 == 0 else numbers[half:]
    fillers = generator.choice(numbers, 2, replace=False)
    codes = generator.permutation(np.concatenate([np.repeat(numbers, REPETITIONS[part]), fillers, [TARGET, TARGET]]))
    times = np.arange(0, 0.6, 1 / SFREQ)
    responses = {
        int(code): planted.response(names[code - 1][1], subject=subject, n_channels=len(CHANNELS), times=times)
        for code in np.unique(codes[codes != TARGET])
    }
    stretches = []
    for run, shown in enumerate(np.array_split(codes, PARTS_OF_SESSION if part == "train" else 1)):
        samples = BEFORE + ONSET_ASYNCHRONY * np.arange(len(shown))
        shape = (len(CHANNELS), int(samples[-1]) + AFTER)
        signals = planted.trial_noise(shape, subject, session, int(part == "train"), run)
        for sample, code in zip(samples, shown, strict=True):
            if code != TARGET:
                signals[:, sample : sample + len(times)] += responses[int(code)]
        stretches.append(Part(signals[[CHANNELS.index(name) for name in RECORDED]], samples, shown))
    return stretches


def joined(stretches: Sequence[Part]) -> Part:
    """Put stretches one after the other, as the authors do."""
    starts = np.cumsum([0, *(part.signals.shape[1] for part in stretches)])
    samples = np.concatenate([part.samples + start for part, start in zip(stretches, starts, strict=False)])
    return Part(
        np.concatenate([part.signals for part in stretches], axis=1),
        samples,
        np.concatenate([part.codes for part in stretches]),
    )
