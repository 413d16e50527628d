# SPDX-License-Identifier: MIT
"""Debian's llama-server with this tree's backend."""
import json
import os
import re
import socket
import time
import urllib.request

from peer import NAME


def report(error, number=0):
    """graphs, replayed, recorded, by the CPU: of a processor's line at the end"""
    m = re.search(NAME[:-1] + r"%d: (\d+) graphs with \d+ operations: (\d+) replayed, (\d+) recorded .*, (\d+) computed" % number, error)
    return tuple(map(int, m.groups())) if m else (0, 0, 0, 0)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """with Server(peer, model, layers, "-np", "8") as s: s.port answers; s.log() once it has ended"""

    def __init__(self, peer, model, layers, *more, **env):
        self.peer = peer
        self.port = free_port()
        self.quiet = env.get("device") == "none"
        self.path = os.path.join(peer.directory, "server.log")
        with open(self.path, "wb") as log:
            self.process = peer.start("llama-server", "-m", model, "-ngl", str(layers), "--port", str(self.port), *more,
                                      out=log, error=log, **env)

    def __enter__(self):
        if not self._wait():
            self.peer.end(self.process)
            raise OSError("llama-server does not answer: " + self.log()[-800:])
        return self

    def __exit__(self, *_):
        self.peer.end(self.process)

    def _wait(self):
        for _ in range(600):
            try:
                with urllib.request.urlopen("http://127.0.0.1:%d/health" % self.port, timeout=5):
                    return True
            except OSError:
                if self.process.poll() is not None:
                    return False
                time.sleep(0.1)
        return False

    def chat(self, question):
        """the whole answer, as the server has it"""
        body = {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 40, "logprobs": True}
        r = urllib.request.Request("http://127.0.0.1:%d/v1/chat/completions" % self.port, json.dumps(body).encode(),
                                   {"Content-Type": "application/json"})
        with urllib.request.urlopen(r, timeout=60) as answer:
            return json.load(answer)

    def ask(self, question):
        return self.chat(question)["choices"][0]["message"]["content"]

    def log(self):
        """all that it said: it ends a little later than what started it"""
        for _ in range(100):
            with open(self.path, errors="replace") as f:
                text = f.read()
            if self.quiet or re.match(NAME[:-1] + r"\d+: \d+ graphs", text.split("\n")[-2:][0]):
                break
            time.sleep(0.1)
        return text
