"""Colours, texts, ticks and fonts of the figures can be read."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from analysis.figures.drawing.axes import log_ticks
from analysis.figures.drawing.fonts import missing_characters, missing_sentence
from analysis.figures.drawing.style import COLOURS, ON_DARK, ON_LIGHT, STYLE, label, readable_on

# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


def linear(colour: str) -> np.ndarray:
    """Return linear RGB, float64 [3]."""
    channels = np.array(to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours by WCAG, from 1 to 21."""
    low, high = sorted(float(linear(colour) @ (0.2126, 0.7152, 0.0722)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIELAB of linear RGB, float64 [3]."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(matrix @ np.clip(rgb, 0.001, 1) / (0.9505, 1.0, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("background", ["#ffffff", "#16191d"])
@pytest.mark.parametrize("colour", COLOURS)
def test_colours_of_networks_are_seen_on_white_and_on_dark(colour: str, background: str) -> None:
    assert contrast(colour, background) >= 3


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colour_blind_readers_can_tell_networks_apart(blindness: str) -> None:
    seen = [lab(np.array(BLINDNESS[blindness]) @ linear(colour)) for colour in COLOURS]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 16


def test_text_on_a_cell_can_be_read() -> None:
    for grey in np.linspace(0, 1, 11):
        colour = readable_on((grey, grey, grey, 1.0))
        other = {ON_LIGHT: ON_DARK, ON_DARK: ON_LIGHT}[colour]
        background = f"#{round(255 * grey):02x}" + 2 * f"{round(255 * grey):02x}"
        assert contrast(colour, background) > max(4.4, contrast(other, background))


def test_no_text_is_smaller_than_the_smallest_that_can_be_read() -> None:
    assert min(value for name, value in STYLE.items() if name.endswith(("size", "labelsize", "fontsize"))) >= 8.5


def test_labels_are_safe_to_draw() -> None:
    assert label("a\x00b") == "a\N{REPLACEMENT CHARACTER}b"
    assert label("$x$") == r"\$x\$"
    assert label("abcdefgh", 5) == "ab…gh"


@pytest.mark.parametrize(
    ("limits", "ticks"),
    [
        ((0.9, 110), [1, 10, 100]),
        ((0.09, 2), [0.1, 0.3, 1]),
        ((0.15, 0.6), [0.2, 0.3, 0.4, 0.5, 0.6]),
        ((1e-9, 10), [1e-9, 1e-7, 1e-5, 1e-3, 1e-1, 10]),
    ],
)
def test_a_logarithmic_axis_has_round_ticks(limits: tuple[float, float], ticks: list[float]) -> None:
    assert log_ticks(*limits) == pytest.approx(ticks)


@pytest.mark.parametrize("low", [1e-6, 0.0123, 0.95, 1.0, 2.3, 9.7, 1234.0])
@pytest.mark.parametrize("ratio", [1.02, 1.1, 1.5, 2, 4, 9, 30, 1e3, 1e9])
def test_a_logarithmic_axis_has_a_few_ticks_also_within_a_decade(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert 2 <= len(ticks) <= 6
    assert all(low <= tick <= low * ratio for tick in ticks)


def test_characters_that_no_font_has_are_named() -> None:
    assert missing_characters(["Zoë", "ж", "a\n", "\U00013000 \U00013000"]) == ["\U00013000"], "a hieroglyph"
    assert missing_sentence(["cat", "✓"]) == ""
    many = "".join(map(chr, range(0x13000, 0x13019)))
    assert "show boxes instead of \U00013000, \U00013001" in missing_sentence([many])
    assert "\U00013013 and 5 more:" in missing_sentence([many])
