"""The data set as it was released: betas by session as NIfTI or HDF5, with design, masks and responses beside them."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Recording
from neurodecode.core.sensors import Sensors
from neurodecode.datasets.allen2022.betas import read_betas, session_files
from neurodecode.datasets.allen2022.common import (
    DENOISED,
    FITTED,
    Options,
    check_voxels,
    one_block,
    subject_name,
    subject_number,
    window_table,
)
from neurodecode.datasets.allen2022.design import (
    Design,
    prove_pictures,
    prove_responses,
    read_design,
    read_pictures,
)
from neurodecode.datasets.allen2022.voxels import GENERAL, read_sensors
from neurodecode.datasets.volumes import load_image

DESIGN = Path("nsddata/experiments/nsd/nsd_expdesign.mat")
PICTURES = Path("nsddata/experiments/nsd/nsd_stim_info_merged.csv")
STIMULI = Path("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5")
SPACES = ("func1pt8mm", "func1mm")
CHOSEN = "voxels were chosen by their noise ceiling, which was computed over all pictures, test pictures included"


class Release:
    """Read betas, masks and tables as the data set's authors published them.

    Parameters
    ----------
    root : Path
        Folder with ``nsddata``, ``nsddata_betas`` and, for pictures, ``nsddata_stimuli``.
    options : Options
        What is read.
    kinds : tuple of str
        Which files, ``hdf5`` or ``nifti``; where a session has both, the first.
    """

    def __init__(self, root: Path, options: Options, kinds: tuple[str, ...]) -> None:
        self.root, self.options, self.kinds = root, options, kinds

    @staticmethod
    def there(root: Path, kind: str) -> bool:
        """Tell whether betas of a kind lie under a folder, by names only."""
        suffix = {"hdf5": ".hdf5", "nifti": ".nii.gz"}[kind]
        places = root.glob(f"nsddata_betas/ppdata/subj*/func*/betas_*/betas_session*{suffix}")
        return (root / DESIGN).is_file() and next(places, None) is not None

    def subjects(self) -> list[int]:
        """List the subjects with at least one session of the wanted betas."""
        folders = sorted((self.root / "nsddata_betas" / "ppdata").glob("subj*"))
        numbers = [number for folder in folders if (number := subject_number(folder.name)) is not None]
        return [number for number in numbers if self.sessions(number)]

    def folder(self, subject: int) -> Path:
        """Give the folder of a subject's betas."""
        place = self.root / "nsddata_betas" / "ppdata" / f"subj{subject:02d}"
        return place / self.options.space / self.options.betas

    def sessions(self, subject: int) -> dict[int, Path]:
        """Find the sessions that are read."""
        files = session_files(self.folder(subject), self.kinds)
        last = self.options.sessions
        return {number: path for number, path in files.items() if last is None or number <= last}

    @cached_property
    def design(self) -> Design:
        """The design of the experiment."""
        return read_design(self.root / DESIGN)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The table of pictures."""
        return read_pictures(self.root / PICTURES, tuple(self.subjects()))

    def trials(self, subject: int) -> pd.DataFrame:
        """Prove and list the trials of a subject's sessions on disk: `trial` from 1, `nsd` and those of the design."""
        design = self.design
        if not 1 <= subject <= len(design.pictures):
            raise DataError(f"{design.path}: no subject {subject}, it has {len(design.pictures)}")
        sessions = self.sessions(subject)
        beyond = [number for number in sessions if not 1 <= number <= design.n_sessions]
        if beyond:
            raise DataError(f"{sessions[beyond[0]]}: session {beyond[0]}, expected 1 to {design.n_sessions}")
        prove_pictures(design, self.table, self.root / PICTURES, subject, sessions)
        responses = self.root / "nsddata" / "ppdata" / f"subj{subject:02d}" / "behav" / "responses.tsv"
        if responses.is_file():
            prove_responses(design, responses, subject)
        table = design.trials()
        table.insert(0, "nsd", design.shown(subject))
        table.insert(0, "trial", np.arange(1, len(table) + 1))
        return table[table["session"].isin(list(sessions))].reset_index(drop=True)

    def pictures(self) -> pd.DataFrame:
        """List the pictures that were shown in the sessions on disk."""
        shown = np.unique(np.concatenate([self.trials(subject)["nsd"].to_numpy() for subject in self.subjects()]))
        known = self.table.loc[shown]
        return pd.DataFrame(
            {
                "nsd": shown,
                "path": [f"{STIMULI.as_posix()}#imgBrick/{number}" for number in shown],
                "shared1000": known["shared1000"].astype(bool).to_numpy().astype(np.int64),
                "coco": known["cocoId"].to_numpy(dtype=np.int64),
            }
        )

    def sensors(self, subject: int) -> tuple[NDArray[np.bool_], Sensors]:
        """Describe the voxels that are read."""
        inside, sensors = self.mask(subject)
        if self.options.ncsnr_above is None:
            return inside, sensors
        chosen = self.ncsnr(subject, inside) > self.options.ncsnr_above
        if not chosen.any():
            raise ConfigError(f"ncsnr_above: no voxel of {subject_name(subject)} is above {self.options.ncsnr_above:g}")
        fewer = inside.copy()
        fewer[inside] = chosen
        return fewer, sensors.pick([name for name, kept in zip(sensors.names, chosen, strict=True) if kept])

    def mask(self, subject: int) -> tuple[NDArray[np.bool_], Sensors]:
        """Read the mask of a subject and describe its voxels."""
        place = self.root / "nsddata" / "ppdata" / f"subj{subject:02d}" / self.options.space
        labels = self.root / "nsddata" / "freesurfer" / f"subj{subject:02d}" / "label"
        return read_sensors(place, labels, self.options.mask)

    def read(self, path: Path, inside: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
        """Read one session into an array ``(n_trials, n_voxels, 1)``."""
        read_betas(path, inside, out)

    def ratios(self, subject: int) -> tuple[Path, NDArray[np.floating]]:
        """Read the noise-ceiling signal-to-noise ratio of every voxel."""
        path = self.folder(subject) / "ncsnr.nii.gz"
        return path, load_image(path)[0]

    def ncsnr(self, subject: int, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Give the noise-ceiling signal-to-noise ratio of some voxels, in C order of their mask."""
        path, values = self.ratios(subject)
        if values.shape != inside.shape:
            raise DataError(f"{path}: grid {values.shape}, expected {inside.shape} as in the mask")
        found = values[inside].astype(np.float64)
        if not np.isfinite(found).all() or (found < 0).any():
            bad = int(np.argmax(~np.isfinite(found) | (found < 0)))
            raise DataError(f"{path}: holds {found[bad]:g} in the mask, expected numbers from 0")
        return found

    def load(self, subject: int, store: ArrayStore, expected: Mapping[str, int]) -> Recording:
        """Read the sessions one after the other; only one is in memory."""
        trials, sessions = self.trials(subject), self.sessions(subject)
        inside, sensors = self.sensors(subject)
        if (self.options.mask, self.options.space, self.options.ncsnr_above) == (GENERAL, SPACES[0], None):
            place = self.root / "nsddata" / "ppdata" / f"subj{subject:02d}" / self.options.space / "roi"
            check_voxels(len(sensors), subject, expected, place / f"{GENERAL}.nii.gz")
        self._check_shared(trials, subject, sessions, expected)
        length = self.design.trials_per_session
        signals = store.empty((len(trials), len(sensors), 1))
        for position, path in enumerate(sessions.values()):
            self.read(path, inside, signals[position * length : (position + 1) * length])
        windows = window_table(
            subject,
            trials["nsd"].to_numpy(),
            np.arange(len(trials)),
            session=[f"{number:02d}" for number in trials["session"]],
            run=[f"{number:02d}" for number in trials["run"]],
            repetition=trials["repetition"],
            onset=trials["onset"],
            trial=trials["trial"],
            shared1000=trials["shared1000"],
        )
        return one_block(subject, signals, sensors, windows, self._flags())

    def _flags(self) -> list[str]:
        flags = []
        if "fithrf" in self.options.betas:
            flags.append(FITTED)
        if "GLMdenoise" in self.options.betas or "RR" in self.options.betas:
            flags.append(DENOISED)
        if self.options.ncsnr_above is not None:
            flags.append(f"{CHOSEN} (above {self.options.ncsnr_above:g})")
        return flags

    def _check_shared(
        self, trials: pd.DataFrame, subject: int, sessions: Mapping[int, Path], expected: Mapping[str, int]
    ) -> None:
        """Compare the number of shared pictures with what is known, where all sessions of the original are there."""
        name = subject_name(subject)
        if expected.get(f"sessions_{name}") != len(sessions):
            return
        count = int(trials["nsd"][trials["shared1000"] == 1].nunique())
        if count != expected[f"shared_{name}"]:
            raise DataError(
                f"{self.root / DESIGN}: {name} saw {count} shared pictures in {len(sessions)} sessions, expected "
                f"{expected[f'shared_{name}']}"
            )
