"""The shipped configurations compose, and name classes that exist."""

import importlib
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from neurodecode.core.errors import ConfigError
from neurodecode.training.command_line import run
from neurodecode.training.config_files import read_config, shipped_folder
from neurodecode.training.configuration import compose, same_class
from neurodecode.training.recipe_cards import read_card, recipe_files
from neurodecode.training.recipes import check_recipes, count_recipe

CONFIGS = shipped_folder("")
OURS = ["linear", "projection_mlp", "residual_mlp", "ridge_start", "temporal_spatial"]
FITTED_BY_RETRIEVE = ["encoding", "ridge"]
FMRI = ["adeli", "mindbridge", "mindeye1", "mindeye2", "neuro_vision", "umbrae", "wave", "wave_pretrain", "zebra"]
PUBLISHED = ["ascoli", "atm", "benchetrit", "brainmagick", *FMRI, "neurobridge", "nice", "shallow_alignment", "ubp"]
STUDIES = sorted(path.stem for path in (CONFIGS / "study").glob("*.yaml"))


def printed(capsys: pytest.CaptureFixture[str], *names: str, extra: tuple[str, ...] = ()) -> dict:
    arguments = [word for name in names for word in ("--config", str(CONFIGS / f"{name}.yaml"))]
    assert run("fit", [*arguments, *extra, "--print_config"]) is None
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("recipe", OURS)
def test_every_recipe_composes_with_study_protocol_and_size(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = printed(
        capsys,
        f"recipe/{recipe}",
        "study/openmoji_eeg",
        "protocol/within_subject",
        "size/small",
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


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_published_recipes_compose_with_their_own_small_size(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    small = printed(capsys, f"recipe/{recipe}", "study/openmoji_eeg", "protocol/within_subject", f"size/small/{recipe}")
    # The evidence of readouts is that of all rows, a step an epoch.
    at_once = small["model"]["init_args"].get("objective") == "evidence"
    assert at_once or small["data"]["init_args"]["batch_size"] <= 256
    assert small["trainer"]["max_epochs"] <= 50
    assert small["data"]["init_args"]["subjects"] == ["sub-01"]
    assert small["recipe"]["kind"] == "published"
    names = [f"recipe/{recipe}", "study/openmoji_eeg", "protocol/within_subject", f"size/small/{recipe}"]
    merged = compose(read_config(CONFIGS / f"{name}.yaml") for name in names)
    for key, value in merged.items():
        require_just(value, small[key], key)


def require_just(wanted: Any, found: Any, where: str) -> None:
    """Compare what was asked for with what the command line makes of it: all that is added are a class's defaults."""
    if isinstance(wanted, dict) and "class_path" in wanted:
        assert same_class(wanted["class_path"], found["class_path"]), where
        module, _, name = found["class_path"].rpartition(".")
        defaults = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        for key, value in found.get("init_args", {}).items():
            asked = wanted.get("init_args", {})
            default = defaults[key].default if key in defaults else value
            if key in asked:
                require_just(asked[key], value, f"{where}.{key}")
            elif not isinstance(value, dict):
                assert value == (list(default) if isinstance(default, tuple) else default), f"{where}.{key}"
    elif isinstance(wanted, list):
        assert len(wanted) == len(found), where
        for number, pair in enumerate(zip(wanted, found, strict=True)):
            require_just(*pair, f"{where}[{number}]")
    elif isinstance(wanted, dict) and where == "trainer":
        for key, value in wanted.items():
            require_just(value, found[key], f"{where}.{key}")
    else:
        assert wanted == found, where


@pytest.mark.parametrize("recipe", [*OURS, *PUBLISHED])
def test_recipes_have_the_size_of_their_reference(recipe: str) -> None:
    (checked,) = check_recipes([recipe])
    assert checked.card.sizes
    assert checked.matches, checked.to_plain()
    expected = [size.parameters for size in checked.card.sizes]
    assert (None in expected) == (checked.card.kind == "ours")
    if checked.card.kind == "published":
        assert checked.card.url.startswith("https://")
        assert checked.card.differs
        assert all(set(entry) == {"score", "protocol"} for entry in checked.card.published)


@pytest.mark.parametrize("recipe", FITTED_BY_RETRIEVE)
def test_recipes_without_a_network_say_what_fits_them(recipe: str) -> None:
    (checked,) = check_recipes([recipe])
    assert checked.to_plain()["command"] == "retrieve"
    with pytest.raises(ConfigError, match=f"recipe {recipe} is fitted by `neurodecode retrieve`"):
        run("fit", ["--config", str(CONFIGS / "recipe" / f"{recipe}.yaml")])


def test_a_wrong_count_and_a_wrong_card_are_told(tmp_path: Path) -> None:
    source = CONFIGS / "recipe" / "ubp.yaml"
    card = read_card(source)
    wrong = count_recipe(source, replace(card.sizes[0], parameters=5_000_000))
    assert not wrong.matches
    assert wrong.parameters == 5_404_672
    copy = tmp_path / "copy.yaml"
    copy.write_text(source.read_text().replace("published:", "publishd:"))
    with pytest.raises(ConfigError, match="unknown key 'publishd'; did you mean 'published'"):
        read_card(copy)
    with pytest.raises(ConfigError, match="did you mean 'ubp'"):
        check_recipes(["upb"])


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_composes(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = printed(capsys, "recipe/ridge_start", f"study/{study}", "protocol/joint")
    assert config["data"]["init_args"]["study"].endswith(study)
    assert config["data"]["init_args"]["subjects"] is None


def test_the_lists_above_are_complete() -> None:
    found = {path.stem for path in (CONFIGS / "recipe").glob("*.yaml")}
    assert found - {"openmoji_generator"} == {*OURS, *PUBLISHED, *FITTED_BY_RETRIEVE}
    assert set(recipe_files()) == {*OURS, *PUBLISHED, *FITTED_BY_RETRIEVE}
    assert {path.stem for path in (CONFIGS / "size" / "small").glob("*.yaml")} == set(PUBLISHED)
    assert set(STUDIES) >= {"openmoji_eeg", "openmoji_meg", "openmoji_fmri"}
