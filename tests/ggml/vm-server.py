# SPDX-License-Identifier: MIT
"""Inside the VM, in the root with llama.cpp: eight streams at once from a llama-server on the module's processor, by both of its
interfaces; the module's counters say who computed.  Then the processor hangs, and is pulled out, under eight more.  Prints TAP."""
import glob
import json
import os
import re
import subprocess
import threading
import time
import urllib.request

WORK = "/tmp/work"
MODELS = "/octans/build/ggml-vm/"
DEMO = "octans-demo.gguf"
QUESTIONS = ("What is the capital of France?", "What is the capital of Italy?", "Was ist die Hauptstadt von Polen?",
             "What colour is the sky?", "What is the capital of Germany?", "What is the capital of Spain?",
             "Which planet is the largest?", "What is the capital of Portugal?")
HANGS = 3
LENGTH = 24
PORT = 8080
tests = failed = 0


def check(name, ok, why=""):
    global tests, failed
    tests += 1
    failed += not ok
    print("%s %d - %s" % ("ok" if ok else "not ok", tests, name), flush=True)
    if not ok:
        print("\n".join("# " + line[:300] for line in str(why).strip().split("\n")[-8:]), flush=True)


def counter(name):
    text = "".join(open(f).read() for f in glob.glob("/sys/kernel/debug/accel/*/objects"))
    m = re.search("^%s (\\d+)" % name, text, re.M)
    return int(m.group(1)) if m else 0


class Server:
    def __init__(self, model, layers, *more):
        env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": WORK}
        if layers:
            env["GGML_BACKEND_PATH"] = WORK + "/libggml-octans.so"
        with open(WORK + "/log", "wb") as log:
            self.process = subprocess.Popen(["llama-server", "-m", MODELS + model, "-ngl", str(layers), "--port", str(PORT), "-np", "8",
                                             "-c", "2048", "-t", "2", *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                            cwd=WORK)

    def __enter__(self):
        for _ in range(1200):
            try:
                with urllib.request.urlopen("http://127.0.0.1:%d/health" % PORT, timeout=30):
                    return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.process.kill()
        raise OSError("llama-server does not answer: " + self.log())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    @staticmethod
    def log():
        with open(WORK + "/log", errors="replace") as f:
            return f.read()


def events(path, body):
    r = urllib.request.Request("http://127.0.0.1:%d%s" % (PORT, path), json.dumps(body).encode(),
                               {"Content-Type": "application/json"})
    with urllib.request.urlopen(r, timeout=300) as stream:
        for line in stream:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])


def ask(question, anthropic):
    """text, and whether it came to its end"""
    body = {"model": "any", "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": LENGTH, "stream": True}
    text, ended = "", False
    if anthropic:
        for e in events("/v1/messages", body):
            text += e.get("delta", {}).get("text", "")
            ended |= e["type"] == "message_stop"
    else:
        for e in events("/v1/chat/completions", body):
            for choice in e["choices"]:
                text += choice["delta"].get("content") or ""
                ended |= choice["finish_reason"] is not None
    return text, ended


def ask_all(meanwhile=None):
    answers = [None] * len(QUESTIONS)

    def one(i):
        try:
            answers[i] = ask(QUESTIONS[i], i % 2)
        except (OSError, ValueError) as e:
            answers[i] = (str(e), False)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(QUESTIONS))]
    for t in threads:
        t.start()
    if meanwhile:
        meanwhile()
    for t in threads:
        t.join()
    return answers


def whole(answers):
    return all(ended for _, ended in answers)


def check_model(model, *more):
    with Server(model, 0, *more):
        cpu = ask_all()
    before = counter("submitted_jobs")
    with Server(model, 99, *more) as server:
        ours = ask_all()
    jobs = counter("submitted_jobs") - before
    same = sum(a == b for a, b in zip(cpu, ours))
    # Random weights have near ties, which other roundings decide otherwise.
    check("%s: eight whole answers, %d those of llama.cpp's CPU; the module took %d jobs" % (model, same, jobs), whole(cpu) and
          whole(ours) and jobs > 5 and (same == len(ours) or model != DEMO), "%s\n%s\n%s" % (cpu, ours, server.log()))
    return ours


def control(line):
    if not glob.glob("/sys/class/accel/accel*"):
        return b""
    with open("/dev/virtio-ports/octans.control.0", "r+b", buffering=0) as port:
        port.write(line.encode() + b"\n")
        return port.read(200)


def hang():
    for ring in range(4):       # whichever the driver takes
        control("hang ring %d" % ring)


def go_on():
    for ring in range(4):
        control("hang ring %d off" % ring)


def pull_out():
    time.sleep(0.3)
    for device in glob.glob("/sys/class/accel/accel*/device"):
        with open(os.path.realpath(device) + "/remove", "w") as f:
            f.write("1")


def ask_again():
    """a second after the processor failed it is tried; answers, and the jobs that it took"""
    time.sleep(2)
    before = counter("submitted_jobs")
    answers = ask_all()
    return answers, counter("submitted_jobs") - before


def check_fault(name, fault, word, well):
    with Server(DEMO, 99) as server:
        answers = ask_all(fault)
        go_on()
        again, jobs = ask_again()
    log = server.log()
    check("%s under eight streams: whole answers, the same ones, and the cause is named" % name, answers == well and
          "the CPU computes in its place" in log and word in log, "%s\n%s\n%s" % (answers, well, log))
    if fault == hang:
        check("it is well again, and took %d jobs: the same answers" % jobs, again == well and jobs > 5 and "well again, and computes" in log,
              "%s\n%s\n%s" % (again, well, log))
    else:
        check("it stays away: the same answers", again == well and not jobs, "%s\n%s\n%s" % (again, well, log))


def main():
    well = check_model(DEMO)
    for model in ("apertus.gguf", "deepseek2-lite.gguf", "nemotron_h_moe.gguf"):
        check_model(model, "--grammar", "root ::= [a-z ]+")
    for i in range(HANGS):
        before = counter("resets")
        check_fault("hang %d" % (i + 1), hang, "ran longer than", well)
        check("the driver has reset the ring", counter("resets") > before, counter("resets"))
    check_fault("a processor that is pulled out", pull_out, "", well)
    print("1..%d\n%d passed, %d failed" % (tests, tests - failed, failed))
    return failed != 0


raise SystemExit(main())
