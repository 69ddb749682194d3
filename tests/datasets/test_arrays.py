"""Anybody's arrays: every kind of file gives the same study, and what a stranger gets wrong has one clear line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import ConfigError, DataError, LeakageError, NeurodecodeError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.arrays.description_reader import read_description
from neurodecode.datasets.arrays.files import matching_files, subject_name
from neurodecode.datasets.arrays.pictures import picture_files
from neurodecode.datasets.arrays.sources import ENDINGS, open_source, text_values
from neurodecode.datasets.arrays.study import ArrayStudy
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.miniatures.arrays import LAYOUTS
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.miniatures.planted import code_of


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layout, in a folder of its name; not to be changed."""
    base = tmp_path_factory.mktemp("arrays")
    for layout in LAYOUTS:
        write_miniature("arrays", base / layout, layout=layout)
    return base


@pytest.fixture(scope="module")
def reference(miniatures: Path) -> PreparedStudy:
    return prepare_study(open_study("arrays", miniatures / "npy"), miniatures / "cache" / "npy")


@pytest.fixture
def folder(miniatures: Path, tmp_path: Path) -> Path:
    """A copy of the first layout that a test may damage."""
    return Path(shutil.copytree(miniatures / "npy", tmp_path / "npy"))


def describe(root: Path, **changes: object) -> None:
    """Change keys of the description; None takes one out."""
    path = root / "neurodecode.yaml"
    values = {**yaml.safe_load(path.read_text()), **changes}
    path.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}))


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "csv"])
def test_every_layout_is_the_same_study(miniatures: Path, reference: PreparedStudy, layout: str) -> None:
    study = open_study("arrays", miniatures / layout)
    assert study.info.simulated
    prepared = prepare_study(study, miniatures / "cache" / layout)
    assert prepared.subjects == ["sub-01", "sub-02"]
    shown = ["subject", "run", "stimulus", "repetition", "length", "part"]
    for subject in prepared.subjects:
        mine, other = prepared.recording(subject), reference.recording(subject)
        pd.testing.assert_frame_equal(mine.windows[shown], other.windows[shown])
        np.testing.assert_array_equal(mine.read(np.arange(192)), other.read(np.arange(192)))
        assert mine.sensors.names == other.sensors.names
        assert (mine.sensors.sfreq, mine.sensors.tmin, mine.sensors.unit) == (50.0, -0.1, "V")
    assert prepared.stimuli.table.equals(reference.stimuli.table)
    assert prepared.split.rows("sub-01", "test").tolist() == reference.split.rows("sub-01", "test").tolist()


def test_voxels_without_time(miniatures: Path, reference: PreparedStudy) -> None:
    prepared = prepare_study(open_study("arrays", miniatures / "csv"), miniatures / "cache" / "csv")
    betas = prepared.recording("sub-02")
    assert (betas.modality, betas.n_times, betas.sensors.kinds[0]) == ("fmri", 1, "voxel")
    expected = reference.recording("sub-02").read(np.arange(192))[:, :, 15] * 1e6
    np.testing.assert_allclose(betas.read(np.arange(192))[:, :, 0], expected, rtol=1e-6)
    assert betas.windows["stimulus"].tolist() == reference.recording("sub-02").windows["stimulus"].tolist()


def decoded(prepared: PreparedStudy, vectors: dict[str, np.ndarray], *, shuffled: bool = False) -> float:
    """Top-1 of least squares from signal to vector among the test stimuli, repetitions averaged."""
    hits = []
    for subject in prepared.subjects:
        recording, split = prepared.recording(subject), prepared.split
        names = recording.windows["stimulus"].to_numpy().astype(str)
        rows = split.rows(subject, "train")
        shown = names[rows] if not shuffled else np.random.default_rng(0).permutation(names[rows])
        signals = recording.read(rows).reshape(len(rows), -1)
        scale = signals.std()
        design = np.column_stack([signals / scale, np.ones(len(rows))])
        target = np.stack([vectors[name] for name in shown])
        weights = np.linalg.solve(design.T @ design + 10 * np.eye(design.shape[1]), design.T @ target)
        tested = sorted(set(names[split.rows(subject, "test")]))
        groups = [np.flatnonzero(names == name) for name in tested]
        test = recording.read_averaged(groups).reshape(len(tested), -1) / scale
        found = np.column_stack([test, np.ones(len(test))]) @ weights
        candidates = np.stack([vectors[name] for name in tested])
        scores = np.corrcoef(found, candidates)[: len(tested), len(tested) :]
        hits.append(float((scores.argmax(axis=1) == np.arange(len(tested))).mean()))
    return float(np.mean(hits))


def test_the_planted_signal_is_found(reference: PreparedStudy, miniatures: Path) -> None:
    tables = open_study("arrays", miniatures / "npy").feature_tables()
    assert list(tables) == ["code"]
    names = reference.stimuli.names
    vectors = dict(zip(names, tables["code"].of(names), strict=True))
    np.testing.assert_allclose(vectors["thing_07"], code_of("thing_07"), rtol=1e-6)
    assert decoded(reference, vectors) >= 0.95
    assert decoded(reference, vectors, shuffled=True) <= 0.3


def test_resampling_and_baseline(folder: Path, tmp_path: Path) -> None:
    plain = ArrayStudy(folder).load("sub-01")
    describe(folder, baseline=[-0.1, 0.0])
    study = ArrayStudy(folder)
    signals = plain.read([0, 3])
    expected = signals - signals[:, :, :5].mean(axis=2, keepdims=True)
    np.testing.assert_allclose(study.load("sub-01").read([0, 3]), expected, atol=1e-12)
    slow = study.load("sub-01", sfreq=25.0)
    assert (slow.n_times, slow.sensors.sfreq) == (13, 25.0)
    describe(folder, baseline=[-0.3, 0.0])
    with pytest.raises(ConfigError, match=r"baseline: got -0.3 to 0 s, expected a part of the trials, .* -0.1 to 0.4"):
        ArrayStudy(folder).load("sub-01")


def test_results_may_lie_in_the_same_folder(folder: Path) -> None:
    cache = folder / "outputs" / "cache"
    prepare_study(ArrayStudy(folder), cache)
    before = (cache / "sub-01" / "recording.json").stat().st_mtime_ns
    prepare_study(ArrayStudy(folder), cache)
    assert (cache / "sub-01" / "recording.json").stat().st_mtime_ns == before
    np.save(folder / "eeg_1.npy", np.load(folder / "eeg_1.npy") * 2)
    prepare_study(ArrayStudy(folder), cache)
    assert (cache / "sub-01" / "recording.json").stat().st_mtime_ns != before


def test_another_description_of_the_same_folder(folder: Path) -> None:
    (folder / "neurodecode.yaml").rename(folder / "second.yaml")
    with pytest.raises(DataError, match=r"arrays: not found under .*neurodecode\.yaml"):
        open_study("arrays", folder)
    study = open_study("arrays", folder, {"description": "second.yaml"})
    assert study.subjects() == ["sub-01", "sub-02"]
    with pytest.raises(DataError, match=r"third\.yaml: no such file; it describes the arrays"):
        open_study("arrays", folder, {"description": "third.yaml"})


def test_subjects_and_files(tmp_path: Path) -> None:
    assert [subject_name(text) for text in ("1", "01", "sub-1", "P3")] == ["sub-01", "sub-01", "sub-01", "sub-P3"]
    for name in ("sub-1/sub-1_run-a.npy", "sub-1/sub-2_run-a.npy", "sub-2/sub-2_run-b.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = matching_files(tmp_path, "sub-{subject}/sub-{subject}_run-{run}.npy")
    assert [placed for _, placed in found] == [{"subject": "1", "run": "a"}, {"subject": "2", "run": "b"}]
    with pytest.raises(ConfigError, match=r"got \{subjekt\} in .*did you mean 'subject'"):
        matching_files(tmp_path, "{subjekt}.npy")


@pytest.fixture
def continuous(tmp_path: Path) -> tuple[Path, np.ndarray, pd.DataFrame]:
    """Two runs of a recording with one table of events for both."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(2, 3, 2000))
    for run in (1, 2):
        np.save(tmp_path / f"run{run}.npy", values[run - 1].T)
    events = pd.DataFrame(
        {"which": np.repeat([1, 2], 15), "when": np.tile(2.0 + np.arange(15), 2), "seen": list("abc") * 10}
    )
    events.to_csv(tmp_path / "events.tsv", sep="\t", index=False)
    text = """
modality: meg
signals: "run{run}.npy"
order: [time, sensor]
trials: events.tsv
stimulus: seen
run: which
onset: when
window: [-0.1, 0.5]
sfreq: 100
"""
    (tmp_path / "neurodecode.yaml").write_text(text)
    return tmp_path, values, events


def test_windows_of_whole_recordings(continuous: tuple[Path, np.ndarray, pd.DataFrame]) -> None:
    root, values, events = continuous
    recording = ArrayStudy(root).load("sub-01")
    assert recording.windows["stimulus"].tolist() == events["seen"].tolist()
    assert recording.windows["run"].tolist() == ["1"] * 15 + ["2"] * 15
    assert recording.windows["repetition"].max() == 10
    assert (recording.n_times, recording.sensors.tmin) == (60, -0.1)
    np.testing.assert_allclose(recording.read([17])[0], values[1][:, 390:450], rtol=1e-6)
    describe(root, baseline=[-0.1, 0.0])
    signals = ArrayStudy(root).load("sub-01").read([17])[0]
    expected = values[1][:, 390:450] - values[1][:, 390:400].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(signals, expected, atol=1e-6)
    describe(root, baseline=None, preprocessing={"low_pass": 20})
    filtered = ArrayStudy(root).load("sub-01", sfreq=50.0)
    assert filtered.n_times == 30
    assert filtered.read(np.arange(30)).std() < 0.8
    describe(root, preprocessing=None, window=[0.0, 4.5])
    late = ArrayStudy(root).load("sub-01")
    assert len(late.windows) == 28
    assert late.flags == (
        "run1.npy: 1 window(s) that reach beyond the recording left out",
        "run2.npy: 1 window(s) that reach beyond the recording left out",
    )


def test_bad_onsets(continuous: tuple[Path, np.ndarray, pd.DataFrame]) -> None:
    root, values, events = continuous
    for bad, message in (
        (2000.0, r"trial 3 has the onset 2000 s, outside the 20.0 s recorded; onsets are in seconds from the first"),
        ("soon", r"onset: trial 3 of .*run1\.npy has 'soon', expected a number"),
    ):
        changed = events.astype({"when": object})
        changed.loc[3, "when"] = bad
        changed.to_csv(root / "events.tsv", sep="\t", index=False)
        with pytest.raises(DataError, match=message):
            ArrayStudy(root).load("sub-01")
    events.to_csv(root / "events.tsv", sep="\t", index=False)
    values[0, 1, 500] = np.inf
    np.save(root / "run1.npy", values[0].T)
    with pytest.raises(DataError, match=r"channel 'm001' is not finite at 5.000 s"):
        ArrayStudy(root).load("sub-01")
    describe(root, preprocessing={"baseline": [0, 1]})
    with pytest.raises(ConfigError, match=r"preprocessing: .*the baseline has a key of its own"):
        ArrayStudy(root)
    describe(root, preprocessing={"lowpass": 20})
    with pytest.raises(
        ConfigError, match=r"yaml: preprocessing: got 'lowpass', expected some of .*did you mean 'low_pass'"
    ):
        ArrayStudy(root)


def test_one_list_for_all_files_and_empty_entries(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(2, 6, 3, 4))
    for subject in (1, 2):
        np.save(tmp_path / f"s{subject}.npy", values[subject - 1])
    (tmp_path / "ids.txt").write_text("a\nb\n\nc\na\nb\n")
    text = 'modality: meg\nsignals: "s{subject}.npy"\norder: [trial, sensor, time]\nstimulus: ids.txt\nsfreq: 10\n'
    (tmp_path / "neurodecode.yaml").write_text(text + "channel_kind: grad\n")
    recording = ArrayStudy(tmp_path).load("sub-02")
    assert recording.windows["stimulus"].tolist() == ["a", "b", "c", "a", "b"]
    np.testing.assert_allclose(recording.read([2])[0], values[1, 3], rtol=1e-6)
    assert recording.sensors.kinds == ("grad",) * 3
    assert recording.flags == ("s2.npy: 1 trial(s) without a stimulus left out",)


def test_splits(folder: Path) -> None:
    def sides(given: object) -> dict[str, int]:
        describe(folder, split=given)
        study = ArrayStudy(folder)
        windows = {subject: study.load(subject).windows for subject in study.subjects()}
        split = study.split(windows)
        assert split.hash == study.split(windows).hash
        return {part: len(split.rows("sub-01", part)) for part in ("train", "val", "test")}  # type: ignore[arg-type]

    assert sides("part") == {"train": 128, "val": 24, "test": 40}
    assert sides({"column": "part", "unit": "concept"}) == {"train": 128, "val": 24, "test": 40}
    assert sides({"test": ["thing_00", "thing_01"], "val": ["thing_02"]}) == {"train": 180, "val": 4, "test": 8}
    (folder / "test.txt").write_text("thing_05\nthing_06\n")
    assert sides({"test": "test.txt"}) == {"train": 164, "val": 20, "test": 8}
    assert sides({"test": ["thing_00"], "val": ["thing_01"], "train": ["thing_03"]}) == {
        "train": 4,
        "val": 4,
        "test": 4,
    }
    with pytest.raises(DataError, match="the list 'test' names the stimulus 'thing_99', which no trial has"):
        sides({"test": ["thing_99"]})
    with pytest.raises(LeakageError, match="'thing_00' is in the lists 'val' and 'test'"):
        sides({"test": ["thing_00"], "val": ["thing_00"]})
    with pytest.raises(LeakageError, match=r"the run 'sub-01/(/)?1' is in \w+ here and in \w+ before"):
        sides({"column": "part", "unit": "run"})
    with pytest.raises(DataError, match="split: the trials have no column 'parts'"):
        sides({"column": "parts"})
    with pytest.raises(DataError, match="column 'run' has '1', expected train, val or test"):
        sides({"column": "run"})


# What follows damages a copy of the first layout in one way each.


def edit_trials(root: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = root / "trials_1.csv"
    change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)


def no_signals(root: Path) -> None:
    (root / "eeg_1.npy").unlink()
    (root / "eeg_2.npy").unlink()


def signals_cut(root: Path) -> None:
    path = root / "eeg_1.npy"
    path.write_bytes(path.read_bytes()[:5000])


def too_few_rows(root: Path) -> None:
    edit_trials(root, lambda table: table.iloc[1:])


def not_utf8(root: Path) -> None:
    path = root / "trials_1.csv"
    path.write_bytes(path.read_bytes().replace(b"thing_07", b"th\xefng_07"))


def semicolons(root: Path) -> None:
    path = root / "trials_1.csv"
    path.write_text(path.read_text().replace(",", ";"))


def nan_trial(root: Path) -> None:
    values = np.load(root / "eeg_1.npy")
    values[17, 2] = np.nan
    np.save(root / "eeg_1.npy", values)


def picture_gone(root: Path) -> None:
    (root / "images" / "thing_30.png").unlink()


def channel_missing(root: Path) -> None:
    describe(root, channels=["Fz", "Cz", "Pz", "PO7", "PO8", "O1", "Oz"])


def wrong_order(root: Path) -> None:
    describe(root, order=["channel", "trial", "time"])


def two_dimensions(root: Path) -> None:
    describe(root, order=["trial", "voxel"], sfreq=None)


def text_signals(root: Path) -> None:
    np.save(root / "eeg_1.npy", np.full((192, 8, 25), "x"))


def pickled(root: Path) -> None:
    np.save(root / "eeg_1.npy", np.array([{}, 1], dtype=object), allow_pickle=True)


def column_mistyped(root: Path) -> None:
    describe(root, stimulus="pictur")


def montage_unknown(root: Path) -> None:
    describe(root, channels="biosemi65")


def no_table(root: Path) -> None:
    describe(root, trials="trials_of_{subject}.csv")


def wrong_placeholder(root: Path) -> None:
    describe(root, trials="trials_{run}.csv")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_signals, "no file is called like the signals 'eeg_{subject}.npy'"),
        (signals_cut, "eeg_1.npy: not readable as a whole .npy array"),
        (too_few_rows, "trials_1.csv: 191 entries, but dimension 1 (trial) of"),
        (not_utf8, "trials_1.csv: not readable as a table ('utf-8' codec can't decode byte 0xef"),
        (semicolons, "trials_1.csv: got one column 'picture;block;part', expected commas"),
        (nan_trial, "eeg_1.npy: trial 17, channel 'Pz' is not finite"),
        (picture_gone, "pictures: stimulus 'thing_30' has no picture of that name in"),
        (channel_missing, "channels: 7 names, but dimension 2 (channel) of"),
        (wrong_order, "dimension 1 has 192: is `order` right?"),
        (two_dimensions, "(192, 8, 25) has 3 dimensions, but `order` names 2: trial, channel"),
        (text_signals, "eeg_1.npy: holds <U1, expected real numbers"),
        (pickled, "eeg_1.npy: not readable as a whole .npy array (Array can't be memory-mapped"),
        (
            column_mistyped,
            "trials_1.csv: column 'pictur' is missing, got picture, block, part; did you mean 'picture'?",
        ),
        (montage_unknown, "channels: got 'biosemi65', which is neither a file in"),
        (no_table, "trials_of_1.csv: no such file"),
        (wrong_placeholder, "{run} is not in the name of the signals, so nothing fills it"),
    ],
)
def test_damage_has_one_clear_line(folder: Path, tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(NeurodecodeError) as caught:
        prepare_study(open_study("arrays", folder), tmp_path / "cache")
    assert message in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modalty: eeg", "unknown key 'modalty', expected some of modality, .*did you mean 'modality'"),
        ("modality: eeg", "the key 'signals' is missing"),
        ("modality: ECG", "modality: got 'ECG', expected one of eeg, meg, fmri"),
        ("signals: {subject}.npy", "not readable as YAML at line 1 .*put quotes around text with"),
        ("- a", "expected lines of the form `key: value`, got list"),
        ("sfreq: fast", "sfreq: got 'fast', expected a number"),
        ("sfreq: -1", "sfreq: got -1, expected more than 0 Hz"),
        ("order: [trial, chanel]", "order: .*expected some of trial, channel, time, voxel; did you mean 'channel'"),
        (
            "signals: {file: a.mat, kye: x}",
            "signals: unknown key 'kye', expected some of file, key; did you mean 'key'",
        ),
        ("signals: {key: x}", "signals: the key 'file' is missing"),
        ("split: {colum: x}", "split: unknown key 'colum'.*did you mean 'column'"),
        ("split: {unit: picture}", "split: unit: got 'picture', expected one of stimulus"),
        ("baseline: [0, -1]", r"baseline: got \[0, -1\], expected two times in seconds"),
        ("features: [a]", "features: got .*expected text"),
    ],
)
def test_descriptions_are_checked(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "neurodecode.yaml"
    path.write_text(text)
    with pytest.raises(NeurodecodeError, match=message) as caught:
        read_description(path)
    assert "\n" not in str(caught.value)


WHOLE = {"modality": "eeg", "signals": "a.npy", "order": "trial, channel, time", "stimulus": "ids.npy", "sfreq": 10}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sfreq": None}, "sfreq is missing; `order` has a dimension time"),
        ({"order": "trial, voxel"}, "sfreq: got a value, but `order` has no dimension time"),
        ({"order": "trial, time"}, "order: got trial, time, expected trial, channel"),
        ({"order": "channel, time"}, "onset is missing; without a dimension trial, windows are cut at the onsets"),
        ({"order": "channel, time", "onset": "on.npy"}, "window is missing; without a dimension trial"),
        ({"window": [0, 1]}, "window: got a value, but it is for whole recordings, and `order` has trials"),
        ({"stimulus": "picture"}, "stimulus: got the column 'picture', but no table `trials` to look in"),
        ({"split": {"val": ["a"]}}, "split: expected a column, or lists of which `test` is one"),
        ({"split": {"column": "x", "test": ["a"]}}, "split: expected a column, or lists"),
    ],
)
def test_descriptions_fit_together(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = tmp_path / "neurodecode.yaml"
    values = {key: value for key, value in {**WHOLE, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=message):
        read_description(path)


def test_pictures_by_name(folder: Path) -> None:
    describe(folder, pictures="images/{stimulus}.png")
    assert ArrayStudy(folder).stimuli().file("thing_30").name == "thing_30.png"
    with pytest.raises(DataError, match=r"the stimulus '\.\./secret' would lead out of the folder"):
        picture_files(folder, "images/{stimulus}.png", ["thing_00", "../secret"])
    describe(folder, pictures="images/{stimulus:04d}.png")
    with pytest.raises(ConfigError, match=r"\{stimulus:04d\} in .* cannot be filled with stimulus 'thing_00'"):
        ArrayStudy(folder).stimuli()
    for subject in (1, 2):
        table = pd.read_csv(folder / f"trials_{subject}.csv")
        table["picture"] = table["picture"].str[-2:].astype(int) + 1
        table.to_csv(folder / f"trials_{subject}.csv", index=False)
    for number in range(48):
        (folder / "images" / f"thing_{number:02d}.png").rename(folder / "images" / f"{number:04d}.png")
    with pytest.raises(DataError, match=r"0048\.png is missing.*are numbered from 0, the stimuli from 1: off by one"):
        ArrayStudy(folder).stimuli()
    describe(folder, pictures="images")
    with pytest.raises(DataError, match="pictures go by name, not by their order; the pictures are numbered from 0"):
        ArrayStudy(folder).stimuli()


def test_features_of_every_form(tmp_path: Path, folder: Path) -> None:
    vectors = np.load(folder / "vectors.npz")
    names, values = vectors["stimulus"], vectors["code"]
    np.save(folder / "plain.npy", values)
    (folder / "names.txt").write_text("\n".join(names))
    pd.DataFrame(values).assign(stimulus=names).to_csv(folder / "table.csv", index=False)
    with h5py.File(folder / "vectors.h5", "w") as file:
        file["stimulus"], file["code"], file["twice"] = names.astype("S"), values, 2 * values
    forms: list[object] = [
        "vectors.npz",
        "table.csv",
        "vectors.h5",
        {"file": "plain.npy", "names": "names.txt"},
        {"file": "vectors.h5", "key": "code"},
        {"one": "table.csv", "two": {"file": "plain.npy", "names": "names.txt"}},
    ]
    layers = [["code"], ["features"], ["code", "twice"], ["features"], ["code"], ["one", "two"]]
    for form, expected in zip(forms, layers, strict=True):
        describe(folder, features=form)
        tables = ArrayStudy(folder).feature_tables()
        assert list(tables) == expected
        np.testing.assert_allclose(tables[expected[0]].of(["thing_07"])[0], values[7], rtol=1e-6)
    describe(folder, features={"file": "plain.npy", "first": 1})
    table = ArrayStudy(folder).feature_tables()["features"]
    assert table.of(["1"])[0].tolist() == values[0].tolist()
    with pytest.raises(DataError, match=r"'0' has no row .*numbered from 1, the stimuli from 0: off by one"):
        table.of([str(number) for number in range(48)])
    values[3, 1] = np.inf
    np.savez(folder / "vectors.npz", stimulus=names, code=values)
    describe(folder, features="vectors.npz")
    with pytest.raises(DataError, match="the row of stimulus 'thing_03' is not finite"):
        ArrayStudy(folder).feature_tables()
    np.savez(folder / "vectors.npz", stimulus=names[:-1], code=values[:, :2])
    with pytest.raises(DataError, match="48 rows, but 47 names of stimuli"):
        ArrayStudy(folder).feature_tables()


def test_concepts_are_of_stimuli(folder: Path) -> None:
    describe(folder, concept="block")
    with pytest.raises(DataError, match=r"concept: stimulus 'thing_\d\d' has both '1' and '2'"):
        ArrayStudy(folder).stimuli()


def test_two_names_of_one_subject(miniatures: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(miniatures / "one_file", tmp_path / "one"))
    table = pd.read_csv(root / "trials.tsv", sep="\t", dtype=str)
    table.loc[5, "who"] = "01"
    table.to_csv(root / "trials.tsv", index=False, sep="\t")
    with pytest.raises(DataError, match="subject: '1' and '01' would both be called 'sub-01'"):
        ArrayStudy(root).subjects()


def test_keys_are_listed(miniatures: Path) -> None:
    with pytest.raises(DataError, match="got the key 'eegs', expected one of block, eeg, picture; did you mean 'eeg'"):
        open_source(miniatures / "mat73" / "eeg_1.mat", "eegs")
    with pytest.raises(DataError, match=r"got no key, expected one of eeg, picture, block; write \{file: eeg_1\.mat"):
        open_source(miniatures / "mat5" / "eeg_1.mat")
    for layout in ("mat5", "mat73"):
        opened = open_source(miniatures / layout / "eeg_1.mat", "eeg")
        assert opened.shape == (8, 25, 192)
        assert opened.read(2, 3, 5).shape == (8, 25, 2)
        assert text_values(open_source(miniatures / layout / "eeg_1.mat", "block"))[0] == "1"
    with pytest.raises(DataError, match=r"shape .* expected a list"):
        text_values(open_source(miniatures / "mat5" / "eeg_1.mat", "eeg"))


def test_lists_in_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("caf\u00e9".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.txt: not UTF-8 at byte 3; save it as UTF-8"):
        open_source(tmp_path / "a.txt")
    np.save(tmp_path / "a.npy", np.array(["caf\u00e9".encode("latin-1")]))
    with pytest.raises(DataError, match="entry 0 is not UTF-8"):
        text_values(open_source(tmp_path / "a.npy"))
    np.save(tmp_path / "b.npy", np.array([1.0, 2.5, np.nan]))
    assert text_values(open_source(tmp_path / "b.npy")) == ["1", "2.5", ""]


def complaint(work: Callable[[], object]) -> str | None:
    """Do some work that may only end well or with an error for the user, and give that error's text."""
    try:
        work()
    except NeurodecodeError as error:
        return str(error)
    return None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    ending=st.sampled_from(ENDINGS),
    content=st.one_of(st.binary(max_size=300), st.text(max_size=80).map(lambda text: text.encode())),
    magic=st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0 MAT-file"]),
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, ending: str, content: bytes, magic: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / f"x{ending}"
    path.write_bytes(magic + content)
    message = complaint(lambda: open_source(path).whole())
    assert message is None or (str(path) in message and "\n" not in message)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(key=st.sampled_from(["order", "signals", "split", "features", "channels", "baseline", "run", "x"]), value=PLAIN)
def test_any_value_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, key: str, value: object) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "neurodecode.yaml"
    path.write_text(yaml.safe_dump({**WHOLE, key: value}), encoding="utf-8")
    message = complaint(lambda: read_description(path))
    assert message is None or "\n" not in message
