"""Makes tests/example-study from a real study: `python tests/analysis/trim_example_study.py STUDY`.

Left out are tune/ and report/, and of large weights all but the bias of the last layer.
"""

import shutil
import sys
from pathlib import Path

from safetensors.numpy import load_file

from analysis.results.files import write_checksums, write_safetensors

EXAMPLE = Path(__file__).resolve().parents[1] / "example-study"
LARGE = 1_000_000


def trim(study: Path) -> None:
    """Copies a study over the example, whose README.md stays."""
    for entry in EXAMPLE.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "README.md":
            entry.unlink()
    shutil.copytree(study, EXAMPLE, ignore=shutil.ignore_patterns("tune", "report"), dirs_exist_ok=True)
    for path in EXAMPLE.glob("final/*/seed-*/model.safetensors"):
        if path.stat().st_size > LARGE:
            biases = {name: array for name, array in load_file(path).items() if name.endswith("bias")}
            last = min(biases, key=lambda name: biases[name].size)
            write_safetensors(path, {last: biases[last]})
            write_checksums(path.parent, path.name)


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
