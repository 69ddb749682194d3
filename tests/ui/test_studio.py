"""The studio answers from a result's folder: by the service, and over HTTP as a browser would ask."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurodecode.core.errors import DataError
from neurodecode.core.results import Results
from neurodecode.core.scores import protocol_label
from neurodecode.evaluation.answers import Answers
from neurodecode.evaluation.pictures import Pictures, save_pictures
from neurodecode.evaluation.retrieval import evaluate_retrieval
from neurodecode.ui.service import StudioService, tied_positions
from neurodecode.workflow.run_folder import RankingTables, save_gallery

NAMES = [f"1F4{number:02d}" for number in range(12)]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "planted"
    folder.mkdir()
    generator = np.random.default_rng(0)
    matrix = (3 * np.eye(12) + generator.normal(size=(12, 12))).astype(np.float32)
    scores = {("ridge", "sub-01"): matrix, ("shuffled_brain", "sub-01"): np.zeros((12, 12), np.float32)}
    queries = pd.DataFrame(
        {"subject": "sub-01", "query": NAMES, "stimulus": NAMES, "correct": NAMES, "unit": NAMES, "fold": 0,
         "repetitions": 20}
    )  # fmt: skip
    candidates = pd.DataFrame({"candidate": NAMES, "text": [f"thing {name}" for name in NAMES]})
    RankingTables(queries, candidates, scores).save(folder)
    found = evaluate_retrieval(
        {key: Answers(values, NAMES, NAMES) for key, values in scores.items()},
        protocol=protocol_label(
            "within-subject", unit="concept", averaged="signals x 20", gallery="12 test stimuli", weights="last"
        ),
        averaged="signals x 20",
        simulated=True,
        seed=0,
        n_bootstrap=50,
        n_permutations=50,
    )
    Results(found.scores, {"neurodecode": "0"}, 0, "ab", "net", "ridge", {}, found.absent).to_json(
        folder / "results.json"
    )
    true = generator.integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    save_pictures(
        folder / "pictures.npz",
        [Pictures("sub-01", NAMES[4:7], true, {"reconstruction": np.stack([true, 255 - true], axis=1)})],
    )
    save_gallery(folder / "gallery.npz", NAMES, generator.integers(0, 255, (12, 16, 16, 3), dtype=np.uint8))
    return folder


def test_ranking_agrees_with_sorting(result: Path) -> None:
    service = StudioService(result)
    tables = RankingTables.load(result)
    for row, query in enumerate(NAMES):
        ranking = service.ranking("planted", "sub-01", query, "ridge", top=12)
        scores = tables.scores["ridge", "sub-01"][row]
        assert [entry.name for entry in ranking.first] == [NAMES[column] for column in np.argsort(-scores)]
        assert ranking.shown.name == query
        assert ranking.shown.position == 1 + int((scores > scores[row]).sum())
        assert ranking.chance == pytest.approx(1 / 12)


def test_a_constant_model_puts_everything_in_the_middle(result: Path) -> None:
    ranking = StudioService(result).ranking("planted", "sub-01", NAMES[0], "shuffled_brain")
    assert ranking.shown.position == 6.5


def test_pictures_only_where_they_were_drawn(result: Path) -> None:
    service = StudioService(result.parent)
    shown = service.reconstruction("planted", "sub-01", NAMES[4])
    assert [caption for _, caption in shown] == [
        "what was shown",
        "from the brain, sample 1 of 2",
        "from the brain, sample 2 of 2",
    ]
    assert service.reconstruction("planted", "sub-01", NAMES[0]) == []
    assert "seeded subset" in service.why_no_pictures("planted", "sub-01")
    assert service.trials("planted", "sub-01")[0] == (f"thing {NAMES[4]} (with pictures)", NAMES[4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("../planted", "sub-01", NAMES[0], "ridge"), "not among planted"),
        (("planted", "sub-09", NAMES[0], "ridge"), "sub-09"),
        (("planted", "sub-01", "cat", "ridge"), "'cat' is not among the 12 queries"),
        (("planted", "sub-01", NAMES[0], "oracle"), "did not rank"),
    ],
)
def test_unknown_names_are_refused(result: Path, arguments: tuple[str, str, str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        StudioService(result).ranking(*arguments)


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no finished result"):
        StudioService(tmp_path)
    with pytest.raises(DataError, match=r"no finished result"):
        StudioService(tmp_path / "missing")


def test_the_bundle_holds_the_results(result: Path) -> None:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(StudioService(result).bundle("planted"))) as archive:
        assert json.loads(archive.read("results.json"))["chosen_model"] == "ridge"


def test_ties_share_their_mean_position() -> None:
    assert tied_positions([1.0, 1.0, 0.0, 2.0]).tolist() == [2.5, 2.5, 4.0, 1.0]


@pytest.fixture(scope="module")
def served(result: Path) -> Iterator[str]:
    """Serve the studio as a user does; in its own process, because the server leaves sockets to the system."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-c",
        "from neurodecode.cli.main import main; main()",
        "demo",
        str(result),
        "--port",
        str(port),
    ]
    url = f"http://127.0.0.1:{port}/"
    with subprocess.Popen(command, cwd=result, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            for _ in range(240):
                try:
                    with urllib.request.urlopen(url, timeout=5):
                        break
                except OSError:
                    assert process.poll() is None, process.stderr.read() if process.stderr else ""
                    time.sleep(0.5)
            yield url
        finally:
            process.kill()


CLIENT = """
import json, sys
from gradio_client import Client
client = Client(sys.argv[1], verbose=False)
answer = client.predict(*sys.argv[2:6], api_name="/show")
print(json.dumps(answer))
"""


def test_the_page_answers(served: str) -> None:
    arguments = [sys.executable, "-c", CLIENT, served, "planted", "sub-01", NAMES[4], "ridge"]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120)
    banner, picture, verdict, gallery, table, plot, pictures, note = json.loads(finished.stdout.splitlines()[-1])
    assert "SIMULATED" in banner
    assert picture
    assert "of 12 candidates" in verdict
    assert "chance 0.083" in verdict
    assert len(gallery) == 10
    assert len(table["data"]) == 10
    assert plot["type"] == "matplotlib"
    assert next(item["caption"] for item in pictures) == "what was shown"
    assert note == ""


@pytest.mark.parametrize("path", ["pyproject.toml", "ui/app.py"])
def test_files_beside_the_page_are_not_served(served: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match=r"403|404") as found:
        urllib.request.urlopen(f"{served}gradio_api/file={Path(path).resolve()}", timeout=20)
    found.value.close()
