"""The command `embed` on continuous speech, as a user types it."""

from pathlib import Path

import pytest

from neurodecode.cli.main import main
from neurodecode.core.prepared import prepare_study
from neurodecode.core.targets import Targets
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.miniatures.catalogue import write_miniature


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A miniature of a published study of speech, and its cache."""
    root = write_miniature("gwilliams2022", tmp_path_factory.mktemp("data") / "gwilliams2022")
    cache = tmp_path_factory.mktemp("cache") / "gwilliams2022"
    prepare_study(open_study("gwilliams2022", root), cache, sfreq=50.0)
    return root, cache


def test_speech_is_embedded_as_series_at_the_rate_asked_for(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = places
    monkeypatch.chdir(tmp_path)
    command = ["embed", "gwilliams2022", "--root", str(root), "--prepared", str(cache), "--rate", "120"]
    assert main(command) == 0
    targets = Targets.open(tmp_path / "outputs/targets/gwilliams2022/mel/mel")
    assert (targets.space.kind, targets.space.rate, targets.space.shape) == ("series", 120.0, (40,))
    assert main(command) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoder", "mel"], "--prepared: got none, expected the folder of the prepared study"),
        (["--encoder", "mel", "--rate", "0", "--prepared", "CACHE"], "rate: got 0.0, expected frames per second"),
        (["--encoder", "mel", "--layers", "pitch", "--prepared", "CACHE"], "layers: got 'pitch', expected some of"),
        (["--encoder", "wav2vec2", "--folder", "absent", "--prepared", "CACHE"], "config.json does not exist"),
        (["--encoder", "efficientnet_lite0"], "is a speech, but efficientnet_lite0 encodes pictures"),
    ],
)
def test_errors_are_one_line(
    places: tuple[Path, Path], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root, cache = places
    given = [str(cache) if word == "CACHE" else word for word in arguments]
    assert main(["embed", "gwilliams2022", "--root", str(root), *given]) != 0
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error
