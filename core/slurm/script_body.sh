# ---- From here on the script is the same for every job. ----

say() { # LEVEL WORDS: a line of the log, as the programs write theirs
    TZ=UTC printf '%(%Y-%m-%dT%H:%M:%S.000Z)T %s batch: %s\n' -1 "$1" "$2" >&2
}

# Bash evaluates a word in arithmetic as an expression, which may hold a command: whatever comes from a file or from the
# environment is checked to be a number before it is used as one.
is_number() { # WORD
    [[ $1 =~ ^(0|[1-9][0-9]{0,8})$ ]]
}
is_number "${SLURM_RESTART_COUNT-0}" || unset SLURM_RESTART_COUNT

cd -- "$output" || exit 1
# The folder's owner, and whoever can write there, decides what runs here.
case $(stat -L -c '%u %A' .) in
"$EUID d"???????[!w]*) ;;
*)
    say error "the output folder belongs to another user or can be written by everybody: the job does not start"
    exit 1
    ;;
esac
make_private() { # FOLDER
    [ -e "$1" ] || mkdir -m 700 -- "$1"
    [ -d "$1" ] && [ -O "$1" ] && [ "$(stat -c %u -- "$1")" = "$EUID" ] && chmod 700 -- "$1" && return
    say error "$output/$1 is not a folder of this user: remove it"
    exit 1
}
make_private logs
make_private checkpoint
end_if_replaced() {
    local newest=

    [ -f logs/launch ] && read -r -n 100 newest <logs/launch || [ -n "$newest" ] || {
        say error "$output/logs/launch cannot be read"
        exit 1
    }
    [ "$newest" != "$mark" ] || return 0
    say warn "another submission has taken the place of this one (Slurm job $SLURM_JOB_ID): it ends"
    exit 0
}
end_if_replaced
PATH=$programs:$PATH

# What a user has set for other programs is not meant for a worker's threads, nor what Slurm says of this
# script for the step that it starts.
unset OMP_NUM_THREADS OMP_PROC_BIND OMP_PLACES GOMP_CPU_AFFINITY OPENBLAS_NUM_THREADS GOTO_NUM_THREADS
unset SLURM_CPUS_PER_TASK SLURM_TRES_PER_TASK SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_DISTRIBUTION
unset SLURM_EXPORT_ENV SLURM_CPU_BIND SLURM_MPI_TYPE
export OMPI_MCA_btl_vader_single_copy_mechanism=none # where processes may not read each other's memory
# Slurm's other way, a tree, can let a node through a barrier before the others (22.05): MPI_Init then crashes at times.
export SLURM_PMIX_FENCE=${SLURM_PMIX_FENCE:-ring}
[ "$UID" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# A line a rank: the coordinator's node, the first, then a worker each. With room for it, the first has no worker.
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
[ "$workers" -gt 0 ] || workers=$((${#nodes[@]} * per_node))
first=0
[ "$workers" -gt $(((${#nodes[@]} - 1) * per_node)) ] || first=1
hosts=("${nodes[0]}")
for ((w = 0; w < workers; w++)); do
    hosts+=("${nodes[first + w / per_node]}")
done
hosts_file=logs/hosts.$SLURM_JOB_ID
printf '%s\n' "${hosts[@]}" >"$hosts_file" || exit 1

# DASH_MPI_START=mpirun: for a cluster that offers pmix but whose pmix does not work.
if [ "${DASH_MPI_START-srun}" = srun ] && srun --mpi=list 2>&1 | grep -qw pmix; then
    starter=srun
else
    starter=mpirun
fi

coordinator=(dash-coordinator --output . --report logs/dashd.json)
start() { # in the background
    if [ $starter = srun ]; then
        printf '0 %s\n1-%d dash-worker\n' "${coordinator[*]}" "$workers" >"logs/programs.$SLURM_JOB_ID"
        SLURM_HOSTFILE=$hosts_file srun --mpi=pmix --ntasks=$((workers + 1)) --distribution=arbitrary \
            --overcommit --cpu-bind=none --kill-on-bad-exit=1 --multi-prog "logs/programs.$SLURM_JOB_ID" </dev/null &
    else
        local rank ranks=(--host "${hosts[0]}" -np 1 "${coordinator[@]}")
        for ((rank = 1; rank <= workers; rank++)); do # one by one: mpirun decides where a group of them runs
            ranks+=(: --host "${hosts[rank]}" -np 1 dash-worker)
        done
        mpirun --oversubscribe --bind-to none --mca odls_base_sigkill_timeout 30 -x PATH "${ranks[@]}" </dev/null &
    fi
    launcher=$!
}

# Sets at_step, how many steps are done: without another process, which Slurm's signals would hit as well.
count_steps() {
    local rows=()

    [ ! -f metrics.jsonl ] || mapfile -t rows <metrics.jsonl
    at_step=${#rows[@]}
}

# Why this run is to end: "limit" (Slurm's time limit is near) or "asked". Slurm itself sends TERM when it ends a job, to this
# script and to all that it runs; dashd sends it to the script alone.
stop=
termed=
launcher=
reserve= # of the time before the limit: a step that outlives it is given up
on_limit() {
    [ -z "$stop" ] || return
    stop=limit
    say info "the time limit is near: the step is finished, then Slurm queues the job again"
    [ -z "$launcher" ] || kill -USR1 "$launcher" 2>/dev/null
    sleep $((grace - grace / 4)) &
    reserve=$!
}
on_term() {
    termed=yes
    [ -z "$stop" ] || return
    stop=asked
    [ -z "$launcher" ] || kill -USR1 "$launcher" 2>/dev/null
}
on_exit() {
    rm -f "$hosts_file" "logs/programs.$SLURM_JOB_ID"
    [ -z "$reserve" ] || kill "$reserve" 2>/dev/null
}
trap on_limit USR1
trap on_term TERM
trap on_exit EXIT

# Waits for a process: bash's own wait ends at every signal. Fails if the reserve is used up before.
wait_for() {
    while kill -0 "$1" 2>/dev/null; do
        # shellcheck disable=SC2086 # one or none
        wait -n "$1" $reserve
        [ -z "$reserve" ] || kill -0 "$reserve" 2>/dev/null || return 1
    done
}

pause() { # SECONDS
    sleep "$1" &
    wait "$!" # a signal ends the wait, too
}

# Sets info, what Slurm says of this job. A question is lost with the TERM that ends a job, so it is asked again.
ask_slurm() {
    local tries

    for tries in 1 2 3; do
        info=$(scontrol show job -o "$SLURM_JOB_ID" 2>/dev/null)
        [ -z "$info" ] || return 0
        [ "$tries" = 3 ] || pause 1
    done
    return 1
}

# Somebody else has decided: Slurm starts it again by itself, or it was cancelled.
end_if_decided() {
    local restarts=0

    [[ $info != *" Restarts="* ]] || restarts=${info#* Restarts=}
    restarts=${restarts%%[!0-9]*}
    is_number "${restarts:=0}" || restarts=0
    [ "$restarts" -le "${SLURM_RESTART_COUNT-0}" ] || exit 3
    case $info in
    *" JobState=RUNNING "*) [ -z "$termed" ] || exit 3 ;; # dashd's
    *" Reason=TimeLimit "*) ;;
    *) exit 3 ;;
    esac
}

requeue() {
    local said

    say info "to be queued again after step $at_step"
    while :; do
        if ask_slurm; then
            end_if_decided
            said=$(scontrol requeue "$SLURM_JOB_ID" 2>&1) && exit 3
            case $said in
            *disabled* | *denied* | *"not permitted"*)
                say warn "Slurm does not queue this job again ($said): it is submitted anew"
                unset SLURM_RESTART_COUNT
                sbatch "$0" && exit 3
                exit 1
                ;;
            esac
        else
            said="its controller does not answer"
        fi
        say warn "Slurm does not queue the job again yet: $said"
        pause 5
    done
}

end_if_told() {
    count_steps
    case $stop in
    limit) requeue ;;
    asked) # by dashd or scancel; or by the time limit, where the warning before it did not come
        ask_slurm
        case $info in
        *" Reason=TimeLimit "*) requeue ;;
        esac
        exit 3
        ;;
    esac
}

# A preempted job is queued again if it waits to be ended; its ranks are signalled first.
wait_if_preempted() {
    ask_slurm
    case $info in
    *" PreemptTime=2"*)
        say info "preempted after step $at_step: Slurm ends it and queues it again"
        sleep 900 &
        wait_for $!
        end_if_told
        ;;
    esac
}

nodes_answer() {
    timeout 60 srun --nodes=${#nodes[@]} --ntasks=${#nodes[@]} --ntasks-per-node=1 --overlap true
}

# Runs in which not one step is done would follow one another without end.
count_steps
before=-1
fruitless=0
if [ -f logs/runs ]; then
    read -r -n 100 before fruitless rest <logs/runs
    if ! is_number "$before" || ! is_number "$fruitless" || [ -n "$rest" ]; then
        say warn "$output/logs/runs is not what this script writes: ignored"
        before=-1
        fruitless=0
    fi
fi
fruitless=$((at_step > before ? 0 : fruitless + 1))
echo "$at_step $fruitless" >logs/runs
say info "Slurm job $SLURM_JOB_ID on $SLURM_JOB_NODELIST (run $((${SLURM_RESTART_COUNT-0} + 1))): $workers workers, by $starter"
if [ $fruitless -ge 10 ]; then
    say error "$fruitless runs in a row have done no step: each was ended before (is slurm.time too short?)"
    exit 1
fi

deaths=0
reached=$at_step
while :; do
    end_if_replaced
    rm -f outcome.json
    start
    [ -z "$stop" ] || kill -USR1 "$launcher" 2>/dev/null # a signal that came before
    wait_for "$launcher" || {
        count_steps
        say warn "the step takes longer than the time before the limit: it is given up, and done again"
        requeue
    }
    launcher=
    outcome=
    [ ! -f outcome.json ] || read -r -d '' -n 65536 outcome <outcome.json || true
    case ${outcome//[[:space:]]/} in
    *'"how":"adapter_written"'*) exit 0 ;;
    *'"how":"failed"'*) exit 1 ;;
    *'"how":"stopped","asked":true'*) exit 3 ;;
    esac
    end_if_told
    wait_if_preempted

    [ "$at_step" -le "$reached" ] || deaths=0
    reached=$at_step
    deaths=$((deaths + 1))
    if [ $deaths -gt "$max_restarts" ]; then
        say error "a process has died after step $at_step; it was the last of $max_restarts restarts without progress"
        exit 1
    fi
    end_if_told
    nodes_answer || {
        end_if_told # Slurm's signals end all that runs here
        say warn "not all nodes answer"
        requeue
    }
    say warn "a process has died after step $at_step: restart $deaths of $max_restarts"
    pause $((deaths < 6 ? 1 << (deaths - 1) : 60))
    end_if_told
done
