"""A private PostgreSQL."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from processes import Process, run_tool


class Postgres:
    """A private server; PostgreSQL refuses to run as root, so it becomes the package's user then."""

    def __init__(self, folder):
        self.folder = folder
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.user:
            for parent in (folder, folder.parent):
                parent.chmod(0o711)
            (folder / "postgres").mkdir()
            shutil.chown(folder / "postgres", "postgres")
        self.socket_folder = folder / "postgres"
        self.data = self.socket_folder / "data"
        run_tool([*self.user, str(self.programs / "initdb"), "-D", str(self.data), "-A", "trust", "-U", "postgres"])
        self.process = Process([*self.user, str(self.programs / "postgres"), "-D", str(self.data), "-k",
                                str(self.socket_folder), "-c", "listen_addresses="], folder / "postgres.log")
        ready = [str(self.programs / "pg_isready"), "-q", "-h", str(self.socket_folder)]
        self.process.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "a PostgreSQL that answers")

    def url(self):
        return f"postgres://postgres@/postgres?host={self.socket_folder}"

    def execute(self, sql):
        run_tool(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url()])

    def stop(self):
        # The postmaster itself: runuser would not hand the signal on.
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGINT)
        self.process.popen.wait(timeout=60)
