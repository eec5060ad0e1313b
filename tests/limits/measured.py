"""Run a command and say how long it took and how much memory the largest of its processes had at once.

    python -S -E measured.py REPORT COMMAND…

It stands between the test and the command on purpose: the kernel counts what a process had before `exec`, too, and the
process that runs the tests may be large. Standard input, output and error are the command's own.
"""

from __future__ import annotations

import os
import sys
import time

if __name__ == "__main__":
    start = time.monotonic()
    child = os.fork()
    if not child:
        os.execvp(sys.argv[2], sys.argv[2:])
    _, status, used = os.wait4(child, 0)
    with open(sys.argv[1], "w") as report:  # noqa: PTH123 - nothing is imported that need not be
        report.write(f"{os.waitstatus_to_exitcode(status)} {time.monotonic() - start} {used.ru_maxrss}")
