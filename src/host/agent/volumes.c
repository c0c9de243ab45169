/*
 * The volumes part: a queue of items and workers that do them, one worker per item.
 *
 * An item is worked on when its spec is new or has changed, and again after a failure that may
 * pass. The backend's figures are told when they change and every half minute, which is its sign
 * of life.
 */
#include "base/log.h"
#include "host/agent/volume_job.h"
#include "host/disk/qemu_img.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <uthash.h>

LOG_MODULE("agent.volumes");

#define WORKERS 3
#define TRIES 4
#define RETRY_FIRST (100 * USEC_PER_MSEC)
#define RETRY_MAX SECONDS(5)
#define FACTS_EVERY SECONDS(20)
/* How long the clock sleeps; figures that changed are told within a second. */
#define CLAMP_WAIT(wait, soon) MAX(MIN((wait), (soon) ? SECONDS(1) : FACTS_EVERY), 10 * USEC_PER_MSEC)

struct item {
    char id[64];
    uint64_t digest;
    bool seen, queued, running;
    int tries;
    usec_t again_at, retry;
    struct item *next;
    UT_hash_handle hh;
};

struct volumes_part {
    struct agent *agent;
    struct volume_job job;
    struct arena *arena;
    pthread_mutex_t lock;
    pthread_cond_t work, tick;
    struct item *items, *head, **tail;
    pthread_t workers[WORKERS], clock;
    size_t n_workers;
    bool ticking, facts_wanted;
    _Atomic bool stopping;
};

/* ---- the queue; under the lock ---- */

static void enqueue(struct volumes_part *p, struct item *i)
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

static struct item *dequeue(struct volumes_part *p)
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

static void *worker_main(void *arg)
{
    struct volumes_part *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        struct item *i = dequeue(p);
        if (!i) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        char id[64];
        memcpy(id, i->id, sizeof(id));
        bool last = ++i->tries >= TRIES, again = false;
        i->running = true;
        pthread_mutex_unlock(&p->lock);
        _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
        volume_job_run(&p->job, d, id, last, &again);
        pthread_mutex_lock(&p->lock);
        i->running = false;
        if (again && !i->queued) {
            i->retry = i->retry ? MIN(i->retry * 2, RETRY_MAX) : RETRY_FIRST;
            i->again_at = clock_mono() + i->retry;
        }
        if (!again)
            p->facts_wanted = true;
        if (i->queued)
            pthread_cond_signal(&p->work);
        pthread_cond_signal(&p->tick);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- the backend's figures, and what is due again ---- */

static void report_facts(struct volumes_part *p)
{
    const struct agent_config *c = agent_config(p->agent);
    _cleanup_(buf_done) struct buf b = BUF_MAX(65536);
    struct json_out out = JSON_OUT(&b);
    const struct encode_options opt = { .stored = true };
    struct volume_usage u = { 0 };
    int r = p->job.driver->class->usage(p->job.driver, &u);
    if (r < 0) {
        log_warning("the volume backend can't be looked at", KV("error", strerror(-r)));
        return;
    }
    /* Every simulated guest reaches everything. */
    bool simulated = STREQ(agent_hypervisor(p->agent)->class->name, "simulated");
    if (simulated)
        u.total_bytes = u.free_bytes = c->sim_disk_gb << 30;
    struct volume_backend_facts f = {
        .name = c->volume_backend, .driver = p->job.driver->class->name, .protocol = "file", .shared = c->volume_shared || simulated,
        .total_bytes = u.total_bytes, .free_bytes = u.free_bytes, .provisioned_bytes = u.provisioned_bytes,
        .volumes = u.volumes, .snapshots = u.snapshots,
    };
    json_open_array(&out);
    schema_encode(&VOLUME_BACKEND_SCHEMA, &f, &opt, &out);
    json_close_array(&out);
    if (!buf_error(&b))
        agent_report_whole(p->agent, "volume_backends", buf_text(&b));
}

static void *clock_main(void *arg)
{
    struct volumes_part *p = arg;
    usec_t facts_at = 0;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        usec_t now = clock_mono(), next = facts_at;
        for (struct item *i = p->items; i; i = i->hh.next) {
            if (i->again_at && i->again_at <= now)
                enqueue(p, i);
            else if (i->again_at)
                next = MIN(next, i->again_at);
        }
        if (now >= facts_at || (p->facts_wanted && now >= facts_at - FACTS_EVERY + SECONDS(1))) {
            p->facts_wanted = false;
            pthread_mutex_unlock(&p->lock);
            report_facts(p);
            pthread_mutex_lock(&p->lock);
            facts_at = clock_mono() + FACTS_EVERY;
            continue;
        }
        struct timespec ts;
        (void)clock_gettime(CLOCK_REALTIME, &ts);
        usec_t until = (usec_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + CLAMP_WAIT(next - now, p->facts_wanted);
        ts = (struct timespec){ until / 1000000, until % 1000000 * 1000 };
        (void)pthread_cond_timedwait(&p->tick, &p->lock, &ts);
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

static void volumes_wanted(void *state)
{
    struct volumes_part *p = state;
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)256 << 20);
    _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
    if (!a || !d)
        return;
    json_t *list = json_object_get(d->tree, "volumes");
    pthread_mutex_lock(&p->lock);
    for (struct item *i = p->items; i; i = i->hh.next)
        i->seen = false;
    for (size_t n = 0; n < d->volumes.n; n++) {
        const char *id = d->volumes.v[n].id, *text = json_text(a, json_array_get(list, n));
        struct item *i;
        if (!id || !text || strlen(id) >= sizeof(i->id))
            continue;
        HASH_FIND_STR(p->items, id, i);
        bool fresh = !i;
        if (!i && (i = calloc(1, sizeof(*i)))) {
            (void)snprintf(i->id, sizeof(i->id), "%s", id);
            HASH_ADD_STR(p->items, id, i);
        }
        if (!i)
            continue;
        i->seen = true;
        uint64_t digest = hash_text(text);
        if (!fresh && digest == i->digest) {
            if (i->again_at)
                enqueue(p, i);      /* what it waits for may have changed */
            continue;
        }
        i->digest = digest;
        i->tries = 0;
        i->retry = 0;
        enqueue(p, i);
    }
    struct item *i, *next;
    HASH_ITER(hh, p->items, i, next) {
        if (i->seen || i->queued || i->running)
            continue;
        HASH_DEL(p->items, i);
        free(i);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- life ---- */

static void volumes_stop(void *state)
{
    struct volumes_part *p = state;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_cond_broadcast(&p->tick);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->n_workers; i++)
        (void)pthread_join(p->workers[i], NULL);
    if (p->ticking)
        (void)pthread_join(p->clock, NULL);
    struct item *i, *next;
    HASH_ITER(hh, p->items, i, next) {
        HASH_DEL(p->items, i);
        free(i);
    }
    volume_driver_close(p->job.driver);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->tick);
    arena_free(p->arena);
    free(p);
}

static int open_backend(struct volumes_part *p)
{
    const struct agent_config *c = agent_config(p->agent);
    const struct volume_driver_class *class = volume_driver_find(c->volume_driver);
    bool simulated = STREQ(agent_hypervisor(p->agent)->class->name, "simulated");
    if (!class) {
        log_error("there is no such volume driver", KV("driver", c->volume_driver));
        return -EINVAL;
    }
    /* Simulated hosts keep sparse files, so that whatever reads and writes volumes is real. */
    struct volume_driver_config config = {
        .name = c->volume_backend, .format = simulated ? "raw" : c->volume_format,
        .path = c->volume_path ? c->volume_path : arena_printf(p->arena, "%s/volumes", c->state_dir),
    };
    p->job.backup_dir = c->backup_dir ? c->backup_dir : arena_printf(p->arena, "%s/backups", c->state_dir);
    struct fault fault = { 0 };
    int r = p->job.backup_dir ? dir_make(p->job.backup_dir, 0700) : -ENOMEM;
    r = r ? r : class->open(&config, &p->job.driver, &fault);
    if (r == FAULT) {
        log_error("the volume backend can't be used", KV("reason", fault.message));
        return -EINVAL;
    }
    return r || !class->clean ? r : class->clean(p->job.driver);
}

static int volumes_start(struct agent *a, void **ret)
{
    struct volumes_part *p = calloc(1, sizeof(*p));
    if (!p || !(p->arena = arena_new(0))) {
        free(p);
        return -ENOMEM;
    }
    p->agent = p->job.agent = a;
    p->tail = &p->head;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->tick, NULL);
    int r = open_backend(p);
    while (r == 0 && p->n_workers < WORKERS) {
        r = -pthread_create(&p->workers[p->n_workers], NULL, worker_main, p);
        if (r == 0)
            (void)pthread_setname_np(p->workers[p->n_workers++], "volume");
    }
    if (r == 0) {
        r = -pthread_create(&p->clock, NULL, clock_main, p);
        p->ticking = r == 0;
    }
    if (r < 0) {
        volumes_stop(p);
        return r;
    }
    *ret = p;
    return 0;
}

const struct agent_part PART_VOLUMES = { "volumes", volumes_start, volumes_wanted, volumes_stop };
