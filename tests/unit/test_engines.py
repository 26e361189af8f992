"""What folds get of a cluster, and what is refused; see test_ray.py for the cluster itself."""

from __future__ import annotations

import importlib.util

import pytest

import train_all
from covid_core.errors import EngineError
from covid_core.training.engines import RayEngine, share, worker_environment

CPU_ONLY = [{"CPU": 16.0}, {"CPU": 8.0}]
ONE_GPU = [{"CPU": 16.0, "GPU": 1.0}]
MIXED = [{"CPU": 16.0, "GPU": 1.0}, {"CPU": 64.0, "GPU": 8.0}, {"CPU": 32.0}, {"GPU": 1.0}]


@pytest.mark.parametrize(
    ("machines", "gpus", "cpus", "expected"),
    [
        (CPU_ONLY, None, None, (0, 8, 3)),  # the smallest machine decides: two folds fit on the larger
        (CPU_ONLY, None, 4, (0, 4, 6)),
        (CPU_ONLY, 0, 16, (0, 16, 1)),
        (ONE_GPU, None, None, (1, 16, 1)),
        (ONE_GPU, 0.25, None, (0.25, 4, 4)),
        (ONE_GPU, 0.1, None, (0.1, 1, 10)),
        (ONE_GPU, 0.25, 8, (0.25, 8, 2)),
        (ONE_GPU, 0, None, (0, 16, 1)),
        (MIXED, None, None, (1, 8, 9)),  # without a GPU, or without a core, there is no place for a fold
        ([{"CPU": 2.0, "GPU": 1.0}], 0.25, None, (0.25, 1, 2)),
        ([{}, {"CPU": 2.0}], None, None, (0, 2, 1)),  # a head machine that lends nothing
    ],
)
def test_share_of_a_fold(machines, gpus, cpus, expected):
    assert share(machines, gpus, cpus) == expected


@pytest.mark.parametrize(
    ("machines", "gpus", "cpus", "found"),
    [
        (CPU_ONLY, 1, None, "16 cores and 0 GPUs, 8 cores and 0 GPUs"),
        (ONE_GPU, None, 32, "16 cores and 1 GPUs"),
        ([], None, None, "no machine"),
    ],
)
def test_a_cluster_without_room_is_refused(machines, gpus, cpus, found):
    with pytest.raises(EngineError, match=found):
        share(machines, gpus, cpus)


def test_workers_know_their_threads_and_the_users_choices():
    variables = worker_environment(0, 3, {"KERAS_BACKEND": "jax", "HOME": "/home/me", "OMP_NUM_THREADS": "1"})
    assert variables["KERAS_BACKEND"] == "jax"
    assert variables["TF_NUM_INTRAOP_THREADS"] == "3"
    assert variables["OMP_NUM_THREADS"] == "1"
    assert "HOME" not in variables


@pytest.mark.parametrize(("gpus", "shared"), [(0, False), (0.25, True), (1, False)])
def test_folds_that_share_a_gpu_do_not_take_all_of_its_memory(gpus, shared):
    variables = worker_environment(gpus, 1, {})
    assert (variables.get("XLA_PYTHON_CLIENT_PREALLOCATE") == "false") == shared
    assert (variables.get("TF_FORCE_GPU_ALLOW_GROWTH") == "true") == shared


def test_without_ray_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"requirements-cluster\.txt"):
        RayEngine()


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--engine", "ray", "--gpus-per-fold", "2"], "0 to 1 GPU"),
        (["--engine", "ray", "--cpus-per-fold", "0"], "at least 1 core"),
        (["--gpus-per-fold", "0.5"], "--engine ray"),
        (["--address", "auto"], "--engine ray"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("COVID_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    assert train_all.main(["--preset", "quick", *flags]) == train_all.EXIT_USAGE
    assert reason in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
