"""Trained networks that travel in parts arrive as they were, or not at all."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
from tiny import CARD_FACTS, bright_or_dark, tiny_network

from covid_core.errors import LibraryError
from covid_core.models import build, library
from covid_core.models.transport import export_networks, import_networks

PIXELS, _ = bright_or_dark(12)
PART = 700


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A library with two networks of one experiment and one of another."""
    folder = tmp_path_factory.mktemp("networks")
    for model, experiment in (("VGG16", "mine"), ("ResNet50", "mine"), ("VGG16", "other")):
        library.save_network(
            tiny_network(model), folder, f"{experiment}-r1-f1", PIXELS, CARD_FACTS | {"experiment": experiment}
        )
    return folder


@pytest.fixture
def sent(networks, tmp_path):
    return export_networks(networks, "mine", tmp_path / "export", part_bytes=PART)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_parts_are_small_and_join_to_the_same_files(networks, sent, tmp_path):
    assert [file.name for file in sent.files] == [f"networks.zip.{n:03d}" for n in range(1, len(sent.files) + 1)]
    assert len(sent.files) > 3
    assert sorted((tmp_path / "export").iterdir()) == list(sent.files)
    assert all(file.stat().st_size <= PART for file in sent.files)
    arrived = import_networks(tmp_path / "export", tmp_path / "home")
    assert [card.model for card in arrived.taken] == ["ResNet50", "VGG16"]
    assert content(tmp_path / "home") == {name: data for name, data in content(networks).items() if "mine" in name}


def test_joined_networks_give_the_same_probabilities(networks, sent, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "build_model", tiny_network)
    import_networks(tmp_path / "export", tmp_path / "home")
    for model in ("VGG16", "ResNet50"):
        before = next(card for card in library.list_networks([networks])[model] if card.experiment == "mine")
        (after,) = library.list_networks([tmp_path / "home"])[model]
        assert {**asdict(after), "path": None} == {**asdict(before), "path": None}
        expected = library.load_network(before).predict(PIXELS, verbose=0)
        np.testing.assert_array_equal(library.load_network(after).predict(PIXELS, verbose=0), expected)


def test_large_networks_stay_unless_asked_for(networks, tmp_path):
    sizes = sorted(card.weights_path.stat().st_size for card in library.list_networks([networks])["VGG16"])
    none = export_networks(networks, "mine", tmp_path / "export", largest_bytes=sizes[0] - 1000)
    assert (none.taken, len(none.left), none.files) == ((), 2, ())
    assert len(export_networks(networks, "mine", tmp_path / "export", largest_bytes=sizes[-1] + 1000).taken) == 2
    assert import_networks(tmp_path / "absent", tmp_path / "home").taken == ()


def test_a_shorter_export_leaves_no_older_part(networks, sent, tmp_path):
    again = export_networks(networks, "mine", tmp_path / "export", part_bytes=10**6)
    assert sorted((tmp_path / "export").iterdir()) == list(again.files)
    assert len(again.files) == 1
    assert len(import_networks(tmp_path / "export", tmp_path / "home").taken) == 2


def test_the_same_networks_give_the_same_bytes(networks, sent, tmp_path):
    export_networks(networks, "mine", tmp_path / "again", part_bytes=PART)
    assert content(tmp_path / "again") == content(tmp_path / "export")


def test_what_is_there_is_kept(sent, tmp_path):
    home = tmp_path / "home"
    import_networks(tmp_path / "export", home)
    before = content(home)
    again = import_networks(tmp_path / "export", home)
    assert (again.taken, len(again.left)) == ((), 2)
    assert content(home) == before


@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_lost_part_is_noticed_and_nothing_added(sent, tmp_path, lost):
    sent.files[lost].unlink()
    with pytest.raises(LibraryError, match=r"networks\.zip"):
        import_networks(tmp_path / "export", tmp_path / "home")
    assert list((tmp_path / "home").rglob("*") if (tmp_path / "home").exists() else []) == []


def test_damage_anywhere_is_refused_or_harmless(networks, sent, tmp_path):
    rng = np.random.default_rng(2)
    expected = {name: data for name, data in content(networks).items() if "mine" in name}
    refused = 0
    for attempt in range(60):
        file = sent.files[int(rng.integers(len(sent.files)))]
        exact = file.read_bytes()
        data = bytearray(exact)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        file.write_bytes(data)
        home = tmp_path / f"home-{attempt}"
        try:
            import_networks(tmp_path / "export", home)
            assert content(home) == expected
        except LibraryError:
            refused += 1
            assert content(home) == {}
        file.write_bytes(exact)
    assert refused > 40


def rebuilt(networks, folder, rename=None, compression=zipfile.ZIP_STORED, change=None, leave=()):
    """An archive in one part with right checksums of its own."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "networks.zip.001", "w", compression) as archive:
        for suffix in ("json", "npz"):
            data = (networks / "VGG16" / f"mine-r1-f1.{suffix}").read_bytes()
            if change and suffix == "json":
                data = json.dumps(json.loads(data) | change).encode()
            name = f"VGG16/mine-r1-f1.{suffix}"
            if suffix not in leave:
                archive.writestr((rename or {}).get(suffix, name), data)
    return folder


def test_the_rebuilt_archive_is_fine_as_it_is(networks, tmp_path):
    assert len(import_networks(rebuilt(networks, tmp_path / "odd"), tmp_path / "home").taken) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"rename": {"json": "../VGG16/mine-r1-f1.json"}},
        {"rename": {"json": "/tmp/VGG16/mine-r1-f1.json"}},
        {"rename": {"npz": "VGG16/../../mine-r1-f1.npz"}},
        {"rename": {"json": "VGG16/.mine-r1-f1.json", "npz": "VGG16/.mine-r1-f1.npz"}},
        {"rename": {"json": "VGG61/mine-r1-f1.json", "npz": "VGG61/mine-r1-f1.npz"}},
        {"rename": {"json": "VGG19/mine-r1-f1.json", "npz": "VGG19/mine-r1-f1.npz"}},
        {"rename": {"npz": "VGG16/mine-r1-f1.py"}},
        {"rename": {"npz": "VGG16/mine-r1-f1.json"}},
        {"leave": ["npz"]},
        {"leave": ["json"]},
        {"compression": zipfile.ZIP_DEFLATED},
        {"change": {"sha256": "0" * 64}},
        {"change": {"weights": "other.npz"}},
        {"change": {"weights": "../mine-r1-f1.npz"}},
        {"change": {"format": 99}},
        {"change": {"unknown": 1}},
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_add_nothing(networks, tmp_path, options):
    with pytest.raises(LibraryError):
        import_networks(rebuilt(networks, tmp_path / "odd", **options), tmp_path / "home")
    assert content(tmp_path / "home") == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "odd"]


def test_damaged_weights_are_not_sent(networks, tmp_path):
    library.save_network(tiny_network("VGG19"), tmp_path / "mine", "a", PIXELS, CARD_FACTS | {"experiment": "mine"})
    (tmp_path / "mine" / "VGG19" / "a.npz").write_bytes(b"damaged")
    with pytest.raises(LibraryError, match="VGG19/a"):
        export_networks(tmp_path / "mine", "mine", tmp_path / "export")
    (tmp_path / "mine" / "VGG19" / "a.npz").unlink()
    with pytest.raises(LibraryError, match="VGG19/a"):
        export_networks(tmp_path / "mine", "mine", tmp_path / "export")
