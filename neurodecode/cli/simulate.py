"""Write a simulated study: people who look at the built-in pictures, or listen to speech."""

from pathlib import Path
from typing import Literal


def run(
    modality: Literal["eeg", "meg", "fmri", "speech"],
    *,
    output: Path | None = None,
    seed: int = 0,
    subjects: int = 3,
    sfreq: float | None = None,
    realism: Literal["basic", "full"] = "basic",
    jobs: int = 1,
) -> None:
    """Write a simulated study of the built-in pictures to disk, or of speech, with its ground truth.

    What is done already is kept.

    Parameters
    ----------
    modality : str
        What is simulated: eeg, meg or fmri of people who look at pictures; speech is meg of people who listen.
    output : Path, optional
        Folder of the data set; by default outputs/data/openmoji_ and the modality, or outputs/data/spoken_meg.
    seed : int
        Seed of all that is drawn.
    subjects : int
        Number of simulated people.
    sfreq : float, optional
        Sampling rate of EEG and MEG in Hz, a multiple of 50; 250 by default, 100 for speech.
    realism : str
        With full, the signals also have latency jitter, saturation, drift, blinks and line hum, and the ceilings are
        approximate; not for speech.
    jobs : int
        Number of subjects that are simulated at once, each in a process of its own; those of speech one by one.
    """
    from rich.console import Console

    from neurodecode.core.errors import ConfigError

    if modality == "speech":
        if realism != "basic" or jobs != 1:
            got = f"--realism {realism}" if realism != "basic" else f"--jobs {jobs}"
            raise ConfigError(f"{got}: speech is simulated with basic realism in one process, expected neither")
        from neurodecode.datasets.simulation.speech_study import SpeechSize
        from neurodecode.workflow.simulate_speech import simulate_spoken

        size = SpeechSize(subjects=subjects) if sfreq is None else SpeechSize(subjects=subjects, sfreq=sfreq)
        folder = simulate_spoken(Path("outputs/data/spoken_meg") if output is None else output, seed=seed, size=size)
        Console().print(f"Simulated MEG of {subjects} listener(s): {folder}")
        return
    from neurodecode.workflow.simulate import simulate_openmoji

    folder = simulate_openmoji(
        Path("outputs/data") / f"openmoji_{modality}" if output is None else output,
        modality=modality,
        seed=seed,
        subjects=subjects,
        sfreq=250.0 if sfreq is None else sfreq,
        realism=realism,
        jobs=jobs,
    )
    Console().print(f"Simulated {modality.upper()} of {subjects} subject(s): {folder}")
