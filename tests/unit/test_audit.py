"""The audit: a clean data set passes, each planted leak is caught by its name and alone, bad input is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.planted import (
    LEAKS,
    PATIENTS,
    SERIES_LENGTH,
    SERIES_PATIENTS,
    SIZE,
    clean_dataset,
    copy,
    marked,
    plant,
    series_dataset,
    wider,
    write_patients,
)
from covid_core.data.audit.facts import read_facts
from covid_core.data.audit.findings import NOTE, SERIOUS, WARNING, findings, passes, smallest_effect, verdict
from covid_core.data.audit.record import Audit
from covid_core.data.audit.run import STAGES, audit
from covid_core.data.dataset import load_dataset
from covid_core.data.packed import pack_dataset
from covid_core.data.phantom import NEGATIVE, POSITIVE
from covid_core.errors import DatasetError

WHEN = "2026-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_dataset(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return series_dataset(tmp_path_factory.mktemp("many"), SERIES_PATIENTS, SERIES_LENGTH)


def audited(root: Path, patients: Path | None = None) -> Audit:
    return audit(load_dataset(root, patients=patients), WHEN)


def named(root: Path, patients: Path | None = None) -> dict[str, str]:
    """Findings and their severities."""
    return {one.name: one.severity for one in findings(audited(root, patients))}


def test_a_clean_data_set_passes_whether_patients_are_known_or_guessed(clean):
    for patients in (None, clean / "manifest.csv"):
        measured = audited(clean, patients)
        found = findings(measured)
        assert found == ()
        assert passes(found)
        assert verdict(measured, found).startswith(f"Passes: no shortcut was found in {PATIENTS} slices")
        assert 0.6 < smallest_effect(measured) < 0.8
        assert measured.groups.known == (patients is not None)
        assert measured.classes == {NEGATIVE: PATIENTS // 2, POSITIVE: PATIENTS // 2}


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_a_planted_leak_is_caught_by_name_and_alone(clean, tmp_path, leak):
    root = leak.plant(clean, tmp_path / "leak", 1)
    patients = root / "patients.csv"
    assert named(root, patients if patients.is_file() else None) == leak.expected


def test_a_leak_in_two_thirds_of_a_class_is_caught(clean, tmp_path):
    root = copy(clean, tmp_path / "leak")
    files = sorted((root / POSITIVE).iterdir())
    for file in files[::3] + files[1::3]:
        cv2.imwrite(str(file), marked(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)))
    assert set(named(root)) == {"border"}


def test_a_mark_in_both_classes_is_no_leak(clean, tmp_path):
    root = plant(clean, tmp_path / "both", marked)
    for file in (root / NEGATIVE).iterdir():
        cv2.imwrite(str(file), marked(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)))
    assert named(root, root / "patients.csv") == {}


def test_duplicates_are_caught_and_named_whatever_their_file(clean, tmp_path):
    root = copy(clean, tmp_path / "leak")
    files = sorted((root / POSITIVE).iterdir())[:20]
    for file in files:
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file.with_name(f"again-{file.name}")), picture, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    measured = audited(root)
    assert [(one.name, one.severity) for one in findings(measured)] == [("duplicates", WARNING)]
    assert len(measured.pairs) == 20
    assert {one.similarity for one in measured.pairs} == {1.0}
    expected = {frozenset((f"{POSITIVE}/{file.name}", f"{POSITIVE}/again-{file.name}")) for file in files}
    assert {frozenset((one.first, one.second)) for one in measured.pairs} == expected


def edited(picture: np.ndarray, way: int) -> np.ndarray:
    """As it is; cut at two sides; of another brightness; compressed; made smaller and larger again."""
    whole = (SIZE, SIZE)
    if way == 1:
        return cv2.resize(picture[2:, 2:], whole, interpolation=cv2.INTER_LINEAR)
    if way == 2:
        return np.clip(0.9 * picture + 10, 0, 255).astype(np.uint8)
    if way == 3:
        return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0)
    if way == 4:
        return cv2.resize(cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA), whole)
    return picture


def test_copies_are_found_across_classes_whatever_was_done_to_them(clean, tmp_path):
    root = copy(clean, tmp_path / "leak")
    files = sorted((root / POSITIVE).iterdir())[:15]
    for at, file in enumerate(files):
        picture = edited(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), at % 5)
        cv2.imwrite(str(root / NEGATIVE / f"copy-{file.name}"), picture)
    measured = audited(root)
    assert [(one.name, one.severity) for one in findings(measured)] == [("duplicates across classes", SERIOUS)]
    found = {frozenset((one.first, one.second)) for one in measured.pairs}
    assert found == {frozenset((f"{POSITIVE}/{file.name}", f"{NEGATIVE}/copy-{file.name}")) for file in files}
    assert sum(one.exact for one in measured.pairs) == 3


def test_many_slices_per_patient_are_caught_alone_where_patients_are_known(many):
    measured = audited(many, many / "patients.csv")
    found = findings(measured)
    assert [(one.name, one.severity) for one in found] == [("many slices per patient", SERIOUS)]
    assert not passes(found)
    assert (measured.groups.count, measured.groups.median, measured.groups.largest) == (
        SERIES_PATIENTS,
        SERIES_LENGTH,
        SERIES_LENGTH,
    )
    # a nearest neighbour that has seen other slices of a patient knows the label, one that has not does not
    assert measured.groups.recognition.low > 0.1
    by_split = {one.split: one.balanced_accuracy for one in measured.told if one.classifier == "nearest neighbour"}
    assert by_split["slice"].value > 0.9
    assert by_split["group"].low < 0.5


def test_many_slices_per_patient_are_caught_alone_where_patients_are_guessed(many):
    measured = audited(many)
    assert [(one.name, one.severity) for one in findings(measured)] == [("many slices per patient", SERIOUS)]
    assert measured.groups.in_order
    assert not measured.groups.known
    assert abs(measured.groups.count - SERIES_PATIENTS) <= 3


def test_a_patient_in_both_classes_is_one_group(clean, tmp_path):
    root = copy(clean, tmp_path / "mixed")
    files = [file.relative_to(root).as_posix() for file in sorted(root.glob("*/*.png"))]
    write_patients(tmp_path / "patients.csv", [(name, str(at % (PATIENTS // 2))) for at, name in enumerate(files)])
    measured = audited(root, tmp_path / "patients.csv")
    assert measured.groups.count == PATIENTS // 2
    assert measured.groups.of_class == {POSITIVE: PATIENTS // 2, NEGATIVE: PATIENTS // 2}


def test_scarce_classes_and_small_sets_are_said(clean, tmp_path):
    root = copy(clean, tmp_path / "scarce")
    for file in sorted((root / POSITIVE).iterdir())[5:]:
        file.unlink()
    measured = audited(root)
    assert {one.name: one.severity for one in findings(measured)} == {"class balance": WARNING, "too few": NOTE}
    for file in sorted((root / NEGATIVE).iterdir())[5:]:
        file.unlink()
    few = audited(root)
    assert {one.name for one in findings(few)} == {"too few"}
    assert passes(findings(few))
    assert "little could be" in verdict(few, findings(few))


def test_two_slices_are_an_audit_of_nothing(clean, tmp_path):
    root = tmp_path / "two"
    for name in (POSITIVE, NEGATIVE):
        (root / name).mkdir(parents=True)
        shutil.copy(sorted((clean / name).iterdir())[0], root / name)
    measured = audited(root)
    assert measured.told == ()
    assert {one.name for one in findings(measured)} == {"too few"}


def test_unreadable_files_are_named_and_the_rest_is_audited(clean, tmp_path):
    root = copy(clean, tmp_path / "broken")
    (root / POSITIVE / "empty.png").write_bytes(b"")
    (root / POSITIVE / "text.png").write_text("not a picture")
    whole = sorted((root / NEGATIVE).iterdir())[0].read_bytes()
    (root / NEGATIVE / "half.png").write_bytes(whole[: len(whole) // 2])
    measured = audited(root)
    assert {one.name: one.severity for one in findings(measured)} == {"unreadable": WARNING}
    reasons = {one.path: one.reason for one in measured.unreadable}
    assert "empty (0 bytes)" in reasons[f"{POSITIVE}/empty.png"]
    assert "a text file, although its name ends like that of a PNG file" in reasons[f"{POSITIVE}/text.png"]
    assert "stops before its end" in reasons[f"{NEGATIVE}/half.png"]
    assert measured.slices == PATIENTS


def test_what_cannot_be_audited_is_refused(clean, tmp_path):
    with pytest.raises(DatasetError, match="not there"):
        audited(tmp_path / "nowhere")
    (tmp_path / "one" / POSITIVE).mkdir(parents=True)
    shutil.copy(sorted((clean / POSITIVE).iterdir())[0], tmp_path / "one" / POSITIVE)
    with pytest.raises(DatasetError, match="two classes or more"):
        audited(tmp_path / "one")
    (tmp_path / "one" / NEGATIVE).mkdir()
    (tmp_path / "one" / NEGATIVE / "a.png").write_text("no picture")
    with pytest.raises(DatasetError, match=r"class non-COVID that can be read. Received: none among 1 files.*a\.png"):
        audited(tmp_path / "one")
    pack_dataset(load_dataset(clean), tmp_path / "packed.zip", 64, "area", tmp_path / "cache")
    with pytest.raises(DatasetError, match="Audit the folder that it was packed from"):
        audited(tmp_path / "packed.zip")


def test_the_same_folder_gives_the_same_audit_and_progress_is_told(clean):
    seen: dict[str, list[tuple[int, int]]] = {}
    dataset = load_dataset(clean)
    first = audit(dataset, WHEN, observe=lambda stage, *rest: seen.setdefault(stage, []).append(rest))
    assert first == audit(dataset, WHEN)
    assert tuple(seen) == STAGES
    for steps in seen.values():
        assert [done for done, _ in steps] == list(range(1, steps[-1][1] + 1))


def test_facts_are_those_of_the_files(clean, tmp_path):
    root = plant(clean, tmp_path / "facts", wider, ".jpg")
    facts, unreadable = read_facts(load_dataset(root))
    assert not unreadable
    assert set(np.array(facts.formats)[facts.positive]) == {"JPEG L"}
    assert set(np.array(facts.formats)[~facts.positive]) == {"PNG L"}
    assert {tuple(size) for size in facts.sizes[facts.positive]} == {(round(1.2 * SIZE), SIZE)}
    assert facts.borders.shape == (PATIENTS, 128)
    assert facts.borders.min() >= 0
    assert facts.borders.max() <= 255


@pytest.mark.slow
def test_covid_ct_with_its_patients(shared_data):
    root = shared_data / "covid-ct"
    measured = audited(root, root / "patients.csv")
    names = [one.name for one in findings(measured)]
    assert {"many slices per patient", "size", "border"} <= set(names)
    assert measured.groups.count == 198
