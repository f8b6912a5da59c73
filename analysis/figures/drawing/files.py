"""Writes figures as files that have the same bytes each time, and as SVG within a page of HTML."""

import re
import warnings
from collections.abc import Iterable
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from analysis.figures.drawing.renderer import KINDS, Kind, draw
from analysis.figures.drawing.style import FAINT, GRID, INK, PAPER, RIGHT, STYLE, WRONG, printable

# Colours that the style sheet of a page may replace on a dark background, by the name of their CSS variable.
THEME = {
    "--figure-ink": INK,
    "--figure-faint": FAINT,
    "--figure-grid": GRID,
    "--figure-paper": PAPER,
    "--figure-right": RIGHT,
    "--figure-wrong": WRONG,
}

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
# An id that begins so holds titles. The line separator parts them, because it is not printable.
_HOVER, _NEXT = "hover:", "\N{LINE SEPARATOR}"
_REFERENCE = re.compile(r"(?<=url\(#)[\w-]+|(?<=^#)[A-Za-z][\w-]*$")
_VARIABLES = {colour: variable for variable, colour in THEME.items()}
_THEMED = re.compile("|".join(THEME.values()))
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)


def hover(artist: Artist, *titles: str) -> None:
    """Give a shape titles, which browsers show when the pointer is over it.

    Args:
        artist: a line with its markers, or a patch.
        titles: one title for all of it, or a title for each marker. None of the markers may be outside the axes.
    """
    artist.set_gid(_HOVER + _NEXT.join(printable(title) for title in titles))


def render(figure: Figure, kind: Kind, dpi: int = 300) -> bytes:
    """Return the figure as a file of one kind, as `render_all` does."""
    return render_all(figure, [kind], dpi)[kind]


def render_all(figure: Figure, kinds: Iterable[Kind] = KINDS, dpi: int = 300) -> dict[Kind, bytes]:
    """Return the figure as files of several kinds. The same figure gives the same bytes.

    The first call lays the figure out. Later calls keep that layout.

    Args:
        figure: the figure.
        kinds: the kinds of file.
        dpi: dots an inch of a PNG, and of the pictures within an SVG or a PDF.
    """
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # The page says which characters no font has. An SVG shows them in the reader's fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        files = draw(figure, kinds, dpi)
    figure.set_layout_engine("none")
    return {kind: _with_titles(content) if kind == "svg" else content for kind, content in files.items()}


def inline_svg(svg: bytes, name: str, alt: str) -> str:
    """Return an SVG of `render` as an element of a page of HTML.

    Its ids are unique on the page, it brings no style sheet, and the colours of THEME are CSS variables.

    Args:
        svg: the file.
        name: the name of the figure, unique on the page, without white space.
        alt: a description in words.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    elements = list(root.iter())
    used = {found for element in elements for value in element.attrib.values() for found in _REFERENCE.findall(value)}
    for element in elements:
        for attribute, value in element.attrib.items():
            if attribute == "style":
                element.set(attribute, _THEMED.sub(lambda found: f"var({_VARIABLES[found[0]]}, {found[0]})", value))
            else:
                element.set(attribute, _REFERENCE.sub(rf"\g<0>-{name}", value))
        if (own := element.attrib.pop("id", None)) and own in used:
            element.set("id", f"{own}-{name}")
    # Matplotlib writes this rule into each file, for all elements.
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    root.attrib |= {"role": "img", "aria-label": alt}
    for side in ("width", "height"):
        # A point is 4/3 of a CSS pixel.
        root.set(side, f"{float(root.attrib[side].removesuffix('pt')) * 4 / 3:.0f}")
    return ElementTree.tostring(root, encoding="unicode")


def _with_titles(svg: bytes) -> bytes:
    """Return an SVG with the titles of `hover`, and with coordinates of two decimals."""
    root = ElementTree.fromstring(svg)
    for element in list(root.iter()):
        for attribute in ("d", "x", "y"):
            if attribute in element.attrib:
                element.set(attribute, re.sub(r"(\.\d\d)\d+", r"\1", element.attrib[attribute]))
        if element.get("id", "").startswith(_HOVER):
            titles = element.attrib.pop("id").removeprefix(_HOVER).split(_NEXT)
            marks = [element] if len(titles) == 1 else element.findall(f".//{{{_SVG}}}use")
            for mark, title in zip(marks, titles, strict=True):
                shown = ElementTree.Element(f"{{{_SVG}}}title")
                shown.text = title
                mark.insert(0, shown)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
