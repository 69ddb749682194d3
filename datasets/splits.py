"""Splits over stimuli for data sets that publish none, or publish it in their events tables."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.split import Split, published_split
from neurodecode.core.split_rules import VALIDATION_SHARE, split_by_rule


def stimulus_split(windows: Mapping[str, pd.DataFrame], *, column: str = "stimulus", seed: int = 0) -> Split:
    """Split over stimuli: by the tables' own column `split` where there is one, otherwise at random with a seed.

    Parameters
    ----------
    windows : mapping of str to pandas.DataFrame
        Each subject's window table.
    column : str
        The column that holds the unit: ``stimulus`` or ``concept``.
    seed : int
        Seed of what is drawn.

    Returns
    -------
    Split
        One fold.

    Raises
    ------
    DataError
        If the column `split` holds something else, or gives one unit two sides.

    Examples
    --------
    >>> table = pd.DataFrame({"stimulus": ["a", "b", "c"], "split": ["train", "val", "test"]})
    >>> stimulus_split({"sub-01": table}).rows("sub-01", "test").tolist()
    [2]
    """
    together = pd.concat(windows.values(), ignore_index=True)
    given = together["split"].fillna("").astype(str) if "split" in together else pd.Series("", index=together.index)
    if (given == "").all():
        return split_by_rule(column, windows, seed=seed)
    units = together[column].astype(str)
    generator = np.random.default_rng(seed)
    unit: Literal["concept", "stimulus"] = "concept" if column == "concept" else "stimulus"
    unknown = sorted(set(given) - {"train", "val", "test", ""})
    if unknown:
        raise DataError(f"split: the events tables say {unknown[0]!r}, expected train, val or test")
    sides = given.groupby(units).nunique()
    if (sides > 1).any():
        name = sides.index[int(np.argmax(sides > 1))]
        raise DataError(f"split: the events tables put the {unit} {name!r} on more than one side")
    parts = {str(name): str(part) for name, part in zip(units, given, strict=True)}
    rule = "the column split of the events tables"
    if "val" not in parts.values():
        training = generator.permutation(sorted(name for name, part in parts.items() if part == "train"))
        parts |= dict.fromkeys(map(str, training[: max(1, round(len(training) * VALIDATION_SHARE))]), "val")
        rule += f"; a tenth of its training side validates, drawn with seed {seed}"
    return published_split(windows, parts, column=column, unit=unit, rule=rule, seed=seed)
