"""What ``predict`` leaves on disk: embeddings, the table they belong to and the space they live in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.files import atomic_path, write_json, write_table
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.decode_task import DecodeTask


def write_predictions(
    folder: Path, predictions: Sequence[dict[str, Any]], task: DecodeTask, data: BrainDataModule
) -> None:
    """Write embeddings, table and spaces; the table comes last, so that what it describes is whole.

    Parameters
    ----------
    folder : Path
        Gets ``<target>.npy`` of shape ``(n_rows, *space.shape)``, ``predictions.json`` and ``predictions.csv``.
    predictions : sequence of dict
        What ``DecodeTask.predict_step`` returned, batch by batch.
    task : DecodeTask
        Whose predictions.
    data : BrainDataModule
        Where the rows come from.

    Raises
    ------
    DataError
        If there are no predictions.
    """
    if not predictions:
        raise DataError(f"{folder}: nothing was predicted, expected at least one batch")
    (folder / "predictions.csv").unlink(missing_ok=True)
    names = list(predictions[0]["embeddings"])
    for name in names:
        values = np.concatenate([part["embeddings"][name] for part in predictions])
        with atomic_path(folder / f"{name}.npy") as temporary:
            np.save(temporary, values, allow_pickle=False)
    rows = pd.DataFrame(
        {
            column: [entry for part in predictions for entry in part[column]]
            for column in ("subject", "candidate", "repetitions", "item")
        }
    )
    table = data.items(data.predict_part).table
    rows["stimulus"] = table["stimulus"].to_numpy()[rows["item"].to_numpy()]
    preparation = data.preparation
    write_json(
        folder / "predictions.json",
        {
            "study": data.study.name,
            "simulated": data.study.simulated,
            "part": data.predict_part,
            "fold": data.fold,
            "split": data.split.hash,
            "encoder": f"{type(task.encoder).__module__}.{type(task.encoder).__qualname__}",
            "spaces": {name: preparation.space(name).to_dict() for name in preparation.reductions},
            "files": {name: f"{name}.npy" for name in names},
        },
    )
    write_table(folder / "predictions.csv", rows[["subject", "stimulus", "candidate", "repetitions"]])
