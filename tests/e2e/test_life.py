"""The life of a job beyond submit and watch: requests sent twice, labels, priorities, pauses, events, files, deletion."""
import base64
import hashlib
import shutil

from concurrent import futures

from google.protobuf import any_pb2
from harness import *

INVALID = grpc.StatusCode.INVALID_ARGUMENT
STATE = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def labels(**values):
    return [pb.Label(name=name, value=value) for name, value in values.items()]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields_of(data):
    """[(number, bytes or int)] of a message, by the wire format alone."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        found.append((key >> 3, value))
    return found


class Requests(World):
    def test_a_request_that_is_sent_again_makes_no_second_job(self):
        client = self.dashd().client()
        fields = dict(request_id="build-17", labels=labels(team="nlp"), priority=5)
        job = self.create(client, **fields)
        self.assertEqual(self.create(client, **fields).id, job.id)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        again = self.create(client, **fields)  # its folder is not empty any more, which a new job could not have
        self.assertEqual((again.id, again.state), (job.id, pb.SUCCEEDED))
        self.assertEqual(len(client.ListJobs().jobs), 1)
        with self.assertRaises(grpc.RpcError) as refused:
            self.create(client, name="other", request_id="build-17")
        self.assertEqual(refused.exception.code(), grpc.StatusCode.ALREADY_EXISTS)

    def test_two_at_once_make_one_job_and_a_restart_remembers(self):
        dashd = self.dashd()
        client = dashd.client()
        with open(os.path.join(TINY, "job.yaml")) as f:
            request = pb.CreateJobRequest(job_yaml=f.read(), directory=TINY, request_id="twice",
                                          overrides=[f"output={self.path('out')}", "data.max_tokens=128"])
        call = client.channel.unary_unary("/dash.v1.FineTuning/CreateJob", request_serializer=pb.CreateJobRequest.SerializeToString,
                                          response_deserializer=pb.CreateJobResponse.FromString)
        answers = [call.future(request, timeout=DEADLINE) for _ in range(4)]
        self.assertEqual({a.result().job.id for a in answers}, {"1"})
        self.wait_state(client, "1", pb.SUCCEEDED)
        dashd.stop()
        self.assertEqual(self.dashd().client().CreateJob(
            job_yaml=request.job_yaml, directory=TINY, request_id="twice", overrides=list(request.overrides)).job.id, "1")

    def test_validate_only_keeps_nothing(self):
        client = self.dashd().client()
        job = self.create(client, validate_only=True, labels=labels(a="b"))
        self.assertEqual((job.id, job.output, job.labels[0].value), ("", self.path("out"), "b"))
        self.assertIn("rank: 8", job.job_yaml)
        self.assertEqual(len(client.ListJobs().jobs), 0)
        self.assertFalse(os.path.exists(self.path("out")))
        self.assertEqual(self.create(client).id, "1")

    def test_what_a_request_may_not_have_is_refused(self):
        client = self.dashd().client()
        for wrong in (dict(request_id="a" * 129), dict(request_id="a b"), dict(request_id="\n"), dict(priority=1001),
                      dict(priority=-2**31), dict(labels=labels(**{"": "x"})), dict(labels=labels(**{"a=b": "x"})),
                      dict(labels=labels(a="x\ny")), dict(labels=labels(a="x" * 257)), dict(labels=labels(a="1") + labels(a="2")),
                      dict(labels=[pb.Label(name=f"l{i}") for i in range(65)])):
            with self.subTest(wrong):
                self.refused(INVALID, lambda: self.create(client, **wrong))
        self.assertEqual(len(client.ListJobs().jobs), 0)

    def test_problems_come_with_their_fields(self):
        client = self.dashd().client()
        with self.assertRaises(grpc.RpcError) as refused:
            self.create(client, overrides=["lora.rank=0", "training.batch_size=-3", "training.scheduel=linear"])
        trailer = dict(refused.exception.trailing_metadata())["grpc-status-details-bin"]
        status = fields_of(trailer)
        self.assertEqual(dict(status)[1], 3)
        detail = any_pb2.Any.FromString(dict(status)[3])
        self.assertEqual(detail.type_url, "type.googleapis.com/google.rpc.BadRequest")
        violations = [dict(fields_of(v)) for _, v in fields_of(detail.value)]
        found = {v.get(1, b"").decode(): v[2].decode() for v in violations}
        self.assertIn("lora.rank", found)
        self.assertIn("training.batch_size", found)
        self.assertEqual(len(violations), 3)
        for text in found.values():
            self.assertIn(text, refused.exception.details())

    def test_many_long_problems_still_fit_a_status(self):
        client = self.dashd().client()
        with self.assertRaises(grpc.RpcError) as refused:
            self.create(client, overrides=[f"lora.nothing_{'ü' * 40}_{i}=1" for i in range(200)])
        self.assertEqual(refused.exception.code(), INVALID)
        self.assertIn("more lines", refused.exception.details())


class Roots(World):
    """--allow-root: what a job names must be in some folders, wherever links lead."""

    def setUp(self):
        super().setUp()
        shutil.copytree(TINY, self.path("in/tiny"))
        shutil.copytree(TINY, self.path("outside/tiny"))
        self.server = self.dashd("--allow-root", self.path("in"), env={"FAKE_HOLD": self.write("hold", "0")})
        self.client = self.server.client()

    def submit(self, output, **more):
        with open(os.path.join(TINY, "job.yaml")) as f:
            return self.client.CreateJob(job_yaml=f.read(), directory=self.path("in/tiny"), file_name="job.yaml",
                                         overrides=[f"output={self.path(output)}", "data.max_tokens=128", "max_restarts=0"]
                                         + [f"{key}={value}" for key, value in more.items()]).job

    def refuse(self, key, output="in/out", **more):
        words = self.refused(INVALID, lambda: self.submit(output, **more))
        self.assertRegex(words, rf"{key}: .* is not in a folder that this dashd allows")
        return words

    def test_what_is_inside_runs_and_what_is_outside_does_not(self):
        self.assertIn(self.submit("in/out").state, (pb.QUEUED, pb.STARTING))
        self.refuse("output", output="outside/out")
        self.refuse("output", output="in/../outside/out")
        self.refuse("output", output="in/nothing/../../outside/out")
        self.refuse("model", model=self.path("outside/tiny/model"))
        self.refuse("data.train", **{"data.train": self.path("outside/tiny/train.jsonl")})
        self.refuse("data.train", **{"data.train": self.path("outside/tiny/*.jsonl")})
        self.refuse("model", model="../../outside/tiny/model")
        self.refuse("data.chat_template", **{"data.chat_template": "/etc/passwd"})
        self.assertFalse(os.path.exists(self.path("outside/out")))

    def test_links_are_followed(self):
        os.symlink(self.path("outside"), self.path("in/link"))
        os.symlink(self.path("nowhere"), self.path("in/dangling"))
        self.refuse("model", model=self.path("in/link/tiny/model"))
        self.refuse("output", output="in/link/out")
        self.refuse("output", output="in/dangling")
        self.refuse("output", output="in/dangling/out")
        self.refuse("data.train", **{"data.train": self.path("in/l*/tiny/train.jsonl")})
        os.rename(self.path("in/tiny/model/config.json"), self.path("outside/config.json"))
        os.symlink(self.path("outside/config.json"), self.path("in/tiny/model/config.json"))
        self.refuse("model", model=self.path("in/tiny/model"))

    def test_a_link_that_changes_after_the_check_is_found_at_the_launch(self):
        self.submit("in/first")
        self.wait_state(self.client, "1", pb.RUNNING)
        job = self.submit("in/folder/out")
        os.makedirs(self.path("outside/folder"))
        os.symlink(self.path("outside/folder"), self.path("in/folder"))
        self.write("hold", "9")
        wait_for(lambda: self.get(self.client, job.id).state == pb.FAILED, "the second fails")
        self.assertIn("is not in a folder that this dashd allows", self.get(self.client, job.id).reason)
        self.assertEqual(os.listdir(self.path("outside/folder")), [])


class Lists(World):
    def setUp(self):
        super().setUp()
        self.client = self.dashd("--max-running", "4", env={"FAKE_HOLD": self.write("hold", "0")}).client()
        for name, sets in (("a1", labels(team="x", kind="t")), ("a2", labels(team="x")), ("b1", labels(team="y"))):
            self.create(self.client, name=name, labels=sets)

    def names(self, **request):
        return [job.name for job in self.client.ListJobs(**request).jobs]

    def test_names_and_labels_select(self):
        self.assertEqual(self.names(name="a1"), ["a1"])
        self.assertEqual(self.names(name="a*"), ["a2", "a1"])
        self.assertEqual(self.names(labels=labels(team="x")), ["a2", "a1"])
        self.assertEqual(self.names(labels=labels(team="x", kind="t")), ["a1"])
        self.assertEqual(self.names(labels=labels(team="")), [])
        self.assertEqual(self.names(name="b*", labels=labels(team="x")), [])

    def test_pages_have_every_job_once(self):
        for size in (1, 2, 3, 4):
            seen, token = [], ""
            while True:
                page = self.client.ListJobs(page_size=size, page_token=token)
                self.assertLessEqual(len(page.jobs), size)
                seen += [job.name for job in page.jobs]
                token = page.next_page_token
                if not token:
                    break
            self.assertEqual(seen, ["b1", "a2", "a1"])
        self.refused(INVALID, self.client.ListJobs, page_token="next")

    def test_labels_and_priority_change_while_it_runs(self):
        job = self.client.UpdateJob(id="a1", labels=labels(kind="u", owner="me=x"), remove_labels=["team"]).job
        self.assertEqual({l.name: l.value for l in job.labels}, {"kind": "u", "owner": "me=x"})
        self.assertEqual(self.client.UpdateJob(id="a1", priority=pb.Priority(value=-7)).job.priority, -7)
        self.assertEqual(self.get(self.client, "a1").priority, -7)
        self.refused(INVALID, self.client.UpdateJob, id="a1", priority=pb.Priority(value=5000))
        self.refused(INVALID, self.client.UpdateJob, id="a1", labels=[pb.Label(name=f"l{i}") for i in range(63)])


class Watched(World):
    """WatchJobs: the list at once, and then what changes in it."""

    def setUp(self):
        super().setUp()
        self.hold = self.write("hold", "0")
        self.client = self.dashd(env={"FAKE_HOLD": self.hold, "FAKE_STEPS": "50"}).client()

    def follow(self, **request):
        """The list as a client has it, after each message, until `done` says that it is as it should be."""
        call, jobs = self.client.WatchJobs(jobs=pb.ListJobsRequest(**request)), {}
        self.addCleanup(call.cancel)

        def until(done, what):
            messages = 0
            while not messages or not done(jobs):
                message = next(call)
                messages += 1
                for id in message.gone:
                    del jobs[id]  # none that was not there
                jobs.update((job.id, job) for job in message.jobs)
            return message, messages
        return jobs, until

    def test_what_changes_in_a_list_is_sent(self):
        ids = [self.create(self.client, name).id for name in ("a", "b", "c")]
        self.wait_state(self.client, ids[0], pb.RUNNING)
        jobs, until = self.follow()
        active, last = self.follow(states=[pb.QUEUED, pb.STARTING, pb.RUNNING]), self.follow(page_size=2)
        first, _ = until(lambda jobs: True, "all")
        self.assertEqual([job.id for job in first.jobs], ids[::-1])
        self.assertEqual((first.running, first.queued, first.more, first.jobs[0].job_yaml), (1, 2, False, ""))
        first, _ = last[1](lambda jobs: True, "two")
        self.assertEqual(([job.id for job in first.jobs], first.more), (ids[:0:-1], True))
        active[1](lambda jobs: len(jobs) == 3, "three")
        # many steps are few messages, of the one job that has them
        self.write("hold", "40")
        message, messages = until(lambda jobs: jobs[ids[0]].steps_done == 40, "the steps")
        self.assertEqual([job.id for job in message.jobs], ids[:1])
        self.assertLess(messages, 20)
        # a new one pushes another from the page of two
        ids.append(self.create(self.client, "d").id)
        until(lambda jobs: len(jobs) == 4 and jobs[ids[3]].queue_position == 3, "the new one")
        last[1](lambda jobs: sorted(jobs) == sorted(ids[2:]), "the newest two")
        self.client.CancelJob(id=ids[3])
        active[1](lambda jobs: ids[3] not in jobs, "it is not active any more")
        self.client.DeleteJob(id=ids[3])
        until(lambda jobs: sorted(jobs) == sorted(ids[:3]), "it is gone")
        message, _ = last[1](lambda jobs: sorted(jobs) == sorted(ids[1:3]), "the one before is seen again")
        self.assertTrue(message.more)
        self.write("hold", "99")
        message, _ = until(lambda jobs: all(job.state == pb.SUCCEEDED for job in jobs.values()), "all have succeeded")
        self.assertEqual((message.running, message.queued), (0, 0))
        active[1](lambda jobs: not jobs, "none is active")
        for id, job in jobs.items():
            self.assertEqual(job, [j for j in self.client.ListJobs().jobs if j.id == id][0])

    def test_one_that_comes_to_the_queue_moves_those_behind_it(self):
        ids = [self.create(self.client, name).id for name in ("a", "b")]
        self.wait_state(self.client, ids[0], pb.RUNNING)
        jobs, until = self.follow()
        until(lambda jobs: jobs[ids[1]].queue_position == 1, "the first in the queue")
        one = self.client.WatchJob(id=ids[1])
        self.addCleanup(one.cancel)
        self.assertEqual(next(one).job.queue_position, 1)
        self.create(self.client, "urgent", priority=3)
        self.assertEqual(next(one).job.queue_position, 2)
        until(lambda jobs: jobs[ids[1]].queue_position == 2, "another before it")

    def test_a_list_is_watched_through_a_batch_script_and_what_is_wrong_is_refused(self):
        jobs, until = self.follow(name="by-hand*", labels=labels(team="nlp"))
        until(lambda jobs: True, "none")
        self.create(self.client, "by-hand", batch=True, labels=labels(team="nlp"), overrides=["launcher=slurm"])
        until(lambda jobs: [job.name for job in jobs.values()] == ["by-hand"], "it is listed")
        for token in ("3", "x"):
            with self.assertRaises(grpc.RpcError) as refused:
                next(self.client.WatchJobs(jobs=pb.ListJobsRequest(page_token=token)))
            self.assertEqual(refused.exception.code(), INVALID)
        next(self.client.WatchJobs())  # without a list: all


class Queue(World):
    def test_the_greatest_priority_starts_first(self):
        hold = self.write("hold", "0")
        client = self.dashd(env={"FAKE_HOLD": hold}).client()
        first = self.create(client, name="first")
        self.wait_state(client, first.id, pb.RUNNING)
        for name, priority in (("late", 0), ("low", -1), ("high", 3)):
            self.create(client, name=name, priority=priority)
        self.assertEqual([self.get(client, n).queue_position for n in ("high", "late", "low")], [1, 2, 3])
        client.UpdateJob(id="low", priority=pb.Priority(value=9))
        self.assertEqual([self.get(client, n).queue_position for n in ("low", "high", "late")], [1, 2, 3])
        self.write("hold", "9")
        for name in ("low", "high", "late"):
            self.wait_state(client, name, pb.SUCCEEDED)
        started = [self.get(client, n).started_ms for n in ("first", "low", "high", "late")]
        self.assertEqual(started, sorted(started))


    def test_jobs_that_do_not_fit_together_run_one_after_the_other(self):
        hold = self.write("hold", "0")
        client = self.dashd("--max-running", "3", "--memory", "80", env={"FAKE_HOLD": hold}).client()
        first = self.create(client, name="first")
        self.wait_state(client, first.id, pb.RUNNING)
        need = self.get(client, "first").memory_bytes
        self.assertTrue(40e6 < need < 80e6, need)  # two do not fit
        for name in ("second", "third"):
            self.create(client, name=name)
        waits = wait_for(lambda: (job := self.get(client, "second")).reason and job, "the second says why it waits")
        self.assertEqual(waits.state, pb.QUEUED)
        self.assertRegex(waits.reason, r"^waits for memory: it needs about \d+ MB, and what runs may take \d+ of 80 MB$")
        self.write("hold", "9")
        for name in ("second", "third"):
            self.assertEqual(self.wait_state(client, name, pb.SUCCEEDED).reason, "")
        ends = [(j.started_ms, j.finished_ms) for j in (self.get(client, n) for n in ("first", "second", "third"))]
        self.assertLessEqual(ends[0][1], ends[1][0])
        self.assertLessEqual(ends[1][1], ends[2][0])


class Pauses(World):
    def setUp(self):
        super().setUp()
        self.hold = self.write("hold", "3")
        self.server = self.dashd(env={"FAKE_HOLD": self.hold})
        self.client = self.server.client()
        self.job = self.create(self.client)
        self.wait_step(self.client, self.job.id, 3)

    def test_a_paused_job_waits_and_continues_from_its_step(self):
        self.assertEqual(self.client.PauseJob(id="1").job.state, pb.RUNNING)
        job = self.wait_state(self.client, "1", pb.PAUSED)
        self.assertEqual(job.reason, "paused after step 3; `dashctl resume 1` continues from there")
        self.assertEqual(job.finished_ms, 0)
        wait_for(lambda: self.job_processes() == [self.server.process.pid], "nothing of the job runs")
        second = self.create(self.client, name="second")  # its place is free
        self.wait_state(self.client, second.id, pb.RUNNING)
        self.client.ResumeJob(id="1")
        self.write("hold", "9")
        self.wait_state(self.client, "1", pb.SUCCEEDED)
        steps = [e.step.step for e in self.client.WatchJob(id="1") if e.HasField("step")]
        self.assertEqual(steps, [1, 2, 3, 4, 5])

    def test_a_queued_job_is_paused_at_once_and_a_restart_leaves_it_so(self):
        second = self.create(self.client, name="second")
        self.assertEqual(self.client.PauseJob(id=second.id).job.state, pb.PAUSED)
        self.refused(STATE, self.client.PauseJob, id=second.id)
        self.server.stop()
        self.client = self.dashd(env={"FAKE_HOLD": self.hold}).client()
        self.write("hold", "9")
        self.wait_state(self.client, "1", pb.SUCCEEDED)
        self.assertEqual(self.get(self.client, second.id).state, pb.PAUSED)
        self.client.ResumeJob(id=second.id)
        self.wait_state(self.client, second.id, pb.SUCCEEDED)

    def test_a_paused_job_can_be_cancelled_and_a_pause_does_not_undo_a_cancel(self):
        self.client.PauseJob(id="1")
        self.wait_state(self.client, "1", pb.PAUSED)
        self.assertEqual(self.client.CancelJob(id="1").job.state, pb.CANCELLED)
        self.client.ResumeJob(id="1")
        self.wait_state(self.client, "1", pb.RUNNING)
        self.client.CancelJob(id="1")
        self.refused(STATE, self.client.PauseJob, id="1")
        self.wait_state(self.client, "1", pb.CANCELLED)

    def test_a_watcher_stays_through_a_pause(self):
        stream = self.client.WatchJob(id="1")
        self.client.PauseJob(id="1")
        self.wait_state(self.client, "1", pb.PAUSED)
        self.client.ResumeJob(id="1")
        self.write("hold", "9")
        states = [e.job.state for e in stream if e.HasField("job")]
        self.assertIn(pb.PAUSED, states)
        self.assertEqual(states[-1], pb.SUCCEEDED)

    def test_a_job_that_is_paused_while_dashd_is_away_is_paused_by_the_next(self):
        self.client.PauseJob(id="1")
        self.server.stop(signal.SIGKILL)
        self.client = self.dashd(env={"FAKE_HOLD": self.hold}).client()
        self.wait_state(self.client, "1", pb.PAUSED)


class Events(World):
    def test_all_that_happened_is_listed_and_watched_alike(self):
        client = self.dashd(env={"FAKE_NOTICE": "a row was cut"}).client()
        job = self.create(client)
        stream = client.WatchJob(id=job.id, events=True)
        watched = [e.happened for e in stream if e.HasField("happened")]
        listed = list(client.ListEvents(id=job.id).events)
        self.assertEqual(watched, listed)
        states = [e.state for e in listed if e.kind == pb.STATE_CHANGED]
        self.assertEqual(states, [pb.QUEUED, pb.STARTING, pb.RUNNING, pb.SUCCEEDED])
        self.assertEqual([e.id for e in listed], sorted(e.id for e in listed))
        self.assertEqual([e.time_ms for e in listed], sorted(e.time_ms for e in listed))
        pages, after = [], 0
        while True:
            page = client.ListEvents(id=job.id, after_event=after, page_size=2)
            pages += list(page.events)
            if not page.more:
                break
            after = pages[-1].id
        self.assertEqual(pages, listed)
        rest = [e.happened for e in client.WatchJob(id=job.id, events=True, after_event=listed[1].id) if e.HasField("happened")]
        self.assertEqual(rest, listed[2:])

    def test_totals_of_tokens_outlast_a_restart(self):
        first = self.dashd()
        client = first.client()
        job = self.create(client)
        before = self.wait_state(client, job.id, pb.SUCCEEDED)
        steps = [e.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        self.assertEqual(before.tokens, sum(s.tokens for s in steps))
        self.assertEqual(before.trained_tokens, sum(s.trained_tokens for s in steps))
        self.assertTrue(before.nodes)
        first.stop()
        after = self.get(self.dashd().client(), job.id)
        self.assertEqual((after.tokens, after.trained_tokens, after.nodes), (before.tokens, before.trained_tokens, before.nodes))


class Files(World):
    def setUp(self):
        super().setUp()
        self.server = self.dashd()
        self.client = self.server.client()
        self.job = self.create(self.client)
        self.wait_state(self.client, self.job.id, pb.SUCCEEDED)
        os.makedirs(self.path("out/adapter"), exist_ok=True)
        self.data = bytes(range(256)) * 5000 + b"end"
        self.put("adapter/model.bin", self.data)

    def put(self, path, data=b"x"):
        os.makedirs(os.path.dirname(self.path("out", path)), exist_ok=True)
        with open(self.path("out", path), "wb") as f:
            f.write(data)

    def download(self, path, **more):
        return list(self.client.DownloadFile(id="1", path=path, **more))

    def test_a_file_comes_whole_with_its_checksum(self):
        listed = {f.path: f.bytes for f in self.client.ListFiles(id="1").files}
        self.assertEqual(listed["adapter/model.bin"], len(self.data))
        self.assertIn("job.yaml", listed)
        for start in (0, 1, 300000, len(self.data)):
            parts = self.download("adapter/model.bin", from_offset=start)
            data = b"".join(p.data for p in parts)
            self.assertEqual(data, self.data[start:])
            self.assertEqual(parts[-1].sha256, hashlib.sha256(data).hexdigest())
            self.assertEqual([p.sha256 for p in parts[:-1]], [""] * (len(parts) - 1))
        self.put("adapter/empty", b"")
        self.assertEqual(self.download("adapter/empty")[0].sha256, hashlib.sha256(b"").hexdigest())
        self.refused(INVALID, self.client.DownloadFile, id="1", path="adapter/model.bin", from_offset=len(self.data) + 1)

    def test_secrets_links_and_what_is_outside_cannot_be_had(self):
        os.makedirs(self.path("out/logs"), exist_ok=True)
        self.put("logs/dashd.json", b"secret")
        self.put("logs/launch", b"mark")
        self.put(".hidden")
        os.symlink("/etc/passwd", self.path("out/link"))
        os.symlink("/etc", self.path("out/folder"))
        os.mkfifo(self.path("out/pipe"))
        listed = [f.path for f in self.client.ListFiles(id="1").files]
        for path in ("logs/dashd.json", "logs/launch", ".hidden", "link", "folder/passwd", "pipe", "lock", "../dashd.log",
                     "/etc/passwd", "adapter/../../dashd.log", "adapter//model.bin", "./job.yaml", "", "adapter", "nothing", "a" * 5000):
            with self.subTest(path):
                self.refused(NOT_FOUND, self.client.DownloadFile, id="1", path=path)
                self.assertNotIn(path, listed)

    def test_slow_readers_and_those_that_leave_cost_little(self):
        self.put("adapter/big", os.urandom(64 << 20))
        idle = [self.client.DownloadFile(id="1", path="adapter/big") for _ in range(8)]
        for stream in idle:
            next(stream)
        self.assertEqual(b"".join(p.data for p in self.download("adapter/model.bin")), self.data)
        with open(f"/proc/{self.server.process.pid}/status") as f:
            resident = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        if "Sanitizer" not in self.daemon_log() and not os.environ.get("DASH_TEST_SANITIZED"):
            self.assertLess(resident, 200 << 10)
        for stream in idle:
            stream.cancel()
        wait_for(lambda: not any("big" in name for name in open_files(self.server.process.pid)), "the files are closed")

    def test_lists_of_many_files_hold_up_nobody(self):
        for i in range(9000):
            with open(self.path("out", f"f{i}"), "w"):
                pass
        call = self.client.channel.unary_unary("/dash.v1.FineTuning/ListFiles", request_serializer=pb.ListFilesRequest.SerializeToString,
                                               response_deserializer=pb.ListFilesResponse.FromString)
        lists = [call.future(pb.ListFilesRequest(id="1"), timeout=DEADLINE) for _ in range(30)]
        for gone in lists[20:]:
            gone.cancel()
        self.get(self.client, "1")
        for answer in lists[:20]:
            self.assertGreater(len(answer.result().files), 9000)

    def test_checkpoints_are_listed_and_a_resume_removes_later_ones(self):
        for step in (3, 4, 5):
            self.put(f"checkpoint/step-{step:08d}.checkpoint", b"c" * step)
        self.put("checkpoint/step-4.checkpoint")
        self.assertEqual([(c.step, c.bytes) for c in self.client.ListCheckpoints(id="1").checkpoints], [(5, 5), (4, 4), (3, 3)])

    def test_dashctl_downloads_and_never_replaces_unasked(self):
        ctl = lambda *arguments: self.dashctl(*arguments, server=self.server.address)
        os.mkdir(self.path("away"))
        done = self.dashctl("download", "1", "adapter", server=self.server.address, cwd=self.path("away"))
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("away/out/adapter/model.bin"), "rb") as f:  # a folder of the job's name
            self.assertEqual(f.read(), self.data)
        self.assertEqual(sorted(os.listdir(self.path("away/out"))), ["adapter"])
        done = ctl("download", "out", "--to", "copy")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("copy/adapter/model.bin"), "rb") as f:
            self.assertEqual(f.read(), self.data)
        self.assertFalse(os.path.exists(self.path("copy/logs")))
        self.assertEqual([n for n in os.listdir(self.path("copy/adapter")) if "part" in n], [])
        again = ctl("download", "out", "--to", "copy")
        self.assertEqual(again.returncode, 1)
        self.assertIn("--force replaces it", again.stderr)
        self.assertEqual(ctl("download", "out", "--to", "copy", "--force").returncode, 0)
        self.assertIn("no such files", ctl("download", "1", "nothing").stderr)

    def test_a_name_of_a_job_leads_dashctl_nowhere(self):
        os.makedirs(self.path("home/work"))
        for i, name in enumerate(("../elsewhere", self.path("elsewhere"), "..", ".hidden", "a/b")):
            job = self.create(self.client, name=f"o{i}", overrides=[f"name={name}"])
            self.assertEqual(job.name, name)
            self.wait_state(self.client, job.id, pb.SUCCEEDED)
            done = self.dashctl("download", job.id, server=self.server.address, cwd=self.path("home/work"))
            self.assertIn("choose one with --to", done.stderr)
            self.assertEqual(os.listdir(self.path("home")), ["work"])
            self.assertEqual(os.listdir(self.path("home/work")), [])
        done = self.dashctl("download", job.id, "--to", "x", server=self.server.address, cwd=self.path("home/work"))
        self.assertEqual(done.returncode, 0, done.stderr)


class Deletion(World):
    def test_a_job_that_ended_is_forgotten_and_its_folder_stays(self):
        hold = self.write("hold", "2")
        server = self.dashd(env={"FAKE_HOLD": hold})
        client = server.client()
        job = self.create(client)
        self.wait_step(client, job.id, 2)
        self.assertIn("RUNNING", self.refused(STATE, client.DeleteJob, id=job.id))
        client.PauseJob(id=job.id)
        self.wait_state(client, job.id, pb.PAUSED)
        wait_for(lambda: self.job_processes() == [server.process.pid], "nothing of the job runs")
        watcher, follower = client.WatchJob(id=job.id), client.FollowLogs(id=job.id)
        next(watcher)
        client.DeleteJob(id=job.id)
        with self.assertRaises(grpc.RpcError) as ended:
            list(watcher)
        self.assertEqual(ended.exception.code(), NOT_FOUND)
        try:
            list(follower)  # all of it may have been sent before
        except grpc.RpcError as error:
            self.assertEqual(error.code(), NOT_FOUND)
        self.refused(NOT_FOUND, client.GetJob, id=job.id)
        self.refused(NOT_FOUND, client.ListEvents, id=job.id)
        self.assertTrue(os.path.exists(self.path("out/job.yaml")))
        server.stop()
        client = self.dashd(env={"FAKE_HOLD": hold}).client()
        self.assertEqual(len(client.ListJobs().jobs), 0)
        self.assertEqual(self.create(client, name="next").id, "2")


class Logs(World):
    def test_a_log_is_followed_to_the_end_of_the_job(self):
        hold = self.write("hold", "2")
        client = self.dashd(env={"FAKE_HOLD": hold}).client()
        job = self.create(client)
        self.wait_step(client, job.id, 2)
        log = self.path("out/logs/job.log")
        with open(log, "a") as f:
            f.write("one\n")
        stream = client.FollowLogs(id=job.id)
        text = next(stream).text
        with open(log, "a") as f:
            f.write("two\n")
        self.write("hold", "9")
        text += "".join(m.text for m in stream)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertEqual(text, self.read("out/logs/job.log"))

    def test_much_of_a_log_comes_in_one_message_that_every_client_takes(self):
        client = self.dashd().client()
        job = self.create(client)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        with open(self.path("out/logs/job.log"), "ab") as f:
            f.write(b"0123456789abcde\n" * (6 << 16))
        for asked, least in (0, 60 << 10), (1 << 20, 1000 << 10), (5 << 20, 4000 << 10):
            text = client.GetLogs(id=job.id, max_bytes=asked).text
            self.assertGreater(len(text), least)
            self.assertEqual(next(client.FollowLogs(id=job.id, max_bytes=asked)).text, text)

    def test_dashctl_follows_too(self):
        server = self.dashd()
        client = server.client()
        self.create(client)
        done = self.dashctl("logs", "-f", "1", server=server.address)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, self.read("out/logs/job.log"))


class EmptyAnswers(grpc.GenericRpcHandler):
    """Answers every call with an empty message."""

    def service(self, details):
        if details.method.rsplit("/", 1)[1] in ("WatchJob", "WatchJobs", "DownloadFile", "FollowLogs"):
            return grpc.unary_stream_rpc_method_handler(lambda request, context: iter([b""]))
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


class Strangers(World):
    def test_a_server_that_answers_nothing_crashes_no_command(self):
        server = grpc.server(futures.ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((EmptyAnswers(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(0).wait())
        for words in (["show", "1"], ["cancel", "1"], ["pause", "1"], ["resume", "1"], ["update", "1", "-p", "1"],
                      ["submit", os.path.join(TINY, "job.yaml")], ["download", "1"]):
            with self.subTest(words):
                done = self.dashctl(*words, server=f"127.0.0.1:{port}")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("its answer has no job", done.stderr)
        for words in (["list"], ["events", "1"], ["files", "1"], ["checkpoints", "1"], ["logs", "1"], ["logs", "-f", "1"],
                      ["delete", "1"], ["plan", os.path.join(TINY, "job.yaml")]):
            with self.subTest(words):
                self.assertIn(self.dashctl(*words, server=f"127.0.0.1:{port}").returncode, (0, 1))


class Commands(World):
    def test_a_life_by_dashctl(self):
        hold = self.write("hold", "2")
        server = self.dashd(env={"FAKE_HOLD": hold})

        def ctl(*arguments, status=0):
            done = self.dashctl(*arguments, server=server.address)
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
            return done.stdout + done.stderr

        sets = ["--set", f"output={self.path('out')}", "--set", "data.max_tokens=128"]
        job = os.path.join(TINY, "job.yaml")
        self.assertIn("can be submitted", ctl("submit", job, *sets, "--validate-only"))
        self.assertIn("job 1", ctl("submit", job, *sets, "--label", "team=x", "--priority", "4", "--request-id", "r1"))
        self.assertIn("job 1", ctl("submit", job, *sets, "--label", "team=x", "--priority", "4", "--request-id", "r1"))
        self.assertEqual(ctl("list", "--ids", "--label", "team=x"), "1\n")
        self.assertEqual(ctl("list", "--ids", "--label", "team=y"), "")
        shown = ctl("show", "1")
        for line in ("priority   4", "label      team=x"):
            self.assertIn(line, shown)
        self.wait_step(server.client(), "1", 2)
        self.assertIn("is paused", ctl("pause", "1"))
        self.wait_state(server.client(), "1", pb.PAUSED)
        ctl("update", "1", "--label", "team=z", "--remove-label", "nothing", "--priority", "-2")
        self.assertIn("what is to change?", ctl("update", "1", status=2))
        self.assertIn("PAUSED", ctl("list", "--state", "paused"))
        self.assertIn("there is no checkpoint of step 77", ctl("resume", "1", "--from-step", "77", status=1))
        self.write("hold", "9")
        ctl("resume", "1")
        self.wait_state(server.client(), "1", pb.SUCCEEDED)
        events = ctl("events", "1")
        for word in ("QUEUED", "STARTING", "RUNNING", "PAUSED: paused after step 2", "SUCCEEDED"):
            self.assertIn(word, events)
        self.assertIn("job.yaml", ctl("files", "1"))
        ctl("checkpoints", "1")
        wait_for(lambda: self.job_processes() == [server.process.pid], "nothing of the job runs")
        self.assertIn("deleted", wait_for(lambda: (done := self.dashctl("delete", "1", server=server.address)).returncode == 0
                                          and done.stdout, "the job can be deleted"))
        self.assertIn("no jobs yet", ctl("list"))


if __name__ == "__main__":
    unittest.main()
