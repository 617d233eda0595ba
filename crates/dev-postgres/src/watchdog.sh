# Stops the server of a cluster after its list of users (the directory `users`) has been empty for a while.
# Arguments: the cluster's directory, this watchdog's name, seconds between two looks, pauses to wait when it is empty.
cd "$1" || exit 0
name=$2 pause=$3 patience=$4

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

watch() {
    trap '' HUP INT
    looks=0
    until is_relieved; do
        strike_out_the_dead
        looks=$((looks + 1))
        for user in users/*; do
            test -e "$user" && looks=0
        done
        # Removing the directory fails when somebody has just come, and tells whoever comes later.
        if test "$looks" -gt "$patience" && rmdir users 2>/dev/null; then
            read -r server <data/postmaster.pid && kill -INT "$server"
            return
        fi
        sleep "$pause"
    done
}

watch &
