"""The part of OpenAI's API that dashd speaks: by plain HTTP, and, where it can be had from PyPI, by the official openai
package, which does the whole tour with real programs."""
import concurrent.futures
import contextlib
import http.client
import resource
import socket
import sqlite3
import venv

from harness import *

CACHE = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
SMOLLM2 = os.path.join(CACHE, "dash/models/SmolLM2-135M-Instruct.Q4_1.gguf")
ROWS = "".join(json.dumps({"messages": [{"role": "user", "content": f"Say number {i}."},
                                        {"role": "assistant", "content": f"It is {i}!"}]}) + "\n" for i in range(8))
IDS = "".join(json.dumps({"input_ids": [1, 2, 3, 4 + i], "labels": [-100, 2, 3, 4 + i]}) + "\n" for i in range(12))


def form(*fields, boundary="xYzZY"):
    """multipart/form-data of (name, filename or None, bytes)."""
    body = b""
    for name, filename, value in fields:
        file = f'; filename="{filename}"' if filename else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + value + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class OpenAi(World):
    def serve(self, *options, models=(), **more):
        for name, path in models:
            options += ("--model", f"{name}={path}")
        self.daemon = self.dashd(*options, **more)
        self.port = int(self.read("state/http-port"))

    def token(self, name, role):
        return subprocess.run([os.path.join(BIN, "dashd"), "token", "add", name, "--role", role, "--state", self.path("state")],
                              capture_output=True, text=True, timeout=DEADLINE, check=True).stdout.strip()

    def ask(self, method, path, body=None, token=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        self.addCleanup(connection.close)
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, "/v1/" + path, body, {"Authorization": "Bearer " + (token or self.me), **headers})
        response = connection.getresponse()
        return response.status, response.read()

    def got(self, method, path, body=None, status=200, **more):
        code, text = self.ask(method, path, body, **more)
        self.assertEqual(code, status, text)
        return json.loads(text)

    def refused(self, method, path, body=None, status=400, param=None, **more):
        error = self.got(method, path, body, status, **more)["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        if param:
            self.assertEqual(error["param"], param, error)
        return error["message"]

    def upload(self, content, name="train.jsonl", purpose="fine-tune", status=200, **more):
        body, kind = form(("purpose", None, purpose.encode()), ("file", name, content))
        return self.got("POST", "files", body, status, Content_Type=kind, **more)


class Api(OpenAi):
    def setUp(self):
        super().setUp()
        self.serve(models=[("tiny", os.path.join(TINY, "model"))])
        self.me = self.token("me", "submit")

    def job(self, **more):
        file = self.upload(IDS.encode())["id"]
        return self.got("POST", "fine_tuning/jobs", {"model": "tiny", "training_file": file, **more})

    def test_a_file_comes_back_as_it_went(self):
        content = bytes(range(256)) * 9000 + b"\r\n--xYzZ no end"
        file = self.upload(content, name="a b.jsonl")
        self.assertEqual((file["bytes"], file["object"], file["status"]), (len(content), "file", "processed"))
        self.assertEqual(self.ask("GET", f"files/{file['id']}/content"), (200, content))
        self.assertEqual(self.got("GET", f"files/{file['id']}"), file)
        self.daemon.stop()
        self.serve()
        self.assertEqual([f["id"] for f in self.got("GET", "files")["data"]], [file["id"]])
        self.assertTrue(self.got("DELETE", f"files/{file['id']}")["deleted"])
        self.refused("GET", f"files/{file['id']}", status=404)
        self.assertEqual(os.listdir(self.path("state/files")), [])

    def test_files_are_their_owners(self):
        file = self.upload(b"{}\n")["id"]
        other, admin = self.token("other", "submit"), self.token("admin", "admin")
        for path in (f"files/{file}", f"files/{file}/content"):
            self.refused("GET", path, status=404, token=other)
        self.refused("DELETE", f"files/{file}", status=404, token=other)
        self.assertEqual(self.got("GET", "files", token=other)["data"], [])
        self.assertEqual(self.ask("GET", f"files/{file}/content", token=admin)[0], 200)
        self.refused("POST", "files", "x", status=403, token=self.token("reader", "read"))
        self.refused("POST", "fine_tuning/jobs", {"model": "tiny", "training_file": file}, token=other, param="training_file")
        for bad in ("../tokens.json", "..%2f..%2ftokens.json", "file-" + "0" * 24, "file-%00", "x/content", ""):
            self.assertIn(self.ask("GET", f"files/{bad}")[0], (400, 404), bad)

    def test_names_of_files_are_made_text(self):
        for name, kept in ((b"\xff.jsonl", "?.jsonl"), (b"x" * 254 + "é".encode(), "x" * 254)):
            body, kind = form(("purpose", None, b"fine-tune"), ("file", "NAME", b"{}"))
            self.assertEqual(self.got("POST", "files", body.replace(b"NAME", name), Content_Type=kind)["filename"], kept)
        body, kind = form(("purpose", None, b"\xff"), ("file", "a", b"{}"))
        self.assertIn('not "?"', self.refused("POST", "files", body, Content_Type=kind))
        before = sorted(os.listdir(self.path("state/files")))
        self.daemon.stop()
        with open(self.path("state/files/file-0123456789abcdef01234567.jsonl"), "w") as f:
            f.write("{}")  # of a dashd that was killed
        self.serve()
        self.assertEqual(sorted(os.listdir(self.path("state/files"))), before)
        self.assertEqual(len(self.got("GET", "files")["data"]), 2)

    def test_uploads_that_are_wrong_leave_nothing(self):
        whole, kind = form(("purpose", None, b"fine-tune"), ("file", "a", b"x" * 3000000))
        for body, type in ((b"{}", "application/json"), (b"", kind), (whole[:-40], kind), (whole[:200000], kind),
                           (whole, "multipart/form-data"), (b"junk", kind), form(("file", "a", b"x")), form(("purpose", None, b"fine-tune")),
                           form(("purpose", None, b"batch"), ("file", "a", b"x")), form(("purpose", None, b"p" * 100), ("file", "a", b"x")),
                           form(("purpose", None, b"fine-tune"), ("other", None, b"x"), ("file", "a", b"x"))):
            self.refused("POST", "files", body, Content_Type=type)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        connection.putrequest("POST", "/v1/files")
        for header in (("Authorization", "Bearer " + self.me), ("Content-Type", kind), ("Content-Length", str(len(whole)))):
            connection.putheader(*header)
        connection.endheaders(whole[:2000000])
        wait_for(lambda: os.listdir(self.path("state/files")), "it is being written")
        connection.close()
        wait_for(lambda: not os.listdir(self.path("state/files")), "nothing is left")
        self.assertEqual(self.got("GET", "files")["data"], [])

    def test_an_upload_without_a_length(self):
        def chunk(b):
            s.sendall(b"%x\r\n" % len(b) + b + b"\r\n")
        body, kind = form(("purpose", None, b"fine-tune"), ("file", "a", b"x" * 3000000))
        end, (before, after) = {}, body.split(b"x" * 3000000)
        for size in (3000000, 550 << 20):
            s = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
            self.addCleanup(s.close)
            s.sendall((f"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.me}\r\n"
                       f"Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
            try:
                chunk(before)
                for _ in range(size // 10000):
                    chunk(b"x" * 10000)
                chunk(after)
                s.sendall(b"0\r\n\r\n")
                end[size] = s.recv(100000)
            except OSError as error:
                end[size] = error
        self.assertIn(b'"bytes":3000000', end[3000000])
        self.assertFalse(isinstance(end[550 << 20], bytes) and end[550 << 20], "it is ended where it is too large")
        wait_for(lambda: len(os.listdir(self.path("state/files"))) == 2, "nothing is left of the second")
        self.assertEqual(self.daemon.stop(), 0)

    def test_a_large_upload_takes_little_memory_and_delays_nobody(self):
        def resident():
            with open(f"/proc/{self.daemon.process.pid}/status") as f:
                return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        before = resident()
        self.upload(b"x" * (200 << 20))
        if not ADDRESS_SANITIZER:
            self.assertLess(resident() - before, 32 << 10)
        body, kind = form(("purpose", None, b"fine-tune"), ("file", "a", b""))
        message = self.refused("POST", "files", body, Content_Type=kind, Content_Length=str(1 << 40))
        self.assertIn("too large", message)

    def test_a_job_from_its_creation_to_its_end(self):
        job = self.job(suffix="my-run", seed=7, metadata={"who": "me"},
                       method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 3}}})
        self.assertEqual((job["object"], job["model"], job["seed"], job["metadata"]), ("fine_tuning.job", "tiny", 7, {"who": "me"}))
        self.assertEqual(job["hyperparameters"], {"n_epochs": 2, "batch_size": 3, "learning_rate_multiplier": "auto"})
        ended = wait_for(lambda: (j := self.got("GET", "fine_tuning/jobs/" + job["id"]))["status"] == "succeeded" and j, "it has succeeded")
        number = job["id"].removeprefix("ftjob-")
        self.assertEqual(ended["fine_tuned_model"], f"ft:tiny:dash:my-run:{number}")
        self.assertGreater(ended["trained_tokens"], 0)
        saved = self.daemon.client().GetJob(id=number).job
        self.assertIn("steps: 8", saved.job_yaml)
        self.assertEqual(saved.created_by, "token:me")
        events = self.got("GET", f"fine_tuning/jobs/{job['id']}/events?limit=2")
        self.assertEqual((len(events["data"]), events["has_more"]), (2, True))
        self.assertGreater(events["data"][0]["created_at"] + 1, events["data"][1]["created_at"])
        rest = self.got("GET", f"fine_tuning/jobs/{job['id']}/events?after={events['last_id']}")["data"]
        self.assertEqual(rest[-1]["message"], "The job is queued")
        csv = self.ask("GET", f"files/{ended['result_files'][0]}/content")[1].decode().splitlines()
        self.assertEqual(len(csv) - 1, saved.steps_done)
        self.assertIn(ended["fine_tuned_model"], [m["id"] for m in self.got("GET", "models")["data"]])
        self.got("GET", "models/" + ended["fine_tuned_model"])
        self.assertEqual(self.got("GET", "fine_tuning/jobs?metadata[who]=me")["data"][0]["id"], job["id"])
        self.assertEqual(self.got("GET", "fine_tuning/jobs?metadata[who]=you")["data"], [])

    def events(self, id, **query):
        query = "&".join(f"{k}={v}" for k, v in query.items())
        return self.got("GET", f"fine_tuning/jobs/{id}/events?{query}")

    def test_steps_are_events_in_pages_that_stay_while_a_job_runs(self):
        hold = self.write("hold", "19")
        self.daemon.stop()
        self.serve(models=[("tiny", os.path.join(TINY, "model"))], env={"FAKE_HOLD": hold, "FAKE_STEPS": "40"})
        id = self.job(hyperparameters={"n_epochs": 40, "batch_size": 12})["id"]
        number = id.removeprefix("ftjob-")
        client = self.daemon.client()
        self.wait_step(client, number, 19)
        page = self.events(id, limit=5)
        self.assertEqual([(e["type"], e["data"]["step"], e["data"]["total_steps"]) for e in page["data"]],
                         [("metrics", n, 40) for n in range(19, 14, -1)])
        newest = page["data"][0]
        self.assertEqual((newest["message"], newest["data"]["train_loss"], newest["level"], newest["object"]),
                         (f"Step 19/40: training loss={2 / 19:.4g}", 2 / 19, "info", "fine_tuning.job.event"))
        self.assertLess(abs(newest["created_at"] - time.time()), 60 * SLOWNESS)
        seen = page["data"]
        while page["has_more"]:  # while the job continues, and ends
            self.write("hold", str(19 + len(seen)))
            page = self.events(id, limit=5, after=page["last_id"])
            self.assertLessEqual(len(page["data"]), 5)
            seen += page["data"]
        self.assertEqual([e["data"]["step"] for e in seen if e["type"] == "metrics"], list(range(19, 0, -1)))
        self.assertEqual(len({e["id"] for e in seen}), len(seen))
        self.assertEqual(seen[-1]["message"], "The job is queued")
        self.write("hold", "99")
        self.wait_state(client, number, pb.SUCCEEDED)
        whole = self.events(id, limit=100)["data"]
        at = [e["id"] for e in whole].index(seen[0]["id"])
        self.assertEqual(whole[at:], seen)
        self.assertEqual(whole[0]["message"], "The job is succeeded")
        self.assertEqual([e["data"]["step"] for e in whole if e["type"] == "metrics"], list(range(40, 0, -1)))
        self.assertEqual(self.events(id, after=whole[-1]["id"])["data"], [])
        for wrong in ("ftevent-x", "ftevent-0", "7", "ftevent-3-", f"ftevent-{int(number) + 1}-3", "ftevent-1%20"):
            self.refused("GET", f"fine_tuning/jobs/{id}/events?after={wrong}", param="after")

    def test_the_facts_of_metrics_say_how_long_they_are(self):
        self.daemon.stop()
        self.serve(models=[("tiny", os.path.join(TINY, "model"))], env={"FAKE_STEPS": "1500", "FAKE_HOLD": self.write("hold", "299")})
        id = self.job(hyperparameters={"n_epochs": 1500, "batch_size": 12})["id"]
        file, client = id.replace("ftjob", "file-metrics"), self.daemon.client()
        self.wait_step(client, id.removeprefix("ftjob-"), 299)
        for _ in range(2):
            content = self.ask("GET", f"files/{file}/content")[1]
            self.assertEqual(len(content.splitlines()), 300)
            self.assertEqual(self.got("GET", "files/" + file)["bytes"], len(content))
        self.write("hold", "9999")
        self.wait_state(client, id.removeprefix("ftjob-"), pb.SUCCEEDED)
        content = self.ask("GET", f"files/{file}/content")[1]
        self.assertEqual(content.splitlines()[1500], b"1500,%.10g,,0.001" % (2 / 1500))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            facts = list(pool.map(lambda _: self.got("GET", "files/" + file), range(24)))
        self.assertEqual({f["bytes"] for f in facts}, {len(content)})
        self.refused("GET", "files/file-metrics-99", status=404)

    def test_metrics_of_a_job_that_is_deleted_meanwhile_are_seen_to_be_cut_off(self):
        id = self.job()["id"].removeprefix("ftjob-")
        self.wait_state(self.daemon.client(), id, pb.SUCCEEDED)
        self.daemon.stop()
        with contextlib.closing(sqlite3.connect(self.path("state/jobs.db"))) as store, store:  # more than sockets hold
            store.execute("INSERT OR REPLACE INTO steps WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)"
                          " SELECT ?, i, 1.0 / i, 1, 1e-4, 1, 1, 1, 1, 0, 0, 0 FROM n", (int(id),))
        self.serve(models=[("tiny", os.path.join(TINY, "model"))])
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        self.addCleanup(connection.close)
        connection.request("GET", f"/v1/files/file-metrics-{id}/content", headers={"Authorization": "Bearer " + self.me})
        response = connection.getresponse()
        response.read(1000)
        self.daemon.client().DeleteJob(id=id)
        with self.assertRaises(http.client.IncompleteRead):
            response.read()

    def test_jobs_are_paused_resumed_and_cancelled_by_their_creators(self):
        job = self.job(hyperparameters={"n_epochs": 100000, "batch_size": 1})
        path = "fine_tuning/jobs/" + job["id"]
        status = lambda: self.got("GET", path)["status"]
        wait_for(lambda: status() == "running", "it runs")
        self.refused("POST", path + "/cancel", status=403, token=self.token("other", "submit"))
        self.refused("DELETE", "files/" + job["training_file"])
        self.got("POST", path + "/pause")
        wait_for(lambda: status() == "paused", "it is paused")
        self.got("POST", path + "/resume", {})
        wait_for(lambda: status() in ("queued", "running"), "it runs again")
        self.got("POST", path + "/cancel")
        wait_for(lambda: status() == "cancelled", "it is cancelled")
        self.refused("POST", path + "/cancel")
        self.got("GET", path + "/checkpoints")
        self.refused("POST", path + "/nothing", status=404)
        self.refused("POST", "fine_tuning/jobs/ftjob-99/cancel", status=404)

    def test_a_request_that_is_repeated_makes_one_job(self):
        body = {"model": "tiny", "training_file": self.upload(IDS.encode())["id"]}
        first, again = (self.got("POST", "fine_tuning/jobs", body, Idempotency_Key="once") for _ in range(2))
        self.assertEqual(first["id"], again["id"])
        self.refused("POST", "fine_tuning/jobs", {**body, "seed": 3}, 409, Idempotency_Key="once")
        self.assertNotEqual(self.got("POST", "fine_tuning/jobs", body, Idempotency_Key="other")["id"], first["id"])

    def test_jobs_made_elsewhere_are_none_of_this_api(self):
        job = self.create(self.daemon.client())
        self.refused("GET", "fine_tuning/jobs/ftjob-" + job.id, status=404)
        self.assertEqual(self.got("GET", "fine_tuning/jobs")["data"], [])

    def test_what_is_not_offered_is_refused_by_name(self):
        file = self.upload(IDS.encode())["id"]
        good = {"model": "tiny", "training_file": file}
        for wrong, param in (({"model": "gpt-4o"}, None), ({"model": 3}, "model"), ({"training_file": "file-1"}, "training_file"),
                             ({"validation_file": "file-1"}, "validation_file"), ({"method": {"type": "dpo"}}, "method"),
                             ({"hyperparameters": {"n_epochs": 0}}, "n_epochs"), ({"hyperparameters": {"beta": 1}}, "beta"),
                             ({"hyperparameters": {"batch_size": 1.5}}, "batch_size"), ({"seed": -1}, "seed"), ({"suffix": "a b"}, "suffix"),
                             ({"integrations": [{"type": "wandb"}]}, "integrations"), ({"metadata": {"a": 1}}, "metadata"),
                             ({"metadata": {"a b": "c"}}, None), ({"nonsense": 1}, "nonsense")):
            self.refused("POST", "fine_tuning/jobs", {**good, **wrong}, status=404 if wrong == {"model": "gpt-4o"} else 400, param=param)
        self.assertEqual(self.got("GET", "fine_tuning/jobs")["data"], [])
        bad = self.upload(b"{not json}\n")["id"]
        self.assertIn("JSON", self.refused("POST", "fine_tuning/jobs", {"model": "tiny", "training_file": bad}))
        for method, path in (("POST", "embeddings"), ("GET", "batches"), ("DELETE", "models/tiny"), ("POST", "responses")):
            self.assertIn("offers", self.refused(method, path, {}, status=404))
        self.refused("GET", "fine_tuning/jobs?limit=0", param="limit")
        self.refused("GET", "models", status=401, token="sk-wrong")
        chat = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
        for wrong, param in (({"n": 2}, "n"), ({"tools": []}, "tools"), ({"stop": 3}, "stop"), ({"stop": ["a"] * 5}, "stop"),
                             ({"temperature": 2.5}, "temperature"), ({"max_tokens": 0}, "max_tokens"), ({"messages": []}, "messages"),
                             ({"messages": "hi"}, "messages"), ({"top_logprobs": 21}, "top_logprobs"), ({"model": None}, "model"),
                             ({"presence_penalty": 1}, "presence_penalty"), ({"response_format": {"type": "json_object"}}, "response_format"),
                             ({"response_format": "json"}, "response_format"), ({"stream": "yes"}, "stream"), ({"logprobs": 1}, "logprobs"),
                             ({"top_logprobs": 2}, "top_logprobs"), ({"stream_options": True}, "stream_options")):
            self.refused("POST", "chat/completions", {**chat, **wrong}, param=param)
        self.refused("POST", "chat/completions", chat, status=403, token=self.token("reader", "read"))


class Disk(OpenAi):
    def test_a_disk_that_is_full_is_said_and_nothing_is_left(self):
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, limit[1]))  # dashd gets an error, no signal
        try:
            self.serve()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        self.me = self.token("me", "submit")
        error = self.upload(b"x" * (8 << 20), status=500)["error"]
        self.assertIn("File too large", error["message"])
        self.assertEqual(os.listdir(self.path("state/files")), [])
        self.upload(b"x" * 1000)


@unittest.skipUnless(os.path.exists(SMOLLM2), "SmolLM2 is not in the cache: deploy/get-model smollm2")
class Chat(OpenAi):
    def setUp(self):
        super().setUp()
        self.serve(models=[("smollm2", SMOLLM2)], programs=None)
        self.me = self.token("me", "submit")

    def ask_model(self, text, **more):
        return self.got("POST", "chat/completions", {"model": "smollm2", "messages": [{"role": "user", "content": text}], **more})

    def test_the_answer_is_that_of_generate(self):
        done = self.dashctl("generate", "--model", SMOLLM2, "What is the capital of France?", "--max-tokens", "12")
        answer = self.ask_model("What is the capital of France?", temperature=0, max_tokens=12)
        self.assertEqual(answer["choices"][0]["message"]["content"], done.stdout.rstrip("\n"))
        sampled = [self.ask_model("Write a story.", temperature=1, max_tokens=8, seed=s)["choices"][0]["message"]["content"] for s in (1, 1, 2)]
        self.assertEqual(sampled[0], sampled[1])
        self.assertNotEqual(sampled[0], sampled[2])

    def test_a_client_that_leaves_frees_the_model(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        connection.request("POST", "/v1/chat/completions", json.dumps({
            "model": "smollm2", "messages": [{"role": "user", "content": "Write a long story."}], "max_tokens": 4000, "stream": True}),
            {"Authorization": "Bearer " + self.me, "Content-Type": "application/json"})
        response = connection.getresponse()
        response.readline()
        response.close()
        connection.close()
        begun = time.monotonic()
        self.ask_model("Hi", max_tokens=1)
        self.assertLess(time.monotonic() - begun, 20 * SLOWNESS)

    def test_a_model_that_dies_is_said_and_started_again(self):
        self.ask_model("Hi", max_tokens=1)
        pid, = [p for p in self.job_processes() + children(self.daemon.process.pid) if program_of(p) == "dash-worker"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not is_alive(pid), "it is gone")
        self.ask_model("Hi", max_tokens=1)

    def stop_model(self):
        """Its process says nothing from now on, and does not end when it is asked to."""
        pid, = [p for p in self.job_processes() + children(self.daemon.process.pid) if program_of(p) == "dash-worker"]
        os.kill(pid, signal.SIGSTOP)
        return pid

    def test_a_model_that_hangs_is_ended_and_its_question_fails(self):
        self.daemon.stop()
        silence = int(5 * SLOWNESS)
        self.serve("--chat-silence", str(silence), models=[("smollm2", SMOLLM2)], programs=None)
        self.ask_model("Hi", max_tokens=1)
        pid = self.stop_model()
        status, text = self.ask("POST", "chat/completions", {"model": "smollm2", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})
        self.assertEqual(status, 500, text)
        self.assertIn(f"it has said nothing for {silence} s", json.loads(text)["error"]["message"])
        self.assertFalse(is_alive(pid))
        self.ask_model("Hi", max_tokens=1)

    def test_a_model_that_does_not_end_gives_its_place(self):
        self.daemon.stop()
        os.symlink(SMOLLM2, self.path("other.gguf"))
        self.serve(models=[("smollm2", SMOLLM2), ("other", self.path("other.gguf"))], programs=None)
        self.ask_model("Hi", max_tokens=1)
        pid = self.stop_model()
        self.got("POST", "chat/completions", {"model": "other", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})
        self.assertFalse(is_alive(pid))

    def test_a_model_that_cannot_be_loaded_is_said(self):
        self.daemon.stop()
        self.serve(models=[("none", "/nowhere/model.gguf")], programs=None)
        chat = {"model": "none", "messages": [{"role": "user", "content": "hi"}]}
        self.assertIn("No such file", self.refused("POST", "chat/completions", chat))

    def test_the_official_package_does_the_whole_tour(self):
        python = openai_python()
        if not python:
            self.skipTest("the openai package cannot be had from PyPI here")
        train = self.write("train.jsonl", ROWS)
        done = subprocess.run([python, os.path.join(SOURCE, "tests/e2e/openai_tour.py"), f"http://127.0.0.1:{self.port}/v1", self.me, train],
                              capture_output=True, text=True, timeout=5 * DEADLINE)
        self.assertEqual((done.returncode, done.stdout), (0, "the tour is done\n"), done.stderr)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def openai_python():
    """Of a virtual environment with the package, made once; None where PyPI cannot be reached."""
    folder = os.path.join(CACHE, "dash/openai-venv")
    python = os.path.join(folder, "bin/python")
    has = lambda: os.path.exists(python) and subprocess.run([python, "-c", "import openai"], capture_output=True).returncode == 0
    if not has():
        try:
            venv.create(folder, with_pip=True)
        except (subprocess.CalledProcessError, OSError):
            return None
        subprocess.run([python, "-m", "pip", "install", "--quiet", "openai>=2"], capture_output=True, timeout=300)
    return python if has() else None


if __name__ == "__main__":
    unittest.main(verbosity=2)
