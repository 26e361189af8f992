"""What the log says of a failure: what kind it is and where it happened, not its message, which may quote an upload."""

from __future__ import annotations

import logging
import traceback

_UNCAUGHT = "streamlit.error_util"  # logs what a page raises and does not catch


def keep_messages_out() -> None:
    """Leave messages of exceptions out of the log from now on: of those that pages raise, and of those we log.

    Only Streamlit's plain log goes through here, not the one that it draws with rich (``logger.enableRich``).
    """
    logging.getLogger(_UNCAUGHT).addFilter(without_message)
    if logging.lastResort:  # writes what nobody has set a place for, as our own loggers' records
        logging.lastResort.addFilter(without_message)


def without_message(record: logging.LogRecord) -> bool:
    """Write the exception of a record down without its message; the record itself is kept.

    Args:
        record: Changed in place.

    Returns:
        True, as a filter of ``logging`` that lets everything pass.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        chain = []
        while error is not None and error not in chain:
            chain.append(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        parts = [
            "".join(traceback.format_tb(one.__traceback__)) + f"{type(one).__module__}.{type(one).__qualname__}"
            for one in reversed(chain)
        ]
        record.exc_text = "Traceback (most recent call last, messages left out):\n" + "\nthen\n".join(parts)
    return True
