"""The calls that a comparison can end in, without SciPy, which the first step of a study does not need."""

from typing import Literal

Call = Literal["better", "equivalent", "not shown"]
