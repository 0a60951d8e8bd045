"""Archives become folders, and hostile ones nothing at all."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from functools import partial

import pytest

from nuclex.core.errors import CorruptError, InputError
from nuclex.data.unpack import Caps, archive_stem, unpack_archive

FILES = {"set/a.bpseq": b"1 A 0\n", "set/deep/b.bpseq": b"1 C 0\n" * 200, "c.txt": b""}


def tar(path, members, mode="w"):
    """A tar file of (TarInfo or name, content)."""
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
            if info.isreg():
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def of_kind(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refused(archive, folder, **caps):
    """The sentence that refuses an archive, after which nothing is there that was not there before."""
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        unpack_archive(archive, folder, caps=Caps(**caps))
    assert sorted(folder.parent.rglob("*")) == before
    message = str(caught.value)
    assert message.startswith(f"{archive}: is not unpacked: ")
    assert "\n" not in message
    return message.removeprefix(f"{archive}: is not unpacked: ")


def content(folder):
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "manifest.json"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_file_becomes_a_folder(tmp_path, mode):
    folders = [(of_kind("./", tarfile.DIRTYPE), b""), (of_kind("set", tarfile.DIRTYPE), b"")]
    archive = tar(tmp_path / "x.tar", [*folders, *FILES.items()], mode)
    assert unpack_archive(archive, tmp_path / "out") == tmp_path / "out"
    assert content(tmp_path / "out") == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.tar"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_file_becomes_a_folder(tmp_path, compression):
    archive = zipped(tmp_path / "x.zip", [("set/", b""), *FILES.items()], compression)
    unpack_archive(archive, tmp_path / "out")
    assert content(tmp_path / "out") == FILES


def test_a_second_call_checks_what_is_there(tmp_path):
    archive = tar(tmp_path / "x.tar", FILES.items())
    folder = unpack_archive(archive, tmp_path / "out")
    archive.unlink()
    assert unpack_archive(archive, folder) == folder
    (folder / "c.txt").write_bytes(b"more")
    with pytest.raises(CorruptError):
        unpack_archive(archive, folder)
    (tmp_path / "other").mkdir()
    archive = tar(tmp_path / "x.tar", FILES.items())
    with pytest.raises(InputError, match="exists already"):
        unpack_archive(archive, tmp_path / "other")


def test_modes_owners_and_times_are_not_taken_over(tmp_path):
    info = tarfile.TarInfo("run")
    info.mode, info.uid, info.mtime = 0o6777, 12345, 0
    folder = unpack_archive(tar(tmp_path / "x.tar", [(info, b"#!/bin/sh\n")]), tmp_path / "out")
    found = (folder / "run").stat()
    assert stat.S_IMODE(found.st_mode) & 0o7111 == 0
    assert found.st_mtime > 1e9


def test_an_archive_is_known_by_its_name():
    names = ("a.zip", "a.b.tar", "a.tgz", "a.tar.gz", "a.TAR.XZ", "a.tar.bz2", "a.fa.gz", "tar", ".zip", "a.xz")
    assert [archive_stem(name) for name in names] == ["a", "a.b", "a", "a", "a", "a", None, None, None, None]


OUTSIDE = ["../evil", "a/../../evil", "/tmp/evil", "//host/evil", "C:/evil", "a/..", ".."]
NO_NAMES = ["a\\..\\evil", "a\nb", "a\x1b[31m", "x" * 2000]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_outside_is_refused(tmp_path, name):
    for archive in (
        tar(tmp_path / "x.tar", [("good", b"1"), (name, b"2")]),
        zipped(tmp_path / "x.zip", [(name, b"2")]),
    ):
        assert "lies outside the folder" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_none_is_refused(tmp_path, name):
    for archive in (tar(tmp_path / "x.tar", [(name, b"2")]), zipped(tmp_path / "x.zip", [(name, b"2")])):
        assert "is none for a file" in refused(archive, tmp_path / "out")


KINDS = {
    "a link out": (of_kind("x", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
    "a link up": (of_kind("x", tarfile.SYMTYPE, "../.."), "is a link"),
    "a link inside": (of_kind("x", tarfile.SYMTYPE, "good"), "is a link"),
    "a hard link out": (of_kind("x", tarfile.LNKTYPE, "/etc/passwd"), "is a link"),
    "a hard link inside": (of_kind("x", tarfile.LNKTYPE, "good"), "is a link"),
    "a character device": (of_kind("x", tarfile.CHRTYPE), "is a device"),
    "a block device": (of_kind("x", tarfile.BLKTYPE), "is a device"),
    "a pipe": (of_kind("x", tarfile.FIFOTYPE), "is a device"),
    "holes": (of_kind("x", tarfile.GNUTYPE_SPARSE), "holes|damaged"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_file_is_refused(tmp_path, kind):
    info, message = KINDS[kind]
    found = refused(tar(tmp_path / "x.tar", [("good", b"1"), (info, b"")]), tmp_path / "out")
    assert any(part in found for part in message.split("|"))


def test_a_file_written_through_a_link_is_refused(tmp_path):
    members = [(of_kind("way", tarfile.SYMTYPE, str(tmp_path / "elsewhere")), b""), ("way/evil", b"2")]
    assert "'way' is a link" in refused(tar(tmp_path / "x.tar", members), tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_in_a_zip_file_is_refused(tmp_path, kind):
    info = zipfile.ZipInfo("x")
    info.external_attr = (kind | 0o777) << 16
    found = refused(zipped(tmp_path / "x.zip", [(info, b"/etc/passwd")]), tmp_path / "out")
    assert "'x' is a link" in found or "'x' is a device" in found


def test_the_same_place_twice_is_refused(tmp_path):
    for members in ([("a", b"1"), ("a", b"2")], [("a", b"1"), ("./a", b"2")], [("a/b", b"1"), ("a", b"2")]):
        assert "stands in it twice" in refused(tar(tmp_path / "x.tar", members), tmp_path / "out")
    assert "lies inside a file" in refused(tar(tmp_path / "x.tar", [("a", b"1"), ("a/b", b"2")]), tmp_path / "out")
    assert "is taken" in refused(tar(tmp_path / "x.tar", [("manifest.json", b"{}")]), tmp_path / "out")


ZEROS = bytes(24 << 20)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_bomb_in_a_tar_file_is_refused(tmp_path, mode):
    archive = tar(tmp_path / "x.tar", [("zeros", ZEROS)], mode)
    assert archive.stat().st_size < 200_000
    assert "more than" in refused(archive, tmp_path / "out")
    assert "more than" in refused(archive, tmp_path / "out", ratio=10**6, bytes=1 << 20)


def test_a_bomb_in_a_zip_file_is_refused(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("zeros", ZEROS)])
    assert "more than" in refused(archive, tmp_path / "out")
    many = zipped(tmp_path / "y.zip", [(f"zeros{number}", ZEROS[: 2 << 20]) for number in range(20)])
    assert "more than" in refused(many, tmp_path / "out")


def test_a_stream_of_nothing_but_zeros_is_refused(tmp_path):
    for pack in (gzip.compress, bz2.compress, partial(lzma.compress, preset=0)):
        (tmp_path / "x.tar").write_bytes(pack(ZEROS + ZEROS))
        assert "more than" in refused(tmp_path / "x.tar", tmp_path / "out")


def test_too_many_files_are_refused(tmp_path):
    members = [(f"f{number}", b"") for number in range(30)]
    for archive in (tar(tmp_path / "x.tar", members), zipped(tmp_path / "x.zip", members)):
        assert refused(archive, tmp_path / "out", members=29) == "it holds more than 29 files and folders"
        unpack_archive(archive, tmp_path / f"out-{archive.suffix}", caps=Caps(members=30))


def test_a_zip_file_that_understates_its_sizes_is_refused(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("zeros", ZEROS[: 4 << 20])])
    data = bytearray(archive.read_bytes())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + place, 10)
    archive.write_bytes(data)
    assert refused(archive, tmp_path / "out")


def test_files_of_a_zip_file_that_share_their_bytes_are_refused(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("zeros", ZEROS[: 1 << 20])])
    data = archive.read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry, tail = data[start:end], bytearray(data[end:])
    entries = b"".join(entry.replace(b"zeros", b"zer%02d" % number) for number in range(60))
    struct.pack_into("<HHI", tail, 8, 60, 60, len(entries))
    archive.write_bytes(data[:start] + entries + tail)
    assert refused(archive, tmp_path / "out")


@pytest.mark.parametrize("size", [-512, -1, 1 << 62, 10**15])
def test_a_tar_file_with_an_impossible_size_is_refused(tmp_path, size):
    info = tarfile.TarInfo("x")
    info.size = size
    header = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "x.tar").write_bytes(header + bytes(1024))
    assert refused(tmp_path / "x.tar", tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("size", [-512, 1 << 40, 5 << 20])
def test_a_long_header_is_refused(tmp_path, kind, size):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    packed = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(max(0, min(size, 5 << 20))) + bytes(1024))
    (tmp_path / "x.tar").write_bytes(packed)
    found = refused(tmp_path / "x.tar", tmp_path / "out", ratio=10**6)
    assert "damaged" in found


def test_a_map_of_holes_without_end_is_refused(tmp_path):
    keys = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x", "GNU.sparse.realsize": "1"}
    info = tarfile.TarInfo("x")
    info.pax_headers = keys
    info.size = 512
    header = info.tobuf(tarfile.PAX_FORMAT)
    (tmp_path / "x.tar").write_bytes(header + b"999999999999\n" + b"1" * 499)
    assert refused(tmp_path / "x.tar", tmp_path / "out")


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_what_follows_the_packed_stream_is_read_or_refused(tmp_path, mode):
    """Python's own readers of xz and bzip2 leave out a damaged stream behind a whole one without a word."""
    archive = tar(tmp_path / "x.tar", [("good", b"1")], mode)
    whole = archive.read_bytes()
    archive.write_bytes(whole + b"what is no stream")
    assert "it is damaged" in refused(archive, tmp_path / "out")
    archive.write_bytes(whole + b"\0" * 512)
    assert (unpack_archive(archive, tmp_path / "out") / "good").read_bytes() == b"1"


@pytest.mark.parametrize("kind", ["w:gz", "w:xz", "w:bz2", "zip"])
def test_a_damaged_archive_is_refused(tmp_path, kind):
    random = [(f"{number}", bytes((number * 7 + place * 13) % 251 for place in range(3000))) for number in range(5)]
    path = tmp_path / "x"
    archive = zipped(path, random) if kind == "zip" else tar(path, random, kind)
    whole = archive.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:40], whole[:60] + bytes(30) + whole[90:], b"", b"PK\x03\x04"):
        archive.write_bytes(damaged)
        assert "damaged" in refused(archive, tmp_path / "out") or damaged == b""
    archive.write_bytes(whole)
    unpack_archive(archive, tmp_path / "out")
    assert len(content(tmp_path / "out")) == 5


def test_an_encrypted_or_strangely_packed_zip_file_is_refused(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("x", b"1" * 50)])
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    assert "'x' is encrypted" in refused(archive, tmp_path / "out")
    strange = zipped(tmp_path / "y.zip", [("x", b"1" * 50)], zipfile.ZIP_LZMA)
    assert "compressed in a way that is not read" in refused(strange, tmp_path / "out")
