"""Splits over stimuli for data sets that publish none, or publish it in their events tables."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.split import Split, published_split

TEST_SHARE, VALIDATION_SHARE = 0.1, 0.1


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
    units = together[column].astype(str)
    generator = np.random.default_rng(seed)
    unit: Literal["concept", "stimulus"] = "concept" if column == "concept" else "stimulus"
    given = together["split"].fillna("").astype(str) if "split" in together else pd.Series("", index=together.index)
    if (given == "").all():
        names = generator.permutation(np.unique(units[units != ""]))
        n_test, n_val = round(len(names) * TEST_SHARE), round(len(names) * VALIDATION_SHARE)
        if min(n_test, n_val) < 1:
            raise DataError(f"split: {len(names)} stimuli are too few to test and to validate on a tenth of them each")
        parts = dict.fromkeys(map(str, names), "train")
        parts |= dict.fromkeys(map(str, names[:n_test]), "test")
        parts |= dict.fromkeys(map(str, names[n_test : n_test + n_val]), "val")
        rule = f"a tenth of the {unit} values tests and a tenth validates, drawn with seed {seed}"
        return published_split(windows, parts, column=column, unit=unit, rule=rule, seed=seed)
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
