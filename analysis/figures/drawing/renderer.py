"""Draws a figure once and saves it as SVG, PDF and PNG.

Matplotlib would draw the figure again for each kind of file. Most of that time goes into ticks, sizes of text and
transforms, which are the same for all kinds.
"""

import io
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_pdf import GraphicsContextPdf, PdfFile, RendererPdf
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Affine2D, TransformedBbox, TransformedPath
from PIL import Image

# The kinds of file of a figure. A file's suffix is a dot and its kind.
Kind = Literal["svg", "png", "pdf"]
KINDS: tuple[Kind, ...] = ("svg", "png", "pdf")


def draw(figure: Figure, kinds: Iterable[Kind], dpi: int) -> dict[Kind, bytes]:
    """Lay the figure out if it has a layout engine, draw it once, and return the files.

    Args:
        figure: the figure.
        kinds: the kinds of file.
        dpi: dots an inch of a PNG, and of the pictures within an SVG or a PDF.
    """
    figure.set_dpi(72)
    outputs = {kind: _OUTPUTS[kind](figure, dpi) for kind in kinds}
    everywhere = _Everywhere(figure, dpi, [output for output, _ in outputs.values()])
    width, height = figure.get_size_inches()
    renderer: Any = MixedModeRenderer(figure, width, height, dpi, everywhere)
    _Canvas(figure, renderer)
    figure.draw(renderer)
    FigureCanvasBase(figure)  # lets go of the renderers
    return {kind: finish() for kind, (_, finish) in outputs.items()}


class _Canvas(FigureCanvasBase):
    """Gives the layout engine the renderer that draws, which remembers the sizes of text."""

    def __init__(self, figure: Figure, renderer: Any) -> None:
        super().__init__(figure)
        self._renderer = renderer

    def get_renderer(self) -> Any:
        return self._renderer


@lru_cache(4096)
def _text_size(text: str, font: FontProperties, is_math: bool) -> tuple[float, float, float]:
    """Return width, height and descent in points. Numbers beside ticks are the same in many figures."""
    return RendererBase().get_text_width_height_descent(text, font, is_math)


class _Everywhere(RendererBase):
    """Draws with several renderers, whose canvases have 72 dots an inch. Text is measured once."""

    def __init__(self, figure: Figure, dpi: int, renderers: list[RendererBase]) -> None:
        super().__init__()
        self.width, self.height = (72 * side for side in figure.get_size_inches())
        self._magnification = dpi / 72
        self._renderers = renderers

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def new_gc(self) -> GraphicsContextPdf:
        # The other renderers take any graphics context.
        return GraphicsContextPdf(None)

    def get_image_magnification(self) -> float:
        return self._magnification

    def option_image_nocomposite(self) -> bool:
        return True

    def option_scale_image(self) -> bool:
        return True

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        return _text_size(s, prop, ismath)

    def open_group(self, s: str, gid: str | None = None) -> None:
        for renderer in self._renderers:
            renderer.open_group(s, gid)

    def close_group(self, s: str) -> None:
        for renderer in self._renderers:
            renderer.close_group(s)

    def draw_path(self, gc: Any, *arguments: Any, **named: Any) -> None:
        for renderer in self._renderers:
            renderer.draw_path(gc, *arguments, **named)

    def draw_markers(self, gc: Any, *arguments: Any, **named: Any) -> None:
        for renderer in self._renderers:
            renderer.draw_markers(gc, *arguments, **named)

    def draw_image(self, gc: Any, *arguments: Any, **named: Any) -> None:
        for renderer in self._renderers:
            renderer.draw_image(gc, *arguments, **named)

    def draw_text(self, gc: Any, x: float, y: float, *arguments: Any, **named: Any) -> None:
        for renderer in self._renderers:
            renderer.draw_text(gc, x, y if renderer.flipy() else self.height - y, *arguments, **named)


class _Pixels(RendererBase):
    """Draws pixels. Takes places on a canvas of 72 dots an inch, as the other renderers do."""

    def __init__(self, figure: Figure, dpi: int) -> None:
        super().__init__()
        width, height = figure.get_size_inches()
        self.agg = RendererAgg(round(width * dpi), round(height * dpi), dpi)
        self._scale = dpi / 72
        self._larger = Affine2D().scale(self._scale)

    def draw_path(self, gc: Any, path: Any, transform: Any, rgbFace: Any = None) -> None:
        self.agg.draw_path(self._enlarged(gc), path, transform + self._larger, rgbFace)

    def draw_markers(
        self, gc: Any, marker_path: Any, marker_trans: Any, path: Any, trans: Any, face: Any = None
    ) -> None:
        larger = self._larger
        self.agg.draw_markers(self._enlarged(gc), marker_path, marker_trans + larger, path, trans + larger, face)

    def draw_text(self, gc: Any, x: float, y: float, *arguments: Any, **named: Any) -> None:
        self.agg.draw_text(self._enlarged(gc), x * self._scale, y * self._scale, *arguments, **named)

    def draw_image(self, gc: Any, x: float, y: float, im: Any, transform: Any = None) -> None:
        left, bottom = round(x * self._scale), round(y * self._scale)
        if transform is not None:
            # The picture has its own pixels. Each becomes a rectangle of whole dots.
            corners = transform.transform([(0, 0), (1, 1)]) + np.array([x, y])
            (left, first), (right, last) = (self._scale * corners).round().astype(int).tolist()
            size, bottom = (right - left, abs(last - first)), min(first, last)
            im = np.array(Image.fromarray(im).resize(size, Image.Resampling.NEAREST))[:: 1 if last > first else -1]
        self.agg.draw_image(self._enlarged(gc), left, bottom, im)

    def _enlarged(self, gc: Any) -> Any:
        own: Any = self.agg.new_gc()
        own.copy_properties(gc)
        if (box := gc.get_clip_rectangle()) is not None:
            own.set_clip_rectangle(TransformedBbox(box, self._larger))
        path, transform = gc.get_clip_path()
        if path is not None:
            own.set_clip_path(TransformedPath(path, transform + self._larger))
        return own


_Output = tuple[RendererBase, Callable[[], bytes]]


def _svg(figure: Figure, dpi: int) -> _Output:
    text = io.StringIO()
    width, height = figure.get_size_inches()
    renderer = RendererSVG(72 * width, 72 * height, text, image_dpi=dpi, metadata={"Date": None})

    def finish() -> bytes:
        renderer.finalize()
        return text.getvalue().encode()

    return renderer, finish


def _pdf(figure: Figure, dpi: int) -> _Output:
    buffer = io.BytesIO()
    width, height = figure.get_size_inches()
    file = PdfFile(buffer, metadata={"CreationDate": None})
    file.newPage(width, height)
    renderer = RendererPdf(file, dpi, height, width)

    def finish() -> bytes:
        renderer.finalize()
        file.finalize()
        file.close()
        return buffer.getvalue()

    return renderer, finish


def _png(figure: Figure, dpi: int) -> _Output:
    renderer = _Pixels(figure, dpi)

    def finish() -> bytes:
        buffer = io.BytesIO()
        pixels = Image.fromarray(np.asarray(renderer.agg.buffer_rgba())).convert("RGB")
        # Level 6 makes the file a fifth smaller, and takes half as long again.
        pixels.save(buffer, "png", compress_level=1, dpi=(dpi, dpi))
        return buffer.getvalue()

    return renderer, finish


_OUTPUTS: dict[Kind, Callable[[Figure, int], _Output]] = {"svg": _svg, "png": _png, "pdf": _pdf}
