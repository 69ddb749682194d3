"""Every form of THINGS-MEG gives the same trials and the same signals, and what is wrong with a copy is named."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.core.recording import group_by_stimulus
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.hebart2023.epoched import FIELDS, FILES, HALF, SCALED, UNNAMED, open_derivative
from neurodecode.datasets.hebart2023.layout import Dialect, Place
from neurodecode.datasets.hebart2023.study import ThingsMEG
from neurodecode.datasets.hebart2023.trials import read_attributes, zero_shot_rows
from neurodecode.datasets.miniatures import hebart2023 as miniature
from neurodecode.datasets.miniatures.planted import code_of

from .layouts import Layouts

Prepared = dict[str, PreparedStudy]
RECORDED = ("fif", "bids")
DERIVED = ("atm", "atm_zscore", "ubp", "neurobridge")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    return Layouts("things_meg", tmp_path_factory.mktemp("meg"))


@pytest.fixture(scope="module")
def prepared(pristine: Layouts, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return pristine.prepare(miniature.LAYOUTS, tmp_path_factory.mktemp("caches"))


@pytest.fixture
def damaged(pristine: Layouts, tmp_path: Path) -> Callable[[str], Path]:
    """Give a copy of a miniature with one subject, which a test may damage."""
    hidden = ("sub-02", "sub-BIGMEG2", "*P2*", "object_images", "Image_set_Resize")
    return lambda layout: pristine.copy(layout, tmp_path / layout, *hidden)


def load(root: Path, **options: Any) -> Any:
    return open_study("things_meg", root, options).load("sub-01")


def by_picture(study: PreparedStudy, part: str, subject: str = "sub-02") -> tuple[list[str], NDArray[np.float32]]:
    """The mean of each picture of one part that is in all forms."""
    recording = study.recording(subject)
    rows = np.concatenate(
        [study.split.rows(subject, side) for side in (("test",) if part == "test" else ("train", "val"))]
    )  # type: ignore[arg-type]
    names, groups = group_by_stimulus(recording.windows, rows)
    return names, recording.read_averaged(groups)


def test_every_form_gives_the_same_trials(prepared: Prepared) -> None:
    columns = ["subject", "stimulus", "repetition", "concept", "part"]
    expected = prepared["fif"].recording("sub-02").windows
    assert len(expected) == 10 * 12 + 4 * 12, "catch trials are left out"
    assert set(expected["concept"]) == set(miniature.CONCEPTS)
    recorded = prepared["bids"].recording("sub-02").windows
    same = [*columns, "session", "run", "start", "length"]
    pd.testing.assert_frame_equal(recorded[same], expected[same])
    kept = expected[(expected["part"] == "test") | ~expected["concept"].isin(miniature.TESTED)]
    order = ["part", "stimulus", "repetition"]
    for layout in DERIVED:
        windows = prepared[layout].recording("sub-02").windows
        assert list(windows["part"])[:72] == ["train"] * 72
        pd.testing.assert_frame_equal(
            windows[columns].sort_values(order, ignore_index=True),
            kept[columns].sort_values(order, ignore_index=True),
            obj=layout,
        )
    for study in prepared.values():
        assert study.simulated
        assert study.subjects == ["sub-01", "sub-02"]
        recording = study.recording("sub-01")
        assert (recording.n_times, recording.sensors.sfreq, recording.sensors.tmin) == (200, 200.0, 0.0)
        assert recording.sensors.unit == "z"
        assert set(recording.sensors.kinds) == {"mag"}


def test_every_form_gives_the_same_signals(prepared: Prepared) -> None:
    recorded = {layout: prepared[layout].recording("sub-02") for layout in RECORDED}
    rows = np.arange(168)
    np.testing.assert_allclose(recorded["bids"].read(rows), recorded["fif"].read(rows), atol=2e-4)
    assert recorded["fif"].sensors.names == recorded["bids"].sensors.names
    assert miniature.BROKEN not in recorded["fif"].sensors.names
    assert {"occipital", "temporal", "frontal"} <= set(recorded["fif"].sensors.regions)
    np.testing.assert_allclose(
        recorded["fif"].sensors.positions,
        recorded["bids"].sensors.positions,
        atol=1e-6,  # type: ignore[arg-type]
    )
    for part in ("train", "test"):
        names, expected = by_picture(prepared["fif"], part)
        for layout in DERIVED:
            found, means = by_picture(prepared[layout], part)
            assert found == names
            np.testing.assert_allclose(means, expected, atol=2e-2 if layout == "ubp" else 1e-5, err_msg=layout)


def test_what_was_done_before_is_said(prepared: Prepared) -> None:
    flags = {layout: study.recording("sub-01").flags for layout, study in prepared.items()}
    assert flags["fif"] == flags["bids"] == flags["atm"] == flags["atm_zscore"] == ()
    assert flags["ubp"] == (HALF,)
    assert flags["neurobridge"] == (UNNAMED,)
    assert prepared["bids"].header["steps"]["onset"] == "sample"


def test_zero_shot_leaves_the_tested_concepts_out(prepared: Prepared) -> None:
    for layout in ("fif", "atm"):
        study = prepared[layout]
        windows = study.recording("sub-01").windows
        sides = {part: windows.iloc[study.split.rows("sub-01", part)] for part in ("train", "val", "test")}  # type: ignore[arg-type]
        assert set(sides["test"]["concept"]) == set(miniature.TESTED)
        assert set(sides["test"]["stimulus"].value_counts()) == {12}
        assert sides["val"]["concept"].nunique() == 1
        assert set(sides["train"]["concept"]) | set(sides["val"]["concept"]) == set(miniature.CONCEPTS[:6])
        assert study.split.unit == "concept"
        assert "zero-shot" in study.split.rule
    one = {name: np.sort(study.split.table["unit"].unique()).tolist() for name, study in prepared.items()}
    assert one["atm"] == one["ubp"]


def test_metas_split_keeps_them(pristine: Callable[[str], Path], prepared: Prepared, tmp_path: Path) -> None:
    study = prepare_study(open_study("things_meg", pristine("fif")), tmp_path / "cache", split="meta")
    windows = study.recording("sub-01").windows
    train = windows.iloc[study.split.rows("sub-01", "train")]
    test = windows.iloc[study.split.rows("sub-01", "test")]
    assert set(miniature.TESTED) <= set(train["concept"])
    assert not set(train["stimulus"]) & set(test["stimulus"])
    assert len(test) == 48
    assert len(study.split.rows("sub-01", "val")) == 12
    assert study.split.unit == "stimulus"
    assert "other pictures of the same concepts STAY IN TRAINING" in study.split.rule
    derived = {"sub-01": prepared["atm"].recording("sub-01").windows}
    with pytest.raises(DataError, match="split meta: sub-01 has no training picture of a test concept; derivatives"):
        open_study("things_meg", pristine("atm")).named_split("meta", derived)
    with pytest.raises(ConfigError, match="split: got 'nets', expected one of zero_shot, meta"):
        open_study("things_meg", pristine("fif")).named_split("nets", {"sub-01": windows})
    first = int(np.argmax(windows["part"] == "test"))
    with pytest.raises(DataError, match=r"split: sub-01 has 11 trials of the test picture '.*', expected 12"):
        open_study("things_meg", pristine("fif")).split({"sub-01": windows.drop(index=first)})


@pytest.mark.parametrize("layout", ["fif", "bids", "ubp"])
def test_a_closed_form_decoder_has_the_known_score(prepared: Prepared, layout: str) -> None:
    train, responses = by_picture(prepared[layout], "train")
    test, measured = by_picture(prepared[layout], "test")
    codes = np.array([code_of(name) for name in train])
    generator = np.random.default_rng(0)

    def top1(order: NDArray[np.int64]) -> float:
        design = np.column_stack([codes[order], np.ones(len(codes))])
        values = responses.reshape(len(train), -1).astype(np.float64)
        weights = np.linalg.solve(design.T @ design + 0.5 * np.eye(28), design.T @ values)
        expected = np.column_stack([np.array([code_of(name) for name in test]), np.ones(len(test))]) @ weights
        scores = np.corrcoef(measured.reshape(len(test), -1), expected)[: len(test), len(test) :]
        return float((scores.argmax(axis=1) == np.arange(len(test))).mean())

    assert top1(np.arange(len(train))) == 1.0
    assert abs(np.mean([top1(generator.permutation(len(train))) for _ in range(60)]) - 1 / len(test)) < 0.12


def test_the_trigger_comes_before_the_picture(pristine: Callable[[str], Path]) -> None:
    sensor = load(pristine("bids"), window=[-0.1, 1.3])
    trigger = load(pristine("bids"), window=[-0.1, 1.3], onset="trigger")
    assert open_study("things_meg", pristine("bids"), {"onset": "trigger"}).steps()["onset"] == "trigger"
    assert (sensor.n_times, sensor.sensors.tmin) == (280, -0.1)
    first, second = sensor.read([5])[0], trigger.read([5])[0]
    at = {
        shift: np.corrcoef(first[:, 20:200].ravel(), second[:, 20 + shift : 200 + shift].ravel())[0, 1]
        for shift in range(6)
    }
    assert max(at, key=at.__getitem__) == 3, "18 samples at 1200 Hz are 3 at 200 Hz"
    assert np.allclose(sensor.windows["onset"] - trigger.windows["onset"], 18 / 1200)


def test_options(pristine: Callable[[str], Path], tmp_path: Path) -> None:
    slow = open_study("things_meg", pristine("fif")).load("sub-01", sfreq=100.0)
    assert (slow.n_times, slow.sensors.sfreq, slow.sensors.tmin) == (100, 100.0, 0.0)
    early = load(pristine("fif"), window=[-0.1, 0.5])
    assert (early.n_times, early.sensors.tmin) == (120, -0.1)
    with pytest.raises(ConfigError, match=r"window: got -0.1 to 0.5 s, but .*preprocessed_npy holds 0 to 1.005 s"):
        load(pristine("atm"), window=[-0.1, 0.5])
    with pytest.raises(ConfigError, match=r"window: got \(0, 2\), expected"):
        ThingsMEG(tmp_path, window=(0, 2))
    with pytest.raises(ConfigError, match="dialect: got 'meta', expected one of fif, bids, atm, ubp, neurobridge"):
        ThingsMEG(tmp_path, dialect="meta")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="onset: got 'software', expected one of sample, trigger"):
        ThingsMEG(tmp_path, onset="software")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"no subject of THINGS-MEG found, expected one of preprocessed_P1-epo.fif"):
        ThingsMEG(tmp_path).subjects()


def test_several_forms_in_one_folder(pristine: Callable[[str], Path], tmp_path: Path) -> None:
    both = Path(shutil.copytree(pristine("bids"), tmp_path / "both"))
    shutil.copytree(pristine("fif") / "derivatives", both / "derivatives")
    study = open_study("things_meg", both)
    assert study.steps()["dialect"] == "fif", "they come in one download"
    assert open_study("things_meg", both, {"dialect": "bids"}).steps()["dialect"] == "bids"
    shutil.copytree(pristine("atm") / "derivatives" / "preprocessed_npy", both / "derivatives" / "preprocessed_npy")
    with pytest.raises(ConfigError, match="dialect: there are several, say which one"):
        open_study("things_meg", both).subjects()
    with pytest.raises(ConfigError, match="dialect: got 'ubp', expected one that is there: bids"):
        open_study("things_meg", both, {"dialect": "ubp"}).subjects()


def test_pictures_are_found_by_name(pristine: Callable[[str], Path], tmp_path: Path) -> None:
    for layout, folder in (("fif", "object_images/t-shirt"), ("ubp", "Image_set_Resize/train_images/00009_t-shirt")):
        stimuli = open_study("things_meg", pristine(layout)).stimuli()
        assert len(stimuli) == 124
        assert stimuli.get("t-shirt_03s")["path"] == f"{folder}/t-shirt_03s.jpg"
        assert stimuli.get("baton4_13s")["text"] == "baton"
        assert stimuli.file("wok_13s").is_file()
    root = Path(shutil.copytree(pristine("fif"), tmp_path / "fif"))
    (root / "object_images" / "dog" / "dog_02s.jpg").unlink()
    with pytest.raises(DataError, match=r"object_images: the picture 'dog/dog_02s' is missing \(1 of 124 are\)"):
        open_study("things_meg", root).stimuli()
    shutil.rmtree(root / "object_images")
    assert set(open_study("things_meg", root).stimuli().table["path"]) == {""}


def test_tables_of_trials_that_do_not_fit(damaged: Callable[[str], Path]) -> None:
    root = damaged("fif")
    path = root / "sourcedata" / "sample_attributes_P1.csv"
    whole = pd.read_csv(path)
    shown = int(np.argmax(whole["trial_type"] == "exp"))
    other = int(np.flatnonzero(whole["trial_type"] == "exp")[1])
    tested = int(np.argmax(whole["trial_type"] == "test"))
    for row, column, value, reason in (
        (shown, "trial_type", "experiment", f"row {shown}: trial_type 'experiment', expected exp, test, catch"),
        (shown, "run_nr", np.nan, f"row {shown}: run_nr nan, expected a number from 1 to 99"),
        (shown, "things_image_nr", np.nan, f"row {shown}: things_image_nr nan, expected a number from 1"),
        (shown, "things_image_nr", whole["things_image_nr"][other], "the number .* goes with '.*' and with '.*'"),
        (shown, "image_path", "images_meg/else/dog_01s.jpg", f"row {shown}: .* is not in the folder of its concept"),
        (tested, "trial_type", "catch", r"picture \d+ \(test part\) was shown 11 times, expected 12"),
        (shown, "image_path", "images_meg/x/x_01s.jpg", rf"epoch {shown} shows '.*' by its metadata"),
    ):
        table = whole.copy()
        table.loc[row, column] = value
        table.to_csv(path, index=False)
        with pytest.raises(DataError, match=reason):
            load(root)
    whole.drop(columns="image_path").to_csv(path, index=False)
    with pytest.raises(DataError, match=r"sample_attributes_P1\.csv: column 'image_path' is missing"):
        load(root)
    path.write_bytes(whole.to_csv(index=False).replace("dog", "d\xf6g").encode("latin1"))
    with pytest.raises(DataError, match=r"sample_attributes_P1\.csv: not readable as a table"):
        load(root)
    path.unlink()
    with pytest.raises(DataError, match="study things_meg: not found under"):
        load(root)


def test_published_epochs_that_do_not_fit(damaged: Callable[[str], Path]) -> None:
    root = damaged("fif")
    folder = root / "derivatives" / "preprocessed"
    names = sorted(path.name for path in folder.iterdir())
    assert names[:2] == ["preprocessed_P1-epo-1.fif", "preprocessed_P1-epo-2.fif"], "in parts, as published"
    table = root / "sourcedata" / "sample_attributes_P1.csv"
    whole = pd.read_csv(table)
    swapped = whole.copy()
    rows = np.flatnonzero(whole["trial_type"] == "exp")[:2]
    swapped.loc[rows] = whole.loc[rows[::-1]].to_numpy()
    swapped[["session_nr", "run_nr"]] = whole[["session_nr", "run_nr"]]
    swapped.to_csv(table, index=False)
    with pytest.raises(
        DataError, match=rf"preprocessed_P1-epo\.fif: epoch {rows[0]}: event \d+, .* has picture \d+ in"
    ):
        load(root)
    catch = whole[whole["trial_type"] == "catch"].index[:1]
    whole.drop(index=catch).to_csv(table, index=False)
    with pytest.raises(DataError, match=r"preprocessed_P1-epo\.fif: 176 epochs, expected 175 as sample_attributes_P1"):
        load(root)
    whole.to_csv(table, index=False)
    for name in names:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=r"preprocessed_P1-epo\.fif: "):
            load(root)
        (folder / name).write_bytes(content)
    (folder / names[0]).unlink()
    with pytest.raises(DataError, match=r"preprocessed_P1-epo\.fif: "):
        load(root)


def test_recordings_that_do_not_fit(damaged: Callable[[str], Path]) -> None:
    root = damaged("bids")
    folder = root / "sub-BIGMEG1" / "ses-02" / "meg"
    stem = "sub-BIGMEG1_ses-02_task-main_run-01"
    path = folder / f"{stem}_events.tsv"
    whole = pd.read_csv(path, sep="\t")
    assert (
        whole["value"].isna().any()
        or pd.read_csv(path.with_name(f"{stem[:-1]}2_events.tsv"), sep="\t")["value"].isna().any()
    )
    row = int(np.argmax(whole["value"].notna()))

    def fails(table: pd.DataFrame, reason: str) -> None:
        table.to_csv(path, sep="\t", index=False)
        with pytest.raises(DataError, match=reason):
            load(root)

    fails(whole.iloc[1:], r"run-01_events\.tsv: 43 events, sample_attributes_P1\.csv lists 44 trials of this run")
    fails(
        whole.assign(value=whole["value"] + 1),
        rf"run-01_events\.tsv: row {row}: value \d+, .* has picture \d+ in row {88 + row} ",
    )
    fails(whole.drop(columns="sample"), r"run-01_events\.tsv: column 'sample' is missing")
    late = whole.copy()
    late.loc[43, "sample"] = 10**6
    fails(late, r"run-01_events\.tsv: row 43: sample 1e\+06 is out of order or too near the ends")
    fails(whole.assign(sample=whole["sample"].iloc[::-1].to_numpy()), "row 1: sample .* is out of order")
    path.unlink()
    with pytest.raises(DataError, match=r"run-01_events\.tsv: no such file"):
        load(root)
    whole.to_csv(path, sep="\t", index=False)
    signals = folder / f"{stem}_meg.ds" / f"{stem}_meg.meg4"
    content = signals.read_bytes()
    signals.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"run-01_meg\.ds: "):
        load(root)
    signals.write_bytes(content)
    header = folder / f"{stem}_meg.ds" / f"{stem}_meg.res4"
    header.write_bytes(header.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"run-01_meg\.ds: not readable as a CTF recording"):
        load(root)
    shutil.rmtree(folder)
    with pytest.raises(
        DataError, match=r"sub-BIGMEG1: 2 recordings with \d+ trials, sample_attributes_P1\.csv lists 168"
    ):
        load(root)


def test_derivatives_that_do_not_fit(damaged: Callable[[str], Path]) -> None:
    root = damaged("atm")
    path = root / "derivatives" / "preprocessed_npy" / "sub-01" / "preprocessed_meg_training.pkl"
    content = pickle.loads(path.read_bytes())
    assert content["meg_data"].shape == (6, 12, 1, 16, 201)
    for fields, reason in (
        ({"meg_data": content["meg_data"][1:]}, "60 trials, expected 72 .train pictures of .*, each once"),
        ({"meg_data": content["meg_data"][0, 0, 0]}, "signals are float64 of shape .16, 201., expected"),
        ({"meg_data": np.asfortranarray(content["meg_data"])}, "signals are stored last dimension first"),
        ({"times": content["times"][1:]}, "200 entries in 'times', expected the 201 samples"),
        ({"times": content["times"] ** 2}, "'times' does not rise in equal steps"),
        ({"ch_names": content["ch_names"][1:]}, "16 channels of signals but 15 names"),
        ({"extra": Path("x")}, "holds the global 'pathlib.PosixPath'"),
    ):
        path.write_bytes(pickle.dumps(content | fields, protocol=4))
        with pytest.raises(DataError, match=rf"preprocessed_meg_training\.pkl: {reason}"):
            load(root)
    path.write_bytes(pickle.dumps({"times": content["times"]}, protocol=4))
    with pytest.raises(DataError, match="the field 'meg_data' is missing, got times"):
        load(root)
    path.write_bytes(pickle.dumps(content, protocol=4)[:-9000])
    with pytest.raises(DataError, match="the file is cut"):
        load(root)
    path.write_bytes(pickle.dumps(content | {"ch_names": content["ch_names"][::-1]}, protocol=4))
    with pytest.raises(DataError, match=r"zs_test\.pkl: channels or times are not those of the training part"):
        load(root)
    path.write_bytes(pickle.dumps(content, protocol=4))
    np.savez(path.parent / "zscore_params.npz", mean=0.0)
    with pytest.raises(DataError, match=r"zscore_params\.npz: the number 'std' is missing, got mean"):
        load(root)
    np.savez(path.parent / "zscore_params.npz", mean=0.0, std=0.0)
    with pytest.raises(DataError, match=r"zscore_params\.npz: 'std' is 0, expected more than 0"):
        load(root)


def test_derivatives_with_names_or_a_side_file(damaged: Callable[[str], Path]) -> None:
    root = damaged("ubp")
    path = root / "preprocessed" / "sub-01" / "train.pt"
    content = torch.load(path, weights_only=False)
    torch.save(content | {"img": np.roll(content["img"], 1)}, path)
    with pytest.raises(DataError, match=r"train\.pt: row 0 of 'img' shows 't-shirt_12s', .* has 'aardvark_01s' there"):
        load(root)
    torch.save(content | {"img": content["img"][:5]}, path)
    with pytest.raises(DataError, match=r"'img' has shape \(5,\), expected a name for each of 72 pictures"):
        load(root)
    root = damaged("neurobridge")
    folder = root / "preprocessed_meg" / "sub-01"
    for part in ("train", "test"):
        np.save(folder / f"{part}.npy", pickle.loads((folder / f"{part}.npy").read_bytes())["data"])
    with pytest.raises(DataError, match=r"info\.json: no such file"):
        load(root)
    said = {"times": np.linspace(0, 0.995, 200).tolist(), "normalization": "zscore"}
    (folder / "info.json").write_text(json.dumps(said))
    assert load(root).flags == (SCALED, UNNAMED)


def test_subjects_who_disagree(pristine: Callable[[str], Path], tmp_path: Path) -> None:
    root = Path(shutil.copytree(pristine("atm"), tmp_path / "atm"))
    path = root / "sourcedata" / "sample_attributes_P2.csv"
    table = pd.read_csv(path)
    dogs = table["image_path"].str.contains("dog_0[12]s")
    table.loc[dogs, "things_image_nr"] = table.loc[dogs, "things_image_nr"].to_numpy()[::-1]
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match="the tables of trials of the subjects disagree on the number of 'dog_01s'"):
        open_study("things_meg", root).stimuli()


@settings(max_examples=120, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 300))
def test_a_damaged_table_of_trials_is_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed_trials.csv"
    whole = miniature.attributes(0).to_csv(index=False).encode()
    content = bytearray(whole)
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(bytes(content[: len(content) - cut]))
    try:
        read_attributes(path)
    except DataError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - a changed digit may still be a table


ODD = st.one_of(
    st.none(),
    st.integers(-3, 70),
    st.floats(width=32),
    st.text(max_size=3),
    st.lists(st.one_of(st.text(max_size=3), st.floats(width=32), st.none()), max_size=4),
    st.sampled_from(
        [np.zeros(0), np.zeros((72, 1, 4)), np.ones((6, 12, 1, 4, 10), np.float16), np.full((4, 1, 12, 4, 5), 2.0)]
    ),
    st.sampled_from([np.array(["a", "b"]), np.full(72, "wok_01s"), np.array(3), np.array([{"a": 1}])]),
)
DERIVATIVES: tuple[Dialect, ...] = ("atm", "ubp", "neurobridge")


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.sampled_from(DERIVATIVES), st.integers(0, 1), st.data())
def test_odd_fields_are_data_errors(
    tmp_path_factory: pytest.TempPathFactory, dialect: Dialect, which: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "odd"
    (folder / "sub-01").mkdir(parents=True, exist_ok=True)
    table = folder / "sample_attributes_P1.csv"
    if not table.exists():
        miniature.attributes(0).to_csv(table, index=False)
    trials = read_attributes(table)
    rows = zero_shot_rows(trials)
    for index, part in enumerate(("train", "test")):
        names = rows.loc[rows["part"] == part, "stimulus"]
        fields: dict[str, Any] = {
            FIELDS[dialect]: np.random.default_rng(0).normal(size=(len(names), 1, 4, 10)),
            "ch_names": ["a", "b", "c", "d"],
            "times": np.arange(10) / 200,
            "img": names.unique().astype(str),
        }
        if index == which:
            fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(ODD)
        (folder / "sub-01" / FILES[dialect][index]).write_bytes(pickle.dumps(fields, 4))
    try:
        source = open_derivative(Place(folder, dialect), "sub-01", trials, table)
    except DataError as error:
        assert str(error).startswith(str(folder))  # noqa: PT017 - an odd field may not matter to this form
    else:
        assert len(source.trials) == 120
