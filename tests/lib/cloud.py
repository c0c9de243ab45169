"""A throwaway cloud for tests: `yund`, host agents and, for real guests, a libvirtd of its own.

    with Cloud(build="build") as cloud:            # simulated hosts
        cloud.admin.get("/identity/v3/projects")

    isolate()                                      # first thing in a program that wants real guests
    with Cloud(build="build", real=True) as cloud: ...

Everything lives in one folder under /tmp that goes away with the cloud. With real guests the
whole program first moves into mount, network, UTS and PID namespaces of its own: bridges, taps, rules,
mounts, guests and daemons can't outlive it, whatever kills it, and two such clouds on a machine
don't see each other. Floating addresses are reachable inside: the host has an address in their network.

As a program it wraps another:   cloud.py [--real|--namespaces] [--hosts N] [--build DIR] COMMAND...
runs COMMAND with OS_* (for the openstack client), YUN_URL, YUN_DIR and YUN_PID in its environment.
"""
import argparse
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASSWORD = "throwaway-Pw1"
# the physical network that `yun init` gives an agent, and the host's address in it
EXTERNAL_CIDR, EXTERNAL_GATEWAY = "172.24.4.0/24", "172.24.4.1"
GUEST_DIR = os.path.join(TOP, "build-guest")


class CloudError(Exception):
    """The cloud did not come up, or answered what the harness can't use."""


def isolate():
    """Starts this program again in namespaces of its own; returns there."""
    if os.environ.get("YUN_ISOLATED") == str(os.getuid()) and os.getpid() == 1:
        reap()
        # /sys must show our own network; the control groups below it stay as they are
        quiet = {"stdin": subprocess.DEVNULL, "check": True}
        keep = tempfile.mkdtemp(prefix="yun-sys-")
        subprocess.run(["mount", "--make-rprivate", "/"], **quiet)
        if os.path.ismount("/sys/fs/cgroup"):
            subprocess.run(["mount", "--rbind", "/sys/fs/cgroup", keep], **quiet)
            subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], **quiet)
            subprocess.run(["mount", "--rbind", keep, "/sys/fs/cgroup"], **quiet)
            subprocess.run(["umount", "-l", keep], **quiet)
        else:
            subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], **quiet)
        os.rmdir(keep)
        for d in ("/run/netns", "/run/yunduo", "/run/yunduo-net"):
            os.makedirs(d, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", d], **quiet)
        subprocess.run(["ip", "link", "set", "lo", "up"], **quiet)
        subprocess.run(["hostname", "yun-test"], **quiet)
        return
    os.environ["YUN_ISOLATED"] = str(os.getuid())
    os.execvp("unshare", ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                          sys.executable] + sys.argv)


def reap():
    """The duty of process 1: daemons that lost their parent become ours and must not stay as zombies,
    for libvirtd waits for theirs to vanish. Returns in a child; the parent ends with it."""
    child = os.fork()
    if child == 0:
        return
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda n, _: os.kill(child, n))
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xff)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def guest_image():
    """The path of the small guest's image, built when it is not there yet."""
    path = os.environ.get("YUN_GUEST_IMAGE") or os.path.join(GUEST_DIR, "tinycloud.qcow2")
    script = os.path.join(TOP, "tools", "guest-image", "build.sh")
    if not os.path.exists(path) or ("YUN_GUEST_IMAGE" not in os.environ
                                    and os.path.getmtime(path) < os.path.getmtime(script)):
        subprocess.run([script, "-o", path + ".new", "-w", os.path.join(GUEST_DIR, "work")], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.rename(path + ".new", path)
    return path


class Session:
    """A user's HTTP side: a token, and JSON in and out."""

    def __init__(self, url, user="admin", password=PASSWORD, project="admin", domain="default"):
        self.url, self.token = url, None
        scope = {"project": {"name": project, "domain": {"id": domain}}} if project else {"domain": {"id": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": {"id": domain}, "password": password}}}, "scope": scope}}
        _, headers, self.auth = self.request("POST", "/identity/v3/auth/tokens", body)
        self.token = headers["X-Subject-Token"]
        self.project_id = self.auth["token"].get("project", {}).get("id")

    def request(self, method, path, body=None, headers=None, want=(200, 201, 202, 203, 204, 300), timeout=60):
        """Returns (status, headers, decoded body); a status outside 'want' raises."""
        h = {"Accept": "application/json"}
        data = None
        if isinstance(body, (bytes, bytearray)):
            data, h["Content-Type"] = body, "application/octet-stream"
        elif body is not None:
            data, h["Content-Type"] = json.dumps(body).encode(), "application/json"
        if self.token:
            h["X-Auth-Token"] = self.token
        h.update(headers or {})
        req = urllib.request.Request(self.url + path, data=data, method=method, headers=h)
        try:
            with urllib.request.urlopen(req, timeout=timeout) as r:
                status, hdr, raw = r.status, r.headers, r.read()
        except urllib.error.HTTPError as e:
            status, hdr, raw = e.code, e.headers, e.read()
        if want and status not in want:
            raise CloudError(f"{method} {path}: {status} {raw[:300].decode(errors='replace')}")
        try:
            return status, hdr, json.loads(raw) if raw else None
        except ValueError:
            return status, hdr, raw

    def get(self, path, **kw):
        return self.request("GET", path, **kw)[2]

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)[2]

    def put(self, path, body=None, **kw):
        return self.request("PUT", path, body, **kw)[2]

    def patch(self, path, body=None, **kw):
        return self.request("PATCH", path, body, **kw)[2]

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)[2]

    def upload(self, name, path, disk_format="qcow2", **extra):
        """An image with its data, as Glance's v2 takes it. Returns its id."""
        image = self.post("/image/v2/images", dict({"name": name, "disk_format": disk_format,
                                                    "container_format": "bare"}, **extra))
        with open(path, "rb") as f:
            self.put(f"/image/v2/images/{image['id']}/file", f.read(), timeout=120)
        return image["id"]


class Cloud:
    """See the head of the file. Attributes after start: url, dir, admin (a Session), yund (a Popen)."""

    def __init__(self, build=None, real=False, hosts=1, agents=True, settings=None):
        self.build = os.path.abspath(build or os.environ.get("YUN_BUILD") or os.path.join(TOP, "build"))
        self.bin = os.path.join(self.build, "src", "cmd")
        self.real, self.hosts, self.want_agents = real, hosts, agents
        self.settings = settings or {}
        self.dir = None
        self.yund = self.libvirtd = None
        self.agents = []
        self._admin = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def admin(self):
        if self._admin is None:
            self._admin = Session(self.url)
        return self._admin

    def program(self, name):
        path = os.path.join(self.bin, name)
        if not os.access(path, os.X_OK):
            raise CloudError(f"{path} is not built")
        return path

    def start(self):
        self.dir = tempfile.mkdtemp(prefix="yun-cloud-")
        os.chmod(self.dir, 0o755)
        self.data = os.path.join(self.dir, "data")
        listen = f"127.0.0.1:{free_port()}"
        self.url = "http://" + listen
        self.run([self.program("yun"), "init", "--data", self.data, "--password", PASSWORD, "--listen", listen])
        with open(os.path.join(self.data, "yunduo.conf"), "a") as f:
            f.writelines(f"{k} = {v}\n" for k, v in self.settings.items())
        self.start_yund()
        if self.real:
            self.start_libvirtd()
        if self.want_agents and os.path.exists(os.path.join(self.bin, "yun-agent")):
            for n in range(self.hosts):
                self.start_agent(n)

    def run(self, argv):
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode != 0:
            raise CloudError(f"{' '.join(argv[:2])}: exit status {p.returncode}: {p.stdout[-600:]}")
        return p.stdout

    def spawn(self, argv, log):
        with open(os.path.join(self.dir, log), "ab") as out:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def start_yund(self):
        """Also after a kill. Returns the seconds until the first answer."""
        begun = time.monotonic()
        self.yund = self.spawn([self.program("yund"), "--config", os.path.join(self.data, "yunduo.conf")], "yund.log")
        while True:
            try:
                urllib.request.urlopen(self.url + "/identity/v3", timeout=5).read()
                return time.monotonic() - begun
            except (OSError, urllib.error.URLError):
                if self.yund.poll() is not None:
                    raise CloudError(f"yund ended with {self.yund.returncode}: {self.log('yund.log')}") from None
                if time.monotonic() - begun > 20:
                    raise CloudError(f"yund does not answer: {self.log('yund.log')}") from None
                time.sleep(0.005)

    def kill_yund(self, sig=signal.SIGKILL):
        self.yund.send_signal(sig)
        self.yund.wait()

    def log(self, name, size=3000):
        try:
            with open(os.path.join(self.dir, name), "rb") as f:
                f.seek(0, 2)
                f.seek(max(0, f.tell() - size))
                return f.read().decode(errors="replace")
        except OSError:
            return ""

    def start_agent(self, n):
        """One host agent; its settings are those of `yun init` but for the host's name and kind."""
        settings = {"hypervisor": "libvirt" if self.real else "simulated",
                    "network": "linux" if self.real else "simulated",
                    "host": f"host{n + 1}"}
        base = os.path.join(self.data, "agent.conf")
        lines = open(base).read().splitlines() if os.path.exists(base) else []
        if n > 0:
            settings["state_dir"] = os.path.join(self.dir, f"agent{n + 1}")
        settings.update(self.agent_settings(n))
        kept = [l for l in lines if l.split("=")[0].strip() not in settings]
        conf = os.path.join(self.data, f"agent{n + 1}.conf")
        with open(conf, "w") as f:
            f.write("\n".join(kept + [f"{k} = {v}" for k, v in settings.items()]) + "\n")
        self.agents.append(self.spawn([self.program("yun-agent"), "--config", conf], f"agent{n + 1}.log"))

    def restart_agent(self, n):
        """After a kill, in the same place of the list."""
        self.start_agent(n)
        self.agents[n] = self.agents.pop()

    def agent_settings(self, n):
        """More settings of agent 'n'; a place for what a test changes."""
        del n
        return {}

    def start_libvirtd(self):
        """A libvirtd that sees only our folders; its probe of the emulator is kept between runs."""
        root = os.path.join(self.dir, "libvirt")
        cache = os.path.join(GUEST_DIR, "libvirt-cache")
        os.makedirs(os.path.join(cache, "qemu"), exist_ok=True)
        # libvirtd probes each emulator that it sees, two seconds for each: one is enough
        for emulator in glob.glob("/usr/bin/qemu-system-*"):
            if os.path.realpath(emulator) != "/usr/bin/qemu-system-x86_64":
                self.run(["mount", "--bind", "/dev/null", os.path.realpath(emulator)])
        for d in ("run/libvirt", "var/lib/libvirt", "etc/libvirt", "var/cache/libvirt", "var/log/libvirt"):
            src = cache if d == "var/cache/libvirt" else os.path.join(root, d)
            os.makedirs(src, exist_ok=True)
            os.makedirs("/" + d, exist_ok=True)
            self.run(["mount", "--bind", src, "/" + d])
        self.libvirt_user(root)
        with open("/proc/sys/kernel/random/uuid") as f:
            uuid = f.read().strip()
        with open("/etc/libvirt/libvirtd.conf", "w") as f:
            f.write(f'auth_unix_rw = "none"\nauth_unix_ro = "none"\nunix_sock_group = "root"\nhost_uuid = "{uuid}"\n')
        with open("/etc/libvirt/qemu.conf", "w") as f:
            f.write('stdio_handler = "file"\nsecurity_driver = "none"\nuser = "root"\ngroup = "root"\n'
                    'cgroup_controllers = [ ]\n')
        self.libvirtd = self.spawn(["libvirtd", "-p", "/run/libvirt/libvirtd.pid"], "libvirtd.log")
        begun = time.monotonic()
        while subprocess.run(["virsh", "-q", "-c", "qemu:///system", "capabilities"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            if self.libvirtd.poll() is not None or time.monotonic() - begun > 120:
                raise CloudError(f"libvirtd did not start: {self.log('libvirtd.log')}")
            time.sleep(0.2)

    def libvirt_user(self, root):
        """libvirtd insists on the user libvirt-qemu, even where guests run as root; we alone see it."""
        for path, line in (("/etc/group", "libvirt-qemu:x:64055:\n"),
                           ("/etc/passwd", "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin\n")):
            text = open(path).read()
            if "\nlibvirt-qemu:" in text:
                continue
            ours = os.path.join(root, os.path.basename(path))
            with open(ours, "w") as f:
                f.write(text.rstrip("\n") + "\n" + line)
            os.chmod(ours, 0o644)
            self.run(["mount", "--bind", ours, path])

    def public_network(self):
        """The external network `public`, with addresses to float. Returns its id."""
        nets = self.admin.get("/network/v2.0/networks?name=public")["networks"]
        if nets:
            return nets[0]["id"]
        net = self.admin.post("/network/v2.0/networks", {"network": {
            "name": "public", "router:external": True, "provider:network_type": "flat",
            "provider:physical_network": "public"}})["network"]
        self.admin.post("/network/v2.0/subnets", {"subnet": {
            "network_id": net["id"], "name": "public", "ip_version": 4, "cidr": EXTERNAL_CIDR,
            "gateway_ip": EXTERNAL_GATEWAY, "enable_dhcp": False,
            "allocation_pools": [{"start": "172.24.4.10", "end": "172.24.4.250"}]}})
        return net["id"]

    def flavor(self, flavor_id, name, ram, vcpus=1, disk=1):
        status, _, _ = self.admin.request("POST", "/compute/v2.1/flavors", {"flavor": {
            "id": flavor_id, "name": name, "ram": ram, "vcpus": vcpus, "disk": disk}}, want=(200, 409))
        return status == 200

    def environment(self):
        """What a client of the cloud needs, as environment variables."""
        return {"OS_AUTH_URL": self.url + "/identity/v3", "OS_USERNAME": "admin", "OS_PASSWORD": PASSWORD,
                "OS_PROJECT_NAME": "admin", "OS_USER_DOMAIN_ID": "default", "OS_PROJECT_DOMAIN_ID": "default",
                "OS_IDENTITY_API_VERSION": "3", "OS_REGION_NAME": "RegionOne", "OS_INTERFACE": "public",
                "YUN_URL": self.url, "YUN_DIR": self.dir, "YUN_PID": str(self.yund.pid)}

    def stop(self):
        """Ends all processes and removes the folder; also of a cloud that is half there."""
        for p in self.agents + [self.yund]:
            if p and p.poll() is None:
                p.terminate()
        for p in self.agents + [self.yund]:
            if p:
                try:
                    p.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()
        if self.libvirtd:
            names = subprocess.run(["virsh", "-q", "-c", "qemu:///system", "list", "--name"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split()
            for name in names:
                subprocess.run(["virsh", "-q", "-c", "qemu:///system", "destroy", name], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.libvirtd.terminate()
            self.libvirtd.wait()
            for d in ("run/libvirt", "var/lib/libvirt", "etc/libvirt", "var/cache/libvirt", "var/log/libvirt",
                      "etc/passwd", "etc/group"):
                subprocess.run(["umount", "-l", "/" + d], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        keep = os.environ.get("YUN_KEEP")
        if self.dir and keep:
            # for whoever looks into a failure: the logs of the last cloud
            os.makedirs(keep, exist_ok=True)
            for f in glob.glob(os.path.join(self.dir, "*.log")):
                shutil.copy(f, keep)
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)


def main():
    ap = argparse.ArgumentParser(description="runs a command beside a throwaway cloud")
    ap.add_argument("--real", action="store_true", help="real guests: needs root")
    ap.add_argument("--namespaces", action="store_true", help="no cloud, only the namespaces of one: needs root")
    ap.add_argument("--hosts", type=int, default=1)
    ap.add_argument("--build")
    ap.add_argument("command", nargs=argparse.REMAINDER)
    a = ap.parse_args()
    if a.real or a.namespaces:
        isolate()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if a.namespaces:
        return subprocess.run(a.command).returncode
    with Cloud(a.build, a.real, a.hosts) as cloud:
        return subprocess.run(a.command, env=dict(os.environ, **cloud.environment())).returncode


if __name__ == "__main__":
    sys.exit(main())
