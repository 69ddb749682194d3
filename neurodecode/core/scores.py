"""Records of what was measured: a number never travels without its interval, chance, null and protocol."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from neurodecode.core.errors import DataError

DIRECTIONS: tuple[str, ...] = ("image_given_brain", "brain_given_image", "none")
SETTINGS: tuple[str, ...] = ("within-subject", "leave-one-subject-out", "joint", "adapted")

_SUBJECT = re.compile(r"mean|sub-[0-9A-Za-z]+")
_PREFIX = re.compile(r"^(curve|difference)_")
#: Before the name of a metric that counts every stimulus alike, however often it was asked for.
BALANCED = "balanced_"
_TOP = re.compile(r"(?:balanced_)?top([1-9][0-9]*)")
_WAY = re.compile(r"way([1-9][0-9]*)")
_SHARE = re.compile(r"(balanced_)?top[0-9]+|way[0-9]+|mrr|auc|two_way_.+")


def plain_metric(metric: str) -> str:
    """Take ``curve_`` or ``difference_`` off a metric's name.

    Examples
    --------
    >>> plain_metric("curve_top5")
    'top5'
    """
    return _PREFIX.sub("", metric)


def lower_is_better(metric: str) -> bool:
    """Tell whether a smaller value of the metric is the better one.

    Examples
    --------
    >>> lower_is_better("median_rank"), lower_is_better("top1")
    (True, False)
    """
    return plain_metric(metric) in ("mean_rank", "median_rank")


def is_share(metric: str) -> bool:
    """Tell whether the metric is a share of right answers, between 0 and 1.

    Examples
    --------
    >>> is_share("way10"), is_share("pixcorr"), is_share("difference_top1")
    (True, False, False)
    """
    return not metric.startswith("difference_") and _SHARE.fullmatch(plain_metric(metric)) is not None


def protocol_label(setting: str, *, unit: str, averaged: str, gallery: str, weights: str, budget: str = "") -> str:
    """Build the protocol label that every score carries.

    Parameters
    ----------
    setting : str
        ``within-subject``, ``leave-one-subject-out``, ``joint`` or ``adapted``.
    unit : str
        What is disjoint between training and test, such as ``concept``.
    averaged : str
        What was averaged and how many, such as ``signals x 20``.
    gallery : str
        The candidates, such as ``200 test stimuli``.
    weights : str
        Which weights were taken, such as ``last`` or ``best by validation``.
    budget : str
        How much data of the new subject was used; required for ``adapted`` and only there.

    Returns
    -------
    str
        One line.

    Raises
    ------
    DataError
        If the setting is unknown, a part is empty or the budget does not fit the setting.

    Examples
    --------
    >>> protocol_label("joint", unit="concept", averaged="signals x 20", gallery="200 test stimuli", weights="last")
    'joint | disjoint unit: concept | averaged: signals x 20 | gallery: 200 test stimuli | weights: last'
    """
    if setting not in SETTINGS:
        raise DataError(f"protocol setting: got {setting!r}, expected one of {', '.join(SETTINGS)}")
    if (setting == "adapted") != bool(budget):
        raise DataError(f"protocol budget: got {budget!r} for {setting!r}; it belongs to 'adapted' and only there")
    parts = {"disjoint unit": unit, "averaged": averaged, "gallery": gallery, "weights": weights}
    for name, part in parts.items():
        if not part.strip():
            raise DataError(f"protocol {name}: is empty")
    head = f"{setting} ({budget})" if budget else setting
    return " | ".join([head, *(f"{name}: {part}" for name, part in parts.items())])


@dataclass(frozen=True)
class Score:
    """One measured number with all that is needed to read it.

    Parameters
    ----------
    metric : str
        ``top1``, ``top5``, ``balanced_top5`` (mean over stimuli of each one's share), ``way10`` (exact ten-way),
        ``mean_rank``, ``median_rank``, ``mrr``, ``auc``, ``pixcorr``, ``ssim``,
        ``two_way_<features>``; ``curve_<metric>`` for a point of a repetition curve, ``difference_<metric>`` for the
        paired difference of two models.
    direction : str
        ``image_given_brain``, ``brain_given_image``, or ``none`` where the metric has no direction.
    value, low, high : float
        The number and the ends of its 95 % interval.
    chance : float
        What guessing gives.
    null_95 : float
        The value that 95 % of the permuted pairings do not better (for ranks: their 5 % point).
    n_queries, n_candidates : int
        How many questions were asked of one subject, and among how many candidates each was answered.
    averaged : str
        What was averaged and how many, such as ``signals x 20``.
    subject : str
        ``sub-01`` and so on; ``mean`` for the mean over subjects.
    model : str
        Which model, ceiling or control.
    protocol : str
        The label that `protocol_label` builds.
    simulated : bool
        Whether the recording was made by the simulator.
    note : str
        Anything a reader must know beside the number.

    Raises
    ------
    DataError
        If a field is not what is said here; the message names the field.

    Examples
    --------
    >>> label = "joint | disjoint unit: concept"
    >>> score = Score("top1", "image_given_brain", 0.5, 0.4, 0.6, 0.005, 0.02, 200, 200, "signals x 20",
    ...               "mean", "fused", label, True)
    >>> score.above_null
    True
    """

    metric: str
    direction: str
    value: float
    low: float
    high: float
    chance: float
    null_95: float
    n_queries: int
    n_candidates: int
    averaged: str
    subject: str
    model: str
    protocol: str
    simulated: bool
    note: str = ""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, np.generic):  # JSON knows plain numbers only
                object.__setattr__(self, name, value.item())
        check_score(self.to_dict())

    @property
    def above_null(self) -> bool:
        """Tell whether the value is better than the null's 95 % point."""
        return self.value < self.null_95 if lower_is_better(self.metric) else self.value > self.null_95

    @property
    def key(self) -> tuple[str, ...]:
        """Give what identifies a record; no two records of one result share it."""
        return (self.metric, self.direction, self.subject, self.model, self.averaged, self.protocol)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; an empty note is left out."""
        values = asdict(self)
        if not values["note"]:
            del values["note"]
        return values


@dataclass(frozen=True)
class Absent:
    """A record that cannot exist, with the reason.

    Parameters
    ----------
    metric, model, subject : str
        What is missing; ``all`` stands for every one.
    reason : str
        Why, in one sentence.

    Examples
    --------
    >>> Absent("all", "oracle", "all", "the true response to a picture is unknown for real recordings").model
    'oracle'
    """

    metric: str
    model: str
    subject: str
    reason: str

    def __post_init__(self) -> None:
        for name, text in asdict(self).items():
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"absent record: field {name!r} is {text!r}, expected a text that is not empty")


def check_score(values: Mapping[str, Any], where: str = "score") -> None:
    """Check the fields of one score record.

    Parameters
    ----------
    values : mapping
        Field names and values.
    where : str
        How the error message calls the record.

    Raises
    ------
    DataError
        For the first field that is missing, unknown, of another type, not finite or out of its range.

    Examples
    --------
    >>> check_score({"metric": "top1"})
    Traceback (most recent call last):
    ...
    neurodecode.core.errors.DataError: score: field 'direction' is missing
    """
    texts = ("metric", "direction", "averaged", "subject", "model", "protocol")
    numbers = ("value", "low", "high", "chance", "null_95")
    counts = ("n_queries", "n_candidates")
    for name in [entry.name for entry in fields(Score) if entry.name != "note"]:
        if name not in values:
            raise DataError(f"{where}: field {name!r} is missing")
    for name, value in values.items():
        if name in texts and (not isinstance(value, str) or not value.strip()):
            raise DataError(f"{where}: field {name!r} is {value!r}, expected a text that is not empty")
        elif name in numbers and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DataError(f"{where}: field {name!r} is {value!r}, expected a number")
        elif name in numbers and not math.isfinite(value):
            raise DataError(f"{where}: field {name!r} is {value!r}, expected a finite number")
        elif name in counts and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise DataError(f"{where}: field {name!r} is {value!r}, expected a whole number of at least 1")
        elif name == "simulated" and not isinstance(value, bool):
            raise DataError(f"{where}: field 'simulated' is {value!r}, expected true or false")
        elif name == "note" and not isinstance(value, str):
            raise DataError(f"{where}: field 'note' is {value!r}, expected a text")
        elif name not in {entry.name for entry in fields(Score)}:
            raise DataError(f"{where}: field {name!r} is unknown")
    _check_ranges(values, where)


def _check_ranges(values: Mapping[str, Any], where: str) -> None:
    metric, candidates = str(values["metric"]), int(values["n_candidates"])
    if values["direction"] not in DIRECTIONS:
        raise DataError(f"{where}: field 'direction' is {values['direction']!r}, expected {' | '.join(DIRECTIONS)}")
    if _SUBJECT.fullmatch(values["subject"]) is None:
        raise DataError(f"{where}: field 'subject' is {values['subject']!r}, expected 'mean' or 'sub-<label>'")
    if not values["protocol"].startswith(SETTINGS):
        raise DataError(
            f"{where}: field 'protocol' is {values['protocol']!r}, expected one of {', '.join(SETTINGS)} first"
        )
    if not values["low"] <= values["value"] <= values["high"]:
        raise DataError(
            f"{where}: field 'value' is {values['value']}, expected from low {values['low']} to high {values['high']}"
        )
    if is_share(metric):
        for name in ("value", "low", "high", "chance", "null_95"):
            if not -1e-9 <= values[name] <= 1 + 1e-9:
                raise DataError(f"{where}: field {name!r} is {values[name]}, expected between 0 and 1 for {metric!r}")
    top, way = _TOP.fullmatch(plain_metric(metric)), _WAY.fullmatch(plain_metric(metric))
    if top and int(top[1]) >= candidates:
        raise DataError(f"{where}: field 'metric' is {metric!r}, expected k below the {candidates} candidates")
    if way and not 2 <= int(way[1]) <= candidates:
        raise DataError(f"{where}: field 'metric' is {metric!r}, expected 2 to {candidates} (the candidates) ways")
