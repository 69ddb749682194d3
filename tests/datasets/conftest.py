"""A miniature BIDS data set that tests copy and damage, and the studies made of it."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import mne
import mne_bids
import numpy as np
import pandas as pd
import pytest
from PIL import Image

CHANNELS = ("Fz", "Cz", "Pz", "O1", "Oz", "O2", "EOG1", "NOISE")
TYPES = ("eeg",) * 6 + ("eog", "misc")
SFREQ, SECONDS = 200.0, 24.0
STIMULI = tuple(f"picture{index:02d}" for index in range(20))


def raw_eeg(seed: int, channels: tuple[str, ...] = CHANNELS, types: tuple[str, ...] = TYPES) -> mne.io.RawArray:
    """Noise with a few microvolts, and positions of the template."""
    generator = np.random.default_rng(seed)
    info = mne.create_info(list(channels), SFREQ, list(types), verbose="error")
    info.set_montage("colin27_1005", on_missing="ignore", verbose="error")
    info["line_freq"] = 50.0
    return mne.io.RawArray(generator.normal(0, 5e-6, (len(channels), int(SFREQ * SECONDS))), info, verbose="error")


def raw_meg(seed: int) -> mne.io.RawArray:
    """Two magnetometers and two planar gradiometers of a Vectorview system, and a trigger channel."""
    generator = np.random.default_rng(seed)
    names = ["MEG0111", "MEG0112", "MEG0121", "MEG2113", "STI101"]
    info = mne.create_info(names, SFREQ, ["mag", "grad", "mag", "grad", "stim"], verbose="error")
    for index, channel in enumerate(info["chs"][:4]):
        channel["loc"][:3] = [0.02 * index, 0.1 - 0.06 * index, 0.03]
        channel["loc"][3:] = np.eye(3).ravel()
    info["line_freq"] = 50.0
    with info._unlock():
        info["dev_head_t"] = mne.Transform("meg", "head", np.array(mne.transforms.translation(z=0.01)))
    data = generator.normal(0, 1e-12, (5, int(SFREQ * SECONDS)))
    data[4] = 0
    return mne.io.RawArray(data, info, verbose="error")


def events_table(run: int) -> pd.DataFrame:
    """Each picture once a run, a second apart, and a button press without a picture."""
    order = np.random.default_rng(run).permutation(len(STIMULI))
    table = pd.DataFrame(
        {
            "onset": 2.0 + np.arange(len(order)),
            "duration": 0.2,
            "trial_type": "picture",
            "stim_file": [f"set/{STIMULI[index]}.png" for index in order],
            "split": np.array(["train"] * 12 + ["val"] * 4 + ["test"] * 4)[order],
            "value": 1,
        }
    )
    press = pd.DataFrame({"onset": [1.0], "duration": 0.0, "trial_type": "button", "stim_file": "n/a", "value": 9})
    return pd.concat([press, table], ignore_index=True)


def write_recording(
    root: Path, raw: mne.io.RawArray, subject: str, run: int, *, datatype: str = "eeg", session: str | None = None
) -> Path:
    """Write one recording as BrainVision or FIF with its events table; gives the data file."""
    path = mne_bids.BIDSPath(
        subject=subject, session=session, task="pictures", run=f"{run:02d}", datatype=datatype, root=root
    )
    form = "BrainVision" if datatype == "eeg" else "FIF"
    # The values of the events of mne-bids are not the file's: the table is written afterwards.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the unit of the misc channel
        written = mne_bids.write_raw_bids(raw, path, format=form, allow_preload=True, overwrite=True, verbose="error")
    events = written.copy().update(suffix="events", extension=".tsv", split=None).fpath
    events_table(run).to_csv(events, sep="\t", index=False, na_rep="n/a")
    return Path(written.fpath)


def write_pictures(root: Path) -> None:
    """Write the pictures that the events name."""
    folder = root / "stimuli" / "set"
    folder.mkdir(parents=True)
    for index, name in enumerate(STIMULI):
        Image.new("RGB", (8, 8), (index * 10, 90, 200 - index)).save(folder / f"{name}.png")


@pytest.fixture(scope="session")
def pristine_eeg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects, two BrainVision runs each; not to be changed."""
    root = tmp_path_factory.mktemp("eeg") / "data"
    for subject in (1, 2):
        for run in (1, 2):
            write_recording(root, raw_eeg(10 * subject + run), f"{subject:02d}", run)
    write_pictures(root)
    return root


@pytest.fixture(scope="session")
def pristine_meg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One subject, one FIF run; not to be changed."""
    root = tmp_path_factory.mktemp("meg") / "data"
    write_recording(root, raw_meg(5), "01", 1, datatype="meg")
    write_pictures(root)
    return root


@pytest.fixture
def eeg_folder(pristine_eeg: Path, tmp_path: Path) -> Path:
    """A copy of the EEG data set that a test may damage."""
    return Path(shutil.copytree(pristine_eeg, tmp_path / "eeg"))


@pytest.fixture
def meg_folder(pristine_meg: Path, tmp_path: Path) -> Path:
    """A copy of the MEG data set that a test may damage."""
    return Path(shutil.copytree(pristine_meg, tmp_path / "meg"))


@pytest.fixture
def write_eeg_run() -> Callable[..., Path]:
    """Give the function that writes one more EEG recording."""

    def write(root: Path, subject: str, run: int, **kwargs: tuple[str, ...]) -> Path:
        return write_recording(root, raw_eeg(run, **kwargs), subject, run)

    return write
