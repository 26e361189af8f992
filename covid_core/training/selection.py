"""What a user types for networks -> names of the zoo."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

from covid_core.errors import ModelError
from covid_core.models import zoo


def select_networks(patterns: Iterable[str]) -> tuple[str, ...]:
    """Networks that any pattern names, each once, in the order of the patterns, then of the zoo.

    A pattern means the study's networks; those outside the study are reached by patterns that fit none of its own
    (``residual``, ``Residual-VGG*``). So ``*`` stays the study and ``VGG`` its family.

    Args:
        patterns: Names, families (``VGG``), variants (``modified``, ``residual``) or globs (``Modified-*``),
            in any case; one string may hold several with commas between.

    Raises:
        ModelError: A pattern matches nothing, or there is no pattern.
    """
    chosen: dict[str, None] = {}
    words = [word.strip() for pattern in patterns for word in pattern.split(",") if word.strip()]
    if not words:
        raise ModelError("Expected at least one network, family or pattern. Received none. Example: --networks VGG")
    for word in words:
        matches = _matching(zoo.MODELS, word.lower()) or _matching(zoo.ALL, word.lower())
        if not matches:
            try:
                zoo.get(word)
            except ModelError as error:  # lists names that look alike
                raise ModelError(
                    f"{error} Families (VGG), variants (modified, residual) and patterns (Modified-*) are taken too."
                ) from None
        chosen.update(dict.fromkeys(matches))
    return tuple(chosen)


def _matching(specs: Mapping[str, zoo.ModelSpec], word: str) -> list[str]:
    return [
        spec.name
        for spec in specs.values()
        if word in (spec.family.lower(), spec.variant) or fnmatch.fnmatchcase(spec.name.lower(), word)
    ]
