"""EEG files that MNE cannot write by itself: EDF, BDF and EEGLAB's SET."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError

# Bits of a sample, the first bytes of a file and what its header's reserved field says.
FORMATS = {".edf": (16, b"0       ", ""), ".bdf": (24, b"\xffBIOSEMI", "24BIT")}


def write_edf(path: Path, signals: NDArray[np.float64], names: Sequence[str], sfreq: int) -> None:
    """Write signals as EDF (16 bits) or BDF (24 bits), in records of one second.

    Parameters
    ----------
    path : Path
        Ends in ``.edf`` or ``.bdf``.
    signals : ndarray, shape (n_channels, n_samples)
        In volts; whole seconds.
    names : sequence of str
        One a channel.
    sfreq : int
        In Hz.

    Raises
    ------
    ConfigError
        If the format is another one, or the last second is not whole.

    Examples
    --------
    >>> import tempfile, mne
    >>> path = Path(tempfile.mkdtemp()) / "a.bdf"
    >>> signals = np.random.default_rng(0).normal(0, 1e-5, (2, 300))
    >>> write_edf(path, signals, ["Oz", "Cz"], 100)
    >>> raw = mne.io.read_raw_bdf(path, verbose="error")
    >>> bool(np.abs(raw.get_data() - signals).max() < 1e-11)
    True
    """
    if path.suffix not in FORMATS or signals.shape[1] % sfreq:
        raise ConfigError(
            f"{path.name}: got {signals.shape[1]} samples at {sfreq} Hz, expected whole seconds of EDF or BDF"
        )
    bits, magic, reserved = FORMATS[path.suffix]
    n_channels, seconds = len(names), signals.shape[1] // sfreq
    top = 2 ** (bits - 1) - 1
    microvolts = signals * 1e6
    # Six digits fit into the field of a header; what is written there is the scale.
    largest = float(f"{np.ceil(np.abs(microvolts).max()) + 1:g}")
    stored = np.round(microvolts / largest * top).astype(np.int32)

    def fields(texts: Sequence[str], width: int) -> bytes:
        return b"".join(text.encode("ascii").ljust(width)[:width] for text in texts)

    header = magic + fields(["X X X X", "Startdate 01-JAN-2020 X X X"], 80) + b"01.01.2010.00.00"
    header += fields([str(256 * (n_channels + 1))], 8) + fields([reserved], 44) + fields([str(seconds), "1"], 8)
    header += fields([str(n_channels)], 4) + fields(list(names), 16) + fields([""] * n_channels, 80)
    for text in ("uV", f"{-largest:g}", f"{largest:g}", str(-top), str(top)):
        header += fields([text] * n_channels, 8)
    header += fields([""] * n_channels, 80) + fields([str(sfreq)] * n_channels, 8) + fields([""] * n_channels, 32)
    records = stored.reshape(n_channels, seconds, sfreq).transpose(1, 0, 2).reshape(-1)
    little = records.astype("<i4").view(np.uint8).reshape(-1, 4)[:, : bits // 8]
    path.write_bytes(header + little.tobytes())


def write_set(path: Path, signals: NDArray[np.float64], names: Sequence[str], sfreq: float) -> None:
    """Write signals as EEGLAB does, in one file, in microvolts and single precision.

    Parameters
    ----------
    path : Path
        Ends in ``.set``.
    signals : ndarray, shape (n_channels, n_samples)
        In volts.
    names : sequence of str
        One a channel.
    sfreq : float
        In Hz.

    Examples
    --------
    >>> import tempfile, mne
    >>> path = Path(tempfile.mkdtemp()) / "a.set"
    >>> signals = np.random.default_rng(0).normal(0, 1e-5, (2, 300))
    >>> write_set(path, signals, ["Oz", "Cz"], 100)
    >>> raw = mne.io.read_raw_eeglab(path, verbose="error")
    >>> bool(np.allclose(raw.get_data(), signals, rtol=1e-6))
    True
    """
    import scipy.io

    places = np.zeros(len(names), dtype=[("labels", object), ("X", object), ("Y", object), ("Z", object)])
    for row, name in enumerate(names):
        places[row] = (name, np.array([]), np.array([]), np.array([]))
    n_samples = signals.shape[1]
    header = {
        "setname": path.stem, "nbchan": len(names), "trials": 1, "pnts": n_samples, "srate": float(sfreq), "xmin": 0.0,
        "xmax": (n_samples - 1) / sfreq, "data": (signals * 1e6).astype(np.float32), "chanlocs": places, "event": [],
        "epoch": [], "ref": "common", "icawinv": [], "icasphere": [], "icaweights": [], "icaact": [],
    }  # fmt: skip
    scipy.io.savemat(path, {"EEG": header}, appendmat=False)
