"""A headless Chromium, driven through its DevTools protocol.

The browser reads commands from descriptor 3 and writes answers and events to descriptor 4, each a JSON text with a NUL at
its end, so that no library is needed and no port is open. What a page logs, throws and requests is recorded.
"""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

DEADLINE = float(os.environ.get("DASH_TEST_DEADLINE", "30")) * float(os.environ.get("DASH_TEST_SLOWNESS", "1"))
PROGRAM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
SKIPPED = 77  # as ctest is configured
FLAGS = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
         "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--force-color-profile=srgb", "--mute-audio"]
KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowLeft": (37, ""), "ArrowUp": (38, ""), "ArrowRight": (39, ""),
        "ArrowDown": (40, ""), "Home": (36, ""), "End": (35, "")}


def high_pipe():
    """A pipe whose descriptors are not among those that the browser uses."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high


def main():
    """Runs the tests of the file that is the program; without a browser there is no verdict."""
    if not PROGRAM:
        print("skipped: Chromium is not installed")
        sys.exit(SKIPPED)
    unittest.main()


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="dash-web-")
        to_browser, self.write_fd = high_pipe()
        self.read_fd, from_browser = high_pipe()
        flags = FLAGS + [f"--user-data-dir={self.folder}"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
        # The shell puts the two pipes where the browser looks for them.
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{to_browser} 4>&{from_browser} {to_browser}<&- {from_browser}>&-; exec "$@"', "bash",
             PROGRAM, *flags, "about:blank"],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self.folder})
        os.close(to_browser)
        os.close(from_browser)
        self.rest, self.last_id, self.pages = b"", 0, {}

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(5)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.write_fd)
        os.close(self.read_fd)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, session=None, **params):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + DEADLINE
        while True:
            answer = self.read(end - time.monotonic(), f"an answer to {method}")
            if answer.get("id") == self.last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def read(self, seconds, what):
        """The next message; events are handed to their page."""
        while b"\0" not in self.rest:
            ready = select.select([self.read_fd], [], [], max(0, seconds))[0]
            assert ready, f"Chromium does not send {what}"
            more = os.read(self.read_fd, 1 << 20)
            assert more, "Chromium has ended"
            self.rest += more
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        if "method" in message and message.get("sessionId") in self.pages:
            self.pages[message["sessionId"]].take(message["method"], message["params"])
        return message

    def page(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        self.pages[session] = page
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(domain + ".enable")
        page.size(1280, 900)
        return page


class Page:
    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session
        self.errors, self.requests = [], []

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def take(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def size(self, width, height, dark=False, touch=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def go(self, address):
        # Another part of the same page would not load it anew.
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)

    def run(self, script):
        """The value of an expression, awaited."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, script, what=None):
        """The expression's value as soon as it is true; a page that is still loading may lack what it names."""
        end = time.monotonic() + DEADLINE
        while True:
            value = self.run(f"(() => {{ try {{ return ({script}); }} catch (e) {{ if (e instanceof SyntaxError) throw e; }} }})()")
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not within the deadline: {what or script}\n{self.text()}\n{self.errors}")
            # one picture of the screen: a condition of the page is looked at when the page has had its turn
            self.run("new Promise(done => setTimeout(done, 15))")

    def text(self):
        return self.run("document.body?.innerText") or ""

    def wait_text(self, text):
        return self.wait(f"document.body.innerText.includes({json.dumps(text)})", f"the text {text!r}")

    def box(self, selector):
        """The middle of an element, scrolled into view, once it rests: {x, y, width, height, left, top}."""
        return self.wait(f"""(async () => {{
            const find = () => document.querySelector({json.dumps(selector)});
            find()?.scrollIntoView({{block: "center"}});
            const boxes = [];
            for (let i = 0; i < 3; i++) {{
                await new Promise(done => requestAnimationFrame(done));
                const r = find()?.getBoundingClientRect();
                if (!r?.width) return null;
                boxes.push({{x: r.left + r.width / 2, y: r.top + r.height / 2, left: r.left, top: r.top, width: r.width, height: r.height}});
            }}
            return new Set(boxes.map(b => JSON.stringify(b))).size === 1 && boxes[0];
        }})()""", f"the element {selector}")

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector, count=1):
        box = self.box(selector)
        self.mouse("mouseMoved", box["x"], box["y"])
        for n in range(1, count + 1):
            self.mouse("mousePressed", box["x"], box["y"], button="left", clickCount=n)
            self.mouse("mouseReleased", box["x"], box["y"], button="left", clickCount=n)

    def press(self, key, shift=False):
        code, text = KEYS.get(key, (ord(key.upper()) if len(key) == 1 else 0, key))
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **({"text": text} if text else {}), **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
