"""The page's interface with data made here: what dashd's HTTP port serves, without a dashd.

A Server has a World that a test changes while pages look at it. Every call is recorded. Names and logs hold markup, which
a page must show as text.
"""
import http.server
import json
import math
import os
import random
import threading
import urllib.parse

CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
       "frame-ancestors 'none'; base-uri 'none'")
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
NOW_MS = 1_790_000_000_000
MARKUP = "<img src=x onerror=alert(1)> & <b>bold</b>"
KINDS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.up_proj", "mlp.down_proj")
YAML = """name: "{name}"
model: "/data/models/smollm2.gguf"
data:
  train: "/data/train.jsonl"
  eval: "/data/dev.jsonl"
  format: auto
method: lora-dash
lora:
  rank: {rank}
  alpha: 32
  target_modules: [q_proj, k_proj, v_proj, up_proj, down_proj]
dash:
  prelaunch_steps: 100
  directions: 8
training:
  batch_size: 16
  steps: 300
  learning_rate: {rate}
output: "/data/runs/{name}"
"""


class Fault(Exception):
    def __init__(self, code, message, violations=()):
        super().__init__(message)
        self.code, self.violations = code, violations


STATUS = {"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
          "UNIMPLEMENTED": 501, "UNAVAILABLE": 503}


def step(n, total=300, boundary=100, seed=1):
    """A row like those of a training: the loss falls with noise, and faster once there are directions."""
    noise = random.Random(seed * 100003 + n)
    level = 0.9 + 1.4 * math.exp(-n / 60) - (0.25 * (1 - math.exp(-(n - boundary) / 40)) if n > boundary else 0)
    row = {"step": n, "loss": level + noise.gauss(0, 0.09), "gradNorm": 0.6 + 2 * math.exp(-n / 40) + abs(noise.gauss(0, 0.15)),
           "learningRate": 2e-4 * min(1, n / 10) * (1 - n / (total + 1)), "tokens": str(1300 + noise.randrange(200)), "trainedTokens": "310",
           "seconds": 2.4 + abs(noise.gauss(0, 0.2)), "phase": "DASH" if n > boundary else "PRELAUNCH"}
    if n % 50 == 0:
        row["evalLoss"] = level + 0.06
    return row


def job(id, name, state, done=0, total=300, **more):
    made = {"id": str(id), "name": name, "state": state, "createdMs": str(NOW_MS - 3_600_000 * (300 - int(id))), "stepsTotal": total,
            "output": f"/data/runs/{name}", "createdBy": "uid:1000", "tokens": str(1400 * done), "trainedTokens": str(310 * done)}
    if done:
        made.update(stepsDone=done, startedMs=str(NOW_MS - 700_000), lastStep=step(done), tokensPerSecond=560.2,
                    phase="DASH" if done > 100 else "PRELAUNCH")
    if state == "RUNNING":
        made.update(etaSeconds=2.5 * (total - done), memoryBytes="1250000000", nodes="n[3-4]")
    if state in ("SUCCEEDED", "FAILED", "CANCELLED"):
        made["finishedMs"] = str(NOW_MS)
    made.update(more)
    return {k: v for k, v in made.items() if v not in ("", 0, None)}


# Killed after step 40, and again; then resumed from an earlier checkpoint, and continued after step 150.
LAUNCHES = [{"launch": 1, "after_step": 0, "time_ms": NOW_MS}, {"launch": 2, "after_step": 40, "time_ms": NOW_MS, "why": "the node failed"},
            {"launch": 3, "after_step": 40, "time_ms": NOW_MS, "why": f"a worker was killed {MARKUP}"},
            {"launch": 4, "after_step": 90, "time_ms": NOW_MS, "why": "undone"}, {"launch": 5, "after_step": 60, "time_ms": NOW_MS, "why": "resumed"},
            {"launch": 5, "ended": "stopped", "reason": "stopped after step 150"},
            {"launch": 6, "after_step": 150, "time_ms": NOW_MS, "why": "stopped after step 150"}]


def launches(n=len(LAUNCHES)):
    return "".join(json.dumps(line) + "\n" for line in LAUNCHES[:n])


def directions(layers=30, k=8, seed=5):
    """directions.json, spectra.json and coefficients.jsonl of a model with that many layers."""
    r = random.Random(seed)
    chosen, spectra, rows = {}, {}, []
    for layer in range(layers):
        for kind in KINDS:
            rank = 192 if "k_proj" in kind or "v_proj" in kind else 576
            points = sorted({*range(32), *(min(rank - 1, int(32 * (rank / 32) ** (j / 63))) for j in range(64))})
            sigma = lambda i: 18 * (i + 1) ** -0.45 * (1 - 0.9 * i / rank)
            peak = 0.02 + 0.12 * math.exp(-((layer - 21) / 6) ** 2) * (1.5 if "v_proj" in kind else 1)
            indices = r.sample(range(rank), k)
            delta = sorted((peak * (0.4 + 0.6 * r.random()) for _ in indices), reverse=True)
            name = f"model.layers.{layer}.{kind}"
            chosen[name] = {"indices": indices, "delta": delta, "sigma": [sigma(i) for i in indices],
                            "coefficient": [r.gauss(0, 0.02) for _ in indices], "next_delta": delta[-1] * 0.97}
            spectra[name] = {"rows": 576, "columns": 1536 if "mlp" in kind else 576, "rank": rank, "points": points,
                             "sigma": [sigma(i) for i in points], "delta": [delta[-1] * 0.9 * r.random() ** 2 for _ in points],
                             "share": 0.02 + 0.2 * peak + 0.02 * r.random(), "update": 0.4 + r.random()}
    for n in range(101, 301, 2):
        grown = 1 - math.exp(-(n - 100) / 60)
        rows.append({"step": n, "c": [[c * grown for c in d["coefficient"]] for d in chosen.values()]})
    return {"directions.json": json.dumps(chosen), "spectra.json": json.dumps(spectra),
            "coefficients.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}


class World:
    """What the server knows. `changed` is notified whenever a test changes something that streams are to send."""

    def __init__(self):
        self.lock = threading.Condition()
        self.jobs, self.steps, self.events, self.logs, self.files = {}, {}, {}, {}, {}
        self.role, self.caller, self.token = "admin", "uid:1000", None
        self.calls, self.streams = [], []
        self.down = self.silent = False
        self.generation = 0  # streams of an earlier one end

    def add(self, made, steps=None, files=None, log=""):
        with self.lock:
            id = made["id"]
            self.jobs[id] = made
            done = made.get("stepsDone", 0)
            self.steps[id] = [step(n, made["stepsTotal"], seed=int(id)) for n in range(1, done + 1)] if steps is None else steps
            self.events[id] = [{"id": "1", "timeMs": str(NOW_MS - 800_000), "kind": "STATE_CHANGED", "state": "QUEUED", "text": ""},
                               {"id": "2", "timeMs": str(NOW_MS - 700_000), "kind": "STATE_CHANGED", "state": "STARTING", "text": f"as {MARKUP}"}]
            self.logs[id], self.files[id] = log, dict(files or {})
            made.setdefault("jobYaml", YAML.format(name=made["name"].replace('"', ""), rank=8 + int(id) % 3 * 8, rate="0.0002"))
            self.lock.notify_all()
        return id

    def change(self, id, new_step=None, log="", event=None, **fields):
        with self.lock:
            self.jobs[id].update(fields)
            if new_step:
                self.steps[id].append(new_step)
            if event:
                self.events[id].append(event)
            self.logs[id] += log
            self.lock.notify_all()

    def cut(self, down):
        """Ends all streams; calls fail while it is down."""
        with self.lock:
            self.down = down
            self.generation += 1
            self.lock.notify_all()

    def find(self, id):
        if id not in self.jobs:
            raise Fault("NOT_FOUND", f"there is no job {id}")
        return self.jobs[id]

    # ---- methods ----

    def GetServerInfo(self, _):
        return {"version": "0.1.0", "maxRunning": 1, "caller": self.caller, "role": self.role, "running": 1, "queued": 1}

    def ListJobs(self, request):
        states, name = request.get("states"), request.get("name", "").rstrip("*")
        jobs = [j for _, j in sorted(self.jobs.items(), key=lambda item: -int(item[0]))
                if (not states or j["state"] in states) and j["name"].startswith(name)]
        first, size = int(request.get("pageToken") or 0), request.get("pageSize") or 1000
        page = [{k: v for k, v in j.items() if k != "jobYaml"} for j in jobs[first:first + size]]
        return {"jobs": page, "nextPageToken": str(first + size) if first + size < len(jobs) else ""}

    def GetJob(self, request):
        made = self.find(request["id"])
        return {"job": {**made, **({"logTail": self.logs[made["id"]][-400:]} if made["state"] == "FAILED" else {})}}

    def CreateJob(self, request):
        text = request["jobYaml"]
        bad = [(n, line) for n, line in enumerate(text.split("\n"), 1) if "rank: 0" in line]
        if bad:
            said = 'lora.rank must be an integer >= 1 and <= 4096, not "0"'
            raise Fault("INVALID_ARGUMENT", "\n".join(f"job.yaml:{n}: {said}" for n, _ in bad),
                        [{"field": "lora.rank", "description": f"job.yaml:{n}: {said}"} for n, _ in bad])
        made = job(len(self.jobs) + 900, "pasted", "QUEUED", jobYaml=text, queuePosition=1)
        if request.get("validateOnly"):
            return {"job": {k: v for k, v in made.items() if k != "id"}}
        self.add(made)
        return {"job": made}

    def set_state(self, request, state):
        self.find(request["id"])
        self.change(request["id"], state=state)
        return {"job": self.jobs[request["id"]]}

    def CancelJob(self, request):
        return self.set_state(request, "CANCELLED")

    def PauseJob(self, request):
        return self.set_state(request, "PAUSED")

    def ResumeJob(self, request):
        return self.set_state(request, "QUEUED")

    def UpdateJob(self, request):
        self.change(request["id"], priority=request["priority"]["value"], labels=request["labels"])
        return {"job": self.jobs[request["id"]]}

    def DeleteJob(self, request):
        self.find(request["id"])
        with self.lock:
            del self.jobs[request["id"]]
            self.lock.notify_all()
        return {}

    def ListCheckpoints(self, _):
        return {"checkpoints": [{"step": 120, "bytes": "26600000", "timeMs": str(NOW_MS), "path": "checkpoint/step-120.checkpoint"}]}

    def ListFiles(self, request):
        return {"files": [{"path": name, "bytes": str(len(text)), "timeMs": str(NOW_MS)} for name, text in sorted(self.files[request["id"]].items())]}

    # ---- streams: generators of messages; None asks to wait for a change ----

    def WatchJob(self, request):
        id, shown = request["id"], None
        self.find(id)
        next_step, after = max(1, request.get("fromStep", 1)), int(request.get("afterEvent") or 0)
        while True:
            made = {k: v for k, v in self.jobs[id].items() if k != "jobYaml"}
            key = (made["state"], made.get("phase"), made.get("reason"), len(made.get("notices", ())))
            if key != shown:
                shown = key
                yield {"job": made}
            for row in self.steps[id][next_step - 1:]:
                next_step = row["step"] + 1
                yield {"step": row}
            for event in self.events[id] if request.get("events") else ():
                if int(event["id"]) > after:
                    after = int(event["id"])
                    yield {"happened": event}
            if made["state"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
                return
            yield None

    def WatchJobs(self, request):
        asked = request.get("jobs", {})
        self.calls.append(("WatchJobs", request))
        sent, first = {}, True
        while True:
            answer = self.ListJobs(asked)
            page = {j["id"]: j for j in answer["jobs"]}
            news = {"jobs": [j for j in page.values() if sent.get(j["id"]) != j], "gone": [id for id in sent if id not in page],
                    "more": bool(answer["nextPageToken"]), "running": 1, "queued": 1}
            if first or news["jobs"] or news["gone"]:
                yield json.loads(json.dumps(news))
            sent, first = json.loads(json.dumps(page)), False
            yield None

    def FollowLogs(self, request):
        id, at = request["id"], int(request.get("fromOffset") or 0)
        while True:
            text = self.logs[id].encode()
            if len(text) > at:
                yield {"text": text[at:].decode(), "nextOffset": str(len(text))}
                at = len(text)
            if self.jobs[id]["state"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
                return
            yield None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def world(self):
        return self.server.world

    def head(self, status, kind, length=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("X-Content-Type-Options", "nosniff")
        if length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))

    def answer(self, status, kind, body, **headers):
        self.head(status, kind, len(body))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, body, status=200, **headers):
        self.answer(status, "application/json", json.dumps(body).encode(), **headers)

    def fail(self, fault):
        self.answer_json({"code": fault.code, "message": str(fault), "violations": list(fault.violations)}, STATUS[fault.code])

    def check(self):
        if self.world.down:
            raise Fault("UNAVAILABLE", "dashd restarts")
        if self.world.token and f"session={self.world.token}" not in self.headers.get("Cookie", ""):
            raise Fault("UNAUTHENTICATED", "no session")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        path = self.path.removeprefix(self.server.prefix)
        try:
            if path == "login":
                if body.get("token") != self.world.token:
                    raise Fault("UNAUTHENTICATED", "this token is not known")
                return self.answer_json({}, Set_Cookie=f"session={self.world.token}; HttpOnly; SameSite=Strict; Path=/")
            self.check()
            method = path.removeprefix("rpc/dash.v1.FineTuning/")
            self.world.calls.append((method, body))
            self.answer_json(getattr(self.world, method)(body))
        except Fault as fault:
            self.fail(fault)

    def do_GET(self):
        path, _, query = self.path.removeprefix(self.server.prefix).partition("?")
        try:
            if path.startswith("rpc/dash.v1.FineTuning/"):
                self.check()
                return self.stream(path.rsplit("/", 1)[1], json.loads(urllib.parse.parse_qs(query)["message"][0]))
            if path.startswith("files/"):
                self.check()
                return self.file(*path.split("/", 2)[1:])
            return self.page(path or "index.html")
        except Fault as fault:
            return self.fail(fault)

    def page(self, name):
        file = os.path.join(self.server.folder, os.path.basename(name))
        if not os.path.isfile(file):
            raise Fault("NOT_FOUND", "no such page")
        with open(file, "rb") as f:
            self.answer(200, TYPES[os.path.splitext(file)[1]], f.read())

    def file(self, id, path):
        text = self.world.files[id].get(urllib.parse.unquote(path))
        if text is None:
            raise Fault("NOT_FOUND", f"job {id} has no file {path}")
        self.answer(200, "text/plain; charset=utf-8", text.encode())

    def stream(self, method, request):
        world = self.world
        world.streams.append((method, request))
        messages = getattr(world, method)(request)
        generation = world.generation
        first = next(messages)  # what is wrong with the request is an answer of its own
        self.head(200, "text/event-stream")
        self.end_headers()
        try:
            self.send_event(first)
            for message in messages:
                if message is not None:
                    self.send_event(message)
                    continue
                with world.lock:
                    if world.generation == generation:
                        world.lock.wait(2)
                if world.generation != generation or self.server.closing:
                    return
                if not world.silent:
                    self.wfile.write(b": alive\n\n")
            self.wfile.write(b'event: end\ndata: {"code":"OK"}\n\n')
        except OSError:
            pass  # the page has gone

    def send_event(self, message):
        if message is not None:
            self.wfile.write(b"data: " + json.dumps(message).encode() + b"\n\n")


class Server(http.server.ThreadingHTTPServer):
    """Serves the page of a folder, below a path as behind a proxy."""
    daemon_threads = True

    def __init__(self, folder, prefix="/dash/"):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.prefix, self.world, self.closing = folder, prefix, World(), False
        self.address = f"http://127.0.0.1:{self.server_address[1]}{prefix}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_):
        pass  # browsers close connections as they like

    def close(self):
        self.closing = True
        self.world.cut(True)
        self.shutdown()
        self.server_close()
