"""The units of systemd that come as templates: systemd itself finds nothing wrong with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from servers import need

from gitledger.exchange import layout

pytestmark = pytest.mark.servers

UNITS = sorted(path.name for path in (layout.data_dir("templates") / "systemd").iterdir())


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_reads_every_unit_without_a_complaint(tmp_path: Path, unit: str) -> None:
    """Beside the others that it names, as in /etc/systemd/system; the programs and users are those of this machine."""
    analyze = need("systemd-analyze")
    for path in (layout.data_dir("templates") / "systemd").iterdir():
        text = path.read_text().replace("/usr/local/bin/gitledger", shutil.which("true") or "/bin/true")
        (tmp_path / path.name).write_text(text)
    command = [analyze, "verify", "--man=no", "--recursive-errors=yes", str(tmp_path / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
