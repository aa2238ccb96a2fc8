#!/bin/sh
# Makes the virtual environment .venv and installs the programs that a fresh Debian or Ubuntu lacks: with apt, as root
# or through sudo; if neither is possible, it says what to run.
#
#   scripts/setup.sh unit    what the unit tests, the linters and the documentation need: Python and what pip installs
#   scripts/setup.sh demo    what `make demo` needs
#   scripts/setup.sh dev     what the whole suite needs as well
#   scripts/setup.sh fuzz    what fuzzing needs in addition
#
# Versions are those of requirements.lock, with which the suite last ran. The Python is the system's, because
# distributions build theirs with profile-guided optimization, or else one on the PATH; PYTHON names another.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin # ldconfig and daemons are there; an ordinary user's PATH may lack them

LOCK_SECS=600
POLICY=${POLICY:-/usr/sbin/policy-rc.d} # a test names another
OURS="of scripts/setup.sh: nothing that is installed now is started"

install_packages() {
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }; then
        as_root="sudo"
    else
        echo "These packages are missing and only root can install them. Run this, then try again:" >&2
        echo "    apt-get install --yes $*" >&2
        exit 1
    fi
    echo "installing $*"
    # Another apt may be at work: a fresh machine's first upgrade takes minutes.
    $as_root apt-get update --quiet -o "DPkg::Lock::Timeout=$LOCK_SECS"
    forbid_starting
    trap allow_starting EXIT
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
        -o "DPkg::Lock::Timeout=$LOCK_SECS" "$@"
    allow_starting
    trap - EXIT
}

# The suite itself starts what it needs, on ports of its own. Debian's packages would start a web server, a load
# balancer, a container engine, a monitoring system, a store with its sentinel, and what runs compile jobs of others on
# this host, at once and at each boot. What already runs is left alone.
forbid_starting() {
    if [ ! -e "$POLICY" ]; then
        printf '#!/bin/sh\n# %s\nexit 101\n' "$OURS" | $as_root tee "$POLICY" >/dev/null
        $as_root chmod 755 "$POLICY"
    fi
    before=$(enabled_services)
}

allow_starting() {
    if grep -qs "$OURS" "$POLICY"; then
        $as_root rm -f "$POLICY"
    fi
    for unit in $(enabled_services); do
        case " $before " in
        *" $unit "*) ;;
        *) $as_root systemctl disable --quiet "$unit" || true ;;
        esac
    done
}

# The services of the packages below that start at boot.
enabled_services() {
    for unit in nginx.service haproxy.service docker.service docker.socket containerd.service \
        distcc.service iceccd.service icecc-scheduler.service prometheus.service redis-server.service \
        redis-sentinel.service; do
        if systemctl is-enabled --quiet "$unit" 2>/dev/null; then
            printf '%s ' "$unit"
        fi
    done
}

# Note the Debian package of a program that is missing.
needs() {
    command -v "$1" >/dev/null || missing="$missing $2"
}

# The same for a header of C.
needs_header() {
    echo "#include <$1>" | gcc -E - >/dev/null 2>&1 || missing="$missing $2"
}

new_python() {
    for python in ${PYTHON:-/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
}

case ${1:-} in
unit | demo | dev | fuzz) ;;
*)
    echo "usage: scripts/setup.sh unit|demo|dev|fuzz" >&2
    exit 2
    ;;
esac

missing=""
if [ "$1" != unit ]; then
    needs bwrap bubblewrap
    needs gcc gcc
    needs g++ g++
fi
if [ "$1" != unit ] && [ "$1" != demo ]; then
    needs aarch64-linux-gnu-gcc "gcc-aarch64-linux-gnu linux-libc-dev-arm64-cross"
    needs x86_64-linux-gnu-gcc "gcc-x86-64-linux-gnu linux-libc-dev-amd64-cross"
    needs qemu-aarch64 qemu-user
    needs busybox busybox-static
    needs cargo cargo
    needs cmake cmake
    needs chromium chromium
    needs clang clang
    needs dh debhelper
    needs distccd distcc
    needs dockerd docker.io
    needs haproxy haproxy
    needs icecc-create-env icecc
    needs icecream-sundae icecream-sundae
    needs icemon icecc-monitor
    needs faketime faketime
    needs ip iproute2
    needs lintian lintian
    needs logrotate logrotate
    needs make make
    needs mmdebstrap mmdebstrap
    needs nginx nginx-light
    needs prometheus prometheus
    needs redis-sentinel redis-sentinel
    needs redis-server redis-server
    needs_header openssl/ssl.h libssl-dev
    ldconfig -p | grep -q 'libseccomp\.so\.2' || missing="$missing libseccomp2"
    needs systemd-analyze systemd
    needs tmux tmux
    needs Xvfb xvfb
fi
[ -x .venv/bin/python ] || "$(new_python)" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
# shellcheck disable=SC2086  # a list
[ -z "$missing" ] || install_packages $missing

if [ ! -x .venv/bin/python ]; then
    python=$(new_python)
    if [ -z "$python" ]; then
        echo "Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3" >&2
        exit 1
    fi
    "$python" -m venv .venv
fi

# The published client and daemons come with what the suite needs.
case $1 in
demo) extra=test ;;
fuzz) extra=dev,fuzz ;;
*) extra=dev ;;
esac
stamp=".venv/installed-$extra"
is_old=""
for each in setup.py scripts/setup.sh requirements.lock sccachedist/__init__.py; do # the last one has the version
    [ "$stamp" -nt "$each" ] || is_old=1
done
if [ -n "$is_old" ]; then
    .venv/bin/python -m pip install --quiet --upgrade pip "setuptools>=77"
    # The compatible form of an editable install: twistd finds the plugins in no other.
    # (Setuptools warns that it may go.)
    PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --constraint requirements.lock \
        --config-settings editable_mode=compat --editable ".[$extra]"
    touch "$stamp"
fi
# The programs that judge the chart for Kubernetes.
if [ "$1" = dev ] && ! { command -v helm >/dev/null && command -v kubectl >/dev/null; } && [ ! -x .venv/bin/helm ]; then
    .venv/bin/python -m scripts.helm_program .venv/bin
fi
# Setuptools keeps a copy of the package there, from which deleted modules would get into the next wheel.
rm -rf build
