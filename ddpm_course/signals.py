"Signals that ask a run to leave: it saves first."

import signal
import threading
import time
from contextlib import contextmanager

from .ranks import is_joined


def is_again(number, received, times):
    "Whether a Ctrl-C comes after another one, which has not ended the step."
    times.append(time.monotonic())
    late = times[-1] - times[0] > 1 or not is_joined() # launchers pass on what a terminal sends
    return number == signal.SIGINT and signal.SIGINT in received and late


@contextmanager
def stop_signals():
    """A list that gains every SIGTERM, SIGHUP or SIGINT (Ctrl-C); the block ends as the first asks.

    A second Ctrl-C does not wait for the end of the block.
    """
    main = threading.current_thread() is threading.main_thread()
    received = []
    times = []
    def handle(number, frame):
        again = is_again(number, received, times)
        received.append(number)
        if again: raise KeyboardInterrupt
    names = [n for n in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, n) and main]
    wanted = [n for n in map(signal.Signals.__getitem__, names)
              if signal.getsignal(n) != signal.SIG_IGN] # no handlers in other threads
    old = {n: signal.signal(n, handle) for n in wanted}
    try: yield received
    finally:
        for n, handler in old.items(): signal.signal(n, handler or signal.SIG_DFL)
    if received:
        raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(128 + received[0])
