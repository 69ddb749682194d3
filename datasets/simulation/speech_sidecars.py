"""What a simulated study of listening says about itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from neurodecode import __version__
from neurodecode.core.files import atomic_path, write_json
from neurodecode.datasets.simulation.sidecars import BIDS_VERSION, write_tsv

TASK: Final = "listening"
EVENT_DESCRIPTIONS: Final = {
    "onset": {"Description": "Onset of the word or phoneme from the first sample of the run.", "Units": "s"},
    "duration": {"Description": "How long it lasts.", "Units": "s"},
    "trial_type": {"Description": "word or phoneme."},
    "word": {"Description": "The word, or the word that the phoneme is part of."},
    "phoneme": {"Description": "The phoneme in eSpeak NG's own names, without stress."},
    "sentence": {"Description": "Name of the sentence; no sentence is spoken twice."},
    "text": {"Description": "The sentence."},
    "stim_file": {"Description": "The story's sound, relative to the folder stimuli."},
    "stim_onset": {"Description": "Onset in the sound file.", "Units": "s"},
}
README: Final = """# Simulated MEG of people listening to spoken sentences

**No person was recorded. Every signal in this folder was drawn by a random number generator.** It was written by the
simulator of neurodecode {version} ({simulator}, seed {seed}).

The sentences come from a small grammar and are spoken by eSpeak NG (GPL-3.0-or-later). Sources in the temporal
lobes follow {driven_by}. What they
really did is in `derivatives/simulation`; it is there to compute the limits of what can be
decoded, and a decoder must not read it.
"""


def write_speech_description(
    folder: Path, settings: Mapping[str, Any], subjects: list[str], *, pipeline: str = ""
) -> None:
    """Write what the data set, or the folder of its ground truth, says about itself.

    Parameters
    ----------
    folder : Path
        The folder.
    settings : mapping
        With `simulator`, `seed` and `driven_by`.
    subjects : list of str
        For `participants.tsv`.
    pipeline : str
        Name of the derivative; empty for the data set itself.
    """
    name = "Simulated MEG of people listening to spoken sentences" + (f": {pipeline}" if pipeline else "")
    generator = {"Name": "neurodecode simulator", "Version": __version__, "Description": f"simulated, {dict(settings)}"}
    write_json(
        folder / "dataset_description.json",
        {
            "Name": name,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative" if pipeline else "raw",
            "Authors": ["the simulator of neurodecode"],
            "Acknowledgements": "Simulated data: no person was recorded.",
            "GeneratedBy": [generator],
        },
    )
    if pipeline:
        return
    with atomic_path(folder / "README") as temporary:
        known = {key: settings[key] for key in ("simulator", "seed", "driven_by")}
        temporary.write_text(README.format(version=__version__, **known), encoding="utf-8")
    write_tsv(folder / "participants.tsv", pd.DataFrame({"participant_id": subjects, "species": "simulated"}))
    write_json(folder / f"task-{TASK}_events.json", EVENT_DESCRIPTIONS)
