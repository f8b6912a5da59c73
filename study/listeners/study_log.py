"""Writes study.log: every line of a study with its time, and the warnings of Ray and of the workers."""

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

_RAYS_WARNING = re.compile(r"\b(WARNING|ERROR)\b")
_RAYS_PRINTER = "ray_print_logs"


class StudyLog:
    """Appends lines to a file. Lines that come before the file is known are kept until then."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._file: IO[str] | None = None
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Write lines, each with the time of now."""
        now = datetime.now().isoformat(sep=" ", timespec="seconds")
        lines = [f"{now} {line.rstrip()}\n" for line in text.splitlines() if line.strip()]
        with self._lock:
            if self._file is None:
                self._waiting += lines
            else:
                self._file.writelines(lines)
                self._file.flush()

    def open(self, path: Path) -> None:
        """Append to this file from now on. Its first lines are those that were kept."""
        with self._lock:
            self._file = path.open("a", encoding="utf-8", errors="replace")
            self._file.writelines(self._waiting)
            self._file.flush()
            self._waiting.clear()

    def close(self) -> None:
        """Close the file if it is open."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    @contextmanager
    def warnings_of_python(self) -> Iterator[None]:
        """Write the warnings of this process, by `logging` and by `warnings`, until the block ends."""
        handler, show = _Handler(self), warnings.showwarning

        def show_and_write(message: Any, category: type[Warning], *place: Any, **named: Any) -> None:
            self.write(f"warning: {category.__name__}: {message}")
            show(message, category, *place, **named)

        logging.getLogger().addHandler(handler)
        warnings.showwarning = show_and_write
        try:
            yield
        finally:
            warnings.showwarning = show
            logging.getLogger().removeHandler(handler)

    @contextmanager
    def warnings_of_ray(self) -> Iterator[None]:
        """Write the warnings of the joined Ray, and what its workers write to standard error, until the block ends.

        Ray prints neither of them meanwhile, only its own errors.
        """
        # Private, because Ray's public ways print the lines of workers on the terminal.
        from ray._private.ray_logging import global_worker_stdstream_dispatcher as workers_lines

        logger, handler = logging.getLogger("ray"), _Handler(self)
        own_level, levels = logger.level, [(own, own.level) for own in logger.handlers]
        for own in logger.handlers:
            own.setLevel(logging.ERROR)
        logger.setLevel(logging.WARNING)
        logger.addHandler(handler)
        workers_lines.remove_handler(_RAYS_PRINTER)
        workers_lines.add_handler("study.log", self._take_worker_lines)
        try:
            yield
        finally:
            workers_lines.remove_handler("study.log")
            logger.removeHandler(handler)
            logger.setLevel(own_level)
            for own, level in levels:
                own.setLevel(level)

    def _take_worker_lines(self, data: dict[str, Any]) -> None:
        """Write lines of an error stream as Ray hands them on, with the process that printed them.

        Processes of Ray itself have a name in place of a number, and tell much that is no warning.
        """
        for line in data["lines"]:
            if (data["is_err"] and str(data["pid"]).isdecimal()) or _RAYS_WARNING.search(line):
                self.write(f"worker {data['pid']}: {line}")


class _Handler(logging.Handler):
    def __init__(self, log: StudyLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.write(f"{record.levelname.lower()}: {self.format(record)}")
        except Exception:  # as every handler of `logging` does: a record that cannot be written ends no program
            self.handleError(record)
