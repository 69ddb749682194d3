"""A trained encoder as the `encoding` of `retrieve`: it finds what is planted, says what it is, is refused in time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.cli import retrieve
from neurodecode.core.errors import ConfigError, LeakageError, MismatchError
from neurodecode.core.prepared import PreparedStudy
from neurodecode.core.results import Results
from neurodecode.encoders.linear.trials import TrialSet
from neurodecode.evaluation.attention_figure import attention_figure
from neurodecode.training.command_line import run
from neurodecode.training.encode_task import EncodeTask
from neurodecode.workflow.bank import TargetBank
from neurodecode.workflow.checkpoint import open_checkpoint, open_network, require_fit
from neurodecode.workflow.encoder import fit_encoder_ranking
from neurodecode.workflow.items import fold_items

CONFIG = """
model:
  class_path: EncodeTask
  init_args:
    encoder:
      class_path: RegionEncoder
      init_args: {width: 16, n_heads: 2, hidden: 16, dropout: 0.0, preference: 10.0}
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.003}}
    objective: evidence
data:
  class_path: BrainDataModule
  init_args: {batch_size: 1000, transforms: [{name: standardize}]}
trainer:
  max_epochs: 15
  check_val_every_n_epoch: 15
  callbacks:
    - {class_path: ModelCheckpoint, init_args: {filename: last, enable_version_counter: false}}
"""


@pytest.fixture(scope="module")
def encoder(small_study: PreparedStudy, targets_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "encoder.yaml").write_text(CONFIG, encoding="utf-8")
    places = {layer: str(targets_folder / layer) for layer in ("first", "last")}
    run("fit", [
        "--config", str(folder / "encoder.yaml"),
        "--data.study", str(small_study.folder),
        "--data.targets", str(places),
        "--trainer.default_root_dir", str(folder / "run"),
        "--trainer.accelerator", "cpu",
    ])  # fmt: skip
    return folder / "run"


def test_retrieve_takes_an_encoder_for_its_encoding(
    small_study: PreparedStudy, targets_folder: Path, encoder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "result"
    retrieve.run(small_study.folder, targets_folder, checkpoint=encoder, output=folder, subjects=["sub-01"])
    results = Results.from_json(folder / "results.json")
    top = {
        score.model: score
        for score in results.scores
        if (score.metric, score.direction, score.subject) == ("top1", "image_given_brain", "sub-01")
    }
    assert {"ridge", "encoding", "linear_encoding", "fused", "chosen"} <= set(top)
    assert top["encoding"].value > 0.5  # chance is 1 of 24
    assert "joint" in top["encoding"].protocol
    assert "within-subject" in top["linear_encoding"].protocol
    assert {score.model for score in results.scores if score.metric == "curve_top1"} >= {"encoding", "ridge"}
    assert "RegionEncoder of last.ckpt, trained on sub-01, sub-02" in results.study["encoding"]
    assert {entry.model: entry.reason for entry in results.absent}["decoder"] == retrieve.REASON_ENCODER
    looked = pd.read_csv(folder / "attention.csv")
    assert looked["token"].tolist() == ["first", "last"]
    np.testing.assert_allclose(looked.groupby("region")["weight"].sum(), 1.0, atol=1e-5)
    assert (folder / "figures" / "attention.png").is_file()
    assert "RegionEncoder of last.ckpt" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_query_is_ranked_as_if_it_were_alone(small_study: PreparedStudy, bank: TargetBank, encoder: Path) -> None:
    task = open_network(encoder)
    assert isinstance(task, EncodeTask)
    items = fold_items(small_study, "sub-02")
    ranking = fit_encoder_ranking(task, bank, "sub-02", items)
    assert set(ranking.choice.table) == {"correlation", "noise_likelihood", "likelihood"}
    names, test = sorted(set(items.test.stimulus.tolist())), items.test
    scores = ranking.score(test, names)
    alone = TrialSet(test.signals[:1], test.stimulus[:1], test.group[:1], test.repetitions[:1])
    np.testing.assert_allclose(ranking.score(alone, names)[0], scores[0], rtol=1e-4, atol=1e-4)
    # Nothing of the test part enters the fit.
    shuffled = replace(items, test=test.select(np.arange(len(test))[::-1].copy()))
    again = fit_encoder_ranking(task, bank, "sub-02", shuffled)
    np.testing.assert_array_equal(again.model_error, ranking.model_error)
    with pytest.raises(LeakageError, match="checkpoint: was trained on fold 0, expected one of fold 1"):
        fit_encoder_ranking(task, bank, "sub-02", items, fold=1)


def test_an_encoder_that_does_not_fit_is_refused(
    small_study: PreparedStudy,
    bank: TargetBank,
    encoder: Path,
    trained: Path,
    across_study: Callable[[bool], PreparedStudy],
) -> None:
    task = open_network(encoder)
    with pytest.raises(LeakageError, match="checkpoint: was trained with split"):
        require_fit(task.interface, across_study(True), bank, ["sub-01"])
    with pytest.raises(MismatchError, match="checkpoint: was trained for sub-01, sub-02, but sub-03 is to be decoded"):
        require_fit(task.interface, small_study, bank, ["sub-03"])
    with pytest.raises(MismatchError, match="checkpoint: predicts the target 'first'"):
        require_fit(task.interface, small_study, TargetBank({"last": bank.layers["last"]}), ["sub-01"])
    with pytest.raises(ConfigError, match=r"got a checkpoint of the task .*EncodeTask, expected .*DecodeTask"):
        open_checkpoint(encoder)
    assert type(open_network(trained)).__name__ == "DecodeTask"


def test_regions_are_drawn_in_the_order_of_what_they_look_at() -> None:
    weights = {"IT": (0.1, 0.2, 0.7), "V1": (0.8, 0.1, 0.1), "V4": (0.2, 0.6, 0.2)}
    rows = [
        {"region": region, "token": token, "weight": weight}
        for region, own in weights.items()
        for token, weight in zip(("stem", "middle", "last"), own, strict=True)
    ]
    axes = attention_figure(pd.DataFrame(rows), simulated=False).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["V1", "V4", "IT"]
    np.testing.assert_allclose(axes.get_images()[0].get_array()[:, 0], [0.8, 0.2, 0.1])


def test_many_tokens_are_drawn_as_maps() -> None:
    rows = [
        {"region": region, "token": f"image {token}", "weight": 1 / 49}
        for region in ("V1", "V2")
        for token in range(49)
    ]
    figure = attention_figure(pd.DataFrame(rows), simulated=False)
    assert [axes.get_title() for axes in figure.axes] == ["V1", "V2"]
    assert figure.axes[0].get_images()[0].get_array().shape == (7, 7)  # type: ignore[union-attr]
