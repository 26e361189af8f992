"""The slice reader: what it accepts keeps its grey values, everything else is refused in words."""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import time
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, PngImagePlugin

from covid_core.data.slices import COLOURED, MAX_BYTES, MAX_PIXELS, Slice, read_slice, resize_slice
from covid_core.errors import SliceError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


# ------------------------------------------------------------------------------------------------------------ helpers


def grey_picture(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    """uint8 (H, W): two dark lungs in a bright body, with noise; holds both 0 and 255."""
    rows, columns = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    body = np.where((rows - 0.5) ** 2 / 0.2 + (columns - 0.5) ** 2 / 0.22 < 1, 180.0, 0.0)
    for centre in (0.32, 0.68):
        body[(rows - 0.5) ** 2 / 0.09 + (columns - centre) ** 2 / 0.02 < 1] = 40
    noisy = body + np.random.default_rng(seed).normal(0, 6, body.shape)
    picture = np.clip(noisy, 0, 255).astype(np.uint8)
    picture[height // 2, width // 2] = 255
    picture[0, 0] = 0
    return picture


def encode(picture: np.ndarray | Image.Image, file_format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return PNG_SIGNATURE + png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def photograph(height: int = 150, width: int = 200) -> np.ndarray:
    """uint8 (H, W, 3): sky, meadow and a red roof, with noise."""
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.zeros((height, width, 3))
    picture[:] = [70, 120, 60]
    picture[rows < height // 2] = [120, 160, 220]
    picture[(abs(rows - 60) < 25) & (abs(columns - 90) < 40)] = [170, 70, 50]
    return np.clip(picture + np.random.default_rng(1).normal(0, 10, picture.shape), 0, 255).astype(np.uint8)


def refusal(data, filename: str | None = None, **options) -> str:
    """Message of the SliceError, checked to be fit for a user."""
    with pytest.raises(SliceError) as caught:
        read_slice(data, filename, **options)
    message = str(caught.value)
    assert message.startswith("Expected ")
    assert message.endswith(".")
    assert message.count(". ") >= 1, "says what came or what to do in a second sentence"
    assert not re.search(r"Traceback|object at 0x|PIL|Errno|b'", message), message
    return message


# --------------------------------------------------------------------------------------------- accepted: exact values


def as_mode(picture: np.ndarray, mode: str) -> Image.Image:
    grey = Image.fromarray(picture)
    if mode == "palette-reversed":
        image = Image.fromarray(255 - picture).convert("P")
        image.putpalette([255 - value for value in range(256) for _ in range(3)])
        return image
    return grey.convert(mode)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "palette-reversed"])
@pytest.mark.parametrize(("file_format", "options"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})])
def test_grey_values_survive_every_storage(mode, file_format, options):
    picture = grey_picture()
    result = read_slice(encode(as_mode(picture, mode), file_format, **options))
    assert result.pixels.dtype == np.float32
    assert result.pixels.flags.c_contiguous
    np.testing.assert_array_equal(result.pixels, picture)
    assert (result.hounsfield, result.spacing, result.warnings, result.name) == (None, None, (), "")


@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate", "packbits", "jpeg"])
def test_tiff_compressions(compression):
    picture = grey_picture()
    options = {"compression": compression, **({"quality": 95} if compression == "jpeg" else {})}
    result = read_slice(encode(picture, "TIFF", **options))
    np.testing.assert_allclose(result.pixels, picture, atol=20 if compression == "jpeg" else 0)


def test_interlaced_png_rows_are_counted_over_seven_passes():
    # Pillow cannot write Adam7; this is its definition, one pass after the other.
    picture = grey_picture(33, 37)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in picture[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", 37, 33, 8, 0, 0, 0, 1)
    start, end = PNG_SIGNATURE + png_chunk(b"IHDR", header), png_chunk(b"IEND", b"")
    np.testing.assert_array_equal(read_slice(start + png_chunk(b"IDAT", zlib.compress(rows)) + end).pixels, picture)
    assert "complete" in refusal(start + png_chunk(b"IDAT", zlib.compress(rows[:-40])) + end)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 2}])
def test_jpeg_of_a_grey_picture(mode, options):
    picture = grey_picture()
    result = read_slice(encode(Image.fromarray(picture).convert(mode), "JPEG", quality=95, **options))
    assert np.abs(result.pixels - picture).mean() < 3
    assert result.warnings == ()


def test_grey_weights_are_those_of_bt601():
    picture = np.repeat(grey_picture()[..., None], 3, axis=2).astype(int)
    picture[20:40, 20:40] = [110, 100, 95]  # chroma below the mark: neither warned nor refused
    result = read_slice(encode(picture.astype(np.uint8)))
    assert result.pixels[30, 30] == round(0.299 * 110 + 0.587 * 100 + 0.114 * 95)
    assert result.warnings == ()


def test_one_bit_picture_is_read_and_warned_about():
    picture = grey_picture() > 100
    result = read_slice(encode(Image.fromarray(picture)))
    np.testing.assert_array_equal(result.pixels, picture * 255)
    assert any("only 2 grey values" in text for text in result.warnings)


def test_gamma_and_colour_profiles_do_not_change_grey_values():
    picture = grey_picture()
    extra = png_chunk(b"gAMA", struct.pack(">I", 100_000)) + png_chunk(b"sRGB", b"\0")
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in picture))
    np.testing.assert_array_equal(read_slice(raw_png(160, 120, rows, extra=extra)).pixels, picture)


def test_originals_equal_their_decoded_twins(shared_data):
    originals = sorted((shared_data / "sars-cov-2-ct-originals").glob("*/*.png"))
    assert len(originals) == 12
    for original in originals:
        twin = shared_data / "sars-cov-2-ct" / original.parent.name / original.name
        result = read_slice(original)
        np.testing.assert_array_equal(result.pixels, np.asarray(Image.open(twin)), err_msg=original.name)
        assert result.warnings == ()


def test_every_kind_of_real_slice_is_read_quickly(shared_data):
    files = sorted((shared_data / "sars-cov-2-ct").glob("*/*.png"))[::25]
    files += sorted((shared_data / "covid-ct").glob("*/*.png"))[::25]
    start = time.thread_time()
    for file in files:
        np.testing.assert_array_equal(read_slice(file).pixels, np.asarray(Image.open(file)), err_msg=file.name)
    assert (time.thread_time() - start) / len(files) < 0.1  # 4 ms on an idle machine


# ---------------------------------------------------------------------------------------------------- 16 bits, alpha


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_use_the_range_that_holds_them(file_format):
    picture = grey_picture()
    for values, divisor in [
        (picture.astype(np.uint16), 1),  # 8-bit values in 16 bits
        (picture.astype(np.uint16) * 16, 4095 / 255),  # a scanner's 12 bits
        (picture.astype(np.uint16) * 257, 257),  # 8 bits spread over 16
    ]:
        result = read_slice(encode(values, file_format))
        np.testing.assert_allclose(result.pixels, values / divisor, rtol=1e-6)
        assert result.pixels.max() <= 255
        assert any("16-bit" in text for text in result.warnings)


def test_sixteen_bit_steps_are_kept():
    ramp = np.tile(np.arange(1024, dtype=np.uint16) * 4, (400, 1))
    pixels = read_slice(encode(ramp)).pixels
    assert (np.diff(pixels, axis=1) > 0).all()


def test_big_endian_tiff_is_the_same_picture():
    values = grey_picture().astype(np.uint16) * 257
    little, big = (read_slice(encode(Image.fromarray(values.astype(kind)), "TIFF")) for kind in ("<u2", ">u2"))
    np.testing.assert_array_equal(little.pixels, big.pixels)


@pytest.mark.parametrize(("kind", "factor"), [(np.uint8, 1), (np.uint16, 257)])
def test_tiff_with_white_as_zero(kind, factor):
    picture = grey_picture()
    data = bytearray(encode((255 - picture).astype(kind) * kind(factor), "TIFF"))
    entry = data.index(struct.pack("<HHI", 262, 3, 1))
    data[entry + 8 : entry + 10] = b"\0\0"
    np.testing.assert_allclose(read_slice(bytes(data)).pixels, picture, atol=1e-4)


@pytest.mark.parametrize("values", [np.int32, np.float32])
def test_values_without_a_grey_scale_are_refused(values):
    picture = grey_picture().astype(values) * 4 - 1000
    assert "Hounsfield" in refusal(encode(picture, "TIFF"))


def test_transparent_pixels_lie_on_black():
    picture = grey_picture()
    rgba = np.dstack([picture] * 3 + [np.full_like(picture, 255)])
    rgba[:30, :, :3], rgba[:30, :, 3] = 200, 0
    rgba[30:40, :, :3], rgba[30:40, :, 3] = 200, 128
    result = read_slice(encode(rgba))
    assert (result.pixels[:30] == 0).all()
    assert abs(result.pixels[30:40].mean() - 100) < 2
    np.testing.assert_array_equal(result.pixels[40:], picture[40:])
    assert any("ransparent" in text for text in result.warnings)


def test_transparent_grey_value_and_palette_entry():
    picture = grey_picture()
    picture[:30] = 201
    for image in (Image.fromarray(picture), Image.fromarray(picture).convert("P")):
        assert (read_slice(encode(image, transparency=201)).pixels[:30] == 0).all()
    sixteen = picture.astype(np.uint16) * 257
    extra = png_chunk(b"tRNS", struct.pack(">H", 201 * 257))
    rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in sixteen))
    assert (read_slice(raw_png(160, 120, rows, bits=16, extra=extra)).pixels[:30] == 0).all()


def test_wholly_transparent_picture_shows_nothing():
    assert "shows nothing" in refusal(encode(np.dstack([grey_picture()] * 3 + [np.zeros((120, 160), np.uint8)])))


def test_sixteen_bit_colour_channels_are_reduced_and_named():
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in grey_picture().astype(int) * 257)
    result = read_slice(raw_png(160, 120, zlib.compress(rows), bits=16, colour=2))
    np.testing.assert_array_equal(result.pixels, grey_picture())
    assert any("16-bit" in text for text in result.warnings)


# ------------------------------------------------------------------------------------------- orientation, pages, name


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_orientation_agrees_with_pillow(orientation, file_format):
    image = Image.fromarray(grey_picture())
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(image, file_format, exif=exif)
    with Image.open(io.BytesIO(data)) as reference:
        expected = np.asarray(ImageOps.exif_transpose(reference).convert("L"))
    np.testing.assert_array_equal(read_slice(data).pixels, expected)


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"junk" * 20, b"MM\0*" + b"\xff" * 40])
def test_broken_exif_does_not_cost_the_picture(exif):
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in grey_picture()))
    data = raw_png(160, 120, rows, extra=png_chunk(b"eXIf", exif))
    np.testing.assert_array_equal(read_slice(data).pixels, grey_picture())


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "MPO"])
def test_first_of_several_pages_is_read_with_a_warning(file_format):
    first, second = grey_picture(), grey_picture(seed=9)[::-1]
    data = encode(Image.fromarray(first), file_format, save_all=True, append_images=[Image.fromarray(second)])
    result = read_slice(data)
    assert np.abs(result.pixels - first).mean() < 6  # MPO is JPEG
    assert any("several pages" in text for text in result.warnings)


def test_content_decides_and_the_name_is_only_compared():
    png = encode(grey_picture())
    assert read_slice(png, "slice.PNG").warnings == ()
    assert read_slice(png, "slice").warnings == ()
    for name in ("slice.jpg", "slice.dcm", "slice.txt"):
        result = read_slice(png, name)
        assert any("name does not end like a PNG" in text for text in result.warnings)
        np.testing.assert_array_equal(result.pixels, grey_picture())


def test_every_kind_of_source(tmp_path):
    data, path = encode(grey_picture()), tmp_path / "Covid (1).png"
    path.write_bytes(data)
    with path.open("rb") as stream:
        results = [read_slice(source) for source in (data, bytearray(data), path, str(path), stream)]
    buffer = io.BytesIO(data)
    buffer.name = "C:\\scans\\Covid (1).png"
    results.append(read_slice(buffer))
    assert [result.name for result in results] == ["", "", *["Covid (1).png"] * 4]
    for result in results:
        np.testing.assert_array_equal(result.pixels, grey_picture())
    assert read_slice(path, "../../a\nb.png").name == "ab.png"
    with pytest.raises(TypeError, match="binary stream"):
        read_slice(io.StringIO("text"))


def test_missing_paths_are_refused(tmp_path):
    for path in (tmp_path / "none.png", tmp_path, "a\0b.png", "x" * 5000):
        refusal(path)


# --------------------------------------------------------------------------------------------------- refused by kind


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"slice,label\n1,COVID\n", "a text file"),
        ("\ufeffBMI, grün\n".encode(), "a text file"),
        (b"GIF89a" + bytes(50), "GIF"),
        (b"BM" + bytes(60), "BMP"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), "WebP"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04" + bytes(30), "ZIP"),
        (b"<?xml version='1.0'?><svg/>", "XML"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (bytes(range(256)), "another kind"),
        (bytes(128) + b"DICM\x02\0\0\0UL\x04\0", "DICOM"),
        (b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100", "DICOM"),
        (struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(40), "NIfTI"),
        (struct.pack("<i", 540) + b"n+2\0\r\n\x1a\n" + bytes(540), "NIfTI"),
        (gzip.compress(struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(400), mtime=0), "NIfTI"),
        (gzip.compress(b"no volume", mtime=0), "gzip"),
    ],
)
def test_other_kinds_are_named(data, words):
    message = refusal(data, "slice.png")
    assert words in message
    assert "export" in message.lower()


def test_a_name_that_promises_more_is_mentioned():
    assert "its name ends like that of a PNG" in refusal(b"hello, this is text\n", "slice.png")
    assert "its name ends like that of a NIfTI" in refusal(b"hello, this is text\n", "volume.nii.gz")


def test_real_volumes_are_recognised(shared_data):
    for file in sorted((shared_data / "nifti").iterdir()):
        assert "NIfTI volume of many" in refusal(file)


# ------------------------------------------------------------------------------------- refused by size, shape, content


def peak_and_seconds(call) -> tuple[float, float]:
    tracemalloc.start()
    start = time.thread_time()  # a busy machine does not count
    call()
    seconds = time.thread_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20, seconds


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_twenty_thousand_squared_is_refused_before_decoding(file_format):
    if file_format == "PNG":
        stream = zlib.compressobj()
        hundred_rows = [stream.compress(bytes(20_001 * 100)) + stream.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
        data = raw_png(20_000, 20_000, hundred_rows[0] + hundred_rows[1] * 199 + b"\x03\0" + bytes(4))
    elif file_format == "JPEG":
        data = encode(grey_picture(), "JPEG")
        frame = data.index(b"\xff\xc0")
        data = data[: frame + 5] + struct.pack(">HH", 20_000, 20_000) + data[frame + 9 :]
    else:
        data = encode(grey_picture(), "TIFF")
        for tag, old in ((256, 160), (257, 120)):
            entry = struct.pack("<HHI", tag, 4, 1)
            assert entry + struct.pack("<I", old) in data
            data = data.replace(entry + struct.pack("<I", old), entry + struct.pack("<I", 20_000))
    messages = []
    peak, seconds = peak_and_seconds(lambda: messages.append(refusal(data)))
    assert "20000 × 20000" in messages[0]
    assert "16,777,216 pixels" in messages[0]
    assert peak < 16
    assert seconds < 1


def test_limits_are_arguments():
    data = encode(grey_picture(100, 100))
    assert read_slice(data, max_pixels=10_000, max_bytes=len(data)).pixels.shape == (100, 100)
    assert "100 × 100" in refusal(data, max_pixels=9_999)
    assert "MiB" in refusal(data, max_bytes=len(data) - 1)
    assert MAX_PIXELS == 4096**2
    assert MAX_BYTES == 32 * 2**20


def test_large_files_are_not_read_whole(tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as stream:
        stream.write(encode(grey_picture()))
        stream.truncate(4 * 2**30)  # sparse
    peak, seconds = peak_and_seconds(lambda: refusal(path, max_bytes=2**20))
    assert peak < 4
    assert seconds < 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (31, 64), (64, 31), (40, 121), (121, 40)])
def test_too_small_or_too_long(height, width):
    message = refusal(encode(np.arange(height * width, dtype=np.uint8).reshape(height, width)))
    assert f"{width} × {height}" in message


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 120), (120, 40)])
def test_just_large_and_square_enough(height, width):
    assert read_slice(encode(grey_picture(height, width))).pixels.shape == (height, width)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_constant_picture(value, file_format):
    refusal(encode(np.full((64, 64), value, np.uint8), file_format))
    assert "shows nothing" in refusal(encode(np.full((64, 64), value, np.uint8)))


@pytest.mark.parametrize(("file_format", "options"), [("PNG", {}), ("JPEG", {"quality": 60}), ("TIFF", {})])
@pytest.mark.parametrize("border", [0, 60])
def test_colour_photograph(file_format, options, border):
    picture = np.pad(photograph(), ((border, border), (border, border), (0, 0)))
    assert "coloured" in refusal(encode(picture, file_format, **options))


def test_coloured_scan_overlay_and_tint_are_refused():
    grey = grey_picture()
    heat = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    assert "coloured" in refusal(encode(heat // 2 + grey[..., None] // 2))
    tint = np.dstack([grey * 0.7, grey * 0.8, grey]).astype(np.uint8)
    assert "coloured" in refusal(encode(tint))


@pytest.mark.parametrize("thickness", [1, 2])
def test_coloured_arrow_is_read_with_a_warning(thickness):
    picture = np.repeat(grey_picture()[..., None], 3, axis=2).copy()
    cv2.arrowedLine(picture, (30, 30), (60, 60), (255, 0, 0), thickness)
    result = read_slice(encode(picture))
    assert any("coloured" in text for text in result.warnings)


@pytest.mark.parametrize("quality", [10, 30, 60, 90])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_chroma_noise_of_a_grey_picture_passes(quality, subsampling):
    noise = np.random.default_rng(2).normal(0, 8, (120, 160, 3))
    picture = np.clip(grey_picture()[..., None] + noise, 0, 255).astype(np.uint8)
    assert np.ptp(picture.astype(int), axis=2).max() > COLOURED, "the noise alone would count as colour"
    assert read_slice(encode(picture, "JPEG", quality=quality, subsampling=subsampling)).warnings == ()


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk(file_format):
    picture = grey_picture()
    black_only = Image.merge("CMYK", [Image.new("L", (160, 120))] * 3 + [Image.fromarray(255 - picture)])
    result = read_slice(encode(black_only, file_format, quality=95))
    assert np.abs(result.pixels - picture).mean() < 4
    assert any("CMYK" in text for text in result.warnings)
    assert "coloured" in refusal(encode(Image.fromarray(photograph()).convert("CMYK"), file_format))


# ------------------------------------------------------------------------------------------------- damaged and hostile


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ],
)
def test_truncated_file_is_never_half_a_picture(file_format, options):
    data = encode(grey_picture(), file_format, **options)
    whole, refused = read_slice(data).pixels, 0
    for length in [*range(len(data) - 12, len(data)), *np.linspace(0, len(data) - 1, 60).astype(int)]:
        try:
            np.testing.assert_array_equal(read_slice(data[:length]).pixels, whole)  # padding was cut, no more
        except SliceError:
            refused += 1
    assert refused >= 60


def test_jpeg_closed_or_filled_after_a_cut():
    data = encode(grey_picture(), "JPEG")
    half = data[: len(data) // 2]
    assert "complete" in refusal(half + b"\xff\xd9")
    assert "complete" in refusal(half + bytes(len(data) - len(half)))


def test_png_whose_stream_holds_too_few_rows():
    rows = b"".join(b"\0" + row.tobytes() for row in grey_picture())
    assert "complete" in refusal(raw_png(160, 120, zlib.compress(rows[: len(rows) // 2])))


def strips(listed: int, *, deflate: bool = False, missing_bytes: int = 0) -> bytes:
    """TIFF of six strips of 20 rows that lists the first of them only, or all with too small a size."""
    parts = [part.tobytes() for part in np.split(grey_picture(), 6)]
    parts = [zlib.compress(part) for part in parts] if deflate else parts
    places = 8 + np.cumsum([0, *map(len, parts)])
    sizes = [len(part) - missing_bytes for part in parts]
    body = b"".join(parts) + struct.pack("<12I", *places[:-1], *sizes)
    entries = [(256, 4, 1, 160), (257, 4, 1, 120), (258, 3, 1, 8), (259, 3, 1, 8 if deflate else 1), (262, 3, 1, 1)]
    lists = [(273, 4, listed, int(places[-1])), (278, 4, 1, 20), (279, 4, listed, int(places[-1]) + 24)]
    return tiff_with_directory([*entries, *lists], body)


@pytest.mark.parametrize("deflate", [False, True])
def test_tiff_with_a_missing_strip(deflate):
    np.testing.assert_array_equal(read_slice(strips(6, deflate=deflate)).pixels, grey_picture())
    assert "complete" in refusal(strips(5, deflate=deflate))
    refusal(strips(0, deflate=deflate))
    refusal(strips(6, deflate=deflate, missing_bytes=20 if deflate else 1))  # Deflate ends in a checksum


def test_fax_compression_is_refused():
    assert "another method" in refusal(encode(Image.fromarray(grey_picture() > 100), "TIFF", compression="group4"))


def test_a_palette_may_spell_the_name_of_a_chunk():
    picture = grey_picture() // 128
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in picture))
    palette = png_chunk(b"PLTE", bytes([0, 0, 0]) + b"\xff\xff\xff" + b"\0\0\x0aIDAT\0\0")
    pixels = read_slice(raw_png(160, 120, rows, colour=3, extra=palette)).pixels
    np.testing.assert_array_equal(pixels, picture * 255.0)


def test_png_checksum_is_verified():
    data = bytearray(encode(grey_picture(), compress_level=0))
    data[data.index(b"IDAT") + 3000] ^= 0x55
    assert "checksum" in refusal(bytes(data))


def test_bombs_in_text_profile_and_pixels_cost_nothing():
    bomb = zlib.compress(bytes(64 * 2**20))
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in grey_picture()))
    text = png_chunk(b"zTXt", b"Comment\0\0" + bomb) * 20 + png_chunk(b"iTXt", b"XML\0\1\0\0\0" + bomb)
    profile = png_chunk(b"iCCP", b"icc\0\0" + bomb)
    data = raw_png(160, 120, rows, extra=text + profile)
    peak, seconds = peak_and_seconds(lambda: read_slice(data))
    assert peak < 40
    assert seconds < 1
    np.testing.assert_array_equal(read_slice(data).pixels, grey_picture())
    peak, seconds = peak_and_seconds(lambda: refusal(raw_png(160, 120, bomb)))  # 160 × 120 zeros and much more
    assert peak < 16
    assert seconds < 1


def tiff_with_directory(entries: list[tuple[int, int, int, int]], body: bytes) -> bytes:
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHI", b"II", 42, 8 + len(body)) + body + directory + struct.pack("<I", 0)


def test_tiff_tags_that_share_one_block_are_not_multiplied():
    picture = grey_picture()
    pixels = picture.tobytes()
    body = pixels + bytes(2**20)
    needed = [(256, 4, 1, 160), (257, 4, 1, 120), (258, 3, 1, 8), (262, 3, 1, 1)]
    needed += [(273, 4, 1, 8), (278, 4, 1, 120), (279, 4, 1, len(pixels))]
    hostile = [(tag, 1, len(body), 8) for tag in range(40_000, 45_000)]  # 5 GB if each were loaded
    data = tiff_with_directory(needed + hostile, body)
    peak, seconds = peak_and_seconds(lambda: read_slice(data))
    assert peak < 40
    assert seconds < 1
    np.testing.assert_array_equal(read_slice(data).pixels, picture)
    exif = tiff_with_directory([(0x0112, 3, 1, 1), *hostile], body)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in picture))
    peak, _ = peak_and_seconds(lambda: read_slice(raw_png(160, 120, rows, extra=png_chunk(b"eXIf", exif))))
    assert peak < 40


def test_files_of_endless_small_parts_end_soon():
    jpeg = encode(grey_picture(), "JPEG")
    scan = jpeg.index(b"\xff\xda")
    files = [
        (PNG_SIGNATURE + png_chunk(b"IDAT", b"") * 2_000_000, "more than 20000 parts"),
        (b"\xff\xd8" + b"\xff\xfe\0\x02" * 4_000_000, "more than 20000 parts"),
        (b"\xff\xd8" + b"\xff" * 20_000_000, "complete"),
        (jpeg[: scan + 20] + b"\xff" * 8_000_000, "complete"),
        (jpeg[:-2] + jpeg[scan:-2] * 300 + b"\xff\xd9", "more than 100 passes"),
    ]
    for data, words in files:
        start = time.thread_time()
        assert words in refusal(data)
        assert time.thread_time() - start < 5


def test_oversized_tiles_are_refused():
    body = bytes(1000)
    entries = [(256, 4, 1, 100), (257, 4, 1, 100), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    entries += [(322, 4, 1, 2**16), (323, 4, 1, 2**16), (324, 4, 1, 8), (325, 4, 1, 1000)]
    assert "tiles" in refusal(tiff_with_directory(entries, body))


def test_global_state_of_pillow_and_warnings_is_untouched():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)
    filters = list(warnings.filters)
    read_slice(encode(grey_picture()))
    refusal(raw_png(20_000, 20_000, zlib.compress(b"")))
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)
    assert filters == list(warnings.filters)


@pytest.mark.parametrize(("tag", "kind", "count"), [(320, 4, 768), (320, 6, 768), (320, 11, 768), (320, 3, 1)])
def test_tiff_palette_of_an_odd_type(tag, kind, count):
    body = grey_picture().tobytes() + bytes(range(1, 256)) * 32
    entries = [(256, 4, 1, 160), (257, 4, 1, 120), (258, 3, 1, 8), (262, 3, 1, 3), (273, 4, 1, 8)]
    refusal(tiff_with_directory([*entries, (278, 4, 1, 120), (279, 4, 1, 19200), (tag, kind, count, 19208)], body))


def test_pixel_limit_above_that_of_pillow_ends_in_words():
    data = encode(grey_picture(), "JPEG")
    frame = data.index(b"\xff\xc0")
    for side in (10_000, 20_000):  # where Pillow warns, and where it raises
        large = data[: frame + 5] + struct.pack(">HH", side, side) + data[frame + 9 :]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert "decoded" in refusal(large, max_pixels=10**9)


def test_threads_read_the_same():
    files = [encode(grey_picture(seed=seed), file_format) for seed in range(8) for file_format in ("PNG", "JPEG")]
    expected = [read_slice(data).pixels for data in files]
    with ThreadPoolExecutor(8) as pool:
        for got, want in zip(pool.map(lambda data: read_slice(data).pixels, files * 4), expected * 4, strict=True):
            np.testing.assert_array_equal(got, want)


def fuzz_seeds() -> list[bytes]:
    small = grey_picture(40, 48)
    exif = Image.Exif()
    exif[0x0112] = 6
    sixteen = small.astype(np.uint16) * 257
    grey = Image.fromarray(small)
    return [
        encode(small),
        encode(np.dstack([small] * 4), exif=exif),
        encode(grey.quantize(16)),
        encode(sixteen),
        encode(small, "JPEG", exif=exif),
        encode(grey.convert("RGB"), "JPEG", progressive=True),
        encode(grey.convert("CMYK"), "JPEG"),
        encode(small, "TIFF"),
        encode(sixteen, "TIFF", compression="tiff_lzw"),
        encode(grey.convert("RGB"), "TIFF", compression="jpeg"),
        encode(grey.quantize(16), "TIFF", compression="packbits"),
        encode(grey.convert("1"), "TIFF", compression="tiff_lzw"),
        encode(small, "TIFF", big_tiff=True, compression="tiff_adobe_deflate"),
        encode(grey, "TIFF", save_all=True, append_images=[grey]),
    ]


def mutate(data: bytes, generator: np.random.Generator) -> bytes:
    """Change bytes, cut, repeat or insert; half of the PNGs get matching checksums, to reach the decoder."""
    changed = bytearray(data)
    for _ in range(generator.integers(1, 6)):
        place = int(generator.integers(len(changed)))
        if generator.random() < 0.5:
            place = place % 160  # headers matter most
        kind = generator.integers(6)
        if kind <= 2:
            changed[place % len(changed)] = generator.choice([0, 1, 127, 128, 255, int(generator.integers(256))])
        elif kind == 3:
            changed[place : place + int(generator.integers(1, 9))] = generator.bytes(int(generator.integers(9)))
        elif kind == 4:
            changed[place:place] = changed[place : place + int(generator.integers(64))]
        elif generator.random() < 0.3:
            del changed[place + 40 :]
    if changed.startswith(PNG_SIGNATURE) and generator.random() < 0.5:
        position = len(PNG_SIGNATURE)
        while position + 12 <= len(changed):
            end = position + 8 + int.from_bytes(changed[position : position + 4], "big")
            changed[end : end + 4] = struct.pack(">I", zlib.crc32(changed[position + 4 : end]))
            position = end + 4
    return bytes(changed)


def test_mutated_files_give_a_slice_or_a_slice_error():
    """COVID_FUZZ=10000 runs that many mutations instead of 1500, COVID_FUZZ_SEED=1 other ones."""
    rounds, seed = int(os.environ.get("COVID_FUZZ") or 1500), int(os.environ.get("COVID_FUZZ_SEED") or 0)
    seeds, outcomes = fuzz_seeds(), {"read": 0, "refused": 0}
    assert all(isinstance(read_slice(data), Slice) for data in seeds)
    for number in range(rounds):
        generator = np.random.default_rng([seed, number])
        data = mutate(seeds[number % len(seeds)], generator)
        try:
            result = read_slice(data)
        except SliceError:
            outcomes["refused"] += 1
        except BaseException as error:
            error.add_note(f"mutation {number} of seed {seed}: {data.hex()}")
            raise
        else:
            outcomes["read"] += 1
            assert result.pixels.dtype == np.float32
            assert np.isfinite(result.pixels).all()
            assert 0 <= result.pixels.min() <= result.pixels.max() <= 255
    assert min(outcomes.values()) > rounds / 20, outcomes  # the mutations neither miss nor destroy everything


# --------------------------------------------------------------------------------------------------------- resize_slice


def test_area_is_the_mean_of_whole_blocks():
    picture = np.random.default_rng(3).integers(0, 256, (120, 180)).astype(np.uint8)
    blocks = picture.reshape(60, 2, 60, 3).mean(axis=(1, 3))
    resized = resize_slice(picture, 60)
    assert resized.dtype == np.uint8
    assert np.abs(resized - blocks).max() <= 0.5 + 1e-4


def test_area_averages_one_axis_and_interpolates_the_other():
    column = np.random.default_rng(4).integers(0, 256, (128, 1)).astype(np.uint8)
    picture = np.repeat(column, 20, axis=1)  # shrinks in height, grows in width
    resized = resize_slice(picture, 64)
    assert (resized == resized[:, :1]).all()
    assert np.abs(resized[:, 0] - column.reshape(64, 2).mean(axis=1)).max() <= 0.5 + 1e-4
    np.testing.assert_array_equal(resize_slice(picture.T, 64), resized.T)


def test_enlarging_is_linear_with_pixel_centres():
    ramp = np.tile(np.arange(0, 200, 10, dtype=np.float32), (20, 1))
    resized = resize_slice(ramp, 40)
    expected = np.clip((np.arange(40) + 0.5) / 2 - 0.5, 0, 19) * 10
    np.testing.assert_array_equal(resized[7], np.rint(expected))


@pytest.mark.parametrize("interpolation", ["area", "linear", "cubic"])
def test_resize_keeps_what_fits_and_stays_in_range(interpolation):
    picture = grey_picture(96, 96)
    np.testing.assert_array_equal(resize_slice(picture, 96, interpolation), picture)
    constant = np.full((50, 130), 77, np.uint8)
    assert (resize_slice(constant, 64, interpolation) == 77).all()
    edges = np.kron(np.eye(8, dtype=np.uint8) * 255, np.ones((5, 5), np.uint8))  # cubic overshoots here
    assert resize_slice(edges, 97, interpolation)[0, 0] == 255
    for size in (1, 33, 380):
        from_float = resize_slice(picture.astype(np.float32), size, interpolation)
        assert from_float.shape == (size, size)
        np.testing.assert_array_equal(resize_slice(picture, size, interpolation), from_float)


def test_rounding_is_half_to_even():
    pairs = np.array([[0, 1, 1, 2], [0, 1, 1, 2]], np.uint8)  # means 0.5 and 1.5
    assert resize_slice(pairs, 2).tolist() == [[0, 2], [0, 2]]


@pytest.mark.parametrize(
    ("shape", "size", "interpolation", "words"),
    [
        ((4, 4), 0, "area", "size"),
        ((4, 4, 1), 2, "area", "shape"),
        ((0, 4), 2, "area", "shape"),
        ((4, 4), 2, "box", "area"),
    ],
)
def test_resize_names_bad_arguments(shape, size, interpolation, words):
    with pytest.raises(ValueError, match=words):
        resize_slice(np.zeros(shape, np.uint8), size, interpolation)
