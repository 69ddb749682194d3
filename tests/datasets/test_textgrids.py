"""TextGrids in Praat's long and short form; whatever is broken is refused."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodecode.core.errors import DataError
from neurodecode.datasets.textgrids import read_textgrid

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "ORT-MAU"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.5
            text = "he said ""12"" é"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.25
            mark = "x"
"""
SHORT = """File type = "ooTextFile short"
"TextGrid"

0
1.5
<exists>
1
"IntervalTier"
"ORT-MAU"
0
1.5
2
0
0.5
""
0.5
1.5
"he said ""12"" é"
"""


def written(folder: Path, content: bytes) -> Path:
    path = folder / "a.TextGrid"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("text", [LONG, SHORT])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_all_forms_are_read(tmp_path: Path, text: str, encoding: str) -> None:
    tiers = read_textgrid(written(tmp_path, text.encode(encoding)))
    assert list(tiers) == ["ORT-MAU"]
    assert tiers["ORT-MAU"].to_numpy().tolist() == [[0.0, 0.5, ""], [0.5, 1.5, 'he said "12" é']]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (LONG[: LONG.index("intervals [2]")].encode(), r"broken or cut \(tier 'ORT-MAU' has not the 2 rows"),
        (b'File type = "ooTextFile"\nObject class = "Pitch"', "not a TextGrid"),
        (LONG.replace("xmax = 0.5", "xmax = -1").encode(), r"interval from 0 to -1 s"),
        (LONG.replace("size = 2\nitem", "size = many\nitem").encode(), "broken or cut"),
        (LONG.replace("IntervalTier", "SoundTier").encode(), "expected a tier, got 'SoundTier'"),
        (LONG.replace("intervals: size = 2", "intervals: size = 2.5").encode(), r"expected a count, got 2\.5"),
        (LONG.encode("latin-1"), "not readable as text"),
        (b"", "not a TextGrid"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=rf"a\.TextGrid: .*{problem}|a\.TextGrid: {problem}"):
        read_textgrid(written(tmp_path, content))
    with pytest.raises(DataError, match=r"b\.TextGrid: no such file"):
        read_textgrid(tmp_path / "b.TextGrid")


def test_an_endless_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a count, got inf"):
        read_textgrid(written(tmp_path, b'"ooTextFile" "TextGrid" 0 1 <exists> 9e999 "IntervalTier" "words" 0 1 1'))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([*LONG.split(), '"', "9e999", "-1", '"TextGrid"', "<absent>"]), max_size=40))
def test_no_text_does_more_than_be_refused(pieces: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(DataError):
            read_textgrid(written(Path(folder), ('"ooTextFile" "TextGrid" ' + " ".join(pieces)).encode()))
