"""The visual object recognition study of the UCI EEG database: first picture, then one that matches it or does not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import load_arrays
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.split import Split
from neurodecode.core.split_rules import split_by_rule
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.bids_signals import template_positions
from neurodecode.datasets.preprocessing import resample
from neurodecode.datasets.regions import scalp_regions

FILE = "smni_train.npz"
TEXTS = {"first": "a first picture", "match": "the same picture again", "nomatch": "another picture than before"}
CONDITIONS = {"S1 obj": "first", "S2 match": "match", "S2 nomatch": "nomatch"}
# Two electrodes at the eyes and one that was not connected to the scalp.
NOT_SCALP = ("X", "Y", "nd")
N_TIMES, SFREQ, MICROVOLT = 256, 256.0, 1e-6
FLAG = "electrode positions are those of a template"

Contrast = Literal["all", "second", "match"]


class SmniVisual(Study):
    """Read one second after each picture, 61 electrodes, ten trials of each condition and subject.

    Which of the Snodgrass pictures a trial showed was not kept, so the candidates are what the picture was to the one
    before it.

    Parameters
    ----------
    root : Path
        The folder with ``smni_train.npz``.
    contrast : str
        ``all`` ranks the three conditions; ``second`` tells a first picture from a second one, whether it matches or
        not; ``match`` tells a matching second picture from another one, and leaves first pictures out.

    Raises
    ------
    ConfigError
        For another contrast.
    """

    info = StudyInfo(
        name="smni_visual",
        modality="eeg",
        kind="word",
        description="Pictures of objects in pairs, the second the same or another one; 20 people.",
        citation="Begleiter 1999, UCI Machine Learning Repository, doi:10.24432/C5TS3D; Zhang et al. 1995, "
        "doi:10.1016/0361-9230(95)00023-8",
        licence="CC BY 4.0 (as UCI lists it)",
        where="https://archive.ics.uci.edu/dataset/121/eeg+database, the set SMNI_CMI_TRAIN, as one npz file",
        size="14 MB",
        simulated=False,
        expected={"subjects": 20, "channels": 61},
        averaging="trial",
        candidates="stimulus",
    )
    places = ("brain/smni_visual", "smni_visual")
    needed = (FILE,)
    own_splits: ClassVar[tuple[str, ...]] = ("subject",)

    def __init__(self, root: Path, *, contrast: Contrast = "all") -> None:
        super().__init__(root)
        if contrast not in get_args(Contrast):
            raise ConfigError(f"contrast: got {contrast!r}, expected one of {', '.join(get_args(Contrast))}")
        self.contrast = contrast
        self._arrays: dict[str, NDArray[Any]] | None = None

    def subjects(self) -> list[str]:
        """List the subjects, numbered in the order of their codes; the alcoholic group (``co2a``) comes first."""
        return [f"sub-{number + 1:02d}" for number in range(len(self._codes()))]

    def stimuli(self) -> Stimuli:
        """List what the contrast tells apart."""
        texts = {"all": TEXTS, "second": {"first": TEXTS["first"], "second": "a second picture"}}.get(
            self.contrast, {name: TEXTS[name] for name in ("match", "nomatch")}
        )
        names = list(texts)
        return Stimuli(
            pd.DataFrame(
                {"stimulus": names, "kind": "word", "path": "", "concept": names, "text": list(texts.values())}
            )
        )

    def load(self, subject: str, *, sfreq: float | None = None, store: ArrayStore | None = None) -> Recording:
        """Read one subject's epochs, in volts, resampled to `sfreq`."""
        if subject not in self.subjects():
            raise DataError(f"subject: got {subject!r}, expected one of {', '.join(self.subjects())} ({self.root})")
        arrays = self._read()
        code = self._codes()[int(subject[-2:]) - 1]
        members = np.flatnonzero(arrays["subject"] == code)
        scalp = [row for row, name in enumerate(arrays["ch"]) if name not in NOT_SCALP]
        names = tuple(electrode(str(arrays["ch"][row])) for row in scalp)
        signals = arrays["X"][members][:, scalp] * np.float32(MICROVOLT)
        rate = SFREQ if sfreq is None else float(sfreq)
        epochs = resample(signals.reshape(-1, N_TIMES), SFREQ, rate)
        epochs = epochs.reshape(len(members), len(scalp), -1)
        positions = template_positions(names)
        sensors = Sensors(
            names, ("eeg",) * len(names), rate, 0.0, "V", positions, regions=scalp_regions(names, positions)
        )
        conditions = [CONDITIONS[str(name)] for name in arrays["cond"][members]]
        windows = pd.DataFrame(
            {
                "subject": subject,
                "session": "",
                "run": "1",
                "block": "epochs",
                "start": np.arange(len(members)),
                "length": epochs.shape[2],
                "stimulus": [self._label(name) for name in conditions],
                "repetition": 0,
                "onset": 0.0,
                "condition": conditions,
                "trial": [f"{subject}_{row:02d}" for row in range(len(members))],
                "person": code,
                "group": "alcoholic" if code.startswith("co2a") else "control",
            }
        )
        windows["repetition"] = windows.groupby("condition").cumcount() + 1
        store = ArrayStore() if store is None else store
        return Recording(
            subject,
            "eeg",
            {"epochs": Block("epochs", store.keep(epochs), sensors)},
            windows,
            self.info.simulated,
            (FLAG,),
        )

    def split(self, windows: Mapping[str, pd.DataFrame]) -> Split:
        """Leave one subject out; one of the others, in a seeded order, validates."""
        return split_by_rule("subject", windows, seed=0)

    def steps(self) -> dict[str, Any]:
        """Describe what is read; nothing is filtered."""
        return {"reader": "smni_visual", "contrast": self.contrast, "left out": list(NOT_SCALP), "texts": TEXTS}

    def _label(self, condition: str) -> str:
        if self.contrast == "second":
            return condition if condition == "first" else "second"
        return "" if self.contrast == "match" and condition == "first" else condition

    def _codes(self) -> list[str]:
        return sorted(set(self._read()["subject"].astype(str)))

    def _read(self) -> dict[str, NDArray[Any]]:
        if self._arrays is None:
            self._arrays = read_epochs(self.root / FILE)
        return self._arrays


def read_epochs(path: Path) -> dict[str, NDArray[Any]]:
    """Read the file and check it.

    Parameters
    ----------
    path : Path
        An npz file with `X` (n_trials, n_channels, 256) in microvolts, `cond`, `subject` (n_trials,), `ch`
        (n_channels,) and `sfreq`.

    Returns
    -------
    dict of str to ndarray
        These arrays.

    Raises
    ------
    DataError
        Naming the file, the array, what was got and what was expected.
    """
    arrays = load_arrays(path)
    missing = [name for name in ("X", "cond", "subject", "ch", "sfreq") if name not in arrays]
    if missing:
        raise DataError(f"{path}: no array {missing[0]!r}, got {', '.join(sorted(arrays)) or 'none'}")
    signals, n_channels = arrays["X"], len(arrays["ch"])
    if signals.ndim != 3 or signals.shape[1:] != (n_channels, N_TIMES):
        raise DataError(f"{path}: X has shape {signals.shape}, expected (n_trials, {n_channels}, {N_TIMES})")
    if float(arrays["sfreq"]) != SFREQ:
        raise DataError(f"{path}: sfreq is {float(arrays['sfreq']):g}, expected {SFREQ:g}")
    for name in ("cond", "subject"):
        if arrays[name].shape != (len(signals),):
            raise DataError(f"{path}: {name} has shape {arrays[name].shape}, expected ({len(signals)},)")
    for row, name in enumerate(arrays["cond"]):
        if str(name) not in CONDITIONS:
            raise DataError(f"{path}: cond of row {row}: got {str(name)!r}, expected one of {', '.join(CONDITIONS)}")
    return arrays


def electrode(name: str) -> str:
    """Spell an electrode as the 10-05 system does.

    Examples
    --------
    >>> [electrode(name) for name in ("FPZ", "CZ", "PO7", "FP1")]
    ['Fpz', 'Cz', 'PO7', 'Fp1']
    """
    return name.replace("FP", "Fp").replace("Z", "z")
