"""The built-in simulated EEG study."""

from neurodecode.datasets.simulated_study import SimulatedStudy, simulated_info


class OpenmojiEeg(SimulatedStudy):
    """Simulated EEG of people looking at OpenMoji drawings; see `SimulatedStudy`.

    Parameters
    ----------
    root : Path
        The folder that `neurodecode simulate` wrote.
    """

    info = simulated_info(
        "eeg",
        description="Simulated EEG, 63 electrodes at 250 Hz, of three people looking at OpenMoji drawings.",
        size="about 0.9 GB",
    )
    places = ("openmoji_eeg",)
