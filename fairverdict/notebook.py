"""Shows the lines of a study, and its figures, in a notebook."""

import io
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.figures.catalogue import Picture

# A line that a later line replaces in a notebook: the progress of a stage.
_OF_THE_MOMENT = re.compile(r", \d[\d.]* (s|min|h) so far")
# A figure in a notebook has 150 dots an inch, shown at the 96 pixels an inch of a browser, to be sharp.
_DOTS_AN_INCH, _PIXELS_AN_INCH = 150, 96


class Lines:
    """Shows the lines of a study: in one display of a notebook, which each line updates, or printed.

    Attributes:
        last: the last line.
    """

    def __init__(self, is_shown: bool) -> None:
        self.last = ""
        self._is_shown = is_shown
        self._shown: list[str] = []
        self._display: Any = None
        if is_shown and _is_in_notebook():
            from IPython.display import display

            self._display = display({"text/plain": ""}, raw=True, display_id=True)

    def show(self, line: str) -> None:
        """Show a line."""
        self.last = line
        if self._display is not None:
            if self._shown and _OF_THE_MOMENT.search(self._shown[-1]):
                self._shown.pop()
            self._shown.append(line)
            self._display.update({"text/plain": "\n".join(self._shown)}, raw=True)
        elif self._is_shown:
            print(line, flush=True)


def _is_in_notebook() -> bool:
    """Return whether a kernel of Jupyter runs this code."""
    module = sys.modules.get("IPython")
    return module is not None and type(module.get_ipython()).__name__ == "ZMQInteractiveShell"


def png(picture: "Picture") -> tuple[bytes, dict[str, Any]]:
    """Return a figure as a PNG of 256 colours, a third of the size, with its width and description for a notebook."""
    from PIL import Image

    from analysis.figures.drawing.files import render

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(render(picture.wide, "png", dpi=_DOTS_AN_INCH))) as png:
        png.convert("RGB").quantize(256).save(buffer, "png", optimize=True)
    return buffer.getvalue(), {
        "width": round(_PIXELS_AN_INCH * picture.wide.get_size_inches()[0]),
        "alt": picture.alt,
    }
