# SPDX-License-Identifier: MIT
"""Debian's llama.cpp with this tree's backend, in the root file system of tests/oracle."""
import os
import shutil
import signal
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
ORACLE = os.path.join(TOP, "tests", "oracle")
NAME = "OCTANS0"
TOOLS = "/usr/libexec/x86_64-linux-gnu/ggml"


def library(name):
    """where the dynamic linker finds it here: the root has none of what the backend needs"""
    for line in subprocess.run(["ldconfig", "-p"], check=True, capture_output=True, text=True).stdout.splitlines():
        if line.strip().startswith(name + " "):
            return line.split("=> ")[1]
    raise OSError("%s is not installed" % name)


class Peer:
    def __init__(self, build, directory):
        self.directory = directory
        for path in (os.path.join(build, "libggml-octans.so"), os.path.join(build, "liboctans-sim.so.0"),
                     library("libdrm.so.2")):
            shutil.copy(path, os.path.join(directory, os.path.basename(path)))

    def command(self, *command, device="sim", **env):
        env = dict({"LD_LIBRARY_PATH": "/octans", "GGML_BACKEND_PATH": "/octans/libggml-octans.so",
                    "GGML_OCTANS_DEVICE": device}, **env)
        return [os.path.join(ORACLE, "in-root"), self.directory, "env",
                *("%s=%s" % e for e in env.items()), *command]

    def start(self, *command, out, error, **env):
        return subprocess.Popen(self.command(*command, **env), stdin=subprocess.DEVNULL, stdout=out, stderr=error,
                                start_new_session=True)

    @staticmethod
    def end(process, how=signal.SIGTERM):
        """and what it started"""
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            pass
        process.wait(30)

    def run(self, *command, timeout=120, **env):
        """what it says, and what it says beside"""
        p = self.start(*command, out=subprocess.PIPE, error=subprocess.PIPE, **env)
        try:
            out, error = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.end(p, signal.SIGKILL)
            raise
        return p.returncode, out.decode(errors="replace"), error.decode(errors="replace")
