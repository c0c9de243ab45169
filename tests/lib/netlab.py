"""A laboratory for the network driver: a network namespace of its own in which everything happens,
guests as namespaces with a veth, the driver at the end of a pipe.

enter() starts the caller again inside; the machine's own bridges, rules and namespaces are never seen.
"""
import ctypes
import json
import os
import pickle
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("YUN_BUILD") or os.path.join(TOP, "build")
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def enter():
    """Starts this program again in a fresh network and mount namespace, unless it is there already."""
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    if os.environ.get("NETLAB") == "1":
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    tool = os.path.join(BUILD, "tests/e2e/net-tool")
    for need in (tool, shutil.which("nft"), shutil.which("dnsmasq"), shutil.which("ip")):
        if not need or not os.path.exists(need):
            print(f"missing: {need or 'nft, dnsmasq or ip'}")
            sys.exit(77)
    # A process namespace as well: whatever is left when the test ends, ends with it.
    os.execvpe("unshare", ["unshare", "-n", "-m", "-p", "-f", "--mount-proc", "--kill-child", sys.executable]
               + sys.argv, dict(os.environ, NETLAB="1"))


def sh(*words, check=True):
    p = subprocess.run(words, capture_output=True, text=True)
    if check and p.returncode:
        raise RuntimeError(f"{' '.join(words)}: {p.stderr.strip()}")
    return p.stdout


class Driver:
    def __init__(self, host=None, **options):
        """'host': a namespace that stands for the machine the driver runs on."""
        words = ["nsenter", f"--net=/run/netns/{host}"] if host else []
        words += [os.path.join(BUILD, "tests/e2e/net-tool")]
        self.dir = tempfile.mkdtemp(prefix="netlab", dir="/run")      # a tmpfs of the laboratory's own
        os.chmod(self.dir, 0o755)
        options.setdefault("run_dir", os.path.join(self.dir, "net"))
        for key, value in options.items():
            for v in value if isinstance(value, list) else [value]:
                words += [key, v]
        self.words = words
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def restart(self):
        """As a crash: nothing is put in order."""
        self.process.kill()
        self.process.wait()
        self.start()

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the driver died: {self.process.wait()}")
        return json.loads(line)

    def converge(self, spec):
        r = self.ask(do="converge", spec=spec)
        if "error" in r:
            raise RuntimeError(f"converge: {os.strerror(-r['error'])}")
        o = r["observed"]
        o["seconds"] = r["seconds"]
        return o

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)


class Guest:
    """A namespace with one device 'eth0'; the other end, 'device', is for a bridge."""

    def __init__(self, name, mac, addresses=(), gateway=None, host=None):
        self.on = ["-n", host] if host else []
        self.name, self.mac, self.device = name, mac, "v" + name
        self.addresses = list(addresses)
        sh("ip", "netns", "add", name)
        # Both ends with the same index would look to the kernel like no pair, and it would take up to a second to
        # notice their carrier.
        Guest.index = getattr(Guest, "index", 100) + 1
        sh("ip", *self.on, "link", "add", self.device, "index", str(Guest.index), "type", "veth", "peer", "name", "eth0", "address", mac, "netns", name)
        self.ip("link", "set", "lo", "up")
        self.call(lambda: open("/proc/sys/net/ipv6/conf/eth0/accept_dad", "w").write("0"))
        self.ip("link", "set", "eth0", "mtu", "1450", "up")
        for a in addresses:
            self.ip("addr", "add", a, "dev", "eth0", *(["nodad"] if ":" in a else []))
        if gateway:
            self.ip("route", "add", "default", "via", gateway)

    def ip(self, *words):
        return sh("ip", "-n", self.name, *words)

    def remove(self):
        sh("ip", *self.on, "link", "del", self.device, check=False)
        sh("ip", "netns", "del", self.name, check=False)

    def fork(self, function):
        """Runs function() inside on a process of its own; returns (pid, pipe)."""
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(r)
            try:
                fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
                if LIBC.setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                result = (True, function())
            except BaseException as e:  # noqa: BLE001 - it is raised again by the parent
                result = (False, repr(e))
            os.write(w, pickle.dumps(result))
            os._exit(0)
        os.close(w)
        return pid, r

    @staticmethod
    def join(job):
        pid, r = job
        data = b""
        while piece := os.read(r, 65536):
            data += piece
        os.close(r)
        os.waitpid(pid, 0)
        ok, value = pickle.loads(data)
        if not ok:
            raise RuntimeError(value)
        return value

    def call(self, function):
        return self.join(self.fork(function))

    # --- what guests do ---

    def ping(self, to, seconds=2):
        p = subprocess.run(["ip", "netns", "exec", self.name, "ping", "-n", "-c", "1", "-W", str(seconds), to],
                           capture_output=True)
        return p.returncode == 0

    def connect(self, to, port, seconds=3.0, say=None):
        """What a TCP server there says (b"" if nothing), or None."""
        def go():
            with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET) as s:
                s.settimeout(seconds)
                try:
                    s.connect((to, port))
                    if say:
                        s.sendall(say)
                    return s.recv(200)
                except OSError:
                    return None
        return self.call(go)

    def serve(self, port, text=b"hello", family=socket.AF_INET):
        """A TCP server that tells everybody 'text' and echoes what comes; returns its pid."""
        pid = os.fork()
        if pid:
            time.sleep(0.15)
            return pid
        fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        LIBC.setns(fd, CLONE_NEWNET)
        s = socket.socket(family)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", port))
        s.listen(20)
        while True:
            c, peer = s.accept()
            if os.fork() == 0:
                try:
                    c.sendall(text + b" " + peer[0].encode())
                    while data := c.recv(1000):
                        c.sendall(data)
                finally:
                    os._exit(0)
            c.close()

    def sniff(self, wanted, seconds=1.0):
        """Starts listening for the first frame for which wanted(frame) holds; join() tells whether it came."""
        def go():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind(("eth0", 0))
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                s.settimeout(left)
                try:
                    frame, where = s.recvfrom(2000)
                except OSError:
                    return False
                if where[2] != 4 and wanted(frame):
                    return True
            return False
        job = self.fork(go)
        time.sleep(0.15)
        return job

    def send(self, frame, times=2):
        def go():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind(("eth0", 0))
            for _ in range(times):
                s.send(frame)
        self.call(go)


# --- frames ---

def mac(text):
    return bytes(int(x, 16) for x in text.split(":"))


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    n = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def ether(dst, src, kind, payload):
    return mac(dst) + mac(src) + struct.pack("!H", kind) + payload


def ipv4(src, dst, protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(sport, dport, payload):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def arp(operation, sha, spa, tha, tpa):
    return struct.pack("!HHBBH", 1, 0x800, 6, 4, operation) + mac(sha) + socket.inet_aton(spa) + mac(tha) \
        + socket.inet_aton(tpa)


def icmp6(src, dst, body):
    src, dst = socket.inet_pton(socket.AF_INET6, src), socket.inet_pton(socket.AF_INET6, dst)
    c = checksum(src + dst + struct.pack("!IBBBB", len(body), 0, 0, 0, 58) + body)
    body = body[:2] + struct.pack("!H", c) + body[4:]
    return struct.pack("!IHBB", 0x60000000, len(body), 58, 255) + src + dst + body


def dhcp(guest, kind, requested=None, server=None, seconds=3.0):
    """Sends a DISCOVER (1) or REQUEST (3) from a guest without using its address; returns the answer as
    (yiaddr, {option: bytes}) or None."""
    def go():
        xid = os.urandom(4)
        options = b"\x63\x82\x53\x63" + bytes([53, 1, kind])
        if requested:
            options += bytes([50, 4]) + socket.inet_aton(requested)
        if server:
            options += bytes([54, 4]) + server
        options += bytes([55, 6, 1, 3, 6, 26, 121, 15, 255])
        body = struct.pack("!BBBB4sHH4s4s4s4s16s64s128s", 1, 1, 6, 0, xid, 0, 0x8000, b"", b"", b"", b"",
                           mac(guest.mac), b"", b"") + options
        tx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        tx.bind(("eth0", 0))
        rx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
        rx.bind(("eth0", 0))
        frame = ether("ff:ff:ff:ff:ff:ff", guest.mac, 0x800, ipv4("0.0.0.0", "255.255.255.255", 17, udp(68, 67, body)))
        tx.send(frame)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            rx.settimeout(left)
            try:
                got = rx.recv(2000)
            except OSError:
                return None
            if len(got) < 282 or got[23] != 17 or got[36:38] != b"\0\x44" or got[46:50] != xid:
                continue
            found, at = {}, 42 + 240
            while at < len(got) and got[at] != 255:
                if got[at] == 0:
                    at += 1
                    continue
                found[got[at]] = got[at + 2:at + 2 + got[at + 1]]
                at += 2 + got[at + 1]
            return socket.inet_ntoa(got[58:62]), found
        return None
    return guest.call(go)


def dhcp6(guest, seconds=3.0):
    """The address that a DHCPv6 server advertises to a guest, or None."""
    def go():
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", 546))
        s.settimeout(seconds)
        duid = struct.pack("!HH", 3, 1) + mac(guest.mac)
        body = b"\1abc" + struct.pack("!HH", 1, len(duid)) + duid + struct.pack("!HHH", 8, 2, 0) \
            + struct.pack("!HHIII", 3, 12, 7, 0, 0)
        s.sendto(body, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
        try:
            got = s.recv(2000)
        except OSError:
            return None
        at = got.find(struct.pack("!HH", 5, 24))
        return socket.inet_ntop(socket.AF_INET6, got[at + 4:at + 20]) if at > 0 else None
    return guest.call(go)


# --- specs ---

def uid(kind, n):
    return f"{n:04x}{kind * 4}-0000-4000-8000-{n:012x}"


def rule(direction, ethertype="IPv4", protocol=None, first=None, last=None, **more):
    n = rule.count = getattr(rule, "count", 0) + 1
    return dict(id=uid("e", n), direction=direction, ethertype=ethertype, protocol=protocol, port_range_min=first,
                port_range_max=last, **more)


def group(n, *rules, stateful=True):
    return dict(id=uid("d", n), stateful=stateful, rules=list(rules))


ANY_OUT = [rule("egress"), rule("egress", "IPv6")]


def port(n, network, guest=None, groups=(1,), ips=None, **more):
    p = dict(id=uid("b", n), network_id=network["id"], device_owner="compute:nova", port_security_enabled=True,
             admin_state_up=True, security_groups=[uid("d", g) for g in groups])
    if guest:
        p.update(mac_address=guest.mac, device=guest.device, wiring="existing",
                 fixed_ips=[dict(subnet_id=s["id"], ip_address=a.split("/")[0])
                            for a in (ips or guest.addresses) for s in network.get("subnets", [])
                            if (":" in a) == (s["ip_version"] == 6)])
    p.update(more)
    return p


def subnet(n, cidr, **more):
    return dict(dict(id=uid("c", n), ip_version=6 if ":" in cidr else 4, cidr=cidr), **more)


def network(n, *subnets, **more):
    return dict(dict(id=uid("a", n), type="local", mtu=1450, subnets=list(subnets)), **more)


def tap_name(i):
    return "yt" + re.sub("[^0-9a-f]", "", i)[:12]


class Report:
    """Lines of ok and not ok; end() tells the exit status."""

    def __init__(self):
        self.failed = 0

    def ok(self, name, good):
        print(f"{'ok' if good else 'not ok'} - {name}", flush=True)
        self.failed += not good
        return good

    def end(self):
        return 1 if self.failed else 0


def stop(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
