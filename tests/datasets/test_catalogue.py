"""Every study that can be read is held to one contract, and a new one is found without an edit."""

import builtins
import importlib.util
import io
import json
import sys
import tarfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.core.files import fingerprint
from neurodecode.core.prepared import prepare_study
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets import catalogue, openmoji
from neurodecode.datasets.catalogue import data_root, list_studies, open_study, study_classes
from neurodecode.datasets.miniatures.catalogue import write_miniature
from neurodecode.datasets.simulation.speech_study import SpeechSize, simulate_speech_study
from neurodecode.datasets.simulation.study import simulate_study


def mini_haxby(root: Path, pristine_eeg: Path) -> Path:
    folder = root / "haxby_slice"
    folder.mkdir()
    categories = ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")
    lines = []
    for run in range(12):
        for category in categories:
            lines += [f"rest {run}"] * 2 + [f"{category} {run}"] * 3
    (folder / "attributes_literal.txt").write_text("\n".join(lines))
    values = np.random.default_rng(0).normal(900, 20, (53, 10, 1, len(lines))).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "bold.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones((53, 10, 1), np.int16), np.eye(4)), folder / "mask.nii.gz")
    return root


def mini_muse(root: Path, pristine_eeg: Path) -> Path:
    folder = root / "muse_erp"
    folder.mkdir()
    with tarfile.open(folder / "n170_all.tar.gz", "w:gz") as archive:
        for subject in (1, 2):
            for number in (1, 2, 3):
                generator = np.random.default_rng([subject, number])
                table = pd.DataFrame(generator.normal(0, 5, (6400, 4)), columns=["TP9", "AF7", "AF8", "TP10"]).round(2)
                table.insert(0, "timestamps", np.arange(6400) / 256)
                marks = np.zeros(6400, dtype=int)
                marks[256 + 100 * np.arange(50)] = np.tile([1, 2], 25)
                data = table.assign(Marker0=marks).to_csv(index=False).encode()
                info = tarfile.TarInfo(f"subject{subject}/session1/data_2018-01-0{number}-10.00.00.csv")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return root


def mini_simulation(modality: str) -> Callable[[Path, Path], Path]:
    def build(root: Path, pristine_eeg: Path) -> Path:
        table = openmoji.stimuli()
        chosen = pd.concat([table[table["split"] == part].head(12) for part in ("train", "val", "test")])
        generator = np.random.default_rng(0)
        simulate_study(
            root / f"openmoji_{modality}",
            modality=modality,
            features={f"layer{index}": generator.normal(size=(len(chosen), 20)) for index in range(2)},
            stimuli=chosen.reset_index(drop=True),
            pictures=lambda name: openmoji.render(name, 16),
            subjects=1 if modality == "fmri" else 2,
            sfreq=100.0,
        )
        return root

    return build


def mini_listening(root: Path, pristine_eeg: Path) -> Path:
    pytest.importorskip("espeakng_loader", reason="the voice is in the extra 'speech'")

    def loudness(waves: Sequence[NDArray[np.float32]]) -> tuple[tuple[str, ...], list[NDArray[np.float32]]]:
        return ("loud",), [wave[: len(wave) // 320 * 320].reshape(-1, 320).std(axis=1)[:, None] for wave in waves]

    size = SpeechSize(sentences=60, runs=2, subjects=1)
    simulate_speech_study(root / "spoken_meg", features_of=loudness, driven_by="loudness", size=size)
    return root


FIXTURES: dict[str, Callable[[Path, Path], Path]] = {
    "algonauts2023": lambda root, pristine_eeg: write_miniature("algonauts2023", root / "algonauts2023"),
    "armeni2022": lambda root, pristine_eeg: write_miniature("armeni2022", root / "armeni2022"),
    "arrays": lambda root, pristine_eeg: write_miniature("arrays", root / "arrays"),
    "bids": lambda root, pristine_eeg: write_miniature("bids", root / "bids"),
    "brennan2019": lambda root, pristine_eeg: write_miniature("brennan2019", root / "brennan2019"),
    "broderick2019": lambda root, pristine_eeg: write_miniature("broderick2019", root / "broderick2019"),
    "bold5000": lambda root, pristine_eeg: write_miniature("bold5000", root / "bold5000"),
    "epochs": lambda root, pristine_eeg: write_miniature("epochs", root / "epochs"),
    "fmriprep": lambda root, pristine_eeg: write_miniature("fmriprep", root / "fmriprep"),
    "god": lambda root, pristine_eeg: write_miniature("god", root / "god"),
    "gwilliams2022": lambda root, pristine_eeg: write_miniature("gwilliams2022", root / "gwilliams2022"),
    "haxby2001": lambda root, pristine_eeg: write_miniature("haxby2001", root / "haxby2001"),
    "haxby_slice": mini_haxby,
    "libribrain": lambda root, pristine_eeg: write_miniature("libribrain", root / "libribrain"),
    "laion_fmri": lambda root, pristine_eeg: write_miniature("laion_fmri", root / "laion_fmri"),
    "miyawaki2008": lambda root, pristine_eeg: write_miniature("miyawaki2008", root / "miyawaki2008"),
    "muse_n170": mini_muse,
    "nsd": lambda root, pristine_eeg: write_miniature("nsd", root / "nsd"),
    "nsd_imagery": lambda root, pristine_eeg: write_miniature("nsd_imagery", root / "nsd_imagery"),
    "openmoji_eeg": mini_simulation("eeg"),
    "openmoji_meg": mini_simulation("meg"),
    "openmoji_fmri": mini_simulation("fmri"),
    "schoffelen2019": lambda root, pristine_eeg: write_miniature("schoffelen2019", root / "schoffelen2019"),
    "smni_visual": lambda root, pristine_eeg: write_miniature("smni_visual", root / "smni_visual"),
    "spoken_meg": mini_listening,
    "things_eeg2": lambda root, pristine_eeg: write_miniature("things_eeg2", root / "things_eeg2"),
    "things_meg": lambda root, pristine_eeg: write_miniature("things_meg", root / "things_meg"),
}


@pytest.fixture(scope="session", params=sorted(FIXTURES))
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pristine_eeg: Path
) -> tuple[str, Path]:
    """The name of a study and a data root with a miniature of it."""
    return request.param, FIXTURES[request.param](tmp_path_factory.mktemp(request.param), pristine_eeg)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory, pristine_eeg: Path) -> Path:
    """A data root with a miniature of the simulated EEG."""
    return FIXTURES["openmoji_eeg"](tmp_path_factory.mktemp("simulated"), pristine_eeg)


def test_every_study_has_a_miniature() -> None:
    assert set(FIXTURES) == set(study_classes()), "a new study needs a miniature in this file"


def test_what_is_known_is_filled_in() -> None:
    infos = list_studies()
    assert [info.name for info in infos] == sorted(info.name for info in infos)
    for info in infos:
        for field in ("name", "description", "citation", "licence", "where", "size"):
            assert getattr(info, field).strip(), f"{info.name}: {field} is empty"
        assert info.name == info.name.lower()
        assert info.modality in ("eeg", "meg", "fmri")
        assert info.kind in ("image", "speech", "word")
        assert info.simulated == info.name.startswith(("openmoji_", "spoken_"))
        assert len(info.description) < 120
        json.dumps({"name": info.name, "expected": dict(info.expected)})


def test_looking_is_cheap(study: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name, root = study
    kind = study_classes()[name]

    def no_reading(*arguments: object, **keywords: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(builtins, "open", no_reading)
    monkeypatch.setattr(io, "open", no_reading)
    found = kind.find(root)
    nothing = kind.find(tmp_path)
    monkeypatch.undo()
    assert found is not None
    assert found.is_dir()
    assert nothing is None
    assert kind.looked_for(tmp_path)


def test_the_contract(study: tuple[str, Path], tmp_path: Path) -> None:
    name, root = study
    opened = open_study(name, root)
    assert opened.info.name == name
    subjects = opened.subjects()
    assert subjects == sorted(subjects)
    assert subjects
    assert all(subject.startswith("sub-") for subject in subjects)
    fingerprint(opened.steps())
    json.dumps(opened.steps())
    stimuli = opened.stimuli()
    if opened.info.averaging != "stimulus":
        assert opened.info.averaging in opened.load(subjects[0]).windows.columns
    if opened.info.name != "bids":
        assert set(stimuli.table["kind"]) == {opened.info.kind}
    for stimulus in stimuli.names:
        if stimuli.get(stimulus)["path"]:
            assert stimuli.file(stimulus).is_file()
    prepared = prepare_study(opened, tmp_path / "cache", sfreq=None if opened.info.modality == "fmri" else 50.0)
    assert prepared.simulated == opened.info.simulated
    tables = {}
    for subject in prepared.subjects:
        recording = prepared.recording(subject)
        assert recording.subject == subject
        assert recording.modality == opened.info.modality
        assert recording.simulated == opened.info.simulated
        assert recording.read([0]).dtype == np.float32
        assert set(recording.windows["stimulus"]) <= set(stimuli.names)
        assert (recording.windows["subject"] == subject).all()
        assert recording.windows.groupby("stimulus")["repetition"].nunique().min() >= 1
        tables[subject] = recording.windows
    split = prepared.split
    assert split.hash == opened.split(tables).hash
    for fold in range(split.n_folds):
        together: dict[str, set[str]] = {part: set() for part in ("train", "val", "test")}
        for subject in prepared.subjects:
            sizes = []
            for part, units in together.items():
                rows = split.rows(subject, part, fold=fold)  # type: ignore[arg-type]
                sizes.append(len(rows))
                units |= set(split.units(rows, subject))
            # Where subjects are left out, each is on one side only; one with fewer runs is not in the last folds.
            assert all(sizes) or split.unit == "subject" or (fold and not any(sizes))
        assert all(together.values())
        assert not together["train"] & together["val"]
        assert not together["test"] & (together["train"] | together["val"])
    assert all(proof["windows"] > 0 for proof in prepared.header["proof"].values())


def test_two_loads_are_the_same(study: tuple[str, Path]) -> None:
    name, root = study
    subject = open_study(name, root).subjects()[0]
    first, second = (open_study(name, root).load(subject) for _ in range(2))
    assert first.windows.equals(second.windows)
    np.testing.assert_array_equal(first.read([1, 3]), second.read([1, 3]))


def test_another_modality_is_not_taken_for_it(simulated: Path) -> None:
    own = simulated / "openmoji_eeg"
    assert open_study("openmoji_eeg", own).root == own
    with pytest.raises(DataError, match="study openmoji_fmri: not found under"):
        open_study("openmoji_fmri", own)


def test_the_published_list_is_not_overruled(simulated: Path) -> None:
    opened = open_study("openmoji_eeg", simulated)
    windows = opened.load("sub-01", sfreq=50.0).windows
    windows.loc[windows.index[0], "split"] = "test" if windows["split"].iloc[0] != "test" else "train"
    with pytest.raises(DataError, match=r"sub-01 has '[0-9A-F]+' in '(test|train)', the study's list in"):
        opened.split({"sub-01": windows})


def test_unknown_names_and_missing_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"study: got 'haxby_slise', expected one of .*did you mean 'haxby_slice'"):
        open_study("haxby_slise", tmp_path)
    with pytest.raises(DataError, match=rf"looked for {tmp_path}/brain/haxby_slice/bold\.nii\.gz.*PyMVPA"):
        open_study("haxby_slice", tmp_path)
    with pytest.raises(DataError, match=r"--root: .*/nowhere is not a folder"):
        open_study("haxby_slice", tmp_path / "nowhere")
    monkeypatch.setenv("NEURODECODE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"NEURODECODE_DATA: .*/nowhere is not a folder"):
        open_study("haxby_slice")
    monkeypatch.setenv("NEURODECODE_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.delenv("NEURODECODE_DATA")
    assert data_root() is None
    with pytest.raises(DataError, match="no folder to look in; give --root or set NEURODECODE_DATA"):
        open_study("haxby_slice")


NEW = """
from neurodecode.core.study import Study, StudyInfo
from neurodecode.datasets.bids import BidsStudy

class {name}(BidsStudy):
    info = StudyInfo("{study}", "eeg", "image", "A.", "B", "C", "D", "E", False)

class Unfinished(Study):
    info = StudyInfo("unfinished", "eeg", "image", "A.", "B", "C", "D", "E", False)
"""


@pytest.fixture
def extra_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A second folder of the package, so that a new study is a new file and nothing else."""
    import neurodecode.datasets as package

    before = set(sys.modules)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_new_file_is_a_new_study(extra_folder: Path) -> None:
    (extra_folder / "somebody2030.py").write_text(NEW.format(name="Somebody2030", study="somebody"))
    (extra_folder / "_draft.py").write_text("raise RuntimeError('not to be imported')")
    folder = extra_folder / "somebody2031"
    folder.mkdir()
    (folder / "__init__.py").write_text("from neurodecode.datasets.somebody2031.reader import Other\n")
    (folder / "reader.py").write_text(NEW.format(name="Other", study="other"))
    names = set(study_classes())
    assert names == {*FIXTURES, "somebody", "other"}


def test_a_broken_file_takes_no_other_away(extra_folder: Path) -> None:
    (extra_folder / "broken2030.py").write_text("import a_package_that_is_not_there")
    with pytest.warns(UserWarning, match="broken2030: not imported, its studies are missing .*a_package_that"):
        assert set(study_classes()) == set(FIXTURES)


def test_two_studies_of_one_name_are_refused(extra_folder: Path) -> None:
    (extra_folder / "somebody2030.py").write_text(NEW.format(name="Somebody", study="bids"))
    with pytest.raises(ConfigError, match=r"study 'bids': defined by both .*\.bids and .*\.somebody2030"):
        study_classes()


def test_only_what_a_module_defines_counts() -> None:
    module = ModuleType("neurodecode.datasets.made_up")
    exec(textwrap.dedent(NEW.format(name="Mine", study="mine")), vars(module))
    mine = vars(module)["Mine"]
    mine.__module__ = module.__name__
    found = catalogue.studies_of(vars(module).values(), module=module.__name__)
    assert found == [mine]
    assert isinstance(mine.info, StudyInfo)
    assert issubclass(mine, Study)


def test_listing_imports_nothing_heavy() -> None:
    import subprocess

    script = (
        "import sys; from neurodecode.datasets.catalogue import list_studies; list_studies(); "
        "print([name for name in ('torch', 'mne', 'mne_bids', 'nilearn', 'nibabel', 'scipy') if name in sys.modules])"
    )
    assert importlib.util.find_spec("mne") is not None
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"
