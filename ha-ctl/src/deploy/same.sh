# The image that the PBX runs from, whatever its tag means by now. $image, $wanted (its label `version`; empty: unknown)
# and $digest (empty: unknown) are set, and the function `pull` fetches one.
version() { docker image inspect --format '{{index .Config.Labels "version"}}' "$image" 2>/dev/null; }
is_there() { found=$(version) && { [ -z "$wanted" ] || [ "$found" = "$wanted" ]; }; }
same_image() {
    ! is_there || return 0
    pull "${digest:-$image}" || return 1
    [ -z "$digest" ] || docker tag "$digest" "$image" || :
    ! is_there || return 0
    echo "the registry does not give $image in the version $wanted that the PBX has, but: $(version || echo nothing)" >&2
    return 1
}
