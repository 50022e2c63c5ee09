"""Throws hostile requests at a server that has keys; `python3 storm.py ENDPOINT SEED COUNT ID SECRET`.

Signed requests with one thing changed after signing, noise in the place of credentials, broken HTTP. Prints how many of which status came
back, and the requests that were answered with success, of which there must be none.
"""

import collections
import datetime
import json
import random
import socket
import sys
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

endpoint, seed, count, identity, secret = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
dice = random.Random(seed)
place = urlsplit(endpoint)
BODY = b'{"prompt":"The sky is","max_gen_len":1}'


def signed(path, body, method="POST"):
    request = AWSRequest(method=method, url=endpoint + path, data=body, headers={"Content-Type": "application/json", "X-Amz-Meta": "m%d" % dice.randrange(10**9)})
    botocore.auth.SigV4Auth(Credentials(identity, secret), "bedrock", "us-east-1").add_auth(request)
    return [["host", place.netloc]] + [[k, v] for k, v in request.headers.items()]


def other(text):
    """The text with one letter or digit made another one."""
    spots = [i for i, c in enumerate(text) if c.isalnum()]
    if not spots:
        return text + "x"
    spot = dice.choice(spots)
    letter = dice.choice([c for c in "abcdefghijkmnopqrstuvwxyz0123456789" if c != text[spot].lower()])
    return text[:spot] + letter + text[spot + 1:]


def hostile():
    method, path, body = "POST", "/model/smollm2-135m-instruct/invoke", BODY
    if dice.random() < 0.5:
        method, path, body = "GET", "/foundation-models?byProvider=baton", b""
    headers = signed(path, body, method)
    kind = dice.randrange(12)
    names = [name.lower() for name, _ in headers]
    if kind == 0:
        path = other(path)
    elif kind == 1:
        body = body + b" " if body else b"x"
    elif kind == 2:
        one = dice.choice([i for i, name in enumerate(names)])
        headers[one][1] = other(headers[one][1])
    elif kind == 3:
        headers.pop(dice.choice([i for i, name in enumerate(names)]))
    elif kind == 4:
        headers.append(list(dice.choice(headers)))
    elif kind == 5:
        headers[names.index("authorization")][1] = "AWS4-HMAC-SHA256 " + "".join(chr(dice.randrange(1, 255)) for _ in range(dice.randrange(300))).replace("\r", "").replace("\n", "")
    elif kind == 6:
        path = dice.choice(["/v1/models", "/metrics", "/model/x/converse", "//v1/models", "/foundation-models/..", "/model/%2e%2e/invoke", "/%00", "/foundation-models?x=1"])
    elif kind == 7:
        headers[names.index("authorization")][1] = headers[names.index("authorization")][1].replace("us-east-1", "us-east-2")
    elif kind == 8:
        headers[names.index("x-amz-date")][1] = (datetime.datetime.utcnow() + datetime.timedelta(minutes=dice.choice([-60, -6, 6, 1]))).strftime("%Y%m%dT%H%M%SZ")
    elif kind == 9:
        headers.append(["x-amz-content-sha256", dice.choice(["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64])])
    elif kind == 10:
        headers[names.index("authorization")][1] = dice.choice(["Bearer ", "Bearer x", "Basic YTpi", "", "AWS4-HMAC-SHA256", "Bearer " + "k" * 4000])
    else:
        method = dice.choice(["PUT", "DELETE", "OPTIONS", "HEAD", "POST" if method == "GET" else "GET"])
    text = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers)
    if not any(k.lower() == "content-length" for k, _ in headers) and (body or dice.random() < 0.5):
        text += f"content-length: {len(body)}\r\n"
    raw = text.encode("utf-8", "surrogatepass") + b"connection: close\r\n\r\n" + body
    if dice.random() < 0.1:
        raw = raw[: dice.randrange(len(raw))]
    if dice.random() < 0.1:
        raw = bytes(dice.randrange(256) if dice.random() < 0.05 else byte for byte in raw)
    return kind, raw


statuses, succeeded = collections.Counter(), []
for _ in range(count):
    kind, raw = hostile()
    with socket.create_connection((place.hostname, place.port), timeout=300) as connection:
        connection.sendall(raw)
        try:
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except OSError:
            answer = b""
    status = answer[9:12].decode("ascii", "replace") if answer.startswith(b"HTTP/") else "none"
    statuses[status] += 1
    if status.startswith("2"):
        succeeded.append({"kind": kind, "request": raw.decode("latin1"), "answer": answer[:200].decode("latin1")})
print(json.dumps({"statuses": statuses, "succeeded": succeeded}))
