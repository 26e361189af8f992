"""Run by test_backends.py in a process of its own: ``train_all.py`` with the tiny network in place of the real ones.

Takes the flags of ``train_all.py``; the backend stands in ``KERAS_BACKEND``.
"""

import os
import sys
from importlib.machinery import PathFinder


class WithoutTensorFlow(PathFinder):
    """As where it is not installed. (``sys.modules["tensorflow"] = None`` would look to Keras as if it were loaded.)"""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "tensorflow" else super().find_spec(name, path, target)


if os.environ["KERAS_BACKEND"] != "tensorflow":
    sys.meta_path[:] = [WithoutTensorFlow if finder is PathFinder else finder for finder in sys.meta_path]

from tiny import tiny_network  # noqa: E402  only after the backend is as it should be

import train_all  # noqa: E402
from covid_core.training import fold as fold_module  # noqa: E402

fold_module.build_model = tiny_network
sys.exit(train_all.main())
