# Listens on some ports of the address OWN, sends to ports of others, and prints what it has heard, and for how long it
# has listened: ports are PROTOCOL/NUMBER, targets PROTOCOL/NUMBER/ADDRESS. A port that is in use is left alone. It ends
# soon after it has heard all others, and else after six seconds.
import select, socket, struct, sys, time

own, ports, targets = sys.argv[1], sys.argv[2].split(), [t.split("/") for t in sys.argv[3].split()]
kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
# Closed without a rest that would keep the port.
linger = struct.pack("ii", 1, 0)


def bound(kind, number):
    opened = socket.socket(socket.AF_INET, kinds[kind])
    opened.setblocking(False)
    if kind == "tcp":
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    opened.bind((own, number))
    return opened


listening = {}
for port in ports:
    kind, number = port.split("/")
    try:
        opened = bound(kind, int(number))
        if kind == "tcp":
            opened.listen(16)
        listening[opened] = port
        print("listened", port)
    except OSError:
        pass

sender = bound("udp", 0)
begin = time.monotonic()
heard, calling, end, next_call = set(), [], begin + 6, 0
expected = {(kind + "/" + number, address) for kind, number, address in targets}
expected = {(port, address) for port, address in expected if port in listening.values()}
while time.monotonic() < end:
    if time.monotonic() >= next_call:
        next_call = time.monotonic() + 0.4
        for opened in calling:
            opened.close()
        calling = []
        for kind, number, address in targets:
            try:
                if kind == "udp":
                    sender.sendto(b"ha-ctl check", (address, int(number)))
                else:
                    opened = bound(kind, 0)
                    calling.append(opened)
                    opened.connect_ex((address, int(number)))
            except OSError:
                pass
    for opened in select.select(list(listening), [], [], 0.1)[0]:
        try:
            if listening[opened].startswith("tcp"):
                other, (address, _) = opened.accept()
                other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                other.close()
            else:
                _, (address, _) = opened.recvfrom(64)
        except OSError:
            continue
        if (listening[opened], address) not in heard:
            heard.add((listening[opened], address))
            print("heard", listening[opened], address)
            if expected <= heard:
                # The others may have begun later, and listen still.
                end = min(end, time.monotonic() + 1)
print("listened-for", time.monotonic() - begin)
