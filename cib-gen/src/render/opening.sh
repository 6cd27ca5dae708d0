#
# Configures a new cluster, when it runs. As root on one node of it: cib-gen vars.yml | sudo sh
# It edits a copy of the cluster's configuration, and pushes the copy in one step at the end: until then
# nothing has changed. 'cib-gen apply vars.yml' changes a cluster that is configured already.
set -eu
{ # The shell reads all of this before it runs any of it: half a script does nothing.
dir=$(mktemp -d)
cib=$dir/cib.xml
result='nothing was changed'
trap 'rm -rf "$dir"; echo "cib-gen: $result" >&2' EXIT
trap 'exit 1' HUP INT TERM
fail() { printf 'error: %s\nhelp: %s\n' "$1" "$2" >&2; exit 1; }
has() { CIB_file=$cib cibadmin --query --xpath "/cib/configuration/$1" >/dev/null 2>&1; } # an XPath
pcs cluster cib "$cib" || fail 'no cluster runs here, or you are not root' 'pcs cluster start --all'
cp "$cib" "$dir/old.xml"
