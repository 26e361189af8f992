"""The command line: in this process with a tiny network, and as a process of its own that is killed or interrupted."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_network

import train_all
from covid_core.models import build, library
from covid_core.results import __main__ as import_command
from covid_core.results.patients import known_groupings
from covid_core.results.store import ResultsStore
from covid_core.settings import Settings
from covid_core.training import fold as fold_module
from covid_core.training.protocol import PRESETS
from covid_core.training.selection import select_networks

REPOSITORY = Path(train_all.__file__).parent
SMALL = ["--preset", "quick", "--networks", "VGG16", "--size", "32", "--epochs", "1"]
SAME = ["model", "round", "fold", "status", "tp", "fp", "tn", "fn", "auc", "seed"]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(fold_module, "build_model", tiny_network)


def folds(url=None):
    frame = ResultsStore(url or os.environ["COVID_STORE"]).folds(status=None)
    return frame[SAME].sort_values(["model", "round", "fold"], ignore_index=True)


def test_quick_preset_fills_the_store_and_keeps_the_networks(places, tiny, capsys):
    assert train_all.main(["--preset", "quick", "--export", str(places / "export")]) == 0
    done = folds()
    assert done[["model", "fold"]].values.tolist() == [
        [model, fold] for model in ("EfficientNetB0", "Modified-EfficientNetB0") for fold in (1, 2, 3)
    ]
    cards = library.list_networks([places / "networks"])
    assert set(cards) == {"EfficientNetB0", "Modified-EfficientNetB0"}
    assert cards["EfficientNetB0"][0].command == "python train_all.py --preset quick"
    assert (places / "export" / "folds.csv").is_file()
    (grouping,) = known_groupings(places / "export").values()
    assert grouping.level == "patient"  # the generated slices know theirs
    assert "Mean over folds" in capsys.readouterr().out
    assert train_all.main(["--preset", "quick"]) == 0
    assert "6 in all, 6 done, 0 left" in capsys.readouterr().out


def test_dry_run_lists_the_folds_and_trains_nothing(places, tiny, capsys):
    assert train_all.main(["--preset", "quick", "--networks", "VGG", "--rounds", "2", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.count("Modified-VGG19") == 6  # two rounds of three folds
    assert "VGG16, VGG19, Modified-VGG16 and 1 more" in out
    assert "24 in all, 0 done, 24 left" in out
    assert folds().empty


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "--dataset FOLDER"),
        (["--dataset", "absent"], "not there"),
        (["--preset", "quick", "--networks", "VGG61"], "VGG16"),
        (["--preset", "quick", "--networks", "VGG61"], "patterns (Modified-*) are taken too"),
        (["--preset", "quick", "--epochs", "0"], "epochs"),
        (["--preset", "quick", "--only-fold", "9"], "from 1 to 3"),
        (["--preset", "quick", "--folds", "100"], "Use fewer folds"),
        (["--preset", "quick", "--time-limit", "0"], "above 0"),
        (["--preset", "quick", "--time-limit", "nan"], "above 0"),
        (["--preset", "quick", "--export-networks"], "--export FOLDER"),
        (["--preset", "quick", "--groups", "groups.csv"], "--split group"),
    ],
)
def test_what_cannot_run_is_refused_with_a_reason(places, capsys, flags, reason):
    assert train_all.main(flags) == train_all.EXIT_USAGE
    out = capsys.readouterr().out
    assert "Refused" in out
    assert reason in out


@pytest.mark.slow
def test_failed_folds_are_grouped_and_the_exit_code_says_so(places, tiny, monkeypatch, capsys):
    def broken(self, *arguments, **options):
        raise MemoryError("no memory left")

    monkeypatch.setattr(fold_module.FoldTrainer, "train", broken)
    assert train_all.main([*SMALL]) == train_all.EXIT_FAILED_FOLDS
    out = capsys.readouterr().out
    assert "3 folds failed; the same command tries again." in out
    assert "MemoryError: no memory left" in out
    assert "VGG16 r1 f1, VGG16 r1 f2, VGG16 r1 f3" in out


def test_the_command_on_a_card_names_no_place_of_this_machine(places, tiny, tmp_path):
    from covid_core.data.phantom import write_dataset

    root = write_dataset(tmp_path / "slices", patients=6, slices_per_patient=2, size=64)
    flags = ["--dataset", str(root), "--networks", "VGG16", "--size", "32", "--folds", "2", "--rounds", "1"]
    flags += ["--only-fold", "1"]
    assert train_all.main([*flags, "--epochs", "1", "--batch-size", "4"]) == 0
    (card,) = library.list_networks([places / "networks"])["VGG16"]
    assert str(tmp_path) not in card.path.read_text()
    assert "--dataset path/to/slices" in card.command
    assert card.command.endswith("--only-fold 1")


def plan(capsys, *flags):
    """What the plan says of the groups, and the experiment."""
    assert train_all.main([*flags, "--networks", "VGG16", "--folds", "2", "--rounds", "1", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {line.split()[0]: line for line in lines if line.startswith(("Groups", "Experiment"))}
    return said.get("Groups", ""), said["Experiment"].split()[1]


def test_a_split_by_group_says_where_its_groups_come_from(places, tmp_path, capsys):
    from covid_core.data.phantom import write_dataset

    root = write_dataset(tmp_path / "slices", patients=6, slices_per_patient=2, size=64)
    manifest = root / "manifest.csv"
    nothing, by_slice = plan(capsys, "--dataset", str(root))
    assert nothing == ""
    by_group = ["--split", "group", "--dataset"]
    made, by_likeness = plan(capsys, *by_group, str(root))
    assert "of slices that look alike: a guess, not patients" in made
    table, by_table = plan(capsys, *by_group, str(root), "--groups", str(manifest))
    assert table == "Groups      6 from a table"
    own, by_patient = plan(capsys, *by_group, str(manifest))
    assert own == "Groups      6 patients of the data set"
    assert len({by_slice, by_likeness, by_table, by_patient}) == 4
    assert plan(capsys, *by_group, str(root)) == (made, by_likeness)
    assert train_all.main([*by_group, str(root), "--groups", "absent.csv"]) == train_all.EXIT_USAGE
    assert "Expected a readable CSV file" in capsys.readouterr().out


@pytest.mark.slow
def test_both_splits_land_in_one_store_and_the_gap_between_them_is_known(places, tiny, tmp_path):
    from covid_core.data.phantom import write_dataset
    from covid_core.results.leaderboard import leaderboard
    from covid_core.results.split_gap import split_gaps

    root = write_dataset(tmp_path / "slices", patients=6, slices_per_patient=4, size=64)
    flags = ["--dataset", str(root), *SMALL[2:], "--folds", "2", "--rounds", "1", "--batch-size", "8", "--seed", "3"]
    assert train_all.main(flags) == 0
    assert train_all.main([*flags, "--split", "group", "--groups", str(root / "manifest.csv")]) == 0
    store = ResultsStore(os.environ["COVID_STORE"])
    (gap,) = split_gaps(leaderboard(store), store.experiments()).to_dict("records")
    assert (gap["model"], gap["groups"], gap["folds_slice"], gap["folds_group"]) == ("VGG16", "table", 2, 2)
    tested = store.predictions(gap["experiment_group"])
    patients = tested.assign(patient=tested["slice"].str.extract(r"(phantom-\d+)"))
    assert (patients.groupby("patient")["fold"].nunique() == 1).all()
    (card,) = [card for card in library.list_networks([places / "networks"])["VGG16"] if "group" in card.command]
    assert "--groups path/to/manifest.csv --split group" in card.command


@pytest.fixture
def pack(tmp_path):
    from covid_core.data.dataset import load_dataset
    from covid_core.data.packed import pack_dataset
    from covid_core.data.phantom import write_dataset

    root = write_dataset(tmp_path / "slices", patients=6, slices_per_patient=4, size=64)
    pack_dataset(load_dataset(root / "manifest.csv"), tmp_path / "pack.zip", 32, "area", tmp_path / "packing", 16_000)
    return tmp_path / "pack.zip"


PACKED = ["--networks", "VGG16", "ResNet50", "--size", "32", "--folds", "3", "--rounds", "1", "--epochs", "2"]
PACKED += ["--batch-size", "8"]


def move(monkeypatch, place):
    """As on another machine: nothing of what was here before."""
    for name in ("networks", "results", "cache"):
        monkeypatch.setenv(f"COVID_{name.upper()}", str(place / name))
    monkeypatch.setenv("COVID_STORE", f"sqlite:///{place / 'store.sqlite'}")


@pytest.mark.slow
def test_a_packed_campaign_goes_on_elsewhere_with_only_what_is_missing(places, tiny, pack, monkeypatch, capsys):
    monkeypatch.setattr(build, "build_model", tiny_network)
    flags = ["--dataset", str(pack), *PACKED]
    exported = str(places / "luggage")
    assert train_all.main([*flags, "--only-fold", "1", "2", "--export", exported, "--export-networks"]) == 0
    assert "networks.zip.001" in {path.name for path in Path(exported).iterdir()}
    first = ResultsStore(os.environ["COVID_STORE"]).folds()
    assert len(first) == 4
    cards = library.list_networks([places / "networks"])

    move(monkeypatch, places / "second")
    second = Path(shutil.copy(pack, places / "second-pack.zip"))
    assert import_command.main([exported]) == 0
    capsys.readouterr()
    assert train_all.main(["--dataset", str(second), *PACKED]) == 0
    assert "6 in all, 4 done, 2 left" in capsys.readouterr().out
    both = ResultsStore(os.environ["COVID_STORE"]).folds()
    assert len(both) == 6
    assert both["experiment"].nunique() == 1
    kept = both.merge(first, on=["model", "round", "fold"], suffixes=("", "_first"))
    assert (kept["finished"] == kept["finished_first"]).all()
    assert (kept["seconds"] == kept["seconds_first"]).all()
    for model, (card,) in library.list_networks([places / "second" / "networks"]).items():
        grey = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), np.uint8)
        before = library.load_network(cards[model][0]).predict(grey, verbose=0)
        np.testing.assert_array_equal(library.load_network(card).predict(grey, verbose=0), before)
        assert "--dataset path/to/pack.zip" in card.command


def test_a_pack_of_another_size_is_refused_before_anything_is_stored(places, pack, capsys):
    assert train_all.main(["--dataset", str(pack)]) == train_all.EXIT_USAGE
    out = capsys.readouterr().out
    assert "--size 32, or pack the data set again" in out
    assert ResultsStore(os.environ["COVID_STORE"]).experiments().empty


@pytest.mark.slow
def test_a_time_limit_leaves_work_and_says_so_but_exports(places, tiny, capsys):
    flags = [*SMALL, "--export", str(places / "export"), "--export-networks"]
    assert train_all.main([*flags, "--time-limit", "0.00001"]) == train_all.EXIT_TIME_LIMIT
    assert "3 folds are left; the same command goes on." in capsys.readouterr().out
    assert folds().empty
    assert import_command.main([str(places / "export"), "--store", f"sqlite:///{places / 'b.sqlite'}"]) == 0
    assert train_all.main([*flags, "--time-limit", "10"]) == 0
    assert len(folds()) == 3
    assert (places / "export" / "networks.zip.001").is_file()
    assert train_all.main([*flags, "--time-limit", "0.00001"]) == 0  # nothing is left to do


@pytest.mark.slow
def test_networks_above_the_limit_are_named_and_stay(places, tiny, capsys):
    flags = [*SMALL, "--export", str(places / "export"), "--export-networks", "--largest-mib", "0.0001"]
    assert train_all.main(flags) == 0
    assert "Not exported: VGG16 r1 f1: larger than 0.0001 MiB (--largest-mib)" in capsys.readouterr().out
    assert not list((places / "export").glob("networks*"))


@pytest.fixture
def few_slices(tmp_path):
    """So few that a real network trains a fold on them in seconds."""
    from covid_core.data.phantom import write_dataset

    return write_dataset(tmp_path / "few", patients=8, slices_per_patient=6, size=64)


def start(slices):
    command = [sys.executable, str(REPOSITORY / "train_all.py"), *SMALL, "--dataset", str(slices / "manifest.csv")]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a shell that starts the tests in the background makes its children ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_done_folds(process, number, seconds=240):
    store = ResultsStore(os.environ["COVID_STORE"])
    end = time.monotonic() + seconds
    while len(store.folds()) < number:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, f"no {number} folds after {seconds} s"
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_and_continued_it_ends_with_the_table_of_an_undisturbed_run(places, few_slices, monkeypatch):
    """Float32 sums may be ordered differently in another process: AUC may differ by 1e-6, counts may not."""
    process = start(few_slices)
    wait_for_done_folds(process, 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(folds()) < 3
    again = start(few_slices)
    assert again.wait(300) == 0, again.stdout.read()
    disturbed = folds()

    monkeypatch.setenv("COVID_STORE", f"sqlite:///{places / 'undisturbed.sqlite'}")
    whole = start(few_slices)
    assert whole.wait(300) == 0, whole.stdout.read()
    undisturbed = folds()
    assert len(undisturbed) == 3
    assert disturbed.drop(columns="auc").equals(undisturbed.drop(columns="auc"))
    assert disturbed["auc"].to_numpy() == pytest.approx(undisturbed["auc"].to_numpy(), abs=1e-6)


@pytest.mark.slow
def test_ctrl_c_ends_cleanly_and_keeps_what_is_finished(places, few_slices):
    process = start(few_slices)
    wait_for_done_folds(process, 1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == train_all.EXIT_INTERRUPTED, out
    assert "Interrupted" in out
    assert "Traceback" not in out
    assert 1 <= len(folds()) < 3


def test_every_training_command_of_the_readme_is_understood():
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    commands = [line.split("#")[0] for line in readme.splitlines() if line.startswith("python train_all.py")]
    assert len(commands) >= 4
    parser = train_all.parser(Settings.from_environment())
    for command in commands:
        words = [word for word in shlex.split(command)[2:] if word != "--help"]
        options = parser.parse_args(words)
        select_networks(options.networks or PRESETS[options.preset].networks)
