"""The cache: a study read, preprocessed and proven once, then opened in milliseconds by many processes."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurodecode.core.errors import DataError
from neurodecode.core.files import (
    atomic_folder,
    fingerprint,
    folder_lock,
    open_array,
    read_json,
    read_table,
    write_json,
    write_table,
)
from neurodecode.core.recording import TEXT_COLUMNS, WINDOW_COLUMNS, Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study

FORMAT = 1


def save_recording(folder: Path, recording: Recording) -> None:
    """Write a recording as memory-mappable arrays, tables and JSON into an empty folder.

    Continuous blocks are stored time-major, so that a window is one contiguous piece of the file.
    """
    names = []
    for position, (name, block) in enumerate(recording.blocks.items()):
        data = np.asarray(block.data, dtype=np.float32)
        stored = np.asfortranarray(data) if data.ndim == 2 else np.ascontiguousarray(data)
        np.save(folder / f"block-{position:03d}.npy", stored, allow_pickle=False)
        block.sensors.save(folder / f"sensors-{position:03d}.npz")
        names.append({"name": name, "shape": list(data.shape)})
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
        },
    )


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
    windows = read_table(folder / "windows.csv", required=WINDOW_COLUMNS, text=TEXT_COLUMNS)
    if len(windows) != header["n_windows"]:
        raise DataError(f"{folder / 'windows.csv'}: {len(windows)} rows, expected {header['n_windows']}")
    return Recording(
        header["subject"], header["modality"], blocks, windows, bool(header["simulated"]), tuple(header["flags"])
    )


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
        """Read the split and check its hash."""
        return Split.load(self.folder)

    def recording(self, subject: str) -> Recording:
        """Open one subject, memory-mapped."""
        if subject not in self.subjects:
            raise DataError(f"subject {subject!r} is not in {self.name}, which has {', '.join(self.subjects)}")
        if subject not in self._recordings:
            self._recordings[subject] = load_recording(self.folder / subject)
        return self._recordings[subject]

    def __getstate__(self) -> dict[str, Any]:
        """Leave memory maps behind when sent to another process."""
        return {**self.__dict__, "_recordings": {}}


def check_signals(recording: Recording, *, chunk: int = 512) -> None:
    """Refuse a recording whose windows hold NaN or a channel that never changes.

    Raises
    ------
    DataError
        Naming the subject, the channel and, for NaN, the first window.
    """
    low = np.full(recording.n_channels, np.inf, dtype=np.float32)
    high = np.full(recording.n_channels, -np.inf, dtype=np.float32)
    for begin in range(0, len(recording.windows), chunk):
        rows = np.arange(begin, min(begin + chunk, len(recording.windows)))
        signals = recording.read(rows)
        finite = np.isfinite(signals).all(axis=2)
        if not finite.all():
            row, channel = np.argwhere(~finite)[0]
            raise DataError(
                f"{recording.subject}: channel {recording.sensors.names[channel]!r} is not finite in window "
                f"{begin + row} (run {recording.windows['run'].iloc[begin + row]})"
            )
        low = np.minimum(low, signals.min(axis=(0, 2)))
        high = np.maximum(high, signals.max(axis=(0, 2)))
    flat = low == high
    if flat.any():
        name = recording.sensors.names[int(np.argmax(flat))]
        raise DataError(f"{recording.subject}: channel {name!r} is flat ({int(flat.sum())} flat of {len(flat)})")


def check_pairing(recording: Recording, stimuli: Stimuli) -> str:
    """Prove that every window names a known stimulus, and compute the digest of the pairing."""
    names = set(stimuli.names)
    used = recording.windows["stimulus"].astype(str)
    unknown = used[(used != "") & ~used.isin(names)]
    if not unknown.empty:
        raise DataError(
            f"{recording.subject}: window {unknown.index[0]} names the stimulus {unknown.iloc[0]!r}, which the study "
            f"does not have ({len(names)} stimuli)"
        )
    pairs = recording.windows[["run", "start", "stimulus"]].astype(str).to_numpy().tolist()
    return fingerprint(pairs)


def prepare_study(
    study: Study,
    folder: Path,
    *,
    subjects: Sequence[str] | None = None,
    sfreq: float | None = None,
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
    progress : callable
        Told the subject that is being read.

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
    if not wanted:
        raise DataError(f"{study.root}: no subject of {study.info.name} found")
    key = fingerprint(
        {
            "format": FORMAT,
            "info": asdict(study.info),
            "steps": study.steps(),
            "sfreq": sfreq,
            "source": _source_fingerprint(study.root),
        }
    )
    with folder_lock(folder):
        _drop_stale(folder, key)
        folder.mkdir(parents=True, exist_ok=True)
        stimuli = study.stimuli()
        proof = {}
        for subject in wanted:
            if not (folder / subject).is_dir():
                progress(subject)
                recording = study.load(subject, sfreq=sfreq)
                check_pairing(recording, stimuli)
                check_signals(recording)
                with atomic_folder(folder / subject) as temporary:
                    save_recording(temporary, recording)
            recording = load_recording(folder / subject)
            used = recording.windows["stimulus"].astype(str)
            proof[subject] = {
                "windows": len(recording.windows),
                "stimuli": int(used[used != ""].nunique()),
                "pairing": check_pairing(recording, stimuli),
            }
        windows: dict[str, pd.DataFrame] = {subject: load_recording(folder / subject).windows for subject in wanted}
        stimuli.save(folder / "stimuli.csv")
        study.split(windows).save(folder)
        write_json(
            folder / "study.json",
            {
                "key": key,
                "info": asdict(study.info),
                "steps": study.steps(),
                "sfreq": sfreq,
                "subjects": wanted,
                "stimulus_root": None if stimuli.root is None else str(stimuli.root.resolve()),
                "proof": proof,
            },
        )
    return PreparedStudy(folder)


def _source_fingerprint(root: Path) -> str:
    """Digest names, sizes and modification times: enough to notice a changed source without reading it."""
    entries = []
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if path.is_file():
            status = path.stat()
            name = path.name if path == root else path.relative_to(root).as_posix()
            entries.append([name, status.st_size, status.st_mtime_ns])
    return fingerprint(entries)


def _drop_stale(folder: Path, key: str) -> None:
    """Remove what was prepared from another source or with other steps."""
    marker = folder / "key.json"
    if marker.exists() and read_json(marker).get("key") == key:
        return
    if folder.is_dir():
        names = sorted(path.name for path in folder.iterdir())
        foreign = [name for name in names if not name.startswith((".", "sub-")) and name not in _OWN]
        if foreign and not marker.exists():
            raise DataError(f"{folder}: holds {foreign[0]!r}, which is not of a prepared study; choose another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(marker, {"key": key})


_OWN = ("key.json", "study.json", "stimuli.csv", "split.csv", "split.json")
