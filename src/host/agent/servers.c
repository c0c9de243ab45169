/*
 * The servers part: a queue of servers to look at and workers that do, one worker per server.
 *
 * A server is looked at when its spec has changed, when its domain had an event, when it waits
 * for something, and now and then. What is on the host without a spec is left alone for a while
 * (the cloud may be restored from an older copy) and then removed.
 */
#include "base/log.h"
#include "host/agent/server_job.h"
#include "host/disk/qemu_img.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <uthash.h>

LOG_MODULE("agent.servers");

#define SWEEP SECONDS(10)
#define RETRY_FIRST (200 * USEC_PER_MSEC)
#define RETRY_MAX SECONDS(10)

struct item {
    char id[64];
    char digest[48];                /* of the spec that was looked at last */
    bool queued, running, spec_seen;
    usec_t again_at, retry;         /* monotonic; 0: not */
    usec_t orphan_since;            /* monotonic; 0: it has a spec */
    struct item *next;              /* in the queue */
    UT_hash_handle hh;
};

struct servers_part {
    struct agent *agent;
    struct server_job job;
    struct disk_store *store;       /* job.disks, or of simulated hosts the image cache alone */
    struct arena *arena;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct item *items, *head, **tail;
    pthread_t *workers, sweeper;
    size_t n_workers;
    bool sweeping;
    _Atomic bool stopping;
};

/* ---- the queue; under the lock ---- */

static struct item *item_of(struct servers_part *p, const char *id)
{
    struct item *i;
    HASH_FIND_STR(p->items, id, i);
    if (i)
        return i;
    i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    (void)snprintf(i->id, sizeof(i->id), "%s", id);
    HASH_ADD_STR(p->items, id, i);
    return i;
}

static void enqueue(struct servers_part *p, struct item *i)
{
    i->again_at = 0;
    if (i->queued)
        return;
    i->queued = true;
    i->next = NULL;
    *p->tail = i;
    p->tail = &i->next;
    pthread_cond_signal(&p->work);
}

/* The first that no other worker has in hand. */
static struct item *dequeue(struct servers_part *p)
{
    for (struct item **at = &p->head; *at; at = &(*at)->next) {
        struct item *i = *at;
        if (i->running)
            continue;
        *at = i->next;
        if (p->tail == &i->next)
            p->tail = at;
        i->queued = false;
        return i;
    }
    return NULL;
}

void servers_look(struct agent *a, const char *server_id)
{
    struct servers_part *p = agent_part_state(a, &PART_SERVERS);
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    if (server_id) {
        struct item *i;
        HASH_FIND_STR(p->items, server_id, i);
        if (i)
            enqueue(p, i);
    } else {
        /* something that servers wait for may have come */
        for (struct item *i = p->items; i; i = i->hh.next)
            if (i->again_at)
                enqueue(p, i);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- workers ---- */

static void work(struct servers_part *p, struct item *i)
{
    char id[64];
    memcpy(id, i->id, sizeof(id));
    pthread_mutex_unlock(&p->lock);
    _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
    bool again = false;
    server_job_run(&p->job, d, id, &again);
    pthread_mutex_lock(&p->lock);
    i->running = false;
    if (again) {
        i->retry = i->retry ? MIN(i->retry * 2, RETRY_MAX) : RETRY_FIRST;
        if (!i->queued)
            i->again_at = clock_mono() + i->retry;
    } else {
        i->retry = 0;
    }
    if (i->queued)
        pthread_cond_signal(&p->work);
}

static void *worker_main(void *arg)
{
    struct servers_part *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        struct item *i = dequeue(p);
        if (!i) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        i->running = true;
        work(p, i);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- the sweeper: what is due again, and what nobody wants ---- */

static void note_unknown(struct servers_part *p, const struct desired *d, const char *id)
{
    struct item *i = item_of(p, id);
    if (!i || i->running)
        return;
    if (desired_server(d, id)) {
        i->orphan_since = 0;
        return;
    }
    usec_t now = clock_mono();
    if (!i->orphan_since)
        i->orphan_since = now;
    if (now - i->orphan_since < SECONDS(agent_config(p->agent)->orphan_seconds))
        return;
    i->running = true;
    pthread_mutex_unlock(&p->lock);
    int r = server_job_reap(&p->job, id);
    pthread_mutex_lock(&p->lock);
    i->running = false;
    if (r == 0)
        i->orphan_since = 0;
}

static void sweep(struct servers_part *p)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
    struct hypervisor *hv = agent_hypervisor(p->agent);
    struct domain_list domains = { 0 };
    struct strv disks = { 0 };
    if (!a || !d || hv->class->list(hv, a, &domains) < 0)
        return;
    if (p->job.disks && disk_store_list(p->job.disks, a, &disks) < 0)
        return;
    pthread_mutex_lock(&p->lock);
    VEC_FOREACH(domain, &domains)
        note_unknown(p, d, domain->id);
    VEC_FOREACH(id, &disks)
        note_unknown(p, d, *id);
    pthread_mutex_unlock(&p->lock);
    if (p->job.disks)
        (void)disk_store_prune(p->job.disks, SECONDS(agent_config(p->agent)->image_keep_seconds));
}

static void *sweeper_main(void *arg)
{
    struct servers_part *p = arg;
    usec_t next_sweep = clock_mono() + SWEEP;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        usec_t now = clock_mono();
        for (struct item *i = p->items; i; i = i->hh.next)
            if (i->again_at && i->again_at <= now)
                enqueue(p, i);
        pthread_mutex_unlock(&p->lock);
        if (now >= next_sweep) {
            sweep(p);
            next_sweep = clock_mono() + SWEEP;
        }
        (void)usleep(50000);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- what is wanted ---- */

static uint64_t hash_text(const char *s)
{
    uint64_t h = 14695981039346656037u;     /* FNV-1a */
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

static void servers_wanted(void *state)
{
    struct servers_part *p = state;
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)256 << 20);
    _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
    if (!a || !d)
        return;
    json_t *list = json_object_get(d->tree, "servers");
    pthread_mutex_lock(&p->lock);
    for (size_t n = 0; n < d->servers.n; n++) {
        struct item *i = item_of(p, d->servers.v[n].id);
        const char *text = i ? json_text(a, json_array_get(list, n)) : NULL;
        if (!text)
            continue;
        char digest[48];
        (void)snprintf(digest, sizeof(digest), "%016llx-%zu", (unsigned long long)hash_text(text), strlen(text));
        i->orphan_since = 0;
        if (i->spec_seen && STREQ(i->digest, digest))
            continue;
        memcpy(i->digest, digest, sizeof(digest));
        i->spec_seen = true;
        i->retry = 0;
        enqueue(p, i);
    }
    /* the others may be forgotten once nothing of them is here */
    struct item *i, *next;
    HASH_ITER(hh, p->items, i, next) {
        if (desired_server(d, i->id))
            continue;
        i->spec_seen = false;
        i->digest[0] = 0;
        if (!i->queued && !i->running && !i->orphan_since) {
            HASH_DEL(p->items, i);
            free(i);
        }
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- images ---- */

static int write_fd(void *arg, const void *data, size_t n)
{
    const char *at = data;
    while (n) {
        ssize_t w = write(*(int *)arg, at, n);
        if (w < 0 && errno != EINTR)
            return -errno;
        if (w > 0) {
            at += w;
            n -= (size_t)w;
        }
    }
    return 0;
}

static int fetch_image(void *cookie, const struct server_image *image, int fd, struct fault *fault)
{
    struct servers_part *p = cookie;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    const char *base;
    int r = a ? agent_client(p->agent, HOURS(4), &client, &base) : -ENOMEM;
    if (r < 0)
        return r;
    struct http_call call = {
        .url = arena_printf(a, "%s/agent/v1/images/%s/file?host=%s", base, image->id, agent_host(p->agent)),
        .write = write_fd, .arg = &fd,
    };
    struct http_reply reply = { 0 };
    r = http_client_call(client, &call, a, &reply);
    if (r == 0 && reply.status != 200)
        r = fault_set(fault, reply.status == 404 ? 404 : 500, "ImageNotFound", "Image %s could not be fetched (%d).",
                      image->id, reply.status);
    return r;
}

/* ---- life ---- */

static const char *read_boot_id(struct arena *a)
{
    char text[64] = "";
    _cleanup_(closep) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    text[n > 0 ? strcspn(text, "\n") : 0] = 0;
    return arena_strdup(a, text);
}

static int open_disks(struct servers_part *p)
{
    const struct agent_config *c = agent_config(p->agent);
    struct disk_store_config config = { .dir = arena_printf(p->arena, "%s/disks", c->state_dir), .fetch = fetch_image,
                                        .cookie = p };
    struct fault fault = { 0 };
    int r = disk_store_open(&config, &p->store, &fault);
    if (r == FAULT) {
        log_error("the disk folder can't be used", KV("reason", fault.message));
        return -EINVAL;
    }
    if (!STREQ(agent_hypervisor(p->agent)->class->name, "simulated"))
        p->job.disks = p->store;
    return r ? r : disk_store_clean(p->store);
}

static void servers_stop(void *state)
{
    struct servers_part *p = state;
    p->stopping = true;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->n_workers; i++)
        (void)pthread_join(p->workers[i], NULL);
    if (p->sweeping)
        (void)pthread_join(p->sweeper, NULL);
    struct item *i, *next;
    HASH_ITER(hh, p->items, i, next) {
        HASH_DEL(p->items, i);
        free(i);
    }
    disk_store_close(p->store);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    free(p->workers);
    arena_free(p->arena);
    free(p);
}

static int servers_start(struct agent *a, void **ret)
{
    struct servers_part *p = calloc(1, sizeof(*p));
    if (!p || !(p->arena = arena_new(0))) {
        free(p);
        return -ENOMEM;
    }
    p->agent = a;
    p->tail = &p->head;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->job = (struct server_job){
        .agent = a, .state_dir = arena_printf(p->arena, "%s/servers", agent_config(a)->state_dir),
        .boot_id = read_boot_id(p->arena),
    };
    int r = dir_make(p->job.state_dir, 0750);
    if (r == 0)
        r = open_disks(p);
    p->workers = calloc((size_t)agent_config(a)->workers, sizeof(*p->workers));
    if (!p->workers)
        r = -ENOMEM;
    while (r == 0 && p->n_workers < (size_t)agent_config(a)->workers) {
        r = -pthread_create(&p->workers[p->n_workers], NULL, worker_main, p);
        if (r == 0)
            (void)pthread_setname_np(p->workers[p->n_workers++], "server");
    }
    if (r == 0) {
        r = -pthread_create(&p->sweeper, NULL, sweeper_main, p);
        p->sweeping = r == 0;
    }
    if (r < 0) {
        servers_stop(p);
        return r;
    }
    *ret = p;
    return 0;
}

struct disk_store *servers_disk_store(struct agent *a)
{
    struct servers_part *p = agent_part_state(a, &PART_SERVERS);
    return p ? p->store : NULL;
}

const struct agent_part PART_SERVERS = { "servers", servers_start, servers_wanted, servers_stop };
