"""BOLD5000 (Chang et al. 2019): four people saw 5,000 pictures once, 113 of them several times."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import VALIDATION_SHARE
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.beta_maps import beta_recording, hold_out, split_of_parts, subject_of
from neurodecode.datasets.chang2019.bids import DERIVATIVE, averaged_responses
from neurodecode.datasets.chang2019.responses import (
    PERCENT,
    first_release_arrays,
    is_standardised,
    join_regions,
    region_arrays,
    region_masks,
    session_betas,
    whole_brain,
)
from neurodecode.datasets.chang2019.stimuli import repeated_pictures, stimulus_rows
from neurodecode.datasets.chang2019.trials import LISTS, read_trials
from neurodecode.datasets.dialect_study import DialectStudy
from neurodecode.datasets.options import one_of

DIALECTS = ("roi_betas", "betas", "rois", "bids")
ROI_FOLDER = Path("BOLD5000_GLMsingle_ROI_betas") / "py"
SEED = 0
FITTED = "each voxel's response shape was chosen over all trials, test pictures included"
DENOISED = "noise regressors and ridge penalty were chosen by predicting the repeated pictures, which test"
CLEANED = "cleaned and scaled within each run over all its volumes, trials of test pictures included, without labels"
Z_ALL = "each voxel was z-scored over all trials, test pictures included, before it reached us"
Z_SESSION = "each voxel was z-scored within each session over all its trials, test pictures included"


class Bold5000(DialectStudy):
    """Read one response a trial, in any of the forms in which the data set goes around.

    Parameters
    ----------
    root : Path
        The study's folder.
    dialect : str, optional
        ``roi_betas``: arrays of five regions on both sides from release 2, as MinD-Vis uses them; ``betas``: betas of
        the whole brain from release 2; ``rois``: arrays of the first release (MATLAB or HDF5); ``bids``: the
        data set of OpenNeuro with its fMRIPrep derivative. By default the first that lies there.
    mask : str
        Of ``betas`` and ``bids``: ``rois`` (the five regions) or ``brainmask``.
    """

    info = StudyInfo(
        name="bold5000",
        modality="fmri",
        kind="image",
        description="Four people saw 4,916 photographs (COCO, ImageNet, scenes) at 3 T, 113 of them several times.",
        citation="Chang et al. 2019, doi:10.1038/s41597-019-0052-3",
        licence="CC0 (data); pictures from COCO, ImageNet and SUN",
        where="https://bold5000-dataset.github.io/website (betas), https://openneuro.org/datasets/ds001499 (BIDS)",
        size="regions 0.2 GB, betas of the whole brain 20 GB, BIDS with derivatives over 300 GB, pictures 1 GB",
        simulated=False,
        expected={
            "trials_sub-01": 5254,
            "trials_sub-02": 5254,
            "trials_sub-03": 5254,
            "trials_sub-04": 3108,
            "repeated": 113,
            "roi_betas_sub-01": 1685,
        },
    )
    places = ("BOLD5000", "bold5000", "ds001499", "fmri/bold5000")
    dialects = DIALECTS
    known_by = (
        ROI_FOLDER / "CSI1_GLMbetas-TYPED-FITHRF-GLMDENOISE-RR_allses_LHEarlyVis.npy",
        Path("CSI1_GLMbetas-TYPED-FITHRF-GLMDENOISE-RR_ses-01.nii.gz"),
        Path("ROIs/CSI1/mat/CSI1_ROIs_TR34.mat"),
        DERIVATIVE / "sub-CSI1",
    )
    own_splits: ClassVar[tuple[str, ...]] = ("repeated",)

    def __init__(self, root: Path, *, dialect: str | None = None, mask: str = "rois") -> None:
        super().__init__(root)
        if dialect is not None:
            one_of(dialect, "dialect", DIALECTS)
        self.forced, self.mask = dialect, one_of(mask, "mask", ("rois", "brainmask"))
        if mask != "rois" and self.dialect in ("roi_betas", "rois"):
            raise ConfigError(f"mask: got {mask!r}, but the files of dialect {self.dialect} hold the regions only")

    @classmethod
    def lying_in(cls, folder: Path) -> list[str]:
        """List the dialects that lie in a folder, by names only."""
        return [name for name in DIALECTS if folder.is_dir() and _subjects(folder, name)]

    def subjects(self) -> list[str]:
        """List the subjects that are on disk."""
        return [f"sub-{number:02d}" for number in self._numbers]

    @cached_property
    def _numbers(self) -> list[int]:
        return _subjects(self.root, self.dialect)

    @cached_property
    def _trials(self) -> dict[int, pd.DataFrame]:
        """The trials of each subject, proven by every list."""
        found = {}
        for number in self._numbers:
            table = read_trials(self.root, number, betas=self.root, rois=_rois(self.root))
            expected = self.info.expected.get(f"trials_sub-{number:02d}")
            if expected is not None and len(table) != expected:
                raise DataError(f"{self.root}: {len(table)} trials of CSI{number} in its lists, expected {expected}")
            found[number] = table
        return found

    @cached_property
    def _repeated(self) -> frozenset[str]:
        return repeated_pictures(self.root, self._trials, self.info.expected.get("repeated"))

    def stimuli(self) -> Stimuli:
        """List the pictures that these subjects saw; `collection` says where they are from, `repeated` which test."""
        shown = sorted({name for table in self._trials.values() for name in table["stimulus"]})
        return Stimuli(stimulus_rows(self.root, shown, self._repeated), self.root)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject; `sfreq` has no meaning for one response a trial."""
        number = self._numbers[subject_of(subject, self.subjects(), self.root)]
        store = store or ArrayStore()
        table = self._trials[number].copy()
        table["repeated"] = table["stimulus"].isin(self._repeated).astype(np.int64)
        flags: list[str] = []
        if self.dialect in ("roi_betas", "rois"):
            signals, sensors = self._arrays(number, len(table), store)
        elif self.dialect == "betas":
            signals, sensors, left_out = self._session_betas(number, table, store)
        else:
            masks = region_masks([self.root / "derivatives" / "spm" / f"sub-CSI{number}"], number)
            self._check_masks(masks, number)
            signals, sensors, onsets, left_out = averaged_responses(
                self.root, number, table, masks, store, mask=self.mask
            )
            table["onset"] = onsets
            flags.append(CLEANED)
        if self.dialect in ("roi_betas", "betas"):
            flags += [FITTED, DENOISED]
        if self.dialect in ("betas", "bids") and left_out:
            flags.append(f"{left_out} of {left_out + len(sensors)} voxels without a signal throughout left out")
        if self.dialect != "bids":
            flags += _scaling(signals, table)
        expected = self.info.expected.get(f"{self.dialect}_{subject}")
        if expected is not None and len(sensors) != expected:
            raise DataError(f"{self.root}: {len(sensors)} voxels of CSI{number}, expected {expected}")
        return beta_recording(
            subject, signals, sensors, table.drop(columns="marked"), simulated=self.info.simulated, flags=flags
        )

    def _arrays(self, number: int, n_trials: int, store: ArrayStore) -> tuple[NDArray[np.float32], Any]:
        if self.dialect == "roi_betas":
            where = self.root / ROI_FOLDER
            return join_regions(region_arrays(where, number), n_trials, where, store, unit=PERCENT)
        path = _first_release(self.root, number)
        if path is None:
            raise DataError(f"{self.root}: no ROIs/CSI{number}/mat/CSI{number}_ROIs_TR34.mat or h5/..._TR34.h5")
        return join_regions(first_release_arrays(path), n_trials, path, store, unit="a.u.")

    def _session_betas(
        self, number: int, table: pd.DataFrame, store: ArrayStore
    ) -> tuple[NDArray[np.float32], Any, int]:
        found = session_betas(self.root, number)
        counts = {session: int((table["session"] == f"{session:02d}").sum()) for session in found}
        if sum(counts.values()) != len(table) or not all(counts.values()):
            listed = sorted(set(table["session"]))
            raise DataError(
                f"{self.root}: betas of the sessions {', '.join(f'{one:02d}' for one in found)} of CSI{number}, the "
                f"lists have {', '.join(listed) if listed != [''] else f'no sessions (put {LISTS} there)'}"
            )
        masks = region_masks([self.root, self.root / "derivatives" / "spm" / f"sub-CSI{number}"], number)
        self._check_masks(masks, number)
        brain = self.root / f"CSI{number}_brainmask.nii.gz"
        return whole_brain(found, counts, brain, masks, store, mask=self.mask)

    def _check_masks(self, masks: Mapping[str, Path], number: int) -> None:
        if self.mask == "rois" and not masks:
            raise DataError(
                f"{self.root}: no masks sub-CSI{number}_mask-LHEarlyVis.nii.gz and so on, here or in "
                f"derivatives/spm/sub-CSI{number}; the option mask=brainmask reads without them"
            )

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Test on the 113 repeated pictures; a tenth of the others validates, by the hash of their names."""
        parts, units = {}, {}
        for subject, table in windows.items():
            side = table["stimulus"].isin(self._repeated).map({True: "test", False: "train"})
            parts[subject] = hold_out(side, table["stimulus"], share=VALIDATION_SHARE, seed=SEED)
            units[subject] = table["stimulus"].astype(str).tolist()
        rule = "the repeated pictures test; a tenth of the others validates, chosen by the hash of their names"
        return split_of_parts(parts, units, unit="stimulus", rule=rule, seed=SEED)

    def steps(self) -> dict[str, Any]:
        """Describe where the responses come from."""
        steps: dict[str, Any] = {"reader": "bold5000", "dialect": self.dialect, "mask": self.mask}
        if self.dialect == "bids":
            steps["response"] = "volumes 4 to 8 s after the picture, after cleaning each run (motion, 0.008 Hz)"
        return steps


def _scaling(signals: NDArray[np.float32], table: pd.DataFrame) -> list[str]:
    """Tell from the numbers whether somebody z-scored them with the test trials."""
    sessions = table["session"].to_numpy().astype(str)
    # What is scaled within sessions is so over all of them, too.
    if len(set(sessions)) > 1 and is_standardised(signals, sessions):
        return [Z_SESSION]
    return [Z_ALL] if is_standardised(signals, np.full(len(table), "")) else []


def _rois(root: Path) -> Path | None:
    return next((path for path in (root / "ROIs", root / "BOLD5000_ROIs" / "ROIs") if path.is_dir()), None)


def _first_release(root: Path, number: int) -> Path | None:
    folder = _rois(root)
    names = () if folder is None else (f"mat/CSI{number}_ROIs_TR34.mat", f"h5/CSI{number}_ROIs_TR34.h5")
    paths = [folder / f"CSI{number}" / name for name in names] if folder is not None else []
    return next((path for path in paths if path.is_file()), None)


def _subjects(root: Path, dialect: str) -> list[int]:
    """List the subjects of a dialect, by names only."""
    if dialect == "roi_betas":
        return [n for n in range(1, 5) if next((root / ROI_FOLDER).glob(f"CSI{n}_*_allses_*.npy"), None)]
    if dialect == "betas":
        return [n for n in range(1, 5) if session_betas(root, n)]
    if dialect == "rois":
        return [n for n in range(1, 5) if _first_release(root, n)]
    return [n for n in range(1, 5) if (root / DERIVATIVE / f"sub-CSI{n}").is_dir()]
