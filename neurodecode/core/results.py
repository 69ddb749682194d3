"""All that a run has to say, as it stands in results.json, and the check of that file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.files import read_json, write_json, write_table
from neurodecode.core.scores import Absent, Score, check_score


@dataclass(frozen=True)
class Results:
    """Everything a run has to say, as it stands in ``results.json``.

    Parameters
    ----------
    scores : list of Score
        The records.
    versions : dict
        Package names and versions.
    seed : int
        The seed of the run.
    split_hash : str
        Fingerprint of the split.
    target_space : dict or str
        The space that the models map into.
    chosen_model : str or dict
        The model that validation chose (per fold where there are folds).
    config : dict
        The resolved configuration.
    absent : list of Absent
        Records that cannot exist.
    study : dict
        Facts about the data for the report: name, modality, subjects and so on, as short texts.
    trimmed : list of str
        What this run left out or made smaller than the full commands do.
    limits : list of str
        What these results do not show, beside what the report says by itself.

    Raises
    ------
    DataError
        If two records answer to the same name, or a field is of another type.

    Examples
    --------
    >>> results = Results([], {"neurodecode": "0.1.0"}, 0, "ab12", "net/last/mean", "ridge", {})
    >>> Results.from_dict(results.to_dict()) == results
    True
    """

    scores: Sequence[Score]
    versions: Mapping[str, str]
    seed: int
    split_hash: str
    target_space: Mapping[str, Any] | str
    chosen_model: Mapping[str, str] | str
    config: Mapping[str, Any]
    absent: Sequence[Absent] = ()
    study: Mapping[str, str] = field(default_factory=dict)
    trimmed: Sequence[str] = ()
    limits: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, kind in (("scores", list), ("absent", list), ("trimmed", list), ("limits", list)):
            object.__setattr__(self, name, kind(getattr(self, name)))
        validate_results(self.to_dict())

    @property
    def simulated(self) -> bool:
        """Tell whether any score comes from simulated recordings."""
        return any(score.simulated for score in self.scores)

    def select(self, **wanted: object) -> list[Score]:
        """Give the scores whose fields equal the values asked for, in order."""
        return [score for score in self.scores if all(getattr(score, name) == value for name, value in wanted.items())]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        values: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["scores"] = [score.to_dict() for score in self.scores]
        values["absent"] = [asdict(record) for record in self.absent]
        for name in ("target_space", "chosen_model", "versions", "config", "study"):
            values[name] = dict(values[name]) if isinstance(values[name], Mapping) else values[name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Results":
        """Build from what `to_dict` gave, after checking it."""
        validate_results(values)
        scores = [Score(**record) for record in values["scores"]]
        return cls(**{**values, "scores": scores, "absent": [Absent(**record) for record in values.get("absent", [])]})

    def to_json(self, path: Path) -> None:
        """Write ``results.json``, whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def from_json(cls, path: Path) -> "Results":
        """Read ``results.json``; an error names the file and the field."""
        values = read_json(path)
        try:
            return cls.from_dict(values)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None

    def to_table(self) -> pd.DataFrame:
        """Give the scores as a table, one row a record."""
        return pd.DataFrame([asdict(score) for score in self.scores], columns=[entry.name for entry in fields(Score)])

    def to_csv(self, path: Path) -> None:
        """Write ``results.csv``, whole or not at all."""
        write_table(path, self.to_table())


def validate_results(values: object) -> None:
    """Check an object read from ``results.json`` against the schema of docs/results.md.

    Parameters
    ----------
    values : object
        What the JSON file held.

    Raises
    ------
    DataError
        For the first field that does not fit; the message names it.

    Examples
    --------
    >>> validate_results({"scores": 3})
    Traceback (most recent call last):
    ...
    neurodecode.core.errors.DataError: results: field 'scores' is int, expected list
    """
    if not isinstance(values, Mapping):
        raise DataError(f"results: got {type(values).__name__}, expected an object")
    kinds: dict[str, tuple[type, ...]] = {
        "scores": (list,), "versions": (dict,), "seed": (int,), "split_hash": (str,), "target_space": (dict, str),
        "chosen_model": (dict, str), "config": (dict,), "absent": (list,), "study": (dict,), "trimmed": (list,),
        "limits": (list,),
    }  # fmt: skip
    optional = ("absent", "study", "trimmed", "limits")
    for name, accepted in kinds.items():
        if name not in values:
            if name in optional:
                continue
            raise DataError(f"results: field {name!r} is missing")
        if not isinstance(values[name], accepted) or isinstance(values[name], bool):
            expected = " or ".join(kind.__name__ for kind in accepted)
            raise DataError(f"results: field {name!r} is {type(values[name]).__name__}, expected {expected}")
    unknown = [name for name in values if name not in kinds]
    if unknown:
        raise DataError(f"results: field {unknown[0]!r} is unknown")
    for index, record in enumerate(values["scores"]):
        if not isinstance(record, Mapping):
            raise DataError(f"scores[{index}]: got {type(record).__name__}, expected an object")
        check_score(record, f"scores[{index}]")
    names = ("metric", "direction", "subject", "model", "averaged", "protocol")
    repeated = [key for key, n in Counter(tuple(r[name] for name in names) for r in values["scores"]).items() if n > 1]
    if repeated:
        raise DataError(f"results: field 'scores' holds two records of {' / '.join(repeated[0][:4])}")
    for index, record in enumerate(values.get("absent", [])):
        if not isinstance(record, Mapping) or set(record) != {entry.name for entry in fields(Absent)}:
            raise DataError(f"absent[{index}]: expected the fields metric, model, subject, reason")
    for name in ("trimmed", "limits"):
        if any(not isinstance(text, str) for text in values.get(name, [])):
            raise DataError(f"results: field {name!r} holds something that is no text")
