"""What is kept is taken again only under the same key and with the bytes that were written."""

from pathlib import Path

import numpy as np
import pytest

from neurodecode.core.errors import ConfigError
from neurodecode.core.kept import CONTENT, KEY, computed_by, content_digest, kept_arrays, source_digest


def values() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "matrix": np.asfortranarray(generator.normal(size=(3, 4))),
        "names": np.array(["a", "null"]),
        "none": np.zeros((0, 2), dtype=np.float32),
        "one": np.array(5),
    }


def never() -> dict[str, np.ndarray]:
    raise AssertionError("computed again")


def test_arrays_come_back_as_they_were_made(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    made = kept_arrays(path, "key", values)
    again = kept_arrays(path, "key", never)
    assert list(made) == list(again) == list(values())
    for name, array in values().items():
        for found in (made[name], again[name]):
            np.testing.assert_array_equal(found, array)
            assert found.dtype == array.dtype
            assert found.shape == array.shape
            assert found.flags.c_contiguous


def test_another_key_is_computed_and_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    kept_arrays(path, "one", lambda: {"x": np.array(1)})
    assert kept_arrays(path, "two", lambda: {"x": np.array(2)})["x"] == 2
    assert kept_arrays(path, "two", never)["x"] == 2
    assert kept_arrays(path, "one", lambda: {"x": np.array(3)})["x"] == 3


@pytest.mark.parametrize("damage", ["cut", "edited", "foreign", "text"])
def test_what_was_not_written_here_is_not_trusted(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "kept.npz"
    kept_arrays(path, "key", lambda: {"x": np.arange(1000)})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "edited":  # a whole archive with the right key, but another number in it
        with np.load(path) as archive:
            arrays = dict(archive)
        arrays["x"] = np.arange(1000) + 1
        np.savez(path, allow_pickle=False, **arrays)
    elif damage == "foreign":
        np.savez(path, x=np.arange(1000))
    else:
        path.write_text("no archive")
    assert kept_arrays(path, "key", lambda: {"x": np.array(7)})["x"] == 7
    assert kept_arrays(path, "key", never)["x"] == 7


def test_an_interrupted_computation_leaves_nothing(tmp_path: Path) -> None:
    def stopped() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept_arrays(tmp_path / "kept.npz", "key", stopped)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_sees_every_element_type_shape_and_name() -> None:
    base = np.arange(6.0).reshape(2, 3)
    changed = base.copy()
    changed[1, 2] = np.nextafter(changed[1, 2], 9)
    others = [
        changed,
        base.astype(np.float32),
        base.reshape(3, 2),
        base.T,
        {"a": base},
        [base],
        [base, base],
        None,
        "a",
    ]
    digests = [content_digest(value) for value in (base, *others)]
    assert len(set(digests)) == len(digests)
    assert content_digest(np.asfortranarray(base)) == content_digest(base)
    assert content_digest({"a": base, "b": 1}) == content_digest({"b": 1, "a": base})
    assert content_digest(np.array(["ab", "c"])) != content_digest(np.array(["a", "bc"]))
    with pytest.raises(TypeError, match="objects"):
        content_digest(np.array([object()]))


def test_the_source_digest_follows_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "kept_package_for_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    whole, part = source_digest("kept_package_for_test"), source_digest("kept_package_for_test.part")
    assert whole != part
    (package / "part.py").write_text("A = 2\n")
    source_digest.cache_clear()
    assert source_digest("kept_package_for_test") != whole
    assert source_digest("kept_package_for_test.part") != part
    with pytest.raises(ConfigError, match="expected a module"):
        source_digest("kept_package_that_is_not_there")
    assert "numpy" in computed_by(["neurodecode.core.kept"])["libraries"]


def test_reserved_names_are_those_of_the_file(tmp_path: Path) -> None:
    kept_arrays(tmp_path / "kept.npz", "key", lambda: {"x": np.array(1)})
    with np.load(tmp_path / "kept.npz") as archive:
        assert set(archive.files) == {"x", KEY, CONTENT}
