"""dashd ends, is killed and comes again: jobs do not notice, and nothing is lost."""
import resource
import sqlite3

from harness import *


class Restarts(World):
    def running_job(self, *options, at=2, **env):
        self.hold = self.write("hold", str(at))
        self.env = {"FAKE_HOLD": self.hold, "FAKE_STEPS": "6", **env}
        daemon = self.dashd(*options, env=self.env)
        client = daemon.client()
        job = self.create(client)
        self.wait_step(client, job.id, at)
        return daemon, client, job

    def test_a_killed_dashd_adopts_its_job_and_gets_what_it_missed(self):
        daemon, client, job = self.running_job()
        daemon.stop(signal.SIGKILL)
        self.write("hold", "4")
        wait_for(lambda: self.read("out/checkpoint/step") == "4", "the job continues")
        client = self.dashd(env=self.env).client()
        self.wait_step(client, job.id, 4)
        self.assertEqual(self.get(client, job.id).state, pb.RUNNING)
        self.write("hold", "9")
        self.wait_state(client, job.id, pb.SUCCEEDED)
        steps = [e.step.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        self.assertEqual(steps, [1, 2, 3, 4, 5, 6])
        self.assertEqual(self.read("out/logs/job.log").count("coordinator of job"), 1)

    def test_sigterm_leaves_the_job_running_and_exits_with_0(self):
        daemon, client, job = self.running_job()
        ranks = [p for p in self.job_processes() if p != daemon.process.pid]
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(all(map(is_alive, ranks)))
        self.assertFalse(os.path.exists(daemon.socket))
        client = self.dashd(env=self.env).client()
        self.write("hold", "9")
        self.wait_state(client, job.id, pb.SUCCEEDED)

    def test_signals_that_come_while_it_closes_change_nothing(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            daemon = self.dashd()
            end = time.monotonic() + DEADLINE
            while daemon.process.poll() is None and time.monotonic() < end:
                daemon.process.send_signal(number)
                time.sleep(0.0005)
            self.assertEqual(daemon.stop(), 0)

    def test_stop_jobs_stops_them_and_the_next_dashd_goes_on(self):
        daemon, client, job = self.running_job("--stop-jobs")
        second = self.create(client, "second")
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.job_processes(), [])
        self.write("hold", "9")
        client = self.dashd(env=self.env).client()
        self.wait_state(client, job.id, pb.SUCCEEDED)
        self.wait_state(client, second.id, pb.SUCCEEDED)
        self.assertEqual(self.read("out/logs/job.log").count("coordinator of job"), 2)
        steps = [e.step.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
        self.assertEqual(steps, [1, 2, 3, 4, 5, 6])

    def ended_meanwhile(self, state, **env):
        daemon, client, job = self.running_job(**env)
        pid = [p for p in self.job_processes() if program_of(p) == "mpirun"][0]
        daemon.stop(signal.SIGKILL)
        self.write("hold", "9")
        wait_for(lambda: not is_alive(pid), "the job ends unseen", deadline=60)
        client = self.dashd(env={}).client()
        return self.wait_state(client, job.id, state)

    def test_a_job_that_succeeded_meanwhile_is_found_so(self):
        self.assertEqual(self.ended_meanwhile(pb.SUCCEEDED).reason, "")

    def test_a_job_that_failed_meanwhile_is_found_so(self):
        job = self.ended_meanwhile(pb.FAILED, FAKE_FAIL_AT="5")
        self.assertEqual(job.reason, "the loss is not finite at step 5")

    def test_a_job_that_died_meanwhile_is_found_so(self):
        self.assertIn("signal 9", self.ended_meanwhile(pb.FAILED, FAKE_KILL_AT="5").reason)

    def test_a_cancel_survives_the_restart(self):
        daemon, client, job = self.running_job(FAKE_DEAF="1")
        client.CancelJob(id=job.id)
        daemon.stop(signal.SIGKILL)
        client = self.dashd("--stop-grace", "1").client()
        self.wait_state(client, job.id, pb.CANCELLED)

    def test_the_queue_survives_the_restart_in_its_order(self):
        daemon, client, job = self.running_job()
        others = [self.create(client, f"later-{i}") for i in range(3)]
        daemon.stop(signal.SIGKILL)
        client = self.dashd(env=self.env).client()
        self.assertEqual([self.get(client, j.id).queue_position for j in others], [1, 2, 3])
        self.write("hold", "9")
        for j in others:
            self.wait_state(client, j.id, pb.SUCCEEDED)
        starts = [self.get(client, j.id).started_ms for j in others]
        self.assertEqual(starts, sorted(starts))

    def test_a_launch_that_was_cut_short_is_made_again(self):
        """The row as a dashd leaves it that dies between its commit and the launch."""
        daemon, client, job = self.running_job()
        self.write("hold", "9")
        self.wait_state(client, job.id, pb.SUCCEEDED)
        daemon.stop()
        shutil.rmtree(self.path("out"))
        with sqlite3.connect(self.path("state/jobs.db")) as db:
            db.execute("update jobs set state = 2, pid = 0")
        db.close()
        client = self.dashd(env=self.env).client()
        self.wait_state(client, job.id, pb.SUCCEEDED)

    def test_a_launch_that_died_at_its_gate_is_made_again(self):
        """The row as a dashd leaves it that dies between the commit of the pid and the opening of the gate."""
        daemon, client, job = self.running_job()
        self.write("hold", "9")
        self.wait_state(client, job.id, pb.SUCCEEDED)
        daemon.stop()
        shutil.rmtree(self.path("out"))
        gone = subprocess.Popen(["/bin/true"])
        gone.wait()
        with sqlite3.connect(self.path("state/jobs.db")) as db:
            db.execute("update jobs set state = 2, pid = ?, pid_start = 1", (gone.pid,))
        db.close()
        client = self.dashd(env=self.env).client()
        self.wait_state(client, job.id, pb.SUCCEEDED)

    def test_a_pid_that_is_another_process_now_is_left_alone(self):
        daemon, client, job = self.running_job()
        self.write("hold", "9")
        self.wait_state(client, job.id, pb.SUCCEEDED)
        daemon.stop()
        stranger = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        with sqlite3.connect(self.path("state/jobs.db")) as db:
            db.execute("update jobs set state = 3, pid = ?, pid_start = 1", (stranger.pid,))
        db.close()
        client = self.dashd(env=self.env).client()
        self.wait_state(client, job.id, pb.SUCCEEDED)  # as its outcome.json says
        self.assertTrue(is_alive(stranger.pid))

    def test_killed_again_and_again_no_job_is_lost_or_run_twice(self):
        self.env = {"FAKE_STEPS": "8"}
        client = self.dashd(env=self.env).client()
        jobs = [self.create(client, f"job-{i}") for i in range(6)]
        for kills in range(12):
            self.daemons[-1].stop(signal.SIGKILL)
            client = self.dashd(env=self.env).client()
            if all(self.get(client, j.id).state in FINAL for j in jobs):
                break
            active = [j for j in jobs if self.get(client, j.id).state in (pb.STARTING, pb.RUNNING)]
            if kills % 2 and active:
                wait_for(lambda: self.get(client, active[0].id).state != pb.STARTING, "the job moves")
        for job in jobs:
            self.wait_state(client, job.id, pb.SUCCEEDED)
            steps = [e.step.step for e in client.WatchJob(id=job.id) if e.HasField("step")]
            self.assertEqual(steps, list(range(1, 9)))

    def test_a_watch_is_told_that_dashd_goes_away(self):
        daemon, client, job = self.running_job()
        stream = client.WatchJob(id=job.id)
        next(stream)
        daemon.stop()
        self.refused(grpc.StatusCode.UNAVAILABLE, lambda: list(stream))


class Gate(World):
    """A launch waits until dashd has written down its pid: if dashd dies before, nothing starts."""

    def gate(self, word):
        process = subprocess.Popen([os.path.join(BIN, "dashd"), "--gate", "touch", self.path("started")],
                                   stdin=subprocess.PIPE)
        process.communicate(word, timeout=DEADLINE)
        return process.returncode

    def test_a_gate_that_closes_starts_nothing(self):
        self.assertEqual(self.gate(b""), 0)
        self.assertFalse(os.path.exists(self.path("started")))

    def test_a_gate_that_opens_starts_the_program(self):
        self.assertEqual(self.gate(b"g"), 0)
        self.assertTrue(os.path.exists(self.path("started")))


class FullDisk(World):
    """A limit on the size of files (above that of dashd.log, below that of the store) stands in for a disk without room:
    writes fail, and later succeed again."""

    def limit(self, size):
        _, most = resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE, (most if size is None else size, most))

    def start(self):
        self.hold = self.write("hold", "3")
        self.daemon = self.dashd(env={"FAKE_HOLD": self.hold, "FAKE_STEPS": "8"})
        self.client = self.daemon.client()
        self.job = self.create(self.client)
        self.wait_step(self.client, self.job.id, 3)

    def test_steps_that_cannot_be_kept_come_again(self):
        self.start()
        self.limit(3000)
        self.write("hold", "6")
        wait_for(lambda: "cannot save its steps" in self.daemon_log(), "dashd says so")
        self.assertIn("jobs.db", self.daemon_log())
        self.assertEqual(self.get(self.client, self.job.id).steps_done, 3)
        self.limit(None)
        self.wait_step(self.client, self.job.id, 6)
        self.write("hold", "9")
        self.wait_state(self.client, self.job.id, pb.SUCCEEDED)
        steps = [e.step.step for e in self.client.WatchJob(id=self.job.id) if e.HasField("step")]
        self.assertEqual(steps, list(range(1, 9)))

    def test_an_end_that_cannot_be_kept_is_kept_later(self):
        self.start()
        ranks = [p for p in self.job_processes() if p != self.daemon.process.pid]
        self.limit(3000)
        for pid in ranks:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: "cannot save the final state" in self.daemon_log(), "dashd says so")
        self.assertEqual(self.get(self.client, self.job.id).state, pb.RUNNING)
        self.limit(None)
        self.wait_state(self.client, self.job.id, pb.FAILED)

    def test_a_job_that_cannot_be_kept_is_refused_and_one_that_waits_is_started_later(self):
        self.start()
        second = self.create(self.client, "second")
        self.limit(3000)
        self.refused(grpc.StatusCode.INTERNAL, lambda: self.create(self.client, "third"))
        self.refused(grpc.StatusCode.INTERNAL, lambda: self.client.CancelJob(id=second.id))
        self.assertEqual(self.get(self.client, second.id).state, pb.QUEUED)
        self.assertEqual(len(self.client.ListJobs().jobs), 2)
        self.limit(None)
        self.write("hold", "9")
        self.wait_state(self.client, second.id, pb.SUCCEEDED)
        self.assertEqual(self.create(self.client, "third").id, "3")


class States(World):
    def refused_start(self, pattern, *options):
        command = [os.path.join(BIN, "dashd"), "--state", self.path("state"), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, pattern)

    def store_of_one_job(self):
        daemon = self.dashd()
        client = daemon.client()
        self.wait_state(client, self.create(client).id, pb.SUCCEEDED)
        daemon.stop()

    def damage(self, change):
        path = self.path("state/jobs.db")
        for leftover in ("-wal", "-shm"):
            self.assertFalse(os.path.exists(path + leftover), "the store was closed")
        with open(path, "rb") as f:
            data = bytearray(f.read())
        data = change(data)
        with open(path, "wb") as f:
            f.write(data)
        self.refused_start(r"jobs\.db.*left as it is")
        with open(path, "rb") as f:
            self.assertEqual(f.read(), bytes(data), "it must not be written")

    def test_a_damaged_store_is_refused_and_left(self):
        self.store_of_one_job()

        def scribble(data):
            data[4096:8192] = b"\xa5" * 4096
            return data
        self.damage(scribble)

    def test_a_store_cut_short_is_refused_and_left(self):
        self.store_of_one_job()
        self.damage(lambda data: data[:5000])

    def test_an_empty_store_file_is_damage_not_a_beginning(self):
        self.store_of_one_job()
        self.damage(lambda data: data[:0])

    def test_another_programs_file_is_refused_and_left(self):
        self.store_of_one_job()
        self.damage(lambda data: bytearray(b"dear diary\n" * 1000))

    def test_two_dashd_do_not_share_a_state_folder(self):
        daemon = self.dashd()
        self.refused_start(f"another dashd .process {daemon.process.pid}.", "--listen", "unix:" + self.path("s"))

    def test_two_dashd_do_not_share_a_socket(self):
        daemon = self.dashd(state="other")
        self.refused_start("answers there already", "--listen", daemon.address)
        self.assertEqual(daemon.client().GetServerInfo().running, 0)

    def test_a_stale_socket_is_replaced_and_is_its_owners_alone(self):
        daemon = self.dashd()
        daemon.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(daemon.socket))
        daemon = self.dashd()
        self.assertEqual(os.stat(daemon.socket).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(daemon.state).st_mode & 0o077, 0)
        self.assertEqual(os.stat(self.path("state/jobs.db")).st_mode & 0o077, 0)
        daemon.client().ListJobs()

    def test_tcp_needs_keys_and_plain_text_is_for_loopback(self):
        for address in ("0.0.0.0:0", "example.org:50051", "127.0.0.1:0", "localhost:0", "[::1]:0"):
            self.refused_start("run `dashd init`", "--listen", address)
        for address in ("0.0.0.0:0", "example.org:50051", "[::]:0"):
            self.refused_start("is for loopback addresses alone", "--insecure-tcp", "--listen", address)
        daemon = self.dashd("--listen", "127.0.0.1:0", "--insecure-tcp")
        address = re.search(r"serves (\S+)", daemon.greeting)[1]
        client = Client(address)
        self.addCleanup(client.close)
        job = self.create(client)
        self.wait_state(client, job.id, pb.SUCCEEDED)

    def test_a_port_that_is_taken_is_refused(self):
        daemon = self.dashd("--listen", "127.0.0.1:0", "--insecure-tcp", state="other")
        self.refused_start("cannot bind: Address already in use", "--insecure-tcp", "--listen", re.search(r"serves (\S+)", daemon.greeting)[1])

    def test_addresses_that_are_none_are_refused(self):
        self.refused_start("is not an address", "--listen", "nonsense")
        self.refused_start("must be absolute", "--listen", "unix:relative")
        self.refused_start("port must be a number", "--insecure-tcp", "--listen", "localhost:many")
        self.refused_start("too long", "--listen", "unix:/" + "x" * 200)
        self.refused_start("is not a socket", "--listen", "unix:" + self.write("file", ""))


if __name__ == "__main__":
    unittest.main()
