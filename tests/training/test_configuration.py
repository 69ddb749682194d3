"""Later configurations over earlier ones, found by path or by name, read strictly."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from neurodecode.core.errors import ConfigError
from neurodecode.training.command_line import run
from neurodecode.training.config_files import find_config, parse_yaml, read_config, shipped_folder, to_yaml
from neurodecode.training.configuration import compose

BELOW = """
model:
  class_path: DecodeTask
  init_args:
    encoder:
      class_path: BrainEncoder
      init_args:
        front_end: {class_path: SubjectLinear, init_args: {width: 32}}
        backbone: {class_path: ProjectionMLP, init_args: {width: 8, dropout: 0.1}}
    objectives:
      - {class_path: MixCo, init_args: {heads: [a], probability: 0.5}}
      - {class_path: Regression, init_args: {weight: 30.0}}
data:
  class_path: BrainDataModule
  init_args:
    study: somewhere
    targets: {a: here, b: there}
    transforms: [{name: standardize, robust: true}]
trainer:
  callbacks:
    - class_path: ModelCheckpoint
      init_args: {monitor: val/loss, mode: min, filename: best, enable_version_counter: false}
    - {class_path: ModelCheckpoint, init_args: {filename: last, enable_version_counter: false}}
"""


@pytest.fixture
def composed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    (tmp_path / "below.yaml").write_text(BELOW)

    def compose_with(above: str, *options: str) -> dict[str, Any]:
        (tmp_path / "above.yaml").write_text(above)
        files = ["--config", str(tmp_path / "below.yaml"), "--config", str(tmp_path / "above.yaml")]
        assert run("fit", [*files, *options, "--print_config"]) is None
        printed: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
        return printed

    return compose_with


def named(items: list[dict[str, Any]], *keys: str) -> list[list[Any]]:
    return [[item["class_path"].rpartition(".")[2], *(item["init_args"].get(key) for key in keys)] for item in items]


OBJECTIVES = "[{class_path: MixCo}, {class_path: Regression, init_args: {kind: cosine}}]"
OTHERS = "[{class_path: Regression}, {class_path: Regression, init_args: {kind: cosine}}]"


@pytest.mark.parametrize("by", ["file", "option"])
@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        (OBJECTIVES, [["MixCo", "targets", None, 1.0], ["Regression", "targets", "cosine", 1.0]]),
        (OTHERS, [["Regression", "targets", "mse", 1.0], ["Regression", "targets", "cosine", 1.0]]),
    ],
)
def test_a_later_list_of_the_same_length_replaces_the_earlier_one_whole(
    composed: Any, by: str, objectives: str, expected: list[list[Any]]
) -> None:
    above = f"model: {{init_args: {{objectives: {objectives}}}}}" if by == "file" else "seed_everything: 0"
    options = ["--model.objectives", objectives] if by == "option" else []
    found = named(composed(above, *options)["model"]["init_args"]["objectives"], "heads", "kind", "weight")
    assert found == expected


@pytest.mark.parametrize("by", ["file", "option"])
def test_callbacks_and_transforms_are_replaced_whole(composed: Any, by: str) -> None:
    stop = "{class_path: EarlyStopping, init_args: {monitor: x}}"
    callbacks = f"[{{class_path: ModelCheckpoint, init_args: {{filename: mine}}}}, {stop}]"
    transforms = "[{name: standardize}]"
    if by == "file":
        config = composed(f"trainer: {{callbacks: {callbacks}}}\ndata: {{init_args: {{transforms: {transforms}}}}}")
    else:
        config = composed("seed_everything: 0", f"--trainer.callbacks={callbacks}", "--data.transforms", transforms)
    assert named(config["trainer"]["callbacks"], "filename", "monitor") == [
        ["ModelCheckpoint", "mine", None], ["EarlyStopping", None, "x"],
    ]  # fmt: skip
    assert config["trainer"]["callbacks"][0]["init_args"]["enable_version_counter"] is True
    assert config["data"]["init_args"]["transforms"] == [{"name": "standardize"}]


@pytest.mark.parametrize("by", ["file", "option"])
def test_another_class_takes_nothing_and_the_same_class_the_rest(composed: Any, by: str) -> None:
    front_end, backbone = "{class_path: SubjectProjection}", "{init_args: {width: 9}}"
    if by == "file":
        inner = f"{{front_end: {front_end}, backbone: {backbone}}}"
        config = composed(f"model: {{init_args: {{encoder: {{init_args: {inner}}}}}}}")
    else:
        config = composed(
            "seed_everything: 0", "--model.encoder.front_end", front_end, "--model.encoder.backbone.width", "9"
        )
    encoder = config["model"]["init_args"]["encoder"]["init_args"]
    assert encoder["front_end"]["class_path"].endswith("SubjectProjection")
    assert encoder["front_end"]["init_args"]["width"] == 1024
    assert encoder["backbone"]["init_args"]["width"] == 9
    assert encoder["backbone"]["init_args"]["dropout"] == 0.1


def test_mappings_that_are_values_are_replaced_and_options_win_wherever_they_stand(
    composed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = composed("data: {targets: {c: where}, fold: 1}")
    assert config["data"]["init_args"]["targets"] == {"c": "where"}
    assert config["data"]["init_args"]["fold"] == 1
    first = ["--data.fold", "2", "--config", str(tmp_path / "below.yaml"), "-c", str(tmp_path / "above.yaml")]
    assert run("fit", [*first, "--print_config"]) is None
    assert yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]["fold"] == 2


def test_full_paths_and_short_names_are_the_same_class() -> None:
    below = {"model": {"class_path": "neurodecode.training.decode_task.DecodeTask", "init_args": {"seed": 1}}}
    (found,) = compose([below, {"model": {"class_path": "DecodeTask", "init_args": {"warm_up": 0.1}}}]).values()
    assert found["init_args"] == {"seed": 1, "warm_up": 0.1}
    assert compose([{"trainer": {"logger": "X"}}, {"trainer": {"logger": {"init_args": {"a": 1}}}}]) == {
        "trainer": {"logger": {"class_path": "X", "init_args": {"a": 1}}}
    }
    assert compose([below, {"model": None, "data": None}]) == below
    assert compose([{"trainer": {"accelerator": "cpu"}}, {"trainer": {"accelerator": "cpu"}}]) == {
        "trainer": {"accelerator": "cpu"}
    }


def test_shipped_files_are_found_by_name_and_one_of_the_users_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_folder("recipe") / "ubp.yaml"
    for name in ("recipe/ubp", "configs/recipe/ubp.yaml", "recipe/ubp.yaml"):
        assert find_config(name) == shipped
    assert find_config("ubp", "recipe") == shipped
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "ubp.yaml").write_text("model: {}\n")
    assert find_config("recipe/ubp.yaml") == Path("recipe/ubp.yaml")
    for wrong, kind, message in [
        ("ubp", None, "no such file ubp; did you mean 'recipe/ubp'"),
        ("configs/recipe/upb.yaml", None, "did you mean 'recipe/ubp'"),
        ("upb", "recipe", "got 'upb', expected one of .*did you mean 'ubp'"),
        ("nothing.yaml", "recipe", r"no such file nothing\.yaml"),
        ("../study/nsd", "recipe", "expected one of"),
        ("recipe", None, "got the folder recipe, expected a YAML file"),
    ]:
        with pytest.raises(ConfigError, match=message):
            find_config(wrong, kind)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"# nothing\n", "got an empty file"),
        (b"- 1\n", "got a list, expected a mapping"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is no UTF-8 text"),
        (b"PK\x03\x04\x00\x00", "got no whole YAML"),
        (b"model:\n  init_args: {a: [1, 2", r"got no whole YAML \(.* in line 2\)"),
        (b"model: {a: 1}\ndata: {}\nmodel: {}\n", "line 3 has 'model' a second time"),
        (b"? [a]\n: 1\n", "got no whole YAML"),
        (b"a: &a [*a]\nb: !!python/object:os.system {}\n", "got no whole YAML"),
    ],
)
def test_files_that_are_no_configuration_are_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path, what="--config")
    assert str(caught.value).startswith(f"--config: {path}")
    assert "\n" not in str(caught.value)


def test_what_is_written_is_read_the_same() -> None:
    values = {"a": ["1e-3", 1e-7, True, None, "no", "2020-01-01", float("inf"), "é: #"], "b": {"c": -1}}
    assert parse_yaml(to_yaml(values)) == values
    assert parse_yaml("{<<: {a: 1}, a: 2}") == {"a": 2}
    assert json.dumps(parse_yaml("[.5, 1.e3, 1_000, 07, 12:30]"))
