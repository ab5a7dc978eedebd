#!/bin/bash -p
# The batch script of `dashctl doctor`: starts `dash-worker probe` on every node, as a job's script starts its ranks.
# job.sh FOLDER PROGRAMS [OPTION OF PROBE]...   All words come as arguments: none is a part of this text.
folder=$1 programs=$2
shift 2
cd -- "$folder" || exit 66 # this node does not share it
exec >job.log 2>&1
PATH=$programs:$PATH

# As in the script of a job: what was set for other programs, and what Slurm says of this script for the step it starts.
unset OMP_NUM_THREADS OMP_PROC_BIND OMP_PLACES GOMP_CPU_AFFINITY OPENBLAS_NUM_THREADS GOTO_NUM_THREADS
unset SLURM_CPUS_PER_TASK SLURM_TRES_PER_TASK SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_DISTRIBUTION
unset SLURM_EXPORT_ENV SLURM_CPU_BIND SLURM_MPI_TYPE
export OMPI_MCA_btl_vader_single_copy_mechanism=none SLURM_PMIX_FENCE=${SLURM_PMIX_FENCE:-ring}
[ "$UID" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
if [ "${DASH_MPI_START-srun}" = srun ] && srun --mpi=list 2>&1 | grep -qw pmix; then
    starter=srun
else
    starter=mpirun
fi
echo $starter >starter

# A rank that never answers must not hold the nodes.
probe=(dash-worker probe --folder "$PWD" "$@")
if [ $starter = srun ]; then
    printf '%s\n' "${nodes[@]}" >hosts
    SLURM_HOSTFILE=hosts timeout -k 10 120 srun --mpi=pmix --ntasks=${#nodes[@]} --distribution=arbitrary \
        --overcommit --cpu-bind=none --kill-on-bad-exit=1 "${probe[@]}" </dev/null
else
    timeout -k 10 120 mpirun --oversubscribe --bind-to none --map-by node -x PATH \
        --host "$(printf '%s:1,' "${nodes[@]}")" -np ${#nodes[@]} "${probe[@]}" </dev/null
fi
status=$?
echo $status >status.new
mv status.new status
exit $status
