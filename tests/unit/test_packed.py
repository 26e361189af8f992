"""A data set in one file: what it keeps, what it may cost, and that no damaged or hostile file gets in."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from covid_core.data import packed
from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.packed import pack_dataset
from covid_core.data.packfile import MANIFEST, webp_shape
from covid_core.data.phantom import write_dataset
from covid_core.errors import DatasetError

SIZE = 64
FIELDS = ("name", "paths", "classes", "groups", "digest", "warnings")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("phantom") / "slices", patients=6, slices_per_patient=3, size=96)


@pytest.fixture(scope="module")
def source(folder):
    return load_dataset(folder / "manifest.csv")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def lossless(source, cache, tmp_path_factory):
    file = tmp_path_factory.mktemp("lossless") / "slices.zip"
    return file, pack_dataset(source, file, SIZE, "area", cache)


@pytest.fixture(scope="module")
def lossy(source, cache, lossless, tmp_path_factory):
    file = tmp_path_factory.mktemp("lossy") / "slices.zip"
    return file, pack_dataset(source, file, SIZE, "area", cache, lossless[1].bytes * 2 // 3)


def test_a_packed_data_set_is_the_one_that_was_packed(source, lossless, lossy):
    for file, _ in (lossless, lossy):
        loaded = load_dataset(file)
        for field in FIELDS:
            assert getattr(loaded, field) == getattr(source, field), field
        assert np.array_equal(loaded.labels, source.labels)


def test_patients_can_be_named_before_or_after_packing(folder, cache, tmp_path):
    for name in ("COVID", "non-COVID"):
        shutil.copytree(folder / name, tmp_path / "slices" / name)
    unnamed = load_dataset(tmp_path / "slices")
    table = tmp_path / "patients.csv"
    table.write_text("path,patient\n" + "".join(f"{path},{path[:-8]}\n" for path in unnamed.paths))
    named = load_dataset(tmp_path / "slices", patients=table)
    pack_dataset(named, tmp_path / "named.zip", SIZE, "area", cache)
    pack_dataset(unnamed, tmp_path / "unnamed.zip", SIZE, "area", cache)
    before, after = load_dataset(tmp_path / "named.zip"), load_dataset(tmp_path / "unnamed.zip", patients=table)
    assert before.digest == after.digest == named.digest != unnamed.digest
    assert before.groups == after.groups == named.groups
    assert load_dataset(tmp_path / "unnamed.zip").groups is None


def test_the_positive_class_follows_from_the_flag_as_for_a_folder(folder, lossless):
    table = folder / "manifest.csv"
    assert load_dataset(lossless[0], "NON-covid").digest == load_dataset(table, "NON-covid").digest
    with pytest.raises(DatasetError, match="flu"):
        load_dataset(lossless[0], "flu")


def test_without_loss_networks_see_what_they_see_without_packing(source, lossless, cache, tmp_path):
    file, summary = lossless
    assert (summary.quality, summary.max_error, summary.psnr) == ("lossless", 0, float("inf"))
    assert np.array_equal(decoded(load_dataset(file), SIZE, "area", tmp_path), decoded(source, SIZE, "area", cache))


def test_with_loss_the_summary_states_the_error_that_networks_see(source, lossy, cache, tmp_path):
    file, summary = lossy
    exact = decoded(source, SIZE, "area", cache).astype(float)
    array = decoded(load_dataset(file), SIZE, "area", tmp_path)
    assert (array.shape, array.dtype) == ((len(source), SIZE, SIZE, 1), np.uint8)
    difference = np.abs(array - exact)
    assert summary.mean_error == pytest.approx(difference.mean())
    assert summary.max_error == difference.max()
    assert summary.psnr == pytest.approx(10 * np.log10(255**2 / np.square(difference).mean()))
    assert abs((array - exact).mean()) < 0.5  # brightness as a whole stays
    assert summary.psnr > 30


def test_the_limit_is_held_and_the_next_quality_would_break_it(source, lossy, lossless, cache):
    file, summary = lossy
    limit = lossless[1].bytes * 2 // 3
    assert file.stat().st_size == summary.bytes <= limit
    assert 0 < summary.quality < 100
    frame = summary.bytes - sum(len(data) for data in members(file)[1:])
    pixels = decoded(source, SIZE, "area", cache)[..., 0]
    better = packed._encode(pixels, summary.quality + 1, 10**9, lambda *news: None)
    assert frame + sum(map(len, better)) > limit - 16


def test_a_limit_that_no_quality_meets_is_refused(source, cache, tmp_path):
    with pytest.raises(DatasetError, match="--limit-mib"):
        pack_dataset(source, tmp_path / "a.zip", SIZE, "area", cache, 5000)
    assert list(tmp_path.iterdir()) == []


def test_the_same_gives_the_same_bytes(source, lossy, lossless, cache, tmp_path):
    pack_dataset(source, tmp_path / "again.zip", SIZE, "area", cache, lossless[1].bytes * 2 // 3)
    assert (tmp_path / "again.zip").read_bytes() == lossy[0].read_bytes()


def test_packings_differ_by_quality_and_the_cache_keeps_them_apart(source, lossless, lossy, cache, tmp_path):
    datasets = [source, load_dataset(lossless[0]), load_dataset(lossy[0])]
    assert len({str(dataset.packing) for dataset in datasets}) == 3
    arrays = [decoded(dataset, SIZE, "area", tmp_path) for dataset in datasets]
    assert len(list(tmp_path.glob("*.npy"))) == 3
    assert not np.array_equal(arrays[1], arrays[2])
    elsewhere = shutil.copy(lossy[0], tmp_path / "elsewhere.zip")
    assert load_dataset(elsewhere).packing == datasets[2].packing
    decoded(load_dataset(elsewhere), SIZE, "area", tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3


def test_another_size_or_interpolation_is_refused_with_the_way_out(lossless, tmp_path):
    dataset = load_dataset(lossless[0])
    with pytest.raises(DatasetError, match=r"--size 64, or pack the data set again: .* --size 96"):
        decoded(dataset, 96, "area", tmp_path)
    with pytest.raises(DatasetError, match="'area'"):
        decoded(dataset, SIZE, "cubic", tmp_path)


def test_a_pack_is_not_packed_again_and_other_outputs_are_refused(source, lossless, cache, tmp_path):
    with pytest.raises(DatasetError, match="packed already"):
        pack_dataset(load_dataset(lossless[0]), tmp_path / "a.zip", SIZE, "area", cache)
    with pytest.raises(DatasetError, match=r"\.zip"):
        pack_dataset(source, tmp_path / "a.tar", SIZE, "area", cache)
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="write"):
        pack_dataset(source, tmp_path / "file" / "a.zip", SIZE, "area", cache)


def test_a_source_that_changes_while_it_is_packed_leaves_no_file(cache, tmp_path):
    folder = write_dataset(tmp_path / "slices", patients=2, slices_per_patient=2, size=64)
    dataset = load_dataset(folder / "manifest.csv")
    Image.fromarray(np.eye(64, dtype=np.uint8) * 200).save(folder / dataset.paths[0])
    with pytest.raises(DatasetError, match="changed meanwhile"):
        pack_dataset(dataset, tmp_path / "a.zip", SIZE, "area", cache)
    assert not list(tmp_path.glob("*.zip"))


# what is wrong with a file -----------------------------------------------------------------------------------------


def members(file):
    with zipfile.ZipFile(file) as archive:
        return [archive.read(info) for info in archive.infolist()]


def rebuilt(file, target, change=None, rename=None, replaced=None, compression=zipfile.ZIP_STORED, extra=()):
    """A copy with another manifest, other names or other content, and right checksums of its own."""
    manifest, *slices = members(file)
    manifest = json.loads(manifest)
    if change:
        change(manifest)
    if replaced:
        slices[0] = replaced
    names = [MANIFEST, *(f"{number:06d}.webp" for number in range(len(slices)))]
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in (*zip(names, [json.dumps(manifest), *slices], strict=True), *extra):
            archive.writestr((rename or {}).get(name, name), data)
    return target


def sets(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(manifest):
        for key in keys:
            manifest = manifest[key]
        manifest[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (sets("format", 2), "format 2"),
        (sets("size", 0), "size"),
        (sets("size", True), "size"),
        (sets("size", 10**9), "size"),
        (sets("size", "64"), "size"),
        (sets("interpolation", "nearest"), "interpolation"),
        (sets("interpolation", []), "interpolation"),
        (sets("codec", "jpeg"), "codec"),
        (sets("quality", 101), "quality"),
        (sets("quality", "best"), "quality"),
        (sets("name", "../../name"), "name"),
        (sets("name", ""), "name"),
        (sets("slices", {}), "slices"),
        (sets("slices", []), "slices"),
        (sets("slices", 3, "path", "../../etc/passwd"), "slice 3"),
        (sets("slices", 3, "path", "/etc/passwd"), "slice 3"),
        (sets("slices", 3, "path", "C:/windows/a.png"), "slice 3"),
        (sets("slices", 3, "path", "COVID\\..\\a.png"), "slice 3"),
        (sets("slices", 3, "path", "COVID//a.png"), "slice 3"),
        (sets("slices", 3, "path", "COVID/\x1b[2Ja.png"), "slice 3"),
        (sets("slices", 3, "path", 7), "slice 3"),
        (sets("slices", 3, "label", ""), "slice 3"),
        (sets("slices", 3, "patient", None), "slice 3"),
        (sets("slices", 3, "source", "abc"), "slice 3"),
        (sets("slices", 3, "unknown", "abc"), "slice 3"),
        (sets("slices", 3, []), "slice 3"),
        (lambda manifest: manifest["slices"][1].update(path=manifest["slices"][0]["path"]), "each path once"),
        (lambda manifest: manifest["slices"].pop(), "numbered slices"),
    ],
)
def test_a_manifest_that_is_off_is_refused_by_name(lossy, tmp_path, change, named):
    with pytest.raises(DatasetError, match=named):
        load_dataset(rebuilt(lossy[0], tmp_path / "odd.zip", change))


@pytest.mark.parametrize(
    "options",
    [
        {"rename": {"000002.webp": "../000002.webp"}},
        {"rename": {"000002.webp": "/tmp/000002.webp"}},
        {"rename": {"000002.webp": "000001.webp"}},
        {"rename": {MANIFEST: "other.json"}},
        {"extra": [("readme.txt", b"hello")]},
        {"compression": zipfile.ZIP_DEFLATED},
        {"replaced": b"\0" * (4 * SIZE * SIZE + 2**16 + 1)},
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_members_are_refused(lossy, tmp_path, options):
    with pytest.raises(DatasetError, match=r"odd\.zip"):
        load_dataset(rebuilt(lossy[0], tmp_path / "odd.zip", **options))


def picture(format_, size, **options):
    buffer = io.BytesIO()
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (size, size), np.uint8)).save(buffer, format_, **options)
    return buffer.getvalue()


def bomb():
    """A lossless WebP whose header claims 16384 × 16384 pixels."""
    data = bytearray(picture("WEBP", SIZE, lossless=True))
    data[21:25] = struct.pack("<I", 16383 | 16383 << 14)
    return bytes(data)


def animation():
    frames = [Image.new("L", (SIZE, SIZE), grey) for grey in (0, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: picture("PNG", SIZE), "another kind of file"),
        (lambda: picture("WEBP", SIZE + 1), "65 × 65"),
        (lambda: picture("WEBP", SIZE), "checksum"),
        (lambda: picture("WEBP", SIZE, lossless=True)[:-40], "cannot be decoded|checksum"),
        (bomb, "16384 × 16384"),
        (animation, "another kind of file"),
        (lambda: b"", "another kind of file"),
    ],
)
def test_a_slice_that_is_not_what_the_manifest_says_is_named(lossy, tmp_path, data, reason):
    file = rebuilt(lossy[0], tmp_path / "odd.zip", replaced=data() or b"RIFF")
    dataset = load_dataset(file)
    with pytest.raises(DatasetError, match=reason) as refusal:
        decoded(dataset, SIZE, "area", tmp_path)
    assert "1 that cannot be read" in str(refusal.value)
    assert json.loads(members(file)[0])["slices"][0]["path"] in str(refusal.value)
    assert not list(tmp_path.glob("*.npy"))


def test_a_file_exchanged_after_loading_is_noticed(lossy, lossless, tmp_path):
    file = tmp_path / "slices.zip"
    shutil.copy(lossy[0], file)
    dataset = load_dataset(file)
    shutil.copy(lossless[0], file)
    with pytest.raises(DatasetError, match="exchanged"):
        decoded(dataset, SIZE, "area", tmp_path)


def test_a_damaged_slice_is_named_when_the_file_is_loaded(lossy, tmp_path):
    data = bytearray(lossy[0].read_bytes())
    with zipfile.ZipFile(lossy[0]) as archive:
        data[archive.getinfo("000005.webp").header_offset + 200] ^= 1
    (tmp_path / "odd.zip").write_bytes(data)
    path = json.loads(members(lossy[0])[0])["slices"][5]["path"]
    with pytest.raises(DatasetError, match=path):
        load_dataset(tmp_path / "odd.zip")


def test_cut_or_damaged_anywhere_it_is_refused_or_unharmed(lossy, source, tmp_path):
    """Every refusal is a DatasetError; what loads all the same decodes to the same grey values."""
    whole, file = lossy[0].read_bytes(), tmp_path / "odd.zip"
    exact = decoded(load_dataset(lossy[0]), SIZE, "area", tmp_path / "exact")
    rng = np.random.default_rng(5)
    refused = 0
    for attempt in range(300):
        data = bytearray(whole)
        if attempt % 3 == 0:
            del data[int(rng.integers(len(data))) :]
        elif attempt % 3 == 1:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        else:  # the directory at the end
            data[-int(rng.integers(1, 1500))] = int(rng.integers(256))
        file.write_bytes(data)
        try:
            dataset = load_dataset(file)
            cache = tmp_path / f"cache-{attempt}"
            assert np.array_equal(decoded(dataset, SIZE, "area", cache), exact)
            assert dataset.digest == source.digest
        except DatasetError:
            refused += 1
    assert refused > 200


def test_other_files_are_refused(tmp_path):
    (tmp_path / "empty.zip").touch()
    (tmp_path / "text.zip").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("COVID/a.png", b"x")
    for name in ("empty.zip", "text.zip", "other.zip", "absent.zip"):
        with pytest.raises(DatasetError, match=name):
            load_dataset(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
        archive.writestr(MANIFEST, "[" * 100_000)
    with pytest.raises(DatasetError, match=MANIFEST):
        load_dataset(tmp_path / "deep.zip")


def test_too_large_files_are_not_opened(lossy, monkeypatch):
    from covid_core.data import packfile

    monkeypatch.setattr(packfile, "MAX_BYTES", 1000)
    with pytest.raises(DatasetError, match="at most"):
        load_dataset(lossy[0])


def test_webp_shape_agrees_with_pillow():
    for size in (1, 63, 380):
        for options in ({"quality": 50}, {"lossless": True}):
            assert webp_shape(picture("WEBP", size, **options)) == (size, size)


# the command -------------------------------------------------------------------------------------------------------


def test_the_command_packs_and_says_what_it_cost(folder, lossy, lossless, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COVID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    limit = lossless[1].bytes * 2 // 3 / 2**20
    arguments = [str(folder / "manifest.csv"), str(tmp_path / "a.zip"), "--size", str(SIZE), "--limit-mib", str(limit)]
    assert packed.main(arguments) == 0
    out = capsys.readouterr().out
    assert f"WebP quality {lossy[1].quality}" in out
    assert "PSNR" in out
    assert (tmp_path / "a.zip").read_bytes() == lossy[0].read_bytes()
    assert packed.main([str(tmp_path / "absent"), str(tmp_path / "b.zip")]) == packed.EXIT_USAGE
    assert "Refused" in capsys.readouterr().out


def test_packing_without_webp_is_refused(source, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(packed.features, "check", lambda name: False)
    with pytest.raises(DatasetError, match="WebP"):
        pack_dataset(source, tmp_path / "a.zip", SIZE, "area", cache)


def test_packings_are_compared_by_value(lossy):
    packing = load_dataset(lossy[0]).packing
    assert packing == replace(packing)
    assert packing.transform().keys() == {"codec", "quality", "pixels"}
