"""The calls of a comparison and their confidence, without SciPy, which a study's first step does not need."""

from typing import Literal

Call = Literal["better", "equivalent", "not shown"]

CONFIDENCE = 0.95
