/*
 * Hosts: what they told of themselves, whether they are up, how much of them is taken.
 *
 * A host lives while it talks: each poll and each report is a sign of life, kept in memory. The
 * stored time is written seldom and only bridges a restart of this process, after which hosts
 * get as long as usual to be heard of. Free memory, load and the like change all the time and are
 * not worth a write each; they go along when something that counts has changed or the record is
 * half a minute old.
 */
#include "compute/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <uthash.h>

LOG_MODULE("compute.hosts");

#define FACTS_EVERY SECONDS(30)
#define ZONE_DEFAULT "nova"

struct seen {
    char name[64];
    usec_t at;
    UT_hash_handle hh;
};

struct compute_state {
    pthread_mutex_t lock;
    struct seen *seen;
    usec_t started;
    struct scheduler *scheduler;    /* of the scheduler's thread alone */
};

struct compute_state *compute_state_new(void)
{
    struct compute_state *st = calloc(1, sizeof(*st));
    if (!st)
        return NULL;
    pthread_mutex_init(&st->lock, NULL);
    st->started = clock_wall();
    return st;
}

void compute_state_free(struct compute_state *st)
{
    if (!st)
        return;
    struct seen *s, *next;
    HASH_ITER(hh, st->seen, s, next) {
        HASH_DEL(st->seen, s);
        free(s);
    }
    scheduler_free(st->scheduler);
    pthread_mutex_destroy(&st->lock);
    free(st);
}

struct compute_state *compute_state(struct api *api)
{
    return api_state(api, &COMPUTE_SERVICE);
}

struct scheduler **compute_scheduler_slot(struct api *api)
{
    return &compute_state(api)->scheduler;
}

void host_seen(struct api *api, const char *host)
{
    struct compute_state *st = compute_state(api);
    if (!st || strlen(host) >= sizeof(((struct seen *)0)->name))
        return;
    pthread_mutex_lock(&st->lock);
    struct seen *s;
    HASH_FIND_STR(st->seen, host, s);
    if (!s && (s = calloc(1, sizeof(*s)))) {
        (void)snprintf(s->name, sizeof(s->name), "%s", host);
        HASH_ADD_STR(st->seen, name, s);
    }
    if (s)
        s->at = clock_wall();
    pthread_mutex_unlock(&st->lock);
}

usec_t host_last_seen(struct api *api, const struct compute_host *h)
{
    struct compute_state *st = compute_state(api);
    usec_t at = h->last_seen;
    if (!st)
        return at;
    /* Who was alive before we began gets time to speak again. */
    if (at + HOST_DOWN_AFTER >= st->started)
        at = MAX(at, st->started);
    pthread_mutex_lock(&st->lock);
    struct seen *s;
    HASH_FIND_STR(st->seen, h->head.id, s);
    if (s)
        at = MAX(at, s->at);
    pthread_mutex_unlock(&st->lock);
    return at;
}

bool host_up(struct api *api, const struct compute_host *h)
{
    return !h->forced_down && host_last_seen(api, h) + HOST_DOWN_AFTER > clock_wall();
}

/* ---- zones ---- */

int host_zone(struct txn *t, const char *host, const char **ret)
{
    struct query q = { .kind = &AGGREGATE_KIND };
    query_where(&q, txn_arena(t), "hosts", Q_KEY, host);
    struct results l;
    int r = txn_list(t, &q, &l);
    if (r < 0)
        return r;
    *ret = ZONE_DEFAULT;
    for (size_t i = 0; i < l.n; i++) {
        const char *zone = strmap_get(&((struct aggregate *)l.v[i])->metadata, "availability_zone");
        if (zone)
            *ret = zone;
    }
    return 0;
}

/* ---- how much is taken ---- */

static int add_claims(struct txn *t, const struct kind *kind, const char *host, struct host_usage *u)
{
    struct query q = { .kind = kind };
    query_where(&q, txn_arena(t), "host", Q_EQ, host);
    int64_t vcpus, memory, disk;
    int r = txn_sum(t, &q, "claim_vcpus", &vcpus);
    r = r < 0 ? r : txn_sum(t, &q, "claim_memory_mb", &memory);
    r = r < 0 ? r : txn_sum(t, &q, "claim_disk_gb", &disk);
    if (r < 0)
        return error_trace(r);
    u->vcpus += vcpus;
    u->memory_mb += memory;
    u->disk_gb += disk;
    return 0;
}

int host_usage_count(struct txn *t, const char *host, struct host_usage *ret)
{
    struct host_usage u = { 0 };
    int r = add_claims(t, &SERVER_KIND, host, &u);
    r = r < 0 ? r : add_claims(t, &LEG_KIND, host, &u);
    if (r < 0)
        return r;
    struct query q = { .kind = &SERVER_KIND };
    query_where(&q, txn_arena(t), "host", Q_EQ, host);
    uint64_t n;
    r = txn_count(t, &q, &n);
    u.servers = (int64_t)n;
    *ret = u;
    return r;
}

struct host_usage host_capacity(const struct compute_host *h)
{
    const struct host_facts *f = h->facts;
    if (!f)
        return (struct host_usage){ 0 };
    double cpu = h->cpu_ratio > 0 ? h->cpu_ratio : 16.0, ram = h->ram_ratio > 0 ? h->ram_ratio : 1.5;
    double disk = h->disk_ratio > 0 ? h->disk_ratio : 1.0;
    return (struct host_usage){
        .vcpus = (int64_t)((double)(f->vcpus - h->reserved_vcpus) * cpu),
        .memory_mb = (int64_t)((double)(f->memory_mb - h->reserved_memory_mb) * ram),
        .disk_gb = (int64_t)((double)(f->disk_gb - h->reserved_disk_gb) * disk),
    };
}

/* ---- what hosts say of themselves ---- */

/* Equal but for what changes all the time. */
static bool same_facts(const struct host_facts *a, const struct host_facts *b)
{
    if (!a || !b)
        return a == b;
    struct host_facts x = *a, y = *b;
    x.memory_free_mb = y.memory_free_mb = x.disk_free_gb = y.disk_free_gb = 0;
    x.disk_used_gb = y.disk_used_gb = x.running = y.running = x.load_milli = y.load_milli = 0;
    x.uptime = y.uptime = 0;
    return schema_equal(&HOST_FACTS_SCHEMA, &x, &y);
}

struct facts_job {
    struct arena *a;
    const char *host;
    struct host_facts *facts;
};

static int facts_write(struct txn *t, void *arg)
{
    struct facts_job *job = arg;
    struct compute_host *h;
    usec_t now = clock_wall();
    int r = txn_get(t, &COMPUTE_HOST_KIND, job->host, &h);
    if (r < 0)
        return r;
    if (!h) {
        h = ARENA_NEW(job->a, struct compute_host);
        if (!h)
            return -ENOMEM;
        *h = (struct compute_host){ .head.id = job->host, .service_id = uuid_new(job->a),
                                    .node_id = uuid_new(job->a), .created_at = now };
        r = sequence_next(t, "host", &h->number);
        if (r < 0)
            return r;
        log_info("new host", KV("host", job->host), KV("vcpus", job->facts->vcpus),
                 KV("memory_mb", job->facts->memory_mb), KV("accel", job->facts->accel));
    }
    h->facts = job->facts;
    h->last_seen = h->updated_at = now;
    return txn_put(t, &COMPUTE_HOST_KIND, h);
}

static int facts_observed(struct api *api, struct arena *a, const char *host, const json_t *value)
{
    host_seen(api, host);
    struct facts_job job = { a, host, ARENA_NEW(a, struct host_facts) };
    if (!job.facts)
        return -ENOMEM;
    struct decode_error e;
    int r = schema_decode(&HOST_FACTS_SCHEMA, value, DECODE_STORED, 0, a, job.facts, NULL, &e);
    if (r)
        return r < 0 ? r : -EBADMSG;
    struct txn *t;
    r = store_read(api_store(api), a, &t);
    if (r < 0)
        return r;
    struct compute_host *h;
    r = txn_get(t, &COMPUTE_HOST_KIND, host, &h);
    txn_done(t);
    if (r < 0)
        return r;
    if (h && same_facts(h->facts, job.facts) && h->last_seen + FACTS_EVERY > clock_wall())
        return 0;
    return store_write(api_store(api), a, facts_write, &job);
}

static int facts_desired(struct api *api, struct txn *t, const char *host, struct json_out *o)
{
    (void)t;
    host_seen(api, host);
    json_open_object(o);
    json_close_object(o);
    return 0;
}

static const struct kind *const FACTS_KINDS[] = { NULL };
const struct agent_section HOST_SECTION = {
    .name = "host", .kinds = FACTS_KINDS, .desired = facts_desired, .observed = facts_observed,
};
