"""Two campaigns, two processes, one store: SQLite, and PostgreSQL where it is installed."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from covid_core.results.store import ResultsStore

WRITER = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from tiny import bright_or_dark, bright_or_dark_dataset, tiny_network
from covid_core.results.store import ResultsStore
from covid_core.training import fold
from covid_core.training.campaign import Campaign, run_campaign
from covid_core.training.protocol import Protocol

url, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
fold.build_model = tiny_network
pixels, labels = bright_or_dark()
dataset = bright_or_dark_dataset(folder, labels)
written = 0

class Counting(ResultsStore):
    def add_fold(self, result):
        global written
        added = super().add_fold(result)
        written += added
        return added

class Together:
    # neither begins a fold before the other is there as well
    def started(self, task):
        place = folder / f"fold {task.fold.fold}"
        (place.with_suffix(f".{name}")).touch()
        end = time.monotonic() + 120
        while len(list(folder.glob(f"fold {task.fold.fold}.*"))) < 2:
            assert time.monotonic() < end, "the other campaign did not come"
            time.sleep(0.01)
    def epoch(self, task, number, values):
        pass
    def finished(self, task, result):
        assert result.status == "done", result.error

protocol = Protocol(epochs=1, rounds=1, folds=6, size=32, batch_size=8)
assert run_campaign(Campaign(["VGG16"], protocol, dataset, Counting(url), folder), pixels, Together()) == 0
print(written)
"""


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


@pytest.fixture
def postgresql():
    """A PostgreSQL server of our own, reached through a socket in its folder."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: pip install -r requirements-cluster.txt")
    found = shutil.which("initdb") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
    if found is None:
        pytest.skip("no PostgreSQL server on this machine: apt-get install postgresql")
    owner = {}
    # not tmp_path: it is too long for a socket, and closed to the server's user
    folder = Path(tempfile.mkdtemp(prefix="covid-"))
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            owner = {"user": pwd.getpwnam("postgres").pw_uid, "group": pwd.getpwnam("postgres").pw_gid}
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, owner["user"], owner["group"])

    def run(program, *arguments):
        command = [str(Path(found).with_name(program)), "--pgdata", str(folder / "data"), *arguments]
        log = (folder / "log").open("a")
        done = subprocess.run(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            timeout=120,
            check=False,
            extra_groups=[] if owner else None,
            **owner,
        )
        assert done.returncode == 0, (folder / "log").read_text()

    try:
        run("initdb", "--username=tester", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        run("pg_ctl", "--wait", "--options", f"-k {folder} -c listen_addresses='' -c fsync=off", "start")
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_two_campaigns_on_one_store_leave_each_fold_once(database, request, tmp_path):
    url = request.getfixturevalue(database)
    here = Path(__file__).parent
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(tmp_path), name, str(here), str(here.parents[1])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    outputs = [writer.communicate(timeout=300) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], outputs
    # all were trained twice, and each was taken from one of the two
    assert sum(int(out) for out, _ in outputs) == 6
    store = ResultsStore(url)
    assert store.folds(status=None)["fold"].tolist() == [1, 2, 3, 4, 5, 6]
    assert sorted(store.predictions()["slice"]) == sorted(f"{number}.png" for number in range(48))
    assert set(store.history()["fold"]) == {1, 2, 3, 4, 5, 6}
