import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from panoptic3d.files import (
    partial_files,
    sha256_of_file,
    sweep_partial_files,
    write_atomically,
    write_bytes_atomically,
    write_text_atomically,
)


def test_a_failing_writer_leaves_the_old_file_and_no_orphan(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_text_atomically(path, "old")

    def fail(file) -> None:
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file_and_an_orphan_that_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_text_atomically(path, "old")
    script = (
        "import sys, time\nfrom panoptic3d.files import write_atomically\n"
        "def write(file):\n    file.write(b'half'); file.flush(); print('ready', flush=True); time.sleep(60)\n"
        "write_atomically(sys.argv[1], write)"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    assert len(list(partial_files(tmp_path))) == 1
    assert sweep_partial_files(tmp_path) == 0  # its writer lives
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert path.read_text() == "old"
    for orphan in partial_files(tmp_path):
        os.utime(orphan, (time.time() + 7200,) * 2)  # a clock that was set back since
    assert sweep_partial_files(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    write_bytes_atomically(tmp_path / "a", b"abc")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask
    assert sha256_of_file(tmp_path / "a").startswith("ba7816bf")
