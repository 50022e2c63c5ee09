#!/usr/bin/env python3
"""Measures `baton serve` beside llama.cpp's server: the same file, threads and requests, taking turns; a table, JSON and a picture.

Called by `make bench-serve`. Loads are `baton bench serve`'s; a peer that cannot be had is left out, with the reason on standard error.
"""
import argparse
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

from bench import processor, say

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = [1, 4, 8, 16]
# What of a load is compared: its name, where it is in the JSON, its unit, and whether more is better.
FIGURES = [
    ("output tok/s", lambda load: load["output_tok_s"], "", True),
    ("TTFT p50", lambda load: load["ttft_ms"]["p50"], " ms", False),
    ("ITL p99", lambda load: load["itl_ms"]["p99"], " ms", False),
]


class Server:
    """A server as a process; it listens on loopback."""

    def __init__(self, name, command, port, threads):
        self.name, self.port, self.command, self.threads = name, port, command, threads
        self.start()
        with urllib.request.urlopen(self.url + "/v1/models") as answer:
            self.model = json.load(answer)["data"][0]["id"]

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "BATON_THREADS": str(self.threads)})
        self.await_ready()

    def restart(self):
        """Seconds from the start of its process, after one that has just ended, to the end of an answer of one token."""
        self.stop()
        began = time.monotonic()
        self.start()
        body = json.dumps({"model": self.model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + "/v1/completions", body, {"content-type": "application/json"})) as answer:
            json.load(answer)
        return time.monotonic() - began

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def await_ready(self):
        for _ in range(12000):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode} before it was ready")
            try:
                with urllib.request.urlopen(self.url + "/v1/models") as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"{self.name} did not become ready")

    def peak_memory(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(given):
    """Both servers, ready; room for the longest test."""
    most = max(CLIENTS)
    port = free_port()
    servers = [Server("Baton", [given.baton, "serve", given.manifest, "--port", str(port), "--max-sequences", str(most), "--quiet"], port, given.threads)]
    built = subprocess.run([f"{HERE}/build-peer.sh"], stdout=subprocess.PIPE, text=True)
    if built.returncode == 0:
        port, tools = free_port(), built.stdout.strip().splitlines()[-1]
        # One pool of KV for all slots, as long as all of them need together or one long prompt does.
        command = [f"{tools}/llama-server", "-m", given.model, "-t", str(given.threads), "-tb", str(given.threads), "-np", str(most), "-c", "8192", "-kvu",
                   "--host", "127.0.0.1", "--port", str(port)]
        try:
            servers.append(Server("llama-server", command, port, given.threads))
        except RuntimeError as problem:
            say(f"llama-server is left out: {problem}")
    return servers


def load(given, server, clients, seed):
    command = [
        given.baton, "bench", "serve", server.url, "--concurrency", str(clients), "--input-length", "128", "--output-length", "128", "--seed", str(seed), "--json", "-"]
    if given.requests:
        command += ["--requests", str(given.requests)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{server.name} at {clients} clients: {done.stderr.strip()}")
    return json.loads(done.stdout)["loads"][0]


class Stream(threading.Thread):
    """One request read as it comes: when each text came."""

    def __init__(self, server, prompt, tokens):
        super().__init__(daemon=True)
        self.server, self.prompt, self.tokens = server, prompt, tokens
        self.times, self.usage, self.began, self.is_wanted = [], {}, time.monotonic(), True

    def run(self):
        body = {"model": self.server.model, "prompt": self.prompt, "max_tokens": self.tokens, "temperature": 0, "stream": True, "ignore_eos": True,
                "stream_options": {"include_usage": True}}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
        self.began = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        while self.is_wanted and (line := answer.readline()):
            now = time.monotonic()
            if line.startswith(b"data: {"):
                chunk = json.loads(line[6:])
                if any(choice.get("text") for choice in chunk.get("choices", [])):
                    self.times.append(now)
                self.usage = chunk.get("usage") or self.usage
        connection.close()


def words(count, salt):
    vocabulary = "time year people way day man thing woman life child world school state family student group country problem hand part".split()
    state, chosen = salt, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        chosen.append(vocabulary[(state >> 33) % len(vocabulary)])
    return " ".join(chosen)


def stall(server, salt, streams=4, prompt=2000):
    """What a long prompt does to streams that run: their longest gaps before it came and while it was prefilled, and tokens each had meanwhile."""
    running = [Stream(server, words(64, salt + i), 768) for i in range(streams)]
    for stream in running:
        stream.start()
    while any(len(stream.times) < 24 and stream.is_alive() for stream in running):
        time.sleep(0.002)
    long = Stream(server, words(prompt, salt + 99), 4)
    long.start()
    long.join()
    if not long.times:
        raise RuntimeError(f"{server.name}: the long prompt was not answered")
    begin, end = long.began, long.times[0]
    for stream in running:
        stream.is_wanted = False
    for stream in running:
        stream.join()
    # The first four texts come while the other streams are being prefilled.
    before = [b - a for stream in running for a, b in zip(stream.times[4:], stream.times[5:]) if b <= begin]
    during = [b - a for stream in running for a, b in zip(stream.times, stream.times[1:]) if b > begin and a < end]
    tokens = min(sum(begin < at <= end for at in stream.times) for stream in running)
    count = long.usage.get("prompt_tokens", prompt)
    return {"streams": streams, "prompt_tokens": count, "ttft_ms": (end - begin) * 1e3, "gap_before_p50_ms": statistics.median(before) * 1e3,
            "gap_most_ms": max(during) * 1e3, "tokens_meanwhile": tokens, "prompt_tokens_a_token": count / max(1, tokens)}


def measure(given, servers):
    """Samples of every load and of the stall, by server; they take turns, and who goes first alternates."""
    loads = {server.name: {clients: [] for clients in CLIENTS} for server in servers}
    stalls = {server.name: [] for server in servers}
    for repeat in range(given.repeats):
        order = servers if repeat % 2 == 0 else servers[::-1]
        for clients in CLIENTS:
            for server in order:
                say(f"{server.name}, {clients} clients, repeat {repeat + 1} of {given.repeats}")
                loads[server.name][clients].append(load(given, server, clients, 1000 * repeat + clients))
        for server in order:
            say(f"{server.name}, a long prompt beside streams")
            stalls[server.name].append(stall(server, 77 * repeat + 7))
    return loads, stalls


def middle(samples, read):
    return statistics.median(read(sample) for sample in samples)


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}x" if theirs else "-"


def table(loads, stalls):
    names = list(loads)
    peer = names[1] if len(names) > 1 else None
    head = ["clients (128 in, 128 out)"] + [f"{name} {figure}" for figure, _, _, _ in FIGURES for name in names + (["ratio"] if peer else [])]
    head = [cell.replace("ratio output tok/s", "ratio").replace("ratio TTFT p50", "ratio").replace("ratio ITL p99", "ratio") for cell in head]
    rows = []
    for clients in CLIENTS:
        row = [str(clients)]
        for _, read, unit, _ in FIGURES:
            values = [middle(loads[name][clients], read) for name in names]
            row += [f"{value:.0f}{unit}" if value >= 10 else f"{value:.1f}{unit}" for value in values]
            row += [ratio(*values)] if peer else []
        rows.append(row)
    failed = sum(sample["failed"] for by in loads.values() for samples in by.values() for sample in samples)
    text = markdown([head] + rows) + (f"\n\n{failed} requests failed" if failed else "")
    head = ["a prompt of 2,000 tokens beside 4 streams"] + names
    lines = [
        ("time between tokens before, p50", "gap_before_p50_ms", " ms"), ("longest time between tokens meanwhile", "gap_most_ms", " ms"),
        ("tokens each stream had meanwhile, at least", "tokens_meanwhile", ""), ("prompt tokens prefilled for each of them", "prompt_tokens_a_token", ""),
        ("the prompt's own TTFT", "ttft_ms", " ms")]
    rows = [[label] + [f"{middle(stalls[name], lambda one: one[key]):.0f}{unit}" for name in names] for label, key, unit in lines]
    return text + "\n\n" + markdown([head] + rows)


def markdown(rows):
    rule = ["---"] + ["--:"] * (len(rows[0]) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule] + rows[1:])


STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2933}.h{font-size:14px;font-weight:600}.d{fill:#5b6876}.g{fill:#fff}.s0{fill:#0b6bcb}.s1{fill:#9aa5b1}.w{stroke:#1f2933}"
    "@media (prefers-color-scheme:dark){text{fill:#e4e9ef}.d{fill:#9fb0c0}.g{fill:#11161c}.s0{fill:#5aa9ff}.s1{fill:#6b7885}.w{stroke:#e4e9ef}}")


def draw(loads, title):
    """Bars of every figure by clients, with the least and most of the repeats."""
    names, parts, y = list(loads), [], 64
    parts.append(f'<text x="24" y="32" class="h">{title}</text>')
    for i, name in enumerate(names):
        parts.append(f'<rect x="{24 + 130 * i}" y="44" width="11" height="11" rx="2" class="s{i}"/><text x="{41 + 130 * i}" y="54" class="d">{name}</text>')
    for figure, read, unit, more in FIGURES:
        y += 30
        parts.append(f'<text x="24" y="{y}" class="h">{figure}</text><text x="140" y="{y}" class="d">{"more is better" if more else "less is better"}</text>')
        most = max(read(sample) for by in loads.values() for samples in by.values() for sample in samples)
        for clients in CLIENTS:
            y += 10
            parts.append(f'<text x="110" y="{y + 8 + 7 * len(names)}" text-anchor="end">{clients} client{"s" if clients > 1 else ""}</text>')
            for i, name in enumerate(names):
                values = [read(sample) for sample in loads[name][clients]]
                low, value, high = min(values), statistics.median(values), max(values)
                width = 460 / most
                parts.append(f'<rect x="120" y="{y}" width="{max(1, value * width):.1f}" height="13" rx="2" class="s{i}"/>')
                parts.append(f'<path d="M{120 + low * width:.1f} {y + 6.5}H{120 + high * width:.1f}" class="w"/>')
                parts.append(f'<text x="{128 + high * width:.1f}" y="{y + 11}">{value:.0f}{unit}</text>')
                y += 15
        y += 8
    size = f'width="700" height="{y + 16}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 700 {y + 16}"><style>{STYLE}</style><rect {size} class="g"/>{"".join(parts)}</svg>\n'


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baton", required=True, help="the built command")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--model", required=True, help="the .gguf that the manifest names")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, help="of each load; 4 for each client and 16 at least, when not given")
    parser.add_argument("--out", required=True, help="the folder for serve.json, serve.md and serve.svg")
    return parser.parse_args()


def main():
    given = arguments()
    servers = start(given)
    try:
        loads, stalls = measure(given, servers)
        memory = {server.name: server.peak_memory() for server in servers}
        restarts = {server.name: [server.restart() for _ in range(5)] for server in servers}
    finally:
        for server in servers:
            server.stop()
    title = f"{re.sub(r' +', ' ', processor())}, {given.threads} threads, {os.path.basename(given.model)}; medians of {given.repeats} turns"
    text = title + "\n\n" + table(loads, stalls) + "\n\npeak memory: " + ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in memory.items())
    text += "\n\nfrom the start of a process, files in the page cache, to an answer of one token: " + ", ".join(
        f"{name} {statistics.median(times):.2f} s ({min(times):.2f}-{max(times):.2f})" for name, times in restarts.items())
    print(text)
    os.makedirs(given.out, exist_ok=True)
    with open(f"{given.out}/serve.json", "w") as file:
        json.dump({"processor": processor(), "threads": given.threads, "loads": loads, "stalls": stalls, "peak_memory": memory, "restart_s": restarts}, file, indent=1)
    with open(f"{given.out}/serve.svg", "w") as file:
        file.write(draw(loads, title))
    with open(f"{given.out}/serve.md", "w") as file:
        file.write(text + "\n")
    say(f"written: {given.out}/serve.json, serve.md, serve.svg")


if __name__ == "__main__":
    main()
