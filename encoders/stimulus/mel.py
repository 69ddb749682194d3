"""What a cochlea might tell: log-mel spectrogram, its onsets and the envelope. No weights."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.stimulus.audio import SAMPLING_RATE, check_rate, check_waveforms, n_frames, resample_series
from neurodecode.encoders.stimulus.base import Features, check_layers

LAYERS = ("envelope", "mel", "onsets")
HOP = 80
WINDOW = 400
#: Power below this is silence: 1e-8 is 80 dB under a full-scale sine.
FLOOR = 1e-8


class MelEncoder:
    """Hand-made features of sound as series.

    Layers: ``mel``, the logarithm (base 10) of the power in mel bands (Slaney's scale and area norm, through
    `transformers.audio_utils`); ``onsets``, by how much each band grows (half-wave rectified difference over 20 ms,
    averaged over a frame); ``envelope``, the logarithm of the power in all bands together.

    Parameters
    ----------
    layers : sequence of str
        Some of `LAYERS`.
    rate : float
        Frames per second, such as 50 or 120.
    bands : int
        Number of mel bands, from 1 to 128.
    highest : float
        Upper edge of the last band (Hz).

    Raises
    ------
    ConfigError
        If a number is out of range or a layer unknown.

    Examples
    --------
    >>> encoder = MelEncoder(["mel"], rate=50.0, bands=20)
    >>> encoder.encode([np.zeros(16000, dtype=np.float32)])["mel"].shape
    (1, 50, 20)
    """

    name = "mel"
    kind: Literal["speech"] = "speech"

    def __init__(
        self, layers: Sequence[str] = LAYERS, *, rate: float = 50.0, bands: int = 40, highest: float = 8000.0
    ) -> None:
        # transformers takes seconds to import: only who asks for this encoder waits for it.
        from transformers.audio_utils import mel_filter_bank

        if not 1 <= bands <= 128:
            raise ConfigError(f"bands: got {bands}, expected 1 to 128")
        if not 100 <= highest <= SAMPLING_RATE / 2:
            raise ConfigError(f"highest: got {highest:g}, expected 100 to {SAMPLING_RATE / 2:g} Hz")
        self.rate = check_rate(rate)
        self.bands, self.highest = bands, highest
        self._layers = check_layers(layers, LAYERS)
        self._filters: NDArray[np.float64] = np.asarray(
            mel_filter_bank(WINDOW // 2 + 1, bands, 0.0, highest, SAMPLING_RATE, norm="slaney", mel_scale="slaney")
        )

    def layers(self) -> list[str]:
        """List the layers asked for."""
        return list(self._layers)

    def encode(self, stimuli: Sequence[Any]) -> Features:
        """Compute the series of waveforms of one length at 16 kHz: ``(n, n_frames, dim)`` a layer."""
        rows = [self._series(wave) for wave in check_waveforms(stimuli, shortest=WINDOW)]
        return {layer: np.stack([row[layer] for row in rows]) for layer in self._layers}

    def _series(self, wave: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        power = mel_power(wave, self._filters)
        native, frames = SAMPLING_RATE / HOP, n_frames(len(wave), self.rate)
        logarithm = np.log10(np.maximum(power, FLOOR))
        growth = np.zeros_like(logarithm)
        growth[4:] = np.maximum(logarithm[4:] - logarithm[:-4], 0.0)
        total = np.log10(np.maximum(power.mean(axis=1, keepdims=True), FLOOR))
        series = {"mel": logarithm, "onsets": growth, "envelope": total}
        return {layer: resample_series(series[layer], native, self.rate, frames) for layer in self._layers}

    def fingerprint(self) -> dict[str, Any]:
        """Describe all that the series depend on."""
        return {
            "model": self.name,
            "weights": "none",
            "layers": self.layers(),
            "pooling": dict.fromkeys(self._layers, "series"),
            "normalised": dict.fromkeys(self._layers, False),
            "preprocessing": {
                "rate": self.rate,
                "bands": self.bands,
                "highest": self.highest,
                "hop": HOP,
                "window": WINDOW,
                "floor": FLOOR,
                "sampling_rate": SAMPLING_RATE,
            },
        }


def mel_power(wave: NDArray[np.float32], filters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the power in mel bands every 5 ms, over 25 ms with a Hann window, frame ``k`` centred on ``k`` x 5 ms.

    Parameters
    ----------
    wave : ndarray, shape (n_samples,)
        At 16 kHz.
    filters : ndarray, shape (n_frequencies, n_bands)
        A filter bank.

    Returns
    -------
    ndarray of float64, shape (n_samples // 80 + 1, n_bands)
    """
    padded = np.pad(wave.astype(np.float64), WINDOW // 2)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectrum = np.fft.rfft(pieces * scipy.signal.get_window("hann", WINDOW), axis=1)
    # A full-scale sine has the power one quarter of the squared sum of the window.
    return np.asarray((np.abs(spectrum) / (WINDOW / 2)) ** 2 @ filters)
