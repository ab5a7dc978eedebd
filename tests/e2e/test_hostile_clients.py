"""dashd under clients that mean it harm: connections, messages and streams without end. Others must not notice."""
import resource
import socket
import ssl

import http2
from harness import *

REPORT = "/dash.v1.Coordination/Report"


def memory_mb(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024


class Attacked(World):
    def assert_memory_below(self, mb):
        self.assertLess(memory_mb(self.daemon.process.pid), mb + (400 if ADDRESS_SANITIZER else 0))


class Reports(Attacked):
    """The port for coordinators, which anybody on the network can dial."""

    def setUp(self):
        super().setUp()
        port = socket.socket()
        port.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{port.getsockname()[1]}"
        port.close()
        self.daemon = self.dashd("--reports", self.address)
        self.client = self.daemon.client()
        host, port = self.address.split(":")
        self.certificate = ssl.get_server_certificate((host, int(port)))  # in contact files only under Slurm

    def dial(self):
        """As a coordinator does, that knows dashd's certificate."""
        return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(self.certificate.encode()),
                                   options=[("grpc.use_local_subchannel_pool", 1),
                                            ("grpc.ssl_target_name_override", "dashd")])

    def serves(self):
        """A client of the unix socket, and a coordinator of the port, are answered."""
        self.daemon.client().ListJobs()
        channel = self.dial()
        report = channel.stream_stream(REPORT, request_serializer=pb.CoordinatorReport.SerializeToString,
                                       response_deserializer=pb.CoordinatorCommand.FromString)
        hello = pb.CoordinatorReport(hello=pb.Hello(job_id="1", token="0" * 32))
        try:
            list(report(iter([hello]), timeout=DEADLINE, wait_for_ready=True))
        except grpc.RpcError as e:
            self.assertEqual(e.code(), grpc.StatusCode.PERMISSION_DENIED)
        channel.close()

    def connections(self, n):
        opened = [http2.connect(self.address) for _ in range(n)]
        self.addCleanup(lambda: [s.close() for s in opened])
        return opened

    def test_connections_that_say_nothing_hold_up_nobody(self):
        opened = self.connections(400)
        self.serves()
        for s in opened:
            s.close()
        self.serves()
        wait_for(lambda: len(os.listdir(f"/proc/{self.daemon.process.pid}/fd")) < 60, "descriptors are given back")

    def test_it_listens_on_the_address_that_was_given_alone(self):
        port = int(self.address.rsplit(":", 1)[1])
        hexadecimal = f":{port:04X}"
        with open("/proc/net/tcp") as f:
            local = [line.split()[1] for line in f if line.split()[1].endswith(hexadecimal) and line.split()[3] == "0A"]
        self.assertEqual(local, ["0100007F" + hexadecimal])

    def test_messages_that_do_not_end_take_little_memory(self):
        before = memory_mb(self.daemon.process.pid)
        for _ in range(3):
            try:
                c = http2.Connection(self.address, tls=True)
                self.addCleanup(c.close)
                for _ in range(10):
                    stream = c.open(REPORT)
                    c.send(stream, b"\0" + (16 << 20).to_bytes(4, "big") + b"x" * 16000)
            except OSError:
                pass  # ended, or not let in for a while
        self.serves()
        self.assert_memory_below(before + 60)

    def test_a_large_message_is_refused(self):
        channel = self.dial()
        self.addCleanup(channel.close)
        report = channel.stream_stream(REPORT)
        with self.assertRaises(grpc.RpcError) as caught:
            list(report(iter([b"x" * 100000]), timeout=DEADLINE))
        self.assertIn(caught.exception.code(), (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE))

    def test_a_stream_that_never_says_hello_is_ended(self):
        c = http2.Connection(self.address, tls=True)
        self.addCleanup(c.close)
        for _ in range(3):
            c.open(REPORT)
        wait_for(c.is_closed, "the connection of streams without Hello is closed", deadline=2 * DEADLINE)
        self.serves()

    def test_streams_that_are_opened_and_reset_end_their_connection(self):
        before = memory_mb(self.daemon.process.pid)
        refused = 0
        for _ in range(20):
            try:
                c = http2.Connection(self.address, tls=True)
                self.addCleanup(c.close)
                for _ in range(2500):
                    c.reset(c.open(REPORT))
            except OSError:
                refused += 1
        self.serves()
        self.assert_memory_below(before + 100)
        self.assertGreater(refused, 0)

    def test_connections_end_for_good_with_their_clients_and_without(self):
        def descriptors():
            return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))
        before = descriptors()
        opened = self.connections(60)
        wait_for(lambda: descriptors() > before, "they are open")
        self.serves()
        wait_for(lambda: descriptors() <= before + 4, "idle ones are ended, though their clients stay", 3 * DEADLINE)

    def flood(self, *frames):
        """Sends them for a while on one connection after the other, and returns how long a client waited meanwhile."""
        end, worst = time.monotonic() + 3, 0
        while time.monotonic() < end:
            try:
                c = http2.Connection(self.address, tls=True)
                for stream in (1, 3, 5, 7):
                    c.open(REPORT)
                for _ in range(50):
                    c.socket.sendall(b"".join(frames))
                c.close()
            except OSError:
                pass
            start = time.monotonic()
            self.client.ListJobs()
            worst = max(worst, time.monotonic() - start)
        return worst

    def test_floods_hold_up_nobody(self):
        before = memory_mb(self.daemon.process.pid)
        pings = [http2.frame(6, 0, 0, b"12345678")] * 200
        settings = [http2.frame(4, 0, 0, b"")] * 200
        little_data = [http2.frame(0, 0, stream, b"x") for stream in (1, 3, 5, 7)] * 50
        data = [http2.frame(0, 0, stream, b"\0\0\0\xff\xff" + b"x" * 16000) for stream in (1, 3, 5, 7)]
        for frames in (pings, settings, little_data, data):
            self.assertLess(self.flood(*frames), 2 * SLOWNESS)
        self.serves()
        self.assert_memory_below(before + 60)

    def test_an_unknown_job_and_a_wrong_token_are_refused_alike(self):
        self.create(self.client)
        channel = self.dial()
        self.addCleanup(channel.close)
        report = channel.stream_stream(REPORT, request_serializer=pb.CoordinatorReport.SerializeToString,
                                       response_deserializer=pb.CoordinatorCommand.FromString)

        def answer(job):
            hello = pb.CoordinatorReport(hello=pb.Hello(job_id=job, token="0" * 32))
            return self.refused(grpc.StatusCode.PERMISSION_DENIED,
                                lambda: list(report(iter([hello]), timeout=DEADLINE)))
        self.assertEqual(answer("1"), answer("777").replace("777", "1"))


class FewDescriptors(World):
    def test_1100_connections_with_1024_descriptors_leave_no_port_deaf(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.environ.pop("DASH_SERVER", None)
        limited = self.path("limited")
        with open(limited, "w") as f:
            f.write(f'#!/bin/sh\nulimit -n 1024\nexec {os.path.join(BIN, "dashd")} "$@"\n')
        os.chmod(limited, 0o755)
        port = socket.socket()
        port.bind(("127.0.0.1", 0))
        reports = f"127.0.0.1:{port.getsockname()[1]}"
        port.close()
        daemon = self.dashd("--reports", reports, "--listen", "unix:" + self.path("s"), "--listen", "127.0.0.1:0",
                            "--insecure-tcp", program=limited)
        with open(f"/proc/{daemon.process.pid}/net/tcp") as f:
            listening = [line.split()[1] for line in f if line.split()[3] == "0A"]
        self.assertTrue(listening)
        if hard > 4096:
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        opened = [http2.connect(reports) for _ in range(1100)]
        idle = [http2.connect("unix:" + self.path("s")) for _ in range(300)]
        client = Client("unix:" + self.path("s"))
        self.addCleanup(client.close)
        job = self.create(client)
        self.wait_state(client, job.id, pb.SUCCEEDED)
        for s in opened + idle:
            s.close()
        other = Client("unix:" + self.path("s"))
        self.addCleanup(other.close)
        self.assertEqual(len(other.ListJobs().jobs), 1)
        http2.Connection(reports, tls=True).close()


class Clients(Attacked):
    """Those of the unix socket are the user's own, but programs have faults."""

    def setUp(self):
        super().setUp()
        self.daemon = self.dashd()
        self.client = self.daemon.client()

    def raw(self, method):
        return self.client.channel.unary_unary("/dash.v1.FineTuning/" + method)

    def test_many_states_in_a_list_cost_nothing(self):
        self.create(self.client)
        many = bytes([0x0a, 0x80, 0x89, 0x7a]) + b"\x04" * 2000000
        self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: self.raw("ListJobs")(many, timeout=DEADLINE))
        some = pb.ListJobsRequest(states=[pb.SUCCEEDED] * 100000)
        self.refused(grpc.StatusCode.INVALID_ARGUMENT,
                     lambda: self.raw("ListJobs")(some.SerializeToString(), timeout=DEADLINE))
        self.assertEqual(len(self.client.ListJobs(states=[pb.QUEUED, pb.STARTING, pb.RUNNING, pb.SUCCEEDED]).jobs), 1)

    def test_a_message_of_unknown_fields_takes_little_memory(self):
        before = memory_mb(self.daemon.process.pid)
        for method, size in (("GetJob", 500000), ("CreateJob", 1900000), ("PlanJob", 1900000)):
            self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED,
                         lambda: self.raw(method)(b"\x78\x01" * size, timeout=DEADLINE))
        self.assert_memory_below(before + 60)

    def test_too_many_overrides_are_refused(self):
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.client.PlanJob, job_yaml="name: x", directory="/",
                     overrides=["a=b"] * 10000)

    def test_calls_that_say_nothing_are_ended(self):
        c = http2.Connection(self.daemon.address)
        self.addCleanup(c.close)
        for _ in range(5):
            c.open("/dash.v1.FineTuning/GetJob")
        self.client.ListJobs()


if __name__ == "__main__":
    unittest.main()
