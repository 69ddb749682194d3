"""The worked example of docs/your_own_data.md, run exactly as it stands there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from neurodecode.cli.main import main
from neurodecode.core.files import read_json
from neurodecode.core.targets import Targets

PAGE = Path(__file__).parents[2] / "docs" / "your_own_data.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEURODECODE_DATA", raising=False)
    exec(block("python"), {})
    Path("neurodecode.yaml").write_text(block("yaml"))
    return tmp_path


def test_the_example_of_the_page_decodes(folder: Path) -> None:
    commands = block("sh").splitlines()
    assert len(commands) == 3
    assert len(block("yaml").splitlines()) == 10
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "neurodecode"
        assert main(words[1:]) == 0
    results = read_json(folder / "outputs" / "retrieve" / "results.json")
    top = {
        score["model"]: score["value"]
        for score in results["scores"]
        if score["metric"] == "top1" and score["direction"] == "image_given_brain" and score["subject"] == "mean"
    }
    assert min(top["ridge"], top["encoding"], top["fused"]) >= 0.9
    assert (folder / "outputs" / "retrieve" / "report.html").is_file()


def test_vectors_may_be_given_to_any_study(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = np.load("features.npy")
    np.savez("two.npz", stimulus=np.arange(120), early=vectors[:, :4], late=vectors)
    assert main(["embed", "arrays", "--root", ".", "--features", "two.npz"]) == 0
    late = Targets.open(Path("outputs/targets/arrays/given/late"))
    np.testing.assert_allclose(late.get(["17"])[0], vectors[17], rtol=1e-6)
    assert not late.space.normalised
    np.savez("two.npz", stimulus=np.arange(120), early=vectors[:, :4], late=-vectors)
    for words, message in (
        (["--features", "two.npz"], "holds targets of another encoder than given; they differ in weights"),
        (["--features", "two.npz", "--encoder", "pixels"], "beside --encoder pixels, expected one of the two"),
        (["--features", "none.npz"], "none.npz: no such file"),
        (["--layers", "early"], "--layers: got a value, but the vectors are ready made"),
        (["--encoder", "pixels"], "stimulus '0' is a word, but pixels encodes pictures"),
    ):
        capsys.readouterr()
        assert main(["embed", "arrays", "--root", ".", *words]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert message in error
    np.savez("one.npz", stimulus=np.arange(1, 121), late=vectors)
    assert main(["embed", "arrays", "--root", ".", "--features", "one.npz", "--output", "elsewhere"]) == 2
    assert "are numbered from 1, the stimuli from 0: off by one" in capsys.readouterr().err
    assert not Path("elsewhere").exists()
