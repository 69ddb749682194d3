"""The shipped configurations compose, and name classes that exist."""

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from neurodecode.training.command_line import run

CONFIGS = Path(str(files("neurodecode.configs")))
RECIPES = ["linear", "projection_mlp", "residual_mlp", "ridge_start", "temporal_spatial"]
STUDIES = sorted(path.stem for path in (CONFIGS / "study").glob("*.yaml"))


def printed(capsys: pytest.CaptureFixture[str], *names: str, extra: tuple[str, ...] = ()) -> dict:
    arguments = [word for name in names for word in ("--config", str(CONFIGS / f"{name}.yaml"))]
    assert run("fit", [*arguments, *extra, "--print_config"]) is None
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_composes_with_study_protocol_and_size(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = printed(
        capsys, f"recipe/{recipe}", "study/openmoji_eeg", "protocol/within_subject", "size/small",
        extra=("--data.fold", "0", "--trainer.max_epochs", "3"),
    )
    data = config["data"]["init_args"]
    assert data["subjects"] == ["sub-01"]
    assert list(data["targets"]) == ["stem", *(f"stage{number}" for number in range(2, 7)), "last"]
    assert data["batch_size"] == 256
    assert config["trainer"]["max_epochs"] == 3
    own = yaml.safe_load((CONFIGS / "recipe" / f"{recipe}.yaml").read_text())
    assert data["components"] == own["data"]["init_args"]["components"]
    backbone = config["model"]["init_args"]["encoder"]["init_args"]["backbone"]
    assert backbone["class_path"].startswith("neurodecode.encoders.brain.")


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_composes(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = printed(capsys, "recipe/ridge_start", f"study/{study}", "protocol/joint")
    assert config["data"]["init_args"]["study"].endswith(study)
    assert config["data"]["init_args"]["subjects"] is None


def test_the_lists_above_are_complete() -> None:
    found = {path.stem for path in (CONFIGS / "recipe").glob("*.yaml")}
    assert found - {"openmoji_generator"} == set(RECIPES)
    assert set(STUDIES) >= {"openmoji_eeg", "openmoji_meg", "openmoji_fmri"}
