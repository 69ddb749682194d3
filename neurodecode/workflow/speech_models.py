"""The models of speech retrieval for one subject and fold: backward, forward, network, their fusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodecode.encoders.linear.fusion import Fusion, fit_fusion
from neurodecode.encoders.linear.series_scoring import (
    Rule,
    SeriesNoise,
    best_member,
    choose_rule,
    correlation_scores,
    density_ratio_scores,
    likelihood_scores,
    split_halves,
)
from neurodecode.encoders.linear.time_series import Coordinates, LaggedRidge, fit_lagged_ridge
from neurodecode.workflow.decoding import Decode
from neurodecode.workflow.speech_segments import SegmentItems, SeriesBank

Floats = NDArray[np.float64]
BRAIN_COMPONENTS = 64
FEATURE_COMPONENTS = 32
#: Lags (s) between a sound and the brain's answer that the maps look at, and their step.
EARLIEST, LATEST, STEP = 0.02, 0.66, 0.04


@dataclass(frozen=True)
class Rules:
    """How one model's predictions are scored.

    Parameters
    ----------
    rule : str
        The chosen rule.
    found : dict of str to float
        Mean reciprocal rank of every rule on validation.
    residual, prior : SeriesNoise
        For the chosen rule; `prior` is that of the stimuli.
    """

    rule: Rule
    found: dict[str, float]
    residual: SeriesNoise
    prior: SeriesNoise


@dataclass(frozen=True)
class SpeechModels:
    """All models of one subject and fold, ready to score windows.

    Parameters
    ----------
    bank : SeriesBank
        Where candidates' features are read.
    brain, features : Coordinates
        Of the sensors and of all layers side by side.
    backward, forward : LaggedRidge
        From brain to features, and back.
    context : tuple of int
        Frames before and after a segment that `forward` looks at.
    network : tuple of str, Coordinates, Decode, fold and subject, or None
        The layer that the network predicts, its coordinates, and how it is asked.
    rules : dict of str to Rules
        By model.
    fusion : Fusion
        Of the models.
    chosen : str
        The best on validation.
    """

    bank: SeriesBank
    brain: Coordinates
    features: Coordinates
    backward: LaggedRidge
    forward: LaggedRidge
    context: tuple[int, int]
    network: tuple[str, Coordinates, Decode, int, str] | None
    rules: dict[str, Rules]
    fusion: Fusion
    chosen: str

    def score(self, signals: NDArray[np.float32], candidates: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Score every candidate for each window ``(n, n_channels, n_times)``; windows do not know of each other."""
        found = {
            model: _scores(model, *parts, self.rules[model].rule, self.rules[model].residual, self.rules[model].prior)
            for model, parts in self.series(signals, candidates).items()
        }
        found["fused"] = self.fusion.apply(found)
        return {model: np.asarray(matrix, dtype=np.float32) for model, matrix in found.items()}

    def series(self, signals: NDArray[np.float32], candidates: Sequence[str]) -> dict[str, tuple[Floats, Floats]]:
        """Give each model's two sides: answers ``(n, n_times, dim)`` and candidates ``(m, n_times, dim)``."""
        return _series(self, signals, candidates)

    def report(self) -> dict[str, Any]:
        """Give plain values of what was chosen."""
        return {
            "rules": {name: rules.rule for name, rules in self.rules.items()},
            "validation mean reciprocal rank by rule": {
                name: {rule: round(value, 4) for rule, value in rules.found.items()}
                for name, rules in self.rules.items()
            },
            "penalties": {"ridge": self.backward.penalty, "encoding": self.forward.penalty},
            "fusion": {name: round(weight, 4) for name, weight in self.fusion.weights.items()},
            "chosen": self.chosen,
        }


@dataclass(frozen=True)
class _Maps:
    """What `_series` needs, before rules are chosen."""

    bank: SeriesBank
    brain: Coordinates
    features: Coordinates
    backward: LaggedRidge
    forward: LaggedRidge
    context: tuple[int, int]
    network: tuple[str, Coordinates, Decode, int, str] | None


def _series(
    maps: "_Maps | SpeechModels", signals: NDArray[np.float32], candidates: Sequence[str]
) -> dict[str, tuple[Floats, Floats]]:
    measured = maps.brain(np.swapaxes(signals, 1, 2))
    n_times, (before, after) = measured.shape[1], maps.context
    wide = maps.features(maps.bank.read(candidates, before=before, after=after))
    found = {
        "ridge": (maps.backward.predict(measured, n_times), wide[:, before : before + n_times]),
        "encoding": (measured, maps.forward.predict(wide, n_times)),
    }
    if maps.network is not None:
        layer, coordinates, decode, fold, subject = maps.network
        predicted = coordinates(decode(fold, subject, signals)[layer])
        found["decoder"] = predicted, coordinates(maps.bank.read(candidates, layers=[layer]))
    return found


def _scores(
    model: str, answers: Floats, candidates: Floats, rule: Rule, residual: SeriesNoise, prior: SeriesNoise
) -> Floats:
    if rule == "correlation":
        return correlation_scores(answers, candidates)
    if model == "encoding":
        return likelihood_scores(answers, candidates, residual)
    return density_ratio_scores(answers, candidates, residual, prior)


def lags_of(rate: float, window_lag: float) -> tuple[list[int], list[int]]:
    """List the lags of the backward and the forward map in samples.

    Parameters
    ----------
    rate : float
        Samples per second.
    window_lag : float
        How much later than the sound the brain window begins (s).

    Returns
    -------
    backward, forward : list of int
        Frame ``t`` of the sound is predicted from brain samples ``t + lag``, brain sample ``t`` from frames
        ``t + lag``.

    Examples
    --------
    >>> backward, forward = lags_of(50.0, 0.15)
    >>> backward[0], backward[-1], forward == [-lag for lag in backward][::-1]
    (-6, 26, True)
    """
    step = max(1, round(STEP * rate))
    first, last = round((EARLIEST - window_lag) * rate), round((LATEST - window_lag) * rate)
    backward = list(range(first, last + 1, step))
    return backward, [-lag for lag in reversed(backward)]


def fit_speech_models(
    items: SegmentItems,
    bank: SeriesBank,
    *,
    window_lag: float,
    decode: Decode | None = None,
    layer: str = "mel",
    fold: int = 0,
    subject: str = "",
) -> SpeechModels:
    """Fit all models; penalties, scoring rules and fusion are chosen on validation windows.

    Parameters
    ----------
    items : SegmentItems
        Training and validation are used, the test part is not looked at.
    bank : SeriesBank
        Features of all segments.
    window_lag : float
        How much later than the sound the brain window begins (s).
    decode : Decode, optional
        The trained network.
    layer : str
        What the network predicts.
    fold, subject
        What the network is asked for.

    Returns
    -------
    SpeechModels
    """
    train, validation = items.train, items.validation
    backward_lags, forward_lags = lags_of(bank.rate, window_lag)
    before, after = max(0, -min(forward_lags)), max(0, max(forward_lags))
    known = [str(name) for name in train.stimulus]
    signals = np.swapaxes(train.signals, 1, 2)
    brain = Coordinates.fit(signals, BRAIN_COMPONENTS)
    measured = brain(signals)
    n_times = measured.shape[1]
    wide_raw = bank.read(known, before=before, after=after)
    features = Coordinates.fit(wide_raw[:, before : before + n_times], FEATURE_COMPONENTS, whiten=0.0, scale=True)
    wide = features(wide_raw)
    heard = [str(name) for name in validation.stimulus]
    other = brain(np.swapaxes(validation.signals, 1, 2))
    other_wide = features(bank.read(heard, before=before, after=after))
    inner = slice(before, before + n_times)
    backward = fit_lagged_ridge(measured, wide[:, inner], (other, other_wide[:, inner]), lags=backward_lags)
    forward = fit_lagged_ridge(wide, measured, (other_wide, other), lags=forward_lags, before=before)
    network, priors = None, {"ridge": wide[:, inner], "encoding": wide[:, inner]}
    if decode is not None:
        own = bank.read(known, layers=[layer])
        coordinates = Coordinates.fit(own, FEATURE_COMPONENTS, whiten=0.0, scale=True)
        network, priors["decoder"] = (layer, coordinates, decode, fold, subject), coordinates(own)
    maps = _Maps(bank, brain, features, backward, forward, (before, after), network)
    both = _series(maps, validation.signals, heard)
    rules: dict[str, Rules] = {}
    matrices: dict[str, Floats] = {}
    for model, (answers, candidates) in both.items():
        rules[model], matrices[model] = _rules(model, answers, candidates, priors[model], validation.group)
    # Fusion is fitted on the very scores that chose the rules: two members more or less, a handful of numbers.
    truth = np.arange(len(heard))
    fusion = fit_fusion(matrices, truth)
    fused = {**matrices, "fused": _cross_fused(matrices, validation.group)}
    return SpeechModels(
        bank, brain, features, backward, forward, (before, after), network, rules, fusion, best_member(fused)
    )


def _rules(
    model: str, answers: Floats, candidates: Floats, stimuli: Floats, units: NDArray[np.str_]
) -> tuple[Rules, Floats]:
    """Choose a model's rule, and give its validation scores with noise estimated on the other half."""
    residuals = answers - candidates
    priors = {rule: SeriesNoise.fit(stimuli, temporal=rule == "space_time") for rule in ("space", "space_time")}
    priors["correlation"] = priors["space"]

    def score(fitted: NDArray[np.int64], asked: NDArray[np.int64], rule: Rule) -> Floats:
        noise = SeriesNoise.fit(residuals[fitted], temporal=rule == "space_time")
        return _scores(model, answers[asked], candidates[asked], rule, noise, priors[rule])

    rule, found = choose_rule(score, units)
    matrix = np.zeros((len(answers), len(answers)))
    halves = split_halves(units)
    for side in (0, 1):
        noise = SeriesNoise.fit(residuals[halves[1 - side]], temporal=rule == "space_time")
        matrix[halves[side]] = _scores(model, answers[halves[side]], candidates, rule, noise, priors[rule])
    whole = SeriesNoise.fit(residuals, temporal=rule == "space_time")
    return Rules(rule, found, whole, priors[rule]), matrix


def _cross_fused(matrices: Mapping[str, Floats], units: NDArray[np.str_]) -> Floats:
    """Fuse validation scores with weights fitted on the other half, so that fusion is judged as its members are."""
    halves = split_halves(units)
    fused = np.zeros_like(next(iter(matrices.values())))
    for side in (0, 1):
        fitted, asked = halves[1 - side], halves[side]
        weights = fit_fusion({name: matrix[fitted] for name, matrix in matrices.items()}, fitted)
        fused[asked] = weights.apply({name: matrix[asked] for name, matrix in matrices.items()})
    return fused
