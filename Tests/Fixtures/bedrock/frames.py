"""Reads event-stream messages from a file with botocore's own parser and prints them as JSON; `python3 frames.py FILE`."""

import json
import sys

from botocore.eventstream import EventStreamBuffer

buffer = EventStreamBuffer()
with open(sys.argv[1], "rb") as file:
    buffer.add_data(file.read())
print(json.dumps([{"headers": message.headers, "payload": message.payload.decode()} for message in buffer]))
