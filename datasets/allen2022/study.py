"""The Natural Scenes Dataset (Allen et al. 2022) in every dialect that decoders are trained on."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.files import fingerprint
from neurodecode.core.recording import Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import VALIDATION_SHARE
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.allen2022.common import Dialect, Options, stimulus_table, subject_name
from neurodecode.datasets.allen2022.mindeye1 import MindEye1
from neurodecode.datasets.allen2022.mindeye2 import MindEye2
from neurodecode.datasets.allen2022.release import DESIGN, SPACES, Release
from neurodecode.datasets.allen2022.surface import SPACE as SURFACE
from neurodecode.datasets.allen2022.surface import SurfaceRelease
from neurodecode.datasets.allen2022.voxels import GENERAL, noise_ceiling
from neurodecode.datasets.dialect_study import DialectStudy

DIALECTS = ("hdf5", "nifti", "mgh", "mindeye2", "mindeye1")
BETAS = ("betas_fithrf_GLMdenoise_RR", "betas_fithrf", "betas_assumehrf")
VOXELS = (15724, 14278, 15226, 13153, 13039, 17907, 12682, 14386)
SESSIONS = (40, 40, 32, 30, 40, 32, 40, 30)
SHARED = (1000, 1000, 930, 907, 1000, 930, 1000, 907)
VALIDATION_SEED = 0


class Nsd(DialectStudy):
    """Read the betas of eight subjects who saw up to 10,000 pictures three times each.

    The released betas (NIfTI or HDF5), MindEye1's archives and MindEye2's files are one study. Nothing is z-scored
    here; MindEye's files were, and are flagged.

    Parameters
    ----------
    root : Path
        The study's folder.
    dialect : str, optional
        ``hdf5``, ``nifti``, ``mgh``, ``mindeye2`` or ``mindeye1``; by default the first that lies
        there, and of the released betas whichever file a session has.
    betas : str
        Version of the released betas: ``betas_fithrf_GLMdenoise_RR``, ``betas_fithrf`` or ``betas_assumehrf``.
    space : str, optional
        Of the released betas: ``func1pt8mm``, ``func1mm`` or ``fsaverage`` (dialect ``mgh``); by default the first, or
        the last where only that lies there.
    mask : str
        Which voxels of the released betas: ``nsdgeneral``, another volume of the folder ``roi``, or ``brainmask``.
    sessions : int, optional
        The last session that is read; 37 gives what was public before August 2023.
    ncsnr_above : float, optional
        Only voxels of the released betas with a higher noise-ceiling ratio. It was computed with the test pictures, so
        every result says so.
    """

    info = StudyInfo(
        name="nsd",
        modality="fmri",
        kind="image",
        description="Eight subjects saw up to 10,000 photographs three times each at 7 T; single-trial betas.",
        citation="Allen et al. 2022, doi:10.1038/s41593-021-00962-x",
        licence="NSD Terms and Conditions (access agreement); pictures from COCO",
        where="https://naturalscenesdataset.org; MindEye2's files: https://huggingface.co/datasets/pscotti/mindeyev2",
        size="about 1 GB a session and space as HDF5 (40 GB a subject), pictures 37 GB; MindEye2's files over 100 GB",
        simulated=False,
        expected={
            **{f"voxels_{subject_name(index + 1)}": count for index, count in enumerate(VOXELS)},
            **{f"sessions_{subject_name(index + 1)}": count for index, count in enumerate(SESSIONS)},
            **{f"shared_{subject_name(index + 1)}": count for index, count in enumerate(SHARED)},
        },
    )
    places = ("nsd", "natural-scenes-dataset", "fmri/nsd")
    dialects = DIALECTS
    known_by = (str(DESIGN), "betas_all_subj01_fp32_renorm.hdf5", "webdataset_avg_split/train/train_subj01_0.tar")
    own_splits = ("shared1000", "shared1000_thrice", "files")

    def __init__(
        self,
        root: Path,
        *,
        dialect: str | None = None,
        betas: str = BETAS[0],
        space: str | None = None,
        mask: str = GENERAL,
        sessions: int | None = None,
        ncsnr_above: float | None = None,
    ) -> None:
        super().__init__(root)
        spaces = (*SPACES, SURFACE)
        for option, value, known in (("dialect", dialect, DIALECTS), ("betas", betas, BETAS), ("space", space, spaces)):
            if value is not None and value not in known:
                raise ConfigError(
                    f"{option}: got {value!r}, expected one of {', '.join(known)}{suggestion(str(value), known)}"
                )
        if sessions is not None and (not isinstance(sessions, int) or sessions < 1):
            raise ConfigError(f"sessions: got {sessions!r}, expected a number of sessions from 1")
        if not mask or "/" in mask or ".." in mask:
            raise ConfigError(f"mask: got {mask!r}, expected the name of a volume, such as {GENERAL}")
        if ncsnr_above is not None and not np.isfinite(ncsnr_above):
            raise ConfigError(f"ncsnr_above: got {ncsnr_above}, expected a finite number")
        self.forced = "mgh" if dialect is None and space == SURFACE else dialect
        if (
            space is not None
            and self.dialect in ("hdf5", "nifti", "mgh")
            and (space == SURFACE) != (self.dialect == "mgh")
        ):
            raise ConfigError(f"space: got {space!r}, but the files of dialect {self.dialect} are in another space")
        usual = SURFACE if self.dialect == "mgh" else SPACES[0]
        self.options = Options(betas, space or usual, mask, sessions, ncsnr_above)
        chosen = (betas, self.options.space, mask, ncsnr_above)
        if self.dialect.startswith("mindeye") and chosen != (BETAS[0], SPACES[0], GENERAL, None):
            raise ConfigError(
                f"dialect {self.dialect}: betas, space, mask and ncsnr_above cannot be chosen, its files hold "
                f"{BETAS[0]} in {GENERAL} at 1.8 mm"
            )
        if self.dialect == "mindeye1" and sessions is not None:
            raise ConfigError("sessions: got a number, but the files of dialect mindeye1 do not tell sessions apart")

    @classmethod
    def lying_in(cls, folder: Path) -> list[str]:
        """List the dialects that lie in a folder, by names only."""
        there: dict[str, Callable[[Path], bool]] = {
            "hdf5": lambda place: Release.there(place, "hdf5"),
            "nifti": lambda place: Release.there(place, "nifti"),
            "mgh": SurfaceRelease.there,
            "mindeye2": MindEye2.there,
            "mindeye1": MindEye1.there,
        }
        return [name for name in DIALECTS if there[name](folder)]

    @cached_property
    def _reader(self) -> Dialect:
        if self.dialect == "mindeye1":
            return MindEye1(self.root)
        if self.dialect == "mindeye2":
            return MindEye2(self.root, self.options.sessions)
        if self.dialect == "mgh":
            return SurfaceRelease(self.root, self.options, ())
        kinds = ("hdf5", "nifti") if self.forced is None else (self.forced,)
        return Release(self.root, self.options, kinds)

    def subjects(self) -> list[str]:
        """List the subjects that are on disk."""
        return [subject_name(number) for number in self._reader.subjects()]

    def stimuli(self) -> Stimuli:
        """List the pictures that these subjects saw, named by their ``nsdId``, which counts from 0."""
        return Stimuli(stimulus_table(self._reader.pictures(), self.root), self.root)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject, session by session; `sfreq` has no meaning for betas."""
        recording = self._reader.load(self._number(subject), store or ArrayStore(), self.info.expected)
        return replace(recording, simulated=self.info.simulated)

    def noise_ceiling(self, subject: str, *, repetitions: int = 3) -> NDArray[np.float64]:
        """Compute the explainable variance of each voxel in percent, for averages over some repetitions.

        It was estimated with all pictures, those of the test included: good for reading a result, not for choosing.
        """
        if not isinstance(self._reader, Release):
            raise ConfigError(f"dialect {self.dialect}: its files hold no noise ceiling, the released betas do")
        number = self._number(subject)
        return noise_ceiling(self._reader.ncsnr(number, self._reader.sensors(number)[0]), repetitions)

    def _number(self, subject: str) -> int:
        known = self.subjects()
        if subject not in known:
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(known) or 'none'} ({self.root})")
        return self._reader.subjects()[known.index(subject)]

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Test on all shared pictures that a subject saw at least once, as MindEye1 and MindEye2 do."""
        return self.named_split(self.own_splits[0], windows)

    def named_split(self, rule: str, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Split by pictures.

        ``shared1000``: the shared pictures test (1000, 930 or 907 of them by subject; 982 in the first 37 sessions).
        ``shared1000_thrice``: of those only the ones that a subject saw three times, the others are in no part.
        ``files``: what the files of MindEye1 or MindEye2 say. Where no pictures are set aside for validation, a tenth
        of the training pictures is, by the hash of their names, so that it is the same for all subjects and dialects.
        """
        if rule not in self.own_splits:
            raise ConfigError(f"split: got {rule!r}, expected one of {', '.join(self.own_splits)}")
        tables = []
        for subject, table in windows.items():
            part = _PARTS[rule](table).astype(object)
            if not (part == "val").any():
                held_out = table["stimulus"].map(_validates).to_numpy(dtype=bool)
                part[(part == "train").to_numpy() & held_out] = "val"
            tables.append(
                pd.DataFrame(
                    {
                        "subject": subject,
                        "window": np.arange(len(table)),
                        "unit": table["stimulus"].astype(str).to_numpy(),
                        "fold_0": part.astype(str).to_numpy(),
                    }
                )
            )
        return Split(pd.concat(tables, ignore_index=True), "stimulus", _RULES[rule], VALIDATION_SEED)

    def steps(self) -> dict[str, Any]:
        """Describe what is read; no scaling is done."""
        steps: dict[str, Any] = {"reader": "nsd", "dialect": self.dialect, "forced": self.forced is not None}
        if not self.dialect.startswith("mindeye"):
            steps |= {
                "betas": self.options.betas,
                "space": self.options.space,
                "mask": self.options.mask,
                "ncsnr_above": self.options.ncsnr_above,
                "scaling": "percent signal change, not z-scored",
            }
        return {**steps, "sessions": self.options.sessions}


def _shared(table: pd.DataFrame) -> "pd.Series[str]":
    return table["shared1000"].map({1: "test", 0: "train"})


def _shared_thrice(table: pd.DataFrame) -> "pd.Series[str]":
    times = table.groupby("stimulus")["stimulus"].transform("size")
    return _shared(table).mask((table["shared1000"] == 1) & (times < 3), "")


def _files(table: pd.DataFrame) -> "pd.Series[str]":
    if "part" not in table:
        raise ConfigError("split: got 'files', but the released betas come without a split; expected shared1000")
    return table["part"]


def _validates(stimulus: str) -> bool:
    digest = fingerprint([VALIDATION_SEED, stimulus])
    return int(digest, 16) < VALIDATION_SHARE * float(16 ** len(digest))


_PARTS: dict[str, Callable[[pd.DataFrame], "pd.Series[str]"]] = {
    "shared1000": _shared,
    "shared1000_thrice": _shared_thrice,
    "files": _files,
}
_TENTH = "a tenth of the training pictures validates, chosen by the hash of their names"
_RULES = {
    "shared1000": f"the shared pictures that a subject saw test; {_TENTH}",
    "shared1000_thrice": f"the shared pictures that a subject saw three times test; {_TENTH}",
    "files": f"as the derivative's files say; where they hold no validation pictures, {_TENTH}",
}
