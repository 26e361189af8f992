"""ZIP files: whatever an archive says, its members are read in memory, within bounds, under harmless names."""

from __future__ import annotations

import io
import os
import struct
import time
import tracemalloc
import zipfile

import pytest
from made_up_scans import dicom, zipped

from covid_core.data import zips
from covid_core.data.zips import MAX_MEMBERS, open_zip
from covid_core.errors import SliceError


def refusal(call) -> str:
    with pytest.raises(SliceError) as caught:
        call()
    return str(caught.value)


def test_members_come_back_byte_for_byte():
    files = {"a/1.dcm": dicom(), "a/2.dcm": b"second", "3": b""}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        members = open_zip(zipped(files, method))
        assert [member.name for member in members] == ["1.dcm", "2.dcm", "3"]
        assert [member.load() for member in members] == list(files.values())


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\windows\\passwd",
        "C:\\passwd",
        "a/../../passwd",
        "DOE^JOHN/1990/passwd",
    ],
)
def test_paths_are_dropped_and_nothing_is_written(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (member,) = open_zip(zipped({path: b"content"}))
    assert member.name == "passwd"
    assert member.load() == b"content"
    assert os.listdir(tmp_path) == []


def test_what_systems_leave_behind_is_ignored():
    left = ["__MACOSX/._1.dcm", "a/__MACOSX/1.dcm", ".DS_Store", "a/.DS_Store", "._1.dcm", "DICOMDIR", "a/dicomdir"]
    left += ["Thumbs.db", "desktop.ini"]
    files = dict.fromkeys(left, b"x") | {"a/1.dcm": b"slice"}
    archive = io.BytesIO(zipped(files))
    with zipfile.ZipFile(archive, "a") as more:
        more.mkdir("folder")
    assert [member.name for member in open_zip(archive.getvalue())] == ["1.dcm"]
    assert "holds no files" in refusal(lambda: open_zip(zipped(dict.fromkeys(left, b"x"))))
    assert "holds no files" in refusal(lambda: open_zip(zipped({})))


def test_an_archive_in_the_archive_is_refused_and_the_rest_is_kept():
    inner, slice_ = open_zip(zipped({"inner.zip": zipped({"1.dcm": b"x"}), "2.dcm": b"slice"}))
    assert "archive in the archive" in refusal(inner.load)
    assert slice_.load() == b"slice"


@pytest.mark.parametrize("bit", [0x1, 0x40])
def test_encrypted_members_are_refused(bit):
    data = bytearray(zipped({"1.dcm": b"slice"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= bit
    assert "encrypted" in refusal(lambda: open_zip(bytes(data)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_cannot_be_bounded_are_refused(method):
    (member,) = open_zip(zipped({"1.dcm": b"slice"}, method))
    assert "Deflate" in refusal(member.load)


def test_too_many_members_are_refused_before_they_are_objects():
    many = zipped({str(number): b"" for number in range(MAX_MEMBERS + 1)})
    tracemalloc.start()
    assert "at most 3,000 files" in refusal(lambda: open_zip(many))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_members_that_are_too_large_are_refused_one_by_one():
    large, small = open_zip(zipped({"large": os.urandom(1001), "small": b"x" * 1000}), max_member_bytes=1000)
    assert "at most" in refusal(large.load)
    assert small.load() == b"x" * 1000


def test_too_much_in_total_is_refused(monkeypatch):
    monkeypatch.setattr(zips, "MAX_TOTAL_BYTES", 2999)
    assert "unpacks to at most" in refusal(lambda: open_zip(zipped(dict.fromkeys("abc", bytes(1000)))))


def test_a_bomb_is_refused_without_unpacking_it():
    bomb = zipped({"1.dcm": bytes(30 * 2**20)})
    (member,) = open_zip(bomb)
    tracemalloc.start()
    before = time.thread_time()
    assert "times its size" in refusal(member.load)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert time.thread_time() - before < 0.5


def test_a_member_that_unpacks_to_more_than_it_states_is_damaged():
    data = bytearray(zipped({"1.dcm": os.urandom(1000) * 50}))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + place, 2000)
    (member,) = open_zip(bytes(data))
    assert "damaged" in refusal(member.load)


def test_damage_is_told():
    data = zipped({"1.dcm": os.urandom(5000)}, zipfile.ZIP_STORED)
    assert "damaged" in refusal(lambda: open_zip(data[:-30]))
    changed = bytearray(data)
    changed[100] ^= 1
    (member,) = open_zip(bytes(changed))
    assert "damaged" in refusal(member.load)
