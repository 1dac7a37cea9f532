"""Streams that evaluate each architecture once, or each live form: its candidates that lie on a path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from raynas.capabilities import has_live_forms, live_forms_of
from raynas.search_space import Architecture, SearchSpace, as_array
from raynas.stages.backend import Stream


def once_per_live_form(space: SearchSpace, stream: Stream) -> Stream:
    """Returns a stream that evaluates each live form once, and gives its row to all architectures of that form.

    It is for scores of initial weights: what lies on no path is not run and changes no bit of them.

    Args:
        space: The space. If it states no live forms, each architecture is its own.
        stream: Evaluates architectures.
    """
    if not has_live_forms(space):
        return once_each(stream)

    def live_forms(architectures: Sequence[Architecture]) -> list[Architecture]:
        return [tuple(form) for form in live_forms_of(space, as_array(architectures)).tolist()]

    return once_each(stream, live_forms)


def once_each(
    stream: Stream, forms_of: Callable[[Sequence[Architecture]], Sequence[Architecture]] = lambda given: given
) -> Stream:
    """Returns a stream that evaluates each architecture once; rows are remembered as long as the stream is.

    Args:
        stream: Evaluates architectures.
        forms_of: Returns for each architecture one that has the same row.
    """
    known: dict[Architecture, np.ndarray] = {}

    def of_forms(architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
        if not len(architectures):
            return
        forms = forms_of(architectures)
        new = [form for form in dict.fromkeys(forms) if form not in known]
        evaluated = stream(new) if new else iter(())
        position = done = 0
        while position < len(forms):
            start = position
            while position < len(forms) and forms[position] in known:
                position += 1
            if position > start:
                yield np.stack([known[form] for form in forms[start:position]])
                continue
            rows = next(evaluated)
            known.update(zip(new[done : done + len(rows)], rows, strict=True))
            done += len(rows)

    return of_forms
