"""Single slices as they are stored, in a folder and in a packed file."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from covid_core.data.dataset import load_dataset
from covid_core.data.packed import pack_dataset
from covid_core.data.phantom import write_dataset
from covid_core.data.stored import stored_slices
from covid_core.errors import DatasetError, SliceError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "phantom", patients=2, slices_per_patient=2, size=64)


def test_files_come_as_they_are(folder):
    dataset = load_dataset(folder)
    with stored_slices(dataset) as read:
        for position, path in enumerate(dataset.paths):
            assert (read(position) == np.asarray(Image.open(folder / path))).all()


def test_packed_slices_come_at_their_packed_size(folder, tmp_path):
    pack_dataset(load_dataset(folder), tmp_path / "slices.zip", 32, "area", tmp_path)
    dataset = load_dataset(tmp_path / "slices.zip")
    with stored_slices(dataset) as read:
        assert {read(position).shape for position in range(len(dataset))} == {(32, 32)}


def test_what_cannot_be_read_is_named(folder, tmp_path):
    copy = write_dataset(tmp_path / "copy", patients=2, slices_per_patient=2, size=64)
    dataset = load_dataset(copy)
    (copy / dataset.paths[0]).write_bytes(b"no picture")
    with stored_slices(dataset) as read, pytest.raises(SliceError):
        read(0)
    pack_dataset(load_dataset(folder), tmp_path / "slices.zip", 32, "area", tmp_path)
    packed = load_dataset(tmp_path / "slices.zip")
    pack_dataset(load_dataset(folder), tmp_path / "other.zip", 16, "area", tmp_path)
    (tmp_path / "other.zip").replace(tmp_path / "slices.zip")
    with pytest.raises(DatasetError, match="exchanged"), stored_slices(packed):
        pass
