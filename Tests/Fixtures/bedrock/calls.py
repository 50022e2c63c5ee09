"""Makes calls with boto3, unmodified but for its endpoint, and prints what came of each as JSON.

`python3 calls.py ENDPOINT < PLAN`; the plan is a list of calls:
  {"client": "bedrock-runtime", "method": "converse", "arguments": {...}, "key": [id, secret, token?], "bearer": "...",
   "clock": seconds, "resend": true}
Or, to the same server without boto3, {"post": "/v1/...", "body": {...}, "bearer": "..."}.
A `body` among the arguments may be an object. `clock` sets this side's clock off; `resend` sends the very same bytes once more.
"""

import datetime
import http.client
import json
import os
import sys
from urllib.parse import urlsplit

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore import UNSIGNED

ENDPOINT = sys.argv[1]
real_now = botocore.auth.get_current_datetime
sent = []


def plain(value):
    """Bytes, streams and dates as what JSON has."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, "read"):
        return value.read().decode()
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return [plain(one) for one in value]
    return value


def client(call):
    os.environ.pop("AWS_BEARER_TOKEN_BEDROCK", None)
    if "bearer" in call:
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = call["bearer"]
    key = call.get("key") or []
    config = Config(retries={"max_attempts": 0}, read_timeout=300, signature_version=UNSIGNED if call.get("unsigned") else None)
    made = boto3.session.Session().client(
        call["client"], endpoint_url=ENDPOINT, region_name="eu-west-3", config=config,
        **dict(zip(["aws_access_key_id", "aws_secret_access_key", "aws_session_token"], key)))
    made.meta.events.register("before-send", lambda request, **_: sent.append(request))
    return made


def resend():
    """The last request again, byte for byte; gives the status and the error's type."""
    request = sent[-1]
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=300)
    body = request.body if isinstance(request.body, (bytes, type(None))) else request.body.encode()
    target = parts.path + ("?" + parts.query if parts.query else "")
    connection.putrequest(request.method, target, skip_accept_encoding=True, skip_host=any(k.lower() == "host" for k in request.headers))
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    answer.read()
    return {"status": answer.status, "type": answer.getheader("x-amzn-errortype")}


def posted(call):
    """A plain request; gives its status, its error's type and its JSON."""
    connection = http.client.HTTPConnection(urlsplit(ENDPOINT).netloc, timeout=300)
    headers = {"content-type": "application/json"} | ({"authorization": "Bearer " + call["bearer"]} if "bearer" in call else {})
    body = call["body"]
    connection.request("POST", call["post"], body if isinstance(body, str) else json.dumps(body), headers)
    answer = connection.getresponse()
    return {"status": answer.status, "error": answer.getheader("x-amzn-errortype"), "answer": json.loads(answer.read())}


def made(call):
    if "post" in call:
        return posted(call)
    offset = datetime.timedelta(seconds=call.get("clock", 0))
    botocore.auth.get_current_datetime = lambda *given: real_now(*given) + offset
    arguments = call.get("arguments", {})
    if isinstance(arguments.get("body"), dict):
        arguments["body"] = json.dumps(arguments["body"])
    result = {}
    try:
        result["answer"] = plain(getattr(client(call), call["method"])(**arguments))
    except (ClientError, EventStreamError) as error:
        response = error.response
        result["error"] = response["Error"]["Code"]
        result["message"] = response["Error"].get("Message", "")
        result["status"] = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        result["headers"] = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if call.get("resend"):
        result["resent"] = resend()
    return result


print(json.dumps([made(call) for call in json.load(sys.stdin)]))
