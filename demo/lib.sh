# What demo/up and demo/down share: where things are, and how a daemon is started and ended.
# shellcheck shell=bash disable=SC2034

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# YUN_DEMO_DIR puts state and credentials elsewhere, for tests
demo_dir=${YUN_DEMO_DIR:-$top/demo}
run=$demo_dir/run
bin=${YUN_BIN:-$top/build/src/cmd}
listen=${YUN_LISTEN:-127.0.0.1:8700}
image=$top/build-guest/tinycloud.qcow2
# where our own libvirtd listens, when the machine runs none
own_uri="qemu+unix:///system?socket=$run/libvirt/run/libvirt-sock"

# alive NAME: the daemon whose pid file is NAME.pid runs, and it is the one that was started
alive()
{
    local pid
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && [ "$(stat -c %Y "/proc/$pid" 2>/dev/null)" ] &&
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "$1"
}

# start NAME PROGRAM...: in the background, output to NAME.log
start()
{
    local name=$1
    shift
    setsid "$@" </dev/null >>"$run/$name.log" 2>&1 &
    echo $! >"$run/$name.pid"
}

# stop NAME: ends it and waits
stop()
{
    local pid
    alive "$1" || { rm -f "$run/$1.pid"; return 0; }
    pid=$(cat "$run/$1.pid")
    kill "$pid" 2>/dev/null
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null
    rm -f "$run/$1.pid"
}

# virsh at the libvirtd that this demo uses
virsh_here() { timeout 120 virsh -q -c "$(cat "$run/libvirt-uri" 2>/dev/null || echo qemu:///system)" "$@"; }
