"""NSD-Imagery: the subjects of the Natural Scenes Dataset see and imagine twelve pictures and six concepts."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import StudyInfo
from neurodecode.datasets.allen2022.betas import read_betas
from neurodecode.datasets.allen2022.common import (
    BLOCK,
    DENOISED,
    FITTED,
    check_voxels,
    subject_name,
    subject_number,
    unplaced_sensors,
)
from neurodecode.datasets.allen2022.imagery_mirage import (
    CONDITIONS,
    Z_SCORED,
    betas_of,
    compare_trials,
    find_subjects,
    mirage_stimuli,
    mirage_trials,
    read_mirage_betas,
)
from neurodecode.datasets.allen2022.imagery_trials import RUNS, SETS, read_targets, trial_table
from neurodecode.datasets.allen2022.release import SPACES
from neurodecode.datasets.allen2022.study import VOXELS
from neurodecode.datasets.allen2022.voxels import GENERAL, read_sensors
from neurodecode.datasets.dialect_study import DialectStudy

BETAS = ("nsdimagerybetas_fithrf_GLMdenoise_RR", "nsdimagerybetas_fithrf")
FILES = ("betas_nsdimagery.hdf5", "betas_nsdimagery.nii.gz")
EXPERIMENT = Path("nsddata/experiments/nsdimagery")
BEHAVIOUR = Path("nsddata/bdata/nsdimagery")
SESSION = "nsdimagery"
DIALECTS = ("release", "mirage")


class NsdImagery(DialectStudy):
    """Read the betas of seen and of imagined targets; voxels are those of `nsd`, so that its decoders fit.

    Attention trials have betas but no window: what was attended is not what was shown.

    Parameters
    ----------
    root : Path
        Folder with ``nsddata`` and ``nsddata_betas``, or with ``preprocessed_data`` and ``nsddata_stimuli``.
    dialect : str, optional
        ``release``, or ``mirage`` for the tensors of MIRAGE, which were z-scored and are flagged; by default what lies
        there, the release first.
    betas : str
        ``nsdimagerybetas_fithrf_GLMdenoise_RR`` or ``nsdimagerybetas_fithrf``.
    space : str
        ``func1pt8mm`` or ``func1mm``.
    mask : str
        Which voxels: ``nsdgeneral``, another volume of the folder ``roi``, or ``brainmask``.
    sets : str
        Which targets: any of ``A`` (simple), ``B`` (complex) and ``C`` (concepts, which have no picture).
    """

    info = StudyInfo(
        name="nsd_imagery",
        modality="fmri",
        kind="image",
        description="The subjects of nsd see (8 times) and imagine (16 times) twelve pictures and six concepts.",
        citation="Kneeland et al. 2025, doi:10.48550/arXiv.2506.06898",
        licence="NSD Terms and Conditions (access agreement)",
        where="https://naturalscenesdataset.org (nsddata/experiments/nsdimagery and the betas of that name)",
        size="about 1 GB a subject as HDF5",
        simulated=False,
        expected={f"voxels_{subject_name(index + 1)}": count for index, count in enumerate(VOXELS)},
    )
    places = ("nsd", "natural-scenes-dataset", "nsd_imagery", "fmri/nsd")
    dialects = DIALECTS
    known_by = (
        f"nsddata_betas/ppdata/subj01/{SPACES[0]}/{BETAS[0]}/{FILES[0]}",
        "preprocessed_data/subject1/nsd_imagery.pt",
    )
    own_splits = ("vision_to_imagery", "test_imagery", "test_vision")

    def __init__(
        self,
        root: Path,
        *,
        dialect: str | None = None,
        betas: str = BETAS[0],
        space: str = SPACES[0],
        mask: str = GENERAL,
        sets: str = "AB",
    ) -> None:
        super().__init__(root)
        for option, value, known in (("dialect", dialect, DIALECTS), ("betas", betas, BETAS), ("space", space, SPACES)):
            if value is not None and value not in known:
                raise ConfigError(
                    f"{option}: got {value!r}, expected one of {', '.join(known)}{suggestion(str(value), known)}"
                )
        if not mask or "/" in mask or ".." in mask:
            raise ConfigError(f"mask: got {mask!r}, expected the name of a volume, such as {GENERAL}")
        if not sets or set(sets) - set(SETS) or len(set(sets)) != len(sets):
            raise ConfigError(f"sets: got {sets!r}, expected some of the letters {''.join(SETS)}, each once")
        there = self.lying_in(root)
        self.forced = dialect or (there[0] if there else DIALECTS[0])
        if self.dialect == "mirage" and (betas, space, mask) != (BETAS[0], SPACES[0], GENERAL):
            raise ConfigError(
                "dialect mirage: betas, space and mask cannot be chosen, its files hold nsdgeneral at 1.8 mm"
            )
        self.betas, self.space, self.mask, self.sets = betas, space, mask, "".join(sorted(sets))

    @classmethod
    def lying_in(cls, folder: Path) -> list[str]:
        """List the dialects that lie in a folder, by names only."""
        betas = next(folder.glob("nsddata_betas/ppdata/subj*/func*/nsdimagerybetas_*/betas_nsdimagery.*"), None)
        released = betas is not None and (folder / BEHAVIOUR).is_dir()
        mirage = (folder / CONDITIONS).is_file() and bool(find_subjects(folder))
        return [name for name, there in zip(DIALECTS, (released, mirage), strict=True) if there]

    def _files(self) -> dict[str, Path]:
        """Find the betas of each subject; HDF5 where there are both."""
        if self.dialect == "mirage":
            return {subject_name(number): betas_of(self.root, number) for number in find_subjects(self.root)}
        found = {}
        for folder in sorted((self.root / "nsddata_betas" / "ppdata").glob("subj*")):
            number = subject_number(folder.name)
            paths = [folder / self.space / self.betas / name for name in FILES]
            there = [path for path in paths if path.is_file()]
            if number is not None and there:
                found[subject_name(number)] = there[0]
        return found

    def subjects(self) -> list[str]:
        """List the subjects with betas of the wanted kind."""
        return list(self._files())

    def stimuli(self) -> Stimuli:
        """List the targets of the chosen sets; those of the complex set are pictures of `nsd`, column `nsd` from 0."""
        if self.dialect == "mirage":
            return Stimuli(mirage_stimuli(self.root, self.sets), self.root)
        rows = []
        for letter in self.sets:
            for target in read_targets(self.root / EXPERIMENT, letter).values():
                path = EXPERIMENT / "rawtargetimages" / f"set{letter}" / target.name
                pictured = letter != "C"
                if pictured and not (self.root / path).is_file():
                    raise DataError(f"{self.root / path}: the picture of {target.stimulus} is missing")
                rows.append(
                    {
                        "stimulus": target.stimulus,
                        "kind": "image" if pictured else "word",
                        "path": path.as_posix() if pictured else "",
                        "concept": "",
                        "text": Path(target.name).stem if not pictured else "",
                        "set": SETS[letter],
                        "code": target.code,
                        "nsd": target.nsd,
                    }
                )
        return Stimuli(pd.DataFrame(rows), self.root)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject; `sfreq` has no meaning for betas."""
        files = self._files()
        if subject not in files:
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(files) or 'none'} ({self.root})")
        number, store = int(subject[-2:]), store or ArrayStore()
        if self.dialect == "mirage":
            trials, signals, sensors = self._read_mirage(number, files[subject], store)
            flags: tuple[str, ...] = (FITTED, Z_SCORED)
        else:
            trials = trial_table(self.root, number)
            inside, sensors = self._sensors(number)
            check_voxels(len(sensors), number, self._expected(), self._mask_file(number))
            signals = store.empty((int(trials.attrs["n_betas"]), len(sensors), 1))
            read_betas(files[subject], inside, signals)
            flags = (FITTED, DENOISED) if "GLMdenoise" in self.betas else (FITTED,)
        chosen = trials[trials["set"].isin([SETS[letter] for letter in self.sets])].reset_index(drop=True)
        windows = pd.DataFrame(
            {
                "subject": subject,
                "session": SESSION,
                "run": chosen["run"],
                "block": BLOCK,
                "start": chosen["beta"],
                "length": 1,
                "stimulus": chosen["stimulus"],
                "repetition": chosen["repetition"],
                "onset": chosen["onset"],
                "task": chosen["task"],
                "set": chosen["set"],
                "cue": chosen["cue"],
            }
        )
        block = Block(BLOCK, signals, sensors)
        return Recording(subject, "fmri", {BLOCK: block}, windows, self.info.simulated, flags)

    def _expected(self) -> Mapping[str, int]:
        """Give the counts that hold for what is read."""
        return self.info.expected if (self.mask, self.space) == (GENERAL, SPACES[0]) else {}

    def _mask_file(self, number: int) -> Path:
        place = self.root / "nsddata" / "ppdata" / f"subj{number:02d}" / self.space
        return place / "roi" / f"{self.mask}.nii.gz"

    def _sensors(self, number: int) -> tuple[NDArray[np.bool_], Sensors]:
        place = self.root / "nsddata" / "ppdata" / f"subj{number:02d}" / self.space
        labels = self.root / "nsddata" / "freesurfer" / f"subj{number:02d}" / "label"
        return read_sensors(place, labels, self.mask)

    def _read_mirage(
        self, number: int, path: Path, store: ArrayStore
    ) -> tuple[pd.DataFrame, NDArray[np.float32], Sensors]:
        """Read tensors; voxels get their places where the mask lies there too, trials a second proof from behaviour."""
        trials = mirage_trials(self.root / CONDITIONS)
        if (self.root / BEHAVIOUR / f"nsdimagery_subj{number:02d}_{RUNS[0]}.tsv").is_file():
            compare_trials(trials, self.root / CONDITIONS, trial_table(self.root, number))
        signals = read_mirage_betas(path, int(trials.attrs["n_betas"]), store)
        check_voxels(signals.shape[1], number, self._expected(), path)
        mask = self._mask_file(number)
        if not mask.is_file():
            return trials, signals, unplaced_sensors(signals.shape[1])
        sensors = replace(self._sensors(number)[1], unit="z")
        if len(sensors) != signals.shape[1]:
            raise DataError(f"{path}: {signals.shape[1]} voxels, expected {len(sensors)} as in {mask.name}")
        return trials, signals, sensors

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Train on vision, validate on the first and test on the second runs of imagery."""
        return self.named_split(self.own_splits[0], windows)

    def named_split(self, rule: str, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Split by runs.

        ``vision_to_imagery`` trains on seen targets and tests on the same targets imagined, in other runs.
        ``test_imagery`` and ``test_vision`` put all of a task into the test: for decoders trained on `nsd`.
        """
        if rule not in self.own_splits:
            raise ConfigError(f"split: got {rule!r}, expected one of {', '.join(self.own_splits)}")
        tables = []
        for subject, table in windows.items():
            run, task = table["run"].astype(str), table["task"].astype(str)
            if rule == "vision_to_imagery":
                later = run.str.endswith("_2").to_numpy()
                part = np.where(task == "vision", "train", np.where(later, "test", "val"))
            else:
                part = np.where(task == rule.removeprefix("test_"), "test", "")
            units = (subject + "/" + run).to_numpy()
            tables.append(
                pd.DataFrame({"subject": subject, "window": np.arange(len(table)), "unit": units, "fold_0": part})
            )
        return Split(pd.concat(tables, ignore_index=True), "run", _RULES[rule], 0)

    def steps(self) -> dict[str, Any]:
        """Describe what is read; no scaling is done."""
        return {
            "reader": "nsd_imagery",
            "dialect": self.dialect,
            "betas": self.betas,
            "space": self.space,
            "mask": self.mask,
            "sets": self.sets,
            "scaling": "z-scored by run" if self.dialect == "mirage" else "percent signal change, not z-scored",
        }


_RULES = {
    "vision_to_imagery": "runs of vision train, the first runs of imagery validate, the second ones test; the targets "
    "of training and test are the same",
    "test_imagery": "all runs of imagery test, nothing trains",
    "test_vision": "all runs of vision test, nothing trains",
}
