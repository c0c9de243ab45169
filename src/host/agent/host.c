/* The host part: tells every few seconds what this host is, which is also its sign of life. */
#include "base/log.h"
#include "host/agent/agent.h"

#include <errno.h>
#include <pthread.h>

LOG_MODULE("agent.host");

struct host_part {
    struct agent *agent;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

static int tell(struct host_part *p)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)1 << 20);
    if (!arena)
        return -ENOMEM;
    struct hypervisor *hv = agent_hypervisor(p->agent);
    struct host_facts facts = { 0 };
    int r = hv->class->facts(hv, arena, &facts);
    if (r < 0)
        return r;
    struct json_out out = JSON_OUT(&b);
    struct encode_options opt = { .stored = true };
    schema_encode(&HOST_FACTS_SCHEMA, &facts, &opt, &out);
    r = buf_error(&b);
    if (r == 0)
        agent_report_whole(p->agent, "host", buf_text(&b));
    if (hv->class->trim_logs)
        (void)hv->class->trim_logs(hv);
    return r;
}

static void *host_main(void *arg)
{
    struct host_part *p = arg;
    static struct ratelimit limit = RATELIMIT(1, SECONDS(60));
    for (;;) {
        int r = tell(p);
        if (r < 0)
            log_warning_limited(&limit, "the hypervisor does not answer", KV("error", strerror(-r)));
        struct timespec ts;
        (void)clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_sec += r < 0 ? 1 : agent_config(p->agent)->facts_seconds;
        pthread_mutex_lock(&p->lock);
        while (!p->stopping && pthread_cond_timedwait(&p->wake, &p->lock, &ts) == 0)
            ;
        bool stop = p->stopping;
        pthread_mutex_unlock(&p->lock);
        if (stop)
            return NULL;
    }
}

static int host_start(struct agent *a, void **ret)
{
    struct host_part *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->agent = a;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    int r = -pthread_create(&p->thread, NULL, host_main, p);
    if (r < 0) {
        free(p);
        return r;
    }
    (void)pthread_setname_np(p->thread, "host");
    *ret = p;
    return 0;
}

static void host_stop(void *state)
{
    struct host_part *p = state;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p);
}

const struct agent_part PART_HOST = { "host", host_start, NULL, host_stop };
