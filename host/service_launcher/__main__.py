"""`python -m service_launcher` and the `launcher` command: runs the CLI and turns errors into words and exit codes."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, cast

from service_launcher.errors import Interrupted, LauncherError

if TYPE_CHECKING:
    from service_launcher.session import Session


#: Most of a command is imports, whose objects stay: looking for cycles among them takes up to a tenth of its time.
COLLECT_AFTER = (50_000, 20, 20)


def main() -> None:
    """Run the CLI; never shows a traceback without --debug."""
    signal.signal(signal.SIGTERM, _terminate)
    gc.set_threshold(*COLLECT_AFTER)
    keep_standard_output()
    sys.stderr = cast(TextIO, _Unheard(sys.stderr))
    debug = "--debug" in sys.argv
    session = None
    try:
        from service_launcher.cli import launcher
        from service_launcher.session import Session

        session = Session()
        code = launcher(standalone_mode=False, obj=session)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except BrokenPipeError:
        # Who read our output went away; nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (LauncherError, Interrupted) as error:
        if debug:
            _show_traceback(session)
        _say(error.summary, error.fix)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted", "launcher status")
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence instead of a traceback
        if debug:
            _show_traceback(session)
        sys.exit(_unexpected(error))
    finally:
        gc.freeze()  # Python would look for cycles at its end once more, and everything ends with it anyway


def keep_standard_output() -> None:
    """Results go where they went, and whatever else writes to descriptor 1 goes to standard error.

    Plugins may load C libraries and start children, which know nothing of `sys.stdout`; programs read our results.
    """
    try:
        results = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)
        sys.stdout.flush()
        os.dup2(2, 1)
    except (OSError, ValueError, AttributeError):
        return  # a closed descriptor: there is nobody to keep it for
    sys.stdout = cast(TextIO, _Results(results))


class _Results:
    """Standard output of the main thread, which prints results; what another thread prints goes to standard error.

    Foreign code runs on threads of its own, also while results are printed, and after its caller has given it up.
    """

    def __init__(self, results: TextIO) -> None:
        self._results = results

    def __getattr__(self, name: str) -> Any:
        ours = threading.current_thread() is threading.main_thread()
        return getattr(self._results if ours else sys.stderr, name)


class _Unheard:
    """Standard error whose reader may go away: what was begun is brought to its end, and keeps its exit code."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it, if anybody is there."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if anybody is there."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _show_traceback(session: Session | None) -> None:
    """The traceback without this installation's secrets; nothing where they cannot be known."""
    import traceback

    text = traceback.format_exc()
    try:
        redact = session.redactor() if session else None
    except LauncherError:
        redact = None  # the file with the secrets is what cannot be read: the error itself says where
    if redact:
        print(redact(text), file=sys.stderr)  # noqa: T201


def _unexpected(error: Exception) -> int:
    from click import Abort, ClickException

    if isinstance(error, ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, Abort):
        _say("interrupted", "launcher status")
        return 130
    # The text of an unforeseen exception may hold anything, secrets included.
    _say(
        f"this should not have happened ({type(error).__name__})",
        "run the same command with --debug and report what it says",
    )
    return 1


def _say(summary: str, fix: str) -> None:
    print(f"Error: {summary}", file=sys.stderr)  # noqa: T201 - the last word of the command
    if fix:
        print(f"Try:   {fix}", file=sys.stderr)  # noqa: T201


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number, "ended by a signal")


if __name__ == "__main__":
    main()
