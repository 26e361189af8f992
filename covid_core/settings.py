"""Where this installation keeps its things: read from the environment in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Places that a deployment may move.

    Args:
        store_url: SQLAlchemy URL of the results store (``COVID_STORE``).
        network_folders: Folders with trained networks, searched in order (``COVID_NETWORKS``, separated like PATH).
        results_folder: Measured results as CSV, loaded into a new store (``COVID_RESULTS``).
        cache_folder: Decoded data sets (``COVID_CACHE``).
        data_folders: Data sets whose slices the pages may show: folders, tables or packed files (``COVID_DATA``,
            separated like PATH).
        login_required: Whether nobody may come in without a login (``COVID_LOGIN=required``).
    """

    store_url: str
    network_folders: tuple[Path, ...]
    results_folder: Path
    cache_folder: Path
    data_folders: tuple[Path, ...]
    login_required: bool

    @classmethod
    def from_environment(cls, environment: dict[str, str] | None = None) -> Settings:
        """Settings from ``environment``, by default this process's; unset names fall back to the repository."""
        env = os.environ if environment is None else environment
        networks = env.get("COVID_NETWORKS")
        folders = networks.split(os.pathsep) if networks else [REPOSITORY / "trained", REPOSITORY / "runs"]
        return cls(
            store_url=env.get("COVID_STORE") or f"sqlite:///{REPOSITORY / 'results' / 'store.sqlite'}",
            network_folders=tuple(Path(folder) for folder in folders),
            results_folder=Path(env.get("COVID_RESULTS") or REPOSITORY / "results" / "measured"),
            cache_folder=Path(env.get("COVID_CACHE") or REPOSITORY / "runs" / "cache"),
            data_folders=tuple(Path(one) for one in env.get("COVID_DATA", "").split(os.pathsep) if one),
            # whatever else somebody writes there to ask for a login must not be read as no
            login_required=env.get("COVID_LOGIN", "optional") not in ("", "optional"),
        )
