"""Options that may be a plain value or a list."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ase_mlham.errors import InputError
from ase_mlham.learning.configuration import make_config


@dataclass(frozen=True)
class Sizes:
    """Sizes of something."""

    width: int | tuple[int, ...] = 3
    depth: int | None = None


@pytest.mark.parametrize(("given", "width"), [(4, 4), ([4, 2], (4, 2)), ((1,), (1,))])
def test_a_number_or_a_list(given, width):
    assert make_config(Sizes, {"width": given}, "test").width == width


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": "wide"}, "'wide' is not a whole number"),
        ({"width": [4, 2.5]}, "2.5 is not a whole number"),
        ({"width": None}, "None is not a whole number"),
        ({"depth": [1]}, "is not a whole number"),
    ],
)
def test_neither_a_number_nor_a_list(values, message):
    with pytest.raises(InputError, match=message):
        make_config(Sizes, values, "test")
