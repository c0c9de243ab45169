/* One server, one pass: see the header. */
#include "host/agent/server_job.h"
#include "host/disk/qemu_img.h"
#include "base/log.h"
#include "host/agent/server_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

LOG_MODULE("agent.servers");

struct pass {
    const struct server_job *j;
    struct arena *a;
    struct hypervisor *hv;
    const struct hypervisor_class *class;
    const struct server_spec *spec;     /* as yund said it */
    struct server_spec *full;           /* with all disks and their sources */
    struct server_done done;
    struct domain_info domain;
    struct fault fault;
    bool known, dirty, again;
    const char *step;                   /* what it is at, for the report */
};

/* ---- looking ---- */

static int look(struct pass *p)
{
    p->domain = (struct domain_info){ 0 };
    return p->class->observe(p->hv, p->spec->id, p->a, &p->domain);
}

static bool on(const struct pass *p)
{
    return p->domain.state == DOMAIN_RUNNING || p->domain.state == DOMAIN_PAUSED;
}

static int save(struct pass *p)
{
    p->dirty = false;
    p->done.head.id = p->spec->id;
    return server_state_save(p->j->state_dir, &p->done, p->a);
}

/* ---- reporting ---- */

static void fill_observed(const struct pass *p, struct server_observed *o, int result)
{
    const struct server_spec *s = p->spec;
    *o = (struct server_observed){
        .id = s->id, .revision = s->revision, .power = domain_state_power(p->domain.state), .known = true,
        .converged = result == 0 && !p->again, .instance_name = p->domain.name,
        .hypervisor_hostname = agent_host(p->j->agent), .root_device = "/dev/vda",
        .console_host = p->domain.console_host, .vnc_port = p->domain.vnc_port, .spice_port = p->domain.spice_port,
        .spice_tls_port = p->domain.spice_tls_port, .serial_path = p->domain.serial_path,
        .reboot_soft = p->done.reboot_soft, .reboot_hard = p->done.reboot_hard, .rebuild = p->done.rebuild,
        .password = p->done.password, .nmi = p->done.nmi, .resize = p->done.resize, .rescue = p->done.rescue,
        .launched_at = p->done.launched_at,
    };
    if (result) {
        o->fault_code = result == FAULT ? p->fault.status : 500;
        o->fault_message = result == FAULT ? p->fault.message : "The host could not carry this out.";
        o->fault_details = result == FAULT ? p->fault.type : strerror(-result);
        o->fault_at = clock_wall();
        o->fault_retry = result < 0 || p->fault.status >= 500;
    }
    if (p->j->disks)
        o->disk_bytes = disk_store_usage(p->j->disks, s->id);
    for (size_t i = 0; i < p->domain.disks.n; i++) {
        const struct domain_disk *d = &p->domain.disks.v[i];
        struct observed_disk *seen = vec_add(p->a, &o->disks);
        if (!seen)
            return;
        *seen = (struct observed_disk){ .id = d->id, .device = d->device };
        if (str_eq(d->id, "root") && d->device)
            o->root_device = arena_printf(p->a, "/dev/%s", d->device);
    }
    for (size_t i = 0; i < p->domain.nics.n; i++) {
        const struct domain_nic *n = &p->domain.nics.v[i];
        struct observed_nic *seen = vec_add(p->a, &o->nics);
        if (!seen)
            return;
        *seen = (struct observed_nic){ .mac = n->mac, .tap = n->tap };
        VEC_FOREACH(wanted, &s->nics)
            if (str_eq(wanted->mac, n->mac))
                seen->port_id = wanted->port_id;
    }
    for (size_t i = 0; i < p->done.tasks.n; i++)
        if (!vec_push(p->a, &o->tasks, p->done.tasks.v[i]))
            return;
    if (p->step && (result || p->again)) {
        struct observed_task *t = vec_add(p->a, &o->tasks);
        if (t)
            *t = (struct observed_task){ .id = p->step, .kind = "step", .state = result ? "failed" : "running" };
    }
}

static void report(const struct pass *p, int result)
{
    struct server_observed o;
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)1 << 20);
    struct json_out out = JSON_OUT(&b);
    struct encode_options opt = { .stored = true };
    fill_observed(p, &o, result);
    schema_encode(&SERVER_OBSERVED_SCHEMA, &o, &opt, &out);
    if (!buf_error(&b) && !arena_failed(p->a))
        agent_report_item(p->j->agent, "servers", p->spec->id, buf_text(&b));
    if (result)
        log_warning("server not as wanted", KV("server", p->spec->id), KV("step", str_or(p->step, "")),
                    KV("reason", result == FAULT ? p->fault.message : strerror(-result)));
}

/* ---- going ---- */

static int vanish(struct pass *p)
{
    p->step = "destroy";
    int r = p->class->destroy(p->hv, p->spec->id);
    if (r == 0 && p->j->disks)
        r = disk_store_remove(p->j->disks, p->spec->id);
    if (r == 0)
        server_state_forget(p->j->state_dir, p->spec->id, p->a);
    return r;
}

/* ---- making ---- */

static bool agent_made(const struct server_disk *d)
{
    return !STREQ(str_or(d->kind, ""), DISK_VOLUME);
}

/* Volumes it boots with that are still in the making. */
static bool volumes_ready(struct pass *p)
{
    VEC_FOREACH(d, &p->spec->disks)
        if (!agent_made(d) && !d->source)
            return false;
    return true;
}

static int prepare(struct pass *p)
{
    p->step = "disks";
    if (!p->j->disks) {
        p->full = (struct server_spec *)(uintptr_t)p->spec;
        return 0;
    }
    if (on(p))
        return disk_store_resolve(p->j->disks, p->spec, p->a, &p->full);
    return disk_store_prepare(p->j->disks, p->spec, p->a, &p->full, &p->fault);
}

static int define(struct pass *p)
{
    p->step = "define";
    if (p->domain.state != DOMAIN_ABSENT &&
        str_eq(p->domain.fingerprint, hypervisor_fingerprint(p->full, p->a)))
        return 0;
    return p->class->define(p->hv, p->full, &p->fault);
}

/* The devices of its ports must be there before the guest starts. */
static bool ports_ready(struct pass *p)
{
    VEC_FOREACH(nic, &p->spec->nics) {
        const char *reason = NULL;
        if (!network_port_wired(p->j->agent, nic->port_id, p->a, &reason)) {
            log_debug("waits for a port", KV("server", p->spec->id), KV("port", nic->port_id),
                      KV("reason", str_or(reason, "not looked at yet")));
            return false;
        }
    }
    return true;
}

/* ---- devices of a guest that runs ---- */

static int plug_disks(struct pass *p)
{
    p->step = "disks";
    VEC_FOREACH(d, &p->full->disks) {
        bool there = false;
        VEC_FOREACH(have, &p->domain.disks)
            there |= str_eq(have->id, d->id);
        if (there || agent_made(d))
            continue;
        if (!d->source) {
            p->again = true;        /* the volume's place is not known here yet */
            continue;
        }
        const char *device;
        int r = p->class->attach_disk(p->hv, p->spec->id, d, p->a, &device, &p->fault);
        if (r)
            return r;
    }
    VEC_FOREACH(have, &p->domain.disks) {
        bool wanted = !have->id;
        VEC_FOREACH(d, &p->full->disks)
            wanted |= str_eq(have->id, d->id);
        if (wanted)
            continue;
        int r = p->class->detach_disk(p->hv, p->spec->id, have->id, &p->fault);
        if (r == FAULT && p->fault.status == 409)
            p->again = true;        /* the guest has not let go yet */
        else if (r)
            return r;
    }
    return 0;
}

static int plug_nics(struct pass *p)
{
    p->step = "network";
    VEC_FOREACH(nic, &p->spec->nics) {
        bool there = false;
        VEC_FOREACH(have, &p->domain.nics)
            there |= str_eq(have->mac, nic->mac);
        if (there)
            continue;
        if (!network_port_wired(p->j->agent, nic->port_id, p->a, NULL)) {
            p->again = true;
            continue;
        }
        int r = p->class->attach_nic(p->hv, p->spec->id, nic, &p->fault);
        if (r)
            return r;
    }
    VEC_FOREACH(have, &p->domain.nics) {
        bool wanted = false;
        VEC_FOREACH(nic, &p->spec->nics)
            wanted |= str_eq(have->mac, nic->mac);
        if (wanted)
            continue;
        int r = p->class->detach_nic(p->hv, p->spec->id, have->mac, &p->fault);
        if (r == FAULT && p->fault.status == 409)
            p->again = true;
        else if (r)
            return r;
    }
    return 0;
}

/* ---- power ---- */

static usec_t stop_time(const struct pass *p)
{
    int64_t seconds = p->spec->stop_timeout;
    if (seconds == INT_NULL)
        seconds = agent_config(p->j->agent)->stop_seconds;
    return SECONDS(seconds);
}

static int start(struct pass *p)
{
    p->step = "start";
    if (p->domain.state != DOMAIN_PAUSED && !ports_ready(p)) {
        p->step = "network";
        p->again = true;
        return 0;
    }
    int r = p->domain.state == DOMAIN_PAUSED ? p->class->resume(p->hv, p->spec->id, &p->fault)
                                             : p->class->start(p->hv, p->spec->id, &p->fault);
    if (r == 0 && !p->done.launched_at)
        p->done.launched_at = clock_wall();
    return r;
}

static int bring_to(struct pass *p, const char *power)
{
    const char *id = p->spec->id;
    int r = 0;
    if (STREQ(power, POWER_SHUTOFF)) {
        p->step = "stop";
        return p->class->stop(p->hv, id, p->domain.state == DOMAIN_RUNNING ? stop_time(p) : 0);
    }
    if (STREQ(power, POWER_RUNNING))
        return p->domain.state == DOMAIN_RUNNING ? 0 : start(p);
    if (STREQ(power, POWER_SUSPENDED)) {
        p->step = "suspend";
        return p->domain.state == DOMAIN_SUSPENDED || !on(p) ? 0 : HYPERVISOR_CALL(p->hv, suspend, &p->fault, id);
    }
    if (!on(p))
        r = start(p);
    p->step = "pause";
    return r || p->again ? r : HYPERVISOR_CALL(p->hv, pause, &p->fault, id);
}

/* Only an order moves a guest. One that stands otherwise than the last order left it was moved
 * by somebody (itself, an operator): that is told, not undone; but after the host was down its
 * guests come back. */
static int power(struct pass *p, bool restart)
{
    const char *wanted = str_or(p->spec->power, POWER_RUNNING);
    bool same_run = str_eq(p->done.boot_id, p->j->boot_id);
    if (!restart && same_run && str_eq(p->done.power, wanted))
        return 0;
    int r = bring_to(p, wanted);
    if (r || p->again)
        return r;
    p->done.power = wanted;
    p->done.boot_id = p->j->boot_id;
    p->dirty = true;
    return look(p);             /* what follows must know whether it runs */
}

/* ---- orders that are counted ---- */

/* Those that need the guest off: it is started again by power(). */
static int restarts(struct pass *p, bool *ret_restart)
{
    const struct server_spec *s = p->spec;
    bool rebuild = s->rebuild > p->done.rebuild, hard = s->reboot_hard > p->done.reboot_hard;
    bool resize = s->resize > p->done.resize, rescue = s->rescue != p->done.rescue;
    *ret_restart = rebuild || hard || resize || rescue;
    if (!*ret_restart || p->domain.state == DOMAIN_ABSENT)
        return 0;
    p->step = "stop";
    int r = p->class->stop(p->hv, s->id, rebuild || hard ? 0 : stop_time(p));
    return r ? r : look(p);
}

static void note_restarts(struct pass *p)
{
    p->done.rebuild = p->spec->rebuild;
    p->done.reboot_hard = p->spec->reboot_hard;
    p->done.resize = p->spec->resize;
    p->done.rescue = p->spec->rescue;
    p->dirty = true;
}

static int soft_reboot(struct pass *p)
{
    p->step = "reboot";
    struct fault deaf = { 0 };
    int r = p->class->reboot(p->hv, p->spec->id, &deaf);
    if (r == FAULT) {
        /* The guest can't hear: pull the plug, as Nova does. */
        r = p->class->stop(p->hv, p->spec->id, 0);
        if (r == 0)
            r = look(p);
        if (r == 0)
            r = start(p);
    }
    return r;
}

static int live_orders(struct pass *p)
{
    const struct server_spec *s = p->spec;
    int r = 0;
    if (s->reboot_soft > p->done.reboot_soft) {
        r = p->domain.state == DOMAIN_RUNNING ? soft_reboot(p) : 0;
        if (r || p->again)
            return r;
        p->done.reboot_soft = s->reboot_soft;
        p->dirty = true;
    }
    if (s->password > p->done.password) {
        p->step = "password";
        r = HYPERVISOR_CALL(p->hv, set_password, &p->fault, s->id, "root", str_or(s->admin_password, ""));
        p->done.password = s->password;     /* tried once: a guest without its agent will not learn it */
        p->dirty = true;
        if (r)
            return r;
    }
    if (s->nmi > p->done.nmi) {
        p->step = "nmi";
        r = HYPERVISOR_CALL(p->hv, inject_nmi, &p->fault, s->id);
        p->done.nmi = s->nmi;
        p->dirty = true;
    }
    return r;
}

/* ---- snapshots ---- */

static ssize_t read_fd(void *arg, char *out, size_t max)
{
    ssize_t n = read(*(int *)arg, out, max);
    return n < 0 ? -errno : n;
}

static int upload(struct pass *p, const char *path, const char *image_id, int64_t *ret_size)
{
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    const char *base;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    int r = agent_client(p->j->agent, HOURS(4), &client, &base);
    if (r < 0)
        return r;
    _cleanup_(buf_done) struct buf answer = BUF_MAX(65536);
    struct http_call call = {
        .method = "PUT", .into = &answer, .read = read_fd, .arg = &fd, .body_length = st.st_size,
        .url = arena_printf(p->a, "%s/agent/v1/images/%s/file?host=%s", base, image_id, agent_host(p->j->agent)),
    };
    strmap_set(p->a, &call.headers, "Content-Type", "application/octet-stream");
    struct http_reply reply = { 0 };
    r = http_client_call(client, &call, p->a, &reply);
    if (r == 0 && reply.status >= 300)
        r = fault_set(&p->fault, reply.status, "ImageUpload", "The image service refused the snapshot (%d).",
                      reply.status);
    *ret_size = st.st_size;
    return r;
}

/* A simulated guest's disk is empty; its copy is a real image all the same. */
static int snapshot_simulated(struct pass *p, const struct server_snapshot *s, int64_t *ret_size)
{
    const char *path = s->target_path ? s->target_path :
                       arena_printf(p->a, "%s/snapshot-%s", p->j->state_dir, s->id);
    if (!path)
        return -ENOMEM;
    int r = qemu_img_create(path, str_or(s->format, "qcow2"), 1 << 20, NULL, NULL, &p->fault);
    if (r == 0 && s->image_id)
        r = upload(p, path, s->image_id, ret_size);
    if (!s->target_path)
        (void)unlink(path);
    return r;
}

static int snapshot(struct pass *p, const struct server_snapshot *s, int64_t *ret_size)
{
    if (!p->j->disks)
        return snapshot_simulated(p, s, ret_size);
    const struct server_disk *disk = server_spec_disk(p->full, s->disk_id);
    if (!disk)
        return fault_set(&p->fault, 404, "DiskNotFound", "The server has no disk %s.", str_or(s->disk_id, ""));
    const char *path = s->target_path ? s->target_path : disk_store_scratch(p->j->disks, s->id, p->a);
    const char *format = str_or(s->format, "qcow2");
    if (!path)
        return -ENOMEM;
    int r = on(p) ? HYPERVISOR_CALL(p->hv, snapshot_disk, &p->fault, p->spec->id, s->disk_id, path, format, s->quiesce,
                                    NULL, NULL)
                  : disk_store_snapshot(p->j->disks, disk, path, format, &p->fault);
    if (r == 0 && s->image_id) {
        r = upload(p, path, s->image_id, ret_size);
        (void)unlink(path);
    }
    return r;
}

static int snapshots(struct pass *p)
{
    /* What is no longer asked for has been heard. */
    for (size_t i = p->done.tasks.n; i-- > 0; ) {
        bool wanted = false;
        VEC_FOREACH(s, &p->spec->snapshots)
            wanted |= str_eq(s->id, p->done.tasks.v[i].id);
        if (!wanted) {
            vec_remove(&p->done.tasks, i);
            p->dirty = true;
        }
    }
    VEC_FOREACH(s, &p->spec->snapshots) {
        bool ended = false;
        VEC_FOREACH(t, &p->done.tasks)
            ended |= str_eq(t->id, s->id);
        if (ended)
            continue;
        p->step = "snapshot";
        int64_t size = 0;
        int r = snapshot(p, s, &size);
        if (r == -ENOTCONN || r == -ENOMEM || r == -ECONNREFUSED)
            return r;       /* later */
        struct observed_task *t = vec_add(p->a, &p->done.tasks);
        if (!t)
            return -ENOMEM;
        *t = (struct observed_task){ .id = s->id, .kind = "snapshot", .state = r ? "failed" : "done",
                                     .progress = 100, .size_bytes = size };
        if (r)
            t->message = arena_strdup(p->a, r == FAULT ? p->fault.message : strerror(-r));
        p->dirty = true;
    }
    return 0;
}

/* ---- the pass ---- */

static int converge(struct pass *p)
{
    const struct server_spec *s = p->spec;
    bool restart = false;
    if (s->deleted || s->offloaded) {
        int r = vanish(p);
        return r ? r : look(p);
    }
    if (!p->known) {
        /* A new server has no orders behind it; one whose file is lost has had them all. */
        p->done = (struct server_done){ .reboot_soft = s->reboot_soft, .reboot_hard = s->reboot_hard,
                                        .rebuild = s->rebuild, .password = s->password, .nmi = s->nmi,
                                        .resize = s->resize, .rescue = s->rescue };
        if (p->domain.state == DOMAIN_RUNNING) {
            p->done.power = POWER_RUNNING;
            p->done.boot_id = p->j->boot_id;
        }
    }
    int r = restarts(p, &restart);
    if (r == 0 && !on(p) && !volumes_ready(p)) {
        p->step = "volumes";
        p->again = true;
        return 0;
    }
    if (r == 0)
        r = prepare(p);
    if (r == 0 && !on(p))
        r = define(p);
    if (r == 0 && on(p))
        r = plug_disks(p);
    if (r == 0 && on(p))
        r = plug_nics(p);
    if (r == 0)
        r = look(p);
    if (r == 0)
        r = power(p, restart);
    if (r == 0 && !p->again && restart)
        note_restarts(p);
    if (r == 0 && !p->again)
        r = live_orders(p);
    if (r == 0 && !p->again)
        r = snapshots(p);
    if (r == 0)
        p->step = p->again ? p->step : NULL;
    return r;
}

void server_job_run(const struct server_job *j, const struct desired *d, const char *id, bool *ret_again)
{
    *ret_again = false;
    const struct server_spec *spec = desired_server(d, id);
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    if (!spec || !a)
        return;
    struct pass p = { .j = j, .a = a, .hv = agent_hypervisor(j->agent), .spec = spec };
    p.class = p.hv->class;
    int r = server_state_load(j->state_dir, id, a, &p.done, &p.known);
    if (r == 0)
        r = look(&p);
    if (r == 0)
        r = converge(&p);
    bool gone = r == 0 && (spec->deleted || spec->offloaded);
    if ((p.dirty || !p.known) && !gone && p.done.power) {
        int saved = save(&p);
        r = r ? r : saved;
    }
    /* the last look says where it stands, whatever happened on the way */
    if (look(&p) == 0)
        report(&p, r);
    *ret_again = p.again || r < 0 || (r == FAULT && p.fault.status >= 500);
}

int server_job_reap(const struct server_job *j, const char *id)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct hypervisor *hv = agent_hypervisor(j->agent);
    if (!a)
        return -ENOMEM;
    log_warning("removing a guest that the cloud does not know", KV("server", id));
    int r = hv->class->destroy(hv, id);
    if (r == 0 && j->disks)
        r = disk_store_remove(j->disks, id);
    if (r == 0)
        server_state_forget(j->state_dir, id, a);
    return r;
}
