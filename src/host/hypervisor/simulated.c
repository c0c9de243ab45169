/*
 * Hypervisor driver without a hypervisor: guests are rows in memory.
 *
 * For tests, and for measuring the control plane with a thousand hosts in one process. It
 * keeps the contract of hypervisor.h to the letter (the same contract test runs against
 * this driver and against libvirt), obeys at once unless a delay is configured, and fails
 * where base/effect.h is armed. Each open makes a host of its own; nothing survives close.
 */
#include "host/hypervisor/simulated.h"

#include "base/effect.h"

#include <errno.h>
#include <pthread.h>

struct sim_domain {
    struct arena *arena; /* of the definition */
    const char *id;
    const char *fingerprint;
    struct server_spec *spec; /* with disks and ports as attached */
    enum domain_state state;
    int64_t starts;
    usec_t started_at;
    int64_t port;
    struct buf console;
    struct sim_domain *next;
};

struct simulated {
    struct hypervisor head;
    struct hypervisor_config config;
    char *host_name;
    pthread_mutex_t lock;
    struct sim_domain *domains;
    int64_t next_port;
};

static struct simulated *sim_of(struct hypervisor *hv)
{
    return CONTAINER_OF(hv, struct simulated, head);
}

static void domain_free(struct sim_domain *m)
{
    arena_free(m->arena);
    buf_done(&m->console);
    free(m);
}

static struct sim_domain *find(struct simulated *s, const char *id)
{
    for (struct sim_domain *m = s->domains; m; m = m->next)
        if (STREQ(m->id, id))
            return m;
    return NULL;
}

static void delay(const struct simulated *s)
{
    if (s->config.sim_delay > 0) {
        struct timespec ts = { .tv_sec = (time_t)(s->config.sim_delay / 1000000),
                               .tv_nsec = (long)(s->config.sim_delay % 1000000 * 1000) };
        (void)nanosleep(&ts, NULL);
    }
}

static void tell(struct simulated *s, const char *id, enum domain_event event)
{
    if (s->config.on_event)
        s->config.on_event(s->config.cookie, id, event);
}

static int sim_open(const struct hypervisor_config *config, struct hypervisor **ret,
                    struct fault *fault _unused_)
{
    struct simulated *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->head.class = &HYPERVISOR_SIMULATED;
    s->config = *config;
    s->host_name = strdup(str_or(config->host_name, "simulated"));
    if (!s->host_name) {
        free(s);
        return -ENOMEM;
    }
    s->next_port = 5900;
    pthread_mutex_init(&s->lock, NULL);
    *ret = &s->head;
    return 0;
}

static void sim_close(struct hypervisor *hv)
{
    struct simulated *s = sim_of(hv);
    while (s->domains) {
        struct sim_domain *m = s->domains;
        s->domains = m->next;
        domain_free(m);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->host_name);
    free(s);
}

static int sim_facts(struct hypervisor *hv, struct arena *a, struct host_facts *ret)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.facts");
    if (r < 0)
        return r;
    struct host_facts f = {
        .hostname = arena_strdup(a, s->host_name),
        .driver = "simulated",
        .hypervisor_type = "simulated",
        .hypervisor_version = 1000000,
        .accel = "simulated",
        .arch = "x86_64",
        .vcpus = s->config.sim_vcpus > 0 ? s->config.sim_vcpus : 64,
        .memory_mb = s->config.sim_memory_mb > 0 ? s->config.sim_memory_mb : 262144,
        .disk_gb = s->config.sim_disk_gb > 0 ? s->config.sim_disk_gb : 10000,
        .cpu_model = "simulated",
        .cpu_vendor = "simulated",
        .cpu_sockets = 1,
        .cpu_threads = 1,
    };
    f.cpu_cores = f.vcpus;
    f.memory_free_mb = f.memory_mb;
    f.disk_free_gb = f.disk_gb;
    strv_add(a, &f.machine_types, "pc");
    strv_add(a, &f.traits, "COMPUTE_NODE");
    strv_add(a, &f.traits, "COMPUTE_VOLUME_MULTI_ATTACH");
    strv_add(a, &f.traits, "COMPUTE_VOLUME_EXTEND");
    strv_add(a, &f.traits, "COMPUTE_DEVICE_TAGGING");
    pthread_mutex_lock(&s->lock);
    for (struct sim_domain *m = s->domains; m; m = m->next)
        if (m->state == DOMAIN_RUNNING || m->state == DOMAIN_PAUSED) {
            f.running++;
            f.memory_free_mb -= MIN(f.memory_free_mb, m->spec->memory_mb);
        }
    pthread_mutex_unlock(&s->lock);
    if (arena_failed(a))
        return -ENOMEM;
    *ret = f;
    return 0;
}

static void info_fill(const struct sim_domain *m, struct arena *a, bool full, struct domain_info *info)
{
    info->id = arena_strdup(a, m->id);
    info->name = arena_printf(a, "yun-%s", m->id);
    info->state = m->state;
    info->fingerprint = arena_strdup(a, m->fingerprint);
    if (!full)
        return;
    info->console_host = "127.0.0.1";
    info->vnc_port = m->state == DOMAIN_RUNNING || m->state == DOMAIN_PAUSED ? m->port : 0;
    VEC_FOREACH (d, &m->spec->disks) {
        struct domain_disk *k = vec_add(a, &info->disks);
        if (k)
            *k = (struct domain_disk){ .device = arena_strdup(a, d->device),
                                       .id = arena_strdup(a, d->id),
                                       .source = arena_strdup(a, d->source ? d->source->path : NULL) };
    }
    VEC_FOREACH (n, &m->spec->nics) {
        struct domain_nic *k = vec_add(a, &info->nics);
        if (k)
            *k = (struct domain_nic){ .mac = arena_strdup(a, n->mac), .tap = arena_strdup(a, n->tap) };
    }
}

static int sim_list(struct hypervisor *hv, struct arena *a, struct domain_list *ret)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.list");
    if (r < 0)
        return r;
    struct domain_list l = { 0 };
    pthread_mutex_lock(&s->lock);
    for (struct sim_domain *m = s->domains; m; m = m->next) {
        struct domain_info *info = vec_add(a, &l);
        if (info)
            info_fill(m, a, false, info);
    }
    pthread_mutex_unlock(&s->lock);
    if (arena_failed(a))
        return -ENOMEM;
    *ret = l;
    return 0;
}

static int sim_observe(struct hypervisor *hv, const char *id, struct arena *a, struct domain_info *ret)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.observe");
    if (r < 0)
        return r;
    struct domain_info info = { .id = arena_strdup(a, id), .state = DOMAIN_ABSENT };
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    if (m)
        info_fill(m, a, true, &info);
    pthread_mutex_unlock(&s->lock);
    if (arena_failed(a))
        return -ENOMEM;
    *ret = info;
    return 0;
}

/* Device names as the real driver would give them. */
static bool device_name(struct arena *a, struct server_spec *spec, struct server_disk *d)
{
    bool cd = str_eq(d->kind, DISK_CONFIG) || str_eq(d->device_type, "cdrom");
    for (char c = 'a'; !d->device && c <= 'z'; c++) {
        const char *name = arena_printf(a, "%s%c", cd ? "hd" : "vd", c);
        bool taken = false;
        VEC_FOREACH (o, &spec->disks)
            taken |= str_eq(o->device, name);
        if (!taken)
            d->device = name;
    }
    return d->device != NULL;
}

static int sim_define(struct hypervisor *hv, const struct server_spec *spec, struct fault *fault)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.define");
    if (r < 0)
        return r;
    if (spec->vcpus < 1 || spec->memory_mb < 1)
        return fault_set(fault, 400, "FlavorInvalid",
                         "A server needs at least one vCPU and 1 MiB of memory.");
    struct arena *a = arena_new(0);
    struct server_spec *copy = a ? schema_copy(&SERVER_SPEC_SCHEMA, spec, a) : NULL;
    const char *id = arena_strdup(a, spec->id);
    const char *fingerprint = copy ? hypervisor_fingerprint(spec, a) : NULL;
    if (!copy || !id || !fingerprint) {
        arena_free(a);
        return -ENOMEM;
    }
    VEC_FOREACH (d, &copy->disks)
        (void)device_name(a, copy, d);
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, spec->id);
    if (!m) {
        m = calloc(1, sizeof(*m));
        if (m) {
            m->state = DOMAIN_SHUTOFF;
            m->console = BUF_MAX(1 << 20);
            m->port = s->next_port++;
            m->next = s->domains;
            s->domains = m;
        }
    }
    if (m) {
        arena_free(m->arena);
        m->arena = TAKE_PTR(a);
        m->id = id;
        m->spec = copy;
        m->fingerprint = fingerprint;
    }
    pthread_mutex_unlock(&s->lock);
    arena_free(a);
    return m ? 0 : -ENOMEM;
}

/* Moves a domain from any of the states in 'from' to 'to'. */
#define STATE(x) (1u << (x))
static int move(struct simulated *s, const char *id, unsigned from, enum domain_state to,
                enum domain_event event, struct fault *fault)
{
    bool moved = false;
    int r = 0;
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    if (!m) {
        r = -ENOENT;
    } else if (m->state != to) {
        if (!(STATE(m->state) & from)) {
            r = fault_set(fault, 409, "InstanceInvalidState", "The domain is %s.",
                          domain_state_power(m->state));
        } else {
            if (to == DOMAIN_RUNNING && m->state != DOMAIN_PAUSED) {
                m->starts++;
                m->started_at = clock_mono();
                if (m->state != DOMAIN_SUSPENDED)
                    buf_printf(&m->console, "SIMULATED-READY instance=%s\n", m->id);
            }
            m->state = to;
            moved = true;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (moved)
        tell(s, id, event);
    return r;
}

static int sim_start(struct hypervisor *hv, const char *id, struct fault *fault)
{
    int r = effect("hypervisor.start");
    if (r < 0)
        return r;
    delay(sim_of(hv));
    return move(sim_of(hv), id, ~0u, DOMAIN_RUNNING, DOMAIN_EVENT_STARTED, fault);
}

static int sim_stop(struct hypervisor *hv, const char *id, usec_t timeout _unused_)
{
    struct fault f;
    int r = effect("hypervisor.stop");
    if (r < 0)
        return r;
    delay(sim_of(hv));
    r = move(sim_of(hv), id, ~0u, DOMAIN_SHUTOFF, DOMAIN_EVENT_STOPPED, &f);
    return r == -ENOENT ? 0 : r;
}

static int sim_reboot(struct hypervisor *hv, const char *id, struct fault *fault)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.reboot");
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    if (!m)
        r = -ENOENT;
    else if (m->state != DOMAIN_RUNNING)
        r = fault_set(fault, 409, "InstanceInvalidState", "The domain is %s.", domain_state_power(m->state));
    else
        buf_printf(&m->console, "SIMULATED-READY instance=%s\n", m->id);
    pthread_mutex_unlock(&s->lock);
    if (r == 0)
        tell(s, id, DOMAIN_EVENT_REBOOTED);
    return r;
}

static int sim_pause(struct hypervisor *hv, const char *id, struct fault *fault)
{
    int r = effect("hypervisor.pause");
    return r < 0 ? r : move(sim_of(hv), id, STATE(DOMAIN_RUNNING), DOMAIN_PAUSED, DOMAIN_EVENT_PAUSED, fault);
}

static int sim_resume(struct hypervisor *hv, const char *id, struct fault *fault)
{
    int r = effect("hypervisor.resume");
    return r < 0 ? r
                 : move(sim_of(hv), id, STATE(DOMAIN_PAUSED), DOMAIN_RUNNING, DOMAIN_EVENT_RESUMED, fault);
}

static int sim_suspend(struct hypervisor *hv, const char *id, struct fault *fault)
{
    int r = effect("hypervisor.suspend");
    return r < 0 ? r
                 : move(sim_of(hv), id, STATE(DOMAIN_RUNNING) | STATE(DOMAIN_PAUSED), DOMAIN_SUSPENDED,
                        DOMAIN_EVENT_STOPPED, fault);
}

static int sim_destroy(struct hypervisor *hv, const char *id)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.destroy");
    if (r < 0)
        return r;
    bool ran = false;
    pthread_mutex_lock(&s->lock);
    for (struct sim_domain **p = &s->domains; *p; p = &(*p)->next)
        if (STREQ((*p)->id, id)) {
            struct sim_domain *m = *p;
            *p = m->next;
            ran = m->state == DOMAIN_RUNNING || m->state == DOMAIN_PAUSED;
            domain_free(m);
            break;
        }
    pthread_mutex_unlock(&s->lock);
    if (ran)
        tell(s, id, DOMAIN_EVENT_STOPPED);
    return 0;
}

static int sim_attach_disk(struct hypervisor *hv, const char *id, const struct server_disk *disk,
                           struct arena *a, const char **ret_device, struct fault *fault)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.attach_disk");
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    struct server_disk *at = m ? server_spec_disk(m->spec, disk->id) : NULL;
    if (!m) {
        r = -ENOENT;
    } else if (!at) {
        struct server_disk *copy = schema_copy(&SERVER_DISK_SCHEMA, disk, m->arena);
        VEC_FOREACH (o, &m->spec->disks)
            if (copy && str_eq(o->device, copy->device))
                copy->device = NULL;
        if (!copy)
            r = -ENOMEM;
        else if (!device_name(m->arena, m->spec, copy))
            r = fault_set(fault, 409, "TooManyDiskDevices", "No device name is left for disk %s.", disk->id);
        else if (!(at = vec_add(m->arena, &m->spec->disks)))
            r = -ENOMEM;
        else
            *at = *copy;
    }
    if (r == 0)
        *ret_device = arena_strdup(a, at->device);
    pthread_mutex_unlock(&s->lock);
    return r;
}

static int sim_detach_disk(struct hypervisor *hv, const char *id, const char *disk_id,
                           struct fault *fault _unused_)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.detach_disk");
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    for (size_t i = 0; m && i < m->spec->disks.n; i++)
        if (str_eq(m->spec->disks.v[i].id, disk_id)) {
            vec_remove(&m->spec->disks, i);
            break;
        }
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static int sim_attach_nic(struct hypervisor *hv, const char *id, const struct server_nic *nic,
                          struct fault *fault _unused_)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.attach_nic");
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    bool there = false;
    for (size_t i = 0; m && i < m->spec->nics.n; i++)
        there |= str_eq(m->spec->nics.v[i].mac, nic->mac);
    if (!m) {
        r = -ENOENT;
    } else if (!there) {
        struct server_nic *copy = schema_copy(&SERVER_NIC_SCHEMA, nic, m->arena);
        struct server_nic *at = copy ? vec_add(m->arena, &m->spec->nics) : NULL;
        if (at)
            *at = *copy;
        else
            r = -ENOMEM;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

static int sim_detach_nic(struct hypervisor *hv, const char *id, const char *mac,
                          struct fault *fault _unused_)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.detach_nic");
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    for (size_t i = 0; m && i < m->spec->nics.n; i++)
        if (m->spec->nics.v[i].mac && strcasecmp(m->spec->nics.v[i].mac, mac) == 0) {
            vec_remove(&m->spec->nics, i);
            break;
        }
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* Calls that change nothing one could see later; they only need the domain (running). */
static int touch(struct simulated *s, const char *id, bool running, struct fault *fault)
{
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    int r =
        !m ? -ENOENT
        : running && m->state != DOMAIN_RUNNING
            ? fault_set(fault, 409, "InstanceInvalidState", "The domain is %s.", domain_state_power(m->state))
            : 0;
    pthread_mutex_unlock(&s->lock);
    return r;
}

static int sim_extend_disk(struct hypervisor *hv, const char *id, const char *disk_id _unused_,
                           int64_t bytes _unused_, struct fault *fault)
{
    int r = effect("hypervisor.extend_disk");
    return r < 0 ? r : touch(sim_of(hv), id, false, fault);
}

static int sim_limit_disk(struct hypervisor *hv, const char *id, const char *disk_id _unused_,
                          const struct disk_qos *q _unused_, struct fault *fault)
{
    int r = effect("hypervisor.limit_disk");
    return r < 0 ? r : touch(sim_of(hv), id, false, fault);
}

static int sim_set_password(struct hypervisor *hv, const char *id, const char *user _unused_,
                            const char *password _unused_, struct fault *fault)
{
    int r = effect("hypervisor.set_password");
    return r < 0 ? r : touch(sim_of(hv), id, true, fault);
}

static int sim_inject_nmi(struct hypervisor *hv, const char *id, struct fault *fault)
{
    int r = effect("hypervisor.inject_nmi");
    return r < 0 ? r : touch(sim_of(hv), id, true, fault);
}

static int sim_console_log(struct hypervisor *hv, const char *id, struct arena *a, size_t max,
                           const char **ret, size_t *ret_n)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.console_log");
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    size_t n = m ? m->console.len : 0, from = n > max ? n - max : 0;
    const char *text = arena_strndup(a, m ? buf_text(&m->console) + from : "", n - from);
    pthread_mutex_unlock(&s->lock);
    if (!text)
        return -ENOMEM;
    *ret = text;
    *ret_n = n - from;
    return 0;
}

static int sim_trim_logs(struct hypervisor *hv _unused_)
{
    return effect("hypervisor.trim_logs");
}

static int sim_diagnostics(struct hypervisor *hv, const char *id, struct arena *a,
                           struct domain_diagnostics *ret, struct fault *fault)
{
    struct simulated *s = sim_of(hv);
    int r = effect("hypervisor.diagnostics");
    if (r == 0)
        r = touch(s, id, true, fault);
    if (r)
        return r;
    struct domain_diagnostics g = { .state = DOMAIN_RUNNING };
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    if (m) {
        g.uptime = clock_mono() - m->started_at;
        g.memory_max_kb = m->spec->memory_mb * 1024;
        for (int64_t i = 0; i < m->spec->vcpus; i++) {
            struct domain_cpu_stat *c = vec_add(a, &g.cpus);
            if (c)
                c->id = i;
        }
        VEC_FOREACH (d, &m->spec->disks) {
            struct domain_disk_stat *k = vec_add(a, &g.disks);
            if (k)
                *k = (struct domain_disk_stat){ .device = arena_strdup(a, d->device), .errors = -1 };
        }
        VEC_FOREACH (n, &m->spec->nics) {
            struct domain_nic_stat *k = vec_add(a, &g.nics);
            if (k)
                *k = (struct domain_nic_stat){ .mac = arena_strdup(a, n->mac),
                                               .tap = arena_strdup(a, n->tap) };
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (arena_failed(a))
        return -ENOMEM;
    *ret = g;
    return 0;
}

/* ---- what tests do --------------------------------------------------------------------- */

int simulated_guest_stops(struct hypervisor *hv, const char *id, bool crash)
{
    struct simulated *s = sim_of(hv);
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    int r = !m ? -ENOENT : m->state != DOMAIN_RUNNING ? -EINVAL : 0;
    if (r == 0)
        m->state = crash ? DOMAIN_CRASHED : DOMAIN_SHUTOFF;
    pthread_mutex_unlock(&s->lock);
    if (r == 0)
        tell(s, id, DOMAIN_EVENT_STOPPED);
    return r;
}

int simulated_guest_prints(struct hypervisor *hv, const char *id, const char *text)
{
    struct simulated *s = sim_of(hv);
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    if (m)
        buf_adds(&m->console, text);
    pthread_mutex_unlock(&s->lock);
    return m ? 0 : -ENOENT;
}

size_t simulated_domains(struct hypervisor *hv)
{
    struct simulated *s = sim_of(hv);
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (struct sim_domain *m = s->domains; m; m = m->next)
        n++;
    pthread_mutex_unlock(&s->lock);
    return n;
}

int64_t simulated_starts(struct hypervisor *hv, const char *id)
{
    struct simulated *s = sim_of(hv);
    pthread_mutex_lock(&s->lock);
    struct sim_domain *m = find(s, id);
    int64_t n = m ? m->starts : 0;
    pthread_mutex_unlock(&s->lock);
    return n;
}

const struct hypervisor_class HYPERVISOR_SIMULATED = {
    .name = "simulated",
    .open = sim_open,
    .close = sim_close,
    .facts = sim_facts,
    .list = sim_list,
    .observe = sim_observe,
    .define = sim_define,
    .start = sim_start,
    .stop = sim_stop,
    .reboot = sim_reboot,
    .pause = sim_pause,
    .resume = sim_resume,
    .suspend = sim_suspend,
    .destroy = sim_destroy,
    .attach_disk = sim_attach_disk,
    .detach_disk = sim_detach_disk,
    .attach_nic = sim_attach_nic,
    .detach_nic = sim_detach_nic,
    .extend_disk = sim_extend_disk,
    .limit_disk = sim_limit_disk,
    .set_password = sim_set_password,
    .inject_nmi = sim_inject_nmi,
    .console_log = sim_console_log,
    .trim_logs = sim_trim_logs,
    .diagnostics = sim_diagnostics,
};
