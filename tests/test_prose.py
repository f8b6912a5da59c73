"""Docstrings, comments and pages follow the patterns of the plain style; the patterns find what they are for."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.prose import faults, files

ROOT = Path(__file__).parent.parent
CHECKED = [
    "models",
    "study",
    "analysis",
    "benchmarks",
    "fairverdict",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
]
# Still to be rewritten.
ALLOWED: tuple[str, ...] = ()


def test_the_project_is_written_plainly() -> None:
    checked = files(ROOT / name for name in CHECKED if (ROOT / name).exists())
    assert len(checked) > 100
    found = [fault for path in checked for fault in faults(path.relative_to(ROOT))]
    assert [fault for fault in found if not fault.startswith(ALLOWED)] == []


PLAIN = {
    "plain.py": '''"""The networks: what they are, and `a: b; c: d`.

    python -m x: y; z

at 12:30, see https://x.org/a:b.
"""


class Run:
    """Trains one network; keeps the best weights.

    Args:
        rate: learning rate, in (0, 1).
        kind: see `Kind`: a letter.
    """

    def is_over(self) -> bool:
        """Whether the run is over."""
        return True  # type: ignore[return-value]

    def _private(self) -> int:
        """The number of epochs."""
        # A comment that is long and goes
        # on: here. A second one: here.
        return 1
''',
    "plain.md": "# Heading: one\n\nDoes it run: where? Yes: it does.\nAnd then; `a; b; c`\n\n| a: b | c: d |\n",
    "plain.j2": "<p>{{ a }}: b</p>\n{% if x %}of {{ y }}; {% else %}of z: {% endif %}<b>Means</b> of all\n",
    "plain.c": "/* The sum: one. */\nint a; // In pixels.\nint b; // Of bytes?\n",
}

BAD = [
    ("a.py", '"""Of runs, the first."""\n', 'a.py:1: opens with "Of": Of runs, the first.'),
    ("a.py", "x = 1\n# It runs.\n# Where it ends\n# is open.\n", 'a.py:3: opens with "Where": Where it ends is open.'),
    ("a.py", "x = 1  # those in use\n", 'a.py:1: opens with "those": those in use'),
    ("a.py", 'x = 1\n"""What x is."""\n', 'a.py:2: opens with "What": What x is.'),
    ("a.py", 'def f() -> str:\n    """Whether x."""\n', 'a.py:2: opens with "Whether": Whether x.'),
    ("a.py", 'class A:\n    """A kind."""\n', "a.py:2: a docstring opens with a verb: A kind."),
    ("a.py", 'class A:\n    def b(self):\n        """The b."""\n', "a.py:3: a docstring opens with a verb: The b."),
    ("a.py", '"""Run.\n\nArgs:\n    x: of y.\n"""\n', 'a.py:4: opens with "of": of y.'),
    ("a.py", '"""Run a: b;\nand c."""\n', "a.py:1: more than one colon or semicolon: Run a: b; and c."),
    ("a.md", "It runs.\nWhose end\nis open.\n", 'a.md:2: opens with "Whose": Whose end is open.'),
    ("a.md", "- Backward it runs.\n", 'a.md:1: opens with "Backward": Backward it runs.'),
    ("a.md", "| a | beside b |\n", 'a.md:1: opens with "beside": beside b'),
    ("a.md", "## Lest it ends\n", 'a.md:1: opens with "Lest": Lest it ends'),
    ("a.j2", "<p>Of {{ x }}\n</p>\n{% if a %}\nWhat a\n", 'a.j2:4: opens with "What": What a'),
    ("a.c", "int a;\n/* What b\n   is. */\n", 'a.c:2: opens with "What": What b is.'),
    ("a.c", "int a; // It hangs on b.\n", 'a.c:1: "hangs on": It hangs on b.'),
    *(
        ("a.md", f"It is {phrase} of the others.\n", f'a.md:1: "{phrase}": It is {phrase} of the others.')
        for phrase in ("those of", "that of", "the one that", "lest", "for want of", "all the same", "hang on")
    ),
    *(
        ("a.md", f"It is {phrase}.\n", f'a.md:1: "{phrase}": It is {phrase}.')
        for phrase in ("what it takes", "so many", "who looks", "who wants", "who goes")
    ),
]


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_pass(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(PLAIN[name])
    assert faults(tmp_path / name) == []


@pytest.mark.parametrize(("name", "text", "fault"), BAD, ids=lambda value: value if value.startswith("a.") else "")
def test_every_rule_finds_its_fault(
    name: str, text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    assert fault in faults(Path(name))


def test_the_command_prints_what_it_finds(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Of all.\n")
    command = [sys.executable, "-m", "tests.prose", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, f'{tmp_path / "a.md"}:1: opens with "Of": Of all.\n')
    (tmp_path / "a.md").write_text("All is well.\n")
    assert subprocess.run(command, cwd=ROOT).returncode == 0
