/*
 * The questions part: answers what somebody waits for, each question once while it stands.
 *
 * A thread of its own, so that a slow answer holds up nothing else.
 */
#include "base/log.h"
#include "host/agent/agent.h"
#include "host/spec_question.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

LOG_MODULE("agent.questions");

#define LOG_MAX ((size_t)1 << 20)

struct questions_part {
    struct agent *agent;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool wanted, stopping;
    char answered[64][64];          /* ids, the last ones */
    unsigned n_answered;
};

static bool answered(const struct questions_part *p, const char *id)
{
    for (size_t i = 0; i < ARRAY_SIZE(p->answered); i++)
        if (STREQ(p->answered[i], id))
            return true;
    return false;
}

static int tell_log(struct hypervisor *hv, struct arena *a, const struct host_question *q, struct host_answer *ret)
{
    const char *text;
    size_t n;
    if (!hv->class->console_log) {
        ret->status = 501;
        ret->message = "This hypervisor keeps no console log.";
        return 0;
    }
    size_t most = q->bytes > 0 && (size_t)q->bytes < LOG_MAX ? (size_t)q->bytes : LOG_MAX;
    int r = hv->class->console_log(hv, q->server_id, a, most, &text, &n);
    if (r)
        return r;
    /* Zero bytes would end the text. */
    char *copy = arena_alloc(a, n + 1);
    size_t used = 0;
    for (size_t i = 0; copy && i < n; i++)
        if (text[i])
            copy[used++] = text[i];
    ret->text = copy;
    return copy ? 0 : -ENOMEM;
}

static int tell_diagnostics(struct hypervisor *hv, struct arena *a, const struct host_question *q,
                            struct host_answer *ret)
{
    struct domain_diagnostics d = { 0 };
    struct fault fault = { 0 };
    int r = HYPERVISOR_CALL(hv, diagnostics, &fault, q->server_id, a, &d);
    if (r == FAULT) {
        ret->status = fault.status;
        ret->message = arena_strdup(a, fault.message);
        return 0;
    }
    struct guest_diagnostics *g = r == 0 ? ARENA_NEW(a, struct guest_diagnostics) : NULL;
    if (!g)
        return r < 0 ? r : -ENOMEM;
    *g = (struct guest_diagnostics){ .state = domain_state_power(d.state),
                                     .uptime = d.uptime ? d.uptime / SECONDS(1) : INT_NULL,
                                     .memory_max_kb = d.memory_max_kb, .memory_used_kb = d.memory_used_kb };
    VEC_FOREACH(c, &d.cpus)
        if (!vec_push(a, &g->cpus, ((struct guest_cpu){ c->id, c->time_ns, c->utilisation })))
            return -ENOMEM;
    VEC_FOREACH(k, &d.disks)
        if (!vec_push(a, &g->disks, ((struct guest_disk){ k->device, k->read_bytes, k->read_requests, k->write_bytes,
                                                          k->write_requests, k->errors })))
            return -ENOMEM;
    VEC_FOREACH(n, &d.nics)
        if (!vec_push(a, &g->nics, ((struct guest_nic){ n->mac, n->tap, n->rx_bytes, n->rx_packets, n->rx_drop,
                                                        n->rx_errors, n->tx_bytes, n->tx_packets, n->tx_drop,
                                                        n->tx_errors })))
            return -ENOMEM;
    ret->diagnostics = g;
    return 0;
}

static void answer(struct questions_part *p, const struct host_question *q)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)8 << 20);
    struct json_out out = JSON_OUT(&b);
    const struct encode_options opt = { .stored = true };
    struct hypervisor *hv = agent_hypervisor(p->agent);
    if (!a)
        return;
    struct host_answer ans = { .id = q->id };
    int r = STREQ(str_or(q->what, ""), QUESTION_LOG) ? tell_log(hv, a, q, &ans) :
            STREQ(str_or(q->what, ""), QUESTION_DIAGNOSTICS) ? tell_diagnostics(hv, a, q, &ans) : -EINVAL;
    if (r < 0) {
        ans = (struct host_answer){ .id = q->id, .status = r == -ENOENT ? 404 : 503,
                                    .message = r == -ENOENT ? "There is no such guest here." :
                                                              "The host could not answer." };
        log_warning("a question without an answer", KV("server", q->server_id), KV("what", q->what),
                    KV("error", strerror(-r)));
    }
    schema_encode(&HOST_ANSWER_SCHEMA, &ans, &opt, &out);
    if (buf_error(&b) || arena_failed(a))
        return;
    agent_report_item(p->agent, "questions", q->id, buf_text(&b));
    (void)snprintf(p->answered[p->n_answered++ % ARRAY_SIZE(p->answered)], sizeof(p->answered[0]), "%s", q->id);
}

static void look(struct questions_part *p)
{
    _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    size_t i;
    json_t *item;
    if (!d || !a)
        return;
    json_array_foreach(json_object_get(d->tree, "questions"), i, item) {
        struct host_question q = { 0 };
        struct decode_error e;
        if (schema_decode(&HOST_QUESTION_SCHEMA, item, DECODE_STORED, 0, a, &q, NULL, &e) || !q.id || !q.server_id)
            continue;
        if (!answered(p, q.id))
            answer(p, &q);
    }
}

static void *questions_main(void *arg)
{
    struct questions_part *p = arg;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        while (!p->wanted && !p->stopping)
            pthread_cond_wait(&p->wake, &p->lock);
        p->wanted = false;
        bool stop = p->stopping;
        pthread_mutex_unlock(&p->lock);
        if (stop)
            return NULL;
        look(p);
    }
}

static void questions_wanted(void *state)
{
    struct questions_part *p = state;
    pthread_mutex_lock(&p->lock);
    p->wanted = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static int questions_start(struct agent *a, void **ret)
{
    struct questions_part *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->agent = a;
    p->wanted = true;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    int r = -pthread_create(&p->thread, NULL, questions_main, p);
    if (r < 0) {
        free(p);
        return r;
    }
    (void)pthread_setname_np(p->thread, "questions");
    *ret = p;
    return 0;
}

static void questions_stop(void *state)
{
    struct questions_part *p = state;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p);
}

const struct agent_part PART_QUESTIONS = { "questions", questions_start, questions_wanted, questions_stop };
