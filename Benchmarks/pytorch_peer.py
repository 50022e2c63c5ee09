"""The model of a .gguf in PyTorch by transformers, weights as bf16, as a peer of `make bench`.

Arguments: the file, threads. Says a line once it has loaded, then reads one JSON object a line, {"measure": "prefill" | "decode", "tokens", "depth", "batch"}, and answers with
tok/s, all sequences together. Each measure runs once before it counts, a decode for a few tokens.
"""
import json
import os
import sys
import time

import torch
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.utils import logging


def prompt(model, batch, tokens):
    return torch.randint(0, model.config.vocab_size, (batch, tokens), generator=torch.Generator().manual_seed(1))


def prefill(model, tokens, depth, batch):
    cache = DynamicCache(config=model.config)
    if depth:
        model(input_ids=prompt(model, batch, depth), past_key_values=cache, use_cache=True, logits_to_keep=1)
    ids = prompt(model, batch, tokens)
    began = time.monotonic()
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return time.monotonic() - began


def decode(model, tokens, depth, batch):
    cache = DynamicCache(config=model.config)
    ids = prompt(model, batch, max(depth, 1))
    ids = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1:].argmax(-1)
    began = time.monotonic()
    for _ in range(tokens):
        ids = model(input_ids=ids, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)
    return time.monotonic() - began


def main():
    file, threads = sys.argv[1], int(sys.argv[2])
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(os.path.dirname(os.path.abspath(file)), gguf_file=os.path.basename(file), dtype=torch.bfloat16).eval()
    print("loaded", flush=True)
    measures = {"prefill": prefill, "decode": decode}
    with torch.inference_mode():
        for line in sys.stdin:
            asked = json.loads(line)
            how, tokens, depth, batch = measures[asked["measure"]], asked["tokens"], asked["depth"], asked["batch"]
            how(model, tokens if asked["measure"] == "prefill" else 4, depth, batch)
            print(tokens * batch / how(model, tokens, depth, batch), flush=True)


main()
