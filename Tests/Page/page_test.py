#!/usr/bin/env python3
"""The page at / in headless Chromium: empty, running, with a lost connection, with keys; at two widths, light and dark. Writes screenshots.

Called by `make test-page`. Without Chromium it says so and is skipped; it needs the model in the cache.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

import browser

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOOKS = [(1280, 900, False), (1280, 900, True), (390, 844, False), (390, 844, True)]


class Server:
    def __init__(self, *more, port=0, manifest="disaggregated"):
        path = os.path.join(ROOT, f"Examples/{manifest}.yaml")
        self.process = subprocess.Popen(
            [GIVEN.baton, "serve", path, "--port", str(port), "--quiet", *more], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not found:
            raise RuntimeError(f"the server did not start: {line}")
        self.port = int(found[1])
        self.url = found[0]

    def complete(self, count, prompt="The history of the city is", tokens=24):
        """That many requests at once, read to their ends."""
        def one(index):
            body = json.dumps({"model": "smollm2-135m-instruct", "prompt": f"{prompt} {index} ", "max_tokens": tokens, "ignore_eos": True}).encode()
            request = urllib.request.Request(self.url + "/v1/completions", body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=600) as answer:
                answer.read()
        threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
        for thread in threads:
            thread.start()
        return threads

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class PageTest(unittest.TestCase):
    def setUp(self):
        self.browser = browser.Browser()
        self.addCleanup(self.browser.close)

    def serve(self, *more, port=0, manifest="disaggregated"):
        server = Server(*more, port=port, manifest=manifest)
        self.addCleanup(server.stop)
        return server

    def open(self, url):
        self.browser.look(*LOOKS[0])
        self.browser.call("Page.navigate", url=url + "/")
        self.browser.wait("document.readyState === 'complete'")

    def shots(self, name):
        """A picture of each look; none may be wider than its window."""
        for width, height, dark in LOOKS:
            self.browser.look(width, height, dark)
            self.browser.value("new Promise(done => setTimeout(() => requestAnimationFrame(done), 700))")
            self.assertLessEqual(self.browser.value("document.documentElement.scrollWidth"), width, f"{name} at {width}")
            self.browser.shot(f"{GIVEN.out}/{name}-{width}-{'dark' if dark else 'light'}.png")

    def state(self, name):
        self.browser.wait(f"document.getElementById('state').dataset.state === '{name}'")

    def text(self, selector):
        return self.browser.value(f"document.querySelector({json.dumps(selector)}).textContent")

    def test_empty_running_lost_and_back(self):
        server = self.serve()
        self.open(server.url)
        self.state("live")
        self.assertEqual(self.text("#state"), "idle")
        self.assertIn("No request yet", self.text("#measured"))
        self.assertEqual(self.browser.value("[...document.querySelectorAll('.stage')].map(s => s.dataset.stage).join()"), "prefill,decode")
        self.assertTrue(self.browser.value("document.getElementById('modelled-part').hidden"))
        self.shots("empty")

        # Requests run; one is asked in the chat box, by keyboard.
        threads = server.complete(6)
        self.browser.value("document.getElementById('prompt').focus()")
        self.browser.call("Input.insertText", text="What is gravity? Answer in one sentence.")
        self.browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
        self.browser.call("Input.dispatchKeyEvent", type="keyUp", key="Enter", code="Enter", windowsVirtualKeyCode=13)
        self.browser.wait("document.querySelector('.turn.assistant .words')?.textContent.length > 0")
        self.browser.wait("document.querySelectorAll('#measured rect').length > 0")
        self.shots("running")
        self.browser.wait("document.querySelector('.turn.assistant .facts') !== null")
        self.assertRegex(self.text(".turn.assistant .facts"), r"\d+ tokens, first after .+ tok/s")
        for thread in threads:
            thread.join()
        self.browser.wait("document.getElementById('state').textContent === 'idle'")
        self.browser.wait("!document.getElementById('modelled-part').hidden")
        self.assertGreaterEqual(self.browser.value("document.querySelectorAll('#measured .bar.decode').length"), 7)
        self.assertGreaterEqual(self.browser.value("document.querySelectorAll('#modelled .bar.decode').length"), 7)
        self.assertEqual(self.browser.value("document.querySelectorAll('#modelled .bar.queued').length"), 0)
        self.assertIn("disaggregated", self.text("#routes"))
        self.shots("idle")

        # No outside request, no complaint; every field has a label.
        self.assertEqual([url for url in self.browser.addresses() if not url.startswith((server.url, "data:"))], [])
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.value("[...document.querySelectorAll('input, textarea')].filter(f => !f.labels.length).length"), 0)
        self.browser.value("document.getElementById('clear').click()")
        self.assertIn("Ask the model", self.text("#talk"))

        server.stop()
        self.state("lost")
        self.shots("lost")
        self.serve(port=server.port)
        self.state("live")
        self.assertTrue(self.browser.value("document.getElementById('notice').hidden"))

    def test_replicas(self):
        server = self.serve("--kv-tokens", "4096", manifest="replicas")
        self.open(server.url)
        self.state("live")
        for thread in server.complete(8):
            thread.join()
        self.browser.wait("document.querySelectorAll('#measured .bar.decode').length >= 8")
        titles = self.browser.value("[...document.querySelectorAll('.stage h3')].map(h => h.textContent).join()")
        self.assertEqual(titles, "prefill 1 of 2,prefill 2 of 2,decode 1 of 2,decode 2 of 2")
        devices = "[...document.querySelectorAll('.device')].map(d => d.dataset.device + (d.textContent.includes('% busy') ? ' busy' : ' idle')).join()"
        self.browser.wait(f"{devices} === 'trn0 busy,trn1 busy,wse0 busy,wse1 busy'")
        # Replicas of a stage stand under one another, those of prefill before those of decode.
        boxes = self.browser.value("[...document.querySelectorAll('.stage')].map(s => s.getBoundingClientRect()).map(r => [r.left, r.top])")
        self.assertEqual((boxes[0][0], boxes[2][0]), (boxes[1][0], boxes[3][0]))
        self.assertTrue(boxes[0][1] < boxes[1][1] and boxes[2][1] < boxes[3][1] and boxes[0][0] < boxes[2][0], boxes)
        self.assertEqual(self.browser.value("document.querySelectorAll('.wire.handoff').length"), 1)
        self.assertIn("decode wse1", self.text("#kv-now"))
        self.assertEqual(self.browser.value("new Set([...document.querySelectorAll('#kv polyline')].map(l => l.getAttribute('class'))).size"), 4)
        self.assertRegex(self.text("#routes"), r"prefill on trn\d, decode on wse\d|prefill and decode on wse\d")
        self.assertEqual(self.browser.complaints(), [])
        self.shots("replicas")

    def test_keys(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = os.path.join(folder.name, "keys.json")
        added = subprocess.run([GIVEN.baton, "keys", "add", file, "alice"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
        server = self.serve("--keys", file)
        for path in ("/baton/status", "/baton/events"):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(server.url + path, timeout=60)
            self.assertEqual(refused.exception.code, 401)
            refused.exception.close()
        self.open(server.url)
        self.state("refused")
        self.shots("key")
        key = max(added.split(), key=len)
        self.browser.value(f"document.getElementById('key').value = {json.dumps(key)}; document.getElementById('key-form').requestSubmit()")
        self.state("live")

    def test_headers(self):
        server = self.serve()
        for path, kind in (("/", "text/html"), ("/baton/page.css", "text/css"), ("/baton/page.js", "text/javascript")):
            with urllib.request.urlopen(server.url + path, timeout=60) as answer:
                self.assertTrue(answer.headers["content-type"].startswith(kind))
                policy = answer.headers["content-security-policy"]
                self.assertIn("default-src 'none'", policy)
                self.assertNotIn("unsafe", policy)
                self.assertEqual(answer.headers["x-content-type-options"], "nosniff")


def main():
    global GIVEN
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baton", required=True, help="the built command")
    parser.add_argument("--out", required=True, help="the folder for screenshots")
    GIVEN, rest = parser.parse_known_args()
    if not browser.path():
        print("skipped: there is no Chromium; install it with: apt-get install chromium", file=sys.stderr)
        return
    os.makedirs(GIVEN.out, exist_ok=True)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
