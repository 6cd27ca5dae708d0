#!/bin/sh
# portsip.initdt: prepares the data directory and the database, once; run again it changes nothing
# that is there, and moves the data to this image's version.
set -eu
usage() {
    cat >&2 <<'END'
usage: initdt.sh -D DIR --pg-superuser-name NAME (--pg-superuser-password-file FILE | --pg-superuser-password PASSWORD)
Other processes can read the password of the second form; use the first.
END
    exit 2
}
data=
superuser=postgres
password_file=
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
    -D) data=$2 ;;
    --pg-superuser-name) superuser=$2 ;;
    --pg-superuser-password-file) password_file=$2 ;;
    --pg-superuser-password) PGPASSWORD=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[ -n "$data" ] || usage
[ -d "$data" ] || { echo "initdt: no directory $data: is the volume mounted?" >&2; exit 1; }
if [ -n "$password_file" ]; then
    PGPASSWORD=$(cat "$password_file")
fi
[ -n "${PGPASSWORD:-}" ] || usage
PGHOST=${PGHOST:-127.0.0.1}
PGUSER=$superuser
PGDATABASE=postgres
PGCONNECT_TIMEOUT=5
export PGPASSWORD PGHOST PGUSER PGDATABASE PGCONNECT_TIMEOUT

query() {
    psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1
}

umask 077
for directory in certs log prompts recordings stand-in; do
    mkdir -p "$data/$directory"
done

# What is written here appears whole or not at all: a run that was cut short is run again.
if [ ! -s "$data/certs/portal.pem" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
        -subj "/O=PortSIP PBX stand-in/CN=${IP_ADDRESS:-pbx}" \
        -keyout "$data/certs/key.new" -out "$data/certs/crt.new" 2>/dev/null
    cat "$data/certs/key.new" "$data/certs/crt.new" >"$data/certs/portal.new"
    rm "$data/certs/key.new" "$data/certs/crt.new"
    mv "$data/certs/portal.new" "$data/certs/portal.pem"
fi
if [ ! -s "$data/database_password" ]; then
    openssl rand -hex 24 >"$data/database_password.new"
    mv "$data/database_password.new" "$data/database_password"
fi

role_password=$(cat "$data/database_password")
query <<END
SELECT 'CREATE ROLE portsip LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portsip') \gexec
ALTER ROLE portsip PASSWORD '$role_password';
SELECT 'CREATE DATABASE portsip OWNER portsip' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'portsip') \gexec
END

# As the vendor's does: the first line is the version of the data.
echo "$PORTSIP_VERSION" >"$data/VERSION.new"
mv "$data/VERSION.new" "$data/VERSION"
chown -R portsip:portsip "$data"
sync -f "$data"
echo "initdt: $data and the database portsip are ready for version $PORTSIP_VERSION (stand-in)"
