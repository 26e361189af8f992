"""What a network's answers have been worth stands beside a new one, whatever of it is known."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_campaign import CARD_FACTS

from covid_core.data.dataset import load_dataset
from covid_core.data.phantom import write_dataset
from covid_core.models.library import list_networks
from covid_core.results.external_tests import measures_of, study_of


def said(app) -> str:
    return "\n".join(caption.value for caption in app.caption)


def record(app):
    """The table of scores."""
    return next(table.value for table in app.table if "Always naming the larger class" in table.value)


def test_without_anything_in_the_store_the_card_alone_speaks(open_page, trained):
    app = open_page("gradcam")
    table = record(app)
    tp, fp, tn, fn = CARD_FACTS["counts"]
    assert len(table) == 1
    assert table["Slices"].tolist() == [str(tp + fp + tn + fn)]
    assert table["Sensitivity"].iloc[0].startswith(f"{tp / (tp + fn):.3f} (")
    assert table["Specificity"].iloc[0].startswith(f"{tn / (tn + fp):.3f} (")
    assert "not been tested on slices from elsewhere" in said(app)
    assert "held-out slices with the most similar" not in said(app)


def test_alike_answers_of_its_own_fold_are_counted(open_page, trained, full_store):
    assert "of the 20 held-out slices with the most similar" in said(open_page("gradcam")).lower()


@pytest.mark.parametrize(("right", "words"), [(0.5, "not shown to be better"), (1.0, "")])
def test_a_test_elsewhere_stands_there_with_what_it_means(open_page, trained, store, tmp_path, right, words):
    dataset = load_dataset(write_dataset(tmp_path / "there", patients=20, slices_per_patient=2, size=64))
    (card, *_) = list_networks([trained])["EfficientNetB0"]
    study = store.add_study(study_of(card, dataset))
    truth = np.where(np.arange(len(dataset)) % 2 < 2 * right - 0.5, dataset.binary_labels, 1 - dataset.binary_labels)
    store.add_measures(study, measures_of(card, dataset, np.where(truth == 1, 0.9, 0.1)))
    store.finish_study(study, "2026-01-01T00:00:00+00:00")
    app = open_page("gradcam")
    table = record(app)
    assert table.index.tolist()[1] == "Elsewhere: there"
    assert table["Accuracy"].iloc[1].startswith(f"{right:.3f}")
    assert "not been tested" not in said(app)
    assert ("not shown to be better" in said(app)) == bool(words)


def test_random_weights_have_no_record(open_page):
    app = open_page("gradcam", network="VGG16", random="true")
    assert not [table for table in app.table if "Accuracy" in table.value]
