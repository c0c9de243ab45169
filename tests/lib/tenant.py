"""A tenant with what it does: networks, servers, volumes; and what must not be left on a host after it."""
import os
import secrets
import socket
import subprocess
import time

import cloud as lib


class Tenant:
    """A project with a member of its own. Calls go through the APIs as a client's would."""

    def __init__(self, cloud, name=None):
        self.cloud = cloud
        self.name = name or "t" + secrets.token_hex(3)
        admin = cloud.admin
        self.project = admin.post("/identity/v3/projects", {"project": {"name": self.name}})["project"]["id"]
        self.user = admin.post("/identity/v3/users", {"user": {
            "name": self.name, "password": lib.PASSWORD, "default_project_id": self.project}})["user"]["id"]
        roles = admin.get("/identity/v3/roles?name=member")["roles"]
        admin.put(f"/identity/v3/projects/{self.project}/users/{self.user}/roles/{roles[0]['id']}")
        self.login()

    def login(self):
        self.api = lib.Session(self.cloud.url, self.name, lib.PASSWORD, self.name)

    def network(self, public=None, cidr="10.0.0.0/24"):
        """A network with a subnet, a router to 'public' when given, ping and ssh let in by the default group."""
        net = self.api.post("/network/v2.0/networks", {"network": {"name": self.name}})["network"]["id"]
        subnet = self.api.post("/network/v2.0/subnets", {"subnet": {
            "network_id": net, "ip_version": 4, "cidr": cidr}})["subnet"]["id"]
        if public:
            router = self.api.post("/network/v2.0/routers", {"router": {
                "name": self.name, "external_gateway_info": {"network_id": public}}})["router"]["id"]
            self.api.put(f"/network/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
        group = self.api.get("/network/v2.0/security-groups?name=default")["security_groups"][0]["id"]
        for rule in ({"protocol": "icmp"}, {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}):
            self.api.post("/network/v2.0/security-group-rules", {"security_group_rule": dict(
                rule, security_group_id=group, direction="ingress")})
        return net

    def server(self, image, flavor, net, name="s"):
        return self.api.post("/compute/v2.1/servers", {"server": {
            "name": name, "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": net}]}})["server"]["id"]

    def show(self, server):
        return self.api.get(f"/compute/v2.1/servers/{server}")["server"]

    def wait(self, server, status="ACTIVE", seconds=180):
        """Waits for a server; a lost connection is tried again, for tests kill what we talk to."""
        end = time.monotonic() + seconds
        last = None
        while time.monotonic() < end:
            try:
                last = self.show(server)
                if last["status"] == status and not last.get("OS-EXT-STS:task_state"):
                    return last
                if last["status"] == "ERROR":
                    raise lib.CloudError(f"server {server} is in ERROR: {last.get('fault')}")
            except OSError:
                pass
            except lib.CloudError as e:
                if status == "DELETED" and ": 404 " in str(e):
                    return None
                raise
            time.sleep(0.3)
        raise lib.CloudError(f"server {server} is not {status} after {seconds} s: {last and last['status']}, "
                             f"{last and last.get('OS-EXT-STS:task_state')}")

    def port_of(self, server):
        return self.api.get(f"/network/v2.0/ports?device_id={server}")["ports"][0]

    def floating_ip(self, public, server):
        return self.api.post("/network/v2.0/floatingips", {"floatingip": {
            "floating_network_id": public, "port_id": self.port_of(server)["id"]}})["floatingip"]

    def volume(self, size=1):
        return self.api.post(f"/volume/v3/{self.project}/volumes", {"volume": {"size": size}})["volume"]["id"]

    def wait_volume(self, volume, status="available", seconds=60):
        end = time.monotonic() + seconds
        now = None
        while time.monotonic() < end:
            now, _, body = self.api.request("GET", f"/volume/v3/{self.project}/volumes/{volume}", want=(200, 404))
            if now == 404 and status == "deleted" or now == 200 and body["volume"]["status"] == status:
                return
            if now == 200 and body["volume"]["status"].startswith("error"):
                raise lib.CloudError(f"volume {volume} is {body['volume']['status']}")
            time.sleep(0.2)
        raise lib.CloudError(f"volume {volume} is not {status} after {seconds} s")

    def remove(self):
        """Everything of the tenant, in the order in which the APIs let it go."""
        api, n = self.api, "/network/v2.0"
        for s in api.get("/compute/v2.1/servers")["servers"]:
            api.delete(f"/compute/v2.1/servers/{s['id']}", want=(204, 404))
        for s in api.get("/compute/v2.1/servers")["servers"]:
            self.wait(s["id"], "DELETED", 120)
        status, _, volumes = api.request("GET", f"/volume/v3/{self.project}/volumes", want=None)
        for v in volumes["volumes"] if status == 200 else []:
            self.wait_volume(v["id"])
            api.delete(f"/volume/v3/{self.project}/volumes/{v['id']}")
            self.wait_volume(v["id"], "deleted")
        for f in api.get(n + "/floatingips")["floatingips"]:
            api.delete(f"{n}/floatingips/{f['id']}")
        for r in api.get(n + "/routers")["routers"]:
            for p in api.get(f"{n}/ports?device_id={r['id']}")["ports"]:
                if p["device_owner"] == "network:router_interface":
                    api.put(f"{n}/routers/{r['id']}/remove_router_interface", {"port_id": p["id"]})
            api.delete(f"{n}/routers/{r['id']}")
        for p in api.get(n + "/ports")["ports"]:
            if not p["device_owner"].startswith("network:"):
                api.delete(f"{n}/ports/{p['id']}", want=(204, 404))
        for net in api.get(f"{n}/networks?project_id={self.project}")["networks"]:
            api.delete(f"{n}/networks/{net['id']}")
        admin = self.cloud.admin
        # as in OpenStack a project's default group outlives the project: who removes one removes both
        for g in admin.get(f"{n}/security-groups?project_id={self.project}")["security_groups"]:
            admin.delete(f"{n}/security-groups/{g['id']}")
        admin.delete(f"/identity/v3/users/{self.user}")
        admin.delete(f"/identity/v3/projects/{self.project}")


def answers(address, port=22, seconds=120):
    """Whether something greets on that port within the time (ssh does, first)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection((address, port), timeout=3) as s:
                s.settimeout(5)
                if s.recv(4):
                    return True
        except OSError:
            time.sleep(0.5)
    return False


def orphans(cloud):
    """What a host still has though no tenant is left: guests, devices, namespaces, disks, daemons."""
    def lines(*argv):
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True).stdout.splitlines()

    left = []
    left += ["guest " + l for l in lines("virsh", "-q", "-c", "qemu:///system", "list", "--all", "--name") if l.strip()]
    left += ["emulator " + l for l in lines("pgrep", "-a", "-f", "^[^ ]*qemu-system-")]
    left += ["dnsmasq " + l for l in lines("pgrep", "-a", "dnsmasq")]
    for l in lines("ip", "-o", "link"):
        name = l.split(": ")[1].split("@")[0]
        if name[:2] in ("yt", "yd", "yr", "yv", "yl", "yq"):
            left.append("device " + name)
    left += ["namespace " + l for l in lines("ip", "netns", "list") if l.startswith("yunduo-")]
    for sub in ("instances", "volumes"):
        for root, _, files in os.walk(os.path.join(cloud.data, "agent", sub)):
            left += [os.path.join(root, f) for f in files]
    return left


def settled(cloud, seconds=60):
    """Waits until nothing is left; returns what still is after the time."""
    end = time.monotonic() + seconds
    while True:
        left = orphans(cloud)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.5)
