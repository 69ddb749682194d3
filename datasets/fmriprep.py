"""Any fMRIPrep derivative with the events of its raw data set: one response a trial and voxel."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.bids_events import read_events, shown_stimuli, window_table
from neurodecode.datasets.fmriprep_files import PreprocessedRun, derivative_runs, find_derivative, raw_of, sidecar_value
from neurodecode.datasets.fmriprep_model import ResponseModel
from neurodecode.datasets.fmriprep_responses import Response, read_confounds
from neurodecode.datasets.fmriprep_signals import Region, other_hemisphere, read_series, read_space, varying_voxels
from neurodecode.datasets.options import interval, names, number, one_of
from neurodecode.datasets.splits import stimulus_split


class FmriprepStudy(Study):
    """Read what fMRIPrep wrote, under the names of any of its releases.

    Parameters
    ----------
    root : Path
        The raw data set, with the derivative below ``derivatives`` or named; or the derivative itself.
    derivative : str, optional
        Folder of the derivative, relative to `root`.
    raw : str, optional
        Folder of the raw data set with the events, relative to `root`; by default `root`, or the data set that the
        derivative lies in.
    space : str, optional
        Such as ``T1w``, ``MNI152NLin2009cAsym:res-2``, ``fsaverage5`` (both hemispheres) or ``fsLR:den-91k``; ``func``
        for the runs' own. By default ``T1w``, else the only one.
    response : str
        ``window``: mean over the volumes of a window after the onset, after cleaning; ``lsa`` or ``lss``: single-trial
        betas of nilearn's linear model, least squares all or separate.
    window : tuple of float
        First and last delay in seconds after the onset.
    hrf, noise : str
        Of the linear model: ``glover``, ``spm`` ...; ``ols`` or ``ar1``.
    confounds : str or list of str
        ``motion`` (six parameters), ``motion24``, ``none``, or columns by the names of newer releases.
    high_pass : float or None
        Slower changes (Hz) are drift; None: only a linear trend is taken out.
    mask : str, optional
        A mask on the grid of the space, relative to `root`; may hold ``{subject}``. By default the brain masks of all
        runs, their intersection.
    regions : mapping of str to str, optional
        Masks of named regions in the same form.
    stimulus_column, concept_column, rows, task
        As for a BIDS data set.
    averaging : str
        ``stimulus``: repetitions of a test stimulus are averaged; ``trial``: every trial is scored.

    Raises
    ------
    ConfigError, DataError
        If an option cannot be used or the derivative is not there.
    """

    info = StudyInfo(
        name="fmriprep",
        modality="fmri",
        kind="image",
        description="Any fMRIPrep derivative with the events of its raw BIDS data set.",
        citation="the data set's own; the preprocessing: Esteban et al. 2019, doi:10.1038/s41592-018-0235-4",
        licence="the data set's own",
        where="for example https://openneuro.org; give the data set's folder as --root",
        size="any",
        simulated=False,
    )
    placed_by: ClassVar[str] = "derivative"

    def __init__(
        self,
        root: Path,
        *,
        derivative: str | None = None,
        raw: str | None = None,
        space: str | None = None,
        response: Response = "window",
        window: tuple[float, float] = (4.0, 8.0),
        hrf: str = "glover",
        noise: str = "ols",
        confounds: str | Sequence[str] = "motion",
        high_pass: float | None = 0.008,
        mask: str | None = None,
        regions: Mapping[str, str] | None = None,
        stimulus_column: str | None = None,
        concept_column: str | None = None,
        rows: Mapping[str, Any] | None = None,
        task: str | Sequence[str] | None = None,
        averaging: str = "stimulus",
    ) -> None:
        super().__init__(root)
        found = find_derivative(root, derivative)
        if found is None:
            place = root / (derivative or "derivatives")
            raise DataError(f"{place}: nothing is called as fMRIPrep calls its files (..._desc-preproc_bold.nii.gz)")
        self.derivative = found
        self.raw = root / raw if raw is not None else raw_of(root, found)
        slowest = None if high_pass is None else number(high_pass, "high_pass", low=0)
        self.model = ResponseModel(response, interval(window, "window"), hrf, noise, slowest)
        one_of(averaging, "averaging", ("stimulus", "trial"))
        self.space = space
        self.confounds = confounds if isinstance(confounds, str) else names(confounds, "confounds")
        if rows is not None and not isinstance(rows, Mapping):
            raise ConfigError(f"rows: got {rows!r}, expected values for columns such as {{'trial_type': 'picture'}}")
        self.rows = {column: names(value, "rows") for column, value in (rows or {}).items()}
        self.mask, self.regions = mask, dict(regions or {})
        self.stimulus_column, self.concept_column = stimulus_column, concept_column
        self.tasks = names(task, "task")
        self.info = replace(self.info, averaging=averaging)
        kinds = set(self.stimuli().table["kind"]) - {"video"}
        if len(kinds) == 1:
            self.info = replace(self.info, kind=kinds.pop())

    @classmethod
    def find(cls, data_root: Path) -> Path | None:
        """Give the data root if it is a derivative or has one below ``derivatives``."""
        return data_root if find_derivative(data_root) is not None else None

    @classmethod
    def looked_for(cls, data_root: Path) -> list[Path]:
        """List the paths that `find` tries."""
        name = "sub-*/func/*_desc-preproc_bold.nii.gz"
        return [data_root / "derivatives" / "*" / name, data_root / name]

    def subjects(self) -> list[str]:
        """List the subjects of the derivative."""
        folders = [path for path in self.derivative.glob("sub-*") if path.is_dir()]
        return sorted(path.name for path in folders if any(path.glob("**/func")))

    def sources(self) -> list[Path]:
        """List the files that are read: not the reports and figures, and not other spaces."""
        found = {path for runs in self._runs.values() for run in runs for path in _files_of(run)}
        for subject in self._runs:
            found |= {
                self._placed(path, subject) for path in [*([self.mask] if self.mask else []), *self.regions.values()]
            }
        found |= {path for path in (self.raw / "stimuli").glob("**/*") if path.is_file()}
        return sorted(path for path in found if path.is_file())

    @cached_property
    def _runs(self) -> dict[str, list[PreprocessedRun]]:
        options: dict[str, Any] = {"space": self.space, "tasks": self.tasks, "raw": self.raw}
        return {subject: derivative_runs(self.derivative, subject, **options) for subject in self.subjects()}

    def _events(self, run: PreprocessedRun) -> pd.DataFrame:
        columns = {"column": self.stimulus_column, "concept": self.concept_column}
        return read_events(run.run.events, self.raw, only=self.rows, **columns)

    def stimuli(self) -> Stimuli:
        """Collect the stimuli that the events tables of all subjects name."""
        tables = [self._events(run) for runs in self._runs.values() for run in runs]
        return shown_stimuli(tables, self.raw)

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject run by run; `sfreq` has no meaning for one response a trial."""
        if subject not in self._runs:
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self._runs)} ({self.derivative})")
        store = store or ArrayStore()
        runs = self._runs[subject]
        mask = None if self.mask is None else self._placed(self.mask, subject)
        regions = {name: self._placed(path, subject) for name, path in self.regions.items()}
        space = read_space(runs, mask, regions)
        kept = varying_voxels(runs, space)
        sensors = space.sensors(kept, unit=self.model.unit)
        flags = [self.model.flag]
        if not kept.all():
            flags.append(f"{int((~kept).sum())} of {len(kept)} voxels without a signal in some run left out")
        blocks, tables = {}, []
        for run in runs:
            block, table, left_out = self._block(run, subject, space, kept, sensors, store)
            blocks[block.name] = block
            tables.append(table)
            if left_out:
                flags.append(f"{run.run.name}: {left_out} trial(s) whose window reaches beyond the run left out")
        windows = pd.concat(tables, ignore_index=True)
        if "repetition" not in windows:
            windows["repetition"] = windows.groupby("stimulus").cumcount() + 1
        windows["trial"] = windows["block"] + "_" + windows["start"].astype(str)
        return Recording(subject, "fmri", blocks, windows, self.info.simulated, tuple(flags))

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Take the split that the events tables give, or draw one over stimuli with a fixed seed."""
        return stimulus_split(windows)

    def steps(self) -> dict[str, Any]:
        """Describe where the responses come from."""
        return {
            "reader": "fmriprep",
            "derivative": self.derivative.name,
            "space": next(iter(self._runs.values()))[0].space,
            **self.model.describe(),
            "confounds": self.confounds if isinstance(self.confounds, str) else list(self.confounds),
            "mask": self.mask,
            "regions": self.regions,
            "stimulus_column": self.stimulus_column,
            "concept_column": self.concept_column,
            "rows": {column: list(values) for column, values in self.rows.items()},
            "task": list(self.tasks),
        }

    def _placed(self, path: str, subject: str) -> Path:
        return self.root / path.replace("{subject}", subject.removeprefix("sub-"))

    def _block(
        self,
        run: PreprocessedRun,
        subject: str,
        space: Region,
        kept: NDArray[np.bool_],
        sensors: Sensors,
        store: ArrayStore,
    ) -> tuple[Block, pd.DataFrame, int]:
        """Compute the responses of one run."""
        signals, header_step = read_series(run, space)
        signals = signals[:, kept]
        step = self._repetition_time(run, subject, header_step)
        start = sidecar_value(run, self.raw, subject, "StartTime")
        first_volume = float(start) if isinstance(start, int | float) else 0.0
        times: NDArray[np.float64] = np.asarray(first_volume + step * np.arange(len(signals)), dtype=np.float64)
        events = self._events(run)
        onsets = events["onset"].to_numpy(dtype=np.float64)
        outside = (onsets < -step) | (onsets > times[-1] + step)
        if outside.any():
            row = int(np.argmax(outside))
            raise DataError(
                f"{run.run.events}: line {events['line'].iloc[row]}: onset {onsets[row]:g} s is outside the "
                f"{step * len(times):g} s of {run.run.file.name} ({len(times)} volumes of {step:g} s)"
            )
        confounds = read_confounds(run.confounds, self.confounds, len(signals))
        try:
            values, whole = self.model.compute(signals, events, confounds, times)
        except DataError as error:
            raise DataError(f"{run.run.file}: {error}") from None
        if not len(values):
            raise DataError(f"{run.run.events}: no trial whose window lies within the run")
        events = events[whole].reset_index(drop=True)
        block = Block(run.run.name, store.keep(values[:, :, None]), sensors)
        return block, window_table(subject, run.run, events, np.arange(len(events)), 1), int((~whole).sum())

    def _repetition_time(self, run: PreprocessedRun, subject: str, in_header: float | None) -> float:
        """Take the sidecar's word; a header that says otherwise is an error, and one that says nothing is none."""
        said = sidecar_value(run, self.raw, subject, "RepetitionTime")
        if isinstance(said, int | float) and said > 0:
            if in_header is not None and abs(in_header - said) > 0.001 * said:
                raise DataError(
                    f"{run.run.file}: {in_header:g} s between volumes by its header, {said:g} s by the sidecar's "
                    "RepetitionTime"
                )
            return float(said)
        if in_header is None:
            raise DataError(f"{run.run.file}: neither its header nor a sidecar says the RepetitionTime")
        return in_header


def _files_of(run: PreprocessedRun) -> list[Path]:
    files = [run.run.file, run.run.events, run.confounds]
    if run.run.file.name.endswith(".gii"):
        files.append(other_hemisphere(run.run.file))
    return files if run.mask is None else [*files, run.mask]
