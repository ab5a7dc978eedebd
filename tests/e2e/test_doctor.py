"""dashctl doctor without Slurm: what it finds on this machine, and what it says of what is broken."""
from harness import *

PROGRAMS = ["dashctl", "dashd", "dash-coordinator", "dash-worker"]


class Doctor(World):
    def setUp(self):
        super().setUp()
        self.tools = self.path("tools")
        os.mkdir(self.tools)
        self.programs = BIN

    def tool(self, name, text=None):
        """Puts a program into the only folder of PATH: the machine's, or a script."""
        path = os.path.join(self.tools, name)
        if text is None:
            os.symlink(shutil.which(name), path)
        else:
            self.write(f"tools/{name}", text)
            os.chmod(path, 0o755)

    def mpirun(self):
        self.tool("mpirun")
        self.tool("ssh", "#!/bin/sh\nexit 1\n")  # looked for, and on one machine not used

    def installation(self):
        """Another one, whose programs may be broken."""
        self.programs = self.path("bin")
        os.mkdir(self.programs)
        for name in PROGRAMS:
            shutil.copy(os.path.join(BIN, name), self.programs)

    def broken(self, name, text):
        path = os.path.join(self.programs, name)
        os.unlink(path)
        self.write(path, text)
        os.chmod(path, 0o755)

    def doctor(self, *arguments, status=0):
        done = subprocess.run([os.path.join(self.programs, "dashctl"), "doctor", *arguments], capture_output=True, text=True,
                              timeout=3 * DEADLINE, cwd=self.folder, stdin=subprocess.DEVNULL,
                              env={**os.environ, "PATH": self.tools, "TMPDIR": self.folder})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + (done.stderr if status == 2 else "")

    def findings(self, *arguments, status=0):
        """{check: [(verdict, words, remedy), ...]}"""
        found = {}
        for row in json.loads(self.doctor(*arguments, "--output", "json", status=status)):
            self.assertEqual(set(row), {"check", "verdict", "words", "remedy"})
            self.assertIn(row["verdict"], ("ok", "warning", "PROBLEM"))
            self.assertTrue(row["verdict"] == "ok" or row["remedy"], row)
            found.setdefault(row["check"], []).append((row["verdict"], row["words"], row["remedy"]))
        return found

    def problem(self, found, check):
        (verdict, words, remedy), = found[check]
        self.assertEqual(verdict, "PROBLEM", words)
        return f"{words}: {remedy}"


class Machine(Doctor):
    def test_without_sbatch_it_looks_at_this_machine(self):
        self.mpirun()
        text = self.doctor()
        self.assertRegex(text, r"(?m)^ok       programs: dashctl, dashd, dash-coordinator and dash-worker \d\S* start$")
        self.assertRegex(text, r"(?m)^ok       mpi: mpirun starts 2 ranks on this machine; ")
        self.assertRegex(text, rf"(?m)^ok       cores: {len(os.sched_getaffinity(0))} for ")
        self.assertRegex(text, r"(?m)^(ok|warning)  +rate: .* GFLOP/s")
        self.assertRegex(text, r"(?m)^ok       memory: \d+ MB")
        self.assertNotIn("slurm", text)
        self.assertEqual(os.listdir(self.folder), ["tools"], "its folder is removed")

    def test_with_sbatch_it_does_so_when_told(self):
        self.mpirun()
        self.tool("sbatch", "#!/bin/sh\nexit 1\n")
        found = self.findings("--local")
        self.assertEqual(set(found), {"programs", "mpi", "cores", "threads", "rate", "memory"})

    def test_without_mpirun_the_rest_is_told(self):
        found = self.findings(status=1)
        self.assertIn("no mpirun in PATH: install Open MPI", self.problem(found, "mpi"))
        self.assertEqual(set(found), {"programs", "mpi", "cores", "threads", "rate", "memory"})

    def test_an_mpirun_that_fails_is_quoted(self):
        self.tool("mpirun", "#!/bin/sh\necho 'no such plugin: xyz' >&2\nexit 3\n")
        self.assertIn("(status 3): no such plugin: xyz", self.problem(self.findings(status=1), "mpi"))

    def test_mpiruns_own_statuses_are_no_signals(self):
        self.tool("mpirun", "#!/bin/sh\necho ------- >&2\necho 'cannot access the program' >&2\nexit 132\n")
        self.assertIn("(status 132): cannot access the program", self.problem(self.findings(status=1), "mpi"))

    def test_wrong_options(self):
        for arguments in (["--nodes", "0"], ["--nodes", "two"], ["--timeout", "-1"], ["--cpus-per-task", "1x"], ["here"],
                          ["--no-such-option"], ["--output", "xml"]):
            self.assertIn("dashctl doctor: ", self.doctor(*arguments, status=2), arguments)


class Programs(Doctor):
    def setUp(self):
        super().setUp()
        self.mpirun()
        self.installation()

    def test_one_that_is_missing(self):
        os.unlink(os.path.join(self.programs, "dash-coordinator"))
        found = self.findings(status=1)
        self.assertIn(f"there is no dash-coordinator in {self.programs}: ", self.problem(found, "programs"))
        self.assertEqual(found["mpi"][0][0], "ok")
        text = self.doctor(status=1)
        self.assertRegex(text, r"(?m)^PROBLEM  programs: .*\n         install dash again: ")

    def test_one_of_another_version(self):
        self.broken("dashd", "#!/bin/sh\necho dashd 0.0.1\n")
        self.assertIn("it prints 'dashd 0.0.1'", self.problem(self.findings(status=1), "programs"))

    def test_one_that_does_not_start(self):
        self.broken("dashd", "#!/bin/sh\necho 'dashd: libuv.so.1: cannot open shared object file' >&2\nexit 127\n")
        self.assertIn("dashd does not start: dashd: libuv.so.1: cannot", self.problem(self.findings(status=1), "programs"))

    def test_a_worker_whose_results_are_damaged(self):
        self.broken("dash-worker", "#!/bin/sh\n"
                    "[ \"$1\" = --version ] || echo '{\"ranks\": [{\"rank\": 0, \"node\": 7}]}' >\"$3/probe.json\"\n")
        found = self.findings(status=1)
        self.assertIn("the results of the ranks are damaged: probe.json: ranks[0]: node must be a string",
                      self.problem(found, "mpi"))
        self.assertNotIn("cores", found)

    def test_a_worker_for_another_cpu(self):
        self.broken("dash-worker", "#!/bin/sh\nkill -ILL $$\n")
        found = self.findings(status=1)
        self.assertIn("dash-worker does not start, built for another CPU", self.problem(found, "programs"))
        self.assertIn("-DDASH_MARCH=", self.problem(found, "programs"))
        for verdict, words, remedy in found["cpu"]:
            self.assertEqual((verdict, words[:22]), ("PROBLEM", "built for another CPU:"))
            self.assertIn("-DDASH_MARCH=", remedy)


class Slurm(Doctor):
    def test_a_controller_that_is_away(self):
        for name in ("sbatch", "srun", "mpirun"):
            self.tool(name, "#!/bin/sh\nexit 1\n")
        self.tool("squeue", "#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n")
        found = self.findings(status=1)
        self.assertIn("squeue fails: Unable to contact slurm controller", self.problem(found, "slurm"))
        self.assertEqual(found["starter"][0][0], "ok")
        self.assertEqual(os.listdir(self.folder), ["tools"])

    def test_a_folder_that_is_not_there(self):
        for name in ("sbatch", "srun", "squeue", "mpirun"):
            self.tool(name, "#!/bin/sh\nexit 0\n")
        found = self.findings("--folder", self.path("nowhere"), status=1)
        self.assertIn("nowhere: No such file", self.problem(found, "folder"))


class Worker(World):
    def test_help_and_version_need_no_mpi(self):
        for option, words in (("--help", "Usage: dash-worker"), ("--version", "dash-worker ")):
            done = subprocess.run([os.path.join(BIN, "dash-worker"), option], capture_output=True, text=True,
                                  timeout=DEADLINE, env={"PATH": ""})
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout.startswith(words), done.stdout)

    def test_what_it_does_not_know_it_refuses(self):
        done = subprocess.run([os.path.join(BIN, "dash-worker"), "frobnicate"], capture_output=True, text=True,
                              timeout=DEADLINE)
        self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    unittest.main()
