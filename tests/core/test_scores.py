"""Score records refuse what a reader could not trust; results.json goes round and is checked field by field."""

import json
import os
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from neurodecode.core.errors import DataError
from neurodecode.core.results import Results, validate_results
from neurodecode.core.scores import Absent, Score, is_share, lower_is_better, protocol_label

SCORE = Score(
    "top5", "image_given_brain", 0.8, 0.7, 0.9, 0.025, 0.05, 200, 200, "signals x 20", "mean", "fused",
    protocol_label("joint", unit="concept", averaged="signals x 20", gallery="200 test stimuli", weights="last"), True,
)  # fmt: skip
DOCUMENT = Path(__file__).parents[2] / "docs" / "results.md"


def results(**changes):
    values = {
        "scores": [SCORE, replace(SCORE, metric="top1", subject="sub-01")],
        "versions": {"numpy": "2"},
        "seed": 0,
        "split_hash": "abc",
        "target_space": {"model": "net"},
        "chosen_model": "fused",
        "config": {"study": "openmoji_eeg"},
        "absent": [Absent("all", "oracle", "all", "nobody knows the true response")],
        "trimmed": ["50 Hz"],
    }
    return Results(**{**values, **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": float("nan")}, "'value' is nan, expected a finite number"),
        ({"value": "0.8"}, "'value' is '0.8', expected a number"),
        ({"value": 0.95}, "'value' is 0.95, expected from low 0.7 to high 0.9"),
        ({"high": 1.2}, "'high' is 1.2, expected between 0 and 1"),
        ({"metric": "top200"}, "k below the 200 candidates"),
        ({"metric": "way201"}, "expected 2 to 200"),
        ({"direction": "forward"}, "'direction' is 'forward'"),
        ({"subject": "1"}, "'subject' is '1'"),
        ({"model": " "}, "'model' is ' '"),
        ({"protocol": "the usual"}, "'protocol' is 'the usual'"),
        ({"n_queries": 0}, "'n_queries' is 0"),
        ({"n_candidates": 2.5}, "'n_candidates' is 2.5"),
        ({"simulated": 1}, "'simulated' is 1"),
    ],
)
def test_a_score_that_cannot_be_is_refused(change, message):
    with pytest.raises(DataError, match=re.escape(message)):
        replace(SCORE, **change)


def test_numpy_numbers_become_plain():
    score = replace(SCORE, value=np.float32(0.75), n_queries=np.int64(3), simulated=np.bool_(True))
    assert (type(score.value), type(score.n_queries), type(score.simulated)) == (float, int, bool)


def test_ranks_and_correlations_may_leave_zero_to_one():
    replace(SCORE, metric="mean_rank", value=3.0, low=2.0, high=4.0, chance=100.5, null_95=95.0)
    replace(SCORE, metric="difference_top5", value=-0.1, low=-0.2, high=0.0, chance=0.0)
    replace(SCORE, metric="pixcorr", direction="none", value=-0.1, low=-0.2, high=0.0, chance=-0.01)


def test_names_of_metrics():
    assert [is_share(name) for name in ("curve_top1", "two_way_alexnet5", "mrr", "ssim")] == [True, True, True, False]
    assert lower_is_better("curve_mean_rank")
    assert replace(SCORE, metric="mean_rank", value=3.0, low=2.0, high=4.0, chance=100.5, null_95=95.0).above_null


@pytest.mark.parametrize(
    ("fields_", "message"),
    [
        ({"setting": "intra"}, "got 'intra'"),
        ({"setting": "adapted"}, "budget"),
        ({"budget": "5 minutes"}, "belongs to 'adapted'"),
        ({"unit": ""}, "disjoint unit: is empty"),
    ],
)
def test_protocol_label_is_complete(fields_, message):
    good = {"setting": "joint", "unit": "concept", "averaged": "none", "gallery": "all", "weights": "last"}
    with pytest.raises(DataError, match=message):
        protocol_label(**{**good, **fields_})
    assert protocol_label(**{**good, "setting": "adapted", "budget": "5 minutes"}).startswith("adapted (5 minutes)")


def test_results_go_round_through_json_and_csv(tmp_path):
    made = results()
    made.to_json(tmp_path / "results.json")
    made.to_csv(tmp_path / "results.csv")
    assert Results.from_json(tmp_path / "results.json") == made
    raw = json.loads((tmp_path / "results.json").read_text())
    needed = {"scores", "versions", "seed", "split_hash", "target_space", "chosen_model", "config"}
    assert needed <= set(raw)
    assert (tmp_path / "results.csv").read_text().splitlines()[0].startswith("metric,direction,value,low,high")
    assert made.simulated
    assert made.select(metric="top1", subject="sub-01") == [made.scores[1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("seed"), "field 'seed' is missing"),
        (lambda raw: raw.update(seed=True), "field 'seed' is bool, expected int"),
        (lambda raw: raw.update(surplus=1), "field 'surplus' is unknown"),
        (lambda raw: raw.update(chosen_model=3), "field 'chosen_model' is int, expected dict or str"),
        (lambda raw: raw["scores"][1].pop("null_95"), r"scores\[1\]: field 'null_95' is missing"),
        (lambda raw: raw["scores"][0].update(value=None), r"scores\[0\]: field 'value' is None"),
        (lambda raw: raw["scores"][0].update(extra=1), r"scores\[0\]: field 'extra' is unknown"),
        (lambda raw: raw["scores"].append(raw["scores"][0]), "two records of top5 / image_given_brain / mean / fused"),
        (lambda raw: raw["absent"][0].pop("reason"), r"absent\[0\]: expected the fields"),
        (lambda raw: raw.update(trimmed=[1]), "field 'trimmed' holds something that is no text"),
    ],
)
def test_a_results_file_that_does_not_fit_is_named_with_its_field(tmp_path, change, message):
    raw = results().to_dict()
    change(raw)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(DataError, match=f"results.json: .*{message}"):
        Results.from_json(path)


def test_optional_fields_may_be_left_out():
    raw = results().to_dict()
    for name in ("absent", "study", "trimmed", "limits"):
        raw.pop(name)
    validate_results(raw)
    assert Results.from_dict(raw).absent == []


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    made = results()
    path = tmp_path / "results.json"
    made.to_json(path)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        results(seed=1).to_json(path)
    monkeypatch.undo()
    assert Results.from_json(path).seed == 0
    assert os.listdir(tmp_path) == ["results.json"]


def test_the_documented_schema_is_the_one_that_is_checked():
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    schema = json.loads(next(block for block in blocks if '"$schema"' in block))
    record = schema["properties"]["scores"]["items"]
    assert set(record["properties"]) == {entry.name for entry in fields(Score)}
    assert set(record["required"]) == {entry.name for entry in fields(Score)} - {"note"}
    assert set(schema["properties"]) == {entry.name for entry in fields(Results)}
    assert set(schema["required"]) == set(schema["properties"]) - {"absent", "study", "trimmed", "limits"}
    example = json.loads(next(block for block in blocks if '"$schema"' not in block))
    validate_results(example)
