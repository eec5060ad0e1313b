"""Run a command, and count the bytes that go to it and come from it: `counting.py FILE COMMAND…`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path


def main() -> int:
    """Pass both streams on, and write how many bytes they had to the file."""
    file, command = Path(sys.argv[1]), sys.argv[2:]
    counts = [0, 0]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None

        def to() -> None:
            while chunk := os.read(0, 65536):
                counts[0] += len(chunk)
                os.write(process.stdin.fileno(), chunk)  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]

        threading.Thread(target=to, daemon=True).start()
        while chunk := os.read(process.stdout.fileno(), 65536):
            counts[1] += len(chunk)
            os.write(1, chunk)
    file.write_text(str(sum(counts)))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
