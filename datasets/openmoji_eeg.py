"""The built-in simulated EEG study."""

from neurodecode.datasets.preprocessing import Preprocessing
from neurodecode.datasets.simulated_study import SimulatedStudy, simulated_info


class OpenmojiEeg(SimulatedStudy):
    """Simulated EEG of people looking at OpenMoji drawings; see `SimulatedStudy`.

    Potentials are simulated against infinity; the reader takes the average over the electrodes as their reference.

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
    preprocessing = Preprocessing(reference="average")
