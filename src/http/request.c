/*
 * A request's way through the server.
 *
 * libmicrohttpd calls the access handler once when the head is in, then for each piece of the
 * body, then with nothing when the body is complete, and again after each resume. An answer can
 * be queued at the first call (the rest of the connection is lost then) or when the body is
 * complete; so a request that is refused early with a small body has it drained first, and the
 * connection lives on.
 */
#include "base/log.h"
#include "http/internal.h"

#include <errno.h>

/* A body of this length is given its memory before it comes. */
#define BODY_AT_ONCE ((int64_t)64 << 10)
/* A refused body up to here is read and dropped; of a larger one the connection is cut. */
#define DRAIN_MAX ((uint64_t)64 << 20)

LOG_MODULE("http.access");

COUNTER(requests, "http_requests_total", "Requests answered or given up.");
COUNTER(request_time, "http_request_microseconds_total", "Time from request line to the end of the answer.");
COUNTER(client_errors, "http_answers_4xx_total", "Answers that said the client was wrong.");
COUNTER(server_errors, "http_answers_5xx_total", "Answers that said the server was wrong.");
COUNTER(given_up, "http_requests_lost_total", "Requests whose client went before it had the answer.");
GAUGE(under_way, "http_requests_under_way", "Requests being worked on.");

bool http_suspend(struct http_connection *c)
{
    struct http_server *s = c->server;
    atomic_fetch_add(&s->suspended, 1);
    if (s->cutting) {
        atomic_fetch_sub(&s->suspended, 1);
        http_note_progress(s);
        return false;
    }
    http_peer_phase(c->peer, PHASE_OURS);
    MHD_suspend_connection(c->mhd);
    return true;
}

void http_resume(struct http_connection *c)
{
    struct http_server *s = c->server;
    MHD_resume_connection(c->mhd);
    atomic_fetch_sub(&s->suspended, 1);
    http_note_progress(s);
}

void *http_on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_listener *l = cls;
    struct http_connection *c = http_connection_take(l->server);
    if (!c)
        return NULL;
    atomic_fetch_add(&l->server->active, 1);
    counter_add(&under_way, 1);
    c->mhd = mhd;
    c->rq.begun = clock_mono();
    c->target = arena_strdup(c->rq.arena, target);
    c->rq.raw_path = c->target;     /* for the log, should the head be refused before we see it */
    char uuid[UUID_TEXT_SIZE];
    memcpy(c->rq.id, "req-", 4);
    memcpy(c->rq.id + 4, uuid_text(uuid), UUID_TEXT_SIZE);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    c->peer = info ? info->socket_context : NULL;
    if (!c->peer) {
        http_finish(c);
        return NULL;
    }
    return c;
}

static void log_access(struct http_connection *c)
{
    struct http_request *rq = &c->rq;
    usec_t took = clock_mono() - rq->begun;
    counter_inc(&requests);
    counter_add(&request_time, took);
    if (c->status >= 500)
        counter_inc(&server_errors);
    else if (c->status >= 400)
        counter_inc(&client_errors);
    log_info("request", KV("method", rq->method), KV("path", rq->raw_path), KV("status", c->status),
             KV("bytes", c->answer_size == UINT64_MAX ? c->streamed : c->answer_size), KV("usec", took),
             KV("peer", rq->peer));
}

void http_finish(struct http_connection *c)
{
    struct http_server *s = c->server;
    log_set_request_id(c->rq.id);
    if (c->parked)
        http_park_drop(c);
    http_pull_free(TAKE_PTR(c->pull));
    if (c->upgrade)
        http_upgrade_give_up(TAKE_PTR(c->upgrade));
    if (c->response)
        MHD_destroy_response(TAKE_PTR(c->response));
    log_access(c);
    if (c->began && s->app.done)
        s->app.done(&c->rq, s->app.app);
    log_set_request_id(NULL);
    http_push_free(TAKE_PTR(c->push));
    http_connection_give(c);
    counter_add(&under_way, -1);
    atomic_fetch_sub(&s->active, 1);
    http_note_progress(s);
}

void http_on_completed(void *cls, struct MHD_Connection *mhd, void **ctx, enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)mhd;
    struct http_connection *c = TAKE_PTR(*ctx);
    if (!c)
        return;
    if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        counter_inc(&given_up);
    c->mhd = NULL;
    http_peer_phase(c->peer, PHASE_HEAD);
    if (c->push && c->step == STEP_BODY)
        http_push_lost(c);
    else
        http_finish(c);
}

/* The prepared answer goes to libmicrohttpd. */
static enum MHD_Result queue(struct http_connection *c)
{
    if (!c->response)
        return MHD_NO;
    c->step = STEP_SENT;
    http_peer_phase(c->peer, PHASE_OURS);
    enum MHD_Result r = MHD_queue_response(c->mhd, (unsigned)c->status, c->response);
    MHD_destroy_response(TAKE_PTR(c->response));
    return r;
}

static void run_handle(struct http_connection *c)
{
    struct http_app *app = &c->server->app;
    app->handle(&c->rq, app->app);
    if (!c->response && !c->parked && !(c->close && c->status)) {
        log_error("a request was left without an answer", KV("path", c->rq.path));
        http_answer_error(&c->rq, 500, "The request was not answered.");
    }
}

void http_settle(struct http_connection *c)
{
    if (c->parked)
        http_park_arm(c);
    else if (c->lost)
        http_finish(c);
    else
        http_resume(c);
}

void http_handle(struct http_connection *c)
{
    if (c->lost && !c->rq.sink_error)
        c->rq.sink_error = -EPIPE;
    log_set_request_id(c->rq.id);
    run_handle(c);
    log_set_request_id(NULL);
    http_settle(c);
}

static void handle_job(struct http_job *job)
{
    http_handle(CONTAINER_OF(job, struct http_connection, job));
}

/* The body is complete. */
static enum MHD_Result dispatch(struct http_connection *c)
{
    struct http_request *rq = &c->rq;
    if (rq->sink) {
        c->step = STEP_WAIT;
        if (http_push_end(c))
            return MHD_YES;
        c->step = STEP_BODY;
        return MHD_NO;
    }
    rq->body = buf_text(&c->body);
    rq->body_size = c->body.len;
    if (rq->mode == HTTP_WORKER) {
        c->step = STEP_WAIT;
        if (!http_suspend(c))
            return MHD_NO;
        c->job.run = handle_job;
        http_submit(c->server, &c->job);
        return MHD_YES;
    }
    log_set_request_id(rq->id);
    run_handle(c);
    log_set_request_id(NULL);
    if (!c->parked)
        return queue(c);
    c->step = STEP_WAIT;
    if (!http_suspend(c))
        return MHD_NO;
    http_park_arm(c);
    return MHD_YES;
}

/* Answered although the body is still to come. */
static enum MHD_Result answered_early(struct http_connection *c)
{
    int64_t length = c->rq.content_length;
    bool waits = http_header(&c->rq, "Expect") != NULL;
    c->step = STEP_DRAIN;
    http_peer_phase(c->peer, PHASE_BODY);
    if (c->close || (length != 0 && waits) || length > (int64_t)DRAIN_MAX)
        return queue(c);
    return MHD_YES;
}

static enum MHD_Result refuse(struct http_connection *c, int status, const char *message)
{
    http_answer_error(&c->rq, status, message);
    return answered_early(c);
}

/* What begins with a sink may outlive the connection: it must not point into it. */
static bool detach(struct http_connection *c)
{
    struct http_request *rq = &c->rq;
    VEC_FOREACH(field, &c->fields) {
        field->key = arena_strdup(rq->arena, field->key);
        field->value = arena_strdup(rq->arena, field->value);
    }
    rq->host = arena_strdup(rq->arena, rq->host);
    rq->peer = arena_strdup(rq->arena, rq->peer);
    rq->tls_peer_name = arena_strdup(rq->arena, rq->tls_peer_name);
    return !arena_failed(rq->arena) && http_push_new(c) == 0;
}

static enum MHD_Result head_seen(struct http_connection *c, const char *method, const char *version)
{
    struct http_request *rq = &c->rq;
    struct fault fault = { 0 };
    int r = http_head_parse(c, method, version, &fault);
    if (r < 0)
        return refuse(c, 500, "The server is out of memory.");
    if (r == FAULT)
        return refuse(c, fault.status, fault.message);

    c->began = true;
    r = c->server->app.begin(rq, c->server->app.app);
    if (c->response)
        return answered_early(c);
    if (r != 0) {
        log_error("a request's begin failed", KV("path", rq->path), KV("error", r));
        return refuse(c, 500, "The request could not be begun.");
    }
    if (rq->sink) {
        if (rq->sink_limit >= 0 && rq->content_length > rq->sink_limit)
            return refuse(c, 413, "The body is too large.");
        if (!detach(c))
            return refuse(c, 500, "The server is out of memory.");
    } else {
        if (rq->content_length > 0 && (uint64_t)rq->content_length > rq->body_limit)
            return refuse(c, 413, "The body is too large.");
        c->body.max = MAX(rq->body_limit, (size_t)1);
    }
    c->step = STEP_BODY;
    if (rq->content_length != 0)
        http_peer_phase(c->peer, PHASE_BODY);
    return MHD_YES;
}

static enum MHD_Result body_piece(struct http_connection *c, const char *data, size_t *size)
{
    struct http_request *rq = &c->rq;
    if (rq->sink) {
        /* It may just have been resumed; the client's turn begins then. */
        if (c->peer->phase != PHASE_BODY)
            http_peer_phase(c->peer, PHASE_BODY);
        atomic_fetch_add_explicit(&c->peer->bytes, *size, memory_order_relaxed);
        ssize_t taken = http_push_data(c, data, *size);
        if (taken < 0)
            return MHD_NO;
        c->body_seen += (uint64_t)taken;
        *size -= (size_t)taken;
        return MHD_YES;
    }
    if (c->body_seen == 0 && rq->content_length > 0 && rq->content_length <= BODY_AT_ONCE)
        (void)buf_reserve(&c->body, (size_t)rq->content_length);
    atomic_fetch_add_explicit(&c->peer->bytes, *size, memory_order_relaxed);
    buf_add(&c->body, data, *size);
    c->body_seen += *size;
    *size = 0;
    if (buf_error(&c->body)) {
        int r = buf_error(&c->body);
        buf_done(&c->body);
        http_answer_error(rq, r == -EFBIG ? 413 : 500,
                          r == -EFBIG ? "The body is too large." : "The server is out of memory.");
        c->step = STEP_DRAIN;
    }
    return MHD_YES;
}

enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *data, size_t *size, void **ctx)
{
    (void)cls;
    (void)mhd;
    (void)url;
    struct http_connection *c = *ctx;
    if (!c || c->server->cutting)
        return MHD_NO;
    enum MHD_Result r = MHD_NO;
    switch (c->step) {
    case STEP_HEAD:
        log_set_request_id(c->rq.id);
        r = head_seen(c, method, version);
        log_set_request_id(NULL);
        return r;
    case STEP_BODY:
        return *size ? body_piece(c, data, size) : dispatch(c);
    case STEP_DRAIN:
        if (*size == 0)
            return queue(c);
        c->body_seen += *size;
        atomic_fetch_add_explicit(&c->peer->bytes, *size, memory_order_relaxed);
        *size = 0;
        return c->body_seen <= DRAIN_MAX ? MHD_YES : MHD_NO;
    case STEP_WAIT:
        return queue(c);
    case STEP_SENT:
        *size = 0;
        return MHD_YES;
    }
    return MHD_NO;
}
