"""A figure becomes the same file each time, and an SVG that a page can hold."""

import io
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from analysis.figures.drawing.files import THEME, hover, inline_svg, render, render_all
from analysis.figures.drawing.renderer import KINDS, Kind
from analysis.figures.drawing.style import INK, STYLE

STARTS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


@mpl.rc_context(STYLE)
def drawn() -> Figure:
    """Return a figure of two points and a picture, with titles."""
    figure = Figure(figsize=(3, 2))
    ax = figure.subplots()
    (points,) = ax.plot([0.123456789, 1], [0, 1], "o", color=INK)
    hover(points, "a <&> \x00", 'the "second" one')
    (line,) = ax.plot([0, 1], [1, 0])
    hover(line, "a line")
    ax.imshow(np.eye(2))
    ax.set_xlabel('0.123456 id="kept"')
    return figure


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_figure_gives_the_same_bytes_and_leaves_no_settings(kind: Kind) -> None:
    before = dict(mpl.rcParams)
    first, second = render(drawn(), kind), render(drawn(), kind)
    assert first.startswith(STARTS[kind])
    assert first == second
    assert dict(mpl.rcParams) == before


def test_a_figure_drawn_once_gives_the_files_of_each_kind() -> None:
    assert render_all(drawn()) == {kind: render(drawn(), kind) for kind in KINDS}


def test_a_picture_fills_its_place_the_right_way_up() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 0, 0]]], np.uint8)
    for origin, expected in (("upper", colours), ("lower", colours[::-1])):
        figure = Figure(figsize=(1, 0.5))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        ax.imshow(colours, interpolation="none", aspect="auto", origin=origin)  # type: ignore[arg-type]
        pixels = np.asarray(Image.open(io.BytesIO(render(figure, "png", dpi=96))))
        assert pixels.shape == (48, 96, 3)
        np.testing.assert_array_equal(pixels, expected.repeat(24, axis=0).repeat(48, axis=1))


def test_shapes_have_titles() -> None:
    root = ElementTree.fromstring(render(drawn(), "svg"))
    namespace = "{http://www.w3.org/2000/svg}"
    marks = [mark.findtext(f"{namespace}title") for mark in root.iter(f"{namespace}use")]
    assert [title for title in marks if title] == ["a <&> \N{REPLACEMENT CHARACTER}", 'the "second" one']
    assert "a line" in [group.findtext(f"{namespace}title") for group in root.iter(f"{namespace}g")]


def test_a_page_can_hold_two_figures() -> None:
    svg = render(drawn(), "svg")
    first, second = (ElementTree.fromstring(inline_svg(svg, name, "A & B")) for name in ("one", "two"))
    ids = [{element.attrib["id"] for element in root.iter() if "id" in element.attrib} for root in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    used = {
        value.strip("url()#")
        for element in first.iter()
        for name, value in element.attrib.items()
        if (name.endswith("href") and value.startswith("#")) or name == "clip-path"
    }
    assert used == ids[0], "every reference has its target"
    assert first.attrib["role"] == "img" and first.attrib["aria-label"] == "A & B"
    assert (first.attrib["width"], first.attrib["height"]) == ("288", "192"), "CSS pixels"
    assert not [element for element in first.iter() if element.tag.endswith("}style")], "no rules for the whole page"
    assert '0.123456 id="kept"' in "".join(first.itertext()), "text stays as it is"


def test_a_page_can_replace_the_colours_of_text_and_axes() -> None:
    text = inline_svg(render(drawn(), "svg"), "one", "")
    for variable in ("--figure-ink", "--figure-faint", "--figure-grid", "--figure-paper"):
        assert f"var({variable}, {THEME[variable]})" in text
        assert f": {THEME[variable]}" not in text
