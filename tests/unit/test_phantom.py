"""The generated chest: what must hold for every patient, and the data set on disk."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from covid_core.data import phantom
from covid_core.data.chest.anatomy import Anatomy
from covid_core.data.chest.vessels import MURRAY, TIP_RADIUS, Vessels, grow_vessels
from covid_core.data.phantom import PhantomSlice, patient_slices, sample_slices, write_dataset
from covid_core.errors import DatasetError

PATIENTS, SLICES, SIZE = 60, 4, 96


@pytest.fixture(scope="module")
def population() -> list[PhantomSlice]:
    """60 patients, every other one positive, 4 slices each."""
    return [
        item for number in range(PATIENTS) for item in patient_slices(number, number % 2 == 0, SLICES, SIZE, seed=3)
    ]


@pytest.fixture(scope="module")
def positives(population: list[PhantomSlice]) -> list[PhantomSlice]:
    return [item for item in population if item.label == "COVID"]


@pytest.fixture(scope="module")
def vessels() -> Vessels:
    return grow_vessels(Anatomy.sample(np.random.default_rng(0)), np.random.default_rng(1), tips=300)


def correlation(first: PhantomSlice, second: PhantomSlice, side: int = 16) -> float:
    small = [cv2.resize(item.pixels, (side, side), interpolation=cv2.INTER_AREA).ravel() for item in (first, second)]
    return float(np.corrcoef(small)[0, 1])


def around(lesions: np.ndarray, pixels: int) -> np.ndarray:
    return cv2.dilate(lesions.astype(np.uint8), np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


class TestPatient:
    def test_shapes_types_and_ids(self):
        slices = patient_slices(7, positive=True, slices=3, size=64)
        assert [item.position for item in slices] == sorted({item.position for item in slices})
        for item in slices:
            assert item.pixels.shape == item.lungs.shape == item.lesions.shape == (64, 64)
            assert (item.pixels.dtype, item.lungs.dtype, item.lesions.dtype) == (np.uint8, bool, bool)
            assert (item.patient, item.label) == ("phantom-0007", "COVID")
            assert 0.0 <= item.position <= 1.0

    def test_same_arguments_same_pixels_whoever_else_was_scanned(self):
        first = patient_slices(5, positive=True, slices=2, size=64, seed=1)
        patient_slices(6, positive=False, slices=1, size=64, seed=1)
        again = patient_slices(5, positive=True, slices=2, size=64, seed=1)
        for one, two in zip(first, again, strict=True):
            assert np.array_equal(one.pixels, two.pixels)
            assert np.array_equal(one.lesions, two.lesions)

    @pytest.mark.parametrize("other", [{"patient": 6}, {"seed": 2}])
    def test_another_patient_or_seed_is_another_picture(self, other: dict[str, int]):
        arguments = {"patient": 5, "positive": False, "slices": 1, "size": 64, "seed": 1}
        one, two = patient_slices(**arguments)[0], patient_slices(**{**arguments, **other})[0]
        # Beyond noise: the outlines of the lungs differ.
        assert (one.lungs ^ two.lungs).mean() > 0.01

    def test_a_slice_does_not_depend_on_how_many_are_taken(self):
        ends = patient_slices(4, positive=True, slices=2, size=64)
        many = patient_slices(4, positive=True, slices=5, size=64)
        assert np.array_equal(ends[0].pixels, many[0].pixels)
        assert np.array_equal(ends[1].pixels, many[-1].pixels)

    def test_disease_is_all_that_tells_the_ill_from_the_healthy_self(self):
        for ill, well in zip(patient_slices(2, True, 3), patient_slices(2, False, 3), strict=True):
            assert np.array_equal(ill.lungs, well.lungs)
            changed = np.abs(ill.pixels.astype(int) - well.pixels) > 3
            assert changed[ill.lesions].mean() > 0.8
            assert not changed[~around(ill.lesions, 16)].any()

    @pytest.mark.parametrize("size", [96, 380, 640])
    def test_same_anatomy_at_another_size(self, size: int):
        reference = patient_slices(3, positive=True, slices=1, size=256)[0]
        other = patient_slices(3, positive=True, slices=1, size=size)[0]
        assert correlation(reference, other, side=64) > 0.995
        for name in ("lungs", "lesions"):
            scaled = cv2.resize(getattr(other, name).astype(np.uint8), (256, 256), interpolation=cv2.INTER_NEAREST) > 0
            mask = getattr(reference, name)
            assert 2 * (scaled & mask).sum() / (scaled.sum() + mask.sum()) > 0.9

    @pytest.mark.parametrize(
        "wrong", [{"slices": 0}, {"patient": -1}, {"seed": -1}, {"size": 8}], ids=lambda wrong: next(iter(wrong))
    )
    def test_numbers_out_of_range_are_refused(self, wrong: dict[str, int]):
        with pytest.raises(ValueError, match=r"Expected .* Received: "):
            patient_slices(**{"patient": 0, "positive": True, "slices": 1, **wrong})


class TestPopulation:
    def test_lungs_take_a_plausible_share_and_are_dark(self, population: list[PhantomSlice]):
        for item in population:
            assert 0.08 < item.lungs.mean() < 0.5
            healthy = item.lungs & ~item.lesions
            assert np.median(item.pixels[healthy]) < np.median(item.pixels[~item.lungs & (item.pixels > 120)]) - 60

    def test_two_lungs_one_on_each_side(self, population: list[PhantomSlice]):
        for item in population:
            left, right = item.lungs[:, : SIZE // 2].mean(), item.lungs[:, SIZE // 2 :].mean()
            assert min(left, right) > 0.2 * max(left, right)

    def test_every_positive_slice_shows_lesions_inside_the_lungs(self, positives: list[PhantomSlice]):
        for item in positives:
            assert item.lesions.sum() > 0.005 * item.lungs.sum(), (item.patient, item.position)
            assert not (item.lesions & ~item.lungs).any()

    def test_negatives_have_none(self, population: list[PhantomSlice]):
        assert not any(item.lesions.any() for item in population if item.label == "non-COVID")

    def test_lesions_are_brighter_than_the_lung_around_them(self, positives: list[PhantomSlice]):
        contrasts = []
        for item in positives:
            near = around(item.lesions, 5) & item.lungs & ~around(item.lesions, 1)
            contrasts.append(item.pixels[item.lesions].mean() - np.median(item.pixels[near]))
        assert min(contrasts) > 15
        assert np.median(contrasts) > 30

    def test_lesions_prefer_the_back_and_the_pleura(self, positives: list[PhantomSlice]):
        behind, depth_of_lesions, depth_of_lungs = [], [], []
        for item in positives:
            rows, columns = np.nonzero(item.lungs)
            behind.append((np.nonzero(item.lesions)[0] > np.median(rows)).mean())
            filled = cv2.distanceTransform(item.lungs.astype(np.uint8), cv2.DIST_L2, 5)
            depth_of_lesions.append(filled[item.lesions].mean())
            depth_of_lungs.append(filled[rows, columns].mean())
        assert np.mean(behind) > 0.7
        assert np.mean(depth_of_lesions) < 0.8 * np.mean(depth_of_lungs)

    def test_lesions_go_on_in_the_next_slice(self):
        for number in range(3):
            stack = patient_slices(number, positive=True, slices=40, size=96)[14:19]
            for one, two in pairwise(stack):
                shared = (one.lesions & two.lesions).sum()
                assert 2 * shared / (one.lesions.sum() + two.lesions.sum()) > 0.5

    def test_neighbours_look_more_alike_than_strangers(self):
        people = [patient_slices(number, number % 2 == 0, 8, 64) for number in range(12)]
        neighbours = [correlation(a, b) for person in people for a, b in pairwise(person)]
        strangers = [correlation(a[4], b[4]) for a in people for b in people if a is not b]  # at one height, too
        assert np.median(neighbours) > np.median(strangers) + 0.03
        nearest = [max(correlation(person[3], other[k]) for other in people if other is not person for k in range(8))
                   for person in people]  # fmt: skip
        own = [max(correlation(person[3], person[k]) for k in (2, 4)) for person in people]
        assert np.mean(np.array(own) > np.array(nearest)) > 0.6

    @pytest.mark.parametrize(
        "feature",
        [
            lambda item: item.pixels.mean(),
            lambda item: item.pixels.std(),
            lambda item: np.median(item.pixels),
            lambda item: item.pixels.min(),
            lambda item: item.pixels[:8, :8].mean(),
            lambda item: item.lungs.mean(),
            lambda item: item.position,
        ],
        ids=["mean", "deviation", "median", "darkest", "corner", "lung area", "position"],
    )
    def test_no_single_number_gives_the_class_away(
        self, population: list[PhantomSlice], feature: Callable[[PhantomSlice], float]
    ):
        truth = [item.label == "COVID" for item in population]
        assert 0.25 < roc_auc_score(truth, [feature(item) for item in population]) < 0.75


class TestVessels:
    def test_each_piece_starts_where_another_ends_or_at_a_hilum(self, vessels: Vessels):
        ends = {tuple(point) for point in vessels.ends}
        free = {tuple(point) for point in vessels.starts} - ends
        assert 2 <= len(free) <= 4  # an artery and a vein on each side
        assert len(vessels.ends) == 2 * 300

    def test_murray(self, vessels: Vessels):
        children: dict[tuple[float, ...], float] = {}
        for start, radius in zip(vessels.starts, vessels.radii, strict=True):
            children[tuple(start)] = children.get(tuple(start), 0.0) + radius**MURRAY
        checked = 0
        for end, radius in zip(vessels.ends, vessels.radii, strict=True):
            if tuple(end) in children:
                assert radius**MURRAY == pytest.approx(children[tuple(end)] + TIP_RADIUS**MURRAY)
                checked += 1
        assert checked > 100

    def test_a_slab_holds_the_cut_pieces_only(self, vessels: Vessels):
        slab = vessels.slab(0.5, 0.52)
        assert 0 < len(slab.radii) < len(vessels.radii)
        for points in (slab.starts, slab.ends):
            assert points[:, 2].min() >= 0.5 - 1e-6
            assert points[:, 2].max() <= 0.52 + 1e-6


class TestSamples:
    def test_three_and_three_all_different_patients(self):
        samples = sample_slices(size=128)
        assert [item.label for item in samples] == ["COVID"] * 3 + ["non-COVID"] * 3
        assert len({item.patient for item in samples}) == len({item.position for item in samples}) == 6
        assert all(item.lesions.any() == (item.label == "COVID") for item in samples)
        assert samples[0].pixels.shape == (128, 128)

    def test_kinds_of_lesion_differ(self):
        haze, solid, _ = sample_slices(size=256)[:3]
        # Ground glass leaves the lung darker than soft tissue, consolidation does not.
        assert np.median(haze.pixels[haze.lesions]) < 170 < np.percentile(solid.pixels[solid.lesions], 60)


class TestDataset:
    ARGUMENTS = {"patients": 5, "slices_per_patient": 2, "size": 48, "seed": 9}  # noqa: RUF012

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return write_dataset(tmp_path / "phantom", **self.ARGUMENTS)

    def test_layout(self, root: Path):
        with (root / "manifest.csv").open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        assert reader.fieldnames == ["path", "label", "patient", "position", "lungs", "lesions"]
        assert len(rows) == 10
        assert {row["patient"]: row["label"] for row in rows} == {
            f"phantom-000{number}": "COVID" if number % 2 == 0 else "non-COVID" for number in range(5)
        }
        named = {row[column] for row in rows for column in ("path", "lungs", "lesions")}
        assert named | {"manifest.csv", "phantom.json"} == set(digests(root))
        for row in rows:
            assert row["path"].startswith(row["label"] + "/")
            picture, lungs, lesions = (
                cv2.imread(str(root / row[column]), cv2.IMREAD_UNCHANGED) for column in ("path", "lungs", "lesions")
            )
            assert picture.dtype == np.uint8
            assert picture.shape == lungs.shape == lesions.shape == (48, 48)
            assert set(np.unique(lungs)) == {0, 255}
            assert set(np.unique(lesions)) <= {0, 255}
            assert (255 in lesions) == (row["label"] == "COVID")

    def test_files_hold_what_the_patients_give(self, root: Path):
        item = patient_slices(2, positive=True, slices=2, size=48, seed=9)[1]
        name = "COVID/phantom-0002-001.png"
        for path, expected in (
            (name, item.pixels),
            (f"masks/lungs/{name}", item.lungs * 255),
            (f"masks/lesions/{name}", item.lesions * 255),
        ):
            assert np.array_equal(cv2.imread(str(root / path), cv2.IMREAD_UNCHANGED), expected)

    def test_same_seed_same_bytes(self, root: Path, tmp_path: Path):
        assert digests(write_dataset(tmp_path / "again", **self.ARGUMENTS)) == digests(root)
        other = write_dataset(tmp_path / "other", **{**self.ARGUMENTS, "seed": 10})
        assert digests(other)["COVID/phantom-0000-000.png"] != digests(root)["COVID/phantom-0000-000.png"]

    def test_a_complete_one_is_left_as_it_is(self, root: Path):
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
        assert write_dataset(root, **self.ARGUMENTS) == root
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before

    def test_a_killed_write_is_done_again(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        written = []

        def killed(path: Path, picture: np.ndarray) -> None:
            if len(written) == 7:
                raise KeyboardInterrupt
            written.append(path)
            write_png(path, picture)

        write_png = phantom._write_png
        broken = tmp_path / "broken"
        with monkeypatch.context() as patched:
            patched.setattr(phantom, "_write_png", killed)
            with pytest.raises(KeyboardInterrupt):
                write_dataset(broken, **self.ARGUMENTS)
        assert json.loads((broken / "phantom.json").read_text())["complete"] is False
        assert digests(write_dataset(broken, **self.ARGUMENTS)) == digests(root)

    def test_a_lost_file_is_written_again(self, root: Path):
        before = digests(root)
        (root / "COVID" / "phantom-0000-001.png").unlink()
        assert digests(write_dataset(root, **self.ARGUMENTS)) == before

    @pytest.mark.parametrize("other", [{"size": 64}, {"seed": 1}, {"patients": 4}, {"slices_per_patient": 1}])
    def test_other_parameters_are_refused_and_nothing_is_touched(self, root: Path, other: dict[str, int]):
        before = digests(root)
        with pytest.raises(DatasetError, match="Expected an empty folder"):
            write_dataset(root, **{**self.ARGUMENTS, **other})
        assert digests(root) == before

    @pytest.mark.parametrize("content", ["holiday.txt", "phantom.json"])
    def test_a_folder_with_other_files_is_refused(self, tmp_path: Path, content: str):
        (tmp_path / content).write_text("not ours")
        with pytest.raises(DatasetError, match="other files"):
            write_dataset(tmp_path, **self.ARGUMENTS)
        assert list(digests(tmp_path)) == [content]

    def test_a_file_in_place_of_the_folder_is_refused(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        with pytest.raises(DatasetError, match="Received a file"):
            write_dataset(tmp_path / "file", **self.ARGUMENTS)

    def test_one_patient_is_refused(self, tmp_path: Path):
        with pytest.raises(ValueError, match="two patients"):
            write_dataset(tmp_path, patients=1)
