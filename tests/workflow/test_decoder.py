"""Three lines of Python decode a recording, and what does not fit is refused with both sides."""

from pathlib import Path

import mne
import numpy as np
import pytest

from neurodecode.core.errors import DataError, LeakageError, MismatchError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.checkpoint import decode_with, find_checkpoint, require_fit
from neurodecode.workflow.decoder import Decoder
from neurodecode.workflow.items import fold_items


def epochs_of(signals: np.ndarray, names: list[str], *, sfreq: float = 50.0, tmin: float = 0.0) -> mne.EpochsArray:
    return mne.EpochsArray(signals.astype(np.float64), mne.create_info(names, sfreq, "eeg"), tmin=tmin, verbose="error")


@pytest.fixture(scope="module")
def decoder(trained: Path) -> Decoder:
    return Decoder.load(trained)


@pytest.fixture(scope="module")
def signals(small_study: PreparedStudy) -> np.ndarray:
    return fold_items(small_study, "sub-01").test.signals


def test_three_lines_rank_the_right_stimulus_high(
    trained: Path, small_study: PreparedStudy, bank: TargetBank, signals: np.ndarray
) -> None:
    names = [str(name) for name in fold_items(small_study, "sub-01").test.stimulus]
    decoder = Decoder.load(trained)
    decoded = decoder.decode(signals, "sub-01")
    table = decoder.rank(signals, "sub-01", bank, names)
    assert len(decoded) == len(names)
    assert decoded["last"].shape == (len(names), 4)
    assert list(table.columns) == ["trial", "rank", "candidate", "score"]
    assert len(table) == len(names) ** 2
    ranks = [int(rows.loc[rows["candidate"] == names[trial], "rank"].iloc[0]) for trial, rows in table.groupby("trial")]
    assert np.mean(np.array(ranks) <= 3) > 0.6  # chance is 3 of 24
    first = table[table["trial"] == 0]
    assert first["rank"].tolist() == list(range(1, len(names) + 1))
    assert first["score"].is_monotonic_decreasing
    with pytest.raises(DataError, match="no target 'gone'"):
        decoded["gone"]


def test_epochs_give_what_arrays_give_whatever_their_order_and_margins(decoder: Decoder, signals: np.ndarray) -> None:
    names = decoder.channels("sub-01")
    expected = decoder.decode(signals, "sub-01")
    order = np.random.default_rng(0).permutation(len(names))
    wide = np.pad(signals[:, order], ((0, 0), (0, 1), (3, 2)), constant_values=1.0)
    epochs = epochs_of(wide, [*(names[place] for place in order), "EOG"], tmin=-3 / 50)
    found = decoder.decode(epochs, "sub-01")
    named = decoder.decode(signals[:, order], "sub-01", channels=[names[place] for place in order], sfreq=50.0)
    for target, values in expected.embeddings.items():
        np.testing.assert_allclose(found[target], values, atol=1e-4)
        np.testing.assert_allclose(named[target], values, atol=1e-4)


def test_candidates_as_arrays_rank_as_the_bank_does(decoder: Decoder, bank: TargetBank, signals: np.ndarray) -> None:
    names = ["s100", "s101", "s102"]
    by_bank = decoder.rank(signals, "sub-01", bank, names)
    assert decoder.rank(signals, "sub-01", bank.rows(names), names).equals(by_bank)


def test_what_does_not_fit_is_refused_with_both_sides(decoder: Decoder, bank: TargetBank, signals: np.ndarray) -> None:
    names = decoder.channels("sub-01")
    with pytest.raises(MismatchError, match="got 'sub-09', expected one of sub-01, sub-02"):
        decoder.decode(signals, "sub-09")
    with pytest.raises(MismatchError, match="got a sampling rate of 100 Hz, expected 50 Hz"):
        decoder.decode(epochs_of(signals, names, sfreq=100.0), "sub-01")
    with pytest.raises(MismatchError, match="without 'E0', expected the 8 of the training"):
        decoder.decode(epochs_of(signals, ["Oz", *names[1:]]), "sub-01")
    with pytest.raises(MismatchError, match=r"got \(8, 3\) channels and times, expected \(8, 4\)"):
        decoder.decode(signals[:, :, :3], "sub-01")
    with pytest.raises(MismatchError, match=r"epochs go from 0.1 to 0.16 s, expected samples from 0 to 0.06 s"):
        decoder.decode(epochs_of(signals, names, tmin=0.1), "sub-01")
    with pytest.raises(MismatchError, match="got an array of shape"):
        decoder.decode(signals[0], "sub-01")
    with pytest.raises(MismatchError, match="channels: got 1 names, expected 8"):
        decoder.decode(signals, "sub-01", channels=["E0"])
    with pytest.raises(MismatchError, match="got the targets other, expected some of first, last"):
        decoder.rank(signals, "sub-01", {"other": np.zeros((2, 4), np.float32)}, ["a", "b"])
    with pytest.raises(MismatchError, match="'last' has shape"):
        decoder.rank(signals, "sub-01", {"last": np.zeros((2, 5), np.float32)}, ["a", "b"])
    with pytest.raises(DataError, match="names: got 2, 1 of them different"):
        decoder.rank(signals, "sub-01", bank, ["s100", "s100"])


def test_a_checkpoint_is_found_or_the_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find_checkpoint(tmp_path / "gone")
    with pytest.raises(DataError, match=r"holds no best\*.ckpt"):
        find_checkpoint(tmp_path)
    for place in ("models/small/fold0", "models/small-shuffled/fold0", "models/small/fold1"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "best.ckpt").write_bytes(b"")
    assert find_checkpoint(tmp_path / "models" / "small" / "fold0").name == "best.ckpt"
    with pytest.raises(DataError, match="holds 2 of them"):
        find_checkpoint(tmp_path)
    with pytest.raises(DataError, match="not readable as a whole checkpoint"):
        Decoder.load(tmp_path / "models" / "small" / "fold0")


def test_a_network_of_other_data_is_refused(
    decoder: Decoder, small_study: PreparedStudy, runs_study: PreparedStudy, bank: TargetBank
) -> None:
    interface = decoder.task.interface
    require_fit(interface, small_study, bank, ["sub-02"])
    with pytest.raises(LeakageError, match="was trained with split"):
        require_fit(interface, runs_study, bank, ["sub-01"])
    alone = {**interface, "subjects": {"sub-01": interface["subjects"]["sub-01"]}}
    with pytest.raises(MismatchError, match="was trained for sub-01, but sub-02 is to be decoded"):
        require_fit(alone, small_study, bank, ["sub-02"])
    with pytest.raises(MismatchError, match="predicts the target 'first', but the targets are last"):
        require_fit(interface, small_study, TargetBank({"last": bank.layers["last"]}), ["sub-01"])
    with pytest.raises(LeakageError, match="trained on fold 0, expected one of fold 1"):
        decode_with(decoder.task, fold=0)(1, "sub-01", np.zeros((1, 8, 4), np.float32))
