import json
from dataclasses import replace

import numpy as np
import pytest
from tiny import bright_or_dark, bright_or_dark_dataset, tiny_network

from covid_core.data.groups import Groups
from covid_core.data.sources import Packing
from covid_core.errors import DatasetError, ProtocolError
from covid_core.models import library
from covid_core.results.store import ResultsStore
from covid_core.training import backup as backup_module
from covid_core.training import fold as fold_module
from covid_core.training.campaign import Campaign, run_campaign
from covid_core.training.deadline import Deadline
from covid_core.training.estimate import estimate, expected_seconds
from covid_core.training.protocol import Protocol

PIXELS, LABELS = bright_or_dark()
PROTOCOL = Protocol(epochs=2, rounds=1, folds=2, size=32, batch_size=8, learning_rate=0.02)


class Silent:
    def __init__(self):
        self.keys = []

    def started(self, task):
        self.keys.append(task.key)

    def epoch(self, task, number, values):
        pass

    def finished(self, task, result):
        pass


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    monkeypatch.setattr(fold_module, "build_model", tiny_network)
    dataset = bright_or_dark_dataset(tmp_path, LABELS, tuple(f"patient {number // 4}" for number in range(len(LABELS))))
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    return Campaign(
        ["ResNet50", "VGG16"], PROTOCOL, dataset, store, tmp_path / "networks", command="python train_all.py"
    )


def table(campaign):
    columns = ["model", "round", "fold", "status", "tp", "fp", "tn", "fn", "auc", "seed"]
    folds = campaign.store.folds(status=None)[columns]
    return folds.sort_values(["model", "round", "fold"], ignore_index=True)


def test_all_folds_of_all_networks_land_in_the_store(campaign):
    observer = Silent()
    assert run_campaign(campaign, PIXELS, observer) == 0
    expected = [(model, 1, fold) for model in ("ResNet50", "VGG16") for fold in (1, 2)]
    assert observer.keys == expected
    assert table(campaign)[["model", "round", "fold"]].values.tolist() == [list(key) for key in expected]
    predictions = campaign.store.predictions(model="VGG16")
    assert sorted(predictions["slice"]) == sorted(campaign.dataset.paths)


def test_the_same_campaign_again_does_nothing_and_a_larger_one_only_what_is_missing(campaign):
    run_campaign(campaign, PIXELS, Silent())
    again, more = Silent(), Silent()
    run_campaign(campaign, PIXELS, again)
    assert again.keys == []
    run_campaign(replace(campaign, protocol=replace(PROTOCOL, rounds=2)), PIXELS, more)
    assert more.keys == [(model, 2, fold) for model in ("ResNet50", "VGG16") for fold in (1, 2)]


@pytest.mark.slow
def test_interrupted_and_continued_it_ends_with_the_same_table(campaign, tmp_path):
    class Interrupts(Silent):
        def started(self, task):
            if task.key == ("VGG16", 1, 1):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(campaign, PIXELS, Interrupts())
    assert len(table(campaign)) == 2
    run_campaign(campaign, PIXELS, Silent())
    undisturbed = replace(campaign, store=ResultsStore(f"sqlite:///{tmp_path / 'other.sqlite'}"))
    run_campaign(undisturbed, PIXELS, Silent())
    assert table(campaign).equals(table(undisturbed))


def test_a_failing_fold_is_recorded_and_the_rest_goes_on(campaign, monkeypatch):
    original = fold_module.FoldTrainer.train

    def sometimes(self, pixels, labels, slices, fold, *rest):
        if (self.model, fold.fold) == ("ResNet50", 1):
            raise MemoryError("no memory left for fold 1")
        return original(self, pixels, labels, slices, fold, *rest)

    monkeypatch.setattr(fold_module.FoldTrainer, "train", sometimes)
    assert run_campaign(campaign, PIXELS, Silent()) == 1
    failed = campaign.store.folds(status="failed")
    assert failed[["model", "fold"]].values.tolist() == [["ResNet50", 1]]
    assert "no memory left for fold 1" in failed["error"].iloc[0]
    assert "Traceback" in failed["error"].iloc[0]
    monkeypatch.setattr(fold_module.FoldTrainer, "train", original)
    retry = Silent()
    assert run_campaign(campaign, PIXELS, retry) == 0
    assert retry.keys == [("ResNet50", 1, 1)]
    assert set(campaign.store.folds(status=None)["status"]) == {"done"}


def test_the_network_of_the_first_fold_is_kept_with_its_card(campaign, monkeypatch):
    run_campaign(campaign, PIXELS, Silent())
    cards = library.list_networks([campaign.output])
    assert {name: len(found) for name, found in cards.items()} == {"ResNet50": 1, "VGG16": 1}
    (card,) = cards["VGG16"]
    assert (card.round, card.fold, card.classes) == (1, 1, ("dark", "bright"))
    stored = campaign.store.folds(models=["VGG16"]).query("fold == 1").iloc[0]
    assert card.counts == (stored.tp, stored.fp, stored.tn, stored.fn)
    assert card.experiment == campaign.experiment.id


def test_split_by_group_needs_patients_and_is_another_experiment(campaign):
    by_group = replace(campaign, protocol=replace(PROTOCOL, split="group"))
    assert by_group.experiment.id != campaign.experiment.id
    groups = np.array(campaign.dataset.groups)
    for task in by_group.tasks():
        assert not set(groups[task.fold.train]) & set(groups[task.fold.test])
    with pytest.raises(DatasetError, match="patient ids"):
        replace(by_group, dataset=replace(campaign.dataset, groups=None)).tasks()


def test_groups_beside_the_data_set_are_part_of_the_experiment(campaign):
    by_patient = replace(campaign, protocol=replace(PROTOCOL, split="group"))
    names = [f"g{number // 6}" for number in range(len(LABELS))]
    by_table, by_likeness = (replace(by_patient, groups=Groups.named(names, kind)) for kind in ("table", "likeness"))
    others = replace(by_patient, groups=Groups.named(reversed(names[3:] + names[:3]), "table"))
    identities = {one.experiment.id for one in (campaign, by_patient, by_table, by_likeness, others)}
    assert len(identities) == 5
    assert by_table.experiment.protocol["groups"] == by_table.groups.identity()
    for task in by_table.tasks():
        assert not {names[at] for at in task.fold.train} & {names[at] for at in task.fold.test}


def test_what_groups_are_called_changes_neither_experiment_nor_folds(campaign):
    names = [number // 6 for number in range(len(LABELS))]
    by_group = replace(campaign, protocol=replace(PROTOCOL, split="group"))
    one, other = (
        replace(by_group, groups=Groups.named(called, "table")) for called in (names, [f"z{-name}" for name in names])
    )
    assert one.experiment.id == other.experiment.id
    for first, second in zip(one.tasks(), other.tasks(), strict=True):
        np.testing.assert_array_equal(first.fold.test, second.fold.test)


def test_experiments_of_before_keep_their_identity(campaign):
    """The first id stands in results/measured; the second was computed before groups beside a data set existed."""
    shipped = replace(Protocol(epochs=40, size=128).with_batch_size(16), seed=0)
    digest = "ae3c0561eab1a15046b4fe3cd4104deb534486c02494123ac875666bd624f4d8"
    dataset = replace(campaign.dataset, digest=digest)
    groups = Groups.named(range(len(LABELS)), "table")
    for by_slice in (replace(campaign, dataset=dataset, protocol=shipped, groups=each) for each in (None, groups)):
        assert by_slice.experiment.id == "01337bf67ab54463"
    by_patient = replace(campaign, dataset=dataset, protocol=replace(shipped, split="group"))
    assert by_patient.experiment.id == "159d6323dc70c496"


def test_single_folds_can_be_chosen(campaign):
    assert [task.key[1:] for task in replace(campaign, only_folds=(2,)).tasks()] == [(1, 2), (1, 2)]
    with pytest.raises(ProtocolError, match="from 1 to 2"):
        replace(campaign, only_folds=(3,)).tasks()


def test_estimate_comes_from_stored_folds_and_scales_with_pixels(campaign):
    left = campaign.left()
    before = estimate(left, campaign)
    assert before.unknown == ("ResNet50", "VGG16")
    assert before.seconds == 0
    assert before.images == 4 * 24 * 2
    run_campaign(replace(campaign, networks=["VGG16"]), PIXELS, Silent())
    speed = campaign.store.folds()["images_per_second"].median()
    larger = replace(campaign, networks=["VGG16"], protocol=replace(PROTOCOL, size=64))
    after = estimate(larger.left(), larger)
    assert after.unknown == ()
    assert after.seconds == pytest.approx(2 * 24 * 2 * 4 / speed)


def test_a_fold_in_flight_goes_on_where_it_was_and_its_backup_goes_once_it_is_stored(campaign, tmp_path, monkeypatch):
    monkeypatch.setattr(backup_module.Backup.__init__, "__defaults__", (0.0,))
    campaign = replace(campaign, networks=("VGG16",), only_folds=(1,), backups=tmp_path / "epochs")
    epochs = []

    class Killed(Silent):
        def epoch(self, task, number, values):
            if number == 2:
                raise KeyboardInterrupt

    class Counts(Silent):
        def epoch(self, task, number, values):
            epochs.append(number)

    with pytest.raises(KeyboardInterrupt):
        run_campaign(campaign, PIXELS, Killed())
    assert len(list((tmp_path / "epochs").iterdir())) == 1
    run_campaign(campaign, PIXELS, Counts())
    assert epochs[0] == 2
    assert list((tmp_path / "epochs").iterdir()) == []
    assert len(table(campaign)) == 1


def test_a_network_that_cannot_be_written_costs_no_epoch_again(campaign, tmp_path, monkeypatch):
    monkeypatch.setattr(backup_module.Backup.__init__, "__defaults__", (0.0,))
    campaign = replace(campaign, networks=("VGG16",), only_folds=(1,), backups=tmp_path / "epochs")
    campaign.output.write_text("a file where the folder should be")
    assert run_campaign(campaign, PIXELS, Silent()) == 1
    campaign.output.unlink()
    epochs = []

    class Counts(Silent):
        def epoch(self, task, number, values):
            epochs.append(number)

    assert run_campaign(campaign, PIXELS, Counts()) == 0
    assert epochs == []
    assert list((tmp_path / "epochs").iterdir()) == []
    assert len(library.list_networks([campaign.output])["VGG16"]) == 1


class Slow(Silent):
    """Every epoch takes ten seconds of a clock that nothing else moves."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def epoch(self, task, number, values):
        self.now += 10


@pytest.mark.slow
def test_a_fold_in_flight_at_the_limit_is_not_stored_and_no_other_starts(campaign, tmp_path):
    slow = Slow()
    assert run_campaign(campaign, PIXELS, slow, deadline=Deadline(10, clock=lambda: slow.now)) == 0
    assert slow.keys == [("ResNet50", 1, 1)]
    assert table(campaign).empty
    assert library.list_networks([campaign.output]) == {}
    again = Silent()
    run_campaign(campaign, PIXELS, again)
    assert len(again.keys) == 4
    undisturbed = replace(campaign, store=ResultsStore(f"sqlite:///{tmp_path / 'other.sqlite'}"))
    run_campaign(undisturbed, PIXELS, Silent())
    assert table(campaign).equals(table(undisturbed))


def test_a_fold_whose_last_batch_is_done_is_stored_although_time_is_up(campaign):
    slow = Slow()
    run_campaign(campaign, PIXELS, slow, deadline=Deadline(20, clock=lambda: slow.now))
    assert table(campaign)["model"].tolist() == ["ResNet50"]


def test_only_folds_that_will_end_in_time_are_started(campaign):
    slow = Slow()
    run_campaign(campaign, PIXELS, slow, deadline=Deadline(50, clock=lambda: slow.now))
    # ResNet50's second fold ends at 40 of 50; of VGG16 nothing is known, and less than half is left
    assert slow.keys == [("ResNet50", 1, 1), ("ResNet50", 1, 2)]
    assert len(campaign.left()) == 2


def test_expected_times_come_from_folds_on_such_a_device(campaign):
    run_campaign(replace(campaign, networks=["VGG16"]), PIXELS, Silent())
    folds = campaign.store.folds()
    device = json.loads(folds["facts"].iloc[0])["device"]
    known, unknown = campaign.left()[0], expected_seconds(campaign, "another device")
    assert known.model == "ResNet50"
    assert expected_seconds(campaign, device)(known) is None
    (task, _) = replace(campaign, networks=["VGG16"]).tasks()
    speed = folds["images_per_second"].median()
    assert expected_seconds(campaign, device)(task) == pytest.approx(24 * 2 / speed)
    assert unknown(task) is None


def test_a_packed_campaign_is_an_experiment_of_its_own(campaign):
    def packed(**changes):
        packing = replace(Packing(32, "area", "webp", 90, "ab" * 8), **changes)
        return replace(campaign, dataset=replace(campaign.dataset, packing=packing))

    assert packed().experiment.id == packed().experiment.id
    others = [campaign, packed(), packed(quality=91), packed(quality="lossless"), packed(pixels="cd" * 8)]
    assert len({each.experiment.id for each in others}) == 5
    assert len({each.experiment.dataset_digest for each in others}) == 1
    assert campaign.experiment.transform == {"size": 32, "interpolation": "area"}
    assert packed().experiment.transform == {
        "size": 32,
        "interpolation": "area",
        "packing": {"codec": "webp", "quality": 90, "pixels": "ab" * 8},
    }
    for change in ({"size": 64}, {"interpolation": "cubic"}):
        with pytest.raises(DatasetError, match="pack the data set again"):
            packed(**change)
