"""Chooses the fonts of the figures, and says which characters they lack."""

from collections.abc import Iterable
from functools import cache

from matplotlib.font_manager import findfont, fontManager, get_font

from analysis.numbers import listed

# Fonts that cover further scripts. The installed ones come after Matplotlib's own font.
WIDE = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "Malgun Gothic",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Nirmala UI",
)
# At most 20 characters are listed, because a script can have thousands.
_MOST_LISTED = 20


@cache
def families() -> list[str]:
    """Return the names of the fonts of the figures. A character is drawn in the first font that has it."""
    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in WIDE if name in installed)]


def missing_characters(texts: Iterable[str]) -> list[str]:
    """Return the printable characters of some texts that no font of the figures has, in order, each once."""
    characters = dict.fromkeys(char for text in texts for char in text if char.isprintable())
    return [char for char in characters if ord(char) not in _covered()]


def missing_sentence(texts: Iterable[str]) -> str:
    """Say which characters of some texts the figures cannot show. Empty if they show all."""
    missing = missing_characters(texts)
    if not missing:
        return ""
    more = len(missing) - _MOST_LISTED
    shown = listed(missing) if more <= 0 else f"{', '.join(missing[:_MOST_LISTED])} and {more} more"
    return (
        f"Figures saved as .png and .pdf show boxes instead of {shown}: the machine that wrote this report has no font"
        " with these characters. Install a wide font, such as Noto Sans CJK, and build the report again. The figures on"
        " this page use the fonts of your browser."
    )


@cache
def _covered() -> set[int]:
    return {code for family in families() for code in get_font(findfont(family)).get_charmap()}
