"""The installed tree: programs that find one another, pages that list all options, units, module file, Spack recipe.

The build is installed once, into a folder with blanks and a per cent sign in its name. CMake says where things are:
DASH_BUILD, DASH_SOURCE, DASH_CMAKE, DASH_VERSION. A tool that is not there is a skipped test.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import types
import unittest

BUILD, SOURCE, VERSION = (os.environ[name] for name in ("DASH_BUILD", "DASH_SOURCE", "DASH_VERSION"))
DEADLINE = float(os.environ.get("DASH_TEST_DEADLINE", "60")) * float(os.environ.get("DASH_TEST_SLOWNESS", "1"))
PROGRAMS = "dashctl dashd dash-coordinator dash-worker".split()
FILES = {
    *(f"bin/{name}" for name in PROGRAMS),
    *(f"share/man/man1/{name}.1" for name in PROGRAMS),
    "share/man/man5/dash-job.5",
    "share/doc/dash/README.md",
    "share/doc/dash/LICENSE",
    "share/dash/dash.proto",
    "share/bash-completion/completions/dashctl",
    "share/zsh/site-functions/_dashctl",
    "share/fish/vendor_completions.d/dashctl.fish",
    f"share/dash/modules/dash/{VERSION}",
    "lib/systemd/user/dashd.service",
    "lib/systemd/system/dashd@.service",
}
FOLDER = PREFIX = None


def setUpModule():
    global FOLDER, PREFIX
    FOLDER = tempfile.mkdtemp(prefix="dash 100%p ")
    PREFIX = path("prefix")
    unittest.addModuleCleanup(shutil.rmtree, FOLDER)
    run(os.environ["DASH_CMAKE"], "--install", BUILD, "--prefix", PREFIX)


def path(*parts):
    return os.path.join(FOLDER, *parts)


def installed(*parts):
    return os.path.join(PREFIX, *parts)


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as f:
        return f.read()


def files_below(folder):
    return {os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names}


def run(*command, status=0, **env):
    """What the command says; it must end with the status. Nothing of this user's dash is in its environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DASH_", "XDG_"))}
    environment.update(HOME=FOLDER, TMPDIR="/tmp", **env)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=DEADLINE, env=environment, cwd=FOLDER)
    if done.returncode != status:
        raise AssertionError(f"{command} ended with status {done.returncode}:\n{done.stdout}")
    return done.stdout


def needs(tool):
    return unittest.skipUnless(shutil.which(tool), f"{tool} is not installed")


def completions(*words):
    """What bash offers for the last word."""
    script = (f'. {shlex.quote(installed("share/bash-completion/completions/dashctl"))}; COMP_WORDS=("$@"); '
              'COMP_CWORD=$(($# - 1)); compopt() { :; }; _dashctl; printf "%s\\n" "${COMPREPLY[@]}"')
    return subprocess.run(["bash", "-c", script, "bash", installed("bin/dashctl"), *words], capture_output=True, text=True,
                          check=True).stdout.split()


class Tree(unittest.TestCase):
    def test_every_file_is_in_its_place(self):
        # Examples come and go.
        examples = tuple(f"share/dash/{name}/" for name in ("slurm", "grafana", "proxy", "ondemand"))
        found = files_below(PREFIX)
        self.assertEqual({f for f in found if not f.startswith(examples)}, FILES)
        self.assertTrue(all(any(f.startswith(folder) for f in found) for folder in examples))

    def test_nothing_is_left_to_be_filled_in(self):
        for name in FILES - {f"bin/{program}" for program in PROGRAMS}:
            self.assertEqual(re.findall(r"@\w+@", read(PREFIX, name)), [], name)

    def test_a_staged_tree_names_its_final_place(self):
        stage = path("stage")
        run(os.environ["DASH_CMAKE"], "--install", BUILD, "--prefix", "/opt/dash", DESTDIR=stage)
        self.assertLessEqual(FILES, files_below(stage + "/opt/dash"))
        self.assertIn('ExecStart="/opt/dash/bin/dashd"', read(stage, "opt/dash/lib/systemd/user/dashd.service"))
        self.assertIn("/opt/dash/bin}", read(stage, f"opt/dash/share/dash/modules/dash/{VERSION}"))


class Programs(unittest.TestCase):
    def test_they_start(self):
        builds = set()
        for name in PROGRAMS:
            said = run(installed("bin", name), "--version")
            self.assertEqual(said.splitlines()[-1], f"{name} {VERSION}")
            # The ranks of a job must be of one build: they name it.
            if name in ("dash-coordinator", "dash-worker"):
                self.assertRegex(said, rf"\A{name} build [0-9a-f]{{16}}\n")
                builds.add(said.split()[2])
            self.assertIn("Usage:", run(installed("bin", name), "--help"))
        self.assertEqual(len(builds), 1)
        for mode in ("generate", "eval", "probe"):
            self.assertIn("Usage:", run(installed("bin/dash-worker"), mode, "--help"))

    def test_a_job_runs_from_here_to_its_end(self):
        tiny, output = os.path.join(SOURCE, "tests/golden/tiny"), path("output folder")
        said = run(installed("bin/dashctl"), "run", os.path.join(tiny, "job.yaml"), "--set", f"output={output}",
                   "--set", "training.steps=2", "--set", "dash.prelaunch_steps=1", "--set", "data.max_tokens=128")
        self.assertRegex(said, r"SUCCEEDED after 2 steps in \w+: the adapter is in " + re.escape(output))
        self.assertLess({"adapter/adapter_model.safetensors", "directions.json"}, files_below(output))


def options_of(help_text):
    """{"--state", "-s", ...}, from what --help prints."""
    found = re.findall(r"^ {2,6}(?:(-\S), )?(--[a-z-]+)", help_text, re.M)
    return {option for pair in found for option in pair if option}


def page(name):
    """A page as text without overstrikes, its lines as long as they come."""
    return re.sub(".\b", "", run("mandoc", "-Tascii", "-Owidth=1000", installed("share/man", name)))


def tags(text):
    """What stands before the explanations of a list: lines indented once, an option or a key each, or several."""
    return re.findall(r"^ {5}(\S.*)$", text, re.M)


def options_in(text):
    """The options that a page explains."""
    words = [word for tag in tags(text) if tag.startswith("-") for word in re.findall(r"(?:^|[ ,])(--?[a-zA-Z0-9?-]+)", tag)]
    return set(words)


def split(text, indent):
    """{heading: text below it}, of the headings with that many blanks before them."""
    parts = re.split(rf"^ {{{indent}}}(\S.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def defaults_of(yaml):
    """{"data.train": ...} of a job as dashctl prints it: sections of one level."""
    values, section = {}, ""
    for indent, key, value in re.findall(r"^( *)(\w+):(?: (.*))?$", yaml, re.M):
        if not value:
            section = key + "."
        else:
            values[(section if indent else "") + key] = value.strip('"')
    return values


def plain(value):
    """Numbers are compared as numbers: 2e-4 is 0.0002."""
    try:
        return float(value)
    except ValueError:
        return value


@needs("mandoc")
class Pages(unittest.TestCase):
    def test_they_are_clean(self):
        for name in sorted(FILES):
            if name.startswith("share/man/"):
                self.assertEqual(run("mandoc", "-Tlint", "-Wwarning", installed(name)), "")

    def explain_equally(self, text, help_text, what):
        self.assertGreater(len(options_of(help_text)), 2, what)
        self.assertEqual(options_in(text), options_of(help_text), what)

    def test_options(self):
        for name, modes in (("dash-coordinator", []), ("dashd", ["init", "token"]), ("dash-worker", ["generate", "eval", "probe"])):
            helps = [run(installed("bin", name), *mode, "--help") for mode in ([], *([m] for m in modes))]
            self.explain_equally(page(f"man1/{name}.1"), "".join(helps), name)

    def test_commands_and_their_options(self):
        text = page("man1/dashctl.1")
        parts = {heading.split()[0]: below for heading, below in split(text, 3).items()}
        common = options_in(parts.pop("Common"))
        said = run(installed("bin/dashctl"), "--help")
        commands = re.findall(r"^ {2}(\w+) ", said.split("Commands:\n")[1], re.M)
        self.assertGreater(len(commands), 5)
        self.assertEqual(set(parts), {*commands, "help"})
        for command in commands:
            options = options_in(parts[command])
            told = options_of(run(installed("bin/dashctl"), "help", command))
            self.assertGreater(len(told), 3)
            self.assertLessEqual(options, told, command)
            self.assertLessEqual(told, options | common, command)
        self.assertLessEqual(set(re.findall(r"--[a-z]+", said)), common)
        self.assertIn("dashctl --version", split(text, 0)["SYNOPSIS"])

    def test_bash_completes_commands_and_options(self):
        self.assertEqual(completions("can"), ["cancel"])
        self.assertIn("checkpoints", completions(""))
        self.assertEqual(completions("--server", "x:1", "logi"), ["login"])
        self.assertEqual(completions("list", "--wat"), ["--watch"])
        self.assertEqual(completions("help", "pau"), ["pause"])

    def entries_of_a_job(self):
        """{key: what the page says below it}, from the lists in its description."""
        entries = {}
        for part in split(split(page("man5/dash-job.5"), 0)["DESCRIPTION"], 3).values():
            for tag, below in split(part, 5).items():
                words = re.match(r"([a-z0-9_., ]+?)(?:  | \(|$)(.*)", tag)
                for key in words.group(1).split(", ") if words else ():
                    entries[key] = " ".join((words.group(2) + " " + below).split())
        return entries

    def test_keys_of_a_job(self):
        table, = pathlib.Path(SOURCE, "core").rglob("job_keys.c")
        keys = re.findall(r'^ *\{"([a-z0-9_.]+)", KEY_', read(table), re.M)
        self.assertGreater(len(keys), 30)
        self.assertEqual(sorted(self.entries_of_a_job()), sorted(keys))

    def test_defaults_of_a_job(self):
        """The page's defaults are those of a job that sets nothing."""
        tiny, required = os.path.join(SOURCE, "tests/golden/tiny"), {"model", "data.train", "output"}
        with open(path("defaults.yaml"), "w", encoding="utf-8") as f:
            f.write(f"model: {tiny}/model\ndata: {{train: {tiny}/train.jsonl}}\noutput: defaults\n")
        actual = defaults_of(json.loads(run(installed("bin/dashctl"), "plan", path("defaults.yaml"), "--output", "json"))
                             ["job_yaml"])
        actual.update((key, value) for key, value in defaults_of(json.loads(run(
            installed("bin/dashctl"), "plan", path("defaults.yaml"), "--set", "launcher=slurm", "--output", "json"))
            ["job_yaml"]).items() if key.startswith("slurm."))
        entries = self.entries_of_a_job()
        for key in entries.keys() - required - {"name"}:
            told = re.findall(r"The default is (\[.*?\]|\S+?)[:.]?(?: |$)", entries[key])
            self.assertEqual(len(told), 1, f"{key}: {entries[key]}")
            self.assertEqual(plain(told[0]), plain(actual.get(key, "null")), key)
        for key in required:
            self.assertIn("required", entries[key])
            self.assertNotIn("default", entries[key])


class Units(unittest.TestCase):
    units = {"user/dashd.service": [], "system/dashd@.service": ["User=%i"]}

    def settings(self, name):
        return [line for line in read(PREFIX, "lib/systemd", name).splitlines() if re.match(r"\w+=", line)]

    def test_they_start_the_installed_dashd(self):
        for name in self.units:
            start, = (line for line in self.settings(name) if line.startswith("ExecStart="))
            program = installed("bin/dashd")
            self.assertEqual(start, 'ExecStart="{}"'.format(program.replace("%", "%%")))
            self.assertTrue(os.access(program, os.X_OK))

    def test_jobs_outlive_a_restart(self):
        for name, more in self.units.items():
            self.assertLessEqual({"KillMode=process", "OOMPolicy=continue", "Restart=on-failure", *more},
                                 set(self.settings(name)))
            self.assertNotRegex("\n".join(self.settings(name)),
                                "PrivateTmp|PrivateDevices|PrivateUsers|DynamicUser|ProtectHome|ProtectSystem=strict")

    def test_units_limit_what_a_fault_can_take_and_are_never_left_down(self):
        for name in ("user/dashd.service", "system/dashd@.service"):
            settings = dict(line.split("=", 1) for line in self.settings(name))
            for key in ("MemoryMax", "TasksMax", "LimitNOFILE"):
                self.assertIn(key, settings)
            self.assertEqual((settings["StartLimitIntervalSec"], settings["Restart"]), ("0", "on-failure"))

    @needs("systemd-analyze")
    def test_systemd_takes_them(self):
        for name, options in (("user/dashd.service", ["--user"]), ("system/dashd@ann.service", [])):
            try:
                said = run("systemd-analyze", *options, "--man=no", "verify", installed("lib/systemd", name),
                           XDG_RUNTIME_DIR=FOLDER)
            except AssertionError as e:
                if "Failed to initialize manager" in str(e):
                    self.skipTest("systemd-analyze cannot verify here")
                raise
            self.assertEqual(said, "")


class Module(unittest.TestCase):
    file = f"share/dash/modules/dash/{VERSION}"

    def evaluate(self, more=""):
        """What the module file does, a line a command."""
        script = path("module.tcl")
        with open(script, "w", encoding="utf-8") as f:
            for command in "module-whatis", "conflict", "prepend-path", "append-path":
                f.write(f"proc {{{command}}} {{args}} {{ puts [join [list {{{command}}} {{*}}$args] |] }}\n")
            f.write(f"source {{{installed(self.file)}}}\n{more}\n")
        return run("tclsh", script).splitlines()

    def test_both_systems_know_it_as_a_module_file(self):
        self.assertTrue(read(PREFIX, self.file).startswith("#%Module"))

    @needs("tclsh")
    def test_it_leads_to_programs_and_pages(self):
        what, *does = self.evaluate()
        self.assertRegex(what, rf"^module-whatis\|dash {re.escape(VERSION)}: ")
        self.assertEqual(does, ["conflict|dash", f"prepend-path|PATH|{installed('bin')}",
                                f"prepend-path|MANPATH|{installed('share/man')}", "append-path|MANPATH|"])

    @needs("tclsh")
    def test_its_help_names_commands_that_there_are(self):
        text = "\n".join(self.evaluate("ModulesHelp"))
        commands = re.findall(r"^ +dashctl (\w+)", text, re.M)
        self.assertTrue(commands)
        for command in commands:
            run(installed("bin/dashctl"), "help", command)


class Recipe(unittest.TestCase):
    """Spack's recipe, against a Spack that only writes down its calls."""

    names = {"grpc": "grpc", "openssl": "openssl", "munge": "munge", "libuv": "libuv", "libmicrohttpd": "libmicrohttpd", "libcurl": "curl", "libprotobuf-c": "protobuf-c", "openblas": "openblas", "sqlite3": "sqlite",
             "jansson": "jansson", "yaml-0.1": "libyaml", "libpcre2-8": "pcre2", "libxxhash": "xxhash", "zlib": "zlib-api",
             "libzstd": "zstd", "cmocka": "cmocka"}

    def setUp(self):
        self.told = []
        words = ("license", "version", "variant", "depends_on", "conflicts")
        spack = types.ModuleType("spack.package")
        for word in words:
            setattr(spack, word, lambda *a, word=word, **k: self.told.append((word, a[0], k)))
        spack.CMakePackage = type("CMakePackage", (), {
            "define": lambda self, name, value: f"-D{name}={value}",
            "define_from_variant": lambda self, name, variant: f"-D{name}=({variant})"})
        spack.__all__ = [*words, "CMakePackage"]
        file = os.path.join(SOURCE, "deploy/spack/packages/dash/package.py")
        scope = {"__file__": file, "__name__": "package"}
        sys.modules.update({"spack": types.ModuleType("spack"), "spack.package": spack})
        try:
            exec(compile(read(file), file, "exec"), scope)
        finally:
            del sys.modules["spack"], sys.modules["spack.package"]
        self.recipe = scope["Dash"]

    def names_told(self, word):
        return {re.match(r"[\w-]+", first).group() for said, first, _ in self.told if said == word}

    def test_it_knows_every_library(self):
        wanted = re.findall(r"pkg_check_modules\(\w+ .*?([\w.-]+)(?:>=[\d.]+)?\)", read(SOURCE, "CMakeLists.txt"))
        self.assertGreater(len(wanted), 5)
        self.assertLessEqual({self.names[name] for name in wanted} | {"openmpi", "protobuf", "cmake", "pkgconfig"},
                             self.names_told("depends_on"))

    def test_its_source_is_this_one(self):
        self.assertEqual(self.recipe.git, pathlib.Path(SOURCE).resolve().as_uri())

    def test_the_kind_of_cpu(self):
        def march(asked, *targets):
            package = self.recipe()
            package.spec = types.SimpleNamespace(variants={"march": types.SimpleNamespace(value=asked)},
                                                 satisfies=lambda spec: spec in targets)
            return package.cmake_args()

        self.assertEqual(march("znver4"), ["-DDASH_MARCH=znver4", "-DDASH_TESTS=(tests)", "-DDASH_MUNGE=(munge)"])
        self.assertEqual(march("auto", "target=x86_64_v3:", "target=x86_64_v2:", "target=x86_64:")[0],
                         "-DDASH_MARCH=x86-64-v3")
        self.assertEqual(march("auto")[0], "-DDASH_MARCH=native")
        self.assertEqual(self.names_told("variant"), {"march", "tests", "munge"})

    def test_its_repository(self):
        self.assertEqual(read(SOURCE, "deploy/spack/repo.yaml"), "repo:\n  namespace: dash\n")


if __name__ == "__main__":
    unittest.main()
