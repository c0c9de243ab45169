/*
 * The scheduler: a host for each server that has none.
 *
 * It keeps all hosts in memory, with what is taken of each, and follows the changes. That table
 * is only a guess, quick to ask: the claim is made in the transaction that places the server,
 * which counts again what is taken of the one chosen host. So two placements can't both win the
 * last slot, and a stale table costs another round, never a wrong placement.
 *
 * Servers that wait together are placed together, many in one transaction.
 */
#include "base/counter.h"
#include "compute/scheduler.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

LOG_MODULE("compute.scheduler");
COUNTER(placed_total, "compute_servers_placed_total", "Servers given a host.");
COUNTER(no_valid_host, "compute_no_valid_host_total", "Servers that no host could take.");
COUNTER(claim_lost, "compute_claims_lost_total", "Claims refused by the transaction and tried again.");
COUNTER(select_max, "compute_schedule_max_microseconds", "The longest choice of a host so far.");

#define BATCH 64
#define ROUNDS 8

struct scheduler {
    struct sched_host *hosts;
    struct arena *zones;            /* of zones and aggregates */
    bool loaded, zones_dirty;
    unsigned turn;                  /* equal hosts take turns */
};

/* ---- the table ---- */

static void host_drop(struct scheduler *s, struct sched_host *h)
{
    HASH_DEL(s->hosts, h);
    arena_free(h->arena);
    free(h);
}

void scheduler_free(struct scheduler *s)
{
    if (!s)
        return;
    struct sched_host *h, *next;
    HASH_ITER(hh, s->hosts, h, next)
        host_drop(s, h);
    arena_free(s->zones);
    free(s);
}

static struct scheduler *scheduler_of(struct api *api)
{
    struct scheduler **slot = compute_scheduler_slot(api);
    if (!*slot) {
        *slot = calloc(1, sizeof(**slot));
        if (*slot && !((*slot)->zones = arena_new(0))) {
            free(*slot);
            *slot = NULL;
        }
    }
    return *slot;
}

static int host_store(struct scheduler *s, const struct compute_host *record)
{
    struct sched_host *h;
    if (strlen(record->head.id) >= sizeof(h->name))
        return 0;
    HASH_FIND_STR(s->hosts, record->head.id, h);
    if (!h) {
        h = calloc(1, sizeof(*h));
        if (!h)
            return -ENOMEM;
        (void)snprintf(h->name, sizeof(h->name), "%s", record->head.id);
        HASH_ADD_STR(s->hosts, name, h);
        h->dirty = true;
        s->zones_dirty = true;
    }
    struct arena *a = arena_new(0);
    if (!a)
        return -ENOMEM;
    const struct compute_host *copy = schema_copy(COMPUTE_HOST_KIND.schema, record, a);
    if (!copy) {
        arena_free(a);
        return -ENOMEM;
    }
    arena_free(h->arena);
    h->arena = a;
    h->record = copy;
    h->capacity = host_capacity(copy);
    return 0;
}

static int hosts_load(struct scheduler *s, struct txn *t)
{
    struct query q = { .kind = &COMPUTE_HOST_KIND };
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = host_store(s, l.v[i]);
    if (r == 0)
        s->loaded = true;
    return r;
}

static int host_reload(struct scheduler *s, struct txn *t, const char *name)
{
    struct compute_host *record;
    struct sched_host *h;
    int r = txn_get(t, &COMPUTE_HOST_KIND, name, &record);
    if (r < 0)
        return r;
    if (record)
        return host_store(s, record);
    HASH_FIND_STR(s->hosts, name, h);
    if (h)
        host_drop(s, h);
    return 0;
}

static int zones_load(struct scheduler *s, struct txn *t)
{
    struct query q = { .kind = &AGGREGATE_KIND };
    struct results l;
    int r = txn_list(t, &q, &l);
    if (r < 0)
        return r;
    arena_reset(s->zones);
    struct sched_host *h, *next;
    HASH_ITER(hh, s->hosts, h, next) {
        h->zone = "nova";
        h->aggregates = (__typeof__(h->aggregates)){ 0 };
    }
    for (size_t i = 0; i < l.n; i++) {
        const struct aggregate *g = schema_copy(AGGREGATE_KIND.schema, l.v[i], s->zones);
        if (!g)
            return -ENOMEM;
        const char *zone = strmap_get(&g->metadata, "availability_zone");
        for (size_t k = 0; k < g->hosts.n; k++) {
            HASH_FIND_STR(s->hosts, g->hosts.v[k], h);
            if (!h)
                continue;
            if (zone)
                h->zone = zone;
            if (!vec_push(s->zones, &h->aggregates, &g->metadata))
                return -ENOMEM;
        }
    }
    s->zones_dirty = false;
    return 0;
}

static void mark_dirty(struct scheduler *s, const char *host)
{
    struct sched_host *h;
    if (!host || !*host)
        return;
    HASH_FIND_STR(s->hosts, host, h);
    if (h)
        h->dirty = true;
}

/* Counts what is taken where the table may be wrong; looks who is up. */
static int refresh(struct scheduler *s, struct api *api, struct txn *t)
{
    int r = s->zones_dirty ? zones_load(s, t) : 0;
    struct sched_host *h, *next;
    HASH_ITER(hh, s->hosts, h, next) {
        h->up = host_up(api, h->record);
        if (!h->dirty || r < 0)
            continue;
        r = host_usage_count(t, h->name, &h->used);
        h->dirty = r < 0;
    }
    return r;
}

/* ---- one choice ---- */

struct placement {
    const char *server_id, *group_id;
    struct sched_host *host;        /* null: none fits */
    const char *reasons;
    bool lost;                      /* the claim was refused */
};
struct batch {
    struct placement v[BATCH];
    size_t n;
};

static int hosts_of_servers(struct txn *t, const json_t *hint, struct strv *ret)
{
    size_t n = json_is_array(hint) ? json_array_size(hint) : json_is_string(hint) ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = json_string_value(json_is_array(hint) ? json_array_get(hint, i) : hint);
        struct server *s;
        int r = id ? txn_get(t, &SERVER_KIND, id, &s) : 0;
        if (r < 0)
            return r;
        if (id && s && s->host && !strv_add(txn_arena(t), ret, s->host))
            return -ENOMEM;
    }
    return 0;
}

static int read_hints(struct txn *t, const char *text, struct sched_request *q)
{
    char error[128];
    _cleanup_(json_decrefp) json_t *hints = json_parse(text, strlen(text), error, sizeof(error));
    const json_t *same = hints ? json_object_get(hints, "same_host") : NULL;
    const json_t *different = hints ? json_object_get(hints, "different_host") : NULL;
    q->has_same = same && (json_is_string(same) || json_array_size(same));
    int r = hosts_of_servers(t, same, &q->same_as);
    return r < 0 ? r : hosts_of_servers(t, different, &q->different_from);
}

static int read_group(struct txn *t, const struct server *s, struct sched_request *q)
{
    struct server_group *g;
    int r = txn_get(t, &SERVER_GROUP_KIND, s->group_id, &g);
    if (r < 0 || !g)
        return r;
    q->group_policy = g->policy;
    q->group_max = g->max_server_per_host;
    struct query members = { .kind = &SERVER_KIND };
    query_where(&members, txn_arena(t), "group_id", Q_EQ, g->head.id);
    struct results l;
    r = txn_list(t, &members, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct server *m = l.v[i];
        if (str_empty(m->host) || STREQ(m->head.id, s->head.id) || m->deleting)
            continue;
        struct host_count *slot = NULL;
        VEC_FOREACH(c, &q->group_hosts)
            if (STREQ(c->host, m->host))
                slot = c;
        if (!slot && !(slot = vec_add(txn_arena(t), &q->group_hosts)))
            return -ENOMEM;
        slot->host = m->host;
        slot->n++;
    }
    return r;
}

static int request_of(struct txn *t, const struct server *s, const struct flavor_copy *flavor, struct sched_request *q)
{
    *q = (struct sched_request){ .server = s, .flavor = flavor, .image = s->image, .claim = claim_of(s, flavor),
                                 .zone = s->availability_zone, .only_host = s->requested_host,
                                 .unfiltered = s->requested_host && !s->requested_host_checked,
                                 .excluded = &s->hosts_tried };
    int r = s->hints ? read_hints(t, s->hints, q) : 0;
    r = r < 0 ? r : volumes_place(t, s, &q->volume_host);
    return r < 0 || !s->group_id ? r : read_group(t, s, q);
}

/* Others of its group that are being placed along with it. */
static int group_in_batch(struct arena *a, const struct batch *b, struct sched_request *q)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct placement *p = &b->v[i];
        struct host_count *slot = NULL;
        if (!p->host || !str_eq(p->group_id, q->server->group_id))
            continue;
        VEC_FOREACH(c, &q->group_hosts)
            if (STREQ(c->host, p->host->name))
                slot = c;
        if (!slot && !(slot = vec_add(a, &q->group_hosts)))
            return -ENOMEM;
        slot->host = p->host->name;
        slot->n++;
    }
    return 0;
}

/* More free is better, of memory first; soft rules of groups outweigh that. */
static double weigh(const struct sched_request *q, const struct sched_host *h)
{
    double ram = h->capacity.memory_mb > 0 ?
                 (double)(h->capacity.memory_mb - h->used.memory_mb) / (double)h->capacity.memory_mb : 0;
    double cpu = h->capacity.vcpus > 0 ?
                 (double)(h->capacity.vcpus - h->used.vcpus) / (double)h->capacity.vcpus : 0;
    double w = ram + cpu;
    if (str_eq(q->group_policy, "soft-affinity"))
        w += 10 * (double)group_count(q, h->name);
    if (str_eq(q->group_policy, "soft-anti-affinity"))
        w -= 10 * (double)group_count(q, h->name);
    return w;
}

struct refusals { size_t hosts; size_t by[32]; };

static struct sched_host *choose(struct scheduler *s, const struct sched_request *q, struct refusals *no)
{
    struct sched_host *best = NULL, *h, *next;
    double best_weight = 0;
    unsigned equals = 0;
    *no = (struct refusals){ 0 };
    s->turn++;
    HASH_ITER(hh, s->hosts, h, next) {
        no->hosts++;
        size_t i = 0, last = q->unfiltered ? 2 : N_HOST_FILTERS;
        while (i < last && HOST_FILTERS[i].pass(q, h))
            i++;
        if (i < last) {
            no->by[i]++;
            continue;
        }
        double w = weigh(q, h);
        if (!best || w > best_weight + 1e-9) {
            best = h;
            best_weight = w;
            equals = 1;
        } else if (w > best_weight - 1e-9 && ++equals && s->turn % equals == 0) {
            best = h;
        }
    }
    return best;
}

/* "3 hosts: RamFilter refused 2, DiskFilter refused 1" */
static const char *refusals_text(struct arena *a, const struct refusals *no)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
    buf_printf(&b, "%zu hosts", no->hosts);
    const char *separator = ": ";
    for (size_t i = 0; i < N_HOST_FILTERS; i++) {
        if (!no->by[i])
            continue;
        buf_printf(&b, "%s%s refused %zu", separator, HOST_FILTERS[i].name, no->by[i]);
        separator = ", ";
    }
    return arena_strdup(a, buf_text(&b));
}

/* ---- placing ---- */

static int claim_one(struct txn *t, struct placement *p)
{
    struct server *s;
    int r = txn_get(t, &SERVER_KIND, p->server_id, &s);
    p->lost = false;
    if (r < 0 || !s || !server_waits(s))
        return r;
    bool unshelving = str_eq(s->task_state, TASK_UNSHELVING), first = str_eq(s->task_state, TASK_SCHEDULING);
    if (!p->host) {
        r = server_fail(t, s, 500, "No valid host was found. There are not enough hosts available.", p->reasons,
                        !unshelving);
        return r < 0 ? r : server_put(t, s);
    }
    struct compute_host *h;
    struct host_usage used;
    r = txn_get(t, &COMPUTE_HOST_KIND, p->host->name, &h);
    r = r < 0 ? r : host_usage_count(t, p->host->name, &used);
    if (r < 0)
        return r;
    struct claim c = claim_of(s, s->flavor);
    bool group_kept = true;
    if (s->group_id) {
        /* Somebody else of the group may have been placed since the choice. */
        struct sched_request q;
        r = request_of(t, s, s->flavor, &q);
        if (r < 0)
            return r;
        group_kept = group_allows(&q, p->host);
    }
    struct host_usage most = h ? host_capacity(h) : (struct host_usage){ 0 };
    bool forced = s->requested_host && !s->requested_host_checked;
    if (!h || !group_kept || (!forced && (h->disabled || used.vcpus + c.vcpus > most.vcpus ||
                           used.memory_mb + c.memory_mb > most.memory_mb || used.disk_gb + c.disk_gb > most.disk_gb))) {
        p->lost = true;
        return 0;
    }
    s->host = h->head.id;
    s->node = h->facts && h->facts->hostname ? h->facts->hostname : h->head.id;
    s->spawn_faults = 0;
    s->claim_vcpus = c.vcpus;
    s->claim_memory_mb = c.memory_mb;
    s->claim_disk_gb = c.disk_gb;
    r = server_task(s, first ? TASK_SPAWNING : s->task_state);
    const char *zone;
    r = r < 0 ? r : host_zone(t, s->host, &zone);
    r = r < 0 ? r : network_ports_bind(t, s->head.id, s->host, zone);
    r = r < 0 ? r : volumes_moved(t, s, s->host);
    return r < 0 ? r : server_put(t, s);
}

static int claim_batch(struct txn *t, void *arg)
{
    struct batch *b = arg;
    int r = 0;
    for (size_t i = 0; i < b->n && r == 0; i++)
        r = claim_one(t, &b->v[i]);
    return r;
}

/* Looks for a host in memory and takes it there, so that the next one sees it taken. */
static int plan(struct scheduler *s, struct txn *t, const char *id, const struct batch *b, struct placement *p,
                bool *ret_waits)
{
    struct server *server;
    *ret_waits = false;
    int r = txn_get(t, &SERVER_KIND, id, &server);
    if (r < 0 || !server || !server->flavor || !server_waits(server))
        return r;
    struct sched_request q;
    r = request_of(t, server, server->flavor, &q);
    if (r == 0 && server->group_id)
        r = group_in_batch(txn_arena(t), b, &q);
    if (r < 0)
        return r;
    usec_t begun = clock_mono();
    struct refusals no;
    *p = (struct placement){ .server_id = server->head.id, .group_id = server->group_id,
                             .host = choose(s, &q, &no) };
    usec_t took = clock_mono() - begun;
    if (took > select_max.value)
        counter_set(&select_max, took);
    *ret_waits = true;
    if (!p->host) {
        p->reasons = refusals_text(txn_arena(t), &no);
        counter_inc(&no_valid_host);
        log_warning("no host fits", KV("server", id), KV("reasons", p->reasons));
        return p->reasons ? 0 : -ENOMEM;
    }
    p->host->used.vcpus += q.claim.vcpus;
    p->host->used.memory_mb += q.claim.memory_mb;
    p->host->used.disk_gb += q.claim.disk_gb;
    p->host->used.servers++;
    log_debug("host chosen", KV("server", id), KV("host", p->host->name));
    return 0;
}

static int place_batch(struct scheduler *s, struct api *api, struct arena *a, const struct strv *ids, size_t from,
                       struct strv *ret_again)
{
    struct batch b = { 0 };
    struct txn *t;
    int r = store_read(api_store(api), a, &t);
    if (r < 0)
        return r;
    r = refresh(s, api, t);
    for (size_t i = from; i < ids->n && i < from + BATCH && r == 0; i++) {
        bool waits;
        r = plan(s, t, ids->v[i], &b, &b.v[b.n], &waits);
        b.n += waits;
    }
    txn_done(t);
    if (r == 0 && b.n)
        r = store_write(api_store(api), a, claim_batch, &b);
    for (size_t i = 0; i < b.n; i++) {
        /* What did not happen must not stay in the table. */
        if (b.v[i].host && (r < 0 || b.v[i].lost))
            b.v[i].host->dirty = true;
        if (r == 0 && b.v[i].lost) {
            counter_inc(&claim_lost);
            strv_add(a, ret_again, b.v[i].server_id);
        } else if (r == 0 && b.v[i].host) {
            counter_inc(&placed_total);
        }
    }
    return r;
}

static int place_all(struct scheduler *s, struct api *api, struct arena *a, struct strv ids)
{
    int r = 0;
    for (unsigned round = 0; round < ROUNDS && ids.n && r == 0; round++) {
        struct strv again = { 0 };
        for (size_t i = 0; i < ids.n && r == 0; i += BATCH)
            r = place_batch(s, api, a, &ids, i, &again);
        ids = again;
    }
    return r;
}

/* ---- the controller ---- */

static int waiting(struct txn *t, struct strv *ret)
{
    struct query q = { .kind = &SERVER_KIND };
    query_where(&q, txn_arena(t), "host", Q_NULL, NULL);
    struct condition *w = query_where(&q, txn_arena(t), "task_state", Q_IN, NULL);
    if (!w || !strv_add(txn_arena(t), &w->list, TASK_SCHEDULING) ||
        !strv_add(txn_arena(t), &w->list, TASK_UNSHELVING) ||
        !strv_add(txn_arena(t), &w->list, TASK_REBUILDING))
        return -ENOMEM;
    query_sort(&q, txn_arena(t), "created_at", false);
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        if (!strv_add(txn_arena(t), ret, ((struct server *)l.v[i])->head.id))
            return -ENOMEM;
    return r;
}

static int follow(struct scheduler *s, struct txn *t, const struct change *changes, size_t n, struct strv *ret)
{
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        if (c->kind == &COMPUTE_HOST_KIND) {
            int r = host_reload(s, t, c->id);
            if (r < 0)
                return r;
            continue;
        }
        if (c->kind == &AGGREGATE_KIND) {
            s->zones_dirty = true;
            continue;
        }
        mark_dirty(s, c->host);
        mark_dirty(s, c->host_before);
        if (c->kind == &SERVER_KIND && !c->deleted && !*c->host && !strv_has(ret, c->id) &&
            !strv_add(txn_arena(t), ret, c->id))
            return -ENOMEM;
    }
    return 0;
}

static int scheduler_step(struct api *api, struct arena *a, const struct change *changes, size_t n)
{
    struct scheduler *s = scheduler_of(api);
    struct strv ids = { 0 };
    struct txn *t;
    if (!s)
        return -ENOMEM;
    int r = store_read(api_store(api), a, &t);
    if (r < 0)
        return r;
    if (!s->loaded)
        r = hosts_load(s, t);
    if (r == 0)
        r = n ? follow(s, t, changes, n, &ids) : waiting(t, &ids);
    txn_done(t);
    return r < 0 ? r : place_all(s, api, a, ids);
}

static const struct kind *const SCHEDULER_KINDS[] = { &SERVER_KIND, &LEG_KIND, &COMPUTE_HOST_KIND, &AGGREGATE_KIND,
                                                      NULL };
const struct controller_class COMPUTE_SCHEDULER = {
    .name = "compute.scheduler", .kinds = SCHEDULER_KINDS, .interval = SECONDS(10), .step = scheduler_step,
};
