"""Runs a job folder through dash-coordinator and dash-worker under mpirun, without a daemon."""
import os
import subprocess

ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
    "OMPI_MCA_orte_base_help_aggregate": "0",  # its bookkeeping breaks mpirun now and then when ranks abort
}


def write_job(output, model, data, lines):
    """Writes output/job.yaml. `lines` holds the rest of the job file."""
    os.makedirs(output)
    with open(os.path.join(output, "job.yaml"), "w") as f:
        f.write(f"model: {model}\noutput: {output}\n")
        f.write(f"data: {{train: {data}, shuffle: false, max_tokens: 512}}\n{lines}\n")


def run(programs, output, workers, environment=None, timeout=900):
    """Trains; returns mpirun's exit code and its output."""
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", "1"]
    command += [os.path.join(programs, "dash-coordinator"), "--output", output]
    command += [":", "-np", str(workers), os.path.join(programs, "dash-worker")]
    env = {**os.environ, **ENVIRONMENT, "DASH_CACHE": os.path.join(output, "spectra")}
    env.update(environment or {})
    done = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=timeout, stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout
