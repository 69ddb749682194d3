"""Archives are read without extraction, and hostile ones are refused."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest

from neurodecode.core.errors import DataError
from neurodecode.datasets.archives import read_tar


def write(path: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_files_come_in_order_and_others_are_passed_over(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tar.gz",
        [
            (member("data", tarfile.DIRTYPE), b""),
            (member("data/b.csv"), b"two"),
            (member("data/readme.txt"), b"no"),
            (member("data/a.csv"), b"one"),
        ],
    )
    found = list(read_tar(path, suffix=".csv"))
    assert found == [(PurePosixPath("data/b.csv"), b"two"), (PurePosixPath("data/a.csv"), b"one")]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tar.gz"]


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (member("../evil.csv"), r"member '\.\./evil\.csv' leaves the archive's folder"),
        (member("data/../../evil.csv"), "leaves the archive's folder"),
        (member("/etc/evil.csv"), "leaves the archive's folder"),
        (member("data/x.csv", tarfile.SYMTYPE, "/etc/passwd"), "is a link or a device"),
        (member("data/x.csv", tarfile.LNKTYPE, "data/ok.csv"), "is a link or a device"),
        (member("data/x.csv", tarfile.FIFOTYPE), "is a link or a device"),
        (member("data/x.csv", tarfile.CHRTYPE), "is a link or a device"),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, info: tarfile.TarInfo, message: str) -> None:
    path = write(tmp_path / "a.tar.gz", [(member("data/ok.csv"), b"1"), (info, b"")])
    with pytest.raises(DataError, match=message):
        list(read_tar(path, suffix=".csv"))


def test_large_members_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar.gz", [(member("big.csv"), bytes(5000))])
    with pytest.raises(DataError, match=r"'big\.csv' has 5000 bytes, expected at most 4999"):
        list(read_tar(path, suffix=".csv", largest=4999))
    assert len(list(read_tar(path, suffix=".csv", largest=5000))) == 1


def test_cut_and_missing_archives_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar.gz", [(member("x.csv"), bytes(range(256)) * 400)])
    content = path.read_bytes()
    for share in (0.9, 0.5, 0.02):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match=r"a\.tar\.gz: not readable as a whole archive"):
            list(read_tar(path, suffix=".csv"))
    path.write_bytes(b"PK\x03\x04 no tar")
    with pytest.raises(DataError, match=r"a\.tar\.gz: not readable"):
        list(read_tar(path, suffix=".csv"))
    with pytest.raises(DataError, match=r"none\.tar: no such file"):
        list(read_tar(tmp_path / "none.tar", suffix=".csv"))
