"""The tables and descriptions beside the signals of a simulated BIDS data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mne
import numpy as np
import pandas as pd

from neurodecode import __version__
from neurodecode.core.files import atomic_path, write_json
from neurodecode.datasets.simulation.settings import SIMULATOR_VERSION, WINDOW_DURATION

TASK: Final = "pictures"
BIDS_VERSION: Final = "1.9.0"

EVENT_COLUMNS: Final = (
    "onset",
    "duration",
    "trial_type",
    "stim_file",
    "stimulus",
    "repetition",
    "split",
    "concept",
)
EVENT_DESCRIPTIONS: Final = {
    "onset": {"Description": "Onset of the picture from the first sample of the run.", "Units": "s"},
    "duration": {"Description": "How long the picture was shown.", "Units": "s"},
    "trial_type": {"Description": "Always picture."},
    "stim_file": {"Description": "The picture, relative to the folder stimuli."},
    "stimulus": {"Description": "Name of the picture."},
    "repetition": {"Description": "The how-manieth showing of this picture to this subject, from 1."},
    "split": {"Description": "Side of the study's one fixed split: train, val or test."},
    "concept": {
        "Description": "What the picture shows; near-duplicates share a concept, and a concept is on one side."
    },
}

README: Final = """# Simulated {kind} recordings of people looking at pictures

**No person was recorded. Every signal in this folder was drawn by a random number generator.** It was written by the
simulator of neurodecode {version} (simulator version {simulator}, seed {seed}, realism {realism}).

Sources in a head model follow the layers of a network that saw the same pictures: early layers drive early occipital
sources, late layers later temporal ones. Training and validation pictures were shown in other runs than test pictures.
{effects}
What the sources really did is in `derivatives/simulation`; it is there to compute the limits of what can be decoded,
and a decoder must not read it.
"""


def write_tsv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as BIDS wants it: tabs, and `n/a` for what is missing.

    Parameters
    ----------
    path : Path
        The file.
    table : pandas.DataFrame
        The table.
    """
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="n/a", lineterminator="\n", float_format="%.9g")


def write_description(
    folder: Path, settings: Mapping[str, Any], subjects: list[str], *, pipeline: str = "", licence: str = ""
) -> None:
    """Write what a data set says about itself.

    Parameters
    ----------
    folder : Path
        The data set, or the folder of a derivative.
    settings : mapping
        With `modality`, `seed` and `realism`.
    subjects : list of str
        For `participants.tsv`.
    pipeline : str
        Name of the derivative; empty for the data set itself.
    licence : str
        Licence of the pictures; empty if it is not known.
    """
    kind = {"eeg": "EEG", "meg": "MEG", "fmri": "fMRI"}[str(settings["modality"])]
    name = f"Simulated {kind} of people looking at pictures" + (f": {pipeline}" if pipeline else "")
    # Beta maps are the result of an analysis; raw BIDS has no place for them.
    derived = bool(pipeline) or kind == "fMRI"
    description: dict[str, Any] = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative" if derived else "raw",
        "Authors": ["the simulator of neurodecode"],
        "Acknowledgements": "Simulated data: no person was recorded.",
        "GeneratedBy": [
            {"Name": "neurodecode simulator", "Version": __version__, "Description": f"simulated, {dict(settings)}"}
        ],
    }
    if licence:
        description["License"] = licence
    write_json(folder / "dataset_description.json", description)
    if pipeline:
        return
    effects = (
        ""
        if settings["realism"] == "basic"
        else "The signals also have effects that the limits do not model (see the module `realism`).\n"
    )
    with atomic_path(folder / "README") as temporary:
        temporary.write_text(
            README.format(
                kind=kind, version=__version__, simulator=SIMULATOR_VERSION, effects=effects, **_known(settings)
            ),
            encoding="utf-8",
        )
    table = pd.DataFrame({"participant_id": subjects, "species": "simulated"})
    write_tsv(folder / "participants.tsv", table)
    write_json(
        folder / "participants.json",
        {"species": {"Description": "What was recorded.", "Levels": {"simulated": "a simulation, no living being"}}},
    )
    write_json(folder / f"task-{TASK}_events.json", EVENT_DESCRIPTIONS)


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: settings[key] for key in ("seed", "realism")}


def events_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Make the events table of one run.

    Parameters
    ----------
    trials : pandas.DataFrame
        Columns `onset`, `stimulus`, `repetition`, `split`, `concept` and `stim_file` (empty without a picture).

    Returns
    -------
    pandas.DataFrame
        With the columns `EVENT_COLUMNS`; an empty `stim_file` becomes not-a-number, on disk `n/a`.

    Examples
    --------
    >>> row = {"onset": 4.0, "stimulus": "1F436", "repetition": 1, "split": "train", "concept": "1F436"}
    >>> events_table(pd.DataFrame([row | {"stim_file": "1F436.png"}])).loc[0, "stim_file"]
    '1F436.png'
    """
    table = trials.assign(
        duration=WINDOW_DURATION, trial_type="picture", stim_file=trials["stim_file"].replace("", np.nan)
    )
    return table[list(EVENT_COLUMNS)].reset_index(drop=True)


def write_channels(path: Path, info: mne.Info) -> None:
    """Write the channels table of an EEG or MEG run.

    Parameters
    ----------
    path : Path
        The file.
    info : mne.Info
        The sensors.
    """
    kinds = {"eeg": ("EEG", "V", "electrode"), "mag": ("MEGMAG", "T", "on-scalp magnetometer")}
    rows = [kinds[kind] for kind in info.get_channel_types()]
    write_tsv(
        path,
        pd.DataFrame(
            {
                "name": info["ch_names"],
                "type": [row[0] for row in rows],
                "units": [row[1] for row in rows],
                "low_cutoff": np.nan,
                "high_cutoff": info["sfreq"] / 2,
                "description": [f"{row[2]}, simulated" for row in rows],
                "sampling_frequency": info["sfreq"],
                "status": "good",
                "status_description": np.nan,
            }
        ),
    )


def write_positions(folder: Path, subject: str, info: mne.Info) -> None:
    """Write the electrodes and the coordinate system of a subject.

    Parameters
    ----------
    folder : Path
        The subject's folder `eeg` or `meg`.
    subject : str
        For example `sub-01`.
    info : mne.Info
        The sensors. Coils stand in the FIF file itself and get no table.
    """
    known = info.get_montage().get_positions() if "eeg" in info.get_channel_types() else _landmarks(info)
    landmarks = {
        label: [round(float(value), 9) for value in known[name]]
        for label, name in (("NAS", "nasion"), ("LPA", "lpa"), ("RPA", "rpa"))
    }
    text = "x from the left to the right preauricular point, y through the nasion, z up, origin between the ears"
    if "eeg" in info.get_channel_types():
        positions = np.array([channel["loc"][:3] for channel in info["chs"]])
        table = pd.DataFrame(positions.round(9), columns=["x", "y", "z"])
        table.insert(0, "name", info["ch_names"])
        write_tsv(folder / f"{subject}_space-CapTrak_electrodes.tsv", table)
        write_json(
            folder / f"{subject}_space-CapTrak_coordsystem.json",
            {
                "EEGCoordinateSystem": "CapTrak",
                "EEGCoordinateUnits": "m",
                "EEGCoordinateSystemDescription": text,
                "AnatomicalLandmarkCoordinates": landmarks,
                "AnatomicalLandmarkCoordinateSystem": "CapTrak",
                "AnatomicalLandmarkCoordinateUnits": "m",
            },
        )
        return
    write_json(
        folder / f"{subject}_coordsystem.json",
        {
            "MEGCoordinateSystem": "ElektaNeuromag",
            "MEGCoordinateUnits": "m",
            "MEGCoordinateSystemDescription": text,
            "HeadCoilCoordinates": landmarks,
            "HeadCoilCoordinateSystem": "ElektaNeuromag",
            "HeadCoilCoordinateUnits": "m",
            "AnatomicalLandmarkCoordinates": landmarks,
            "AnatomicalLandmarkCoordinateSystem": "ElektaNeuromag",
            "AnatomicalLandmarkCoordinateUnits": "m",
        },
    )


def _landmarks(info: mne.Info) -> dict[str, Any]:
    names = {1: "lpa", 2: "nasion", 3: "rpa"}
    return {names[int(point["ident"])]: point["r"] for point in info["dig"] if int(point["kind"]) == 1}


def recording_description(info: mne.Info, n_samples: int) -> dict[str, Any]:
    """Describe one EEG or MEG run for its JSON file.

    Parameters
    ----------
    info : mne.Info
        The sensors.
    n_samples : int
        Length of the run.

    Returns
    -------
    dict
        Plain values.
    """
    common = {
        "TaskName": TASK,
        "TaskDescription": "Simulated: pictures shown one after the other.",
        "Manufacturer": "simulated",
        "SamplingFrequency": float(info["sfreq"]),
        "PowerLineFrequency": float(info["line_freq"]),
        "SoftwareFilters": "n/a",
        "RecordingDuration": (n_samples - 1) / float(info["sfreq"]),
        "RecordingType": "continuous",
    }
    if "eeg" in info.get_channel_types():
        return common | {
            "EEGReference": "infinity (simulated)",
            "EEGGround": "n/a",
            "EEGPlacementScheme": "10-10",
            "EEGChannelCount": len(info["ch_names"]),
        }
    return common | {
        "DewarPosition": "n/a",
        "DigitizedLandmarks": True,
        "DigitizedHeadPoints": True,
        "MEGChannelCount": len(info["ch_names"]),
    }
