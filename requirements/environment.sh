# Shared by ./demo, ./test and .ci/run: one virtual environment with pinned versions.
#
#   make_environment LEVEL...     LEVEL is one of the requirement files here: run, test, check, docs
#
# A stamp named after what the requirement files hold lets a second call return at once. All messages
# of failure say what to do; nothing outside the repository is changed.
# shellcheck shell=bash

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
environment=${MLHAM_VENV:-$repository/.venv}
needed_mib=3000

fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    printf '  %s\n' "$@" >&2
    exit 1
}

# The newest of the usual names that is Python 3.11 or later; PYTHON=... overrides.
find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "no Python 3.11 or later was found (looked for: ${PYTHON:-python3, python3.13, python3.12, python3.11})" \
        "On Debian 12, Ubuntu 24.04 or later:  sudo apt install python3 python3-venv" \
        "Installed elsewhere?  PYTHON=/path/to/python3.11 $0"
}

create_environment() {
    local python free parent
    python=$(find_python) || exit 1
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        fail "$python cannot make virtual environments: its venv module is missing" \
            "On Debian or Ubuntu:  sudo apt install python3-venv" \
            "(for a Python with a version in its name, that version's package: python3.11-venv)"
    fi
    parent=$(dirname -- "$environment")
    mkdir -p -- "$parent" 2>/dev/null || fail "the folder $parent cannot be made" \
        "Put the environment elsewhere:  MLHAM_VENV=/other/place/venv $0"
    free=$(df -Pm -- "$parent" | awk 'NR == 2 {print $4}')
    if [ "$free" -lt "$needed_mib" ]; then
        fail "$free MiB are free in $parent, but the environment needs about $needed_mib MiB" \
            "Free some space, or put it elsewhere:  MLHAM_VENV=/other/disk/venv $0"
    fi
    echo "making a virtual environment in $environment ($("$python" --version))"
    # a half-made environment of an interrupted run would fail in confusing ways
    rm -rf -- "$environment"
    "$python" -m venv -- "$environment" ||
        fail "the virtual environment could not be made in $environment" \
            "The message above says why; is the folder writable?"
}

install() {
    local quiet=(-qq --progress-bar off)
    # somebody who watches sees bars of what is downloaded; a log file needs none
    [ ! -t 2 ] || quiet=(-q)
    echo "  $1"
    shift
    if ! "$environment/bin/python" -m pip install "${quiet[@]}" \
        --disable-pip-version-check --no-input --no-compile "$@"; then
        fail "pip could not install what is needed; its reason is above" \
            "No network? Check it, or a proxy (https_proxy=...), and run this again: it goes on where it stopped." \
            "No space?   See  df -h '$environment'  and  df -h /tmp  (TMPDIR=/other/disk moves pip's scratch files)." \
            "Damaged?    rm -rf '$environment'  and run this again."
    fi
}

make_environment() {
    local level stamp files=("$repository"/pyproject.toml "$repository"/plugins/*/pyproject.toml)
    files+=("$repository"/requirements/*.txt)
    stamp=$(cat -- "${files[@]}" | sha256sum | cut -c 1-16)
    local missing=()
    for level in "$@"; do
        [ -e "$environment/.installed-$level-$stamp" ] || missing+=("$level")
    done
    [ ${#missing[@]} -eq 0 ] && return
    "$environment/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' \
        2>/dev/null || create_environment
    echo "installing pinned versions (${missing[*]}); the first time takes a few minutes"
    local requirements=()
    for level in "${missing[@]}"; do
        requirements+=(-r "$repository/requirements/$level.txt")
    done
    install "libraries (PyTorch is most of it) ..." "${requirements[@]}"
    local packages=(-e "$repository") plugin
    for plugin in "$repository"/plugins/*/pyproject.toml; do
        packages+=(-e "$(dirname -- "$plugin")")
    done
    install "ase-mlham and its plugins ..." --no-deps --no-build-isolation "${packages[@]}"
    for level in "${missing[@]}"; do
        touch -- "$environment/.installed-$level-$stamp"
    done
}
