/*
 * Parking: requests that wait for something without a thread.
 *
 * libmicrohttpd forgets its time-outs for suspended connections, so one thread of ours keeps
 * them, and sweeps; it sleeps while there is no connection. A client that has closed its end
 * is taken for a time that is up. Whatever comes first (a wake, the time, the
 * server's stop) fires the parked one exactly once; its function then runs on a worker.
 *
 * A wake may come before handle() has returned. It is noted then and takes effect when the
 * request is armed: the application never finds itself in two threads.
 */
#include "base/log.h"
#include "http/internal.h"

#include <errno.h>
#include <time.h>

/* Of all servers, so that a wake that comes after its server's end is still harmless. */
static pthread_mutex_t park_lock = PTHREAD_MUTEX_INITIALIZER;

struct http_parked {
    _Atomic int refs;               /* the caller's and, until it has fired, the server's */
    struct http_server *server;
    struct http_connection *c;
    struct http_parked *next, **at; /* in the server's list, until fired */
    struct timespec deadline;
    void (*woken)(struct http_request *rq, void *arg, enum http_wake_reason why);
    void *arg;
    bool armed, fired;
    enum http_wake_reason why;
};

static bool earlier(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static void woken_run(struct http_job *job)
{
    struct http_connection *c = CONTAINER_OF(job, struct http_connection, job);
    struct http_parked *p = TAKE_PTR(c->parked);
    c->told_to_stop = p->why == HTTP_STOPPING;
    log_set_request_id(c->rq.id);
    p->woken(&c->rq, p->arg, p->why);
    http_parked_unref(p);
    http_settle(c);
    log_set_request_id(NULL);
}

/* With park_lock held. */
static void fire(struct http_parked *p, enum http_wake_reason why)
{
    if (p->fired)
        return;
    p->fired = true;
    p->why = why;
    *p->at = p->next;
    if (p->next)
        p->next->at = p->at;
    if (p->armed) {
        p->c->job.run = woken_run;
        http_submit(p->server, &p->c->job);
    }
}

/* Seconds between looks at connections and at the clients of parked requests. */
#define SWEEP_EVERY 1

static void *timer_main(void *arg)
{
    struct http_server *s = arg;
    struct timespec sweep = { 0 };
    pthread_mutex_lock(&park_lock);
    while (!s->timer_ends) {
        struct timespec now, first;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        bool any = atomic_load(&s->n_peers) > 0, sweeps = any && !earlier(&now, &sweep);
        if (sweeps) {
            sweep = now;
            sweep.tv_sec += SWEEP_EVERY;
        }
        first = sweep;
        for (struct http_parked *p = s->parked, *next; p; p = next) {
            next = p->next;
            if (!earlier(&now, &p->deadline) || (sweeps && p->armed && http_peer_gone(p->c->peer)))
                fire(p, HTTP_TIMED_OUT);
            else if (earlier(&p->deadline, &first))
                first = p->deadline;
        }
        if (sweeps) {
            pthread_mutex_unlock(&park_lock);
            http_sweep(s);
            pthread_mutex_lock(&park_lock);
            continue;
        }
        if (any)
            (void)pthread_cond_timedwait(&s->park_changed, &park_lock, &first);
        else
            (void)pthread_cond_wait(&s->park_changed, &park_lock);
    }
    pthread_mutex_unlock(&park_lock);
    return NULL;
}

/* With park_lock held. */
static int timer_poke(struct http_server *s)
{
    int r = 0;
    if (s->timer_runs)
        pthread_cond_signal(&s->park_changed);
    else if ((r = http_thread(&s->timer, timer_main, s)) == 0)
        s->timer_runs = true;
    return r;
}

int http_timer_poke(struct http_server *s)
{
    pthread_mutex_lock(&park_lock);
    int r = timer_poke(s);
    pthread_mutex_unlock(&park_lock);
    return r;
}

struct http_parked *http_park(struct http_request *rq, usec_t timeout,
                              void (*woken)(struct http_request *rq, void *arg, enum http_wake_reason why),
                              void *arg)
{
    struct http_connection *c = rq->self;
    struct http_server *s = c->server;
    if (c->lost || c->told_to_stop) {
        http_answer_error(rq, 503, "The server is stopping.");
        return NULL;
    }
    struct http_parked *p = calloc(1, sizeof(*p));
    if (!p) {
        http_answer_error(rq, 500, "The server is out of memory.");
        return NULL;
    }
    p->refs = 2;
    p->server = s;
    p->c = c;
    p->woken = woken;
    p->arg = arg;
    (void)clock_gettime(CLOCK_MONOTONIC, &p->deadline);
    timeout = MAX(timeout, (usec_t)0);
    p->deadline.tv_sec += timeout / SECONDS(1);
    p->deadline.tv_nsec += timeout % SECONDS(1) * 1000;
    if (p->deadline.tv_nsec >= 1000000000) {
        p->deadline.tv_sec++;
        p->deadline.tv_nsec -= 1000000000;
    }

    pthread_mutex_lock(&park_lock);
    bool timer_runs = timer_poke(s) == 0;
    if (timer_runs) {
        p->next = s->parked;
        p->at = &s->parked;
        if (p->next)
            p->next->at = &p->next;
        s->parked = p;
        if (s->stopping)
            fire(p, HTTP_STOPPING);
    }
    pthread_mutex_unlock(&park_lock);
    if (!timer_runs) {
        free(p);
        http_answer_error(rq, 503, "The server can't start a thread.");
        return NULL;
    }
    c->parked = p;
    return p;
}

void http_park_arm(struct http_connection *c)
{
    struct http_parked *p = c->parked;
    struct http_server *s = c->server;
    pthread_mutex_lock(&park_lock);
    p->armed = true;
    if (p->fired) {
        c->job.run = woken_run;
        http_submit(s, &c->job);
    }
    pthread_mutex_unlock(&park_lock);
}

void http_wake(struct http_parked *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&park_lock);
    fire(p, HTTP_WOKEN);
    pthread_mutex_unlock(&park_lock);
}

void http_parked_unref(struct http_parked *p)
{
    if (p && atomic_fetch_sub(&p->refs, 1) == 1)
        free(p);
}

void http_park_drop(struct http_connection *c)
{
    struct http_parked *p = TAKE_PTR(c->parked);
    pthread_mutex_lock(&park_lock);
    fire(p, HTTP_STOPPING);         /* not armed: only leaves the list */
    pthread_mutex_unlock(&park_lock);
    http_parked_unref(p);
}

void http_park_stop(struct http_server *s)
{
    pthread_mutex_lock(&park_lock);
    for (struct http_parked *p = s->parked, *next; p; p = next) {
        next = p->next;
        fire(p, HTTP_STOPPING);
    }
    pthread_mutex_unlock(&park_lock);
}

void http_park_end(struct http_server *s)
{
    if (!s->timer_runs)
        return;
    pthread_mutex_lock(&park_lock);
    s->timer_ends = true;
    pthread_cond_signal(&s->park_changed);
    pthread_mutex_unlock(&park_lock);
    (void)pthread_join(s->timer, NULL);
    s->timer_runs = false;
}
