"""`python -m study.run`: read the command line, then do the study.

The modules that the study needs take seconds to import. So the command line is read before them, and Ctrl-C is in order
from the start.
"""

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.cli.endings import ending_of, parting, say_error
from study.cli.interrupts import Interrupts
from study.errors import BadInput
from study.settings.shadows import check_nothing_hides_modules
from study.streams import lasting_streams

if TYPE_CHECKING:
    from study.cli.command_line import Options
    from study.cli.request import Request
    from study.listeners.study_log import StudyLog


@dataclass
class _Work:
    """Holds what the end of the command needs: the study that is at work, or was last, and its log."""

    request: "Request | None" = None
    log: "StudyLog | None" = None

    def close_log(self) -> None:
        """Close the log, if there is one."""
        if self.log is not None:
            with suppress(OSError):
                self.log.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    work = _Work()
    with lasting_streams(), Interrupts(lambda: parting(work.request)) as interrupts:
        try:
            check_nothing_hides_modules()

            from study.cli.command_line import parse

            options = parse(arguments)
            if options.print_config:
                from study.cli.request import read_request
                from study.settings.file.whole import whole_file

                print(whole_file(read_request(arguments).config), end="")
                return 0
            if options.searches != 1:
                return _repeat(arguments, options, interrupts, work)
            return _study(arguments, options, interrupts, work)
        except (Exception, KeyboardInterrupt) as error:
            ending = _ending_of_import(error) or ending_of(error, work.request)
            if ending is None:
                if work.log is not None:
                    work.log.write(traceback.format_exc())
                raise
            line, status = ending
            say_error(line)
            if work.log is not None:
                with suppress(OSError):  # its disk may be full, which the line says
                    work.log.write(line)
            return status
        finally:
            work.close_log()


def _study(
    arguments: Sequence[str], options: "Options", interrupts: Interrupts, work: _Work, title: str | None = None
) -> int:
    """Carry out one study, under a title if it is one of several. Return its exit status."""
    from study.listeners.progress import Progress
    from study.listeners.screen import Screen
    from study.plan.outline import outline

    screen = Screen()
    work.log = screen.study_log
    with Progress(screen, options.quiet) as progress:
        if title is not None:
            progress.say(title)
        if not options.resume:  # else study.json has the settings
            for line in outline(options):
                progress.say(line)
        progress.show("Loading PyTorch and Ray")

        from analysis.collector import without_garbage_collection

        with without_garbage_collection():
            from study.cli.request import read_request
            from study.workflow import carry_out

        check_nothing_hides_modules(options.address)
        interrupts.listen()
        work.request = request = read_request(arguments, None if options.dry_run else progress.say)
        if options.resume and not request.is_resumed:
            for line in (f"There is no study to go on with: {request.folder.path} begins", *outline(options)):
                progress.say(line)
        return carry_out(request, interrupts, progress, is_dry=options.dry_run)


def _repeat(arguments: Sequence[str], options: "Options", interrupts: Interrupts, work: _Work) -> int:
    """Carry out the studies of --searches, and compare their networks. Return the highest exit status."""
    from study.cli.command_line import parse
    from study.repetition.studies import repetition_of

    together = repetition_of(options)
    if options.dry_run:
        words = together.words(0, arguments, options)
        return _study(words, parse(words), interrupts, work, f"The plan of each of {together.count} studies")
    status = 0
    for number, path in enumerate(together.paths):
        words = together.words(number, arguments, options)
        title = f"Study {number + 1} of {together.count}: {path.name}"
        status = max(status, _study(words, parse(words), interrupts, work, title))
        work.close_log()

    from analysis.compare.build import build_comparison

    build_comparison(together.paths, together.folder)
    return status


def _ending_of_import(error: BaseException) -> tuple[str, int] | None:
    """Return the last line and the exit status if a file of the current folder may have broken an import."""
    if not isinstance(error, ImportError | AttributeError | NameError | TypeError):
        return None
    try:
        check_nothing_hides_modules()
    except BadInput as named:
        return ending_of(named, None)
    return None


if __name__ == "__main__":
    sys.exit(main())
