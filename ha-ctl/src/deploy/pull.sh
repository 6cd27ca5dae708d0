# What docker said, and what to do. An image that another machine has can always be handed on.
failed() {
    printf 'error: %s cannot be fetched: %s\n' "$1" "$2"
    case $2 in
    *toomanyrequests* | *'rate limit'*)
        echo '  the registry limits how often it is asked. As a user it knows, the limit is another: sudo docker login   (here)' ;;
    *unauthorized* | *denied* | *'authentication required'* | *'no basic auth'*)
        echo '  the registry wants to know who asks, or there is no such image: sudo docker login   (here)' ;;
    *'manifest unknown'* | *'not found'*)
        case $1 in
        *@sha256:*) echo '  the registry has not what the PBX runs from: another image has its tag by now, or it came by docker load' ;;
        *) echo '  the registry has no such image: is pbx_image of vars.yml right, and the compose file?' ;;
        esac ;;
    *'no such host'* | *timeout* | *'connection refused'* | *unreachable*)
        echo '  the registry is not reached from here: name server, route, or the proxy of Docker (systemctl show --property=Environment docker)' ;;
    esac
    echo "  or hand it on from a machine that has it: docker save $1 | ssh USER@THIS_NODE sudo docker load"
}

# pull IMAGE
pull() {
    for pause in 5 20 0; do
        said=$(docker pull --quiet "$1" 2>&1) && return
        case $said in
        # Asking again makes it no better.
        *toomanyrequests* | *'manifest unknown'*) break ;;
        esac
        sleep $pause
    done
    failed "$1" "$said" >&2
    return 1
}

