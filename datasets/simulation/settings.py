"""The committed constants of the simulator: nothing here was set by looking at the score of a decoder.

The noise levels were set so that the ideal learner's 200-way top-1 is 0.95 in each modality: seed 0, the preprocessing
of the built-in studies, mean over three subjects and six draws of the noise (`calibration.calibrate`). A slow test
recomputes it.
"""

from dataclasses import dataclass
from typing import Final

#: The release of the forward model and its constants; it changes whenever a simulated number could change.
SIMULATOR_VERSION: Final = "1"

#: Principal components kept of each feature layer.
COMPONENTS_PER_LAYER: Final = 10

#: Share of the variance of every source weight that is a subject's own; the rest is common to all subjects.
SUBJECT_SPREAD: Final = 0.3

#: How often each training or validation picture, and each test picture, is shown to a subject.
TRAIN_REPETITIONS: Final = 4
TEST_REPETITIONS: Final = 20

#: Shortest time between two onsets, greatest jitter added to it, and the grid on which onsets fall (seconds). The grid
#: is one sample at 50 Hz, so that an analysis at 50 Hz meets every response at the same phase as one at 250 Hz.
ONSET_SPACING: Final = 1.0
ONSET_JITTER: Final = 0.2
ONSET_GRID: Final = 0.02

#: Length of a response, and the window that is analysed (seconds from the onset).
RESPONSE_DURATION: Final = 1.0
WINDOW_START: Final = 0.0
WINDOW_DURATION: Final = 0.8

#: Root mean square of the noise of one trial, averaged over the sensors: volts, tesla, and per cent of the baseline.
NOISE_LEVEL: Final[dict[str, float]] = {"eeg": 9.7e-6, "meg": 2.1e-12, "fmri": 2.7}

#: The modalities that can be simulated.
MODALITIES: Final = ("eeg", "meg", "fmri")

#: What a value on disk is measured in.
UNITS: Final[dict[str, str]] = {"eeg": "V", "meg": "T", "fmri": "percent"}

#: The name of the pseudo-layer whose one feature is 1 for every picture: the response that all pictures share.
EVOKED: Final = "evoked"


@dataclass(frozen=True)
class DipoleSettings:
    """Where the sources of EEG and MEG lie, when they answer and how subjects differ.

    Positions are fractions of the sphere's radius in head coordinates (x right, y front, z up), latencies and widths
    are seconds, frequencies hertz, moments ampere metres.
    """

    occipital: tuple[float, float, float] = (0.17, -0.72, 0.05)
    temporal: tuple[float, float, float] = (0.60, -0.28, -0.18)
    vertical_offsets: tuple[float, ...] = (0.14, -0.14)
    position_spread: float = 0.05
    orientation_spread: float = 0.35
    radial_share: float = 0.5
    gain_spread: float = 0.2
    moment: float = 10e-9
    first_latency: float = 0.09
    last_latency: float = 0.20
    latency_spread: float = 0.008
    delays: tuple[float, ...] = (0.0, 0.09, 0.22)
    widths: tuple[float, ...] = (0.035, 0.05, 0.08)
    highest_frequency: float = 5.0
    evoked_moment: float = 10e-9


@dataclass(frozen=True)
class NoiseSettings:
    """The noise of EEG and MEG: `1 / (1 + (f / knee)^exponent)`, an alpha peak, and its spread over the sensors.

    The knee keeps the memory of the noise short beside the time between two trials. `sensor_share` is the part of the
    variance that each sensor has on its own; the rest comes from `background_dipoles` dipoles all over the brain.
    """

    knee: float = 2.0
    exponent: float = 1.5
    alpha_frequency: float = 10.0
    alpha_width: float = 1.5
    alpha_height: float = 3.0
    background_dipoles: int = 400
    sensor_share: float = 0.15


@dataclass(frozen=True)
class VolumeSettings:
    """The grids, regions and noise of the simulated beta maps (lengths in voxels where no unit is given)."""

    grids: tuple[tuple[int, int, int], ...] = ((16, 18, 14), (17, 18, 13), (16, 19, 14))
    voxel_millimetres: float = 4.0
    patterns_per_layer: int = 16
    pattern_width: float = 0.8
    depth_width: float = 0.18
    signal: float = 0.2
    gain_spread: float = 0.2
    noise_width: float = 0.9
    smooth_share: float = 0.45
    global_share: float = 0.05


#: The visual regions from early to late: name, depth in the hierarchy (0 to 1), and the centre of the right half as
#: fractions of the half extents of the brain (x right, y front, z up).
REGIONS: Final[tuple[tuple[str, float, tuple[float, float, float]], ...]] = (
    ("V1", 0.0, (0.15, -0.75, 0.05)),
    ("V2", 0.25, (0.30, -0.68, 0.35)),
    ("V4", 0.5, (0.42, -0.55, -0.35)),
    ("LOC", 0.75, (0.68, -0.42, 0.05)),
    ("IT", 1.0, (0.66, -0.05, -0.35)),
)
REGION_RADIUS: Final = 0.33
