"""Tables of stimuli."""

from pathlib import Path

import pandas as pd
import pytest

from neurodecode.core.errors import DataError
from neurodecode.core.stimuli import Stimuli


def table(names: tuple[str, ...] = ("cat", "NA", "2600")) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "stimulus": names,
            "kind": "image",
            "path": [f"set/{name}.png" for name in names],
            "concept": names,
            "text": "",
            "extra": range(len(names)),
        }
    )


def test_the_file_gives_back_the_table(tmp_path: Path) -> None:
    stimuli = Stimuli(table(), tmp_path)
    stimuli.save(tmp_path / "stimuli.csv")
    loaded = Stimuli.load(tmp_path / "stimuli.csv", root=tmp_path)
    assert loaded.names == ["cat", "NA", "2600"]
    assert loaded.get("NA")["path"] == "set/NA.png"
    assert loaded.get("2600")["text"] == ""
    assert len(loaded) == 3


def test_files_are_looked_up_when_they_are_asked_for(tmp_path: Path) -> None:
    stimuli = Stimuli(table(), tmp_path)
    with pytest.raises(DataError, match=r"cat\.png: the file of stimulus 'cat' is missing"):
        stimuli.file("cat")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cat.png").write_bytes(b"")
    assert stimuli.file("cat") == tmp_path / "set" / "cat.png"
    with pytest.raises(DataError, match="'dog' is not among the 3 stimuli"):
        stimuli.file("dog")
    with pytest.raises(DataError, match="'cat' has no file"):
        Stimuli(table()).file("cat")
    with pytest.raises(DataError, match="'cat' has no file"):
        Stimuli(table().assign(path=""), tmp_path).file("cat")


def test_bad_tables_are_refused() -> None:
    with pytest.raises(DataError, match="column 'concept' is missing"):
        Stimuli(table().drop(columns="concept"))
    with pytest.raises(DataError, match="'cat' occurs more than once"):
        Stimuli(table(("cat", "dog", "cat")))
    with pytest.raises(DataError, match="row 1 has no identifier"):
        Stimuli(table(("cat", "", "dog")))
    with pytest.raises(DataError, match="kind 'smell' is not one of"):
        Stimuli(table().assign(kind="smell"))
