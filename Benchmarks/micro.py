#!/usr/bin/env python3
"""What the runtime itself costs, and the kernels beside this machine's limits: a table and JSON. Called by `make bench-micro`."""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# What the figures are to be: a limit, and whether it is the most or the least.
GOALS = {
    "Swift over C": (10, "at most"), "handoff, identity, of memcpy": (0.8, "at least"), "host's share of a decode step": (2, "at most"),
    "exposed handoff of 512 tokens' prefill": (5, "at most"), "a decode step's more within a process of its own": (3, "at most"),
}


def output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no words"]
        raise SystemExit(f"{os.path.basename(command[0])} ended with {done.returncode}: {last[0]}")
    return done.stdout


def compiled(folder, compiler, name, sources, *flags):
    output([compiler, "-O3", *flags, "-pthread", "-o", f"{folder}/{name}", *sources, "-lm"])
    return f"{folder}/{name}"


def bounds(row, limits):
    """Gop/s and GB/s that bind a kernel: int8 products, or those of bf16 where there are such and the kernel uses them, else f32; the memory that it reads."""
    wide = limits.get("bf16_gops") if row["kernel"] != "attend bf16" else None
    compute = (wide or limits.get("fp32_gops")) if "bf16" in row["kernel"] else limits.get("int8_gops")
    held = {"memory": "256 MB", "depth 2048": "256 MB", "depth 512": "32 MB", "depth 128": "8 MB"}.get(row["from"], "1 MB")
    return compute, limits["read_gb_s"][held]


def kernel_rows(threads, seconds):
    """The limits, and each kernel's row with its share of the limit that binds it."""
    kernels = os.path.join(os.path.dirname(HERE), "Plugins", "cpu", "kernels")
    with tempfile.TemporaryDirectory() as folder:
        limits = json.loads(output([compiled(folder, "cc", "roofline", [f"{HERE}/roofline.c"], "-march=native"), str(threads)]))
        program = compiled(folder, "clang", "kernels", [f"{HERE}/kernels.c", *sorted(glob.glob(f"{kernels}/*.c"))], f"-I{kernels}/include")
        rows = json.loads(output([program, str(threads), str(seconds)]))["rows"]
    for row in rows:
        compute, memory = bounds(row, limits)
        shares = {"compute": row["gop_s"] / compute if compute else 0, "read": row["gb_s"] / memory}
        row["bound"], row["share"] = max(shares.items(), key=lambda pair: pair[1])
    return limits, rows


def middle(row):
    return statistics.median(row["samples"])


def derived(rows):
    """Rows that follow from others."""
    by = {row["name"]: row for row in rows}
    share, parts = by.get("host's share of a decode step"), ["of it, from the device's end to the host's waking", "of it, logits, sampling and text", "of it, from the host's submit to the device's begin"]
    if share and all(part in by for part in parts) and sum(middle(by[p]) for p in parts) > 0:
        host = middle(by[parts[1]]) / sum(middle(by[p]) for p in parts)
        rows.append({"name": "of it, logits, sampling and text, of a step", "unit": "%", "samples": [s * host for s in share["samples"]]})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--microbench", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2, help="for each row of the kernels")
    parser.add_argument("--out", required=True, help="the folder for micro.json and micro.md")
    given = parser.parse_args()
    rows = derived(json.loads(output([given.microbench, given.model, str(given.repeats)]))["rows"])
    limits, kernels = kernel_rows(given.threads, given.seconds)
    lines = ["| the runtime | median | middle half | least-most | goal |", "|---|--:|--:|--:|--:|"]
    for row in rows:
        goal = GOALS.get(row["name"])
        cell = f"{goal[1]} {goal[0]:g}" if goal else ""
        low, _, high = statistics.quantiles(row["samples"], n=4) if len(row["samples"]) > 1 else row["samples"] * 3
        lines.append(f"| {row['name']} | {middle(row):.3g} {row['unit']} | {low:.3g}-{high:.3g} | {min(row['samples']):.3g}-{max(row['samples']):.3g} | {cell} |")
    lines += ["", f"int8 {limits.get('int8_gops', 0)} Gop/s, bf16 {limits.get('bf16_gops', 0)}, f32 {limits.get('fp32_gops', 0)}; read " + ", ".join(f"{v} GB/s of {k}" for k, v in limits["read_gb_s"].items()), ""]
    lines += ["| kernel | weights or KV from | tokens | Gop/s | GB/s | of the limit |", "|---|---|--:|--:|--:|--:|"]
    lines += [f"| {r['kernel']} | {r['from']} | {r['tokens']} | {r['gop_s']:.0f} | {r['gb_s']:.1f} | {r['share']:.0%} {r['bound']} |" for r in kernels]
    text = "\n".join(lines)
    print(text)
    os.makedirs(given.out, exist_ok=True)
    with open(f"{given.out}/micro.json", "w") as file:
        json.dump({"threads": given.threads, "limits": limits, "rows": rows, "kernels": kernels}, file, indent=1)
    with open(f"{given.out}/micro.md", "w") as file:
        file.write(text + "\n")
    print(f"written: {given.out}/micro.json, micro.md", file=sys.stderr)


if __name__ == "__main__":
    main()
