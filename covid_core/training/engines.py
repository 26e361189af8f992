"""Where folds run: in this process, or on a Ray cluster of one machine or many.

Ray places workers and restarts lost ones; each that is ready is given the next fold. Pixels travel once to each
machine, finished folds and networks come back as plain arrays and bytes, and whoever asked for them writes them:
workers share no disk and no database.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

import numpy as np

from covid_core.errors import EngineError, TimeLimitError
from covid_core.training.tasks import Observer, Outcome, Task, TaskRunner, Work, failure

if TYPE_CHECKING:
    from ray.util.queue import Queue

    from covid_core.training.deadline import Deadline

logger = logging.getLogger(__name__)

RETRIES = 2
"""How often a fold that lost its worker is tried again: one that takes down three is at fault itself."""

POLL_SECONDS = 0.5
"""How late progress may be told; results are taken at once."""

CONNECT_SECONDS = 10
"""How long the machine that an address names may take to answer."""

PASSED_ON = ("KERAS_", "JAX_", "XLA_", "TF_", "TORCH_", "PYTORCH_", "OMP_", "MKL_", "NPROC")
"""Beginnings of environment variables that workers need as well: backend, threads, compilers."""


class Engine(Interface):
    """Runs tasks somewhere."""

    def outcomes(
        self,
        work: Work,
        pixels: np.ndarray,
        tasks: Iterable[Task],
        observer: Observer,
        deadline: Deadline,
    ) -> Iterator[tuple[Task, Outcome]]:
        """Each task with what became of it, as soon as it is finished, in any order.

        Closing the iterator ends what is under way.

        Args:
            work: What the tasks have in common.
            pixels: uint8 ``(N, size, size, 1)``: the data set's slices.
            tasks: Network by network, so that each is built and traced as seldom as possible.
            observer: Told of the start and the epochs of every fold, in the caller's thread.
            deadline: Which of them may start, and when those under way are given up.

        Raises:
            EngineError: There is no place for folds.
        """


class LocalEngine:
    """One fold after another, in this process."""

    def outcomes(
        self,
        work: Work,
        pixels: np.ndarray,
        tasks: Iterable[Task],
        observer: Observer,
        deadline: Deadline,
    ) -> Iterator[tuple[Task, Outcome]]:
        """See ``Engine``."""
        runner = TaskRunner(work, pixels)
        for task in filter(deadline.admits, tasks):
            observer.started(task)
            try:
                outcome = runner.run(task, lambda *news, task=task: observer.epoch(task, *news), deadline.passed)
            except TimeLimitError as error:
                logger.warning("%s, round %d, fold %d is given up: %s", *task.key, error)
                return
            yield task, outcome
            deadline.finished(task, outcome)


class RayEngine:
    """Several folds at once: on the GPUs or CPUs of this machine, or of all machines of a cluster.

    Args:
        address: Of a running cluster that this machine belongs to, ``"host:port"`` or ``"auto"``; None starts one on
            this machine and ends it afterwards.
        gpus_per_fold: From 0 to 1. None: 1 where the cluster has GPUs, else 0.
        cpus_per_fold: Cores, which are also its threads. None: a fold gets the same share of its machine's cores as
            of its GPUs, or without GPUs all of them; the smallest machine decides.

    Raises:
        EngineError: Ray is not installed, or a share is out of its range.
    """

    def __init__(
        self, address: str | None = None, gpus_per_fold: float | None = None, cpus_per_fold: int | None = None
    ):
        if importlib.util.find_spec("ray") is None:
            raise EngineError(
                "Expected Ray for training on a cluster. Received: a Python without it. "
                "Install it, pip install -r requirements-cluster.txt, or use --engine local."
            )
        if gpus_per_fold is not None and not 0 <= gpus_per_fold <= 1:
            raise EngineError(f"Expected 0 to 1 GPU for a fold. Received: {gpus_per_fold}.")
        if cpus_per_fold is not None and cpus_per_fold < 1:
            raise EngineError(f"Expected at least 1 core for a fold. Received: {cpus_per_fold}.")
        self._address = address
        self._gpus_per_fold = gpus_per_fold
        self._cpus_per_fold = cpus_per_fold

    def outcomes(
        self,
        work: Work,
        pixels: np.ndarray,
        tasks: Iterable[Task],
        observer: Observer,
        deadline: Deadline,
    ) -> Iterator[tuple[Task, Outcome]]:
        """See ``Engine``. A fold whose worker is lost starts again, up to ``RETRIES`` times."""
        import ray  # takes a second, and need not be installed

        tasks = list(tasks)
        self._connect()
        try:
            gpus, cpus, places = share(
                [node["Resources"] for node in ray.nodes() if node["Alive"]], self._gpus_per_fold, self._cpus_per_fold
            )
            news = _News(tasks, observer)
            worker = ray.remote(
                num_gpus=gpus,
                num_cpus=cpus,
                max_restarts=-1,  # a worker serves many folds, and those are what is counted
                runtime_env={"env_vars": worker_environment(gpus, cpus, os.environ)},
            )(_Worker)
            # No backups: a fold that is tried again may land on another machine, and none of them should keep files.
            work = replace(work, backups=None)
            # Once into each machine's shared memory; workers there see the same read-only array. References inside a
            # list: as arguments themselves they may be gone when an actor restarts (ray-project/ray#53727).
            shared = [ray.put(work), ray.put(np.asarray(pixels))]
            workers = [worker.remote(shared, news.queue) for _ in range(min(places, len(tasks)))]
            yield from _outcomes(work, tasks, workers, news, deadline)
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        import ray

        try:
            if self._address and ":" in self._address:
                host, _, port = self._address.rpartition(":")
                # Ray itself tries for minutes
                socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
            ray.init(
                address=self._address or "local",
                include_dashboard=None if self._address else False,
                logging_level=logging.WARNING,
                log_to_driver=False,  # workers' libraries talk into the progress bar; their errors come back as results
                # other machines need the requirements, but no checkout
                runtime_env={
                    "py_modules": [str(Path(__file__).resolve().parents[1])],
                    "excludes": ["**/__pycache__/"],
                },
            )
        except (OSError, RuntimeError, ValueError) as error:
            place = f"a Ray cluster at {self._address}" if self._address else "to start Ray on this machine"
            raise EngineError(
                f"Expected {place}. Received: {error}. Start one (ray start --head), check the address, or leave "
                f"--address out."
            ) from error


def share(
    machines: list[dict[str, float]], gpus_per_fold: float | None, cpus_per_fold: int | None
) -> tuple[float, int, int]:
    """What a fold gets and how many fit at once.

    Args:
        machines: Resources of each machine, with ``"CPU"`` and ``"GPU"`` where it has any.
        gpus_per_fold: See ``RayEngine``.
        cpus_per_fold: See ``RayEngine``.

    Returns:
        GPUs and cores a fold, and the number of places.

    Raises:
        EngineError: No machine has room for one fold.
    """
    sizes = [(int(machine.get("CPU", 0)), machine.get("GPU", 0.0)) for machine in machines]
    gpus = gpus_per_fold if gpus_per_fold is not None else float(any(gpu for _, gpu in sizes))

    def by_gpu(gpu: float) -> int:
        return int(gpu / gpus + 1e-9) if gpus else 1  # 0.3 / 0.1 is a hair below 3

    fitting = [(cpu, gpu) for cpu, gpu in sizes if cpu and by_gpu(gpu)]
    cpus = cpus_per_fold or min((max(1, cpu // by_gpu(gpu)) for cpu, gpu in fitting), default=1)
    places = sum(min(cpu // cpus, by_gpu(gpu)) if gpus else cpu // cpus for cpu, gpu in fitting)
    if not places:
        found = ", ".join(f"{cpu} cores and {gpu:g} GPUs" for cpu, gpu in sizes) or "no machine"
        raise EngineError(
            f"Expected a machine with {cpus} cores and {gpus:g} GPUs for a fold. Received: {found}. "
            f"Ask for less with --gpus-per-fold and --cpus-per-fold, or add a machine."
        )
    return gpus, cpus, places


def worker_environment(gpus: float, cpus: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for a worker: its threads, how it shares a GPU, and what this process was told by its user.

    Args:
        gpus: GPUs a fold.
        cpus: Cores a fold.
        environment: This process's; what it sets wins.
    """
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")  # NPROC: JAX
    own = {name: str(cpus) for name in threads} | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    if 0 < gpus < 1:
        # by default JAX and TensorFlow take most of a GPU's memory at once, and nothing is left for the next fold
        own |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return own | {name: value for name, value in environment.items() if name.startswith(PASSED_ON)}


class _Worker:
    """The Ray actor: a ``TaskRunner`` that tells of its epochs."""

    def __init__(self, shared: list[Any], queue: Queue):
        import ray

        self._runner = TaskRunner(*ray.get(shared))
        self._queue = queue

    def ready(self) -> None:
        """Answers as soon as the worker has a place and its libraries."""

    def run(self, task: Task) -> Outcome:
        self._queue.put((task.key, 0, {}))
        return self._runner.run(task, lambda number, values: self._queue.put((task.key, number, values)))


class _News:
    """Brings what workers tell to the observer, in the driver's thread."""

    def __init__(self, tasks: list[Task], observer: Observer):
        import ray
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
        self.queue = Queue(actor_options=options)
        self._tasks = {task.key: task for task in tasks}
        self._started: set[tuple[str, int, int]] = set()
        self._observer = observer

    def tell(self) -> None:
        for key, number, values in self.queue.get_nowait_batch(self.queue.qsize()):
            if number:
                self._observer.epoch(self._tasks[key], number, values)
                continue
            if key in self._started:
                logger.warning("%s, round %d, fold %d lost its worker and starts again", *key)
            self._started.add(key)
            self._observer.started(self._tasks[key])


def _outcomes(
    work: Work, tasks: list[Task], workers: list[Any], news: _News, deadline: Deadline
) -> Iterator[tuple[Task, Outcome]]:
    """Gives each worker that is ready the next task. One without a task is ended, and leaves its place to a worker that
    lost its machine."""
    import ray

    def ready(worker: Any) -> Any:
        """Answered when the worker has a place and lives, however long that takes."""
        return worker.ready.options(max_task_retries=-1).remote()

    def next_task() -> Task | None:
        while waiting:
            task = waiting.popleft()
            if deadline.admits(task):
                return task
        return None

    waiting = deque(tasks)
    losses: Counter[tuple[str, int, int]] = Counter()
    busy: dict[Any, tuple[Any, Task | None]] = {ready(worker): (worker, None) for worker in workers}
    reason: Exception | None = None
    while (waiting and busy) or any(task is not None for _, task in busy.values()):
        done, _ = ray.wait(list(busy), timeout=POLL_SECONDS)
        news.tell()
        if deadline.passed():
            logger.warning("The time is up: folds in flight are given up.")
            return
        for reference in done:
            worker, task = busy.pop(reference)
            try:
                outcome = ray.get(reference)
            except ray.exceptions.RayTaskError as error:  # raised by a worker that lives
                outcome = Outcome(failure(work, task, error))
            except ray.exceptions.RayError as error:
                if task is None:
                    logger.warning("A worker cannot train: %s", error)
                    reason = error
                    continue
                # Ray's own retries go to the same worker, and are used up before a lost machine is known to be lost
                busy[ready(worker)] = (worker, None)
                losses[task.key] += 1
                if losses[task.key] <= RETRIES:
                    waiting.appendleft(task)
                else:
                    yield task, Outcome(failure(work, task, _lost(error)))
                continue
            following = next_task()
            if following:
                busy[worker.run.remote(following)] = (worker, following)
            else:
                ray.kill(worker)
            if task is not None:
                yield task, outcome
                deadline.finished(task, outcome)
    if waiting:
        raise EngineError(
            f"Expected a worker that can train. Received none: {reason}. "
            f"Install the same Python and the same requirements on every machine of the cluster."
        )


def _lost(error: Exception) -> EngineError:
    lost = EngineError(
        f"Expected a worker that lives as long as a fold. Received: {RETRIES + 1} in a row that were lost "
        f"({str(error).strip().splitlines()[0]}). "
        f"The usual reason is memory: take fewer folds at once, or a smaller batch."
    )
    lost.__cause__ = error
    return lost
