"""The cache: a study read, preprocessed and proven once, then opened in milliseconds by many processes."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from neurodecode.core.checks import check_channels, check_expected, check_pairing
from neurodecode.core.errors import ConfigError, DataError, suggestion
from neurodecode.core.files import (
    fingerprint,
    folder_lock,
    read_json,
    read_table,
    write_json,
)
from neurodecode.core.preparing import prepare_subjects
from neurodecode.core.recording import Recording
from neurodecode.core.session_scaling import KINDS, fit_session_scaling, scaled
from neurodecode.core.session_scaling import Kind as SessionScalingKind
from neurodecode.core.split import Split
from neurodecode.core.split_rules import ACROSS, RULES, leave_one_subject_out, split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.stored_recording import FORMAT, load_recording
from neurodecode.core.stretches import with_stretches
from neurodecode.core.study import Study


class PreparedStudy:
    """A prepared study, opened lazily.

    Parameters
    ----------
    folder : Path
        A folder made by `prepare_study`.

    Raises
    ------
    DataError
        If the folder is missing or unfinished.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "study.json").is_file():
            raise DataError(f"{folder}: not a prepared study (no study.json); make it with `neurodecode prepare`")
        self.folder = folder
        self.header: dict[str, Any] = read_json(folder / "study.json")
        self._recordings: dict[str, Recording] = {}
        self._split: Split | None = None
        self._scaled: dict[tuple[str, int], Recording] = {}

    @property
    def info(self) -> dict[str, Any]:
        """Give the study's `StudyInfo` as plain values."""
        return dict(self.header["info"])

    @property
    def name(self) -> str:
        """Give the study's name."""
        return str(self.info["name"])

    @property
    def simulated(self) -> bool:
        """Tell whether a simulator made the data."""
        return bool(self.info["simulated"])

    @property
    def subjects(self) -> list[str]:
        """List the prepared subjects."""
        return list(self.header["subjects"])

    @property
    def stimuli(self) -> Stimuli:
        """Read the table of stimuli."""
        root = self.header.get("stimulus_root")
        return Stimuli.load(self.folder / "stimuli.csv", root=Path(root) if root else None)

    @property
    def split(self) -> Split:
        """Read the split and check its hash, once."""
        if self._split is None:
            self._split = Split.load(self.folder)
        return self._split

    def recording(self, subject: str, *, fold: int | None = None) -> Recording:
        """Open one subject, memory-mapped; for a fold, scaled within its sessions if the study was so prepared."""
        if subject not in self.subjects:
            raise DataError(f"subject {subject!r} is not in {self.name}, which has {', '.join(self.subjects)}")
        if subject not in self._recordings:
            self._recordings[subject] = load_recording(self.folder / subject)
        kind, clamp = self.session_scaling
        if fold is None or kind == "none":
            return self._recordings[subject]
        if (subject, fold) not in self._scaled:
            plain, rows = self._recordings[subject], self.split.rows(subject, "train", fold=fold)
            borrow = bool(self.header.get("budget"))  # of a new subject nothing but its budget may be looked at
            fitted = fit_session_scaling(plain, rows, kind, clamp=clamp, borrow=borrow)
            self._scaled[subject, fold] = scaled(plain, fitted)
        return self._scaled[subject, fold]

    @property
    def session_scaling(self) -> tuple[SessionScalingKind, float]:
        """Tell how windows are scaled within their session, and at what they are clipped (0 for not at all)."""
        kind, clamp = self.header.get("session_scaling", ("none", 0.0))
        return kind, float(clamp)

    def annotation(self, subject: str, name: str) -> pd.DataFrame:
        """Read a table that belongs to a subject's recordings, such as ``words`` or ``phonemes``."""
        path = self.folder / subject / f"annotation-{name}.csv"
        if not path.is_file():
            there = sorted(other.stem.removeprefix("annotation-") for other in path.parent.glob("annotation-*.csv"))
            raise DataError(f"annotation: got {name!r}, expected one of {', '.join(there) or 'none'} ({self.name})")
        return read_table(path, required=("onset", "duration"), text=("run", "block", "word", "phoneme", "sentence"))

    def __getstate__(self) -> dict[str, Any]:
        """Leave memory maps behind when sent to another process."""
        return {**self.__dict__, "_recordings": {}, "_scaled": {}}


def prepare_study(
    study: Study,
    folder: Path,
    *,
    subjects: Sequence[str] | None = None,
    sfreq: float | None = None,
    regions: Sequence[str] = (),
    split: str | None = None,
    split_seed: int = 0,
    session_scaling: SessionScalingKind = "none",
    session_clamp: float = 0.0,
    jobs: int = 1,
    progress: Callable[[str], None] = lambda message: None,
) -> PreparedStudy:
    """Read a study, prove its alignment and write the cache, subject by subject; finished subjects are kept.

    Parameters
    ----------
    study : Study
        The study on disk.
    folder : Path
        Where the cache goes. Its content is trusted only if it was made from the same study, steps and `sfreq`.
    subjects : sequence of str, optional
        All by default.
    sfreq : float, optional
        Sampling rate in Hz to resample to.
    regions : sequence of str
        Channels outside these regions of the sensors are left out; none are by default.
    split : str, optional
        One of the study's `own_splits`, of `neurodecode.core.split_rules.RULES`, or ``leave_one_subject_out``; the
        study's first own by default.
    split_seed : int
        Seed of such a rule; the study's own splits have a fixed one.
    session_scaling : str
        How windows are scaled within their session when a fold reads them, see `neurodecode.core.session_scaling`;
        the cache itself is not scaled.
    session_clamp : float
        Scaled values beyond this are clipped; 0 means no clipping.
    jobs : int
        Number of processes, each with a subject of its own.
    progress : callable
        Told the subject that is being read; with several processes, the subject that is done.

    Returns
    -------
    PreparedStudy
        The opened cache. Two processes may prepare the same folder at once: one works, the other waits.
    """
    available = study.subjects()
    wanted = list(available) if subjects is None else list(subjects)
    missing = [subject for subject in wanted if subject not in available]
    if missing:
        raise DataError(f"subject {missing[0]!r} is not in {study.root}, which has {', '.join(available) or 'none'}")
    if jobs < 1:
        raise ConfigError(f"jobs: got {jobs}, expected at least 1")
    rule = study.own_splits[0] if split is None else split
    known = tuple(dict.fromkeys((*study.own_splits, *RULES, ACROSS)))
    if rule not in known:
        raise ConfigError(f"split: got {rule!r}, expected one of {', '.join(known)}{suggestion(rule, known)}")
    if session_scaling not in KINDS:
        expected = ", ".join(KINDS)
        raise ConfigError(
            f"session_scaling: got {session_scaling!r}, expected one of {expected}{suggestion(session_scaling, KINDS)}"
        )
    if session_clamp < 0 or (session_clamp and session_scaling == "none"):
        raise ConfigError(f"session_clamp: got {session_clamp:g}, expected 0 or, with session_scaling, more")
    if not wanted:
        raise DataError(f"{study.root}: no subject of {study.info.name} found")
    key = fingerprint(
        {
            "format": FORMAT,
            "info": asdict(study.info),
            "steps": study.steps(),
            "sfreq": sfreq,
            "regions": list(regions),
            "source": _source_fingerprint(study.root, study.sources()),
        }
    )
    with folder_lock(folder):
        _drop_stale(folder, key)
        folder.mkdir(parents=True, exist_ok=True)
        stimuli = study.stimuli()
        todo = [subject for subject in wanted if not (folder / subject).is_dir()]
        prepare_subjects(study, folder, todo, sfreq, regions, stimuli, jobs=jobs, progress=progress)
        recordings = {subject: load_recording(folder / subject) for subject in wanted}
        check_channels(recordings)
        check_expected(study.info, stimuli, recordings, n_subjects=len(available))
        windows = {subject: recording.windows for subject, recording in recordings.items()}
        if rule in study.own_splits:
            made = study.named_split(rule, windows)
        elif rule == ACROSS:
            made = leave_one_subject_out(study.split(windows))
        else:
            made = split_by_rule(rule, windows, stimuli, seed=split_seed)
        proof = {subject: _proof(recording, stimuli, made) for subject, recording in recordings.items()}
        Stimuli(with_stretches(stimuli.table, windows, made), stimuli.root).save(folder / "stimuli.csv")
        made.save(folder)
        write_json(
            folder / "study.json",
            {
                "key": key,
                "info": asdict(study.info),
                "steps": study.steps(),
                "sfreq": sfreq,
                "regions": list(regions),
                "session_scaling": [session_scaling, session_clamp],
                "split": rule,
                "subjects": wanted,
                "stimulus_root": None if stimuli.root is None else str(stimuli.root.resolve()),
                "proof": proof,
            },
        )
    return PreparedStudy(folder)


def _proof(recording: Recording, stimuli: Stimuli, split: Split) -> dict[str, Any]:
    """Put into plain values what was proven of a subject, read back from the cache."""
    windows = recording.windows
    used = windows["stimulus"].astype(str)
    parts = {part: len(split.rows(recording.subject, part)) for part in ("train", "val", "test")}
    return {
        "windows": len(windows),
        "stimuli": int(used[used != ""].nunique()),
        "runs": len(windows[["session", "run"]].drop_duplicates()),
        "channels": recording.n_channels,
        "times": recording.n_times,
        "sfreq": recording.sensors.sfreq,
        "pairing": check_pairing(recording, stimuli),
        "split": parts,
        "flags": list(recording.flags),
    }


def _source_fingerprint(root: Path, sources: Sequence[Path]) -> str:
    """Digest names, sizes and modification times: enough to notice a changed source without reading it."""
    entries = []
    for path in sources:
        status = path.stat()
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        entries.append([name, status.st_size, status.st_mtime_ns])
    return fingerprint(entries)


def _drop_stale(folder: Path, key: str) -> None:
    """Remove what was prepared from another source or with other steps."""
    marker = folder / "key.json"
    if marker.exists() and read_json(marker).get("key") == key:
        # What a killed process left; nobody else is writing while the lock is held.
        for path in folder.glob(".*.part*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    if folder.is_dir():
        names = sorted(path.name for path in folder.iterdir())
        foreign = [name for name in names if not name.startswith((".", "sub-")) and name not in _OWN]
        if foreign and not marker.exists():
            raise DataError(f"{folder}: holds {foreign[0]!r}, which is not of a prepared study; choose another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(marker, {"key": key})


_OWN = ("key.json", "proof.json", "study.json", "stimuli.csv", "split.csv", "split.json")
