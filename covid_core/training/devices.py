"""What a training runs on, whatever the backend of Keras."""

from __future__ import annotations

import platform
from importlib.metadata import version

import keras


def gpus() -> list[str]:
    """Names of the GPUs that the backend sees; empty on a CPU."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    if backend == "torch":
        import torch

        return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(device).get("device_name", device.name) for device in found]


def default_precision() -> str:
    """``"mixed_bfloat16"`` where the backend sees a GPU, else ``"float32"``."""
    return "mixed_bfloat16" if gpus() else "float32"


def device() -> str:
    """Name of the GPU that is used, or kind of the CPU."""
    return next(iter(gpus()), f"CPU {platform.machine()}")


def facts(precision: str) -> dict[str, str]:
    """What a fold ran on, as strings that are recorded with it: backend, device, precision, versions."""
    backend = keras.backend.backend()
    return {
        "backend": backend,
        "device": device(),
        "precision": precision,
        "versions": f"keras {keras.version()}, {backend} {version(backend)}, python {platform.python_version()}",
    }
