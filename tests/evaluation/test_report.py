"""The report: one file, no request to any network, every title honest, nothing from data executed."""

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from neurodecode.cli import report as command
from neurodecode.core.errors import DataError
from neurodecode.core.results import Results
from neurodecode.core.scores import Absent, protocol_label
from neurodecode.evaluation import style
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.comparisons import compare_models
from neurodecode.evaluation.figures import standard_figures
from neurodecode.evaluation.pictures import CONDITIONS, Pictures, save_pictures
from neurodecode.evaluation.reconstruction import evaluate_reconstruction
from neurodecode.evaluation.report import render_report, write_report
from neurodecode.evaluation.report_tables import control_table, main_metric
from neurodecode.evaluation.report_text import cards, findings, limits
from neurodecode.evaluation.retrieval import evaluate_retrieval, repetition_curve
from neurodecode.evaluation.style import figure_bytes

NAMES = [f"s{index}" for index in range(12)]
MODELS = {"fused": 4.0, "decoder": 3.0, "ridge": 2.5, "ideal_learner": 8.0, "shuffled_brain": 0.0}


def label(averaged):
    return protocol_label(
        "within-subject", unit="concept", averaged=averaged, gallery="12 test stimuli", weights="last"
    )


def make_answers(scale=1.0):
    generator = np.random.default_rng(0)
    return {
        (model, subject): Answers(generator.standard_normal((12, 12)) + scale * gain * np.eye(12), NAMES, NAMES)
        for model, gain in MODELS.items()
        for subject in ("sub-01", "sub-02")
    }


def make_pictures():
    generator = np.random.default_rng(1)
    true = generator.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    made = {name: generator.integers(0, 256, (12, 2, 16, 16, 3), dtype=np.uint8) for name in CONDITIONS}
    return [Pictures("sub-01", NAMES, true, made, ["<script>alert(1)</script>", *NAMES[1:]])]


@cache
def make_results(simulated, with_pictures=True):
    fields = {"simulated": simulated, "seed": 0, "n_bootstrap": 50, "n_permutations": 50}
    answers = make_answers()
    found = evaluate_retrieval(answers, protocol=label("signals x 20"), averaged="signals x 20", **fields)
    scores = list(found.scores)
    scores += repetition_curve(lambda n: make_answers(n / 4), [1, 4], protocol=label, **fields)
    scores += compare_models(
        answers, [("decoder", "ridge")], protocol=label("signals x 20"), averaged="signals x 20",
        simulated=simulated, seed=0, n_draws=50,
    )  # fmt: skip
    if with_pictures:
        pixels = {"alexnet_5": lambda pictures: pictures.reshape(len(pictures), -1)}
        scores += evaluate_reconstruction(make_pictures(), pixels, protocol=label("signals x 20"), **fields).scores
    return Results(
        scores, {"neurodecode": "0.1.0"}, 0, "abc123", {"model": "net"}, "fused", {"study": "x"},
        [Absent("all", "oracle", "all", "the true response is unknown & <b>stays</b> so")],
        {"name": "tiny study", "modality": "EEG"}, ["50 Hz instead of 250 Hz"], ["a limit of its own"],
    )  # fmt: skip


CURVES = {"training loss": ([1, 2], [2.0, 1.0])}


@pytest.fixture(scope="module", autouse=True)
def coarse_figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style._SETTINGS, "savefig.dpi", 50)
        yield


@pytest.fixture(scope="module")
def simulated_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    results, pictures = make_results(True), make_pictures()
    figures = standard_figures(results, make_answers(), pictures, CURVES)
    page = write_report(results, figures, pictures, folder)
    return folder, page.read_text(encoding="utf-8"), figures, results


class Links(HTMLParser):
    """Collect every attribute that makes a browser load or open something."""

    def __init__(self):
        super().__init__()
        self.found, self.tags, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "hr", "link", "input"):
            self.open.append(tag)
        for name, value in attributes:
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                self.found.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_asks_for_nothing_beside_it(simulated_run):
    _, page, _, _ = simulated_run
    links = Links()
    links.feed(page)
    assert not links.open
    assert len(links.found) > 50
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in links.found)
    without_pictures = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest|src=\"//", without_pictures)
    assert "default-src 'none'" in page
    assert "link" not in links.tags


def test_every_section_is_there(simulated_run):
    _, page, _, _ = simulated_run
    for heading in ("At a glance", "Data", "Protocol", "Retrieval", "Reconstruction", "Controls", "What was trimmed",
                    "What this does not show", "Provenance"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page
    for text in ("50 Hz instead of 250 Hz", "a limit of its own", "abc123", "chosen on validation", "tiny study"):
        assert text in page
    anchors = set(re.findall(r'href="#([a-z]+)"', page))
    assert anchors == set(re.findall(r'<section id="([a-z]+)"', page))


def test_text_from_data_is_never_markup(simulated_run):
    _, page, _, _ = simulated_run
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "unknown &amp; &lt;b&gt;stays" in page


def titles(figure):
    return figure.get_suptitle()


def test_simulated_is_said_in_every_table_figure_and_title(simulated_run):
    _, page, figures, _ = simulated_run
    assert "<strong>SIMULATED DATA</strong>" in page
    assert re.search(r"<title>[^<]*\(simulated data\)</title>", page)
    assert page.count("<table") == page.count("<b>Simulated data</b>") > 8
    assert len(figures) >= 10
    for name, figure in figures.items():
        assert isinstance(figure, Figure)
        assert "SIMULATED" in titles(figure), name


def test_real_data_are_not_called_simulated():
    results, pictures = make_results(False), make_pictures()
    figures = standard_figures(results, make_answers(), pictures, CURVES)
    assert not any("SIMULATED" in titles(figure) for figure in figures.values())
    page = render_report(results, {name: figure_bytes(figures[name]) for name in ("retrieval_top1",)}, pictures)
    assert "simulated" not in page.lower()


def test_figures_have_the_same_bytes_every_time():
    results = make_results(True, with_pictures=False)
    first, second = (figure_bytes(standard_figures(results)["retrieval_top5"]) for _ in range(2))
    assert first == second
    assert first.startswith(b"\x89PNG")


def test_run_folder_can_be_rebuilt_from_its_files(simulated_run, tmp_path, capsys):
    _, page, _, results = simulated_run
    results.to_json(tmp_path / "results.json")
    save_pictures(tmp_path / "pictures.npz", make_pictures())
    (tmp_path / "figures").mkdir()
    kept = figure_bytes(standard_figures(results, curves=CURVES)["training"])
    (tmp_path / "figures" / "training.png").write_bytes(kept)
    command.run(str(tmp_path))
    again = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "report.html" in capsys.readouterr().out
    assert 'alt="training"' in again
    assert (tmp_path / "figures" / "training.png").read_bytes() == kept
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} >= {"retrieval_top5", "pictures_sub-01"}
    text = [
        re.sub(r"<figure>.*?</figure>|<section id=\"retrieval\">.*?</section>", "", part, flags=re.DOTALL)
        for part in (page, again)
    ]
    assert text[0] == text[1]


def test_rebuilding_needs_a_result(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        command.run(str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"results\.json: no such file"):
        command.run(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_pictures_ceilings_or_controls_still_stands():
    table = {("ridge", "sub-01"): Answers(np.eye(3), ["a", "b", "c"], ["a", "b", "c"])}
    found = evaluate_retrieval(
        table, protocol=label("none"), averaged="none", simulated=False, seed=0, n_bootstrap=20, n_permutations=20
    )
    results = Results(found.scores, {}, 0, "", "net", {"fold 0": "ridge"}, {}, found.absent)
    page = render_report(results, {}, [])
    assert main_metric(results) == "top1"
    assert "Reconstruction</h2>" not in page
    assert "no control among its records" in page
    assert "needs more than 5 candidates" in page
    Links().feed(page)
    render_report(replace(results, scores=[]), {}, [])


def test_cards_and_sentences_say_what_the_records_say():
    results = make_results(True)
    made = {card.name: card for card in cards(results)}
    assert set(made) == {"fused", "decoder", "ridge"}
    top5 = {
        s.model: s for s in results.select(metric=main_metric(results), direction="image_given_brain", subject="mean")
    }
    assert made["decoder"].share == top5["decoder"].value
    assert made["fused"].ceiling == top5["ideal_learner"].value
    assert made["fused"].chosen
    assert not made["ridge"].chosen
    said = " ".join(findings(results))
    assert f"{100 * top5['fused'].value / top5['ideal_learner'].value:.0f} % of the ideal" in said
    assert "Decoder minus ridge" in said
    assert "Shuffled brain" in said


def test_a_leaking_control_is_called_out():
    results = make_results(True)
    leaking = [
        replace(score, value=0.9, low=0.8, high=1.0)
        if (score.model, score.metric) == ("shuffled_brain", main_metric(results))
        else score
        for score in results.scores
    ]
    said = " ".join(findings(replace(results, scores=leaking)))
    assert "otherwise something leaks" in said
    assert any(row[-1].text == "better than chance" for row in control_table(replace(results, scores=leaking)).rows)


def test_limits_follow_from_the_records():
    said = " ".join(limits(make_results(True)))
    for text in ("The brain is simulated", "There are 2 subjects", "12 candidates", "averaged over repetitions",
                 "generator draws plausible pictures", "a limit of its own"):  # fmt: skip
        assert text in said
    real = " ".join(limits(make_results(False, with_pictures=False)))
    assert "simulated" not in real
    assert "plausible pictures" not in real
