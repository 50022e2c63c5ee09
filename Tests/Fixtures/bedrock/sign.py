"""Requests signed by botocore, as JSON: what the server must let in. Seeded; `python3 sign.py SEED COUNT`."""

import base64
import datetime
import json
import random
import sys

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from urllib.parse import quote, urlsplit

dice = random.Random(int(sys.argv[1]))
ALPHABET = "abcXYZ019-._~ :/+%=&?#@!$'()*,;é中😀\u00a0"


def text(most):
    return "".join(dice.choice(ALPHABET) for _ in range(dice.randint(1, most)))


def case(number):
    moment = datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=dice.randrange(10**8))
    botocore.auth.get_current_datetime = lambda: moment
    model = text(24)
    method, path = dice.choice([("POST", f"/model/{quote(model, safe='-._~')}/converse"), ("GET", f"/foundation-models/{quote(model, safe='-._~')}")])
    query = "&".join(f"{quote(text(6), safe='-._~')}={quote(text(6), safe='-._~')}" for _ in range(dice.randint(0, 3)))
    body = dice.randbytes(dice.randint(0, 200)) if method == "POST" else b""
    headers = {"Content-Type": "application/json", "X-Odd": "  two   words  " + "x" * dice.randint(0, 3)}
    if dice.random() < 0.3:
        headers["X-Amzn-Bedrock-Service-Tier"] = "flex"
    host = dice.choice(["127.0.0.1:8080", "localhost:1", "bedrock.example", "[::1]:9"])
    request = AWSRequest(method=method, url=f"http://{host}{path}" + (f"?{query}" if query else ""), data=body, headers=headers)
    token = "token+/=" if dice.random() < 0.3 else None
    secret = "secret/+" + str(number)
    botocore.auth.SigV4Auth(Credentials("AKID" + str(number), secret, token), "bedrock", "eu-west-3").add_auth(request)
    parts = urlsplit(request.url)
    return {
        "method": method, "path": parts.path, "query": parts.query, "host": host, "headers": [[k, v] for k, v in request.headers.items()],
        "body": base64.b64encode(body).decode(), "secret": secret, "token": token, "key": "AKID" + str(number),
        "now": int((moment - datetime.datetime(1970, 1, 1)).total_seconds()),
    }


print(json.dumps([case(number) for number in range(int(sys.argv[2]))]))
