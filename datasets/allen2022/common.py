"""What every dialect of the Natural Scenes Dataset shares: names, tables, the options of the reader."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import DataError
from neurodecode.core.files import open_array
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors

BLOCK = "betas"
N_PICTURES = 73000
CAPTIONS = "COCO_73k_annots_curated.npy"
FITTED = "each voxel's response shape was chosen over all trials of a session, test pictures included"
DENOISED = (
    "noise regressors and ridge penalty of each session were chosen by predicting repetitions of its pictures, test "
    "pictures included"
)
Z_SCORED = "each voxel was z-scored within each session over all its trials, test pictures included, before release"


@dataclass(frozen=True)
class Options:
    """What is read.

    Parameters
    ----------
    betas : str
        Folder of one version of the betas.
    space : str
        Folder of one functional space.
    mask : str
        Name of the volume whose voxels are read.
    sessions : int, optional
        The last session that is read.
    ncsnr_above : float, optional
        Only voxels with a higher noise-ceiling signal-to-noise ratio are read.
    """

    betas: str
    space: str
    mask: str
    sessions: int | None
    ncsnr_above: float | None


class Dialect(Protocol):
    """One way in which the data set goes around."""

    def subjects(self) -> list[int]:
        """List the subjects on disk, numbered from 1."""
        ...

    def pictures(self) -> pd.DataFrame:
        """List the pictures that those subjects saw: ``nsd`` (from 0), ``path``, ``shared1000``, by rising number."""
        ...

    def load(self, subject: int, store: ArrayStore, expected: Mapping[str, int]) -> Recording:
        """Read one subject; `expected` are the counts that are known of the original."""
        ...


def subject_name(number: int) -> str:
    """Name a subject, such as ``sub-01``."""
    return f"sub-{number:02d}"


def subject_number(name: str) -> int | None:
    """Read the number off ``subj01``, or give None."""
    match = re.fullmatch(r"subj(\d{2})", name)
    return int(match[1]) if match else None


def stimulus_name(number: int) -> str:
    """Name a picture by its ``nsdId``, which counts from 0.

    Examples
    --------
    >>> stimulus_name(13)
    'nsd-00013'
    """
    return f"nsd-{number:05d}"


def window_table(subject: int, nsd: NDArray[np.int64], start: NDArray[np.int64], **columns: Any) -> pd.DataFrame:
    """Lay out the windows of a subject: one beta map each, in one block.

    Parameters
    ----------
    subject : int
        From 1.
    nsd : ndarray of int, shape (n,)
        The picture of each.
    start : ndarray of int, shape (n,)
        Its place in the block.
    **columns
        What else is known, above all `session`, `run`, `repetition`, `onset` and `shared1000`.
    """
    table = pd.DataFrame({"start": start, **columns})
    table["subject"] = subject_name(subject)
    table["block"] = BLOCK
    table["length"] = 1
    table["stimulus"] = [stimulus_name(int(number)) for number in nsd]
    first = ["subject", "session", "run", "block", "start", "length", "stimulus", "repetition", "onset"]
    return table[[*first, *(column for column in table.columns if column not in first)]]


def one_block(
    subject: int, signals: NDArray[np.float32], sensors: Sensors, windows: pd.DataFrame, flags: Iterable[str]
) -> Recording:
    """Make the recording of a subject from one block of beta maps."""
    block = Block(BLOCK, signals, sensors)
    return Recording(subject_name(subject), "fmri", {BLOCK: block}, windows, False, tuple(flags))


def unplaced_sensors(count: int) -> Sensors:
    """Describe voxels of ``nsdgeneral`` whose places in the brain were not kept."""
    return Sensors(
        names=tuple(f"v{index:05d}" for index in range(count)),
        kinds=("voxel",) * count,
        sfreq=0.0,
        tmin=0.0,
        unit="z",
        regions={"nsdgeneral": np.ones(count, dtype=bool)},
    )


def check_voxels(count: int, subject: int, expected: Mapping[str, int], path: Path) -> None:
    """Compare the number of voxels with that of ``nsdgeneral`` at 1.8 mm in the original."""
    key = f"voxels_{subject_name(subject)}"
    if key in expected and count != expected[key]:
        raise DataError(f"{path}: {count} voxels, expected {expected[key]} for {subject_name(subject)}")


def stimulus_table(pictures: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Turn pictures into a table of stimuli, with the first caption of each where the captions are on disk.

    Parameters
    ----------
    pictures : pandas.DataFrame
        What a dialect lists.
    root : Path
        The study's folder; captions are ``(73000, 5)`` texts, some empty.
    """
    table = pd.DataFrame(
        {
            "stimulus": [stimulus_name(int(number)) for number in pictures["nsd"]],
            "kind": "image",
            "path": pictures["path"].to_numpy(),
            "concept": "",
            "text": _captions(root / CAPTIONS, pictures["nsd"].to_numpy(dtype=np.int64)),
        }
    )
    rest = pictures.drop(columns="path").reset_index(drop=True)
    return pd.concat([table, rest], axis=1)


def _captions(path: Path, numbers: NDArray[np.int64]) -> list[str]:
    if not path.is_file():
        return [""] * len(numbers)
    texts = open_array(path)
    if texts.ndim != 2 or texts.dtype.kind != "U" or len(texts) <= numbers.max():
        raise DataError(
            f"{path}: {texts.dtype} of shape {texts.shape}, expected texts (pictures, captions) up to {numbers.max()}"
        )
    found = ([str(text).strip() for text in row] for row in texts[numbers])
    return [next((text for text in row if text), "") for row in found]
