"""EEG and MEG from BIDS folders: what was written comes back, and each kind of damage has one clear line."""

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import mne
import mne_bids
import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import prepare_study
from neurodecode.datasets.bids import BidsStudy
from neurodecode.datasets.bids_files import entities
from neurodecode.datasets.preprocessing import Preprocessing, preprocess_array

RAW = Preprocessing()
EEG = ("Fz", "Cz", "Pz", "O1", "Oz", "O2")


def run_file(root: Path, ending: str, *, subject: str = "01", run: int = 1, datatype: str = "eeg") -> Path:
    return root / f"sub-{subject}" / datatype / f"sub-{subject}_task-pictures_run-{run:02d}_{ending}"


def edit_table(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    change(table).to_csv(path, sep="\t", index=False)


def truth(root: Path, *, subject: str = "01", run: int = 1) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne.io.read_raw_brainvision(run_file(root, "eeg.vhdr", subject=subject, run=run), verbose="error")
    return np.asarray(raw.get_data(picks=list(EEG)))


def test_eeg_comes_back_as_it_was_written(pristine_eeg: Path) -> None:
    study = BidsStudy(pristine_eeg, preprocessing=RAW)
    recording = study.load("sub-02")
    assert study.subjects() == ["sub-01", "sub-02"]
    assert recording.modality == "eeg"
    assert recording.sensors.names == EEG  # the misc and the eye channel are dropped
    assert recording.sensors.unit == "V"
    assert recording.sensors.regions["occipital"].tolist() == [False] * 3 + [True] * 3
    assert recording.sensors.positions is not None
    assert recording.sensors.positions[4, 1] < -0.05
    assert recording.flags == ()
    assert len(recording.windows) == 40
    assert recording.n_times == 160
    expected = truth(pristine_eeg, subject="02", run=2)
    events = pd.read_csv(run_file(pristine_eeg, "events.tsv", subject="02", run=2), sep="\t")
    shown = events[events["stim_file"].notna()].reset_index(drop=True)
    mine = recording.windows.index[recording.windows["run"] == "02"].to_numpy()
    for position, (_, event) in zip(mine, shown.iterrows(), strict=True):
        start = round(event["onset"] * 200)
        signal = recording.read([position])[0]
        np.testing.assert_allclose(signal, expected[:, start : start + 160], rtol=1e-4, atol=1e-9)
        assert recording.windows["stimulus"][position] + ".png" == event["stim_file"]
    assert recording.windows["repetition"].tolist() == [1] * 20 + [2] * 20
    assert recording.windows["trial_type"].unique().tolist() == ["picture"]


def test_windows_begin_where_they_are_asked_to(pristine_eeg: Path) -> None:
    early = BidsStudy(pristine_eeg, preprocessing=RAW, window=(-0.2, 0.5)).load("sub-01")
    assert early.sensors.tmin == -0.2
    assert early.n_times == 140
    later = BidsStudy(pristine_eeg, preprocessing=RAW, window=(0.1, 0.5)).load("sub-01")
    np.testing.assert_array_equal(early.read([5])[:, :, 60:], later.read([5]))


def test_resampling_and_filter_are_the_shared_function(pristine_eeg: Path) -> None:
    chain = Preprocessing(high_pass=1.0, low_pass=30.0, reference="average")
    recording = BidsStudy(pristine_eeg, preprocessing=chain).load("sub-01", sfreq=50.0)
    expected = preprocess_array(truth(pristine_eeg), 200.0, 50.0, settings=chain)
    np.testing.assert_allclose(recording.blocks["task-pictures_run-01"].data, expected, atol=1e-9)
    assert recording.sensors.sfreq == 50.0
    assert recording.n_times == 40


def test_baselines(pristine_eeg: Path) -> None:
    chain = Preprocessing(baseline=(-0.2, 0.0))
    corrected = BidsStudy(pristine_eeg, preprocessing=chain).load("sub-01")
    plain = BidsStudy(pristine_eeg, preprocessing=RAW, window=(-0.2, 0.8)).load("sub-01")
    rows = np.array([0, 17, 39])
    signals = plain.read(rows)
    expected = signals[:, :, 40:] - signals[:, :, :40].mean(axis=2, keepdims=True)
    np.testing.assert_allclose(corrected.read(rows), expected, atol=1e-10)
    assert next(iter(corrected.blocks.values())).epoched


def test_meg_from_fif(pristine_meg: Path) -> None:
    study = BidsStudy(pristine_meg, preprocessing=RAW)
    assert study.info.modality == "meg"
    recording = study.load("sub-01")
    assert recording.sensors.kinds == ("mag", "grad", "mag", "grad")
    assert recording.sensors.unit == "T, T/m"
    assert recording.sensors.positions is not None
    np.testing.assert_allclose(recording.sensors.positions[:, 2], 0.04, atol=1e-6)  # device moved up by 1 cm
    assert recording.sensors.regions["occipital"].tolist() == [False, False, False, True]
    raw = mne.io.read_raw_fif(run_file(pristine_meg, "meg.fif", datatype="meg"), verbose="error")
    block = next(iter(recording.blocks.values()))
    np.testing.assert_allclose(block.data, raw.get_data(picks=list(recording.sensors.names)), rtol=1e-6, atol=1e-18)


def test_stimuli_and_split(pristine_eeg: Path) -> None:
    study = BidsStudy(pristine_eeg)
    stimuli = study.stimuli()
    assert len(stimuli) == 20
    assert stimuli.file("set/picture03").is_file()
    assert set(stimuli.table["kind"]) == {"image"}
    windows = {subject: study.load(subject).windows for subject in study.subjects()}
    split = study.split(windows)
    sides = {part: len(split.rows("sub-01", part)) for part in ("train", "val", "test")}  # type: ignore[arg-type]
    assert sides == {"train": 24, "val": 8, "test": 8}
    without = {subject: table.drop(columns="split") for subject, table in windows.items()}
    drawn = study.split(without)
    assert drawn.hash == study.split(without).hash
    assert len(drawn.rows("sub-02", "test")) == 4
    no_val = {subject: table.replace({"split": {"val": "train"}}) for subject, table in windows.items()}
    held_out = study.split(no_val)
    assert len(held_out.rows("sub-01", "test")) == 8
    assert len(held_out.rows("sub-01", "val")) == 4
    bad = {subject: table.replace({"split": {"val": "dev"}}) for subject, table in windows.items()}
    with pytest.raises(DataError, match="the events tables say 'dev', expected train, val or test"):
        study.split(bad)
    twice = windows["sub-01"].copy()
    twice.loc[0, "split"] = "test" if twice.loc[0, "split"] != "test" else "train"
    with pytest.raises(DataError, match="on more than one side"):
        study.split({"sub-01": twice})


def test_what_the_data_set_says_of_itself(eeg_folder: Path) -> None:
    path = eeg_folder / "dataset_description.json"
    path.write_text(
        json.dumps({"Name": "Pictures", "License": "CC0", "DatasetDOI": "doi:10.1/x", "BIDSVersion": "1.8.0"})
    )
    info = BidsStudy(eeg_folder).info
    assert (info.description, info.licence, info.citation) == ("Pictures", "CC0", "doi:10.1/x")
    assert BidsStudy.info.name == info.name == "bids"


def test_names_of_files() -> None:
    assert entities("sub-01_ses-a_task-x_run-2_split-01_meg.fif") == {
        "sub": "01",
        "ses": "a",
        "task": "x",
        "run": "2",
        "split": "01",
    }


# What follows damages a copy of the data set in one way each.


def picture_gone(root: Path) -> None:
    (root / "stimuli" / "set" / "picture07.png").unlink()


def picture_outside(root: Path) -> None:
    edit_table(
        run_file(root, "events.tsv"), lambda t: t.assign(stim_file=["n/a", "../../etc/passwd", *t["stim_file"][2:]])
    )


def onset_no_number(root: Path) -> None:
    edit_table(run_file(root, "events.tsv"), lambda t: t.assign(onset=["1", "2", "soon", *t["onset"][3:]]))


def onset_too_late(root: Path) -> None:
    edit_table(run_file(root, "events.tsv"), lambda t: t.assign(onset=[*t["onset"][:-1], "99"]))


def no_stim_file(root: Path) -> None:
    edit_table(run_file(root, "events.tsv"), lambda t: t.drop(columns="stim_file"))


def no_onset(root: Path) -> None:
    edit_table(run_file(root, "events.tsv"), lambda t: t.drop(columns="onset"))


def not_utf8(root: Path) -> None:
    path = run_file(root, "events.tsv")
    path.write_bytes(path.read_bytes().replace(b"button", b"caf\xe9"))


def events_renamed(root: Path) -> None:
    run_file(root, "events.tsv").rename(run_file(root, "event.tsv"))


def recording_renamed(root: Path) -> None:
    run_file(root, "eeg.vhdr").rename(run_file(root, "eeg_old.vhdr"))


def data_renamed(root: Path) -> None:
    run_file(root, "eeg.eeg").rename(run_file(root, "eeg.dat"))


def data_cut(root: Path) -> None:
    path = run_file(root, "eeg.eeg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def data_cut_without_sidecar(root: Path) -> None:
    data_cut(root)
    path = run_file(root, "eeg.json")
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "RecordingDuration"}))


def header_cut(root: Path) -> None:
    path = run_file(root, "eeg.vhdr")
    path.write_bytes(path.read_bytes()[:200])


def channel_unknown(root: Path) -> None:
    edit_table(run_file(root, "channels.tsv"), lambda t: t.assign(name=["Fz", "Cz", "P\u0142z", *t["name"][3:]]))


def sidecar_broken(root: Path) -> None:
    run_file(root, "eeg.json").write_text("{")


def one_channel(root: Path, change: Callable[[np.ndarray], None]) -> None:
    """Rewrite the numbers of a recording in place."""
    path = run_file(root, "eeg.eeg")
    data = np.fromfile(path, dtype="<f4").reshape(-1, 8)
    change(data)
    data.tofile(path)


def not_finite(root: Path) -> None:
    def change(data: np.ndarray) -> None:
        data[300, 2] = np.nan

    one_channel(root, change)


def flat(root: Path) -> None:
    def change(data: np.ndarray) -> None:
        data[:, 4] = 1.5

    one_channel(root, change)


RUN = r"sub-01_task-pictures_run-01"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (picture_gone, rf"{RUN}_events\.tsv: line \d+: stim_file 'set/picture07\.png' is not in .*stimuli"),
        (picture_outside, rf"{RUN}_events\.tsv: line 3: stim_file '\.\./\.\./etc/passwd' leaves the folder"),
        (onset_no_number, rf"{RUN}_events\.tsv: line 4: onset 'soon' is not a number"),
        (onset_too_late, rf"{RUN}_events\.tsv: line 22: onset 99 s is outside the 24\.0 s of {RUN}_eeg\.vhdr"),
        (no_stim_file, rf"{RUN}_events\.tsv: column 'stim_file' is missing, got onset, duration"),
        (no_onset, rf"{RUN}_events\.tsv: column 'onset' is missing"),
        (not_utf8, rf"{RUN}_events\.tsv: not readable as a table .*utf-8"),
        (events_renamed, rf"{RUN}_eeg\.vhdr: its events table {RUN}_events\.tsv is missing"),
        (recording_renamed, rf"{RUN}_events\.tsv: no recording of the same name beside it"),
        (data_renamed, rf"{RUN}_eeg\.vhdr: not readable as a BIDS recording"),
        (data_cut, rf"{RUN}_eeg\.vhdr: 12\.0 s of signal, expected 2\d\.\d s as its \.json says; it was cut"),
        (data_cut_without_sidecar, rf"{RUN}_events\.tsv: line \d+: onset 12 s is outside the 12\.0 s of {RUN}"),
        (header_cut, rf"{RUN}_eeg\.vhdr: not readable as a BIDS recording"),
        (channel_unknown, rf"{RUN}_eeg\.vhdr: its channels are not those that {RUN}_channels\.tsv names"),
        (sidecar_broken, rf"{RUN}_eeg\.json: not readable as JSON"),
        (not_finite, rf"{RUN}_eeg\.vhdr: channel 'Pz' is not finite at 1\.500 s"),
        (flat, rf"{RUN}_eeg\.vhdr: channel 'Oz' is flat"),
    ],
)
def test_damage_has_one_clear_line(eeg_folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(eeg_folder)
    with pytest.raises(DataError) as caught:
        BidsStudy(eeg_folder, preprocessing=RAW).load("sub-01")
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_fif(meg_folder: Path) -> None:
    path = run_file(meg_folder, "meg.fif", datatype="meg")
    content = path.read_bytes()
    for share in (0.9, 0.5, 0.01):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match=rf"{RUN}_meg\.fif: ") as caught:
            BidsStudy(meg_folder, preprocessing=RAW).load("sub-01")
        assert "\n" not in str(caught.value)


def test_folders_that_are_no_data_set(tmp_path: Path, eeg_folder: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        BidsStudy(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"not a BIDS data set \(dataset_description\.json is missing\)"):
        BidsStudy(tmp_path)
    with pytest.raises(DataError, match="subject: got 'sub-07', expected one of sub-01, sub-02"):
        BidsStudy(eeg_folder).load("sub-07")
    with pytest.raises(ConfigError, match=r"window: got 0\.8 to 0 s"):
        BidsStudy(eeg_folder, window=(0.8, 0.0))
    for folder in eeg_folder.glob("sub-*/eeg"):
        shutil.rmtree(folder)
    with pytest.raises(DataError, match="no folder eeg or meg or func in any of 2 subject folders"):
        BidsStudy(eeg_folder)
    (eeg_folder / "sub-01" / "eeg").mkdir()
    with pytest.raises(DataError, match="sub-01: no eeg recording found"):
        BidsStudy(eeg_folder).load("sub-01")


def test_runs_with_other_channels(eeg_folder: Path, write_eeg_run: Callable[..., Path]) -> None:
    channels, types = (*EEG[:5], "P7"), ("eeg",) * 6
    write_eeg_run(eeg_folder, "01", 3, channels=channels, types=types)
    message = "sub-01: block 'task-pictures_run-03' has 'P7' where block 'task-pictures_run-01' has 'O2'"
    with pytest.raises(DataError, match=message):
        BidsStudy(eeg_folder).load("sub-01")


def test_subjects_with_other_channels(eeg_folder: Path, tmp_path: Path, write_eeg_run: Callable[..., Path]) -> None:
    write_eeg_run(eeg_folder, "03", 1, channels=(*EEG[:5], "P7"), types=("eeg",) * 6)
    with pytest.raises(DataError, match=r"sub-03: lacks the channel 'O2' that sub-01 has \(6 and 6 channels\)"):
        prepare_study(BidsStudy(eeg_folder), tmp_path / "cache")


def mark_bad(root: Path, name: str, *, run: int) -> None:
    path = run_file(root, "channels.tsv", run=run)
    edit_table(path, lambda t: t.assign(status=["bad" if row == name else "good" for row in t["name"]]))


def test_bad_channels(eeg_folder: Path) -> None:
    mark_bad(eeg_folder, "Cz", run=2)
    dropped = BidsStudy(eeg_folder, preprocessing=RAW).load("sub-01")
    assert dropped.sensors.names == ("Fz", "Pz", "O1", "Oz", "O2")
    assert dropped.flags == ("bad channels left out: Cz",)
    filled = BidsStudy(eeg_folder, preprocessing=RAW, bad_channels="interpolate").load("sub-01")
    kept = BidsStudy(eeg_folder, preprocessing=RAW, bad_channels="keep").load("sub-01")
    assert filled.sensors.names == kept.sensors.names == EEG
    first, second = (f"task-pictures_run-0{run}" for run in (1, 2))
    np.testing.assert_array_equal(filled.blocks[first].data, kept.blocks[first].data)
    changed = np.abs(filled.blocks[second].data - kept.blocks[second].data).max(axis=1) > 1e-9
    assert changed.tolist() == [False, True, False, False, False, False]
    steps = [BidsStudy(eeg_folder, bad_channels=choice).steps() for choice in ("drop", "interpolate", "keep")]
    assert len({json.dumps(step) for step in steps}) == 3


def test_a_window_that_is_not_recorded_whole_is_left_out_and_said_so(eeg_folder: Path) -> None:
    edit_table(run_file(eeg_folder, "events.tsv"), lambda t: t.assign(onset=[*t["onset"][:-1], "23.5"]))
    recording = BidsStudy(eeg_folder, preprocessing=RAW).load("sub-01")
    assert len(recording.windows) == 39
    assert recording.flags == ("task-pictures_run-01: 1 window(s) that reach beyond the recording left out",)


def test_positions_of_a_template_are_flagged(eeg_folder: Path) -> None:
    for path in eeg_folder.glob("sub-01/eeg/*electrodes*"):
        path.unlink()
    for path in eeg_folder.glob("sub-01/eeg/*coordsystem*"):
        path.unlink()
    recording = BidsStudy(eeg_folder, preprocessing=RAW).load("sub-01")
    assert recording.flags == ("electrode positions are those of a template",)
    assert recording.sensors.positions is not None


def test_sessions_and_own_columns(eeg_folder: Path) -> None:
    source = eeg_folder / "sub-01"
    target = eeg_folder / "sub-01" / "ses-a" / "eeg"
    target.parent.mkdir()
    shutil.move(source / "eeg", target)
    for path in sorted(target.iterdir()):
        path.rename(target / path.name.replace("sub-01_", "sub-01_ses-a_"))
    for path in target.glob("*.v*"):
        path.write_text(path.read_text(encoding="utf-8").replace("sub-01_", "sub-01_ses-a_"), encoding="utf-8")
    (source / "sub-01_scans.tsv").unlink()
    for path in target.glob("*_events.tsv"):
        edit_table(
            path,
            lambda t: t.assign(
                stimulus=[Path(name).stem if name != "n/a" else "" for name in t["stim_file"]],
                repetition=range(3, 3 + len(t)),
                concept="thing",
                run="nonsense",
            ),
        )
    study = BidsStudy(eeg_folder, preprocessing=RAW)
    windows = study.load("sub-01").windows
    assert windows["session"].unique().tolist() == ["a"]
    assert windows["block"].unique().tolist() == ["ses-a_task-pictures_run-01", "ses-a_task-pictures_run-02"]
    assert windows["run"].unique().tolist() == ["01", "02"]
    assert windows["repetition"].tolist()[:2] == [4, 5]
    assert windows["stimulus"].str.startswith("picture").all()
    shutil.rmtree(eeg_folder / "sub-02")
    stimuli = BidsStudy(eeg_folder).stimuli()
    assert set(stimuli.table["concept"]) == {"thing"}


def test_mne_bids_finds_the_fixture_valid(pristine_eeg: Path) -> None:
    found = mne_bids.find_matching_paths(pristine_eeg, datatypes="eeg", suffixes="eeg", extensions=".vhdr")
    assert len(found) == 4
