"""Sensor descriptions: checks, choice of channels, and the file."""

from pathlib import Path

import numpy as np
import pytest

from neurodecode.core.errors import DataError
from neurodecode.core.sensors import Sensors


def voxels() -> Sensors:
    generator = np.random.default_rng(0)
    return Sensors(
        names=("v1", "v2", "v3"),
        kinds=("voxel",) * 3,
        sfreq=0.0,
        tmin=0.0,
        unit="percent",
        positions=generator.normal(size=(3, 3)),
        layout=generator.normal(size=(3, 2)),
        regions={"V1": np.array([True, False, True]), "IT": np.array([False, True, False])},
        grid=np.arange(9).reshape(3, 3),
        affine=np.diag([2.0, 2.0, 2.0, 1.0]),
        volume=(9, 9, 9),
    )


def test_the_file_gives_back_everything(tmp_path: Path) -> None:
    sensors = voxels()
    sensors.save(tmp_path / "sensors.npz")
    loaded = Sensors.load(tmp_path / "sensors.npz")
    for name in ("names", "kinds", "sfreq", "tmin", "unit", "volume"):
        assert getattr(loaded, name) == getattr(sensors, name)
    for name in ("positions", "layout", "grid", "affine"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(sensors, name))
    assert {name: mask.tolist() for name, mask in loaded.regions.items()} == {
        "V1": [True, False, True],
        "IT": [False, True, False],
    }
    assert loaded.layout_fingerprint() == sensors.layout_fingerprint()


def test_a_file_without_extras_gives_none(tmp_path: Path) -> None:
    Sensors(("Oz",), ("eeg",), 250.0, -0.1, "V").save(tmp_path / "sensors.npz")
    loaded = Sensors.load(tmp_path / "sensors.npz")
    assert (loaded.positions, loaded.layout, loaded.grid, loaded.affine, loaded.volume) == (None,) * 5
    assert loaded.tmin == -0.1


def test_a_cut_or_foreign_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sensors.npz"
    voxels().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"sensors\.npz: not readable as a"):
        Sensors.load(path)
    np.savez(path, names=np.array(["a"]))
    with pytest.raises(DataError, match=r"sensors\.npz: not readable as a"):
        Sensors.load(path)
    with pytest.raises(DataError, match=r"none\.npz"):
        Sensors.load(tmp_path / "none.npz")


def test_picking_keeps_everything_in_order() -> None:
    sensors = voxels()
    picked = sensors.pick(["v3", "v1"])
    assert picked.names == ("v3", "v1")
    assert sensors.positions is not None
    assert picked.positions is not None
    np.testing.assert_array_equal(picked.positions, sensors.positions[[2, 0]])
    assert picked.regions["IT"].tolist() == [False, False]
    assert picked.grid is not None
    assert picked.grid.tolist() == [[6, 7, 8], [0, 1, 2]]
    assert picked.layout_fingerprint() != sensors.layout_fingerprint()
    with pytest.raises(DataError, match="'v9' is not among the 3"):
        sensors.pick(["v9"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": ("eeg",)}, "2 names but 1 kinds"),
        ({"names": ("Oz", "Oz")}, "'Oz' occurs more than once"),
        ({"kinds": ("eeg", "nose")}, "kind 'nose' is not one of"),
        ({"positions": np.zeros((2, 2))}, r"positions has shape \(2, 2\)"),
        ({"layout": np.zeros((3, 2))}, "layout has shape"),
        ({"regions": {"V1": np.zeros(3, dtype=bool)}}, "region 'V1'"),
        ({"regions": {"V1": np.zeros(2)}}, "region 'V1'"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    values = {"names": ("Oz", "Pz"), "kinds": ("eeg", "eeg"), "sfreq": 250.0, "tmin": 0.0, "unit": "V", **change}
    with pytest.raises(DataError, match=message):
        Sensors(**values)  # type: ignore[arg-type]
