/*
 * Asking a host: console logs and diagnostics.
 *
 * A verb writes the question, so that the host's poll wakes, waits for the answer in memory and
 * takes the question away. Whoever dies in between leaves a question that the controller drops
 * after a minute; an answer that nobody waits for is dropped.
 */
#include "compute/actions.h"
#include "host/spec_question.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define WAIT_SECONDS 15
#define LOG_BYTES 102400

/* ---- the question as a row ---- */

struct question {
    struct object head;
    const char *server_id, *host, *what;
    int64_t bytes;
    usec_t created_at;
};
#define Q(member, kind_, flags_) { #member, kind_, offsetof(struct question, member), (flags_), .doc = #member }
static const struct field QUESTION_ROWS[] = {
    FIELD_ID(struct question),
    Q(server_id, FIELD_STRING, 0),
    Q(host, FIELD_STRING, FILTER | INDEX),
    Q(what, FIELD_STRING, 0),
    Q(bytes, FIELD_INT, 0),
    Q(created_at, FIELD_TIME, FILTER),
};
static SCHEMA(QUESTION_SCHEMA, struct question, QUESTION_ROWS);
const struct kind QUESTION_KIND = { .name = "compute.question", .schema = &QUESTION_SCHEMA, .host_field = "host" };

/* ---- waiting ---- */

struct waiter {
    const char *id;
    bool answered;
    char *json;                     /* of struct host_answer; malloc'ed */
    struct waiter *next;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t heard = PTHREAD_COND_INITIALIZER;
static struct waiter *waiters;

/* Answers that came before anybody waited: a host may be quicker than the verb that asked. */
static struct { char id[64]; char *json; } early[32];
static unsigned early_next;

static void deliver(const char *id, const char *json)
{
    bool waited = false;
    pthread_mutex_lock(&lock);
    for (struct waiter *w = waiters; w; w = w->next) {
        if (!STREQ(w->id, id))
            continue;
        waited = true;
        if (!w->answered)
            w->json = strdup(json);
        w->answered = true;
    }
    if (!waited) {
        unsigned slot = early_next++ % ARRAY_SIZE(early);
        free(early[slot].json);
        early[slot].json = strdup(json);
        (void)snprintf(early[slot].id, sizeof(early[slot].id), "%s", id);
    }
    pthread_cond_broadcast(&heard);
    pthread_mutex_unlock(&lock);
}

static void wait_for(struct waiter *w)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&lock);
    while (!w->answered && pthread_cond_timedwait(&heard, &lock, &until) == 0)
        ;
    for (struct waiter **at = &waiters; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* ---- asking ---- */

struct ask { const char *id; };

static int forget(struct txn *t, void *arg)
{
    return txn_delete(t, &QUESTION_KIND, ((struct ask *)arg)->id);
}

int question_put(struct call *c, const struct server *s, const char *what, int64_t bytes, const char **ret_id)
{
    struct question *q = ARENA_NEW(c->arena, struct question);
    if (!q)
        return -ENOMEM;
    if (str_empty(s->host))
        return call_fault(c, 409, "InstanceNotReady", "Instance %s is not ready", s->head.id);
    struct compute_host *h;
    int r = txn_get(c->txn, &COMPUTE_HOST_KIND, s->host, &h);
    if (r < 0)
        return r;
    if (!h || !host_up(c->api, h))
        return call_fault(c, 409, "ComputeServiceUnavailable", "The host of instance %s is not reachable",
                          s->head.id);
    *q = (struct question){ .head.id = uuid_new(c->arena), .server_id = s->head.id, .host = s->host, .what = what,
                            .bytes = bytes, .created_at = clock_wall() };
    *ret_id = q->head.id;
    return txn_put(c->txn, &QUESTION_KIND, q);
}

int question_answer(struct call *c, const char *id, struct host_answer **ret)
{
    struct waiter w = { .id = id };
    pthread_mutex_lock(&lock);
    w.next = waiters;
    waiters = &w;
    for (size_t i = 0; i < ARRAY_SIZE(early); i++)
        if (early[i].json && STREQ(early[i].id, id)) {
            w.json = TAKE_PTR(early[i].json);
            w.answered = true;
        }
    pthread_mutex_unlock(&lock);
    wait_for(&w);
    struct ask ask = { id };
    int r = store_write(c->store, c->arena, forget, &ask);
    if (r < 0) {
        free(w.json);
        return r;
    }
    if (!w.json)
        return call_fault(c, 409, "InstanceNotReady", "The host did not answer in time");
    char error[200];
    _cleanup_(json_decrefp) json_t *tree = json_parse(w.json, strlen(w.json), error, sizeof(error));
    free(w.json);
    struct host_answer *a = ARENA_NEW(c->arena, struct host_answer);
    struct decode_error e;
    if (!a)
        return -ENOMEM;
    r = schema_decode(&HOST_ANSWER_SCHEMA, tree, DECODE_STORED, 0, c->arena, a, NULL, &e);
    if (r)
        return r < 0 ? r : -EBADMSG;
    if (a->status)
        return call_fault(c, (int)a->status, "HostAnswer", "%s", str_or(a->message, "The host could not answer"));
    *ret = a;
    return 0;
}

/* ---- console output ---- */

struct output_in { const char *length; };
static const struct field OUTPUT_ROWS[] = {
    { "length", FIELD_JSON, offsetof(struct output_in, length), IN_CREATE | NULLABLE, .doc = "Lines from the end." },
};
static SCHEMA(OUTPUT_SCHEMA, struct output_in, OUTPUT_ROWS);

struct output_wait { struct action_after after; const char *id; long long lines; };

static const char *last_lines(const char *text, long long lines)
{
    size_t n = strlen(text);
    if (lines < 0)
        return text;
    if (lines == 0)
        return text + n;
    size_t at = n;
    if (at && text[at - 1] == '\n')
        at--;
    while (at) {
        if (text[at - 1] == '\n' && --lines == 0)
            return text + at;
        at--;
    }
    return text;
}

static int output_render(struct call *c, struct action_after *after)
{
    struct output_wait *w = CONTAINER_OF(after, struct output_wait, after);
    struct host_answer *a;
    int r = question_answer(c, w->id, &a);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_string(&c->out, "output", last_lines(str_or(a->text, ""), w->lines));
    json_close_object(&c->out);
    return 0;
}

static int console_output(struct call *c, struct server *s, const void *in, const struct given *given, bool *gone)
{
    const char *text = ((const struct output_in *)in)->length;
    (void)given;
    (void)gone;
    struct output_wait *w = ARENA_NEW(c->arena, struct output_wait);
    if (!w)
        return -ENOMEM;
    w->lines = -1;
    if (text) {
        char *end;
        w->lines = strtoll(*text == '"' ? text + 1 : text, &end, 10);
        if ((*end && !STREQ(end, "\"")) || end == text || w->lines < -1)
            return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute length. Value: %s.", text);
    }
    w->after.finish = output_render;
    c->data = &w->after;
    return question_put(c, s, QUESTION_LOG, LOG_BYTES, &w->id);
}

const struct server_action CONSOLE_ACTIONS[] = {
    { "os-getConsoleOutput", .status = 200, .rule = "os_compute_api:os-console-output", .in = &OUTPUT_SCHEMA,
      .flags = ACT_READS | ACT_BUSY_TOO | ACT_LOCKED_TOO, .verb = "get_console_output", .fn = console_output,
      .vm = IN_ACTIVE | IN_PAUSED | IN_SUSPENDED | IN_STOPPED | IN_RESCUED | IN_RESIZED | IN_ERROR },
    { NULL },
};

/* ---- diagnostics ---- */

static int ask_diagnostics(struct call *c)
{
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-server-diagnostics", &s);
    if (r)
        return r;
    if (!str_eq(s->seen_power, POWER_RUNNING) && !str_eq(s->seen_power, POWER_PAUSED))
        return action_wrong_state(c, s, "get_diagnostics", "vm_state", s->vm_state);
    const char *id;
    r = question_put(c, s, QUESTION_DIAGNOSTICS, 0, &id);
    c->data = (void *)(uintptr_t)id;
    return r;
}

/* As libvirt's names had it before 2.48. */
static void render_old(struct call *c, const struct guest_diagnostics *d)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    VEC_FOREACH(cpu, &d->cpus)
        json_put_int(o, arena_printf(c->arena, "cpu%lld_time", (long long)cpu->id), cpu->time_ns);
    VEC_FOREACH(k, &d->disks) {
        const char *name = str_or(k->device, "vda");
        json_put_int(o, arena_printf(c->arena, "%s_read", name), k->read_bytes);
        json_put_int(o, arena_printf(c->arena, "%s_read_req", name), k->read_requests);
        json_put_int(o, arena_printf(c->arena, "%s_write", name), k->write_bytes);
        json_put_int(o, arena_printf(c->arena, "%s_write_req", name), k->write_requests);
        json_put_int(o, arena_printf(c->arena, "%s_errors", name), k->errors);
    }
    VEC_FOREACH(n, &d->nics) {
        const char *name = str_or(n->tap, "tap");
        json_put_int(o, arena_printf(c->arena, "%s_rx", name), n->rx_bytes);
        json_put_int(o, arena_printf(c->arena, "%s_rx_packets", name), n->rx_packets);
        json_put_int(o, arena_printf(c->arena, "%s_rx_drop", name), n->rx_drop);
        json_put_int(o, arena_printf(c->arena, "%s_rx_errors", name), n->rx_errors);
        json_put_int(o, arena_printf(c->arena, "%s_tx", name), n->tx_bytes);
        json_put_int(o, arena_printf(c->arena, "%s_tx_packets", name), n->tx_packets);
        json_put_int(o, arena_printf(c->arena, "%s_tx_drop", name), n->tx_drop);
        json_put_int(o, arena_printf(c->arena, "%s_tx_errors", name), n->tx_errors);
    }
    json_put_int(o, "memory", d->memory_max_kb);
    json_put_int(o, "memory-actual", d->memory_max_kb);
    json_put_int(o, "memory-rss", d->memory_used_kb);
    json_close_object(o);
}

static void render_new(struct call *c, const struct server *s, const struct guest_diagnostics *d)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_string(o, "state", str_eq(d->state, POWER_SHUTOFF) ? "shutdown" : str_or(d->state, "running"));
    json_put_string(o, "driver", "libvirt");
    json_put_string(o, "hypervisor", "qemu");
    json_put_string(o, "hypervisor_os", "linux");
    if (d->uptime == INT_NULL)
        json_put_null(o, "uptime");
    else
        json_put_int(o, "uptime", d->uptime);
    json_put_bool(o, "config_drive", s->config_drive);
    json_put_int(o, "num_cpus", (int64_t)d->cpus.n);
    json_put_int(o, "num_nics", (int64_t)d->nics.n);
    json_put_int(o, "num_disks", (int64_t)d->disks.n);
    json_put_object(o, "memory_details");
    json_put_int(o, "maximum", d->memory_max_kb / 1024);
    json_put_int(o, "used", d->memory_used_kb / 1024);
    json_close_object(o);
    json_put_array(o, "cpu_details");
    VEC_FOREACH(cpu, &d->cpus) {
        json_open_object(o);
        json_put_int(o, "id", cpu->id);
        json_put_int(o, "time", cpu->time_ns);
        json_put_int(o, "utilisation", cpu->utilisation);
        json_close_object(o);
    }
    json_close_array(o);
    json_put_array(o, "disk_details");
    VEC_FOREACH(k, &d->disks) {
        json_open_object(o);
        json_put_int(o, "read_bytes", k->read_bytes);
        json_put_int(o, "read_requests", k->read_requests);
        json_put_int(o, "write_bytes", k->write_bytes);
        json_put_int(o, "write_requests", k->write_requests);
        json_put_int(o, "errors_count", k->errors);
        json_close_object(o);
    }
    json_close_array(o);
    json_put_array(o, "nic_details");
    VEC_FOREACH(n, &d->nics) {
        json_open_object(o);
        json_put_string(o, "mac_address", n->mac);
        json_put_int(o, "rx_octets", n->rx_bytes);
        json_put_int(o, "rx_packets", n->rx_packets);
        json_put_int(o, "rx_drop", n->rx_drop);
        json_put_int(o, "rx_errors", n->rx_errors);
        json_put_null(o, "rx_rate");
        json_put_int(o, "tx_octets", n->tx_bytes);
        json_put_int(o, "tx_packets", n->tx_packets);
        json_put_int(o, "tx_drop", n->tx_drop);
        json_put_int(o, "tx_errors", n->tx_errors);
        json_put_null(o, "tx_rate");
        json_close_object(o);
    }
    json_close_array(o);
    json_close_object(o);
}

static int diagnostics(struct call *c)
{
    struct host_answer *a;
    struct server *s;
    int r = call_write(c, ask_diagnostics);
    r = r ? r : question_answer(c, c->data, &a);
    if (r)
        return r;
    if (!a->diagnostics)
        return call_fault(c, 501, "NotImplemented", "The host can't tell.");
    if (c->minor < 48) {
        render_old(c, a->diagnostics);
        return 0;
    }
    r = server_get(c, call_param(c, "id"), NULL, &s);
    if (r == 0)
        render_new(c, s, a->diagnostics);
    return r;
}

/* ---- the talk with hosts ---- */

static int questions_desired(struct api *api, struct txn *t, const char *host, struct json_out *o)
{
    struct query q = { .kind = &QUESTION_KIND };
    struct results l;
    (void)api;
    query_where(&q, txn_arena(t), "host", Q_EQ, host);
    int r = txn_list(t, &q, &l);
    if (r < 0)
        return r;
    json_open_array(o);
    for (size_t i = 0; i < l.n; i++) {
        const struct question *row = l.v[i];
        const struct encode_options opt = { .stored = true };
        struct host_question out = { row->head.id, row->server_id, row->what, row->bytes };
        schema_encode(&HOST_QUESTION_SCHEMA, &out, &opt, o);
    }
    json_close_array(o);
    return 0;
}

static int questions_observed(struct api *api, struct arena *a, const char *host, const json_t *value)
{
    size_t i;
    json_t *item;
    host_seen(api, host);
    json_array_foreach(value, i, item) {
        const char *id = json_get_string(item, "id"), *text = json_text(a, item);
        struct txn *t;
        struct question *q;
        if (!id || !text)
            continue;
        int r = store_read(api_store(api), a, &t);
        if (r < 0)
            return r;
        r = txn_get(t, &QUESTION_KIND, id, &q);
        txn_done(t);
        if (r < 0)
            return r;
        if (q && str_eq(q->host, host))     /* a host answers only what it was asked */
            deliver(id, text);
    }
    return 0;
}

static const struct kind *const KINDS[] = { &QUESTION_KIND, NULL };
const struct agent_section QUESTIONS_SECTION = {
    .name = "questions", .kinds = KINDS, .desired = questions_desired, .observed = questions_observed,
};

static const struct route QUESTION_ROUTES[] = {
    { "GET", "/v2.1/servers/{id}/diagnostics", diagnostics, NULL, ROUTE_WORKER, .doc = "How a guest fares." },
};
static const struct policy_rule QUESTION_RULES[] = {
    { "os_compute_api:os-server-diagnostics", RULE_ADMIN, "Ask how a guest fares." },
};
COMPUTE_PART(QUESTION_PART, QUESTION_ROUTES, QUESTION_RULES);
