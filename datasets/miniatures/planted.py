"""The signal in every miniature: a linear map from a stimulus' code to the sensors, plus white noise.

A picture shows its code as blocks of colour, so that pixels, or any network that sees colour, can find the map again.
All layouts of one study take their signals from here, so that they must agree.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurodecode.core.files import write_json

MARKER = "miniature.json"
BLOCKS = 3
N_CODES = 3 * BLOCKS * BLOCKS
PICTURE_SIZE = 48
# Rise and width of the response, in seconds after the onset.
PEAKS = (0.12, 0.2, 0.32)
WIDTH = 0.05


def code_of(stimulus: str) -> NDArray[np.float64]:
    """Give the code that a stimulus' picture shows, each value evenly spread between -1 and 1.

    Parameters
    ----------
    stimulus : str
        Any name; the code follows from it alone.

    Returns
    -------
    ndarray of float64, shape (N_CODES,)
        The code.

    Examples
    --------
    >>> code_of("aardvark_01b").shape, bool((code_of("a") == code_of("a")).all())
    ((27,), True)
    """
    generator = np.random.default_rng(zlib.crc32(stimulus.encode()))
    return np.round(generator.uniform(-1, 1, N_CODES) * 100) / 100


def picture_of(stimulus: str, *, size: int = PICTURE_SIZE) -> Image.Image:
    """Draw a stimulus' code as a square of colour blocks, one colour channel of one block for each value.

    Parameters
    ----------
    stimulus : str
        Any name.
    size : int
        Side in pixels, a multiple of `BLOCKS`.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    values = np.round(127.5 + 110 * code_of(stimulus)).astype(np.uint8).reshape(BLOCKS, BLOCKS, 3)
    return Image.fromarray(values).resize((size, size), Image.Resampling.NEAREST)


@dataclass(frozen=True)
class PlantedSignal:
    """The linear map of one study from codes to sensors.

    Parameters
    ----------
    seed : int
        Of the map; subjects and sensors have maps of their own.
    noise : float
        Standard deviation of the white noise of one trial, where the response has a deviation of about 1.
    unit : float
        What everything is multiplied by, for instance 1e-6 for microvolts in volts.

    Examples
    --------
    >>> signal = PlantedSignal(seed=0, noise=0.5)
    >>> signal.response("cat", subject=1, n_channels=4, times=np.arange(0, 0.5, 0.1)).shape
    (4, 5)
    """

    seed: int = 0
    noise: float = 1.0
    unit: float = 1.0

    def patterns(self, subject: int, n_channels: int) -> NDArray[np.float64]:
        """Draw a subject's maps from code to channels, one for each peak: ``(n_peaks, n_channels, N_CODES)``."""
        generator = np.random.default_rng([self.seed, subject])
        drawn: NDArray[np.float64] = generator.normal(size=(len(PEAKS), n_channels, N_CODES)) / np.sqrt(N_CODES / 3)
        return drawn

    def response(
        self, stimulus: str, *, subject: int, n_channels: int, times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Compute the response without noise ``(n_channels, n_times)``; zero before the onset.

        Parameters
        ----------
        stimulus : str
            What was shown.
        subject : int
            Number of the subject.
        n_channels : int
            How many channels; the first ones are the same for any number.
        times : ndarray of float64
            Seconds after the onset.
        """
        courses = np.stack([np.exp(-0.5 * ((times - peak) / WIDTH) ** 2) for peak in PEAKS]) * (times >= 0)
        amplitudes = self.patterns(subject, n_channels) @ code_of(stimulus)
        response: NDArray[np.float64] = self.unit * np.einsum("pc,pt->ct", amplitudes, courses)
        return response

    def betas(self, stimulus: str, *, subject: int, n_voxels: int) -> NDArray[np.float64]:
        """Compute the response of voxels without noise ``(n_voxels,)``, for maps with one time."""
        betas: NDArray[np.float64] = self.unit * (self.patterns(subject, n_voxels)[0] @ code_of(stimulus))
        return betas

    def trial_noise(self, shape: tuple[int, ...], *key: int) -> NDArray[np.float64]:
        """Draw the noise of one trial; the same key (subject, session, trial ...) gives the same noise."""
        generator = np.random.default_rng([self.seed, 1, *key])
        drawn: NDArray[np.float64] = self.unit * self.noise * generator.normal(size=shape)
        return drawn


def mark_as_miniature(root: Path, *, of: str) -> None:
    """Leave a file that makes every reader call what it reads simulated, and take it for smaller than the original.

    Parameters
    ----------
    root : Path
        The miniature's own folder.
    of : str
        Name of the study.
    """
    write_json(root / MARKER, {"miniature_of": of, "simulated": True})
