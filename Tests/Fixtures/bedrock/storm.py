"""Throws good and hostile requests at a server that has keys; `python3 storm.py ENDPOINT SEED COUNT ID SECRET`.

One in eight is good. The others: signed requests with one thing changed after signing, good ones sent a second time, ones signed for another
time, signed nonsense, bodies beyond all bounds, noise in the place of credentials, broken HTTP, and clients that never end what they began.
Prints how many of which status came back, how many good ones there were, those of them that were not answered, the hostile ones that were
answered with success, and the server's metrics afterwards. There must be none not answered and none let in.
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


class Elsewhen(botocore.auth.SigV4Auth):
    """Signs for `minutes` from now."""

    minutes = 0

    def add_auth(self, request):
        when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=self.minutes)
        request.context["timestamp"] = when.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        words = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(words, request))


def signed(path, body, method="POST", minutes=0):
    request = AWSRequest(method=method, url=endpoint + path, data=body, headers={"Content-Type": "application/json", "X-Amz-Meta": "m%d" % dice.randrange(10**9)})
    signer = Elsewhen(Credentials(identity, secret), "bedrock", "us-east-1")
    signer.minutes = minutes
    signer.add_auth(request)
    return [["host", place.netloc]] + [[k, v] for k, v in request.headers.items()]


def other(text):
    """The text with one letter or digit made another one."""
    spots = [i for i, c in enumerate(text) if c.isalnum()]
    if not spots:
        return text + "x"
    spot = dice.choice(spots)
    letter = dice.choice([c for c in "abcdefghijkmnopqrstuvwxyz0123456789" if c != text[spot].lower()])
    return text[:spot] + letter + text[spot + 1:]


def plain(method, path, headers, body):
    return (f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + f"content-length: {len(body)}\r\nconnection: close\r\n\r\n").encode() + body


def good():
    if dice.random() < 0.8:
        return plain("GET", "/foundation-models?byProvider=baton", signed("/foundation-models?byProvider=baton", b"", "GET"), b"")
    path = "/model/smollm2-135m-instruct/invoke"
    return plain("POST", path, signed(path, BODY), BODY)


NONSENSE = [b"", b"{", b"[]", b"null", b'{"prompt": 3}', b'{"prompt":"\xff\xfe"}', b'{"prompt":"\\ud800"}', b"[" * 5000, b'{"prompt":"x","max_gen_len":-1}', b'{"prompt":"x","max_gen_len":1e99}']


def wrong():
    """Good in all but one way, and signed as it is."""
    kind, path = dice.randrange(5), "/model/smollm2-135m-instruct/invoke"
    if kind == 0 and seen:
        return "again", dice.choice(seen)
    if kind == 1:
        return "elsewhen", plain("POST", path, signed(path, BODY, minutes=dice.choice([-600, -20, -6, 6, 90])), BODY)
    if kind == 2:
        head = plain("POST", path, [h for h in signed(path, BODY) if h[0].lower() != "content-length"], BODY)
        return "huge", head.replace(b"content-length: %d" % len(BODY), b"content-length: %d" % dice.choice([10**8, 10**12, 10**30]))
    body = dice.choice(NONSENSE)
    return "nonsense", plain("POST", path, signed(path, body), body)


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


statuses, succeeded, unanswered, goods, seen, slow = collections.Counter(), [], [], 0, [], collections.deque()
for number in range(count):
    if number % 8 == 7:
        # Part of a request, and then nothing.
        connection = socket.create_connection((place.hostname, place.port), timeout=300)
        connection.sendall(good()[: dice.randrange(1, 200)])
        slow.append(connection)
        if len(slow) > 40:
            slow.popleft().close()
        continue
    kind, raw = ("good", good()) if number % 8 == 0 else wrong() if number % 8 in (2, 5) else hostile()
    with socket.create_connection((place.hostname, place.port), timeout=300) as connection:
        connection.sendall(raw)
        try:
            if kind != "good":  # One that ends its side has left.
                connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except OSError:
            answer = b""
    status = answer[9:12].decode("ascii", "replace") if answer.startswith(b"HTTP/") else "none"
    statuses[status] += 1
    if kind == "good":
        goods += 1
        seen.append(raw)
        if status != "200":
            unanswered.append({"status": status, "answer": answer[:900].decode("latin1")})
    elif status.startswith("2"):
        succeeded.append({"kind": kind, "request": raw.decode("latin1"), "answer": answer[:200].decode("latin1")})
for connection in slow:
    connection.close()
with socket.create_connection((place.hostname, place.port), timeout=300) as connection:
    connection.sendall(plain("GET", "/metrics", signed("/metrics", b"", "GET"), b""))
    metrics = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
print(json.dumps({"statuses": statuses, "succeeded": succeeded, "good": goods, "unanswered": unanswered, "metrics": metrics}))
