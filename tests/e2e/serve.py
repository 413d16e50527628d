# SPDX-License-Identifier: MIT
"""Clients of examples/serve.c: more at once than it has places, of which some write slowly, never, or leave.
   serve.py SERVE MODEL SOCKET [PROCESSOR]"""
import os
import socket
import subprocess
import sys
import time

WANTED = [
    ("What is the capital of France?", "Paris"),
    ("Was ist die Hauptstadt von Polen?", "Warschau"),
    ("Which planet does Titan orbit?", "Saturn"),
    ("What does the mission BepiColombo explore?", "Mercury"),
] * 5
SECONDS = 60


def client():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(SECONDS)
    s.connect(sys.argv[3])
    return s


def first():
    """once it is there"""
    for _ in range(SECONDS * 20):
        assert server.poll() is None, "serve ended with %d" % server.returncode
        try:
            return client()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("serve does not listen")


def read(s):
    text = b""
    while part := s.recv(4096):
        text += part
    return text.decode()


def all_at_once():
    silent = first()                    # it holds its place, and nobody up
    slow = client()
    slow.sendall(b"What is the cap")
    gone = client()
    gone.sendall(b"Tell me about France.\n")
    gone.close()
    long = client()
    long.sendall(b"x" * 600)            # no line: it is sent away
    asked = []
    for question, answer in WANTED:
        s = client()
        s.sendall(question.encode() + b"\n")
        asked.append((s, question, answer))
    for s, question, answer in asked:
        got = read(s)
        assert got.strip() == answer, "%s: %r, not %r" % (question, got, answer)
    slow.sendall(b"ital of Italy?\n")
    assert read(slow).strip() == "Rome"
    try:
        assert read(long) == ""
    except ConnectionResetError:        # what it wrote was not read to its end
        pass
    silent.sendall("Quelle est la capitale de l'Espagne ?\n".encode())
    assert read(silent).strip() == "Madrid"


server = subprocess.Popen([sys.argv[1], sys.argv[2], sys.argv[3]] + sys.argv[4:])
try:
    all_at_once()
    assert server.poll() is None, "serve ended with %d" % server.returncode
finally:
    server.terminate()
    server.wait()
    if os.path.exists(sys.argv[3]):
        os.unlink(sys.argv[3])
