/*
 * Answers: bodies from memory, from files, and pulled from the application.
 *
 * Whatever the thread, an answer is only prepared here; the event loop hands it to
 * libmicrohttpd when the request is its own again.
 *
 * A pulled body has one buffer. The loop takes from it; when it is empty the connection is
 * suspended and a worker fills it again, so next() may block, and a slow client costs a buffer
 * and no thread.
 */
#include "base/json.h"
#include "base/log.h"
#include "http/internal.h"

#include <errno.h>

#define COPY_TO_ARENA_MAX ((size_t)32 << 10)
#define PULL_BUFFER ((size_t)128 << 10)
#define PULL_BLOCK ((size_t)64 << 10)

LOG_MODULE("http");

/* Headers that are libmicrohttpd's or ours to say. */
static bool reserved(const char *name)
{
    static const char *const NAMES[] = { "Content-Length", "Transfer-Encoding", "Connection", "Date",
                                         "X-Openstack-Request-Id", "Upgrade" };
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (strcasecmp(name, NAMES[i]) == 0)
            return true;
    return false;
}

void http_set_header(struct http_request *rq, const char *name, const char *value)
{
    if (!value || reserved(name))
        return;
    for (const char *s = value; *s; s++) {
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 127) {
            log_warning("dropped a header with a control character", KV("name", name));
            return;
        }
    }
    (void)vec_push(rq->arena, &rq->self->headers,
                   ((struct pair){ arena_strdup(rq->arena, name), arena_strdup(rq->arena, value) }));
}

/* The answer is 'response', which is taken over; null: there was no memory for it. */
static void answer_with(struct http_request *rq, int status, const char *type, struct MHD_Response *response,
                        uint64_t size)
{
    struct http_connection *c = rq->self;
    if (c->response) {
        log_error("a request was answered twice", KV("path", rq->path), KV("status", status));
        if (response)
            MHD_destroy_response(response);
        return;
    }
    if (response && arena_failed(rq->arena)) {
        /* Something of this answer may be missing. */
        MHD_destroy_response(TAKE_PTR(response));
        c->headers = (struct strmap){ 0 };
    }
    if (!response) {
        static const char TEXT[] = "{\"error\": {\"code\": 500, \"title\": \"Internal Server Error\", "
                                   "\"message\": \"The server is out of memory.\"}}";
        log_error("no memory for an answer", KV("path", rq->path), KV("status", status));
        http_pull_free(TAKE_PTR(c->pull));
        response = MHD_create_response_from_buffer(sizeof(TEXT) - 1, (void *)(uintptr_t)TEXT,
                                                   MHD_RESPMEM_PERSISTENT);
        if (!response) {
            c->close = true;
            c->status = 500;
            return;                 /* the connection is cut */
        }
        status = 500;
        type = "application/json";
        size = sizeof(TEXT) - 1;
    }
    if (type)
        (void)MHD_add_response_header(response, "Content-Type", type);
    if (rq->id[0])
        (void)MHD_add_response_header(response, "X-Openstack-Request-Id", rq->id);
    VEC_FOREACH(header, &c->headers)
        (void)MHD_add_response_header(response, header->key, header->value);
    if (c->close || (c->server->stopping && status != 101))
        (void)MHD_add_response_header(response, "Connection", "close");
    c->response = response;
    c->status = status;
    c->answer_size = STREQ(rq->method, "HEAD") ? 0 : size;
}

void http_answer(struct http_request *rq, int status, const char *type, const void *body, size_t size)
{
    struct MHD_Response *response = NULL;
    if (size <= COPY_TO_ARENA_MAX) {
        /* The arena outlives the sending. */
        void *copy = arena_memdup(rq->arena, body, size);
        if (copy)
            response = MHD_create_response_from_buffer(size, copy, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer(size, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    }
    answer_with(rq, status, type, response, size);
}

void http_answer_buf(struct http_request *rq, int status, const char *type, struct buf *body)
{
    size_t size = body->len;
    struct MHD_Response *response = NULL;
    char *text = buf_take(body);
    if (text) {
        response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
        if (!response)
            free(text);
    }
    answer_with(rq, status, type, response, size);
}

void http_answer_file(struct http_request *rq, int status, const char *type, int fd, uint64_t offset,
                      uint64_t size)
{
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(size, fd, offset);
    if (!response)
        (void)close(fd);
    answer_with(rq, status, type, response, size);
}

void http_answer_error(struct http_request *rq, int status, const char *message)
{
    _cleanup_(buf_done) struct buf body = BUF_MAX(4096);
    struct json_out o = JSON_OUT(&body);
    json_open_object(&o);
    json_key(&o, "error");
    json_open_object(&o);
    json_put_int(&o, "code", status);
    json_put_string(&o, "title", http_reason(status));
    json_put_string(&o, "message", message);
    json_close_object(&o);
    json_close_object(&o);
    http_answer(rq, status, "application/json", body.data, body.len);
}

/* ---- pulled bodies ---- */

struct http_pull {
    struct http_connection *c;
    struct http_job job;
    ssize_t (*next)(void *cookie, uint64_t offset, char *out, size_t max);
    void (*free_cookie)(void *cookie);
    void *cookie;
    uint64_t size, offset;          /* whole; what has been pulled */
    size_t have, taken;             /* in the buffer; of it given to the loop */
    bool ended;
    int error;
    char *data;
};

void http_pull_free(struct http_pull *pull)
{
    if (!pull)
        return;
    if (pull->free_cookie)
        pull->free_cookie(pull->cookie);
    free(pull->data);
    free(pull);
}

static void pull_run(struct http_job *job)
{
    struct http_pull *pull = CONTAINER_OF(job, struct http_pull, job);
    struct http_connection *c = pull->c;
    size_t want = (size_t)MIN((uint64_t)PULL_BUFFER, pull->size - pull->offset);
    log_set_request_id(c->rq.id);
    ssize_t n = pull->data ? pull->next(pull->cookie, pull->offset, pull->data, want) : -ENOMEM;
    if (n < 0 || (size_t)n > want) {
        pull->error = n < 0 ? (int)n : -EIO;
    } else if (n == 0) {
        pull->ended = true;
        if (pull->size != UINT64_MAX && pull->offset < pull->size)
            pull->error = -EIO;     /* shorter than was promised */
    } else {
        pull->have = (size_t)n;
        pull->taken = 0;
        pull->offset += (uint64_t)n;
    }
    if (pull->error)
        log_warning("an answer's body broke off", KV("path", c->rq.path), KV("error", strerror(-pull->error)));
    log_set_request_id(NULL);
    http_resume(c);
}

static ssize_t pull_read(void *cls, uint64_t position, char *out, size_t max)
{
    (void)position;
    struct http_pull *pull = cls;
    struct http_connection *c = pull->c;
    if (pull->taken < pull->have) {
        size_t n = MIN(max, pull->have - pull->taken);
        memcpy(out, pull->data + pull->taken, n);
        pull->taken += n;
        if (c->answer_size == UINT64_MAX)
            c->streamed += n;
        return (ssize_t)n;
    }
    if (pull->error || c->server->cutting)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (pull->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!pull->data)
        pull->data = malloc(PULL_BUFFER);
    if (!http_suspend(c))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    http_submit(c->server, &pull->job);
    return 0;
}

void http_answer_stream(struct http_request *rq, int status, const char *type, uint64_t size,
                        ssize_t (*next)(void *cookie, uint64_t offset, char *out, size_t max),
                        void (*free_cookie)(void *cookie), void *cookie)
{
    struct http_connection *c = rq->self;
    struct MHD_Response *response = NULL;
    struct http_pull *pull = calloc(1, sizeof(*pull));
    if (!pull || c->response) {
        free(pull);
        if (free_cookie)
            free_cookie(cookie);
    } else {
        *pull = (struct http_pull){ .c = c, .next = next, .free_cookie = free_cookie, .cookie = cookie,
                                    .size = size, .job.run = pull_run };
        c->pull = pull;
        response = MHD_create_response_from_callback(size == UINT64_MAX ? MHD_SIZE_UNKNOWN : size, PULL_BLOCK,
                                                     pull_read, pull, NULL);
    }
    answer_with(rq, status, type, response, size);
}

/* ---- another protocol ---- */

void http_answer_upgrade(struct http_request *rq, const char *protocol, struct MHD_Response *response)
{
    if (response)
        (void)MHD_add_response_header(response, "Upgrade", protocol);
    answer_with(rq, 101, NULL, response, 0);
}
