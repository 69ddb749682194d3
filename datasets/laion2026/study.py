"""LAION-fMRI (2026): single-trial betas of five people at 7 T, and the published splits."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import read_table
from neurodecode.core.recording import Recording
from neurodecode.core.split import Split
from neurodecode.core.split_rules import VALIDATION_SHARE
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.allen2022.common import DENOISED, FITTED
from neurodecode.datasets.beta_maps import ROWS_AT_A_TIME, beta_recording, hold_out, split_of_parts, subject_of
from neurodecode.datasets.laion2026.splits import NAMES, PACKAGE, POOLS, find_splits, sides_of, type_of
from neurodecode.datasets.options import one_of
from neurodecode.datasets.volumes import load_image, load_mask, read_masked, voxel_sensors

DERIVATIVE = Path("derivatives") / "glmsingle-tedana"
ROIS = ("derivatives/atlases/{subject}/rois", "derivatives/rois/{subject}")
METADATA = Path("stimuli") / "task-images_metadata.csv"
PICTURES = Path("stimuli") / "task-images_stimuli.h5"
BETAS = "{subject}_{session}_task-images_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz"
TRIALS = "{subject}_{session}_task-images_desc-SingletrialBetas_trials.tsv"
BRAIN = "{subject}_task-images_space-T1w_desc-meanR2gt15mask_mask.nii.gz"
SEED = 0


class LaionFmri(Study):
    """Read the single-trial betas session by session.

    Parameters
    ----------
    root : Path
        The study's folder, as its own package downloads it.
    mask : str
        Which voxels: ``rois`` (all regions together), ``brainmask`` (``desc-meanR2gt15mask``), or one region.
    pool : str
        Of the splits: ``pooled`` (all subjects' pictures in one list), ``shared`` (the pictures that all saw) or
        ``subject`` (each subject's own list, for one subject at a time).
    """

    info = StudyInfo(
        name="laion_fmri",
        modality="fmri",
        kind="image",
        description="Five people saw 6,204 pictures each, 4 or 12 times, at 7 T; splits made against leakage.",
        citation="LAION-fMRI (ViCCo group, 2026, documentation marked as a draft), https://laion-fmri.hebartlab.com",
        licence="CC0 (data); pictures on request, all rights reserved",
        where="pip install laion-fmri; laion-fmri download --subject sub-01 (the package also holds the splits)",
        size="about 30 sessions a subject, 143 x 143 x 143 voxels and about 1,050 trials each",
        simulated=False,
        expected={},
    )
    places = ("laion_fmri_data", "laion_fmri", "laion-fmri", "fmri/laion_fmri")
    own_splits: ClassVar[tuple[str, ...]] = NAMES

    def __init__(self, root: Path, *, mask: str = "rois", pool: str = "pooled") -> None:
        super().__init__(root)
        if not isinstance(mask, str) or not re.fullmatch(r"[A-Za-z0-9-]+", mask):
            raise ConfigError(f"mask: got {mask!r}, expected rois, brainmask or the name of a region")
        self.mask, self.pool = mask, one_of(pool, "pool", POOLS)

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the first folder that holds single-trial betas, by names only."""
        for folder in (*(data_root / place for place in cls.places), data_root):
            if next((folder / DERIVATIVE).glob("sub-*/ses-*/func/*_desc-SingletrialBetas_trials.tsv"), None):
                return folder
        return None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the files by which the study is known."""
        name = DERIVATIVE / "sub-01" / "ses-01" / "func" / TRIALS.format(subject="sub-01", session="ses-01")
        return [data_root / place / name for place in (*cls.places, ".")]

    def subjects(self) -> list[str]:
        """List the subjects with betas."""
        folders = sorted((self.root / DERIVATIVE).glob("sub-*"))
        return [path.name for path in folders if next(path.glob("ses-*/func/*_desc-SingletrialBetas_trials.tsv"), None)]

    @cached_property
    def _trials(self) -> dict[str, pd.DataFrame]:
        """The trials of every subject in the order of the betas, session by session."""
        return {subject: self._read_trials(subject) for subject in self.subjects()}

    def _read_trials(self, subject: str) -> pd.DataFrame:
        tables = []
        for folder in sorted((self.root / DERIVATIVE / subject).glob("ses-*")):
            path = folder / "func" / TRIALS.format(subject=subject, session=folder.name)
            if path.is_file():
                tables.append(read_trials(path, folder.name))
        return pd.concat(tables, ignore_index=True)

    def stimuli(self) -> Stimuli:
        """List the pictures that these subjects saw, by the names of their files; `ood` is a type or empty."""
        shown = sorted({name for table in self._trials.values() for name in table["stimulus"]})
        rows = pd.DataFrame({"stimulus": shown, "kind": "image", "path": "", "concept": "", "text": ""})
        rows["ood"] = [type_of(name) for name in shown]
        if (self.root / METADATA).is_file():
            known = read_metadata(self.root / METADATA)
            missing = [name for name in shown if name not in known.index]
            if missing:
                raise DataError(f"{self.root / METADATA}: no row of the picture {missing[0]} ({len(missing)} missing)")
            rows["collection"] = known.loc[shown, "dataset"].to_numpy()
            if (self.root / PICTURES).is_file():
                places = known.loc[shown, "place"]
                self._check_pictures(len(known))
                rows["path"] = [f"{PICTURES.as_posix()}#images/{place}" for place in places]
        return Stimuli(rows, self.root)

    def _check_pictures(self, count: int) -> None:
        """Prove that the file of the pictures has one for each row of the table."""
        import h5py

        path = self.root / PICTURES
        try:
            with h5py.File(path, "r") as file:
                found = len(file["images"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: not readable as HDF5 with 'images' ({str(error).splitlines()[0]})") from None
        if found != count:
            raise DataError(f"{path}: {found} pictures, but {METADATA.name} has {count} rows")

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject session by session; `sfreq` has no meaning for betas."""
        subject_of(subject, self.subjects(), self.root)
        store, table = store or ArrayStore(), self._trials[subject]
        inside, regions, affine = self._mask(subject)
        signals = store.empty((len(table), int(inside.sum()), 1))
        good, start = np.ones(int(inside.sum()), dtype=bool), 0
        for session, rows in table.groupby("session", sort=False):
            name = f"ses-{session}"
            folder = self.root / DERIVATIVE / subject / name / "func"
            path = folder / BETAS.format(subject=subject, session=name)
            values = read_masked(path, inside, affine)
            if len(values) != len(rows):
                raise DataError(
                    f"{path}: {len(values)} volumes, expected {len(rows)}, one for each row of "
                    f"{TRIALS.format(subject=subject, session=name)}"
                )
            good &= np.isfinite(values).all(axis=0) & (values.min(axis=0) < values.max(axis=0))
            signals[start : start + len(values), :, 0] = values
            start += len(values)
        flags = [FITTED, DENOISED]
        sensors = voxel_sensors(inside, affine, unit="a.u.", regions={n: m for n, m in regions.items() if m.any()})
        if not good.all():
            flags.append(f"{int((~good).sum())} of {len(good)} voxels without a signal in some session left out")
            sensors = sensors.pick([name for name, one in zip(sensors.names, good, strict=True) if one])
            signals = _without(signals, good, store)
        return beta_recording(subject, signals, sensors, table, simulated=self.info.simulated, flags=flags)

    def _mask(self, subject: str) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]], NDArray[np.float64]]:
        """Read the voxels that are wanted, and all regions."""
        files = region_files(self.root, subject)
        brain = self.root / DERIVATIVE / subject / BRAIN.format(subject=subject)
        first = brain if self.mask == "brainmask" else files.get(self.mask) or next(iter(files.values()), None)
        if first is None or (self.mask not in ("rois", "brainmask") and self.mask not in files):
            places = " or ".join(str(self.root / place.format(subject=subject)) for place in ROIS)
            raise DataError(
                f"mask: got {self.mask!r}, but {places} have {', '.join(files) or 'no masks'}; brainmask reads "
                f"{brain.name}"
            )
        values, affine = load_image(first)
        shape = (values.shape[0], values.shape[1], values.shape[2])
        regions = {name: load_mask(path, shape, affine) for name, path in files.items()}
        if self.mask == "brainmask":
            return load_mask(brain, shape, affine), regions, affine
        return (
            regions[self.mask] if self.mask in regions else np.logical_or.reduce(list(regions.values())),
            regions,
            affine,
        )

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Make the split ``tau``: test pictures are as far as possible from their nearest training picture."""
        return self.named_split(self.own_splits[0], windows)

    def named_split(self, rule: str, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Make one of the published splits; a tenth of its training pictures validates, by the hash of their names.

        Pictures that its pool does not hold are in no part.
        """
        if rule not in self.own_splits:
            raise ConfigError(f"split: got {rule!r}, expected one of {', '.join(self.own_splits)}")
        folder = find_splits(self.root)
        if folder is None:
            raise DataError(
                f"{self.root / 'splits'}: no such folder; the published splits come with the package {PACKAGE} (pip "
                "install laion-fmri), or copy its folder splits/data to splits"
            )
        sides = sides_of(folder, self.pool, rule, list(windows))
        parts, units = {}, {}
        for subject, table in windows.items():
            side = table["stimulus"].astype(str).map(dict(sides[subject]))
            regular = np.array([not type_of(name) for name in table["stimulus"].astype(str)])
            lost = side.isna().to_numpy() & regular
            if self.pool != "shared" and lost.any():
                name = table["stimulus"].iloc[int(np.argmax(lost))]
                raise DataError(f"{folder / self.pool}: {subject} saw {name}, which the split {rule} does not hold")
            parts[subject] = hold_out(side.fillna(""), table["stimulus"], share=VALIDATION_SHARE, seed=SEED)
            units[subject] = table["stimulus"].astype(str).tolist()
        text = f"published split {rule}, pool {self.pool}; a tenth of its training pictures validates, by the hash"
        return split_of_parts(parts, units, unit="stimulus", rule=text, seed=SEED)

    def steps(self) -> dict[str, Any]:
        """Describe what is read; no scaling is done."""
        return {"reader": "laion_fmri", "mask": self.mask, "pool": self.pool, "scaling": "none"}


def _without(signals: NDArray[np.float32], good: NDArray[np.bool_], store: ArrayStore) -> NDArray[np.float32]:
    kept = store.empty((len(signals), int(good.sum()), 1))
    for start in range(0, len(signals), ROWS_AT_A_TIME):
        kept[start : start + ROWS_AT_A_TIME] = signals[start : start + ROWS_AT_A_TIME][:, good]
    return kept


def read_trials(path: Path, session: str) -> pd.DataFrame:
    """Read which picture each volume of a session answers.

    Parameters
    ----------
    path : Path
        With `session`, `run`, `beta_index` (from 0) and `label` (the picture's file).
    session : str
        Such as ``ses-01``, the folder.

    Returns
    -------
    pandas.DataFrame
        `stimulus`, `session`, `run` in the order of the volumes.

    Raises
    ------
    DataError
        Naming the line whose index or session is not the one expected, or that has no picture.
    """
    table = read_table(path, required=("session", "run", "beta_index", "label"), text=("session", "run", "label"))
    wanted = session.removeprefix("ses-")
    for row, (index, own, label) in enumerate(zip(table["beta_index"], table["session"], table["label"], strict=True)):
        if index != row:
            raise DataError(f"{path}: line {row + 2}: beta_index is {index}, expected {row}")
        if own.removeprefix("ses-").lstrip("0") != wanted.lstrip("0"):
            raise DataError(f"{path}: line {row + 2}: session is {own!r}, expected {session}")
        if not label:
            raise DataError(f"{path}: line {row + 2}: no label")
    runs = [re.sub(r"^run-", "", run).zfill(2) for run in table["run"]]
    return pd.DataFrame({"stimulus": table["label"], "session": wanted, "run": runs})


def read_metadata(path: Path) -> pd.DataFrame:
    """Read the table of pictures, whose rows are those of the file of pictures: by name, with `dataset` and `place`."""
    table = read_table(path, required=("image_name", "dataset"), text=("image_name", "dataset"))
    twice = table["image_name"].duplicated()
    if twice.any():
        raise DataError(
            f"{path}: line {int(np.argmax(twice)) + 2}: {table['image_name'][twice].iloc[0]} has a row already"
        )
    return table.assign(place=np.arange(len(table))).set_index("image_name")[["dataset", "place"]]


def region_files(root: Path, subject: str) -> dict[str, Path]:
    """Find the masks of a subject's regions, in the folders of the older and the newer release.

    Older ones are ``V1v.nii.gz``; newer ones ``sub-01_space-T1w_res-1pt8_label-V1v_mask.nii.gz``, in a folder for each
    group of regions. Surfaces beside them are left out.
    """
    found: dict[str, Path] = {}
    for place in ROIS:
        for path in sorted((root / place.format(subject=subject)).rglob("*.nii.gz")):
            match = re.search(r"_label-([A-Za-z0-9-]+)_mask\.nii\.gz$", path.name)
            name = match[1] if match else path.name.removesuffix(".nii.gz")
            if name in found:
                raise DataError(f"{path}: the region {name} already has the mask {found[name]}")
            found[name] = path
    return found
