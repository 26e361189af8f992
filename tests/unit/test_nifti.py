"""NIfTI volumes: axial slices as radiologists see them, wherever the axes of the file run; bounded memory."""

from __future__ import annotations

import gzip
import itertools
import time
import tracemalloc

import nibabel
import numpy as np
import pytest
from made_up_scans import chest, nifti

from covid_core.data.nifti import MAX_VOLUME_BYTES, Volume, open_volume
from covid_core.data.slices import Slice, read_slice
from covid_core.data.window import to_grey
from covid_core.errors import SliceError

CODES = [
    "".join(("RL", "PA", "IS")[axis][side] for axis, side in zip(order, sides, strict=True))
    for order in itertools.permutations(range(3))
    for sides in itertools.product((0, 1), repeat=3)
]
"""All 48 ways in which the axes of a file can run through a patient."""


def refusal(data: bytes, **options) -> str:
    with pytest.raises(SliceError) as caught:
        all_of(open_volume(data, **options))
    return str(caught.value)


def volume_of(count: int = 5) -> np.ndarray:
    """int16 (columns, rows, slices): axes run to the patient's left, back and feet, as an LPI file has them."""
    return np.stack([chest(40, 48, seed).T for seed in range(count)], axis=-1)


def all_of(volume: Volume) -> list[Slice]:
    return volume.read(range(len(volume.places)))


def oriented(values: np.ndarray, codes: str, zooms: tuple[float, float, float]) -> nibabel.Nifti1Image:
    """A volume whose axes run to the left, back and feet, stored along ``codes`` instead, at the same place."""
    affine = np.diag([-zooms[0], -zooms[1], -zooms[2], 1.0])
    affine[:3, 3] = 11, 22, 33
    image = nibabel.Nifti1Image(values, affine)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(tuple(codes))
    )
    turned = image.as_reoriented(turn)
    assert nibabel.aff2axcodes(turned.affine) == tuple(codes)
    return turned


@pytest.mark.parametrize("codes", CODES)
def test_every_orientation_gives_the_same_slices(codes):
    units = volume_of()
    image = oriented(units, codes, (0.9, 1.0, 2.5))
    volume = open_volume(image.to_bytes(), "volume.nii")
    slices = all_of(volume)
    assert [place.position for place in volume.places] == [0, -2.5, -5, -7.5, -10]
    for index, one in enumerate(slices):
        np.testing.assert_array_equal(one.hounsfield, units[:, :, index].T)
        np.testing.assert_array_equal(one.pixels, to_grey(units[:, :, index].T))
        assert one.spacing == pytest.approx((1.0, 0.9))
    some = volume.read([3, 1])
    np.testing.assert_array_equal(some[0].hounsfield, slices[3].hounsfield)
    np.testing.assert_array_equal(some[1].hounsfield, slices[1].hounsfield)


@pytest.mark.parametrize("codes", CODES)
def test_pixels_lie_where_nibabel_says_that_their_voxels_lie(codes):
    """Each corner of the volume is marked; its place in the world is nibabel's, its place on the picture is ours."""
    image = oriented(volume_of(4), codes, (0.9, 1.0, 2.5))
    values = np.asarray(image.dataobj).copy()
    corners = list(itertools.product(*((0, side - 1) for side in values.shape)))
    for number, corner in enumerate(corners):
        values[corner] = 2000 + number
    marked = nibabel.Nifti1Image(values, image.affine)
    slices = all_of(open_volume(marked.to_bytes()))
    middle = nibabel.affines.apply_affine(image.affine, (np.array(values.shape) - 1) / 2)
    for number, corner in enumerate(corners):
        right, front, head = nibabel.affines.apply_affine(image.affine, corner) - middle
        found = slices[0 if head > 0 else -1].hounsfield
        row, column = 0 if front > 0 else -1, 0 if right > 0 else -1  # the patient's right is at the left
        assert found[row, column] == 2000 + number


def test_a_packed_volume_is_the_same():
    plain, packed = open_volume(nifti(volume_of())), open_volume(nifti(volume_of(), packed=True))
    for one, other in zip(all_of(plain), all_of(packed), strict=True):
        np.testing.assert_array_equal(one.hounsfield, other.hounsfield)


def test_members_of_gzip_that_follow_each_other_are_one_file():
    data = nifti(volume_of())
    packed = gzip.compress(data[:5000], mtime=0) + gzip.compress(data[5000:], mtime=0)
    np.testing.assert_array_equal(all_of(open_volume(packed))[2].hounsfield, all_of(open_volume(data))[2].hounsfield)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64, ">i2", ">f4"])
def test_kinds_of_numbers(kind):
    image = nibabel.Nifti1Image(volume_of().astype(kind), np.diag([-1.0, -1.0, -1.0, 1.0]))
    if str(kind).startswith(">"):
        image = nibabel.Nifti1Image(volume_of(), image.affine, image.header.as_byteswapped(">"))
    np.testing.assert_array_equal(all_of(open_volume(image.to_bytes()))[1].hounsfield, volume_of()[:, :, 1].T)


def test_the_second_version_of_the_format():
    image = nibabel.Nifti2Image(volume_of(), np.diag([-1.0, -1.0, -1.0, 1.0]))
    np.testing.assert_array_equal(all_of(open_volume(image.to_bytes()))[1].hounsfield, volume_of()[:, :, 1].T)


def test_stored_values_are_scaled():
    stored = ((volume_of().astype(int) + 1024) // 2).astype(np.int16)
    affine = np.diag([-1.0, -1.0, -1.0, 1.0])
    volume = open_volume(nifti(stored, affine, scl_slope=2, scl_inter=-1024))
    np.testing.assert_array_equal(all_of(volume)[1].hounsfield, stored[:, :, 1].T * 2 - 1024)


def test_values_below_air_are_kept_and_shown_black():
    units = volume_of()
    units[:10] = -3000
    one = all_of(open_volume(nifti(units)))[0]
    assert one.hounsfield.min() == -3000
    assert one.pixels.min() == 0
    assert one.warnings == ()


def test_voxels_without_a_number_are_air():
    units = volume_of().astype(np.float32)
    units[3, 4, :], units[5, 6, :] = np.nan, np.inf
    one = all_of(open_volume(nifti(units, np.diag([-1.0, -1.0, -1.0, 1.0]))))[0]
    assert one.hounsfield[4, 3] == one.hounsfield[6, 5] == -1024
    assert "no number" in one.warnings[0]


@pytest.mark.parametrize("scale", [(1 / 4000, 0.3), (255 / 4000, 65), (1, 1024)])
def test_volumes_without_units_say_so_and_share_one_scale(scale):
    values = volume_of() * scale[0] + scale[1]
    slices = all_of(open_volume(nifti(values.astype(np.float32), np.diag([-1.0, -1.0, -1.0, 1.0]))))
    assert all(one.hounsfield is None for one in slices)
    assert all("no Hounsfield units" in one.warnings[0] for one in slices)
    pixels = np.stack([one.pixels for one in slices])
    assert (pixels.min(), pixels.max()) == (0, 255)
    expected = (volume_of() - float(volume_of().min())) * 255 / np.ptp(volume_of().astype(float))
    np.testing.assert_allclose(pixels, expected.transpose(2, 1, 0), atol=0.1)


def test_slices_that_show_nothing_are_none():
    units = volume_of()
    units[:, :, 0] = -1024
    slices = all_of(open_volume(nifti(units, np.diag([-1.0, -1.0, -1.0, 1.0]))))
    assert [one is None for one in slices] == [True, False, False, False, False]


def test_of_several_volumes_the_first_is_read():
    several = np.stack([volume_of(), volume_of() + 1], axis=-1)
    volume = open_volume(nifti(several, np.diag([-1.0, -1.0, -1.0, 1.0])))
    assert "several volumes" in volume.warnings[0]
    np.testing.assert_array_equal(all_of(volume)[1].hounsfield, volume_of()[:, :, 1].T)


def tilted(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.0, -1.0, -2.0])
    return affine


def test_a_tilted_volume_is_told_and_an_oblique_one_refused():
    assert open_volume(nifti(volume_of(), tilted(5))).warnings == ()
    volume = open_volume(nifti(volume_of(), tilted(20)))
    assert "tilted by 20°" in volume.warnings[0]
    np.testing.assert_array_equal(all_of(volume)[0].hounsfield, volume_of()[:, :, 0].T)
    assert "oblique" in refusal(nifti(volume_of(), tilted(40)))


def test_a_volume_without_orientation_is_told():
    volume = open_volume(nifti(volume_of(), sform_code=0, qform_code=0))
    assert "taken as axial" in volume.warnings[0]
    damaged = nifti(volume_of(), sform_code=1, srow_x=0, srow_y=0, srow_z=0)
    assert "orientation is damaged" in open_volume(damaged).warnings[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (nifti(volume_of(), magic=b"ni1"), "second file"),
        (nifti(volume_of(), dim=[3, 0, 40, 5, 1, 1, 1, 1]), "states no size"),
        (nifti(volume_of(), dim=[9, 48, 40, 5, 1, 1, 1, 1]), "states no size"),
        (nifti(volume_of(), dim=[5, 48, 40, 1, 1, 5, 1, 1]), "more than four axes"),
        (nifti(volume_of(), dim=[3, 48, 40, 30000, 1, 1, 1, 1], packed=True), "stops before its end"),
        (nifti(volume_of(), dim=[3, 32000, 32000, 5, 1, 1, 1, 1]), "pixels"),
        (nifti(volume_of(), dim=[3, 2048, 2048, 2000, 1, 1, 1, 1]), "512 MiB"),
        (nifti(volume_of(), datatype=128, bitpix=24), "colours"),
        (nifti(volume_of(), datatype=32, bitpix=64), "complex"),
        (nifti(volume_of(), datatype=7), "header is not valid"),
        (nifti(volume_of(), vox_offset=float("nan")), "header is not valid"),
        (nifti(volume_of(), vox_offset=1e9), "where its voxels begin"),
        (nifti(volume_of(), vox_offset=0), "where its voxels begin"),
        (nifti(volume_of())[:-1], "stops before its end"),
        (nifti(volume_of())[:350], "stops before its end"),
        (nifti(volume_of(), packed=True)[:-200], "cannot be decompressed"),
        (nifti(np.zeros((20, 48, 5), np.int16)), "at least 32"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_volumes_are_refused(data, words):
    assert words in refusal(data)


def test_a_single_slice_is_not_made_of_a_volume():
    with pytest.raises(SliceError, match="series"):
        read_slice(nifti(volume_of()))


def test_a_bomb_costs_neither_memory_nor_time():
    """300 MiB of zeros behind the header, of which one slice is asked for."""
    head = nifti(np.zeros((512, 512, 1), np.int16), dim=[3, 512, 512, 600, 1, 1, 1, 1])
    bomb = gzip.compress(head + bytes(300 * 2**20), 1, mtime=0)
    assert len(bomb) < 4 * 2**20
    assert MAX_VOLUME_BYTES > 512 * 512 * 600 * 2  # it is not refused for its size
    tracemalloc.start()
    before = time.thread_time()
    volume = open_volume(bomb)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    assert volume.read([300]) == [None]
    assert tracemalloc.get_traced_memory()[1] < 24 * 2**20
    tracemalloc.stop()
    assert time.thread_time() - before < 10


def test_mutated_volumes_give_slices_or_a_slice_error():
    seeds = [nifti(volume_of(3)), nifti(volume_of(3), packed=True)]
    outcomes = {"read": 0, "refused": 0}
    for number in range(600):
        generator = np.random.default_rng([9, number])
        changed = bytearray(seeds[number % 2])
        for _ in range(int(generator.integers(1, 6))):
            place = int(generator.integers(min(len(changed), 360)))
            changed[place] = int(generator.choice([0, 1, 127, 255, int(generator.integers(256))]))
        try:
            volume = open_volume(bytes(changed))
            slices = volume.read(range(min(3, len(volume.places))))
        except SliceError:
            outcomes["refused"] += 1
        except BaseException as error:
            error.add_note(f"mutation {number}: {changed.hex()}")
            raise
        else:
            outcomes["read"] += 1
            for one in slices:
                if one is not None:
                    assert np.isfinite(one.pixels).all()
                    assert 0 <= one.pixels.min() <= one.pixels.max() <= 255
    assert min(outcomes.values()) > 40, outcomes


def test_a_real_volume_is_that_of_nibabel(shared_data):
    file = shared_data / "nifti" / "id001-128x128x64.nii.gz"
    image = nibabel.as_closest_canonical(nibabel.load(file))
    expected = np.asarray(image.dataobj, np.float32)[::-1, ::-1, ::-1]  # right, front, head first
    slices = all_of(open_volume(file.read_bytes(), file.name))
    assert len(slices) == 64
    for index, one in enumerate(slices):
        np.testing.assert_array_equal(one.hounsfield, expected[:, :, index].T)
    mask = all_of(open_volume((shared_data / "nifti" / "id001-128x128x64-msk.nii.gz").read_bytes()))
    assert all(one is None or one.hounsfield is None for one in mask)
