"""Campaigns on a Ray cluster: two machines on this one, each with a core; networks of the zoo, small slices."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import bright_or_dark, bright_or_dark_dataset

from covid_core.errors import EngineError
from covid_core.models import library
from covid_core.results.store import ResultsStore
from covid_core.training.campaign import Campaign, run_campaign
from covid_core.training.engines import RETRIES, RayEngine
from covid_core.training.protocol import Protocol

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install -r requirements-cluster.txt"
    ),
]

REPOSITORY = Path(__file__).resolve().parents[2]
PIXELS, LABELS = bright_or_dark()
PROTOCOL = Protocol(epochs=2, rounds=1, folds=3, size=32, batch_size=8)
KEYS = [("VGG16", 1, fold) for fold in (1, 2, 3)]


class Diary:
    """Writes down what a campaign tells, and may step in."""

    def __init__(self, on_started=None, on_epoch=None):
        self.entries = []
        self._on_started = on_started
        self._on_epoch = on_epoch

    def started(self, task):
        self.entries.append(("started", task.key))
        if self._on_started:
            self._on_started(task)

    def epoch(self, task, number, values):
        self.entries.append((number, task.key))
        assert set(values) >= {"loss", "accuracy"}
        if self._on_epoch:
            self._on_epoch(task)

    def finished(self, task, result):
        self.entries.append(("finished", task.key))

    def times(self, event, key):
        return self.entries.count((event, key))


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    # as many threads in the workers as in this process: sums in another order moved probabilities by up to 2e-5
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, str(os.cpu_count()))
    dataset = bright_or_dark_dataset(tmp_path, LABELS)
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    return Campaign(["VGG16"], PROTOCOL, dataset, store, tmp_path / "networks", command="python train_all.py")


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    machines.add_node(num_cpus=1)
    yield machines
    machines.shutdown()


def elsewhere(campaign, tmp_path):
    store = ResultsStore(f"sqlite:///{tmp_path / 'local.sqlite'}")
    return replace(campaign, store=store, output=tmp_path / "local networks")


def assert_same_results(campaign, other):
    columns = ["model", "round", "fold", "status", "tp", "fp", "tn", "fn", "seed"]
    assert campaign.store.folds(status=None)[columns].equals(other.store.folds(status=None)[columns])
    ours, theirs = campaign.store.predictions(), other.store.predictions()
    assert ours["slice"].tolist() == theirs["slice"].tolist()
    assert ours["probability"].to_numpy() == pytest.approx(theirs["probability"].to_numpy(), abs=1e-6)


def processes_below(pid):
    """Every running process that ``pid`` started, directly or not, with its command line."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
        commands[int(folder.name)] = command.replace(b"\0", b" ").decode().strip()
    below, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - below
        below |= new
    return {child: commands[child] for child in below}


def kill_a_worker_in_a_fold():
    workers = [pid for pid, command in processes_below(os.getpid()).items() if command == "ray::_Worker.run"]
    assert workers
    os.kill(workers[0], signal.SIGKILL)


def test_two_machines_end_with_the_table_of_this_process(campaign, cluster, tmp_path):
    """A network that cannot be built at this size fails in both, and its neighbours go on."""
    campaign = replace(campaign, networks=["InceptionV3", "VGG16"])
    diary = Diary()
    assert run_campaign(campaign, PIXELS, diary, RayEngine(cluster.address)) == 3
    local = elsewhere(campaign, tmp_path)
    assert run_campaign(local, PIXELS, Diary()) == 3
    assert_same_results(campaign, local)

    failed = campaign.store.folds(status="failed")
    assert failed["model"].tolist() == ["InceptionV3"] * 3
    assert failed["error"].str.contains("Traceback").all()
    for key in KEYS:
        assert [event for event, of in diary.entries if of == key] == ["started", 1, 2, "finished"]
    first = diary.entries.index(("finished", KEYS[0]))
    assert ("started", KEYS[1]) in diary.entries[:first], "both machines train at once"

    (card,) = library.list_networks([campaign.output])["VGG16"]
    (expected,) = library.list_networks([local.output])["VGG16"]
    assert (card.fold, card.counts, card.command) == (1, expected.counts, "python train_all.py")
    stored = campaign.store.predictions().query("fold == 1")
    position = [campaign.dataset.paths.index(path) for path in stored["slice"]]
    probabilities = np.asarray(library.load_network(card).predict(PIXELS[position], verbose=0))[:, 1]
    assert probabilities == pytest.approx(stored["probability"].to_numpy(), abs=library.HALF_PRECISION_TOLERANCE)


def test_a_worker_killed_in_a_fold_costs_a_retry_and_no_result(campaign, cluster, tmp_path, caplog):
    killed = []

    def once(task):
        if not killed:
            killed.append(task.key)
            kill_a_worker_in_a_fold()

    diary = Diary(on_epoch=once)
    with caplog.at_level(logging.WARNING):
        assert run_campaign(campaign, PIXELS, diary, RayEngine(cluster.address)) == 0
    assert sum(diary.times("started", key) for key in KEYS) == len(KEYS) + 1
    assert [diary.times("finished", key) for key in KEYS] == [1, 1, 1]
    assert "lost its worker and starts again" in caplog.text
    local = elsewhere(campaign, tmp_path)
    run_campaign(local, PIXELS, Diary())
    assert_same_results(campaign, local)


def test_a_fold_that_takes_down_every_worker_fails_and_the_rest_goes_on(campaign, cluster):
    def always(task):
        if task.key == KEYS[0]:
            kill_a_worker_in_a_fold()

    diary = Diary(on_started=always)
    engine = RayEngine(cluster.address)
    campaign = replace(campaign, only_folds=(1,))
    assert run_campaign(campaign, PIXELS, diary, engine) == 1
    assert diary.times("started", KEYS[0]) == RETRIES + 1
    assert "3 in a row that were lost" in campaign.store.folds(status="failed")["error"].iloc[0]
    again = Diary()
    assert run_campaign(replace(campaign, only_folds=()), PIXELS, again, engine) == 0
    assert sorted(campaign.store.folds()["fold"]) == [1, 2, 3]


def test_a_cluster_that_is_too_small_is_refused(campaign, cluster):
    with pytest.raises(EngineError, match="3 cores"):
        run_campaign(campaign, PIXELS, Diary(), RayEngine(cluster.address, cpus_per_fold=3))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:port", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_refused_at_once(campaign, address):
    began = time.monotonic()
    with pytest.raises(EngineError, match="ray start"):
        run_campaign(campaign, PIXELS, Diary(), RayEngine(address))
    assert time.monotonic() - began < 60


def test_ctrl_c_ends_a_cluster_of_its_own_and_keeps_what_is_finished(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    places = {f"COVID_{name}": str(tmp_path / name.lower()) for name in ("NETWORKS", "RESULTS", "CACHE")}
    flags = ["--preset", "quick", "--networks", "VGG16", "--size", "32", "--epochs", "1", "--folds", "6"]
    process = subprocess.Popen(
        [sys.executable, "train_all.py", *flags, "--engine", "ray", "--cpus-per-fold", "1"],
        cwd=REPOSITORY,
        env=os.environ | places | {"COVID_STORE": url, "HOME": str(tmp_path), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    store = ResultsStore(url)
    end = time.monotonic() + 240
    while not len(store.folds()):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.05)
    below = processes_below(process.pid)
    assert any("raylet" in command for command in below.values())
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Interrupted" in out
    assert "Traceback" not in out
    assert 1 <= len(store.folds()) < 6
    while left := [pid for pid in below if Path(f"/proc/{pid}/exe").exists()]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def test_a_lost_machine_costs_its_fold_a_retry_on_another(campaign, cluster):
    """Stands last: the cluster has one machine afterwards."""
    under_way = set()

    def lose_one(task):
        under_way.add(task.key)
        if len(under_way) == 2 and cluster.worker_nodes:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    diary = Diary(on_started=lose_one)
    assert run_campaign(replace(campaign, save="none"), PIXELS, diary, RayEngine(cluster.address)) == 0
    assert not cluster.worker_nodes
    assert sum(diary.times("started", key) for key in KEYS) == len(KEYS) + 1
    assert sorted(campaign.store.folds()["fold"]) == [1, 2, 3]
