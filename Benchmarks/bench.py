#!/usr/bin/env python3
"""Measures Baton beside its peers on this machine and the same file: interleaved repeats, medians and ranges, a table, JSON and a picture.

Called by `make bench`. A peer that cannot be had is left out, with the reason on standard error.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT = "The capital of France is"


def say(words):
    print(words, file=sys.stderr, flush=True)


def output(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{os.path.basename(command[0])} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:] or ''}")
    return done.stdout


def first_byte(command):
    """Seconds from exec to the first byte of standard output, and the process's peak resident bytes."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    # Some print blank lines before the text: the first byte that is none.
    while True:
        byte = child.stdout.read(1)
        if not byte or not byte.isspace():
            break
    took = time.monotonic() - began
    child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0 or not byte:
        raise RuntimeError(f"{os.path.basename(command[0])} printed nothing or ended with {status}")
    return took, usage.ru_maxrss * 1024


class Baton:
    def __init__(self, name, command, manifest, threads):
        self.name, self.command, self.manifest, self.threads = name, command, manifest, threads

    def rows(self, *arguments):
        text = output([self.command, "bench", self.manifest, "-t", str(self.threads), "-r", "1", "--json", *map(str, arguments)])
        return [row for row in json.loads(text)["rows"] if row["clock"] == "wall"]

    def prefill(self, tokens, depth):
        return self.rows("-p", tokens, "-n", 0, "-d", depth)[0]["tok_s"][0]

    def decode(self, tokens, depth):
        return self.rows("-p", 0, "-n", tokens, "-d", depth)[0]["tok_s"][0]

    def batched(self, batches, prompt, tokens):
        rows = self.rows("-p", 0, "-n", tokens, "-d", prompt, "-b", ",".join(map(str, batches)))
        return {row["batch"]: row["tok_s"][0] for row in rows}

    def start(self):
        os.environ["BATON_THREADS"] = str(self.threads)
        return first_byte([self.command, "run", self.manifest, "--prompt", PROMPT, "--raw", "--max-tokens", "16"])


class Models(Baton):
    """The device models, beside llama.cpp in BF16: the same numerics."""
    def prefill(self, tokens, depth):
        return next(row for row in self.rows("-p", tokens, "-n", 0, "-d", depth) if row["kind"] == "prefill")["tok_s"][0]


class Llama:
    def __init__(self, name, tools, model, threads):
        self.name, self.tools, self.model, self.threads = name, tools, model, threads

    def row(self, *arguments):
        text = output([f"{self.tools}/llama-bench", "-m", self.model, "-t", str(self.threads), "-r", "1", "-o", "json", *map(str, arguments)])
        return json.loads(text)[0]["avg_ts"]

    def prefill(self, tokens, depth):
        return self.row("-p", tokens, "-n", 0, "-d", depth)

    def decode(self, tokens, depth):
        return self.row("-p", 0, "-n", tokens, "-d", depth)

    def batched(self, batches, prompt, tokens):
        context = max(batches) * (prompt + tokens) + 512
        text = output([
            f"{self.tools}/llama-batched-bench", "-m", self.model, "-t", str(self.threads), "-tb", str(self.threads), "-c", str(context), "-npp", str(prompt),
            "-ntg", str(tokens), "-npl", ",".join(map(str, batches)), "--output-format", "jsonl"])
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return {row["pl"]: row["speed_tg"] for row in rows}

    def start(self):
        return first_byte([
            f"{self.tools}/llama-completion", "-m", self.model, "-t", str(self.threads), "-p", PROMPT, "-n", "16", "-c", "512", "-no-cnv", "--no-display-prompt", "--temp", "0"])


def llamas(model, threads):
    """llama.cpp on the file itself and on its types of the same weights, best known first; none where it cannot be built."""
    built = subprocess.run([f"{HERE}/build-peer.sh"], stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        return []
    tools = built.stdout.strip().splitlines()[-1]
    made = os.path.join(os.path.dirname(os.path.dirname(tools)), "smollm2-q4_0.gguf")
    if not os.path.exists(made):
        try:
            output([f"{tools}/llama-quantize", "--allow-requantize", model, made, "Q4_0"])
        except RuntimeError as problem:
            say(f"llama.cpp Q4_0 is left out: {problem}")
    peers = [Llama("llama.cpp Q4_1", tools, model, threads)]
    if os.path.exists(made):
        peers.append(Llama("llama.cpp Q4_0", tools, made, threads))
    return peers


class PyTorch:
    """transformers on the same file, its weights as bf16: one process that stays, as it takes long to load."""
    start = None

    def __init__(self, python, model, threads):
        self.name, self.said = "PyTorch bf16", tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen(
            [python, f"{HERE}/pytorch_peer.py", model, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True)
        self.answer()  # that it has loaded: nothing is measured beside that

    def answer(self):
        found = self.child.stdout.readline()
        if not found:
            self.said.seek(0)
            raise RuntimeError(f"its process has ended with {self.child.wait()}: {self.said.read().strip().splitlines()[-1:] or ''}")
        return found

    def ask(self, measure, tokens, depth, batch=1):
        try:
            print(json.dumps({"measure": measure, "tokens": tokens, "depth": depth, "batch": batch}), file=self.child.stdin, flush=True)
        except BrokenPipeError:
            pass  # why, the answer tells
        return float(self.answer())

    def prefill(self, tokens, depth):
        return self.ask("prefill", tokens, depth)

    def decode(self, tokens, depth):
        return self.ask("decode", tokens, depth)

    def batched(self, batches, prompt, tokens):
        return {batch: self.ask("decode", tokens, prompt, batch) for batch in batches}


def pytorch(model, threads):
    """PyTorch, where it can be had."""
    built = subprocess.run([f"{HERE}/build-pytorch.sh"], stdout=subprocess.PIPE, text=True)
    try:
        return [PyTorch(built.stdout.strip().splitlines()[-1], model, threads)] if built.returncode == 0 else []
    except RuntimeError as problem:
        say(f"PyTorch is left out: {problem}")
        return []


PEERS = {"llama.cpp": llamas, "pytorch": pytorch}


def in_bf16(models, peers, model, threads, repeats):
    """Prefill and decode of the device models' engine (wall time) beside llama.cpp on the weights as BF16."""
    if not peers:
        return {}
    made = os.path.join(os.path.dirname(os.path.dirname(peers[0].tools)), "smollm2-bf16.gguf")
    try:
        if not os.path.exists(made):
            output([f"{peers[0].tools}/llama-quantize", "--allow-requantize", model, made, "BF16"])
        peer = Llama("llama.cpp BF16", peers[0].tools, made, threads)
        found = {}
        for _ in range(repeats):
            for name, how in (("pp512, device models", lambda e: e.prefill(512, 0)), ("tg128, device models", lambda e: e.decode(128, 0))):
                for engine in (models, peer):
                    found.setdefault(name, {}).setdefault(engine.name, []).append(how(engine))
        return found
    except (RuntimeError, OSError, KeyError, ValueError, StopIteration) as problem:
        say(f"the device models beside BF16 are left out: {problem}")
        return {}


class Limits:
    """What the machine can do at most, asked again beside what is held against it: a shared machine's memory is not as fast all the time."""
    def __init__(self, threads, folder):
        self.threads, self.program, self.reads = threads, f"{folder}/roofline", []
        try:
            output(["cc", "-O3", "-march=native", "-pthread", "-o", self.program, f"{HERE}/roofline.c"])
            self.all = json.loads(output([self.program, str(threads)]))
        except (RuntimeError, OSError) as problem:
            say(f"the machine's limits are left out: {problem}")
            self.all = {}

    def read(self):
        """GB/s read from memory now; None where it cannot be said."""
        if not self.all:
            return None
        return json.loads(output([self.program, str(self.threads), "read"]))["read_gb_s"]["256 MB"]

    def beside(self, decode):
        """Runs `decode`, which gives tok/s, between two looks at memory, and keeps their mean."""
        before, found, after = self.read(), decode(), self.read()
        if before:
            self.reads.append(((before + after) / 2, found))
        return found

    def words(self, bytes_a_token):
        """What decode reached of what memory gave, by the looks around each run."""
        if not self.reads:
            return ""
        reads, shares = [read for read, _ in self.reads], [found * bytes_a_token / (read * 1e9) for read, found in self.reads]
        return (f"\n\nread from memory around each tg128 {statistics.median(reads):.1f} ({min(reads):.1f}-{max(reads):.1f}) GB/s, {bytes_a_token / 1e6:.0f} MB a token: "
                f"Baton decodes at {statistics.median(shares):.0%} ({min(shares):.0%}-{max(shares):.0%}) of that")


def measures(quick):
    """What is measured: names, how often in a repeat, and how an engine does it; gives one figure for each name."""
    long = 1024 if quick else 2048
    batches = [4, 8, 16]
    return [
        (["pp512"], 1, lambda e: [e.prefill(512, 0)]),
        ([f"pp{long}"], 1, lambda e: [e.prefill(long, 0)]),
        (["tg128"], 1, lambda e: [e.decode(128, 0)]),
        ([f"tg64 at depth {long}"], 1, lambda e: [e.decode(64, long)]),
        ([f"tg64 of {b} sequences" for b in batches], 1, lambda e: [v for _, v in sorted(e.batched(batches, 128, 64).items())]),
        (["first byte of a process", "peak memory"], 5, lambda e: (lambda t, m: [t * 1e3, m * 1e-6])(*e.start())),
    ]


def measure(engines, limits, repeats, quick):
    found = {}
    for repeat in range(repeats):
        for names, times, how in measures(quick):
            order = engines if repeat % 2 == 0 else engines[::-1]
            for engine in order * times:
                if engine.start is None and names[0] == "first byte of a process":
                    continue
                try:
                    beside = engine is engines[0] and names == ["tg128"]
                    figures = [limits.beside(lambda: how(engine)[0])] if beside else how(engine)
                except (RuntimeError, OSError, KeyError, ValueError) as problem:
                    say(f"{engine.name}, {names[0]}: {problem}")
                    continue
                for name, figure in zip(names, figures):
                    found.setdefault(name, {}).setdefault(engine.name, []).append(figure)
        say(f"repeat {repeat + 1} of {repeats} done")
    return found


def growth(baton, quick):
    """Prefill's seconds by tokens and decode's milliseconds a token by depth, of Baton alone."""
    lengths = [128, 256, 512, 1024] + ([] if quick else [2048, 4096])
    return {
        "prefill": [(n, n / baton.prefill(n, 0)) for n in lengths],
        "decode": [(d, 1e3 / baton.decode(32, d)) for d in [0] + lengths],
    }


def figure(samples):
    return f"{statistics.median(samples):.0f} ({min(samples):.0f}-{max(samples):.0f})"


def table(found, engines):
    names = [engine.name for engine in engines]
    first = "llama.cpp Q4_1"
    lines = ["| | " + " | ".join(names) + f" | over {first} | over the best peer |", "|---|" + "--:|" * (len(names) + 2)]
    for name, by in found.items():
        lower = name in ("first byte of a process", "peak memory")
        unit = {"first byte of a process": " ms", "peak memory": " MB"}.get(name, "")
        cells = [figure(by[n]) + unit if n in by else "-" for n in names]
        own, peers = by.get(names[0]), {n: statistics.median(by[n]) for n in names[1:] if n in by}
        ratios = ["-", "-"]
        if own and peers:
            mine = statistics.median(own)
            best = min(peers.values()) if lower else max(peers.values())
            ratios = [f"{mine / peers[first]:.2f}x" if first in peers else "-", f"{mine / best:.2f}x"]
        lines.append(f"| {name} | " + " | ".join(cells + ratios) + " |")
    return "\n".join(lines)


class Picture:
    """Bars for each measure, relative to the first peer; below them how cost grows."""
    COLOURS = ["#1f6feb", "#9aa4b2", "#c9b458", "#7fb685"]

    def __init__(self):
        self.parts = []

    def text(self, x, y, words, size=12, anchor="start", weight="normal", colour="#24292f"):
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">{words}</text>')

    def bars(self, found, engines):
        self.text(24, 34, "Baton beside its peers: same machine, model and threads", 18, weight="600")
        for i, engine in enumerate(engines):
            self.parts.append(f'<rect x="{24 + i * 150}" y="48" width="12" height="12" rx="2" fill="{self.COLOURS[i % 4]}"/>')
            self.text(42 + i * 150, 58, engine.name)
        y = 84
        for name, by in found.items():
            self.text(24, y + 12, name + {"first byte of a process": ", ms", "peak memory": ", MB"}.get(name, ", tok/s"), weight="600")
            most = max(max(samples) for samples in by.values())
            for i, engine in enumerate(engines):
                if engine.name not in by:
                    continue
                middle = statistics.median(by[engine.name])
                at, scale = y + 4 + i * 16, 420 / most
                self.parts.append(f'<rect x="230" y="{at}" width="{middle * scale:.1f}" height="12" rx="2" fill="{self.COLOURS[i % 4]}"/>')
                low, high = min(by[engine.name]) * scale, max(by[engine.name]) * scale
                self.parts.append(f'<path d="M{230 + low:.1f} {at + 6}H{230 + high:.1f}" stroke="#24292f" stroke-width="1"/>')
                self.text(238 + max(high, middle * scale), at + 10, f"{middle:.0f}", 11)
            y += 16 * len(engines) + 18
        return y

    def lines(self, points, x, y, title, across, up):
        width, height = 300, 180
        most_x, most_y = max(p[0] for p in points), max(p[1] for p in points) * 1.1
        self.text(x, y - 12, title, weight="600")
        self.parts.append(f'<path d="M{x} {y}V{y + height}H{x + width}" fill="none" stroke="#57606a"/>')
        place = [(x + p[0] / most_x * width, y + height - p[1] / most_y * height) for p in points]
        self.parts.append(f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in place)}" fill="none" stroke="{self.COLOURS[0]}" stroke-width="2"/>')
        for a, b in place:
            self.parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{self.COLOURS[0]}"/>')
        self.text(x + width, y + height + 30, across, 11, "end")
        self.text(x + width, y + height + 15, f"{most_x}", 11, "end")
        self.text(x + 4, y + 8, f"{most_y:.3g} {up}", 11)

    def svg(self, height):
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" viewBox="0 0 760 {height}" font-family="system-ui, sans-serif">'
        return head + f'<rect width="760" height="{height}" fill="#ffffff"/>' + "".join(self.parts) + "</svg>\n"


def draw(found, engines, growths):
    picture = Picture()
    y = picture.bars(found, engines) + 24
    picture.lines(growths["prefill"], 40, y, "Baton's prefill by tokens of the prompt", "tokens", "s")
    picture.lines(growths["decode"], 420, y, "Baton's decode by depth", "tokens before", "ms a token")
    return picture.svg(y + 230)


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baton", required=True, help="the built command")
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--model", required=True, help="the .gguf that the manifest names")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", default=",".join(PEERS), help="which to measure beside it, of %(default)s")
    parser.add_argument("--quick", action="store_true", help="shorter rows")
    parser.add_argument("--out", required=True, help="the folder for bench.json, bench.md and bench.svg")
    given = parser.parse_args()
    unknown = set(given.peers.split(",")) - {""} - set(PEERS)
    if unknown:
        parser.error(f"--peers {','.join(sorted(unknown))}: known are {' and '.join(PEERS)}")
    return given


def main():
    given = arguments()
    engines = [Baton("Baton", given.baton, given.manifest, given.threads)]
    engines += [engine for name in given.peers.split(",") if name for engine in PEERS[name](given.model, given.threads)]
    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(given.threads, folder)
        found = measure(engines, limits, given.repeats, given.quick)
    modelled = Models("trainium3 -> cs3 (wall)", given.baton, os.path.join(os.path.dirname(given.manifest), "disaggregated.yaml"), given.threads)
    bf16 = in_bf16(modelled, [engine for engine in engines if isinstance(engine, Llama)], given.model, given.threads, given.repeats)
    growths = growth(engines[0], given.quick)
    text = f"{processor()}, {given.threads} threads; medians (least-most) of {given.repeats} interleaved repeats\n\n" + table(found, engines)
    text += limits.words(os.path.getsize(given.model))
    if bf16:
        text += "\n\n| the device models' engine, wall time | trainium3 -> cs3 | llama.cpp BF16 | ratio |\n|---|--:|--:|--:|"
        for name, by in bf16.items():
            own, peer = by[modelled.name], by["llama.cpp BF16"]
            text += f"\n| {name} | {figure(own)} | {figure(peer)} | {statistics.median(own) / statistics.median(peer):.2f}x |"
    print(text)
    os.makedirs(given.out, exist_ok=True)
    with open(f"{given.out}/bench.json", "w") as file:
        json.dump({"processor": processor(), "threads": given.threads, "limits": limits.all, "read_gb_s_and_tg128": limits.reads, "samples": found, "bf16": bf16, "growth": growths}, file, indent=1)
    with open(f"{given.out}/bench.svg", "w") as file:
        file.write(draw(found, engines, growths))
    with open(f"{given.out}/bench.md", "w") as file:
        file.write(text + "\n")
    say(f"written: {given.out}/bench.json, bench.md, bench.svg")


if __name__ == "__main__":
    main()
