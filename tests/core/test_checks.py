"""What is proven of a study: finite and moving channels, known stimuli, equal channels, expected counts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.checks import check_channels, check_expected, check_pairing, check_signals
from neurodecode.core.errors import DataError
from neurodecode.core.recording import Block, Recording
from neurodecode.core.sensors import Sensors
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.study import StudyInfo

INFO = StudyInfo("toy", "eeg", "image", "", "", "", "", "", False)


def make(
    subject: str = "sub-01", names: tuple[str, ...] = ("Fz", "Cz", "Oz"), modality: str = "eeg", seed: int = 0
) -> Recording:
    data = np.random.default_rng(seed).normal(size=(len(names), 60)).astype(np.float32)
    block = Block("run-1", data, Sensors(names, ("eeg",) * len(names), 10.0, 0.0, "V"))
    table = pd.DataFrame(
        {
            "subject": subject,
            "session": "",
            "run": "1",
            "block": "run-1",
            "start": np.arange(5) * 10,
            "length": 8,
            "stimulus": ["a", "b", "a", "", "b"],
            "repetition": 1,
            "onset": np.arange(5.0),
        }
    )
    return Recording(subject, modality, {"run-1": block}, table)


def stimuli(names: tuple[str, ...] = ("a", "b")) -> Stimuli:
    return Stimuli(pd.DataFrame({"stimulus": names, "kind": "word", "path": "", "concept": names, "text": names}))


@pytest.mark.parametrize("chunk", [2, 512])
def test_signals(chunk: int) -> None:
    recording = make()
    check_signals(recording, chunk=chunk)
    data = next(iter(recording.blocks.values())).data
    data[1, 34] = np.inf
    with pytest.raises(DataError, match=r"sub-01: channel 'Cz' is not finite in window 3 \(run 1\)"):
        check_signals(recording, chunk=chunk)
    data[1] = 2.0
    with pytest.raises(DataError, match=r"sub-01: channel 'Cz' is flat \(1 flat of 3\)"):
        check_signals(recording, chunk=chunk)


def test_what_lies_between_windows_does_not_matter() -> None:
    recording = make()
    next(iter(recording.blocks.values())).data[0, 9] = np.nan
    check_signals(recording)


def test_pairing_depends_on_every_pair() -> None:
    recording = make()
    digest = check_pairing(recording, stimuli())
    assert digest == check_pairing(make(seed=1), stimuli())
    swapped = recording.windows.assign(stimulus=["b", "a", "a", "", "b"])
    assert check_pairing(replace(recording, windows=swapped), stimuli()) != digest
    moved = recording.windows.assign(start=[1, 10, 20, 30, 40])
    assert check_pairing(replace(recording, windows=moved), stimuli()) != digest
    with pytest.raises(DataError, match="sub-01: window 1 names the stimulus 'b', which the study does not have"):
        check_pairing(recording, stimuli(("a", "c")))


def test_subjects_with_other_channels_are_named() -> None:
    first = make()
    check_channels({"sub-01": first, "sub-02": make("sub-02")})
    with pytest.raises(DataError, match=r"sub-02: lacks the channel 'Oz' that sub-01 has \(3 and 3 channels\)"):
        check_channels({"sub-01": first, "sub-02": make("sub-02", ("Fz", "Cz", "Pz"))})
    with pytest.raises(DataError, match=r"sub-02: has the channel 'Pz' that sub-01 lacks \(4 and 3 channels\)"):
        check_channels({"sub-01": first, "sub-02": make("sub-02", ("Fz", "Cz", "Oz", "Pz"))})
    with pytest.raises(DataError, match="sub-02: has channel 'Cz' in the place of sub-01's 'Fz'"):
        check_channels({"sub-01": first, "sub-02": make("sub-02", ("Cz", "Fz", "Oz"))})
    brains = {"sub-01": make(modality="fmri"), "sub-02": make("sub-02", ("v1", "v2"), "fmri")}
    check_channels(brains)


def test_expected_counts() -> None:
    recordings = {"sub-01": make()}
    right = {"subjects": 1, "stimuli": 2, "windows": 5, "runs": 1, "channels": 3}
    check_expected(replace(INFO, expected=right), stimuli(), recordings, n_subjects=1)
    for what in right:
        wrong = replace(INFO, expected={**right, what: 7})
        with pytest.raises(DataError, match=rf"{right[what]} {what}, expected 7"):
            check_expected(wrong, stimuli(), recordings, n_subjects=1)
