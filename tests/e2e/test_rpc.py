"""A client in another language drives dashd: what dash.proto promises, seen with Python's gRPC."""
from google.protobuf import descriptor_pb2
from harness import *


class Jobs(World):
    def test_a_job_is_created_watched_to_its_end_and_shown(self):
        client = self.dashd().client()
        job = self.create(client)
        self.assertEqual(job.id, "1")
        self.assertEqual(job.output, self.path("out"))
        self.assertIn(job.state, (pb.QUEUED, pb.STARTING))
        self.assertIn("rank: 8", job.job_yaml)
        events = list(client.WatchJob(id=job.id))
        self.assertEqual(events[0].WhichOneof("event"), "job")
        self.assertEqual([e.step.step for e in events if e.HasField("step")], [1, 2, 3, 4, 5])
        self.assertEqual(events[-1].job.state, pb.SUCCEEDED)
        shown = self.get(client, job.id)
        self.assertEqual((shown.steps_done, shown.steps_total, shown.last_step.loss), (5, 5, 0.4))
        self.assertEqual(shown.tokens_per_second, 200)
        self.assertGreaterEqual(shown.finished_ms, shown.started_ms)
        self.assertEqual(self.read("out/job.yaml"), job.job_yaml)

    def test_a_plan_has_time_for_the_nodes_of_its_request(self):
        client = self.dashd().client()
        with open(os.path.join(TINY, "job.yaml")) as f:
            request = dict(job_yaml=f.read(), directory=TINY, file_name="job.yaml",
                           overrides=[f"output={self.path('out')}", "data.max_tokens=128"])
        node = pb.Node(cores=8, memory_bytes=4e9, gflops=400, gbits=10, origin="a test's")
        self.assertEqual(len(client.PlanJob(**request).estimates), 0)
        as_it_is, = client.PlanJob(**request, node=node).estimates
        self.assertEqual((as_it_is.nodes, as_it_is.stages, as_it_is.replicas, as_it_is.fits), (1, 1, 1, True))
        self.assertGreater(as_it_is.seconds, as_it_is.compute_seconds)
        plan = client.PlanJob(**request, node=node, node_counts=[1, 2])
        self.assertEqual(len(plan.estimates), 2)
        self.assertTrue(any("a test's" in line for line in plan.lines))
        for estimate in plan.estimates:
            self.assertEqual(estimate.stages * estimate.replicas, estimate.nodes * estimate.workers_per_node)
        unknown = client.PlanJob(**request, node=pb.Node(cores=1, origin="nobody has looked"))
        self.assertEqual(len(unknown.estimates), 0)
        self.assertIn("note: time is not planned: nobody has looked", unknown.lines)
        for wrong in (dict(node=pb.Node(cores=0)), dict(node=pb.Node(cores=1, gflops=float("nan"))),
                      dict(node=pb.Node(cores=1, memory_bytes=-1)), dict(node=node, node_counts=[0]),
                      dict(node=node, node_counts=[200000]), dict(node=node, node_counts=[1] * 17)):
            with self.subTest(wrong), self.assertRaises(grpc.RpcError) as refused:
                client.PlanJob(**request, **wrong)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_states_come_in_order_and_the_final_one_last(self):
        client = self.dashd().client()
        job = self.create(client)
        states = [e.job.state for e in client.WatchJob(id=job.id) if e.HasField("job")]
        self.assertEqual(states, sorted(states))
        self.assertEqual(states[-1], pb.SUCCEEDED)

    def test_watching_replays_from_any_step(self):
        client = self.dashd().client()
        job = self.create(client)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        for first in (0, 1, 3, 5, 6):
            events = list(client.WatchJob(id=job.id, from_step=first))
            self.assertEqual([e.step.step for e in events if e.HasField("step")], list(range(max(first, 1), 6)))
            self.assertEqual(events[-1].job.state, pb.SUCCEEDED)

    def test_replay_and_live_join_without_gap_or_repeat(self):
        hold = self.write("hold", "10")
        client = self.dashd(env={"FAKE_STEPS": "300", "FAKE_HOLD": hold}).client()
        job = self.create(client)
        self.wait_step(client, job.id, 10)
        streams = [client.WatchJob(id=job.id, from_step=first) for first in (1, 5, 200)]
        self.write("hold", "300")
        for stream, first in zip(streams, (1, 5, 200)):
            steps = [e.step.step for e in stream if e.HasField("step")]
            self.assertEqual(steps, list(range(first, 301)))

    def test_a_watcher_that_does_not_read_holds_up_nobody(self):
        client = self.dashd(env={"FAKE_STEPS": "5000"}).client()
        job = self.create(client)
        idle = [self.daemons[0].client().WatchJob(id=job.id) for _ in range(20)]
        self.wait_state(client, job.id, pb.SUCCEEDED)
        for stream in idle:
            self.assertEqual(sum(1 for e in stream if e.HasField("step")), 5000)

    def test_one_job_runs_at_a_time_and_the_others_know_their_place(self):
        hold = self.write("hold", "0")
        client = self.dashd(env={"FAKE_HOLD": hold}).client()
        jobs = [self.create(client, f"job-{i}") for i in range(3)]
        self.wait_state(client, jobs[0].id, pb.RUNNING)
        places = [self.get(client, j.id).queue_position for j in jobs]
        self.assertEqual(places, [0, 1, 2])
        client.CancelJob(id=jobs[1].id)
        self.assertEqual(self.get(client, jobs[2].id).queue_position, 1)
        self.write("hold", "9")
        self.wait_state(client, jobs[2].id, pb.SUCCEEDED)
        self.assertEqual(self.get(client, jobs[1].id).state, pb.CANCELLED)

    def test_max_running_jobs_run_together(self):
        hold = self.write("hold", "0")
        client = self.dashd("--max-running", "2", env={"FAKE_HOLD": hold}).client()
        jobs = [self.create(client, f"job-{i}") for i in range(3)]
        self.wait_state(client, jobs[0].id, pb.RUNNING)
        self.wait_state(client, jobs[1].id, pb.RUNNING)
        self.assertEqual(self.get(client, jobs[2].id).state, pb.QUEUED)
        info = client.GetServerInfo()
        self.assertEqual((info.max_running, info.running, info.queued), (2, 2, 1))
        self.write("hold", "9")
        for job in jobs:
            self.wait_state(client, job.id, pb.SUCCEEDED)

    def test_list_is_newest_first_and_filters_by_state(self):
        client = self.dashd().client()
        for i in range(3):
            self.create(client, f"job-{i}")
        for i in range(3):
            self.wait_state(client, str(i + 1), pb.SUCCEEDED)
        self.assertEqual([j.id for j in client.ListJobs().jobs], ["3", "2", "1"])
        self.assertEqual(len(client.ListJobs(states=[pb.SUCCEEDED]).jobs), 3)
        self.assertEqual(len(client.ListJobs(states=[pb.FAILED, pb.QUEUED]).jobs), 0)

    def test_a_name_serves_as_id_while_it_is_unique(self):
        client = self.dashd().client()
        first = self.create(client, "twin")
        self.assertEqual(self.get(client, "twin").id, first.id)
        self.create(client, "other", overrides=["name=twin"])
        self.assertIn("1, 2", self.refused(grpc.StatusCode.NOT_FOUND, client.GetJob, id="twin"))
        self.assertIn("dashctl list", self.refused(grpc.StatusCode.NOT_FOUND, client.GetJob, id="7"))
        self.refused(grpc.StatusCode.NOT_FOUND, client.WatchJob, id="none")
        self.refused(grpc.StatusCode.NOT_FOUND, client.CancelJob, id="")

    def test_notices_are_kept_once(self):
        client = self.dashd(env={"FAKE_NOTICE": "3 rows were cut"}).client()
        job = self.create(client)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.assertEqual(list(self.get(client, job.id).notices), ["3 rows were cut"])

    def test_logs_are_read_from_an_offset(self):
        client = self.dashd().client()
        job = self.create(client)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        first = client.GetLogs(id=job.id)
        self.assertIn("coordinator of job 1", first.text)
        self.assertEqual(client.GetLogs(id=job.id, from_offset=first.next_offset).text, "")
        with open(self.path("out/logs/job.log"), "ab") as log:
            log.write("Grüße \U0001f600 \xff".encode() + b"\xff\xc3")
        more = client.GetLogs(id=job.id, from_offset=first.next_offset)
        self.assertEqual(more.text, "Grüße \U0001f600 ÿ?")
        with open(self.path("out/logs/job.log"), "ab") as log:
            log.write(b"\xbc\n")
        self.assertEqual(client.GetLogs(id=job.id, from_offset=more.next_offset).text, "ü\n")


def contract():
    """Every method, message, field and enum value of dash.v1, a line each."""
    lines = []

    def add_message(message):
        lines.append(f"message {message.full_name}")
        for f in message.fields:
            kind = f.message_type or f.enum_type
            lines.append(f"field {f.full_name} = {f.number} type {f.type} label {f.label}"
                         + (f" of {kind.full_name}" if kind else "")
                         + (f" in {f.containing_oneof.name}" if f.containing_oneof else ""))
        for nested in message.nested_types:
            add_message(nested)
        for enum in message.enum_types:
            add_enum(enum)

    def add_enum(enum):
        lines.extend(f"value {enum.full_name}.{v.name} = {v.number}" for v in enum.values)

    for message in pb.DESCRIPTOR.message_types_by_name.values():
        add_message(message)
    for enum in pb.DESCRIPTOR.enum_types_by_name.values():
        add_enum(enum)
    for service in pb.DESCRIPTOR.services_by_name.values():
        for m in service.methods:
            proto = descriptor_pb2.MethodDescriptorProto()
            m.CopyToProto(proto)
            lines.append(f"method {m.full_name} {m.input_type.full_name} {proto.client_streaming} "
                         f"{m.output_type.full_name} {proto.server_streaming}")
    return lines


class Contract(unittest.TestCase):
    def test_nothing_that_clients_rely_on_has_changed(self):
        """The file holds what clients were promised: nothing leaves it. It is written anew, with what was added, by
        DASH_WRITE_CONTRACT=1."""
        path = os.path.join(SOURCE, "tests/golden/dash.v1.txt")
        if os.environ.get("DASH_WRITE_CONTRACT"):
            with open(path, "w") as f:
                f.write("\n".join(sorted(contract())) + "\n")
        with open(path) as f:
            promised = f.read().splitlines()
        self.assertGreater(len(promised), 100)
        self.assertEqual(sorted(set(promised) - set(contract())), [])


class Resources(World):
    def test_descriptors_and_watchers_do_not_pile_up(self):
        daemon = self.dashd()
        client = daemon.client()

        def round_of_jobs(first):
            for i in range(first, first + 3):
                job = self.create(client, f"job-{i}")
                list(client.WatchJob(id=job.id))
                cut = client.WatchJob(id=job.id)
                next(cut)
                cut.cancel()
            return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

        before = round_of_jobs(0)
        round_of_jobs(3)
        wait_for(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) <= before, "descriptors are given back")


class Stops(World):
    def setUp(self):
        super().setUp()
        self.hold = self.write("hold", "3")
        self.client = self.dashd(env={"FAKE_HOLD": self.hold}).client()
        self.job = self.create(self.client)
        self.wait_step(self.client, self.job.id, 3)

    def test_a_cancelled_job_stops_after_its_step_and_resumes_from_there(self):
        answer = self.client.CancelJob(id=self.job.id).job
        self.assertEqual(answer.state, pb.RUNNING)
        job = self.wait_state(self.client, self.job.id, pb.CANCELLED)
        self.assertEqual(job.reason, "stopped after step 3; `dashctl resume 1` continues from there")
        self.assertEqual(self.client.ResumeJob(id=self.job.id).job.steps_done, 3)
        self.write("hold", "9")
        job = self.wait_state(self.client, self.job.id, pb.SUCCEEDED)
        self.assertEqual(job.reason, "")
        events = list(self.client.WatchJob(id=self.job.id))
        self.assertEqual([e.step.step for e in events if e.HasField("step")], [1, 2, 3, 4, 5])

    def test_what_cannot_be_is_refused_in_words(self):
        self.assertIn("RUNNING", self.refused(grpc.StatusCode.FAILED_PRECONDITION, self.client.ResumeJob, id="1"))
        self.write("hold", "9")
        self.wait_state(self.client, self.job.id, pb.SUCCEEDED)
        self.assertIn("SUCCEEDED", self.refused(grpc.StatusCode.FAILED_PRECONDITION, self.client.CancelJob, id="1"))
        self.refused(grpc.StatusCode.FAILED_PRECONDITION, self.client.ResumeJob, id="1")

    def test_a_foreign_coordinator_is_turned_away(self):
        channel = self.client.channel
        report = channel.stream_stream("/dash.v1.Coordination/Report",
                                       request_serializer=pb.CoordinatorReport.SerializeToString,
                                       response_deserializer=pb.CoordinatorCommand.FromString)

        def code_of(*reports):
            with self.assertRaises(grpc.RpcError) as caught:
                list(report(iter(reports), timeout=DEADLINE))
            return caught.exception.code()

        hello = pb.CoordinatorReport(hello=pb.Hello(job_id="1", token="0" * 32))
        self.assertEqual(code_of(hello), grpc.StatusCode.PERMISSION_DENIED)
        step = pb.CoordinatorReport(step=pb.Step(step=4, loss=1))
        self.assertEqual(code_of(step), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertEqual(self.get(self.client, "1").steps_done, 3)


class StandardServices(World):
    def setUp(self):
        super().setUp()
        self.daemon = self.dashd()
        self.channel = self.daemon.client().channel

    def health(self, name, **fields):
        make = self.channel.unary_stream if name == "Watch" else self.channel.unary_unary
        return make(f"/grpc.health.v1.Health/{name}",
                    request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                    response_deserializer=health_pb2.HealthCheckResponse.FromString)(
                        health_pb2.HealthCheckRequest(**fields), timeout=DEADLINE)

    def test_health_is_checked_and_watched(self):
        serving = health_pb2.HealthCheckResponse.SERVING
        self.assertEqual(self.health("Check").status, serving)
        self.assertEqual(self.health("Check", service="dash.v1.FineTuning").status, serving)
        self.refused(grpc.StatusCode.NOT_FOUND, lambda: self.health("Check", service="nobody"))
        watch = self.health("Watch")
        self.assertEqual(next(watch).status, serving)
        self.daemon.stop()
        self.refused(grpc.StatusCode.UNAVAILABLE, lambda: next(watch))

    def reflect(self, *requests):
        call = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
        return list(call(iter([reflection_pb2.ServerReflectionRequest(**r) for r in requests]), timeout=DEADLINE))

    def test_reflection_tells_services_files_and_symbols(self):
        answers = self.reflect({"list_services": "*"}, {"file_containing_symbol": "dash.v1.FineTuning"},
                               {"file_containing_symbol": "dash.v1.FineTuning.CreateJob"},
                               {"file_containing_symbol": "dash.v1.Ended.How"},
                               {"file_by_filename": "health.proto"}, {"file_containing_symbol": "dash.v1.Nobody"},
                               {"file_containing_symbol": "dash"}, {"file_by_filename": ""})
        names = {s.name for s in answers[0].list_services_response.service}
        self.assertEqual(names, {"dash.v1.FineTuning", "dash.v1.Coordination", "grpc.health.v1.Health",
                                 "grpc.reflection.v1alpha.ServerReflection"})
        from google.protobuf import descriptor_pb2
        for answer in answers[1:4]:
            file = descriptor_pb2.FileDescriptorProto.FromString(
                answer.file_descriptor_response.file_descriptor_proto[0])
            self.assertEqual([m.name for m in file.message_type], list(pb.DESCRIPTOR.message_types_by_name))
        self.assertEqual(len(answers[4].file_descriptor_response.file_descriptor_proto), 1)
        for answer in answers[5:]:
            self.assertEqual(answer.error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0])

    def test_a_client_built_from_reflection_alone_lists_the_jobs(self):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        answer = self.reflect({"file_containing_symbol": "dash.v1.FineTuning"})[0]
        pool = descriptor_pool.DescriptorPool()
        for data in answer.file_descriptor_response.file_descriptor_proto:
            pool.Add(descriptor_pb2.FileDescriptorProto.FromString(data))
        method = pool.FindServiceByName("dash.v1.FineTuning").FindMethodByName("ListJobs")
        factory = message_factory.MessageFactory(pool)
        request, response = factory.GetPrototype(method.input_type), factory.GetPrototype(method.output_type)
        call = self.channel.unary_unary("/dash.v1.FineTuning/ListJobs", request_serializer=request.SerializeToString,
                                        response_deserializer=response.FromString)
        self.assertEqual(len(call(request(), timeout=DEADLINE).jobs), 0)

    def test_unknown_methods_and_broken_messages_are_refused(self):
        raw = self.channel.unary_unary("/dash.v1.FineTuning/Nothing")
        self.refused(grpc.StatusCode.UNIMPLEMENTED, lambda: raw(b"", timeout=DEADLINE))
        raw = self.channel.unary_unary("/dash.v1.FineTuning/GetJob")
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, lambda: raw(b"\xff\xff\xff", timeout=DEADLINE))
        self.assertEqual(self.health("Check").status, health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    unittest.main()
