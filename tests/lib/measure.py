"""For benches: wrk, nginx beside us as the measure, memory, and the line that tests/bench/run reads."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import cloud as lib


def tell(name, value, unit, **more):
    """One figure. See tests/bench/run for limit_name, limit_value, ratio_wanted, better."""
    print(json.dumps(dict({"name": name, "value": value, "unit": unit}, **more)), flush=True)


def wrk(url, seconds=4, connections=32, headers=None, script=None):
    """Returns {"rate", "p50", "p99", "bad"}: requests a second, milliseconds, answers that are no 2xx."""
    argv = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    for k, v in (headers or {}).items():
        argv += ["-H", f"{k}: {v}"]
    if script:
        argv += ["-s", script]
    out = subprocess.run(argv + [url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True).stdout

    def ms(p):
        m = re.search(rf"^\s*{p}%\s+([\d.]+)(us|ms|s)$", out, re.M)
        return float(m.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[m.group(2)] if m else 0.0

    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: (.*)", out)
    if not rate:
        raise lib.CloudError(f"wrk: {out[-500:]}")
    return {"rate": float(rate.group(1)), "p50": ms(50), "p99": ms(99), "bad": int(bad.group(1)) if bad else 0,
            "errors": errors.group(1) if errors else ""}


class Nginx:
    """nginx serving one static file of a given size, on a free port, from a folder of its own."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="yun-nginx-")
        os.chmod(self.dir, 0o755)
        self.port = lib.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        conf = os.path.join(self.dir, "nginx.conf")
        with open(conf, "w") as f:
            f.write(f"""daemon off; worker_processes auto; pid {self.dir}/pid; error_log {self.dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/json;
    open_file_cache max=100; client_max_body_size 0;
    client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/proxy; fastcgi_temp_path {self.dir}/fcgi;
    uwsgi_temp_path {self.dir}/uwsgi; scgi_temp_path {self.dir}/scgi;
    server {{ listen 127.0.0.1:{self.port} backlog=1024; root {self.dir}; }}
}}
""")
        self.process = subprocess.Popen(["nginx", "-p", self.dir, "-e", f"{self.dir}/error.log", "-c", conf],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        return self

    def file(self, size):
        """The URL of a file of 'size' bytes."""
        with open(os.path.join(self.dir, f"f{size}"), "wb") as f:
            f.write(b"x" * size)
        return f"{self.url}/f{size}"

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def beside_nginx(nginx, name, url, headers, size, wanted, seconds=4, rounds=2):
    """Our answer and nginx's file of the same size in turns, the same headers to both."""
    ours, theirs, bad, p99 = [], [], 0, 0.0
    file_url = nginx.file(size)
    for _ in range(rounds):
        theirs.append(wrk(file_url, seconds, headers=headers)["rate"])
        r = wrk(url, seconds, headers=headers)
        ours.append(r["rate"])
        bad += r["bad"]
        p99 = max(p99, r["p99"])
    if bad:
        raise lib.CloudError(f"{name}: {bad} answers were no 2xx")
    tell(name, sum(ours) / rounds, "requests/s", limit_name=f"nginx, a file of {size:,} bytes",
         limit_value=sum(theirs) / rounds, ratio_wanted=wanted, p99_ms=p99)


def resident_mib(pid):
    """Proportional set size of a process, in MiB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
