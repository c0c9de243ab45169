/*
 * Bodies that are streamed to a sink.
 *
 * Two buffers: the loop fills one while a worker writes the other. When both are full the
 * connection is suspended, so the client is read only as fast as the sink takes it.
 *
 * After a failure of the sink the rest is dropped and handle() says what went wrong. If the
 * client breaks off, handle() runs too (with -EPIPE), so that what has been written can be taken
 * back; libmicrohttpd has forgotten the request by then.
 */
#include "base/log.h"
#include "http/internal.h"

#include <errno.h>

#define PUSH_BUFFER ((size_t)256 << 10)
/* Enough to be worth a worker's turn while nothing else is under way. */
#define PUSH_WORTH ((size_t)64 << 10)
/* After a failure: beyond, the connection is cut without an answer. */
#define DRAIN_MAX ((uint64_t)1 << 30)

struct http_push {
    pthread_mutex_t lock;           /* the flags; who clears 'busy' has given the buffers back */
    char *fill, *flush;
    size_t n_fill, n_flush;
    bool busy;                      /* a worker is writing */
    bool waiting;                   /* both full: suspended until the worker is through */
    bool end;                       /* no more will come */
    bool too_large;                 /* more came than the sink's limit */
    uint64_t drained;
};

void http_push_free(struct http_push *push)
{
    if (!push)
        return;
    free(push->fill);
    free(push->flush);
    (void)pthread_mutex_destroy(&push->lock);
    free(push);
}

int http_push_new(struct http_connection *c)
{
    struct http_push *push = calloc(1, sizeof(*push));
    if (!push)
        return -ENOMEM;
    (void)pthread_mutex_init(&push->lock, NULL);
    push->fill = malloc(PUSH_BUFFER);
    push->flush = malloc(PUSH_BUFFER);
    if (!push->fill || !push->flush) {
        http_push_free(push);
        return -ENOMEM;
    }
    c->push = push;
    return 0;
}

static void swap(struct http_push *push)
{
    char *full = push->fill;
    push->fill = push->flush;
    push->flush = full;
    push->n_flush = push->n_fill;
    push->n_fill = 0;
}

static void push_run(struct http_job *job)
{
    struct http_connection *c = CONTAINER_OF(job, struct http_connection, job);
    struct http_push *push = c->push;
    for (;;) {
        if (push->n_flush && !c->rq.sink_error) {
            log_set_request_id(c->rq.id);
            int r = c->rq.sink->write(&c->rq, push->flush, push->n_flush);
            log_set_request_id(NULL);
            if (r < 0)
                c->rq.sink_error = r;
        }
        pthread_mutex_lock(&push->lock);
        push->n_flush = 0;
        if (push->end && push->n_fill && !c->lost) {
            swap(push);
            pthread_mutex_unlock(&push->lock);
            continue;
        }
        bool end = push->end, waiting = push->waiting;
        if (push->too_large && !c->rq.sink_error)
            c->rq.sink_error = -EFBIG;
        push->waiting = false;
        push->busy = false;
        pthread_mutex_unlock(&push->lock);
        if (end)
            http_handle(c);
        else if (waiting)
            http_resume(c);
        return;
    }
}

static void push_submit(struct http_connection *c)
{
    c->push->busy = true;
    c->job.run = push_run;
    http_submit(c->server, &c->job);
}

ssize_t http_push_data(struct http_connection *c, const char *data, size_t n)
{
    struct http_push *push = c->push;
    ssize_t r = 0;
    pthread_mutex_lock(&push->lock);
    /* A chunked body beyond the limit: as if the sink had failed. */
    if (c->rq.sink_limit >= 0 && c->body_seen + n > (uint64_t)c->rq.sink_limit)
        push->too_large = true;
    if (push->too_large || (!push->busy && c->rq.sink_error)) {
        push->drained += n;
        r = push->drained > DRAIN_MAX ? -EFBIG : (ssize_t)n;
    } else {
        size_t take = MIN(n, PUSH_BUFFER - push->n_fill);
        memcpy(push->fill + push->n_fill, data, take);
        push->n_fill += take;
        r = (ssize_t)take;
        if (!push->busy && push->n_fill >= PUSH_WORTH) {
            swap(push);
            push_submit(c);
        }
        if (take < n && push->busy && push->n_fill == PUSH_BUFFER) {
            if (http_suspend(c))
                push->waiting = true;
            else
                r = -ECANCELED;
        } else if (take < n) {
            size_t more = MIN(n - take, PUSH_BUFFER - push->n_fill);
            memcpy(push->fill + push->n_fill, data + take, more);
            push->n_fill += more;
            r += (ssize_t)more;
        }
    }
    pthread_mutex_unlock(&push->lock);
    return r;
}

/* No more will come: the worker goes on to handle(). */
static void push_end(struct http_connection *c)
{
    struct http_push *push = c->push;
    pthread_mutex_lock(&push->lock);
    push->end = true;
    if (!push->busy) {
        if (!c->lost)
            swap(push);
        push_submit(c);
    }
    pthread_mutex_unlock(&push->lock);
}

bool http_push_end(struct http_connection *c)
{
    if (!http_suspend(c))
        return false;
    push_end(c);
    return true;
}

void http_push_lost(struct http_connection *c)
{
    struct http_push *push = c->push;
    pthread_mutex_lock(&push->lock);
    c->lost = true;
    pthread_mutex_unlock(&push->lock);
    push_end(c);
}
