"""Check docstrings, comments and pages for sentences that have to be read twice.

    python -m tests.prose PATH...

prints file:line, the rule and the sentence, a line each, and exits with 1 if there is one. A path is a file or a
folder. The rules are patterns: a sentence that passes them may still be a bad one.
"""

import ast
import html
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

OPENING = re.compile(r"(?i:of|what|where|whose|whether|those|beside|lest|backward)\b(?!.*\?$)")
PHRASES = re.compile(
    r"\b(that of|those of|the one that|lest|for want of|all the same|hangs? on|what it takes|so many"
    r"|who (?:looks|wants|goes))\b",
    re.IGNORECASE,
)
# A docstring's first word is a verb: at least it is none of these. A noun without an article passes.
NOT_A_VERB = re.compile(
    r"(?:a|all|also|an|and|any|as|at|beside|between|both|by|each|every|few|for|from|given|how|if|in|into|its?|many|most"
    r"|neither|no|nor|not|nothing|of|on|one|only|or|per|same|since|some|such|that|the|their|there|these|this|those"
    r"|three|to|two|until|what|when|where|which|while|who|whose|why|with|within|without)\b",
    re.IGNORECASE,
)
PAUSES = re.compile(r"[:;](?=[\s)\"']|$)")
SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\bcf)[.!?][\"')]*\s+(?=[\"'(`]*[A-Z0-9])")
SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Examples?):$")
DIRECTIVE = re.compile(r"#+!?\s*((type|noqa|pragma|fmt|ruff)\b:?.*?(?=#|$))?|/\*+|\*+/|//")

Lines = list[tuple[int, str]]


class Paragraph(NamedTuple):
    """Some lines of prose, with their numbers.

    Attributes:
        must_be_verb: its first word must be a verb, as in the docstring of a public function or class.
        may_be_whether: its first word may be "Whether", as in the docstring of a function that returns a bool.
        is_fragment: it may begin within a sentence, as the text of a template does.
    """

    lines: Lines
    must_be_verb: bool = False
    may_be_whether: bool = False
    is_fragment: bool = False


def faults(path: Path) -> list[str]:
    """Return a line for each sentence of a file that breaks a rule."""
    found = []
    for paragraph in READERS[path.suffix](path.read_text()):
        text = " ".join(line for _, line in paragraph.lines)
        start = 0
        for end in [*(match.end() for match in SENTENCE_END.finditer(text)), len(text)]:
            sentence, number = text[start:end].strip(), _number(paragraph.lines, start)
            for rule in _broken(sentence, paragraph, is_first=start == 0):
                found.append(f"{path}:{number}: {rule}: {sentence}")
            start = end
    return found


def _number(lines: Lines, position: int) -> int:
    for number, text in lines:
        position -= len(text) + 1
        if position < 0:
            return number
    return lines[-1][0]


def _broken(sentence: str, paragraph: Paragraph, is_first: bool) -> Iterator[str]:
    words = re.sub(r"``.*?``|`[^`]*`", "CODE", sentence).lstrip("\"'(*_ ")
    opening = OPENING.match(words)
    is_whether = paragraph.may_be_whether and is_first and words.startswith("Whether")
    if opening and not is_whether and (words[0].isupper() or (is_first and not paragraph.is_fragment)):
        yield f'opens with "{opening[0]}"'
    elif paragraph.must_be_verb and is_first and NOT_A_VERB.match(words):
        yield "a docstring opens with a verb"
    for match in PHRASES.finditer(words):
        yield f'"{match[0]}"'
    if len(PAUSES.findall(words)) > 1:
        yield "more than one colon or semicolon"


def _python(text: str) -> Iterator[Paragraph]:
    yield from _docstrings(ast.parse(text), is_public=True)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT]
    # Comments on lines of their own that follow each other are one text.
    alone = [(token.start[0], token.string) for token in tokens if token.line.lstrip().startswith("#")]
    for _, block in groupby(enumerate(alone), lambda pair: pair[1][0] - pair[0]):
        yield from _paragraphs([(number, DIRECTIVE.sub("", line).strip()) for _, (number, line) in block])
    for token in tokens:
        if not token.line.lstrip().startswith("#"):
            yield from _paragraphs([(token.start[0], DIRECTIVE.sub("", token.string).strip())])


def _docstrings(node: ast.AST, is_public: bool) -> Iterator[Paragraph]:
    for child in ast.iter_child_nodes(node):
        yield from _docstrings(child, is_public and not str(getattr(child, "name", "")).startswith("_"))
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant) and isinstance(child.value.value, str):
            first, *others = child.value.value.expandtabs().split("\n")
            margin = min((len(line) - len(line.lstrip()) for line in others if line.strip()), default=0)
            numbered = list(enumerate([first.lstrip(), *(line[margin:] for line in others)], child.lineno))
            is_owners = getattr(node, "body", [None])[0] is child
            returns = getattr(node, "returns", None)
            for index, paragraph in enumerate(_paragraphs(numbered)):
                yield paragraph._replace(
                    must_be_verb=index == 0 and is_public and is_owners and not isinstance(node, ast.Module),
                    may_be_whether=index == 0 and isinstance(returns, ast.Name) and returns.id == "bool",
                )


def _c(text: str) -> Iterator[Paragraph]:
    for match in re.finditer(r"/\*.*?\*/|(?:^[ \t]*//[^\n]*\n)+|//[^\n]*", text, re.DOTALL | re.MULTILINE):
        lines = enumerate(match[0].splitlines(), text.count("\n", 0, match.start()) + 1)
        yield from _paragraphs([(number, DIRECTIVE.sub("", line).strip().removeprefix("* ")) for number, line in lines])


def _markdown(text: str) -> Iterator[Paragraph]:
    """Yield the paragraphs of a page: a cell of a table and an item of a list is one, a block of code none."""
    text = re.sub(r"^```.*?^```", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    yield from _paragraphs(list(enumerate(text.split("\n"), 1)))


def _template(text: str) -> Iterator[Paragraph]:
    def blank(match: re.Match[str], by: str = "") -> str:
        return by + "\n" * match[0].count("\n")

    text = re.sub(r"\{#.*?#\}|<(style|script)\b.*?</\1>", blank, text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", lambda match: blank(match, "X"), text, flags=re.DOTALL)
    text = re.sub(r"</?(?:a|b|i|em|strong|code|span|small|sub|sup|br)\b[^>]*>", blank, text)
    text = re.sub(r"\{%.*?%\}|<[^>]*>", lambda match: blank(match, "\0"), text, flags=re.DOTALL)
    number = 1
    for part in text.split("\0"):
        lines = [(number + offset, html.unescape(line.strip())) for offset, line in enumerate(part.split("\n"))]
        number = lines[-1][0]
        if any(line for _, line in lines):
            yield Paragraph([(at, line) for at, line in lines if line], is_fragment=True)


def _paragraphs(numbered: Lines) -> Iterator[Paragraph]:
    """Split lines at blank ones, headings, items of a list, cells of a table, and code, which is left out."""
    block: Lines = []
    is_section = is_code = was_blank = False
    for number, line in numbered:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        is_code = bool(text) and indent >= 4 and not is_section and (is_code or was_blank)
        is_item = re.match(r"(?:[-*+]|\d+\.)\s+", text)
        is_entry = is_section and indent == 4 and re.match(r"[\w*, ]+: ", text)
        if block and (not text or is_code or is_item or is_entry or text.startswith(("#", "|")) or SECTION.match(text)):
            yield Paragraph(block)
            block = []
        was_blank = not text or (was_blank and is_code)
        if text and not indent:
            is_section = bool(SECTION.match(text))
        if not text or is_code or SECTION.match(text):
            continue
        if text.startswith("#"):
            yield Paragraph([(number, text.lstrip("# "))])
        elif text.startswith("|"):
            for cell in filter(None, map(str.strip, text.split("|"))):
                yield Paragraph([(number, cell)])
        else:
            prefix = is_item or is_entry
            block.append((number, text[prefix.end() :] if prefix else text))
    if block:
        yield Paragraph(block)


READERS: dict[str, Callable[[str], Iterator[Paragraph]]] = {
    ".py": _python,
    ".c": _c,
    ".md": _markdown,
    ".j2": _template,
}


def files(paths: Iterable[Path]) -> list[Path]:
    """Return the files to check among these, and in the folders among these."""
    found = (entry for path in paths for entry in (sorted(path.rglob("*")) if path.is_dir() else [path]))
    return [path for path in found if path.suffix in READERS]


def main(paths: Iterable[str]) -> int:
    """Print the faults of files and folders; return 1 if there are some, else 0."""
    found = [fault for path in files(map(Path, paths)) for fault in faults(path)]
    print(*found, sep="\n", end="\n" * bool(found))
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
