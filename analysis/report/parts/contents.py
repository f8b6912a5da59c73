"""The list of contents, read from the headings of the page."""

import re
from dataclasses import dataclass

from markupsafe import Markup

_HEADING = re.compile(r'<h([23]) id="([^"]+)">(.*?)</h\1>', re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """Holds a heading of the page, and the headings below it."""

    id: str
    title: Markup
    below: list["Entry"]


def contents(body: str) -> list[Entry]:
    """Return the headings of the second level, each with the headings of the third level below it.

    Args:
        body: HTML whose first heading is of the second level. A heading without an id is left out.
    """
    entries: list[Entry] = []
    for level, identifier, title in _HEADING.findall(body):
        siblings = entries if level == "2" else entries[-1].below
        siblings.append(Entry(identifier, Markup(title), []))
    return entries


def with_anchors(body: str) -> str:
    """Return the HTML with a link in each heading that leads to the heading."""
    return _HEADING.sub(r'<h\1 id="\2"><a href="#\2">\3</a></h\1>', body)
