/*
 * DHCP servers: a namespace with one leg on the network's bridge, and a dnsmasq in it.
 *
 * Which dnsmasq are ours is asked of the kernel: a process of that name whose configuration
 * lies below run_dir. They are no children of the agent and outlive it. One whose
 * network is gone, whose namespace is not the network's any more, or that is there twice, is
 * killed.
 */
#include "host/net/linux.h"

#include "base/log.h"
#include "base/process.h"
#include "host/net/dhcp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

LOG_MODULE("host.net.dhcp");

static ssize_t read_small(const char *path, char *out, size_t size)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, out, size - 1);
    if (n < 0)
        return -errno;
    out[n] = 0;
    return n;
}

int daemons_list(struct pass *p)
{
    char path[64], text[1024], option[512];
    DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    int head = snprintf(option, sizeof(option), "--conf-file=%s/", p->d->config.run_dir);
    for (struct dirent *e; (e = readdir(proc));) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        if (read_small(path, text, sizeof(text)) < 0 || !STREQ(text, "dnsmasq\n"))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
        ssize_t n = read_small(path, text, sizeof(text));
        size_t at = n > 0 ? strlen(text) + 1 : 0;
        if (n <= 0 || (ssize_t)at >= n || strncmp(text + at, option, (size_t)head) != 0)
            continue;
        char *name = text + at + head, *slash = strchr(name, '/');
        if (slash)
            *slash = 0;
        struct daemon d = { .pid = pid, .name = arena_strdup(p->a, name) };
        struct stat st;
        snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
        if (stat(path, &st) == 0)
            d.netns = st.st_ino;
        vec_push(p->a, &p->daemons, d);
    }
    closedir(proc);
    return arena_failed(p->a) ? -ENOMEM : 0;
}

/* Ends a process and waits until it is gone, at most a second: its address and namespace are
 * needed. */
static void end_process(pid_t pid)
{
    _cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return;
    (void)kill(pid, SIGKILL);
    struct pollfd pfd = { fd, POLLIN, 0 };
    (void)poll(&pfd, 1, 1000);
}

static void remove_files(struct pass *p, const char *name)
{
    static const char *const FILES[] = { "conf", "hosts", "opts", "names", "pid" };
    char path[600];
    for (size_t i = 0; i < ARRAY_SIZE(FILES); i++) {
        snprintf(path, sizeof(path), "%s/%s/%s", p->d->config.run_dir, name, FILES[i]);
        (void)unlink(path);
    }
    snprintf(path, sizeof(path), "%s/%s", p->d->config.run_dir, name);
    if (rmdir(path) == 0)
        pass_changed(p, "removed files of", name);
}

/* Names are "net-ID" and "rtr-ID", as those of the namespaces. */
static bool name_wanted(struct pass *p, const char *name)
{
    if (str_starts(name, "net-")) {
        const struct pass_network *n = pass_network(p, name + 4);
        return n && n->dhcp;
    }
    VEC_FOREACH(r, &p->want->routers)
        if (str_starts(name, "rtr-") && str_eq(r->id, name + 4))
            return true;
    return false;
}

void daemons_remove(struct pass *p)
{
    for (size_t i = 0; i < p->daemons.n; i++) {
        struct daemon *d = &p->daemons.v[i];
        char namespace[NETNS_NAME_SIZE];
        snprintf(namespace, sizeof(namespace), "yunduo-%s", d->name);
        d->wanted = name_wanted(p, d->name);
        if (d->wanted) {
            _cleanup_(closep) int fd = netns_open(p->d->config.netns_dir, namespace);
            d->wanted = fd >= 0 && netns_inode(fd) == d->netns;
        }
        for (size_t j = 0; j < i; j++)
            d->wanted &= !(p->daemons.v[j].wanted && STREQ(p->daemons.v[j].name, d->name));
        if (!d->wanted) {
            end_process(d->pid);
            pass_changed(p, "ended dnsmasq of", d->name);
        }
    }
    DIR *dir = opendir(p->d->config.run_dir);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if ((str_starts(e->d_name, "net-") || str_starts(e->d_name, "rtr-")) && !name_wanted(p, e->d_name))
            remove_files(p, e->d_name);
    closedir(dir);
}

/* 1 when the file had to be written. */
static int file_make(const char *dir, const char *name, const char *text)
{
    char path[600], next[620];
    size_t n = strlen(text);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(next, sizeof(next), "%s/%s.new", dir, name);
    _cleanup_(closep) int old = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (old >= 0 && fstat(old, &st) == 0 && (size_t)st.st_size == n) {
        _cleanup_(freep) char *now = malloc(n + 1);
        if (!now)
            return -ENOMEM;
        if (pread(old, now, n, 0) == (ssize_t)n && memcmp(now, text, n) == 0)
            return 0;
    }
    _cleanup_(closep) int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < n;) {
        ssize_t w = write(fd, text + at, n - at);
        if (w < 0)
            return -errno;
        at += (size_t)w;
    }
    return rename(next, path) < 0 ? -errno : 1;
}

static int directories(const char *path)
{
    char text[512];
    size_t n = strlen(path);
    if (n >= sizeof(text))
        return -ENAMETOOLONG;
    memcpy(text, path, n + 1);
    for (char *p = strchr(text + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        if (mkdir(text, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return mkdir(text, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int daemon_make(struct pass *p, const char *name, const char *namespace, const struct daemon_file *files,
                size_t n, const char **reason)
{
    char dir[560], option[620], netns[512];
    snprintf(dir, sizeof(dir), "%s/%s", p->d->config.run_dir, name);
    struct daemon *running = NULL;
    VEC_FOREACH(d, &p->daemons)
        if (d->wanted && STREQ(d->name, name))
            running = d;
    int r = directories(dir);
    bool reread = running && !p->d->passed;
    /* The configuration comes last: when it is new the server has been restarted with the
     * rest, or is not running. */
    for (size_t i = n; r >= 0 && i-- > 0;) {
        bool conf = STREQ(files[i].name, "conf");
        if (conf && running) {
            char path[600];
            _cleanup_(freep) char *now = NULL;
            struct stat st;
            snprintf(path, sizeof(path), "%s/conf", dir);
            bool same = stat(path, &st) == 0 && (size_t)st.st_size == strlen(files[i].text) &&
                        (now = calloc(1, (size_t)st.st_size + 1)) &&
                        read_small(path, now, (size_t)st.st_size + 1) == st.st_size &&
                        STREQ(now, files[i].text);
            if (!same) {
                end_process(running->pid);
                running = NULL;
            }
        }
        r = file_make(dir, files[i].name, files[i].text);
        if (r > 0) {
            pass_changed(p, "wrote", files[i].name);
            reread |= !conf;
        }
    }
    if (r < 0) {
        pass_fail(p, reason, r, "The files of dnsmasq could not be written", NULL);
        return r;
    }
    if (running) {
        if (reread && kill(running->pid, SIGHUP) < 0)
            return -errno;
        return 0;
    }
    _cleanup_(buf_done) struct buf errors = BUF_MAX(4096);
    snprintf(option, sizeof(option), "--conf-file=%s/conf", dir);
    snprintf(netns, sizeof(netns), "%s/%s", p->d->config.netns_dir, namespace);
    const struct process run = {
        .argv = ARGV("dnsmasq", option),
        .timeout = SECONDS(10),
        .netns = netns,
        .errors = &errors,
    };
    r = process_run(&run);
    if (r != 0) {
        *reason = arena_printf(p->a, "dnsmasq does not start: %s",
                               errors.len ? buf_text(&errors)
                               : r < 0    ? strerrordesc_np(-r)
                                          : "no reason given.");
        log_warning("dnsmasq does not start", KV("name", name), KV("error", buf_text(&errors)));
        return r < 0 ? r : -EIO;
    }
    pass_changed(p, "started dnsmasq of", name);
    return 0;
}

void daemon_stop(struct pass *p, const char *name)
{
    VEC_FOREACH(d, &p->daemons)
        if (d->wanted && STREQ(d->name, name)) {
            end_process(d->pid);
            d->wanted = false;
            pass_changed(p, "ended dnsmasq of", name);
        }
    remove_files(p, name);
}

void dhcp_make(struct pass *p, struct pass_network *n)
{
    char leg[NET_NAME_SIZE], error[256], dir[560];
    struct inner inner = { 0 };
    struct inner_link *l = vec_add(p->a, &inner.links);
    if (!n->index || !l)
        return;
    int r = netns_create(p->d->config.netns_dir, n->namespace);
    if (r < 0) {
        pass_fail(p, &n->seen.reason, r, "The DHCP server's namespace could not be made", NULL);
        return;
    }
    if (!strv_has(&p->namespaces, n->namespace))
        pass_changed(p, "made namespace", n->namespace);
    net_device_name("yd", n->spec->id, leg);
    if (leg_make(p, leg, "dhcp", n->spec->dhcp_mac, n, n->namespace, &n->seen.reason) < 0)
        return;
    l->name = "dhcp";
    l->mac = n->spec->dhcp_mac;
    l->mtu = n->mtu;
    bool gateway4 = false, gateway6 = false;
    VEC_FOREACH(s, &n->spec->subnets) {
        struct ip ip;
        int prefix;
        if (!s->dhcp_address || !ip_parse_prefix(s->cidr, &ip, &prefix))
            continue;
        const char *cidr = arena_printf(p->a, "%s/%d", s->dhcp_address, prefix);
        if (cidr)
            strv_add(p->a, &l->cidrs, cidr);
        bool *have = ip.family == AF_INET ? &gateway4 : &gateway6;
        struct ip gateway;
        struct ip_range covers;
        /* A way out, for names that are asked elsewhere. */
        if (!*have && ip_parse(s->gateway_ip, &gateway) && ip_range_parse(s->cidr, &covers) &&
            ip_range_has(&covers, &gateway) && !str_eq(s->gateway_ip, s->dhcp_address)) {
            struct net_route route = { ip.family == AF_INET ? "0.0.0.0/0" : "::/0", s->gateway_ip };
            *have = true;
            vec_push(p->a, &inner.routes, route);
        }
    }
    strv_add(p->a, &l->hosts, "169.254.169.254");
    strv_add(p->a, &l->cidrs, "fe80::a9fe:a9fe/64");
    _cleanup_(closep) int fd = netns_open(p->d->config.netns_dir, n->namespace);
    r = fd < 0 ? fd : inner_make(fd, &inner, error, sizeof(error));
    if (r < 0) {
        if (!n->seen.reason)
            n->seen.reason = arena_strdup(p->a, fd < 0 ? "The DHCP server's namespace has gone." : error);
        return;
    }
    p->changes += r;
    char name[NETNS_NAME_SIZE];
    snprintf(name, sizeof(name), "net-%s", n->spec->id);
    snprintf(dir, sizeof(dir), "%s/%s", p->d->config.run_dir, name);
    struct dhcp_files files;
    r = dhcp_render(p->want, n->spec, dir, &p->d->config.dns_upstream, p->a, &files);
    if (r < 0)
        return;
    const struct daemon_file list[] = {
        { "conf", files.conf },
        { "hosts", files.hosts },
        { "opts", files.opts },
        { "names", files.names },
    };
    n->seen.dhcp_up = daemon_make(p, name, n->namespace, list, ARRAY_SIZE(list), &n->seen.reason) == 0;
}
