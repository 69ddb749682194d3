"""`neurodecode studies` and `neurodecode prepare`, as a user types them."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from neurodecode.cli.main import main
from neurodecode.core.files import read_json
from neurodecode.core.prepared import PreparedStudy

CATEGORIES = ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data" / "haxby_slice"
    folder.mkdir(parents=True)
    lines = []
    for run in range(12):
        for category in CATEGORIES:
            lines += [f"rest {run}"] * 2 + [f"{category} {run}"] * 3
    (folder / "attributes_literal.txt").write_text("\n".join(lines))
    values = np.random.default_rng(0).normal(900, 20, (53, 10, 1, len(lines))).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "bold.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones((53, 10, 1), np.int16), np.eye(4)), folder / "mask.nii.gz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEURODECODE_DATA", raising=False)
    return tmp_path / "data"


def test_the_json_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studies", "--json", "--root", str(root)]) == 0
    rows = json.loads(capsys.readouterr().out)
    for row in rows:
        assert {"name", "modality", "kind", "citation", "licence", "found"} <= set(row)
    found = {row["name"]: row["found"] for row in rows}
    assert found["haxby_slice"] == str(root / "haxby_slice")
    assert found["muse_n170"] is None
    assert main(["studies", "--json"]) == 0
    assert not any(row["found"] for row in json.loads(capsys.readouterr().out))


def test_the_table(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["studies"]) == 0
    text = capsys.readouterr().out
    assert "set NEURODECODE_DATA" in text
    assert "where to get it" in text
    monkeypatch.setenv("NEURODECODE_DATA", str(root))
    assert main(["studies"]) == 0
    assert f"haxby_slice: found in {root / 'haxby_slice'}" in capsys.readouterr().out


def test_prepare_writes_cache_and_proof(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--study", "haxby_slice", "--root", str(root)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "12 fold(s)" in text
    assert "test runs included, without labels" in text
    cache = root.parent / "outputs" / "cache" / "haxby_slice"
    prepared = PreparedStudy(cache)
    proof = read_json(cache / "proof.json")
    assert proof["split"]["hash"] == prepared.split.hash
    assert proof["subjects"]["sub-01"]["windows"] == 96
    assert proof["simulated"] is False
    assert proof["steps"] == prepared.header["steps"]
    # A second time nothing is read again, and the proof beside the cache is no stranger to it.
    before = (cache / "sub-01" / "recording.json").stat().st_mtime_ns
    assert main(["prepare", "--study", "haxby_slice", "--root", str(root)]) == 0
    assert (cache / "sub-01" / "recording.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--study", "haxby"], "study: got 'haxby', expected one of"),
        (["--study", "muse_n170"], "looked for"),
        (["--study", "haxby_slice", "--subjects", "sub-02"], "subject 'sub-02' is not in"),
        (["--study", "haxby_slice", "--root", "nowhere"], "--root: nowhere is not a folder"),
        (["--study", "haxby_slice", "--jobs", "0"], "jobs: got 0"),
        (["--study", "haxby_slice", "--sfreq", "fast"], "--sfreq: expected float or null, got 'fast'"),
    ],
)
def test_errors_are_one_line(root: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    words = words if "--root" in words else [*words, "--root", str(root)]
    assert main(["prepare", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
