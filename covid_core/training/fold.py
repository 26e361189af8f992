"""One network on one fold: built and traced once, then trained and tested fold after fold."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

import keras
import numpy as np

from covid_core.data.augment import augment
from covid_core.data.splits import Fold
from covid_core.errors import ProtocolError, TimeLimitError
from covid_core.models.build import build_model
from covid_core.results import metrics
from covid_core.results.records import FoldResult, Predictions
from covid_core.training.backup import Backup, BackupEpochs, Progress
from covid_core.training.batches import Batches
from covid_core.training.devices import facts, gpus
from covid_core.training.protocol import Protocol

OnEpoch = Callable[[int, dict[str, float]], None]


class FoldTrainer:
    """Trains one network of the zoo on any number of folds, each from weights of its own seed.

    Building and tracing a train step costs up to a minute, so it is done once; every fold then starts from the
    variables of a freshly seeded network. A fold's result does not depend on the folds before it.

    Args:
        model: Name from the zoo.
        protocol: How to train.
        classes: Number of classes; the last is the positive one.
        slices: Number of slices in the data set, from which the length of the learning-rate schedule follows.
        precision: A Keras dtype policy name such as ``"float32"`` or ``"mixed_bfloat16"``.
    """

    def __init__(self, model: str, protocol: Protocol, classes: int, slices: int, precision: str = "float32"):
        self.model = model
        self.protocol = protocol
        self.classes = classes
        self.precision = precision
        training_slices = slices * (protocol.folds - 1) // protocol.folds
        self.batch_size = protocol.batch_size_of(model)
        self.steps = max(1, training_slices // self.batch_size)
        self._trainer: keras.Model | None = None
        self._optimizer_start: list[np.ndarray] = []

    @property
    def network(self) -> keras.Model:
        """The flat network without augmentation, with the weights of the fold trained last."""
        return self.trainer.get_layer(self.model)

    def train(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        slices: tuple[str, ...],
        fold: Fold,
        experiment: str,
        curve_every: int = 5,
        on_epoch: OnEpoch | None = None,
        backup: Backup | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> FoldResult:
        """Trains on the fold's training slices and predicts its test slices.

        Args:
            pixels: uint8 ``(N, size, size, 1)``, grey values 0-255; the whole data set, memory-mapped or not.
            labels: int ``(N,)``, class positions.
            slices: ``N`` names for the stored predictions.
            fold: Positions to train on and to test on.
            experiment: Id that the result is filed under.
            curve_every: Epochs between two tests for the learning curve; 0 for none. Nothing is chosen by them.
            on_epoch: Called with the epoch's number from 1 and its curve values.
            backup: Where the fold is saved between epochs; one that is there is continued, with the same result. It
                stays when the fold is finished: the caller removes it once the result is safe.
            should_stop: Asked before every batch; once it says yes, the fold is given up.

        Returns:
            The finished fold, counts at probability 0.5.

        Raises:
            ProtocolError: The loss became infinite or NaN.
            TimeLimitError: ``should_stop`` said yes.
        """
        protocol = self.protocol
        seed = protocol.fold_seed(self.model, fold.round, fold.fold)
        trainer = self.trainer
        self._start_from(seed)
        test_pixels = np.asarray(pixels[fold.test])
        positive = labels[fold.test] == self.classes - 1
        curve = _Curve(lambda: self._probabilities(test_pixels), positive, protocol.epochs, curve_every, on_epoch)
        limit = _StopWhen(should_stop or (lambda: False))
        callbacks = [keras.callbacks.TerminateOnNaN(), limit, curve]
        if backup:
            state = [*trainer.variables, *trainer.optimizer.variables]
            curve.go_on_from(backup.restore(state, curve.history))
            callbacks.append(BackupEpochs(backup, state, curve.progress))
        batches = Batches(pixels, labels, fold.train, self.batch_size, seed, curve.epochs_done)
        trainer.fit(
            batches,
            initial_epoch=curve.epochs_done,
            epochs=protocol.epochs,
            shuffle=False,  # the batches have their own order, which a continued fold can repeat
            verbose=0,
            callbacks=callbacks,
        )
        if limit.stopped:
            raise TimeLimitError(
                f"Expected {protocol.epochs} epochs. Received: a stop after {len(curve.history['loss']) - 1} of them, "
                f"the time is up. Train the fold again with more time."
            )
        if not np.isfinite(curve.history["loss"][-1]):
            if backup:
                backup.remove()
            raise ProtocolError(
                f"Expected a finite loss. Received: {curve.history['loss'][-1]} after epoch "
                f"{len(curve.history['loss'])}. "
                f"Use a lower learning rate than {protocol.learning_rate_of(self.model):g} for {self.model}."
            )
        probabilities = self._probabilities(test_pixels)
        seconds = curve.seconds
        images = len(batches) * batches.batch_size * protocol.epochs
        return FoldResult(
            experiment=experiment,
            model=self.model,
            round=fold.round,
            fold=fold.fold,
            status="done",
            seed=seed,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            counts=metrics.counts(positive, probabilities),
            auc=metrics.auc(positive, probabilities),
            predictions=Predictions(
                slices=tuple(slices[position] for position in fold.test),
                labels=positive.astype(np.int8),
                probabilities=probabilities,
            ),
            history=curve.history,
            seconds=seconds,
            images_per_second=images / curve.training_seconds,
            facts=facts(self.precision),
        )

    @property
    def trainer(self) -> keras.Model:
        """Augmentation and network as one compiled model, built and traced once; what ``fit`` runs."""
        if self._trainer is None:
            self._trainer = self._build()
            optimizer = keras.optimizers.Adam(self._learning_rates())
            optimizer.build(self._trainer.trainable_variables)
            self._optimizer_start = [keras.ops.convert_to_numpy(variable) for variable in optimizer.variables]
            # XLA on the TensorFlow CPU backend made a step of EfficientNetB0 ten times slower
            jit = False if keras.backend.backend() == "tensorflow" and not gpus() else "auto"
            self._trainer.compile(
                optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit
            )
        return self._trainer

    def _learning_rates(self) -> keras.optimizers.schedules.LearningRateSchedule | float:
        """Linear warm-up, then half a cosine down to zero."""
        rate = self.protocol.learning_rate_of(self.model)
        warmup = round(self.protocol.warmup_epochs * self.steps)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=rate / max(1, warmup),
            decay_steps=max(1, self.protocol.epochs * self.steps - warmup),
            warmup_target=rate,
            warmup_steps=warmup,
        )

    def _build(self) -> keras.Model:
        size = self.protocol.size
        previous = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            network = build_model(self.model, (size, size, 1), self.classes, self.protocol.dropout)
            inputs = keras.Input((size, size, 1), dtype="uint8", name="grey_values")
            # resampling in bfloat16 would round grey values to 8 bits of mantissa and pixel positions to whole pixels
            keras.config.set_dtype_policy("float32")
            x = augment(keras.ops.cast(inputs, "float32"), self.protocol.augmentation)
        finally:
            keras.config.set_dtype_policy(previous)
        return keras.Model(inputs, network(x), name="training")

    def _start_from(self, seed: int) -> None:
        """Variables of a network built under ``seed``, the optimiser as new, and every generator reseeded."""
        # Keras draws the seeds of initializers and generators from here. Its set_random_seed would also make TensorFlow
        # forget how it had optimised the traced step, which costs 8 s a fold for EfficientNetB0.
        random.seed(seed)
        fresh = self._build()
        trainer = self.trainer
        for variable, start in zip(trainer.variables, fresh.variables, strict=True):
            variable.assign(start.value)
        for variable, start in zip(trainer.optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(start)

    def _probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """float32 ``(N,)``: the positive class's probabilities, without augmentation."""
        outputs = self.trainer.predict(pixels, batch_size=self.batch_size, verbose=0)
        return np.asarray(outputs[:, -1], np.float32)


class _StopWhen(keras.callbacks.Callback):
    """Ends training after the batch before which ``should_stop`` said yes; a fold whose last batch is done is whole."""

    def __init__(self, should_stop: Callable[[], bool]):
        super().__init__()
        self.stopped = False
        self._should_stop = should_stop

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if self._should_stop():
            self.stopped = self.model.stop_training = True


class _Curve(keras.callbacks.Callback):
    """Collects the learning curve, the fold's seconds, and those spent on training alone."""

    def __init__(
        self,
        probabilities: Callable[[], np.ndarray],
        positive: np.ndarray,
        epochs: int,
        every: int,
        on_epoch: OnEpoch | None,
    ):
        super().__init__()
        self.history: dict[str, list[float]] = {"loss": [], "accuracy": []}
        if every:
            self.history |= {"test_loss": [], "test_accuracy": []}
        self.training_seconds = 0.0
        self._fold_started = time.perf_counter()
        self._probabilities = probabilities
        self._positive = positive
        self._epochs = epochs
        self._every = every
        self._on_epoch = on_epoch
        self._started = 0.0

    @property
    def epochs_done(self) -> int:
        return len(self.history["loss"])

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._fold_started

    def progress(self) -> Progress:
        return Progress(self.history, self.training_seconds, self.seconds)

    def go_on_from(self, progress: Progress | None) -> None:
        if progress:
            self.history = progress.history
            self.training_seconds = progress.training_seconds
            self._fold_started -= progress.seconds

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.training_seconds += time.perf_counter() - self._started
        values = {"loss": float(logs["loss"]), "accuracy": float(logs["accuracy"])}
        number = epoch + 1
        if self._every:
            due = not self.model.stop_training and (number % self._every == 0 or number == self._epochs)
            values |= self._test() if due else {"test_loss": float("nan"), "test_accuracy": float("nan")}
        for name, value in values.items():
            self.history[name].append(value)
        if self._on_epoch:
            self._on_epoch(number, values)

    def _test(self) -> dict[str, float]:
        probabilities = self._probabilities()
        of_truth = np.where(self._positive, probabilities, 1 - probabilities).astype(np.float64)
        return {
            "test_loss": float(-np.log(np.maximum(of_truth, keras.config.epsilon())).mean()),
            "test_accuracy": float(((probabilities >= metrics.THRESHOLD) == self._positive).mean()),
        }
