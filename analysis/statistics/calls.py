"""The calls that a comparison can end in. They are apart from it because the first step of a study does without SciPy."""

from typing import Literal

Call = Literal["better", "equivalent", "not shown"]
