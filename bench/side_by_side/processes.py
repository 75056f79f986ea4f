"""Processes that end with this script, and what the system says of their time and memory."""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchmarkFailed(Exception):
    pass


def die_with_parent():
    """In the child: even if this script is killed with -9, nothing stays behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Process:
    def __init__(self, command, log_path, environment=None):
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          preexec_fn=die_with_parent, env={**os.environ, **(environment or {})})

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND  # utime and stime

    def thread_cpu_seconds(self, name):
        """Of the thread with this name, to the nanosecond."""
        for task in Path(f"/proc/{self.popen.pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                return int((task / "schedstat").read_text().split()[0]) / 1e9
        raise BenchmarkFailed(f"there is no thread {name}")

    def memory_mib(self, name):
        """`name` is VmRSS or VmHWM."""
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
        raise BenchmarkFailed(f"/proc knows no {name}")

    def stop(self, signal_number=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(signal_number)
        try:
            self.popen.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise BenchmarkFailed(f"{self.popen.args[0]} did not stop") from None

    def complaint(self, what):
        state = "is dead" if self.popen.poll() is not None else "is running"
        log = Path(self.log_path).read_text(errors="replace")[-2000:]
        return BenchmarkFailed(f"{what}; {self.popen.args[0]} {state}, its log ends with\n{log}")

    def wait_until(self, condition, what, seconds=30, every=0.02):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise self.complaint(f"{what} did not come about")
            time.sleep(every)


def run_tool(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=die_with_parent, check=False, **options)
    if done.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(command)[:200]}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def peak_memory_mib(process):
    """Of a child, waited for until it ends. Its `maxrss` would not do: that counts this script's memory before exec, too."""
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it has just ended
            text = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, int(text.partition("VmHWM:")[2].split()[0]))
        time.sleep(0.005)
    return peak / 1024


def children_cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
