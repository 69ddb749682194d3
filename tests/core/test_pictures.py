"""Pictures as files of their own and within HDF5 files and tar archives."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from neurodecode.core.errors import DataError
from neurodecode.core.pictures import as_pixels, digest_of_picture, load_picture, read_picture, split_reference
from neurodecode.core.stimuli import Stimuli
from neurodecode.core.tar_files import index_tar

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "stimuli.hdf5", "w") as file:
        file["imgBrick"] = PIXELS
        file["images"] = (PIXELS.transpose(0, 3, 1, 2) / 255).astype(np.float16)
        file["planes"] = PIXELS.transpose(0, 3, 1, 2)
        file["labels"] = np.arange(3)
        file.create_group("group")
    torch.save(torch.from_numpy(PIXELS.transpose(0, 3, 1, 2).astype(np.float32) / 255), tmp_path / "stimuli.pt")
    torch.save({"pictures": torch.zeros(2)}, tmp_path / "other.pt")
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for index, pixels in enumerate(PIXELS):
            add(archive, f"sample{index}.png", png(pixels))
        add(archive, "broken.jpg", b"not a picture")
    (tmp_path / "one.png").write_bytes(png(PIXELS[0]))
    return tmp_path


@pytest.mark.parametrize(
    "reference",
    [
        "stimuli.hdf5#imgBrick/{}",
        "stimuli.hdf5#images/{}",
        "stimuli.hdf5#planes/{}",
        "stimuli.pt#{}",
        "shard.tar#sample{}.png",
    ],
)
def test_containers_hold_the_same_pictures(folder: Path, reference: str) -> None:
    for index in (2, 0, 1):
        picture = read_picture(folder, reference.format(index))
        np.testing.assert_array_equal(np.asarray(picture), PIXELS[index])
    digests = {digest_of_picture(folder, reference.format(index)) for index in range(3)}
    assert len(digests) == 3


def test_digests_follow_from_what_is_stored(folder: Path) -> None:
    assert digest_of_picture(folder, "stimuli.hdf5#imgBrick/1") == hashlib.sha256(PIXELS[1].tobytes()).hexdigest()
    assert digest_of_picture(folder, "shard.tar#sample0.png") == digest_of_picture(folder, "one.png")


def test_a_stimulus_may_lie_in_a_container(folder: Path) -> None:
    table = pd.DataFrame(
        {"stimulus": ["a", "b"], "kind": "image", "path": ["shard.tar#sample1.png", "absent.tar#x.png"]}
    ).assign(concept="", text="")
    stimuli = Stimuli(table, folder)
    assert stimuli.file("a") == folder / "shard.tar"
    np.testing.assert_array_equal(np.asarray(stimuli.picture("a")), PIXELS[1])
    assert stimuli.content("a") == hashlib.sha256(png(PIXELS[1])).hexdigest()
    with pytest.raises(DataError, match=r"absent\.tar: the file of stimulus 'b' is missing"):
        stimuli.picture("b")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("stimuli.hdf5#brick/0", r"stimuli\.hdf5: no dataset 'brick', it has group, images, imgBrick, labels, planes"),
        ("stimuli.hdf5#group/0", "no dataset 'group'"),
        ("stimuli.hdf5#imgBrick/3", r"no picture 3 in 'imgBrick' of shape \(3, 6, 8, 3\)"),
        ("stimuli.hdf5#imgBrick/-1", "no picture -1 in 'imgBrick'"),
        ("stimuli.hdf5#labels/0", r"no picture 0 in 'labels' of shape \(3,\)"),
        ("stimuli.pt#3", r"stimuli\.pt: no picture 3 in a tensor of shape \(3, 3, 6, 8\)"),
        ("other.pt#0", r"other\.pt: holds dict, expected a tensor"),
        ("no.pt#0", r"no\.pt: no such file"),
        ("one.hdf5#imgBrick/0", r"one\.hdf5: no such file"),
        ("shard.tar#other.png", r"shard\.tar: no member 'other\.png' among 4"),
        ("shard.tar#broken.jpg", r"shard\.tar: member 'broken\.jpg': not readable as a picture"),
        ("two.png", r"two\.png: no such file"),
    ],
)
def test_bad_places_are_named(folder: Path, reference: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_picture(folder, reference)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG cut")
    with pytest.raises(DataError, match=r"a\.png: not readable as a picture"):
        load_picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="x: values from 0 to 255, expected 0 to 1"):
        as_pixels(np.array([[[0.0]], [[1.0]], [[255.0]]]), where="x")
    with pytest.raises(DataError, match="x: values from nan to nan, expected 0 to 1"):
        as_pixels(np.full((3, 2, 2), np.nan, np.float16), where="x")
    with pytest.raises(DataError, match=r"x: int64 of shape \(2, 2\), expected uint8"):
        as_pixels(np.zeros((2, 2), dtype=np.int64), where="x")
    (tmp_path / "a.pt").write_bytes(pickle.dumps(print))
    with pytest.raises(DataError, match=r"a\.pt: not readable as a tensor"):
        read_picture(tmp_path, "a.pt#0")
    (tmp_path / "a.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n cut")
    with pytest.raises(DataError, match=r"a\.hdf5: not readable as a whole HDF5 file"):
        read_picture(tmp_path, "a.hdf5#imgBrick/0")


def test_archives_are_indexed_and_never_extracted(folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    members = index_tar(folder / "shard.tar")
    assert list(members) == ["sample0.png", "sample1.png", "sample2.png", "broken.jpg"]
    assert members["sample2.png"].read() == png(PIXELS[2])
    assert sorted(path.name for path in folder.iterdir()) == before


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "up.tar", "w") as archive:
        add(archive, "../../outside.png", b"x")
    with pytest.raises(DataError, match=r"up\.tar: member '\.\./\.\./outside\.png' leaves the archive's folder"):
        index_tar(tmp_path / "up.tar")
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        info = tarfile.TarInfo("a.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match=r"link\.tar: member 'a\.png' is a link or a device"):
        index_tar(tmp_path / "link.tar")
    with tarfile.open(tmp_path / "twice.tar", "w") as archive:
        add(archive, "a.png", b"x")
        add(archive, "a.png", b"y")
    with pytest.raises(DataError, match=r"twice\.tar: member 'a\.png' occurs twice"):
        index_tar(tmp_path / "twice.tar")
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        add(archive, "a.png", b"x")
    with pytest.raises(DataError, match=r"packed\.tar: not readable as a whole tar archive"):
        index_tar(tmp_path / "packed.tar")
    with pytest.raises(DataError, match=r"absent\.tar: no such file"):
        index_tar(tmp_path / "absent.tar")
    with pytest.raises(DataError, match=r"up\.tar: member .* expected at most 0|leaves the archive"):
        index_tar(tmp_path / "up.tar", largest=0)


def test_a_cut_archive_is_named(folder: Path) -> None:
    path = folder / "shard.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:700])
    with pytest.raises(DataError, match=r"shard\.tar: (cut within member|not readable as a whole tar)"):
        index_tar(path)


@pytest.mark.parametrize("reference", ["a/b.png", "a#b.png", "x.HDF5#images/3", "x.tar#a/b#c.jpg"])
def test_references(reference: str) -> None:
    path, place = split_reference(reference)
    assert reference == (f"{path}#{place}" if place else path)
    assert bool(place) == reference.lower().startswith("x.")


def test_files_in_an_hdf5_file_are_decoded(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 3), (10, 200, 30)).save(buffer, format="PNG")
    with h5py.File(tmp_path / "stimuli.h5", "w") as file:
        images = file.create_dataset("images", (2,), dtype=h5py.vlen_dtype(np.uint8))
        images[0] = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
        images[1] = np.frombuffer(buffer.getvalue()[:40], dtype=np.uint8)
    picture = read_picture(tmp_path, "stimuli.h5#images/0")
    assert picture.size == (5, 3)
    assert picture.getpixel((4, 2)) == (10, 200, 30)
    with pytest.raises(DataError, match=r"stimuli\.h5: images/1: not readable as a picture"):
        read_picture(tmp_path, "stimuli.h5#images/1")
    with pytest.raises(DataError, match=r"no picture 2 in 'images' of shape \(2,\)"):
        read_picture(tmp_path, "stimuli.h5#images/2")


def test_pictures_in_an_npz_file_are_mapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", train=PIXELS.astype(np.float64), small=PIXELS, flat=PIXELS[0])
    for name in ("train", "small"):
        picture = read_picture(tmp_path, f"images.npz#{name}/2")
        np.testing.assert_array_equal(np.asarray(picture), PIXELS[2])
    for place, message in (
        ("test/0", r"images\.npz: no array 'test', got train, small, flat"),
        ("train/3", r"images\.npz: no picture 3 in 'train' of shape \(3, 6, 8, 3\)"),
        ("flat/0", r"no picture 0 in 'flat' of shape \(6, 8, 3\)"),
    ):
        with pytest.raises(DataError, match=message):
            read_picture(tmp_path, f"images.npz#{place}")
    np.savez_compressed(tmp_path / "packed.npz", train=PIXELS)
    with pytest.raises(DataError, match=r"packed\.npz: the array 'train' is compressed, expected it stored"):
        read_picture(tmp_path, "packed.npz#train/0")
    np.savez(tmp_path / "objects.npz", train=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"objects\.npz: the array 'train' holds objects, expected numbers"):
        read_picture(tmp_path, "objects.npz#train/0")
    whole = (tmp_path / "images.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.npz: not readable as a whole \.npz file"):
        read_picture(tmp_path, "cut.npz#train/0")
    with pytest.raises(DataError, match=r"none\.npz: no such file"):
        read_picture(tmp_path, "none.npz#train/0")
    np.savez(tmp_path / "dark.npz", train=np.full((1, 4, 4, 3), 0.5), wide=np.full((1, 4, 4, 3), 300.0))
    for name in ("train", "wide"):
        with pytest.raises(DataError, match=r"values from .* expected 0 to 255"):
            read_picture(tmp_path, f"dark.npz#{name}/0")
