#!/bin/sh
# portsip.database: PostgreSQL on $PGDATA. Makes a cluster only in an empty directory and only with a
# password; anything else that is not a PostgreSQL cluster is left alone.
#   POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD   of the superuser, read at the first start only
#   POSTGRES_USER                                 its name, postgres if not set
set -eu
if [ "$(id -u)" != 0 ]; then
    echo "database: has to begin as root, to own its data directory; it runs as postgres" >&2
    exit 1
fi
as_postgres() {
    setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
}

rm -f /tmp/healthy
if [ ! -d "$PGDATA" ]; then
    echo "database: no directory $PGDATA: is the volume mounted?" >&2
    exit 1
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # initdb works in a directory of its own and PG_VERSION moves last, so a first start that was cut
    # short is known by that directory, and done again from the beginning.
    new=$PGDATA/.initdb
    if [ -d "$new" ]; then
        find "$PGDATA" -mindepth 1 -delete
    fi
    if [ -n "$(ls -A "$PGDATA")" ]; then
        echo "database: $PGDATA is neither empty nor a PostgreSQL data directory: not touched" >&2
        exit 1
    fi
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    fi
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "database: $PGDATA is empty, and there is no password for the superuser:" \
            "set POSTGRES_PASSWORD_FILE (or POSTGRES_PASSWORD)" >&2
        exit 1
    fi
    install -d -o postgres -g postgres -m 0700 "$PGDATA" "$new"
    password=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    chown postgres "$password"
    as_postgres initdb --pgdata="$new" --username="${POSTGRES_USER:-postgres}" --pwfile="$password" \
        --encoding=UTF8 --locale=C.UTF-8 --data-checksums --auth-local=trust --auth-host=scram-sha-256
    rm "$password"
    echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
    find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    sync -f "$PGDATA"
    mv "$new/PG_VERSION" "$PGDATA/"
    rmdir "$new"
    sync -f "$PGDATA"
fi
unset POSTGRES_PASSWORD
install -d -o postgres -g postgres -m 2775 /run/postgresql
exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
