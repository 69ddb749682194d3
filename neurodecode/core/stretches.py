"""Where the audio of speech is cut before it is embedded, so that no embedding hears another side of a split."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.errors import LeakageError
from neurodecode.core.split import Split

#: Seconds of silence put before and after a stretch when it is embedded; the series begins that much before it.
MARGIN = 1.0
#: Passages are joined up to this length (s), so that with its margins a stretch fits into half a minute.
LONGEST = 28.0
PASSAGE_COLUMNS = ("path", "passage_start", "passage_stop", "onset")
_TOLERANCE = 2e-3


def with_stretches(stimuli: pd.DataFrame, windows: Mapping[str, pd.DataFrame], split: Split) -> pd.DataFrame:
    """Say of every segment of speech in which stretch of audio it lies, and where in it.

    A stretch is made of consecutive passages of one audio file that are on one side of every fold. Networks that look
    at their whole input (doi:10.1038/s42256-023-00714-5 cuts likewise) then know nothing of another side.

    Parameters
    ----------
    stimuli : pandas.DataFrame
        The table of stimuli; rows of kind ``speech`` have the columns `PASSAGE_COLUMNS`.
    windows : mapping of str to pandas.DataFrame
        Each subject's window table.
    split : Split
        The split of these windows.

    Returns
    -------
    pandas.DataFrame
        The table with `series` (the stretch's name), `series_start`, `series_stop` (s in the audio file) and
        `series_onset` (s from the beginning of the embedded series, its margin included). A table without segments of
        speech comes back as it is.

    Raises
    ------
    LeakageError
        If segments of one passage, which overlap, are on different sides.
    """
    if not len(stimuli) or set(stimuli["kind"]) != {"speech"} or not set(PASSAGE_COLUMNS) <= set(stimuli.columns):
        return stimuli
    sides = _sides(windows, split)
    table = stimuli.copy()
    keys = list(zip(table["path"], table["passage_start"], table["passage_stop"], strict=True))
    passages: dict[tuple[Any, ...], list[set[str]]] = {}
    for name, key in zip(table["stimulus"], keys, strict=True):
        own = passages.setdefault(key, [set() for _ in range(split.n_folds)])
        for fold, parts in enumerate(sides.get(str(name), [])):
            if parts and own[fold] and parts != own[fold]:
                raise LeakageError(
                    f"split: segment {name!r} is in {' and '.join(sorted(parts))} of fold {fold}, another one of its "
                    f"passage in {' and '.join(sorted(own[fold]))}; split speech by text"
                )
            own[fold] |= parts
    places: dict[tuple[Any, ...], tuple[float, float]] = {}
    group: list[tuple[Any, ...]] = []

    def close() -> None:
        for key in group:
            places[key] = (float(group[0][1]), float(group[-1][2]))

    for key in sorted(passages):
        joined = (
            bool(group)
            and key[0] == group[-1][0]
            and abs(key[1] - group[-1][2]) < _TOLERANCE
            and passages[key] == passages[group[-1]]
            and key[2] - group[0][1] <= LONGEST
        )
        if not joined:
            close()
            group = []
        group.append(key)
    close()
    table["series_start"] = [places[key][0] for key in keys]
    table["series_stop"] = [places[key][1] for key in keys]
    table["series"] = [
        stretch_name(str(key[0]), *places[key])  # a pair of seconds
        for key in keys
    ]
    table["series_onset"] = np.round(table["onset"].astype(float) - table["series_start"] + MARGIN, 6)
    return table


def stretch_name(audio: str, start: float, stop: float) -> str:
    """Name a stretch by its audio file and its ends in milliseconds.

    Examples
    --------
    >>> stretch_name("audio/tale.wav", 0.5, 12.25)
    'audio/tale.wav@500-12250'
    """
    return f"{audio}@{round(start * 1000)}-{round(stop * 1000)}"


def _sides(windows: Mapping[str, pd.DataFrame], split: Split) -> dict[str, list[set[str]]]:
    """Give the parts that every stimulus is in, by fold; a window that a fold leaves out counts for nothing."""
    found: dict[str, list[set[str]]] = {}
    folds = [f"fold_{fold}" for fold in range(split.n_folds)]
    for subject, rows in split.table.groupby("subject"):
        names = windows[str(subject)]["stimulus"].to_numpy().astype(str)[rows["window"].to_numpy(dtype=np.int64)]
        pairs = rows[folds].assign(stimulus=names).drop_duplicates()
        for record in pairs.to_dict("records"):
            own = found.setdefault(str(record["stimulus"]), [set() for _ in folds])
            for fold, column in enumerate(folds):
                if record[column]:
                    own[fold].add(str(record[column]))
    return found
