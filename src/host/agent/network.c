/*
 * The network part: one thread that has the driver converge, and tells how it went.
 *
 * A pass runs when something new is wanted, when a server waits for a port, and every few
 * seconds so that what somebody broke by hand is mended.
 */
#include "base/log.h"
#include "host/agent/agent.h"

#include <errno.h>
#include <pthread.h>

LOG_MODULE("agent.network");

#define INTERVAL SECONDS(5)
#define REPORT_AGAIN SECONDS(30)        /* also without news: it is this host's sign of life */

struct network_part {
    struct agent *agent;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool wanted;
    _Atomic bool stopping;
    struct arena *arena;            /* of 'observed' */
    struct net_observed observed;
    char *last_report;
    usec_t reported_at;
};

static void report(struct network_part *p, const struct net_observed *o)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)64 << 20);
    struct json_out out = JSON_OUT(&b);
    struct encode_options opt = { .stored = true };
    struct net_observed plain = *o;
    plain.changes = 0;              /* how much was done is no state: equal reports are not sent again */
    schema_encode(&NET_OBSERVED_SCHEMA, &plain, &opt, &out);
    bool news = !p->last_report || !STREQ(p->last_report, buf_text(&b));
    if (buf_error(&b) || (!news && clock_mono() - p->reported_at < REPORT_AGAIN))
        return;
    p->reported_at = clock_mono();
    agent_report_whole(p->agent, "network", buf_text(&b));
    free(p->last_report);
    p->last_report = buf_take(&b);
}

static int pass(struct network_part *p)
{
    _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
    if (!d)
        return 0;
    struct arena *arena = arena_new((size_t)256 << 20);
    if (!arena)
        return -ENOMEM;
    struct net_observed o = { 0 };
    int r = net_converge(agent_net(p->agent), &d->net, arena, &o);
    if (r < 0) {
        arena_free(arena);
        return r;
    }
    report(p, &o);
    pthread_mutex_lock(&p->lock);
    struct arena *old = p->arena;
    p->arena = arena;
    p->observed = o;
    pthread_mutex_unlock(&p->lock);
    arena_free(old);
    return 0;
}

static void wait_for_work(struct network_part *p)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec += INTERVAL / 1000000;
    pthread_mutex_lock(&p->lock);
    while (!p->wanted && !p->stopping && pthread_cond_timedwait(&p->wake, &p->lock, &ts) == 0)
        ;
    p->wanted = false;
    pthread_mutex_unlock(&p->lock);
}

static void *network_main(void *arg)
{
    struct network_part *p = arg;
    static struct ratelimit limit = RATELIMIT(3, SECONDS(60));
    while (!p->stopping) {
        int r = pass(p);
        if (r < 0)
            log_warning_limited(&limit, "the networks could not be looked at", KV("error", strerror(-r)));
        else
            servers_look(p->agent, NULL);
        wait_for_work(p);
    }
    return NULL;
}

static void network_wanted(void *state)
{
    struct network_part *p = state;
    pthread_mutex_lock(&p->lock);
    p->wanted = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

bool network_port_wired(struct agent *a, const char *port_id, struct arena *arena, const char **ret_reason)
{
    struct network_part *p = agent_part_state(a, &PART_NETWORK);
    bool wired = false;
    const char *reason = NULL;
    if (p) {
        pthread_mutex_lock(&p->lock);
        VEC_FOREACH(port, &p->observed.ports) {
            if (!str_eq(port->id, port_id))
                continue;
            wired = port->wired;
            reason = arena_strdup(arena, port->reason);
        }
        pthread_mutex_unlock(&p->lock);
    }
    if (ret_reason)
        *ret_reason = reason;
    return wired;
}

static int network_start(struct agent *a, void **ret)
{
    struct network_part *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->agent = a;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    int r = -pthread_create(&p->thread, NULL, network_main, p);
    if (r < 0) {
        free(p);
        return r;
    }
    (void)pthread_setname_np(p->thread, "network");
    *ret = p;
    return 0;
}

static void network_stop(void *state)
{
    struct network_part *p = state;
    p->stopping = true;
    network_wanted(p);
    (void)pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    arena_free(p->arena);
    free(p->last_report);
    free(p);
}

const struct agent_part PART_NETWORK = { "network", network_start, network_wanted, network_stop };
