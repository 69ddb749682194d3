"""`neurodecode recipes`, as a user types it."""

import json
from pathlib import Path

import pytest

from neurodecode.cli.main import EXIT_USER_ERROR, main
from neurodecode.training import recipes
from neurodecode.training.recipe_cards import recipe_files

FIELDS = {"name", "source", "parameters", "expected_parameters", "subject_parameters", "published"}


def test_json_has_what_a_machine_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--json", "--names", "[brainmagick, ubp, ridge]"]) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(found) == ["brainmagick", "ubp", "ridge"]
    assert all(set(entry) >= FIELDS for entry in found.values())
    assert found["brainmagick"]["parameters"] == found["brainmagick"]["expected_parameters"] == 9_565_054
    assert found["brainmagick"]["subject_parameters"] == 72_900
    assert found["ubp"]["published"][0]["score"] == "top-1 50.9"
    assert found["ridge"]["command"] == "retrieve"
    assert found["ridge"]["parameters"] is None


def test_table_names_source_scores_and_differences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--names", "[ubp]"]) == 0
    out = capsys.readouterr().out
    assert "5,404,672" in out
    assert "published: top-1 50.9 (THINGS-EEG2" in out
    assert "differs: test pictures are never blurred" in out


def test_another_count_than_the_reference_is_shown_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = tmp_path / "ubp.yaml"
    source = recipe_files()["ubp"].read_text()
    changed.write_text(source.replace("backbone: {class_path: ProjectionMLP, init_args: {width: 1024",
                                      "backbone: {class_path: ProjectionMLP, init_args: {width: 1000"))  # fmt: skip
    monkeypatch.setattr(recipes, "recipe_files", lambda: {"ubp": changed})
    assert main(["recipes"]) == EXIT_USER_ERROR
    out, err = capsys.readouterr()
    assert "NO" in out
    assert "ubp have another number of parameters than their reference" in err.replace("\n", " ")


def test_unknown_names_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--names", "[upb]"]) == EXIT_USER_ERROR
    assert "did you mean 'ubp'" in capsys.readouterr().err
