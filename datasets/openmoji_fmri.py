"""The built-in simulated fMRI study."""

from neurodecode.datasets.simulated_study import SimulatedStudy, simulated_info


class OpenmojiFmri(SimulatedStudy):
    """Simulated fMRI of people looking at OpenMoji drawings; see `SimulatedStudy`.

    Parameters
    ----------
    root : Path
        The folder that `neurodecode simulate` wrote.
    """

    info = simulated_info(
        "fmri",
        description="Simulated fMRI, single-trial beta maps, of three people looking at OpenMoji drawings.",
        size="about 0.2 GB",
    )
    places = ("openmoji_fmri",)
