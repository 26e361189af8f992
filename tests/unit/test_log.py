from __future__ import annotations

import io
import logging

import pytest

from covid_core.ui.log import without_message


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    """A logger with the filter, and what it writes."""
    text = io.StringIO()
    logger = logging.Logger("a test's own")
    logger.addFilter(without_message)
    logger.addHandler(logging.StreamHandler(text))
    return logger, text


def read(name: str) -> None:
    raise KeyError(name)


def test_kind_and_place_of_a_failure_are_logged_and_its_message_is_not(log):
    logger, text = log
    try:
        read("patient" + "-7")
    except KeyError as error:
        logger.error("Uncaught", exc_info=error)
    assert "builtins.KeyError" in text.getvalue()
    assert "in read" in text.getvalue()
    assert "patient-7" not in text.getvalue()


def test_a_cause_is_logged_the_same_way(log):
    logger, text = log
    try:
        try:
            read("patient" + "-7")
        except KeyError as cause:
            raise ValueError("no slice: patient" + "-7") from cause
    except ValueError:
        logger.exception("Uncaught")
    assert text.getvalue().index("builtins.KeyError") < text.getvalue().index("builtins.ValueError")
    assert "patient-7" not in text.getvalue()


def test_a_record_without_a_failure_is_left_alone(log):
    logger, text = log
    logger.error("two %s", "words")
    assert text.getvalue() == "two words\n"
