import numpy as np
import pytest
from PIL import Image

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.slices import read_slice, resize_slice
from covid_core.errors import DatasetError


def picture(path, seed, mode="L", size=(60, 50)):
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)
    Image.fromarray(grey).convert(mode).save(path)


@pytest.fixture
def kaggle(tmp_path):
    """The Kaggle folder in small: RGB and RGBA files of odd sizes, and what lies around in a download."""
    root = tmp_path / "download"
    picture(root / "COVID" / "Covid (1).png", 1, "RGB", (61, 47))
    picture(root / "COVID" / "Covid (2).png", 2, "RGBA", (80, 55))
    picture(root / "non-COVID" / "Non-Covid (1).png", 3, "RGBA", (44, 90))
    picture(root / "non-COVID" / "Non-Covid (2).png", 4, "L")
    (root / "non-COVID" / "Thumbs.db").write_bytes(b"no picture")
    (root / ".hidden").mkdir()
    return root


def test_kaggle_folder_as_downloaded(kaggle, tmp_path):
    dataset = load_dataset(kaggle)
    assert dataset.classes == ("non-COVID", "COVID")
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    assert dataset.binary_labels.tolist() == [0, 0, 1, 1]
    assert dataset.groups is None
    assert dataset.warnings == ()
    array = decoded(dataset, 40, "area", tmp_path / "cache")
    assert array.shape == (4, 40, 40, 1)
    assert array.dtype == np.uint8
    for position, path in enumerate(dataset.paths):
        expected = resize_slice(read_slice(kaggle / path).pixels, 40, "area")
        np.testing.assert_array_equal(array[position, :, :, 0], expected)


def test_what_is_no_slice_in_a_class_folder_is_left_out_and_named(kaggle):
    (kaggle / "COVID" / "a.dcm").write_bytes(b"DICM")
    (kaggle / "non-COVID" / "scan 1").mkdir()
    (kaggle / "readme.txt").write_text("beside the class folders")
    dataset = load_dataset(kaggle)
    assert len(dataset) == 4
    (warning,) = dataset.warnings
    assert "2 files or folders, first 'COVID/a.dcm'" in warning


def test_decoded_once_and_mapped_afterwards(kaggle, tmp_path):
    dataset = load_dataset(kaggle)
    first = decoded(dataset, 40, "area", tmp_path / "cache")
    for path in dataset.paths:
        (kaggle / path).unlink()
    again = decoded(dataset, 40, "area", tmp_path / "cache")
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    np.testing.assert_array_equal(first, again)


def test_damaged_cache_is_decoded_again(kaggle, tmp_path):
    dataset = load_dataset(kaggle)
    first = np.array(decoded(dataset, 40, "area", tmp_path / "cache"))
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:300])
    np.testing.assert_array_equal(decoded(dataset, 40, "area", tmp_path / "cache"), first)


def test_unreadable_files_are_named_and_nothing_is_cached(kaggle, tmp_path):
    (kaggle / "COVID" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (kaggle / "COVID" / "text.png").write_text("not a picture")
    dataset = load_dataset(kaggle)
    with pytest.raises(DatasetError, match="2 that cannot be read") as refusal:
        decoded(dataset, 40, "area", tmp_path / "cache")
    assert "COVID/broken.png" in str(refusal.value)
    assert "COVID/text.png" in str(refusal.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_more_than_two_classes_and_another_positive(kaggle):
    picture(kaggle / "CAP" / "a.png", 5)
    dataset = load_dataset(kaggle, positive="cap")
    assert dataset.classes == ("COVID", "non-COVID", "CAP")
    assert dataset.binary_labels.tolist() == [0, 0, 0, 0, 1]


def test_identical_files_are_warned_about(kaggle):
    twin = kaggle / "COVID" / "Covid (1).png"
    (kaggle / "non-COVID" / "same.png").write_bytes(twin.read_bytes())
    (kaggle / "COVID" / "copy of 2.png").write_bytes((kaggle / "COVID" / "Covid (2).png").read_bytes())
    across, within = sorted(load_dataset(kaggle).warnings, key=lambda text: "one class" in text)
    assert "different classes" in across
    assert "same.png" in across
    assert "copy of 2.png" in within


def test_table_with_patients(kaggle):
    table = kaggle / "table.csv"
    table.write_text("path,label,patient\nCOVID/Covid (1).png,ill,p1\nnon-COVID/Non-Covid (1).png,well,p2\n")
    dataset = load_dataset(table, positive="ill")
    assert dataset.name == "table"
    assert dataset.paths == ("non-COVID/Non-Covid (1).png", "COVID/Covid (1).png")
    assert dataset.groups == ("p2", "p1")


def test_patients_of_a_folder_from_another_table(kaggle, tmp_path):
    table = tmp_path / "patients.csv"
    rows = [f"{path},{path[0]}" for path in load_dataset(kaggle).paths]
    table.write_text("path,patient\n" + "\n".join(rows))
    assert load_dataset(kaggle, patients=table).groups == ("n", "n", "C", "C")
    table.write_text("path,patient\n" + "\n".join(rows[1:]))
    with pytest.raises(DatasetError, match="patient for every slice"):
        load_dataset(kaggle, patients=table)


def test_digest_follows_content_names_and_labels(kaggle):
    digest = load_dataset(kaggle).digest
    assert load_dataset(kaggle).digest == digest
    file = kaggle / "COVID" / "Covid (1).png"
    before = file.read_bytes()
    picture(file, 9)
    assert load_dataset(kaggle).digest != digest
    file.write_bytes(before)
    assert load_dataset(kaggle).digest == digest
    file.rename(file.with_name("renamed.png"))
    assert load_dataset(kaggle).digest != digest


def test_what_is_no_data_set_is_refused_with_a_reason(tmp_path, kaggle):
    def refusal(root, **options):
        with pytest.raises(DatasetError) as error:
            load_dataset(root, **options)
        return str(error.value)

    assert "not there" in refusal(tmp_path / "absent")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no slices" in refusal(empty)
    picture(tmp_path / "single" / "COVID" / "a.png", 1)
    assert "only 'COVID'" in refusal(tmp_path / "single")
    assert "Received: COVID, non-COVID" in refusal(kaggle, positive="malign")
    table = kaggle / "table.csv"
    for text, reason in {
        "file,label\na,b\n": "columns path, label",
        "path,label\n../x.png,a\n": "below the table's folder",
        "path,label\nCOVID/x.png,\n": "Line 2 lacks",
        "path,label\nCOVID/x.png,a\nnon-COVID/y.png,COVID\n": "readable file",
        "path,label\nCOVID/x.png,a\nCOVID/x.png,COVID\n": "more than once",
    }.items():
        table.write_text(text)
        assert reason in refusal(table)
    table.write_bytes(b"path,label\n\xff\xfe\n")
    assert "UTF-8" in refusal(table)


def test_real_data_set(shared_data):
    dataset = load_dataset(shared_data / "sars-cov-2-ct")
    assert dataset.classes == ("non-COVID", "COVID")
    assert np.bincount(dataset.labels).tolist() == [1229, 1252]
    assert len(dataset.warnings) == 2
