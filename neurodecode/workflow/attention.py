"""Where the regions of an encoder look, as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.files import atomic_path
from neurodecode.training.encode_task import EncodeTask


def attention_table(task: EncodeTask, features: Mapping[str, NDArray[np.float32]]) -> pd.DataFrame | None:
    """Tell where every region looks, averaged over stimuli.

    Parameters
    ----------
    task : EncodeTask
        Loaded from a checkpoint.
    features : mapping of str to ndarray of shape (n_stimuli, *space.shape)
        Of the stimuli.

    Returns
    -------
    pandas.DataFrame or None
        Columns ``region, token, weight``; the weights of a region sum to 1. None for an encoder without attention.
    """
    maps = task.attention(features)
    if maps is None:
        return None
    encoder: Any = task.encoder
    mean = maps.mean(axis=0)
    return pd.DataFrame(
        [
            {"region": region, "token": token, "weight": float(mean[row, column])}
            for row, region in enumerate(encoder.regions)
            for column, token in enumerate(encoder.tokens)
        ]
    )


def save_attention(folder: Path, table: pd.DataFrame) -> None:
    """Write ``attention.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "attention.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f")
