"""Long recordings read in pieces: no seam, one error that names file, channel and time."""

from pathlib import Path

import numpy as np
import pytest

from neurodecode.core.array_store import ArrayStore
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.datasets.preprocessing import Preprocessing, band_pass, resample
from neurodecode.datasets.speech_signals import stream_signals

NAMES = ["a", "b", "c"]


def drifting(n_samples: int = 20_000) -> np.ndarray:
    generator = np.random.default_rng(0)
    return (generator.normal(size=(3, n_samples)) + np.linspace(0, 5, n_samples)).astype(np.float32)


@pytest.mark.parametrize(("rate", "sfreq"), [(1200.0, 50.0), (1000.0, 120.0), (256.0, 100.0), (500.0, 500.0)])
@pytest.mark.parametrize("piece", [3000, 12_345, 10**9])
def test_pieces_join_without_a_seam(rate: float, sfreq: float, piece: int) -> None:
    signals = drifting()
    whole = resample(signals, rate, sfreq)
    pieces = stream_signals(
        lambda start, stop: signals[:, start:stop], NAMES, signals.shape[1], rate, sfreq=sfreq, piece=piece
    )
    assert pieces.shape == whole.shape
    # Where both rates change, the filter's gain for an offset is one to a few thousandths. Beyond the very ends the
    # line through a piece goes on, and not that through the whole.
    exact = 5e-6 if rate % sfreq == 0 else 0.02
    np.testing.assert_allclose(pieces[:, 25:-25], whole[:, 25:-25], atol=exact)
    np.testing.assert_allclose(pieces, whole, atol=0.02)


def test_filters_act_after_resampling_and_the_store_holds_the_signals(tmp_path: Path) -> None:
    signals = drifting()
    store = ArrayStore(tmp_path)
    settings = Preprocessing(high_pass=1.0, low_pass=20.0)
    streamed = stream_signals(
        lambda start, stop: signals[:, start:stop], NAMES, 20_000, 1000.0, sfreq=100.0, settings=settings, store=store
    )
    assert store.path(streamed) is not None
    np.testing.assert_allclose(streamed, band_pass(resample(signals, 1000.0, 100.0), 100.0, 1.0, 20.0), atol=1e-4)


def test_what_is_wrong_is_said() -> None:
    signals = drifting(1000)

    def stream(data: np.ndarray, **options: object) -> np.ndarray:
        return stream_signals(lambda start, stop: data[:, start:stop], NAMES, 1000, 100.0, where="x.ds", **options)  # type: ignore[arg-type]

    broken = signals.copy()
    broken[1, 750] = np.nan
    with pytest.raises(DataError, match=r"x\.ds: channel 'b' is not finite at 7\.500 s"):
        stream(broken, piece=300)
    flat = signals.copy()
    flat[2] = 1.0
    with pytest.raises(DataError, match=r"x\.ds: channel 'c' is flat; leave it out with the option drop_channels"):
        stream(flat)
    with pytest.raises(DataError, match=r"x\.ds: got signals of shape \(3, 0\) at 10\.000 s, expected \(3, 100\)"):
        stream_signals(lambda start, stop: signals[:, start:stop], NAMES, 1100, 100.0, where="x.ds", piece=300)
    with pytest.raises(ConfigError, match="low_pass: got 40 Hz, expected between 0 and 25 Hz, half of sfreq"):
        stream(signals, sfreq=50.0, settings=Preprocessing(low_pass=40.0))

    def fails(start: int, stop: int) -> np.ndarray:
        raise OSError("disk gone")

    with pytest.raises(DataError, match=r"x\.ds: the signals end or break before their time \(OSError: disk gone\)"):
        stream_signals(fails, NAMES, 1000, 100.0, where="x.ds")
    with pytest.raises(DataError, match=r"x\.ds: no sample of signal"):
        stream_signals(fails, NAMES, 0, 100.0, where="x.ds")
