"""One database: how it is opened, read and written, and what its errors say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from sqlalchemy import Connection, Engine, Select, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from covid_core.errors import StoreError

_Result = TypeVar("_Result")

_DTYPES = {str: "str", int: "int64", float: "float64"}

_ADVICE = {
    "locked": "Another process is writing to it: wait for it to finish, then try again.",
    "readonly": "Give this user the right to write to the file and its folder, or name another store.",
    "unable to open": "Check that the file and its folder may be read and written, or name another store.",
    "not a database": "The file is not a SQLite database: move it away and a new store is made, or name another.",
    "malformed": "The file is damaged: move it away, and import the last CSV export into a new store.",
    "foreign key": "Add the experiment of a fold with add_experiment() first.",
}


class Database:
    """Transactions on a SQLAlchemy database; every failure is a ``StoreError``.

    Args:
        url: SQLAlchemy URL. A SQLite file and its folder are made where they are absent.
        busy_seconds: How long to wait for another process that is writing to a SQLite file.

    Raises:
        StoreError: The URL names no database that this process can open.
    """

    def __init__(self, url: str, busy_seconds: float):
        self._busy_seconds = busy_seconds
        try:
            sqlite = make_url(url).get_backend_name() == "sqlite"
            self._engine = _sqlite_engine(url, busy_seconds) if sqlite else create_engine(url)
        except (SQLAlchemyError, ImportError) as error:
            raise StoreError(
                "Expected a SQLAlchemy database URL such as sqlite:///results/store.sqlite whose driver is installed. "
                f"Received: {_without_password(url)} ({error})."
            ) from error
        # SQLite turns a reading transaction into a writing one only if nobody wrote in between, and does not wait for
        # that; a transaction that is going to write must therefore say so at its start.
        self._writer = self._engine.execution_options(sqlite_begin="IMMEDIATE")

    @property
    def place(self) -> str:
        """The URL, fit for messages: without a password."""
        return self._engine.url.render_as_string()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose statements all see the same state."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._explained(error) from error

    def rows(self, query: Select) -> list:
        """All rows of one query."""
        with self.reading() as connection:
            return connection.execute(query).all()

    def frame(self, query: Select) -> pd.DataFrame:
        """All rows of one query, with dtypes that follow from its columns, whatever the rows hold."""
        columns = list(query.selected_columns)
        rows = self.rows(query)
        # By column: pandas inspects every SQLAlchemy row one by one, which takes most of the time.
        values = zip(*rows, strict=True) if rows else ([] for _ in columns)
        data = {
            column.name: pd.Series(series, dtype=_DTYPES[column.type.python_type])
            for column, series in zip(columns, values, strict=True)
        }
        return pd.DataFrame(data)

    def write(self, work: Callable[[Connection], _Result]) -> _Result:
        """``work`` in one transaction; what it raises undoes what it did.

        SQLite lets one process write at a time. In other databases another process may insert the same rows between
        the look and the insert of ``work``; it is called again then, and finds them. A fold inserts into two shared
        tables, so it can lose twice.
        """
        for attempts_left in (2, 1, 0):
            try:
                with self._writer.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                if not attempts_left or not isinstance(error, (IntegrityError, ProgrammingError)):
                    raise self._explained(error) from error
        raise AssertionError("the last attempt returns or raises")

    def use_write_ahead_log(self) -> None:
        """Let readers and a writer of a SQLite file work side by side; the file remembers it.

        SQLite does not wait when two processes switch at the same moment: one is told "locked" at once.
        """
        if self._engine.dialect.name != "sqlite":
            return
        give_up = time.monotonic() + self._busy_seconds
        while True:
            try:
                with self._engine.connect().execution_options(sqlite_begin=None) as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                return
            except OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() > give_up:
                    raise self._explained(error) from error
                time.sleep(0.01)

    def _explained(self, error: SQLAlchemyError) -> StoreError:
        reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        advice = next(
            (text for sign, text in _ADVICE.items() if sign in reason.lower()), "Check the database and its URL."
        )
        return StoreError(f"The results store at {self.place} cannot be used: {reason.rstrip('.')}. {advice}")


def _sqlite_engine(url: str, busy_seconds: float) -> Engine:
    """An engine whose every transaction has a connection of its own: safe in threads and after a fork."""
    file = make_url(url).database
    if file in (None, "", ":memory:"):
        raise StoreError(f"Expected a results store that outlives this process. Received: {url}. Name a file.")
    if not file.startswith("file:"):
        try:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"Cannot make the folder of the results store {file}: {error}. Name another.") from error
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def prepare(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # the driver must not open transactions behind our back
        dbapi_connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        if mode is not None:
            connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string()
    except SQLAlchemyError:
        return repr(url)
