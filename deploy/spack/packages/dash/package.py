# dash for Spack 1.0 or later. From a clone of dash:
#
#     spack repo add deploy/spack
#     spack install dash
#
# What is built is the clone's branch main, as it is committed. Of Spack's package repository, 2025.07
# to 2026.03 have what is needed; 2026.06 has a grpc that cannot build 1.50, for it patches a file
# which only later versions have.
import pathlib

from spack.package import *


class Dash(CMakePackage):
    """Fine-tuning of language models on CPUs with LoRA-Dash: a queue, a command line, and a trainer
    in C over MPI whose result does not depend on how it was distributed or interrupted."""

    git = pathlib.Path(__file__).resolve().parents[4].as_uri()

    license("Apache-2.0")

    version("main", branch="main")

    variant(
        "march",
        default="auto",
        values=str,
        description="Kind of CPU to compile for, as -march has it; auto: the level of Spack's target",
    )
    variant("tests", default=False, description="Build the tests, and run some with --test=root")

    variant("munge", default=True, description="Let users of a cluster sign in by MUNGE")

    depends_on("c", type="build")
    depends_on("cmake@3.20:", type="build")
    depends_on("pkgconfig", type="build")

    # mpirun is called too, with options of Open MPI 4.
    depends_on("openmpi@4.1", type=("build", "link", "run"))
    # Only the core of grpc is used, by its grpc.pc. It must be shared, or a C program would have to
    # name the C++ libraries behind it. protobuf-c ends at protobuf 3.21, now called 21, and grpc
    # begins to need a later one with 1.55.
    depends_on("grpc@1.50:1.54 +shared cxxstd=17")
    depends_on("protobuf-c@1.4:")
    depends_on("protobuf", type="build")
    depends_on("openssl@3:")
    depends_on("libuv@1.44:")
    depends_on("libmicrohttpd@0.9.75:")
    depends_on("curl@7.85:")
    depends_on("openblas +shared")
    depends_on("sqlite@3.26:")
    depends_on("jansson@2.12:")
    depends_on("libyaml@0.2:")
    depends_on("pcre2@10.31:")
    depends_on("xxhash@0.8:")
    depends_on("zlib-api")
    depends_on("zstd@1.4:")
    depends_on("munge@0.5.13:", when="+munge")
    depends_on("cmocka@1.1:", when="+tests", type=("build", "link"))

    conflicts("%gcc@:10", msg="dash needs a compiler that knows -march=x86-64-v3")

    def march(self):
        march = self.spec.variants["march"].value
        if march != "auto":
            return march
        for level in (4, 3, 2):
            if self.spec.satisfies(f"target=x86_64_v{level}:"):
                return f"x86-64-v{level}"
        return "x86-64" if self.spec.satisfies("target=x86_64:") else "native"

    def cmake_args(self):
        return [
            self.define("DASH_MARCH", self.march()),
            self.define_from_variant("DASH_TESTS", "tests"),
            self.define_from_variant("DASH_MUNGE", "munge"),
        ]

    def check(self):
        """Those tests that need nothing but the build."""
        if self.spec.satisfies("+tests"):
            with working_dir(self.build_directory):
                ctest("--output-on-failure", "--no-tests=error", "-R", "^(unit_|ops[.])")
