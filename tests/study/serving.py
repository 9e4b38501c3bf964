"""The study server as its owner starts it: a process of its own, killed and started again on the same folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ADDRESS = re.compile(r"Study: (http://[\d.]+:(\d+))/")
_NO_LIMITS = ("--joins-per-minute", "1e6", "--connections-per-address", "1000")
_COMMAND = (sys.executable, "-c", "from usersim_env.cli import main; raise SystemExit(main())", "serve")


class ServerProcess:
    """`usersim-env serve`, on the port that it got first.

    Args:
        folder: of the study; the server's own words go to ``server.log`` beside it.
        words: of the command line, such as ``--domain mock``.
        limits: those of the server; without them everything comes from one address, as from one machine it does.
    """

    def __init__(self, folder: Path, *words: str, limits: tuple[str, ...] = _NO_LIMITS) -> None:
        self.folder, self.log = folder, folder.with_name(f"{folder.name}.log")
        self.origin = ""
        self.peak = 0.0
        """Largest resident memory of any run so far, in MB."""
        self._words, self._port = (*words, *limits), "0"
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0

    def start(self) -> None:
        """Starts it and does not wait."""
        self._read = self.log.stat().st_size if self.log.exists() else 0
        words = (*_COMMAND, *self._words, "--port", self._port, "--out", str(self.folder))
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, env=environment)

    def wait(self, seconds: float = 60.0) -> None:
        """Until it says its address."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while (found := _ADDRESS.search(self.words())) is None:
            assert self._process.poll() is None, f"the server has ended: {self.words()[-2000:]}"
            assert time.monotonic() < deadline, f"the server does not answer after {seconds:g} s"
            time.sleep(0.02)
        self.origin, self._port = found[1], found[2]

    def words(self) -> str:
        """What it has said since it was started."""
        return self.log.read_bytes()[self._read :].decode()

    def memory(self) -> float:
        """Its peak of resident memory, in MB."""
        self.peak = max(self.peak, self._status("VmHWM"))
        return self.peak

    def resident(self) -> float:
        """Its resident memory now, in MB."""
        return self._status("VmRSS")

    def _status(self, field: str) -> float:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0]) / 1024

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def waited(self) -> float:
        """Seconds that it was ready to run and had no processor: what else the machine was doing."""
        assert self._process is not None
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[1]) for thread in threads) / 1e9

    def kill(self) -> None:
        """``kill -9``, and waits until it is gone."""
        assert self._process is not None
        self._process.kill()
        assert self._process.wait(20) == -signal.SIGKILL, f"the server had ended by itself: {self.words()[-2000:]}"

    def stop(self) -> None:
        """Ctrl-C."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
