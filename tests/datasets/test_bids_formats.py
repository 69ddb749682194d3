"""Every format that MNE-BIDS reads gives the same study, and the reader's options do what they say."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.cli.main import main
from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.bids import BidsStudy
from neurodecode.datasets.bids_events import read_events
from neurodecode.datasets.bids_files import find_runs
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.miniatures.bids import LAYOUTS, STIMULI
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.planted import code_of

# Half a step of what each format keeps (32, 16, 24 bits ...), as a share of the largest value.
PRECISION = {"brainvision": 1e-6, "edf": 2e-4, "bdf": 1e-6, "set": 1e-6, "fif": 1e-6, "ctf": 5e-4, "kit": 2e-4}


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("bids")
    for layout in LAYOUTS:
        write_miniature("bids", base / layout, layout=layout)
    return base


@pytest.fixture(scope="module")
def prepared(miniatures: Path) -> dict[str, PreparedStudy]:
    return {
        layout: prepare_study(open_study("bids", miniatures / layout), miniatures / "cache" / layout, sfreq=50.0)
        for layout in LAYOUTS
    }


@pytest.fixture
def folder(miniatures: Path, tmp_path: Path) -> Path:
    """A copy of the first layout that a test may damage."""
    return Path(shutil.copytree(miniatures / "brainvision", tmp_path / "brainvision"))


def events_of(root: Path, subject: str = "01", run: str = "01") -> Path:
    return root / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-things_run-{run}_events.tsv"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_format_is_the_same_study(prepared: dict[str, PreparedStudy], layout: str) -> None:
    mine, other = prepared[layout], prepared["fif" if layout in ("ctf", "kit") else "brainvision"]
    assert mine.simulated
    assert mine.info["modality"] == ("meg" if layout in ("fif", "ctf", "kit") else "eeg")
    shown = ["subject", "run", "stimulus", "repetition", "length", "onset", "category", "trial_type", "value"]
    for subject in ("sub-01", "sub-02"):
        recording, expected = mine.recording(subject), other.recording(subject)
        pd.testing.assert_frame_equal(
            recording.windows[shown], prepared["brainvision"].recording(subject).windows[shown]
        )
        if layout != "fif":
            signals, reference = recording.read(np.arange(120)), expected.read(np.arange(120))
            np.testing.assert_allclose(signals, reference, atol=PRECISION[layout] * np.abs(reference).max())
    assert mine.split.hash == other.split.hash
    assert set(mine.stimuli.names) == set(STIMULI)


@pytest.mark.parametrize("layout", ["edf", "ctf", "kit"])
def test_the_planted_signal_is_found(prepared: dict[str, PreparedStudy], layout: str) -> None:
    recording, split = prepared[layout].recording("sub-01"), prepared[layout].split
    names = recording.windows["stimulus"].to_numpy().astype(str)
    train, test = split.rows("sub-01", "train"), sorted(set(names[split.rows("sub-01", "test")]))
    signals = recording.read(np.arange(len(names))).reshape(len(names), -1).astype(float)
    signals = (signals - signals[train].mean(axis=0)) / signals[train].std()

    def top1(shown: np.ndarray) -> float:
        target = np.stack([code_of(name) for name in shown])
        design = signals[train]
        weights = np.linalg.solve(design.T @ design + 100 * np.eye(design.shape[1]), design.T @ target)
        found = np.stack([signals[names == name].mean(axis=0) for name in test]) @ weights
        scores = np.corrcoef(found, np.stack([code_of(name) for name in test]))[: len(test), len(test) :]
        return float((scores.argmax(axis=1) == np.arange(len(test))).mean())

    assert top1(names[train]) >= 5 / 6
    assert np.mean([top1(np.random.default_rng(seed).permutation(names[train])) for seed in range(20)]) < 0.35


def test_rest_is_left_out_and_tasks_can_be_chosen(miniatures: Path, folder: Path) -> None:
    assert [run.name for run in find_runs(miniatures / "ctf", "sub-01", "meg")] == [
        "task-things_run-01",
        "task-things_run-02",
    ]
    with pytest.raises(DataError, match="task 'thing' has no eeg recording, got rest, things"):
        BidsStudy(folder, task="thing").load("sub-01")
    with pytest.raises(
        DataError, match=r"task-rest_eeg\.vhdr: its events table sub-01_task-rest_events\.tsv is missing"
    ):
        BidsStudy(folder, task=["things", "rest"]).load("sub-01")
    events_of(folder, run="02").unlink()
    with pytest.raises(DataError, match=r"run-02_eeg\.vhdr: its events table .*run-02_events\.tsv is missing"):
        BidsStudy(folder).load("sub-01")


def test_a_table_further_up_serves_all_runs(folder: Path) -> None:
    shared = pd.read_csv(events_of(folder), sep="\t", keep_default_na=False)
    for path in folder.glob("sub-*/eeg/*_events.tsv"):
        path.unlink()
    shared.to_csv(folder / "task-things_events.tsv", sep="\t", index=False)
    recording = BidsStudy(folder).load("sub-02")
    assert (
        recording.windows["stimulus"].tolist()
        == [name.removesuffix(".png") for name in shared["stim_file"] if name != "n/a"] * 2
    )


def test_the_empty_room_is_nobody(folder: Path) -> None:
    (folder / "sub-emptyroom" / "ses-20200101" / "meg").mkdir(parents=True)
    assert BidsStudy(folder).subjects() == ["sub-01", "sub-02"]


def test_stimuli_by_another_column(folder: Path) -> None:
    plain = BidsStudy(folder).load("sub-01").windows
    by_value = BidsStudy(folder, stimulus_column="value", concept_column="category", rows={"trial_type": "picture"})
    windows = by_value.load("sub-01").windows
    expected = [str(STIMULI.index(name) + 1) for name in plain["stimulus"]]
    assert windows["stimulus"].tolist() == expected
    stimuli = by_value.stimuli()
    assert stimuli.get("2")["concept"] == "tool"
    assert stimuli.file("2").name == "thing_01.png"  # one picture a value: it goes with it
    categories = BidsStudy(folder, stimulus_column="category").stimuli()
    assert (categories.names, set(categories.table["kind"])) == (["animal", "plant", "tool"], {"word"})
    everything = BidsStudy(folder, stimulus_column="value").load("sub-01").windows
    assert (everything["stimulus"] == "99").sum() == 2  # the presses count where nothing leaves them out
    for path in folder.glob("sub-*/eeg/*_events.tsv"):
        table = pd.read_csv(path, sep="\t", keep_default_na=False).rename(columns={"stim_file": "ImgName"})
        table.to_csv(path, sep="\t", index=False)
    with pytest.raises(DataError, match=r"'stim_file' is missing, got .*ImgName.*; the option stimulus_column names"):
        BidsStudy(folder).stimuli()
    named = BidsStudy(folder, stimulus_column="ImgName")
    assert named.stimuli().file("thing_03.png").is_file()
    assert len(named.load("sub-01").windows) == 120
    with pytest.raises(DataError, match="column 'Imgname' is missing"):
        BidsStudy(folder, stimulus_column="Imgname").stimuli()
    with pytest.raises(DataError, match="no row has 'face' in the column 'trial_type'"):
        BidsStudy(folder, stimulus_column="value", rows={"trial_type": "face"}).stimuli()


def test_pictures_that_may_not_be_handed_on(folder: Path) -> None:
    shutil.rmtree(folder / "stimuli")
    stimuli = BidsStudy(folder).stimuli()
    assert (set(stimuli.table["kind"]), set(stimuli.table["path"])) == ({"image"}, {""})
    assert len(BidsStudy(folder).load("sub-01").windows) == 120


def test_both_kinds_of_sensors(miniatures: Path, folder: Path) -> None:
    for subject in ("sub-01", "sub-02"):
        shutil.copytree(miniatures / "fif" / subject / "meg", folder / subject / "meg")
    assert BidsStudy(folder).info.modality == "eeg"
    study = BidsStudy(folder, modality="meg")
    assert study.load("sub-01").sensors.kinds[0] == "mag"
    with pytest.raises(DataError, match="no folder func in any of 2 subject folders"):
        BidsStudy(folder, modality="fmri")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": [0.2]}, "window: got [0.2], expected two times in seconds such as [-0.2, 0.8]"),
        ({"window": [0.5, 0.2]}, "window: got 0.5 to 0.2 s, expected an interval"),
        ({"preprocessing": {"highpass": 1}}, "preprocessing: got 'highpass', expected some of high_pass"),
        ({"preprocessing": {"high_pass": "1"}}, "high_pass: got '1', expected a number"),
        ({"preprocessing": {"baseline": 3}}, "baseline: got 3, expected two times in seconds"),
        ({"preprocessing": 0.1}, "preprocessing: got 0.1, expected values for some of high_pass"),
        ({"bad_channels": "dropp"}, "bad_channels: got 'dropp', expected one of drop, interpolate, keep; did you mean"),
        ({"rows": "picture"}, "rows: got 'picture', expected values for columns"),
        ({"task": {"a": 1}}, "task: got {'a': 1}, expected a name or a list of names"),
        ({"modality": "ecog"}, "modality: got 'ecog', expected one of eeg, meg, fmri"),
    ],
)
def test_options_are_checked(miniatures: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_study("bids", miniatures / "edf", options)
    assert message in str(caught.value)


def test_options_from_the_command_line(miniatures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {
        "window": [-0.1, 0.5],
        "preprocessing": {"high_pass": 0.5, "low_pass": 30, "reference": "average", "baseline": [-0.1, 0]},
        "rows": {"trial_type": ["picture"]},
    }
    words = ["prepare", "bids", "--root", str(miniatures / "set"), "--options", json.dumps(options), "--sfreq", "50"]
    assert main(words) == 0
    recording = PreparedStudy(Path("outputs/cache/bids")).recording("sub-02")
    assert (recording.n_times, recording.sensors.tmin) == (30, -0.1)
    signals = recording.read(np.arange(20))
    np.testing.assert_allclose(signals[:, :, :5].mean(axis=2), 0, atol=1e-11)
    np.testing.assert_allclose(signals.mean(axis=1), 0, atol=1e-11)
    assert main(["prepare", "bids", "--root", str(miniatures / "set"), "--options", '{"window": [-0.1,']) == 2


def test_channels_in_another_order(folder: Path) -> None:
    expected = BidsStudy(folder).load("sub-01")
    path = folder / "sub-01" / "eeg" / "sub-01_task-things_run-01_channels.tsv"
    pd.read_csv(path, sep="\t").iloc[::-1].to_csv(path, sep="\t", index=False)
    with pytest.raises(
        DataError, match="block 'task-things_run-02' has 'Fz' where block 'task-things_run-01' has 'O2'"
    ):
        BidsStudy(folder).load("sub-01")
    other = path.with_name(path.name.replace("run-01", "run-02"))
    shutil.copy(path, other)
    turned = BidsStudy(folder).load("sub-01")
    assert turned.sensors.names == expected.sensors.names[::-1]
    np.testing.assert_array_equal(turned.read([4, 99]), expected.read([4, 99])[:, ::-1])


CELLS = st.text(alphabet='ab1.-/\t\n"né ', max_size=6) | st.sampled_from(["n/a", "nan", "1.5", "-3", "inf", "../x.png"])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    columns=st.lists(st.sampled_from(["onset", "duration", "stim_file", "trial_type", "split", "x"]), max_size=6),
    rows=st.lists(st.lists(CELLS, min_size=6, max_size=6), max_size=4),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
    column=st.sampled_from([None, "trial_type", "stim_file", "x"]),
)
def test_any_events_table_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    columns: list[str],
    rows: list[list[str]],
    encoding: str,
    column: str | None,
) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    (root / "stimuli").mkdir()
    path = root / "x_events.tsv"
    lines = ["\t".join(columns), *("\t".join(row[: len(columns)]) for row in rows)]
    path.write_bytes("\n".join(lines).encode(encoding))
    try:
        table = read_events(path, root, column=column)
    except DataError as error:
        message = str(error)
    else:
        message = ""
        assert np.isfinite(table["onset"]).all()
    assert "\n" not in message
