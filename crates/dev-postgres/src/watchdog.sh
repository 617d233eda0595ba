# Stops the server of a cluster after its list of users (the directory `users`) has been empty for a while.
# Arguments: the cluster's directory, this watchdog's name, seconds between two looks, pauses to wait when it is empty.
cd "$1" || exit 0
data=$1/data name=$2 pause=$3 patience=$4

is_relieved() {
    test ! -d users || test "$(cat watchdog 2>/dev/null)" != "$name"
}

# Strikes out users that died without leaving; another user's process answers only through /proc.
strike_out_the_dead() {
    for user in users/*; do
        process=${user#users/}
        process=${process%%-*}
        kill -0 "$process" 2>/dev/null || test -d "/proc/$process" || rm -f "$user"
    done
}

# Whether the process is this cluster's server, and not a stranger that was given a dead server's process id.
is_server() {
    command_line=$(tr '\0' ' ' <"/proc/$1/cmdline" || ps -ww -o command= -p "$1")
    case $command_line in
        *"$data"*) return 0 ;;
        *) return 1 ;;
    esac
}

watch() {
    trap '' HUP INT
    looks=0
    until is_relieved; do
        strike_out_the_dead
        looks=$((looks + 1))
        for user in users/*; do
            test -e "$user" && looks=0
        done
        if test "$looks" -gt "$patience"; then
            # Before the list closes: whoever finds it closed may start the next server at once.
            read -r server <data/postmaster.pid || server=none
            # Removing the directory fails when somebody has just come, and tells whoever comes later.
            if rmdir users 2>/dev/null; then
                is_server "$server" && kill -INT "$server"
                return
            fi
        fi
        sleep "$pause"
    done
}

watch &
