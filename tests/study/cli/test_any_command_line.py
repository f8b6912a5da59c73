"""Whatever is on the command line: a study that can run, or one line that says why not, and no trace of it."""

import os
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.results.errors import UnusableStudy
from study.cli.command_line import Options, flag
from study.cli.request import read_request
from study.errors import BadInput

FLAGS = [flag(name) for name in Options.__dataclass_fields__]
NUMBERS = st.integers(-3, 40) | st.integers() | st.floats() | st.sampled_from(["1e400", "0x10", "1_000", "٣", "-0"])
WORDS = st.sampled_from(
    ["quick", "full", "digits", "folder", "alexnet", "mobilenet", "auto", "fp32", "bf16", ".", "..", "/", "a/b", "~"]
)
VALUES = st.text(max_size=12) | NUMBERS.map(str) | WORDS
PARTS = st.tuples(st.sampled_from(FLAGS), st.lists(VALUES, max_size=2)).map(lambda part: [part[0], *part[1]])


@settings(deadline=None, max_examples=300)
@given(st.lists(PARTS | VALUES.map(lambda value: [value]), max_size=5))
@example([["--dataset", "digits"], ["--name", "a\x00b"]])
@example([["--dataset", "digits"], ["--results-dir", "a\x00b"]])
@example([["--dataset", "folder"], ["--data-dir", "\x00"]])
@example([["--dataset", "digits"], ["--results-dir", "x" * 300]])
@example([["--dataset", "digits"], ["--storage", "s3://"]])
@example([["--dataset", "digits"], ["--storage", "nowhere://x"]])
@example([["--dataset", "digits"], ["--trials", "9" * 5000]])
@example([["--dataset", "digits"], ["--cpus-per-trial", "inf"]])
@example([["--resume"], ["--name", "\ud800"]])
@example([["--dataset", "digits"], ["--seed", "1" * 400]])
def test_any_command_line_can_run_or_is_refused_in_a_line(parts: list[list[str]]) -> None:
    arguments = [word for part in parts for word in part]
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        try:
            request = read_request(arguments)
        except (BadInput, UnusableStudy) as error:
            assert str(error).strip()
            assert len(str(error).splitlines()) == 1, error
        except SystemExit as exit_:
            assert exit_.code == 0
            assert {"-h", "--help", "--version"} & set(arguments)
        else:
            assert not request.folder.path.exists()
            assert request.folder.path.name not in ("", ".", "..")
            assert request.config.trials >= 1
        finally:
            os.chdir(before)
        assert list(Path(directory).iterdir()) == []
