"""A recording on disk: memory-mappable arrays, tables and JSON in a folder of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.array_store import PREFIX, ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import open_array, read_json, read_table, write_json, write_table
from neurodecode.core.recording import TEXT_COLUMNS, WINDOW_COLUMNS, Block, Recording
from neurodecode.core.sensors import Sensors

FORMAT = 2


def save_recording(folder: Path, recording: Recording, *, store: ArrayStore | None = None) -> None:
    """Write a recording as memory-mappable arrays, tables and JSON into an empty folder.

    Continuous blocks are stored time-major, so that a window is one contiguous piece of the file. What `store` holds
    in files of that folder already is renamed, not written again.
    """
    names = []
    for position, (name, block) in enumerate(recording.blocks.items()):
        data, path = block.data, folder / f"block-{position:03d}.npy"
        written = None if store is None else store.path(data)
        if written is None:
            signals = np.asarray(data, dtype=np.float32)
            stored = np.asfortranarray(signals) if signals.ndim == 2 else np.ascontiguousarray(signals)
            np.save(path, stored, allow_pickle=False)
        else:
            data.flush()  # type: ignore[attr-defined]
            written.rename(path)
        block.sensors.save(folder / f"sensors-{position:03d}.npz")
        names.append({"name": name, "shape": list(data.shape)})
    for unused in folder.glob(f"{PREFIX}*.npy"):
        unused.unlink()
    write_table(folder / "windows.csv", recording.windows)
    write_json(
        folder / "recording.json",
        {
            "format": FORMAT,
            "subject": recording.subject,
            "modality": recording.modality,
            "simulated": recording.simulated,
            "flags": list(recording.flags),
            "blocks": names,
            "n_windows": len(recording.windows),
            "text": [str(name) for name in recording.windows.columns if not _is_number(recording.windows[name])],
        },
    )


def _is_number(column: "pd.Series[Any]") -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def load_recording(folder: Path) -> Recording:
    """Open what `save_recording` wrote; a cut or edited file is a DataError that names it."""
    header = read_json(folder / "recording.json")
    if header.get("format") != FORMAT:
        raise DataError(f"{folder / 'recording.json'}: format {header.get('format')}, expected {FORMAT}; prepare again")
    blocks = {}
    for position, entry in enumerate(header["blocks"]):
        path = folder / f"block-{position:03d}.npy"
        data = open_array(path)
        if list(data.shape) != entry["shape"] or data.dtype != np.float32:
            raise DataError(f"{path}: {data.dtype} of shape {data.shape}, expected float32 {tuple(entry['shape'])}")
        blocks[entry["name"]] = Block(entry["name"], data, Sensors.load(folder / f"sensors-{position:03d}.npz"))
    windows = read_table(folder / "windows.csv", required=WINDOW_COLUMNS, text=(*TEXT_COLUMNS, *header["text"]))
    if len(windows) != header["n_windows"]:
        raise DataError(f"{folder / 'windows.csv'}: {len(windows)} rows, expected {header['n_windows']}")
    return Recording(
        header["subject"], header["modality"], blocks, windows, bool(header["simulated"]), tuple(header["flags"])
    )
