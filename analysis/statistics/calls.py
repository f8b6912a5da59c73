"""The calls of a comparison, their confidence and the plan of looks, without SciPy, which no first step needs."""

from typing import Literal

Call = Literal["better", "equivalent", "not shown"]

CONFIDENCE = 0.95
# The numbers of seeds at which `--seeds auto` may stop, each with the error that its look may make. Together the looks
# err in at most 6 % of studies, and in less than 5 % of simulated ones (benchmarks/RESULTS.md).
LOOKS = {5: 0.01, 10: 0.02, 20: 0.03}
