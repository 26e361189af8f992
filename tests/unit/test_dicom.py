"""DICOM files: Hounsfield units are exact, what is no axial chest CT is refused, nothing of the patient is kept."""

from __future__ import annotations

import contextlib
import math
import struct
import time
import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
from made_up_scans import AXIAL, ENHANCED_CT, MARKER, chest, compressed, data_set, dicom, encoded
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from covid_core.data import dicom_elements
from covid_core.data.dicom import AIR, as_seen, open_dicom
from covid_core.data.slices import Slice, read_slice
from covid_core.data.window import to_grey
from covid_core.errors import SliceError

JPEG = "1.2.840.10008.1.2.4."


def refusal(data: bytes, **options) -> str:
    with pytest.raises(SliceError) as caught:
        read_slice(data, "scan.dcm", **options)
    return str(caught.value)


def one_element(tag: int, kind: bytes, value: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + kind
    size = len(value) if length is None else length
    if kind in (b"OB", b"OW", b"SQ", b"UN"):
        return head + bytes(2) + struct.pack("<I", size) + value
    return head + struct.pack("<H", size) + value


# --------------------------------------------------------------------------------------------------- Hounsfield units


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_hounsfield_units_come_back_exactly(syntax, signed):
    units = chest()
    one = data_set(units, signed=signed)
    if syntax:
        one.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
    result = read_slice(encoded(one), "scan.dcm")
    assert isinstance(result, Slice)
    assert result.hounsfield.dtype == result.pixels.dtype == np.float32
    np.testing.assert_array_equal(result.hounsfield, units)
    np.testing.assert_array_equal(result.pixels, to_grey(units))
    assert result.spacing == (0.7, 0.8)
    assert result.warnings == ()
    assert result.name == "scan.dcm"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, None])
def test_a_file_without_the_head_of_part_10_is_read(syntax):
    one = data_set(chest())
    if syntax:
        one.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(read_slice(encoded(one, part_10=False)).hounsfield, chest())


def test_slope_and_intercept_are_applied_before_the_window():
    stored = np.arange(96 * 128).reshape(96, 128) % 4096
    one = data_set(stored, intercept=0, RescaleSlope="0.5", RescaleIntercept="-1000.25")
    np.testing.assert_array_equal(read_slice(encoded(one)).hounsfield, (stored * 0.5 - 1000.25).astype(np.float32))


def test_bits_that_are_not_in_use_are_cut_off():
    units = chest()
    stored = (units.astype(int) + 1024).astype(np.uint16)
    above = data_set(units, PixelData=(stored | 0xA000).tobytes())
    np.testing.assert_array_equal(read_slice(encoded(above)).hounsfield, units)
    shifted = data_set(units, PixelData=(stored << 4 | 5).astype(np.uint16).tobytes(), HighBit=15)
    np.testing.assert_array_equal(read_slice(encoded(shifted)).hounsfield, units)
    negative = data_set(units, intercept=0, signed=True, BitsStored=13, HighBit=12)
    negative.PixelData = (units.astype(np.uint16) & 0x1FFF).tobytes()
    np.testing.assert_array_equal(read_slice(encoded(negative)).hounsfield, units)


@pytest.mark.parametrize(("signed", "value"), [(True, -2000), (False, 63000)])
def test_padding_is_read_as_air(signed, value):
    units = chest()
    one = data_set(units, signed=signed, bits=16)
    stored = np.frombuffer(one.PixelData, "<i2" if signed else "<u2").reshape(units.shape).copy()
    stored[:5] = value
    one.PixelData = stored.tobytes()
    one.add_new(0x00280120, "SS" if signed else "US", value)
    result = read_slice(encoded(one))
    assert (result.hounsfield[:5] == AIR).all()
    np.testing.assert_array_equal(result.hounsfield[5:], units[5:])
    assert result.pixels[:5].max() < 60


def test_a_range_of_padding_is_read_as_air():
    one = data_set(chest(), signed=True)
    stored = np.frombuffer(one.PixelData, "<i2").reshape(96, 128).copy()
    stored[0], stored[1], stored[2] = -2000, -1900, -1800
    one.PixelData = stored.tobytes()
    one.add_new(0x00280120, "SS", -2000)
    one.add_new(0x00280121, "SS", -1850)
    result = read_slice(encoded(one)).hounsfield
    assert (result[:2] == AIR).all()
    assert (result[2] == -1800 - 1024).all()


def test_values_that_are_units_already_are_taken_with_a_word():
    one = data_set(chest(), intercept=0, signed=True, RescaleIntercept=None, RescaleSlope=None)
    result = read_slice(encoded(one))
    np.testing.assert_array_equal(result.hounsfield, chest())
    assert "does not say how to turn its values into Hounsfield units" in result.warnings[0]


@pytest.mark.parametrize(
    "tags", [{"RescaleIntercept": None, "RescaleSlope": None}, {"RescaleIntercept": 0}, {"RescaleType": "Z_EFF"}]
)
def test_values_that_are_no_units_are_grey_values_with_a_word(tags):
    result = read_slice(dicom(**tags))
    assert result.hounsfield is None
    np.testing.assert_allclose(result.pixels, (chest() + 1024.0) * 255 / 4095, rtol=1e-6)
    assert "holds no Hounsfield units" in result.warnings[0]


def test_units_that_are_not_specified_are_judged_by_the_values():
    assert read_slice(dicom(RescaleType="US")).hounsfield is not None


def test_monochrome1_changes_how_values_are_shown_and_not_what_they_are():
    np.testing.assert_array_equal(read_slice(dicom(PhotometricInterpretation="MONOCHROME1")).hounsfield, chest())


def test_monochrome1_with_inverted_values_is_turned_back():
    one = data_set(chest(), PhotometricInterpretation="MONOCHROME1")
    one.PixelData = (4095 - np.frombuffer(one.PixelData, "<u2")).astype("<u2").tobytes()
    result = read_slice(encoded(one))
    np.testing.assert_array_equal(result.hounsfield, chest())
    assert "turned back" in result.warnings[0]


def test_monochrome1_without_units_has_dark_lungs():
    one = data_set(chest(), PhotometricInterpretation="MONOCHROME1")
    stored = np.frombuffer(one.PixelData, "<u2")
    one.PixelData = (stored.max() - stored).astype("<u2").tobytes()
    result = read_slice(encoded(one))
    assert result.hounsfield is None
    assert "inverted" in result.warnings[0]
    lung, body = result.pixels[40:46, 36:40].mean(), result.pixels[20:24, 62:66].mean()
    assert lung < body


# -------------------------------------------------------------------------------------------------------- compression


def frames_of(one: Dataset) -> np.ndarray:
    kind = "<i2" if one.PixelRepresentation else "<u2"
    return np.frombuffer(one.PixelData, kind).reshape(one.Rows, one.Columns)


ENCODERS = {
    JPEG + "57": lambda stored: imagecodecs.ljpeg_encode(stored.view(np.uint16), bitspersample=16),
    JPEG + "70": lambda stored: imagecodecs.jpeg8_encode(stored.view(np.uint16), lossless=True, bitspersample=16),
    JPEG + "80": lambda stored: imagecodecs.jpegls_encode(stored.view(np.uint16)),
    JPEG + "81": lambda stored: imagecodecs.jpegls_encode(stored.view(np.uint16), level=0),
    JPEG + "90": lambda stored: imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, codecformat="j2k"),
    JPEG + "91": lambda stored: imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, codecformat="jp2"),
    JPEG + "201": lambda stored: imagecodecs.htj2k_encode(stored, reversible=True),
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", ENCODERS)
def test_compressed_units_come_back_exactly(syntax, signed):
    one = data_set(chest(), signed=signed, bits=16)
    result = read_slice(compressed(one, syntax, [ENCODERS[syntax](frames_of(one))]))
    np.testing.assert_array_equal(result.hounsfield, chest())
    assert bool(result.warnings) == (syntax[-2:] in ("81", "91"))


@pytest.mark.parametrize("signed", [False, True])
def test_run_lengths_come_back_exactly(signed):
    one = data_set(chest(), signed=signed)
    one.compress(RLELossless, encoding_plugin="pydicom")
    np.testing.assert_array_equal(read_slice(encoded(one)).hounsfield, chest())


def test_lossy_jpeg_is_read_with_a_word():
    units = chest()
    grey = np.clip((units + 1024) / 16, 0, 255).astype(np.uint8)
    one = data_set(units, BitsAllocated=8, BitsStored=8, HighBit=7, RescaleSlope=16)
    result = read_slice(compressed(one, JPEG + "50", [imagecodecs.jpeg8_encode(grey, level=95)]))
    assert "with losses" in result.warnings[-1]
    assert np.abs(result.hounsfield - units).mean() < 40


def test_a_frame_in_several_pieces_is_joined():
    one = data_set(chest())
    data = ENCODERS[JPEG + "80"](frames_of(one))
    half = len(data) // 4 * 2
    pieces = compressed(one, JPEG + "80", [data[:half], data[half:]])
    np.testing.assert_array_equal(read_slice(pieces).hounsfield, chest())


@pytest.mark.parametrize("syntax", [JPEG + "70", JPEG + "80", JPEG + "90", RLELossless])
def test_a_compressed_frame_of_another_size_never_reaches_the_decoder(syntax):
    one = data_set(chest(512, 512))
    if syntax == RLELossless:
        one.compress(RLELossless, encoding_plugin="pydicom")
        one.Rows = 256
        data = encoded(one)
    else:
        data = compressed(one, syntax, [ENCODERS[syntax](frames_of(data_set(chest(513, 512))))])
    assert "of another size" in refusal(data)


@pytest.mark.parametrize(
    "hidden", [b"\xff\x01", b"\xff\xd0", b"\x00", b"\xff\x00", b"\xff\xc9\x00\x0b\x10\x4e\x20\x4e\x20\x01\x01\x11\x00"]
)
def test_a_frame_that_two_readers_may_read_in_two_ways_is_refused(hidden):
    """A huge frame behind what stands alone or is skipped, then what a careless walk would land on: the stated size."""
    one = data_set(chest())
    good = ENCODERS[JPEG + "70"](frames_of(one))
    huge = bytearray(good)
    place = good.index(b"\xff\xc3")
    huge[place + 5 : place + 9] = struct.pack(">HH", 20000, 20000)
    filler = bytes(0xFFC3 - 100) if hidden == b"\xff\x01" else b""
    trick = good[:2] + hidden + bytes(huge[place:]) + filler + good[place:]
    assert "of another size" in refusal(compressed(one, JPEG + "70", [trick]))


def test_a_code_stream_is_not_looked_for_in_a_comment():
    one = data_set(chest())
    good = imagecodecs.jpeg2k_encode(frames_of(one), level=0, reversible=True, codecformat="j2k")
    huge = imagecodecs.jpeg2k_encode(np.zeros((600, 600), np.uint16), level=0, reversible=True, codecformat="jp2")
    box = struct.pack(">I4s", 8 + 60, b"free") + good[:60]
    trick = huge[:12] + box + huge[12:]
    assert "of another size" in refusal(compressed(one, JPEG + "90", [trick]))


@pytest.mark.parametrize("syntax", [*ENCODERS, RLELossless])
def test_damaged_frames_give_a_slice_or_a_refusal(syntax):
    one = data_set(chest())
    if syntax == RLELossless:
        one.compress(RLELossless, encoding_plugin="pydicom")
        data = encoded(one)
    else:
        data = compressed(one, syntax, [ENCODERS[syntax](frames_of(one))])
    generator = np.random.default_rng(0)
    start = data.rindex(b"\xe0\x7f\x10\x00")
    for _ in range(40):
        changed = bytearray(data)
        for _ in range(4):
            changed[int(generator.integers(start, len(data)))] = int(generator.integers(256))
        with contextlib.suppress(SliceError):
            assert isinstance(read_slice(bytes(changed)), Slice)


def test_an_unknown_compression_is_refused():
    one = data_set(chest())
    assert "another method" in refusal(compressed(one, "1.2.840.10008.1.2.4.102", [b"video"]))


def test_a_deflated_bomb_is_bounded(monkeypatch):
    monkeypatch.setattr(dicom_elements, "MAX_INFLATED", 2**20)
    one = data_set(chest())
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = encoded(one)
    packer = zlib.compressobj(wbits=-15)
    meta = pydicom.dcmread(pydicom.filebase.DicomBytesIO(head)).file_meta
    length = 132 + 12 + meta.FileMetaInformationGroupLength
    bomb = packer.compress(bytes(2**27)) + packer.flush()
    before = time.thread_time()
    assert "once it is decompressed" in refusal(head[:length] + bomb)
    assert time.thread_time() - before < 1


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Modality": "MR"}, "magnetic resonance"),
        ({"Modality": "DX"}, "an X-ray picture"),
        ({"Modality": "QQ"}, "another kind of picture"),
        ({"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "magnetic resonance"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "RescaleIntercept": 0}, "screen capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2", "RescaleIntercept": None}, "screen capture"),
        ({"BodyPartExamined": "HEAD"}, "another part of the body"),
        ({"BodyPartExamined": "ABDOMENPELVIS"}, "another part of the body"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCOUT"]}, "localiser"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "coronal"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "sagittal"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, math.sqrt(0.5), -math.sqrt(0.5)]}, "oblique"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"PixelData": None}, "holds none"),
        ({"Rows": 0}, "holds none"),
        ({"Rows": 97}, "24,832 bytes"),
        ({"Rows": 30000, "Columns": 30000}, "16,777,216 pixels"),
        ({"Rows": 20}, "at least 32"),
        ({"BitsStored": 17}, "17 bits"),
        ({"NumberOfFrames": 3}, "73,728 bytes"),
        ({"NumberOfFrames": 10**6}, "4000 frames"),
    ],
    ids=str,
)
def test_what_is_no_axial_chest_ct_is_refused_by_its_tags(tags, words):
    message = refusal(dicom(**tags))
    assert words in message
    assert message.startswith("Expected")


@pytest.mark.parametrize("part", ["CHEST", "THORAX", "LUNG", "CHESTABDPELVIS", "CHEST_TO_PELVIS", "", None])
def test_every_name_of_the_chest_is_accepted(part):
    assert read_slice(dicom(BodyPartExamined=part)).warnings == ()


def test_a_slice_that_another_program_wrote_as_a_capture_is_read_if_it_has_units():
    result = read_slice(dicom(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))
    np.testing.assert_array_equal(result.hounsfield, chest())


def test_what_follows_the_pixels_is_not_looked_at():
    np.testing.assert_array_equal(read_slice(dicom() + b"\x12\x34garbage" * 50).hounsfield, chest())


def test_a_head_that_is_wrong_about_named_types_is_not_believed():
    data = dicom()
    changed = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0")
    assert changed != data
    np.testing.assert_array_equal(read_slice(changed).hounsfield, chest())
    one = data_set(chest())
    one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data = encoded(one)
    changed = data.replace(b"UI\x12\x001.2.840.10008.1.2\0", b"UI\x14\x001.2.840.10008.1.2.1\0")
    assert changed != data
    np.testing.assert_array_equal(read_slice(changed).hounsfield, chest())


def test_a_tilted_gantry_is_read_with_a_word():
    angle = math.radians(20)
    tags = {"ImageOrientationPatient": [1, 0, 0, 0, round(math.cos(angle), 8), -round(math.sin(angle), 8)]}
    assert "tilted by 20°" in read_slice(dicom(**tags)).warnings[0]


def test_missing_tags_are_told():
    missing = ("Modality", "SOPClassUID", "ImageType", "BodyPartExamined", "SeriesInstanceUID", "InstanceNumber")
    missing += ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "BitsStored", "HighBit")
    one = data_set(chest(), **dict.fromkeys(missing))
    one.file_meta.MediaStorageSOPClassUID = "1.2.3"
    result = read_slice(encoded(one))
    np.testing.assert_array_equal(result.hounsfield, chest())
    assert result.spacing is None
    told = " ".join(result.warnings)
    for words in ("read as CT", "taken as axial", "how large its pixels are"):
        assert words in told


@pytest.mark.parametrize(
    "value", [b"1\\0\\0\\0\\1", b"a\\b\\c\\d\\e\\f", b"1\\0\\0\\1\\0\\0 ", b"nan\\0\\0\\0\\1\\0", b""]
)
def test_an_orientation_that_is_none_counts_as_missing(value):
    data = dicom()
    start = data.index(b"\x20\x00\x37\x00DS")
    size = int.from_bytes(data[start + 6 : start + 8], "little")
    changed = data[:start] + one_element(0x00200037, b"DS", value + b" " * (len(value) % 2)) + data[start + 8 + size :]
    assert "taken as axial" in " ".join(read_slice(changed).warnings)


def test_burned_in_text_is_told():
    assert "burned" in read_slice(dicom(BurnedInAnnotation="YES")).warnings[0]


def test_an_empty_picture_is_refused():
    assert "shows nothing" in refusal(dicom(np.full((96, 128), -1024)))


def test_limits_hold_before_pixels_are_decoded():
    one = data_set(chest())
    frame = ENCODERS[JPEG + "80"](frames_of(one))[:20]  # would not survive decoding
    one.Rows = one.Columns = 20000
    assert "pixels" in refusal(compressed(one, JPEG + "80", [frame]))
    assert "128 × 96" in refusal(dicom(), max_pixels=96 * 128 - 1)


# ------------------------------------------------------------------------------------------------------------ privacy


def test_nothing_of_the_patient_is_kept():
    opened = open_dicom(dicom(), "scan.dcm")
    kept = repr((opened.header, opened.places, opened.parts.syntax, opened.parts.elements, opened.read()))
    assert "DOE" not in kept
    assert "1.2.3.4" not in repr((opened.header, opened.places, opened.read()))


@pytest.mark.parametrize("keyword", ["Modality", "BodyPartExamined", "PhotometricInterpretation", "RescaleType"])
def test_no_message_repeats_the_text_of_a_tag(keyword):
    try:
        told = repr(read_slice(dicom(**{keyword: "MARKER"})))
    except SliceError as error:
        told = str(error)
    assert "MARKER" not in told.upper()
    assert MARKER not in told


# -------------------------------------------------------------------------------------------------------- orientation


@pytest.mark.parametrize(
    ("turn", "orientation"),
    [
        (lambda picture: picture, AXIAL),
        (lambda picture: picture[:, ::-1], (-1, 0, 0, 0, 1, 0)),
        (lambda picture: picture[::-1], (1, 0, 0, 0, -1, 0)),
        (lambda picture: picture[::-1, ::-1], (-1, 0, 0, 0, -1, 0)),
        (lambda picture: picture.T, (0, 1, 0, 1, 0, 0)),
        (lambda picture: picture.T[:, ::-1], (0, -1, 0, 1, 0, 0)),
        (lambda picture: picture.T[::-1], (0, 1, 0, -1, 0, 0)),
        (lambda picture: picture.T[::-1, ::-1], (0, -1, 0, -1, 0, 0)),
    ],
)
def test_the_patients_right_is_at_the_left_and_the_front_on_top(turn, orientation):
    units = chest()
    stored = np.ascontiguousarray(turn(units))
    spacing = [0.7, 0.8] if stored.shape == units.shape else [0.8, 0.7]
    result = read_slice(dicom(stored, ImageOrientationPatient=list(orientation), PixelSpacing=spacing))
    np.testing.assert_array_equal(result.hounsfield, units)
    np.testing.assert_array_equal(result.pixels, to_grey(units))
    assert result.spacing == (0.7, 0.8)
    seen, _ = as_seen(stored, tuple(float(value) for value in orientation), None)
    np.testing.assert_array_equal(seen, units)


# -------------------------------------------------------------------------------------------------------- many frames


def enhanced(units: np.ndarray, positions, **tags) -> Dataset:
    one = data_set(units, SOPClassUID=ENHANCED_CT, RescaleIntercept=None, RescaleSlope=None, **tags)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del one[keyword]

    def group(**values) -> Dataset:
        found = Dataset()
        for name, content in values.items():
            item = Dataset()
            for keyword, value in content.items():
                setattr(item, keyword, value)
            setattr(found, name, Sequence([item]))
        return found

    one.SharedFunctionalGroupsSequence = Sequence(
        [
            group(
                PixelMeasuresSequence={"PixelSpacing": [0.5, 0.6]},
                PlaneOrientationSequence={"ImageOrientationPatient": list(AXIAL)},
                PixelValueTransformationSequence={"RescaleIntercept": -1024, "RescaleSlope": 1},
            )
        ]
    )
    one.PerFrameFunctionalGroupsSequence = Sequence(
        [group(PlanePositionSequence={"ImagePositionPatient": [0, 0, position]}) for position in positions]
    )
    return one


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, JPEG + "80"])
@pytest.mark.parametrize("undefined", [False, True])
def test_frames_have_places_spacing_and_rescale_of_their_own(syntax, undefined):
    units = np.stack([chest(seed=seed) for seed in range(3)])
    one = enhanced(units, (30, 10, 20))
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        one[name].is_undefined_length = undefined
        for item in one[name].value:
            item.is_undefined_length_sequence_item = undefined
    if syntax == JPEG + "80":
        frames = [imagecodecs.jpegls_encode((frame.astype(int) + 1024).astype(np.uint16)) for frame in units]
        data = compressed(one, syntax, frames)
    else:
        one.file_meta.TransferSyntaxUID = syntax or one.file_meta.TransferSyntaxUID
        data = encoded(one)
    opened = open_dicom(data)
    assert [place.position for place in opened.places] == [30, 10, 20]
    for index, frame in enumerate(units):
        result = opened.read(index)
        np.testing.assert_array_equal(result.hounsfield, frame)
        assert result.spacing == (0.5, 0.6)
    assert "holds 3 frames" in refusal(data)


def test_a_sequence_of_an_icon_with_compressed_pixels_is_stepped_over():
    icon = one_element(
        0x7FE00010, b"OB", b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\xff\xd8\xff\xd9", 0xFFFFFFFF
    )
    icon += b"\xfe\xff\xdd\xe0\0\0\0\0"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + icon + b"\xfe\xff\x0d\xe0\0\0\0\0"
    sequence = one_element(0x00880200, b"SQ", item + b"\xfe\xff\xdd\xe0\0\0\0\0", 0xFFFFFFFF)
    data = dicom()
    start = data.rindex(b"\xe0\x7f\x10\x00")
    np.testing.assert_array_equal(read_slice(data[:start] + sequence + data[start:]).hounsfield, chest())


# ------------------------------------------------------------------------------------------------------------- damage


def test_sequences_nested_without_end_are_refused_at_once():
    data = dicom()
    start = data.rindex(b"\xe0\x7f\x10\x00")
    nested = one_element(0x00081140, b"SQ", b"", 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    assert "nested" in refusal(data[:start] + nested * 100_000)


def test_millions_of_elements_are_refused():
    data = dicom()
    start = data.rindex(b"\xe0\x7f\x10\x00")
    before = time.thread_time()
    assert "elements" in refusal(data[:start] + one_element(0x00290010, b"LO", b"") * 3_000_000)
    assert time.thread_time() - before < 10


def test_every_cut_is_refused():
    data = dicom(chest(40, 40))
    for length in [*range(132, len(data) - 3200, 7), len(data) - 3200, len(data) - 1]:
        refusal(data[:length])


def test_mutated_files_give_a_slice_or_a_slice_error():
    units = chest(40, 48)
    jpeg = data_set(units)
    seeds = [
        dicom(units),
        encoded(enhanced(np.stack([units] * 2), (1, 2))),
        compressed(jpeg, JPEG + "80", [ENCODERS[JPEG + "80"](frames_of(jpeg))]),
    ]
    outcomes = {"read": 0, "refused": 0}
    for number in range(900):
        generator = np.random.default_rng([5, number])
        changed = bytearray(seeds[number % len(seeds)])
        head = bytes(changed).rindex(b"\xe0\x7f\x10\x00")
        for _ in range(int(generator.integers(1, 6))):
            place = int(generator.integers(132, head + 40 if generator.random() < 0.8 else len(changed)))
            changed[place] = int(generator.choice([0, 1, 127, 255, int(generator.integers(256))]))
        try:
            opened = open_dicom(bytes(changed))
            result = opened.read(len(opened.places) - 1)
        except SliceError:
            outcomes["refused"] += 1
        except BaseException as error:
            error.add_note(f"mutation {number}: {changed.hex()}")
            raise
        else:
            outcomes["read"] += 1
            assert np.isfinite(result.pixels).all()
            assert 0 <= result.pixels.min() <= result.pixels.max() <= 255
    assert min(outcomes.values()) > 40, outcomes


# ---------------------------------------------------------------------------------------------------------- real files


def test_real_files_have_the_units_that_pydicom_computes(shared_data):
    files = sorted((shared_data / "dicom").rglob("*.dcm"))
    assert len(files) == 35
    for file in files:
        result = read_slice(file)
        reference = pydicom.dcmread(file)
        stored = reference.pixel_array
        units = stored * float(reference.RescaleSlope) + float(reference.RescaleIntercept)
        if "PixelPaddingValue" in reference:
            units[stored == reference.PixelPaddingValue] = AIR
        np.testing.assert_array_equal(result.hounsfield, units.astype(np.float32), err_msg=file.name)
        np.testing.assert_array_equal(result.pixels, to_grey(units), err_msg=file.name)
        assert result.spacing == tuple(float(value) for value in reference.PixelSpacing)
