"""Asks a Baton server, whose base URL is the argument, what the openai package's users ask; ends with 0 when all is as they expect."""
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=300)
MODEL = "smol"
ASK = [{"role": "user", "content": "What is gravity?"}]

assert [model.id for model in client.models.list()] == [MODEL]
assert client.models.retrieve(MODEL).object == "model"

whole = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=8, temperature=0)
text = whole.choices[0].message.content
assert text and whole.choices[0].finish_reason == "length", whole
assert whole.usage.completion_tokens == 8 and whole.usage.total_tokens == whole.usage.prompt_tokens + 8

stream = client.chat.completions.create(
    model=MODEL, messages=ASK, max_completion_tokens=8, temperature=0, stream=True, stream_options={"include_usage": True})
chunks = list(stream)
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["length"]
assert chunks[-1].usage.completion_tokens == 8 and not chunks[-1].choices

scored = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=3, temperature=0, logprobs=True, top_logprobs=2)
content = scored.choices[0].logprobs.content
assert len(content) == 3 and all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in content)
assert "".join(t.token for t in content) == scored.choices[0].message.content
assert content[0].top_logprobs[0].token == content[0].token

seeded = [client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=8, temperature=1.0, top_p=0.9, seed=7) for _ in range(2)]
assert seeded[0].choices[0].message.content == seeded[1].choices[0].message.content

stopped = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=30, temperature=0, stop=[" is"])
assert stopped.choices[0].finish_reason == "stop" and " is" not in stopped.choices[0].message.content, stopped

several = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=4, n=3, seed=1)
assert [choice.index for choice in several.choices] == [0, 1, 2] and several.usage.completion_tokens == 12

plain = client.completions.create(model=MODEL, prompt="The capital of France is", max_tokens=3, temperature=0, logprobs=1, n=1)
assert plain.choices[0].text and len(plain.choices[0].logprobs.tokens) == 3
echoed = client.completions.create(model=MODEL, prompt="The capital of France is", max_tokens=3, temperature=0, echo=True)
assert echoed.choices[0].text == "The capital of France is" + plain.choices[0].text
pieces = client.completions.create(model=MODEL, prompt="The capital of France is", max_tokens=3, temperature=0, stream=True)
assert "".join(c.choices[0].text for c in pieces if c.choices) == plain.choices[0].text

raw = client.chat.completions.with_raw_response.create(
    model=MODEL, messages=ASK, max_tokens=1, extra_headers={"x-baton-route-mode": "disaggregated"})
assert raw.headers["x-baton-route"].startswith("disaggregated"), raw.headers


def fails(kind, **fields):
    """The error of a request that is wrong."""
    try:
        client.chat.completions.create(**{"model": MODEL, "messages": ASK, **fields})
    except kind as error:
        return error
    raise AssertionError(f"{fields} was answered")


assert fails(openai.NotFoundError, model="other").code == "model_not_found"
assert fails(openai.BadRequestError, temperature=9).param == "temperature"
assert fails(openai.BadRequestError, messages=[]).type == "invalid_request_error"
assert fails(openai.BadRequestError, messages=[{"role": "user", "content": "word " * 3000}]).code == "context_length_exceeded"
print("ok", openai.__version__)
