#!/usr/bin/env bash
# Brings PyTorch with transformers, a peer of `make bench`, from PyPI at pinned versions into an environment of its own in the cache.
# Prints the environment's Python as its last line; exits 3, with the reason, when it cannot be had.
set -euo pipefail
TORCH=2.15.0 TRANSFORMERS=5.24.0 GGUF=0.19.0 ACCELERATE=1.15.0
CACHE="${BATON_BENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/baton/bench}/pytorch-$TORCH"
NEEDED_GB=8

missing() { echo "PyTorch is left out: $1" >&2; exit 3; }
works() { "$CACHE/bin/python" -c 'import torch, transformers, gguf, accelerate' >/dev/null 2>&1; }

if ! works; then
  rm -rf "$CACHE"
  mkdir -p "$CACHE"
  free=$(df --output=avail -BG "$CACHE" | tail -1 | tr -dc 0-9)
  [ "$free" -ge "$NEEDED_GB" ] || missing "its packages take $NEEDED_GB GB, and $CACHE has $free GB free; set BATON_BENCH_CACHE to a folder with more, or PEERS=llama.cpp"
  python3 -m venv "$CACHE" >&2 || missing "no Python venv; install it with: apt-get install python3-venv"
  echo "fetching PyTorch $TORCH and transformers $TRANSFORMERS (some 3 GB, 6 GB once unpacked; PEERS=llama.cpp does without)" >&2
  "$CACHE/bin/pip" install -q "torch==$TORCH" "transformers==$TRANSFORMERS" "gguf==$GGUF" "accelerate==$ACCELERATE" >&2 || missing "its packages could not be fetched from PyPI"
  works || missing "it was installed and cannot be imported; run $CACHE/bin/python -c 'import torch, transformers, gguf, accelerate'"
fi
echo "$CACHE/bin/python"
