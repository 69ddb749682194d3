"""Objectives as published code has them, by name.

Each function says what the released code does, which is not always what its paper says. They differ from the defaults
of our classes where that code counts a repeated picture in a batch as a wrong answer.
"""

from collections.abc import Callable
from math import log

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.training.contrastive import CLIP_LOG_SCALE, Contrastive, MixCo, SoftContrastive
from neurodecode.training.objectives import Objective
from neurodecode.training.regression import Regression
from neurodecode.training.sigmoid_pairs import SigmoidPairs


def nice() -> list[Objective]:
    """Build NICE's: both sides normalised, two directions, scale 14.3, defined as a parameter but never updated."""
    return [Contrastive(normalise="both", temperature="exp", learnable=False, duplicates="ignored")]


def atm_retrieval() -> list[Objective]:
    """Build those of ATM's retrieval encoder (image part): raw dot products times the logarithm 2.66."""
    return [Contrastive(normalise="none", temperature="fixed", scale=CLIP_LOG_SCALE, duplicates="ignored")]


def atm_reconstruction() -> list[Objective]:
    """Build those of ATM's reconstruction encoder: 10 x (0.9 squared error + 0.1 contrastive)."""
    return [
        Regression(weight=9.0),
        Contrastive(normalise="none", temperature="fixed", scale=CLIP_LOG_SCALE, duplicates="ignored", weight=1.0),
    ]


def ubp() -> list[Objective]:
    """Build UBP's: only the image side normalised, softplus scale starting at 2.73 and learned."""
    return [Contrastive(normalise="image", temperature="softplus", duplicates="ignored")]


def neurobridge() -> list[Objective]:
    """Build NeuroBridge's: only the image side normalised, a fixed softplus scale, a learned retrieval space."""
    return [
        Contrastive(
            heads=["retrieval"], normalise="image", temperature="softplus", learnable=False, duplicates="ignored"
        )
    ]


def neuroai() -> list[Objective]:
    """Build those of the neuroai benchmark: one direction, only the image side normalised, no temperature."""
    return [Contrastive(normalise="image", temperature="none", directions="one", duplicates="ignored")]


def brainmagick() -> list[Objective]:
    """Build that of the speech decoder: which segment, over all times at once, only its features normalised."""
    return [Contrastive(normalise="image", temperature="none", directions="one", duplicates="ignored")]


def benchetrit() -> list[Objective]:
    """Build those of the MEG vision decoder: 0.75 contrastive on a head of its own, 0.25 squared error on another."""
    return [
        Contrastive(heads=["retrieval"], normalise="both", temperature="exp", duplicates="ignored", weight=0.75),
        Regression(weight=0.25),
    ]


def ascoli() -> list[Objective]:
    """Build that of the word decoder: every pair judged by itself, a repeated word a right answer."""
    return [SigmoidPairs()]


def mindeye() -> list[Objective]:
    """Build those of MindEye's retrieval part: BiMixCo for a third of the training, then SoftCLIP ever warmer."""
    return [
        MixCo(
            temperature="exp",
            scale=log(1 / 0.006),
            learnable=False,
            duplicates="ignored",
            probability=0.5,
            beta=0.15,
            stop=1 / 3,
        ),
        SoftContrastive(temperature=0.004, final_temperature=0.0075, start=1 / 3),
    ]


def mindbridge() -> list[Objective]:
    """Build those of MindBridge's image part: SoftCLIP at 0.005 and 10,000 x squared error of normalised embeddings."""
    return [SoftContrastive(temperature=0.005), Regression(normalise=True, weight=1e4)]


PRESETS: dict[str, Callable[[], list[Objective]]] = {
    preset.__name__: preset
    for preset in (
        nice,
        atm_retrieval,
        atm_reconstruction,
        ubp,
        neurobridge,
        neuroai,
        brainmagick,
        benchetrit,
        ascoli,
        mindeye,
        mindbridge,
    )
}


def preset(name: str) -> list[Objective]:
    """Return the objectives of a preset.

    Raises
    ------
    ConfigError
        For an unknown name.

    Examples
    --------
    >>> [objective.name for objective in preset("mindeye")]
    ['mixco', 'soft_contrastive']
    """
    if name not in PRESETS:
        raise ConfigError(
            f"objectives: got preset {name!r}, expected one of {', '.join(sorted(PRESETS))}{suggestion(name, PRESETS)}"
        )
    return PRESETS[name]()
