# Listens on some ports of the address OWN, sends to ports of others, and prints what it has heard: ports are
# PROTOCOL/NUMBER, targets PROTOCOL/NUMBER/ADDRESS. A port that is in use is left alone.
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
heard, calling, end, next_call = set(), [], time.monotonic() + 2, 0
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
