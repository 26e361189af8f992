"""Files of an upload as series: order, doubles, gaps, several scans, archives, room; what is good is kept."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from made_up_scans import MARKER, chest, data_set, dicom, encoded, nifti, scan, zipped
from PIL import Image

from covid_core.data.places import Place, gaps, in_order, natural, without_doubles
from covid_core.data.series import Found, NamedFile, arrange, read_files, read_series, told
from covid_core.data.slices import Slice
from covid_core.errors import SliceError

REPOSITORY = Path(__file__).resolve().parents[2]


def files(contents: dict[str, bytes]) -> list[NamedFile]:
    return [NamedFile(name, lambda data=data: data, name) for name, data in contents.items()]


def shuffled(contents: dict[str, bytes], seed: int) -> dict[str, bytes]:
    names = list(contents)
    np.random.default_rng(seed).shuffle(names)
    return {name: contents[name] for name in names}


def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.clip((chest(seed=seed) + 1024) / 8, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def units(slices) -> list[np.ndarray]:
    return [one.hounsfield for one in slices]


# -------------------------------------------------------------------------------------------------------------- order


@pytest.mark.parametrize("seed", range(5))
def test_slices_come_from_head_to_feet_whatever_their_names(seed):
    made = scan(7)
    names = [f"{number}.dcm" for number in np.random.default_rng(9).permutation(7)]
    (series,), refused = read_series(files(shuffled(dict(zip(names, made, strict=True)), seed)))
    assert not refused
    for index, got in enumerate(units(series.slices)):
        np.testing.assert_array_equal(got, chest(seed=index))
    assert series.title == "DICOM series, 7 slices"
    assert series.warnings == ()


def test_position_counts_along_the_normal_and_before_the_number():
    angle = np.radians(20)
    tilt = [1, 0, 0, 0, round(float(np.cos(angle)), 8), round(float(-np.sin(angle)), 8)]
    normal = np.array([0, np.sin(angle), np.cos(angle)])
    made = {
        str(index): dicom(
            chest(seed=index),
            ImageOrientationPatient=tilt,
            # along the normal, and shifted within the plane: z alone would put them into another order
            ImagePositionPatient=[
                round(float(value), 6) for value in normal * -3.0 * index + np.array([0, *tilt[4:]]) * -20 * index
            ],
            InstanceNumber=99 - index,
        )
        for index in range(4)
    }
    (series,), _ = read_series(files(shuffled(made, 1)))
    for index, got in enumerate(units(series.slices)):
        np.testing.assert_array_equal(got, chest(seed=index))
    distances = [a.place.position - b.place.position for a, b in itertools.pairwise(series.found)]
    np.testing.assert_allclose(distances, 3, atol=1e-4)


@pytest.mark.parametrize("missing", [{"ImagePositionPatient": None}, {"ImagePositionPatient": [0, 0, 0]}])
def test_without_positions_numbers_decide_and_without_numbers_names(missing):
    made = {f"{9 - index}.dcm": dicom(chest(seed=index), InstanceNumber=index, **missing) for index in range(3)}
    (series,), _ = read_series(files(shuffled(made, 3)))
    np.testing.assert_array_equal(series.slices[0].hounsfield, chest(seed=0))
    assert "ordered by their numbers" in series.warnings[0]
    made = {f"{9 + index}.dcm": dicom(chest(seed=index), InstanceNumber=None, **missing) for index in range(3)}
    (series,), _ = read_series(files(shuffled(made, 3)))
    assert [one.name for one in series.slices] == ["9.dcm", "10.dcm", "11.dcm"]
    assert "ordered by their names" in series.warnings[0]


def test_natural_names():
    assert sorted(["a10", "A9", "a9b", "b1", "10", "9"], key=natural) == ["9", "10", "A9", "a9b", "a10", "b1"]
    assert natural("9" * 5000)  # as long as it is, it is no number to choke on


def test_any_places_are_ordered_and_none_is_lost():
    generator = np.random.default_rng(0)
    for _ in range(200):
        places = [
            Place(
                "s",
                float(generator.integers(5)) if generator.random() < 0.9 else None,
                int(generator.integers(5)) if generator.random() < 0.9 else None,
                f"{generator.integers(20)}.dcm",
            )
            for _ in range(int(generator.integers(1, 6)))
        ]
        order = in_order(places)
        assert sorted(order) == list(range(len(places)))
        kept = without_doubles(places, order)
        assert set(kept) <= set(order)
        again = in_order([places[index] for index in order])
        assert again == sorted(again)


# ----------------------------------------------------------------------------------------------------- doubles, gaps


def test_a_second_slice_at_the_same_place_is_left_out_with_a_word():
    made = dict(zip("abc", scan(3), strict=True))
    made["d"] = dicom(chest(seed=7), ImagePositionPatient=[-100, -80, 45.001], InstanceNumber=9)
    (series,), refused = read_series(files(shuffled(made, 2)))
    assert not refused
    assert [one.name for one in series.slices] == ["a", "b", "c"]
    assert "1 slice lies where another one lies" in series.warnings[0]


def test_slices_of_no_series_are_all_kept():
    made = {name: dicom(chest(seed=index), SeriesInstanceUID=None) for index, name in enumerate("ab")}
    (series,), _ = read_series(files(made))
    assert len(series.slices) == 2
    assert series.title == "DICOM slices without a series, 2 slices"


def test_gaps_are_told():
    made = scan(8)
    del made[4]
    (series,), _ = read_series(files({str(index): data for index, data in enumerate(made)}))
    assert series.warnings == ("Between slices 4 and 5 lie 10 mm, more than elsewhere: some seem to be missing.",)
    assert gaps([Place("s", float(-position)) for position in (0, 2, 4, 6)]) == []


# ------------------------------------------------------------------------------------------------------ several scans


def test_scans_are_told_apart():
    first = {f"a{index}": data for index, data in enumerate(scan(3, SeriesInstanceUID="1.2.3"))}
    second = {f"b{index}": data for index, data in enumerate(scan(2, SeriesInstanceUID="1.2.4"))}
    volume = np.stack([chest(40, 48, seed).T for seed in range(4)], axis=-1)
    more = {"volume.nii.gz": nifti(volume, packed=True), "picture.png": png()}
    series, refused = read_series(files(shuffled(first | second | more, 4)))
    assert not refused
    assert sorted(one.title.split(" ", 1)[1] for one in series if "DICOM" in one.title) == [
        "series 1, 3 slices"
        if any(one.title == "DICOM series 1, 3 slices" for one in series)
        else "series 1, 2 slices",
        "series 2, 2 slices"
        if any(one.title == "DICOM series 2, 2 slices" for one in series)
        else "series 2, 3 slices",
    ]
    assert {"Volume volume.nii.gz, 4 slices", "Pictures, 1 slice"} < {one.title for one in series}


def test_frames_of_one_file_are_a_series():
    frames = np.stack([chest(seed=seed) for seed in range(3)])
    (series,), refused = read_series(files({"many.dcm": encoded(data_set(frames))}))
    assert not refused
    for index, got in enumerate(units(series.slices)):
        np.testing.assert_array_equal(got, chest(seed=index))


def test_readings_join():
    made = {str(index): data for index, data in enumerate(scan(4))}
    whole, _ = read_series(files(made))
    parts = [read_files(files({name: made[name] for name in names})) for names in (("3", "0"), ("1", "2"))]
    joined = arrange([one for part in parts for one in part.found])
    assert [one.name for one in joined[0].slices] == [one.name for one in whole[0].slices]
    assert {one.source for one in joined[0].found} == set(made)


# ----------------------------------------------------------------------------------------------------------- archives


def test_an_archive_is_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = {f"{MARKER}/CT/{index}.dcm": data for index, data in enumerate(scan(4))}
    junk = {"DICOMDIR": b"x", "__MACOSX/._0.dcm": b"x", "notes.txt": b"hello", "more.zip": zipped({"0.dcm": b"x"})}
    reading = read_files(files({"scan.zip": zipped(made | junk)}))
    (series,) = arrange(reading.found, reading.notes)
    assert [one.name for one in series.slices] == ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]
    assert {one.source for one in reading.found} == {"scan.zip"}
    assert [refusal.name for refusal in reading.refusals] == ["notes.txt", "more.zip"]
    assert MARKER not in repr(reading)
    assert list(tmp_path.iterdir()) == []


def test_a_volume_may_lie_in_an_archive():
    volume = np.stack([chest(40, 48, seed).T for seed in range(3)], axis=-1)
    (series,), _ = read_series(files({"scan.zip": zipped({"a/volume.nii.gz": nifti(volume, packed=True)})}))
    assert series.title == "Volume volume.nii.gz, 3 slices"


# ---------------------------------------------------------------------------------------------------- refusals, room


def test_what_is_good_is_kept_and_what_is_not_is_listed():
    made = {str(index): data for index, data in enumerate(scan(3))}
    bad = {
        "head": dicom(BodyPartExamined="HEAD"),
        "empty": b"",
        "text": b"hello",
        "air": dicom(np.full((96, 128), -1024), ImagePositionPatient=[-100, -80, 70]),
    }
    (series,), refused = read_series(files(shuffled(made | bad, 5)))
    assert len(series.slices) == 3
    assert {refusal.name for refusal in refused} == set(bad)
    assert all(isinstance(refusal.error, SliceError) for refusal in refused)


def test_many_refusals_are_told_in_few_words():
    _, refused = read_series(files({f"{index}.dcm": dicom(Modality="MR") for index in range(20)}))
    (text,) = told(refused)
    assert text.startswith("0.dcm, 1.dcm and 18 more files: Expected a CT slice")
    _, refused = read_series(files({f"{index}.txt": b"x" * index for index in range(3)}))
    assert [text.split(":")[0] for text in told(refused)] == ["0.txt", "1.txt", "2.txt"]


def test_of_a_long_series_evenly_spaced_slices_are_taken():
    made = {str(index): data for index, data in enumerate(scan(25, 2.0))}
    (series,), refused = read_series(files(shuffled(made, 6)), most_slices=10)
    assert not refused
    assert [one.name for one in series.slices] == [str(index) for index in range(0, 25, 3)]
    assert series.warnings == ("Of 25 slices 9 were taken, evenly spaced: there is no room for more at once.",)
    volume = np.stack([chest(40, 48, seed).T for seed in range(25)], axis=-1)
    (series,), _ = read_series(files({"volume.nii": nifti(volume)}), most_slices=10)
    assert [one.place.frame for one in series.found] == list(range(0, 25, 3))


def test_doubles_take_no_room():
    made = {str(index): data for index, data in enumerate([*scan(6), *scan(6)])}
    (series,), _ = read_series(files(made), most_slices=6)
    assert [one.name for one in series.slices] == [str(index) for index in range(6)]


def test_room_is_shared_by_scans_and_counts_pixels():
    first = {f"a{index}": data for index, data in enumerate(scan(12, SeriesInstanceUID="1.2.3"))}
    second = {f"b{index}": data for index, data in enumerate(scan(6, SeriesInstanceUID="1.2.4"))}
    series, _ = read_series(files(first | second), most_slices=9)
    assert [len(one.slices) for one in series] == [6, 3]
    series, _ = read_series(files(first | second), most_pixels=9 * chest().size)
    assert [len(one.slices) for one in series] == [6, 3]


def test_pictures_beyond_the_room_are_refused():
    reading = read_files(files({f"{index}.png": png(index) for index in range(4)}), most_slices=2)
    assert len(reading.found) == 2
    assert [refusal.for_want_of_room for refusal in reading.refusals] == [True, True]
    reading = read_files(files({"1.dcm": dicom()}), most_slices=0)
    assert not reading.found
    assert reading.refusals[0].for_want_of_room


def test_a_long_scan_in_an_archive_needs_little_memory():
    """40 slices of 512 × 512: 20 MiB of files, of which 4 slices are kept."""
    archive = zipped({str(index): data for index, data in enumerate(_large_scan(40))}, zipfile.ZIP_STORED)
    tracemalloc.start()
    (series,), _ = read_series(files({"scan.zip": archive}), most_slices=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(series.slices) == 4
    assert peak < 16 * 2**20


def _large_scan(count: int):
    units = chest(512, 512)
    for index in range(count):
        yield dicom(units, ImagePositionPatient=[0, 0, -index], InstanceNumber=index)


def test_files_that_name_slices_without_end_are_refused(monkeypatch):
    monkeypatch.setattr("covid_core.data.series.MOST_SURVEYED", 5)
    frames = np.stack([chest(seed=seed) for seed in range(6)])
    many = {str(index): encoded(data_set(frames, SeriesInstanceUID=f"1.2.{index}")) for index in range(3)}
    reading = read_files(files(many))
    assert len(reading.found) == 6
    assert [refusal.name for refusal in reading.refusals] == ["1", "2"]


def test_a_file_beyond_the_limit_is_refused():
    reading = read_files(files({"1.dcm": dicom()}), max_bytes=1000)
    assert "at most" in str(reading.refusals[0].error)


def test_pictures_come_by_name():
    found = [
        Found(Slice(np.zeros((2, 2)), name=name), Place(name=name), name) for name in ("s10.png", "s9.png", "s1.png")
    ]
    (series,) = arrange(found)
    assert [one.name for one in series.slices] == ["s1.png", "s9.png", "s10.png"]
    assert series.warnings == ()


def test_decoders_are_loaded_only_for_the_files_that_need_them():
    code = (
        "import sys, covid_core.data.series\n"
        "slow = {'pydicom', 'nibabel', 'imagecodecs', 'streamlit'} & set(sys.modules)\n"
        "sys.exit(f'imported {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --------------------------------------------------------------------------------------------------------- real files


def test_a_real_series_is_read_whole_from_files_and_from_an_archive(shared_data):
    contents = {file.name: file.read_bytes() for file in sorted((shared_data / "dicom" / "lung-series").iterdir())}
    assert len(contents) == 30
    for given in (files(shuffled(contents, 7)), files({"scan.zip": zipped(shuffled(contents, 8))})):
        (series,), refused = read_series(given)
        assert not refused
        assert series.title == "DICOM series, 30 slices"
        assert [one.name for one in series.slices] == sorted(contents)
        assert series.warnings == ()
        distances = [a.place.position - b.place.position for a, b in itertools.pairwise(series.found)]
        np.testing.assert_allclose(distances, 8)
    del contents["1-10.dcm"]
    (series,), _ = read_series(files(contents))
    assert "Between slices 9 and 10 lie 16 mm" in series.warnings[0]


def test_real_loose_files_are_kept_apart_by_scan(shared_data):
    contents = {file.name: file.read_bytes() for file in (shared_data / "dicom" / "loose").iterdir()}
    series, refused = read_series(files(contents))
    assert not refused
    assert sorted(len(one.slices) for one in series) == [1, 1, 1, 2]
    assert all(one.hounsfield is not None for each in series for one in each.slices)


def test_a_real_volume_is_a_series(shared_data):
    file = shared_data / "nifti" / "id001-128x128x64.nii.gz"
    (series,), refused = read_series(files({file.name: file.read_bytes()}))
    assert not refused
    assert series.title == f"Volume {file.name}, 64 slices"
    assert min(one.hounsfield.min() for one in series.slices) < -1024
