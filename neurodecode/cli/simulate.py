"""Write a simulated study of the built-in pictures."""

from pathlib import Path
from typing import Literal


def run(
    modality: Literal["eeg", "meg", "fmri"],
    *,
    output: Path | None = None,
    seed: int = 0,
    subjects: int = 3,
    sfreq: float = 250.0,
    realism: Literal["basic", "full"] = "basic",
    jobs: int = 1,
) -> None:
    """Write a simulated study of the built-in pictures to disk, with its ground truth; what is done already is kept.

    Parameters
    ----------
    modality : str
        What is simulated: eeg, meg or fmri.
    output : Path, optional
        Folder of the data set; by default outputs/data/openmoji_ and the modality.
    seed : int
        Seed of all that is drawn.
    subjects : int
        Number of simulated people.
    sfreq : float
        Sampling rate of EEG and MEG in Hz, a multiple of 50.
    realism : str
        With full, the signals also have latency jitter, saturation, drift, blinks and line hum, and the ceilings are
        approximate.
    jobs : int
        Number of subjects that are simulated at once, each in a process of its own.
    """
    from rich.console import Console

    from neurodecode.workflow.simulate import simulate_openmoji

    folder = simulate_openmoji(
        Path("outputs/data") / f"openmoji_{modality}" if output is None else output,
        modality=modality,
        seed=seed,
        subjects=subjects,
        sfreq=sfreq,
        realism=realism,
        jobs=jobs,
    )
    Console().print(f"Simulated {modality.upper()} of {subjects} subject(s): {folder}")
