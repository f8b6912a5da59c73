"""tables.md and tables.tex: the tables of the report for a document."""

from collections.abc import Sequence

import pandas as pd

from analysis.report.tables import Table

# LaTeX's usual engines and fonts lack these characters in text.
_LATEX = str.maketrans(
    {"\N{MINUS SIGN}": "$-$", "±": r"$\pm$", "\N{NO-BREAK SPACE}": "~", "\N{EN DASH}": "--"}
    | {sign: f"${sign}$" for sign in "<>|"}
)
_HEADER = "% Needs \\usepackage{booktabs,graphicx}.\n"
_OTHER_SCRIPTS = "% Names hold characters that pdfLaTeX lacks: use XeLaTeX or LuaLaTeX, and a font with them.\n"
# A table wider than the text is made as wide as the text.
_FITTED = "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%\n"


def markdown(tables: Sequence[Table]) -> str:
    """Return the tables that have rows as a page of Markdown, each below its title."""
    return "\n".join(f"## {table.label}\n\n{_markdown(table.frame())}" for table in tables if table.rows)


def latex(tables: Sequence[Table]) -> str:
    """Return the tables that have rows as LaTeX, each with its title as caption and its name as label."""
    text = "".join(f"\n{_latex(table)}" for table in tables if table.rows)
    # pdfLaTeX knows the letters of the Latin alphabet, with accents.
    return _HEADER + (_OTHER_SCRIPTS if any(ord(char) > 0x17F for char in text) else "") + text


def _markdown(frame: pd.DataFrame) -> str:
    lines = [[str(frame.index.name), *frame.columns], ["---"] * (len(frame.columns) + 1)]
    lines += [[str(cell) for cell in row] for row in frame.itertuples()]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    """Return text as a cell of Markdown that shows it as it is."""
    for character in "\\|*_`<[":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _latex(table: Table) -> str:
    frame = table.frame().reset_index()
    styled = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
    text = styled.to_latex(
        column_format="l" + "r" * (len(frame.columns) - 1),
        hrules=True,
        caption=table.label,
        label=f"tab:{table.name}",
        position="htbp",
    ).translate(_LATEX)
    return text.replace(r"\begin{tabular}", _FITTED + r"\begin{tabular}").replace(r"\end{tabular}", r"\end{tabular}}")
