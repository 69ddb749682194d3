"""The built-in simulated MEG study."""

from neurodecode.datasets.simulated_study import SimulatedStudy, simulated_info


class OpenmojiMeg(SimulatedStudy):
    """Simulated MEG of people looking at OpenMoji drawings; see `SimulatedStudy`.

    Parameters
    ----------
    root : Path
        The folder that `neurodecode simulate` wrote.
    """

    info = simulated_info(
        "meg",
        description="Simulated MEG, 112 on-scalp magnetometers, 250 Hz, of three people looking at OpenMoji drawings.",
        size="about 1.6 GB",
    )
    places = ("openmoji_meg",)
