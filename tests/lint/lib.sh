# tests/lint/lib.sh - what the lint scripts share. They run in the project's root folder.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

# Without the tool there is no verdict: ctest shows the test as skipped.
needs() {
    command -v "$1" >/dev/null || {
        echo "skipped: $1 is not installed"
        exit 77
    }
}

# The project's files, by the patterns given: those that git knows or would, or without git all but build folders.
files() {
    if command -v git >/dev/null && git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
        git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@"
    else
        local pattern
        for pattern in "$@"; do
            find . \( -name .git -o -name 'build*' -o -name __pycache__ \) -prune -o -type f -path "./$pattern" -print
        done | sed 's|^\./||'
    fi | sort -u | while read -r file; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done
}
