"""The study's tables and figures on their page: published, measured, one fold, nothing in common."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
from made_up_campaign import EXPERIMENT, fold_result

from covid_core.models import zoo
from covid_core.results.metrics import METRIC_LABELS
from covid_core.results.published import TABLE
from covid_core.ui.tables import experiment_labels

PUBLISHED = "Published, the study"
MARKED = [(0, 1), (0, 2), (0, 5), (2, 3), (2, 4)]
VIEWS = ["Tables 1 and 2", "Table 3", "Figures 2 and 3", "Histograms", "Confusion matrices", "Families and traits"]


def open_own(open_page, store, view: str, **parameters):
    """The page with the measured results of the store."""
    (results,) = experiment_labels(store.experiments())
    return open_page("tables", rows=results, view=view, **parameters)


def text(app) -> str:
    return " ".join(one.value for kind in (app.info, app.markdown, app.caption, app.subheader) for one in kind)


def charts(app) -> list[dict]:
    return [json.loads(one.proto.spec) for one in app.get("vega_lite_chart")]


def drawn(app, column: str) -> list[pd.DataFrame]:
    """The data of all charts that have this column."""
    frames = [
        pa.ipc.open_stream(data.data.data).read_pandas()
        for chart in app.get("vega_lite_chart")
        for data in chart.proto.datasets
    ]
    return [frame for frame in frames if column in frame]


def buttons(app) -> list[str]:
    return [one.proto.label for one in app.get("download_button")]


@pytest.fixture
def campaign(store):
    """Two rounds of five folds of two pairs, of two families, and a residual network."""
    store.add_experiment(EXPERIMENT)
    for missed, name in enumerate(
        ["ResNet50", "Modified-ResNet50", "EfficientNetB0", "Modified-EfficientNetB0", "Residual-ResNet50"]
    ):
        keys = [(round_, fold) for round_ in (1, 2) for fold in range(1, 6)]
        store.add_folds(
            [
                replace(
                    fold_result(name, 1),
                    round=round_,
                    fold=fold,
                    counts=(10 - missed, fold % 2, 10 - fold % 2, missed),
                    predictions=None,
                )
                for round_, fold in keys
            ]
        )
    return store


def printed(row: pd.Series, metric: str) -> str:
    return f"{row[metric]:.4f} ± {row[f'{metric}_pm']:.4f}"


def test_on_first_start_tables_1_and_2_stand_as_printed(open_page, store):
    app = open_page("tables")
    assert app.selectbox(key="rows").value == PUBLISHED
    assert [one.value for one in app.subheader] == ["Table 1: base networks", "Table 2: modified networks"]
    rows = pd.read_csv(TABLE).set_index("model")
    cells = 0
    for table in app.dataframe:
        assert len(table.value) == 20
        assert table.value.columns[1] == "Sensitivity"
        assert table.value["Sensitivity"].str[:6].is_monotonic_decreasing
        for shown in table.value.to_dict("records"):
            for metric, label in METRIC_LABELS.items():
                assert shown[label] == printed(rows.loc[shown["Network"]], metric)
                cells += 1
    assert cells == 200
    assert buttons(app) == ["Download this table as CSV"] * 2


def test_the_best_of_each_column_is_marked(open_page, store):
    styles = open_page("tables").dataframe[0].proto.arrow_data.styler.styles
    assert "font-weight: 700" in styles
    # EfficientNetB5 by sensitivity, accuracy and F1, DenseNet201 by specificity and precision
    assert set(re.findall(r"row\d+_col\d+", styles)) == {f"row{row}_col{at}" for row, at in MARKED}


def test_table_3_marks_the_better_one_and_counts(open_page, store):
    app = open_page("tables", view="Table 3")
    pairs, counts = (table.value for table in app.dataframe)
    assert len(pairs) == 20
    assert pairs.iloc[0].tolist()[:3] == ["DenseNet121", "0.9894", "0.9887"]
    assert counts.set_index("Metric").loc["Sensitivity"].tolist() == [16, 4, 0]
    assert counts.set_index("Metric").loc["F1"].tolist() == [17, 3, 0]


def test_figures_2_and_3_stand_by_increasing_sensitivity(open_page, store):
    app = open_page("tables", view="Figures 2 and 3")
    figures = charts(app)
    assert [figure["layer"][1]["encoding"]["x"]["sort"][-1] for figure in figures] == [
        "EfficientNetB5",
        "EfficientNetB5",
    ]
    assert [figure["layer"][1]["encoding"]["x"]["sort"][0] for figure in figures] == ["VGG16", "VGG19"]
    assert buttons(app) == ["Chart as SVG", "Chart as PNG", "Data as CSV"] * 2


def test_the_metric_orders_every_view(open_page, store):
    app = open_page("tables", view="Figures 2 and 3", metric="Precision")
    assert charts(app)[0]["layer"][1]["encoding"]["x"]["sort"][-1] == "DenseNet201"
    assert open_page("tables", metric="F1").dataframe[0].value.columns[1] == "F1"


def test_the_study_has_no_confusion_matrix(open_page, store):
    app = open_page("tables", view="Confusion matrices")
    assert "no confusion matrix to show" in text(app)
    assert not charts(app)


def test_families_and_traits_of_the_study(open_page, store):
    app = open_page("tables", view="Families and traits")
    table = app.dataframe[0].value.set_index("Effect of")
    assert table.loc["Dense links", "Families as clusters"] == "rests on one family"
    assert table.loc["Pointwise convolutions", "Cannot be told from"] == "the family: all but VGG"
    assert table.loc["Modified head − base", "Change"] == "-0.0024"
    assert "What 20 correlated backbones can show" in text(app)
    assert "What they cannot show" in text(app)
    traits = app.dataframe[1].value
    assert traits.loc["Inception", "Residual links"] == "2 of 3"
    assert "0 of 5 intervals leave zero out" in text(app)


def test_own_rows_fill_the_same_tables(open_page, campaign):
    app = open_own(open_page, campaign, VIEWS[0])
    assert [one.value for one in app.subheader] == [
        "Table 1: base networks",
        "Table 2: modified networks",
        "Residual networks",
    ]
    table = app.dataframe[0].value
    assert table["Network"].tolist() == ["ResNet50", "EfficientNetB0"]
    assert table["Sensitivity"].tolist() == ["1.0000 ± 0.0000", "0.8000 ± 0.0000"]
    app = open_own(open_page, campaign, "Table 3")
    assert [one.value for one in app.subheader] == [
        "Table 3: base against modified, 2 pairs",
        "Base against residual, 1 pair",
    ]
    assert app.dataframe[1].value.set_index("Metric").loc["Sensitivity"].tolist() == [2, 0, 0]


def test_confusion_matrices_of_each_fold_and_pooled(open_page, campaign):
    app = open_own(open_page, campaign, "Confusion matrices", network="Modified-ResNet50")
    assert "Modified-ResNet50, 10 folds of 2 rounds pooled" in text(app)
    pooled, folds = drawn(app, "slices")
    assert pooled["slices"].tolist() == [90, 10, 6, 94]
    assert len(folds) == 40
    assert folds["slices"].sum() == 200
    assert "Every round tests all slices once more" in text(app)
    assert "Download these folds as CSV" in buttons(app)


def test_histograms_count_networks_or_folds(open_page, campaign):
    def count(app) -> int:
        return sum(panel["count"].sum() for panel in drawn(app, "count"))

    assert count(open_own(open_page, campaign, "Histograms")) == 5
    assert count(open_own(open_page, campaign, "Histograms", count="Folds")) == 50


def test_effects_of_few_own_networks(open_page, campaign):
    app = open_own(open_page, campaign, "Families and traits", metric="Sensitivity")
    table = app.dataframe[0].value.set_index("Effect of")
    assert table.loc["Modified head − base", "With / without"] == "2"
    assert table.loc["Depthwise convolutions", "Backbones as independent"] == "rests on one backbone"
    assert table.loc["Residual links", "Change"] == "–"


def test_a_single_fold_has_means_and_no_intervals(open_page, store):
    store.add_experiment(EXPERIMENT)
    store.add_fold(fold_result("ResNet50", 1))
    app = open_own(open_page, store, VIEWS[0])
    assert app.dataframe[0].value["Accuracy"].tolist() == ["0.9500"]
    assert "hold no backbone with a base and another network" in text(open_own(open_page, store, "Table 3"))
    app = open_own(open_page, store, "Confusion matrices")
    assert "ResNet50, one fold" in text(app)
    assert len(charts(app)) == 1
    assert "One backbone cannot be compared" in text(open_own(open_page, store, "Families and traits"))
    for view in ("Figures 2 and 3", "Histograms"):
        assert len(charts(open_own(open_page, store, view))) == 1


def test_a_network_from_elsewhere_has_its_row_and_no_traits(open_page, store):
    store.add_experiment(EXPERIMENT)
    store.add_fold(replace(fold_result("Stranger", 1)))
    assert "Stranger" not in zoo.ALL
    assert open_own(open_page, store, VIEWS[0]).dataframe[0].value["Network"].tolist() == ["Stranger"]
    assert "no network of the zoo" in text(open_own(open_page, store, "Families and traits"))
    for view in ("Figures 2 and 3", "Histograms"):
        assert len(charts(open_own(open_page, store, view))) == 1


def test_a_reader_who_comes_from_a_comparison_still_finds_the_studys_tables(open_page, campaign):
    app = open_page("comparison")
    assert app.selectbox(key="results").value != PUBLISHED
    app.switch_page("pages/tables.py").run()
    assert app.selectbox(key="rows").value == PUBLISHED


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_in_its_address(open_page, store, view):
    app = open_page("tables", view=view)
    assert app.button_group(key="view").value == view
    assert app.query_params.get("view") in (view, [view], None)


def test_a_store_that_cannot_be_opened_is_one_plain_message(open_page, places):
    (places / "store.sqlite").write_bytes(b"this is no database, whatever its name says" * 40)
    app = open_page("tables")
    assert len(app.error) == 1
    assert not app.dataframe


def test_the_studys_contradictions_stand_beside_its_tables(open_page, store):
    app = open_page("published")
    assert app.subheader[0].value == "11 statements that the tables do not bear out"
    table = app.table[0].value
    assert len(table) == 11
    assert "They hold 5." in table["Its tables give"].tolist()
    above, accuracy = (one.value for one in app.dataframe)
    assert above["Reaches"].tolist() == ["1.0025", "1.0021", "1.0020"]
    assert accuracy.iloc[0].tolist() == ["Modified-VGG19", "0.9150", "0.9175", "-0.0025"]
