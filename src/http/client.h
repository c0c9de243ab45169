/*
 * The HTTP client, on libcurl: for the agent's calls, web downloads, engines with an HTTP API.
 */
#ifndef YUNDUO_HTTP_CLIENT_H
#define YUNDUO_HTTP_CLIENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/vec.h"

struct http_client;                 /* keeps connections; one thread at a time */

struct http_client_options {
    const char *unix_path;          /* connect here, whatever the URL's host says */
    const char *ca, *cert, *key;    /* PEM files for mutual TLS */
    usec_t timeout;                 /* of a whole call; 0: a minute */
};
int http_client_new(const struct http_client_options *o, struct http_client **ret);
void http_client_free(struct http_client *c);
static inline void http_client_freep(struct http_client **c)
{
    http_client_free(*c);
}

struct http_call {
    const char *method;             /* null: GET */
    const char *url;
    struct strmap headers;
    const void *body;               /* sent whole */
    size_t body_size;
    /* or pulled: at most 'max' bytes to 'out', 0 at the end, negative aborts */
    ssize_t (*read)(void *arg, char *out, size_t max);
    /* where the answer's body goes: 'into' (up to its max) or pushed to 'write' (negative aborts);
     * answers of 400 and above always go to 'into' when it is set */
    struct buf *into;
    int (*write)(void *arg, const void *data, size_t n);
    void *arg;
    usec_t timeout;                 /* overrides */
    int64_t body_length;            /* of a pulled body; -1: chunked */
    /* Asked about each address (text, without port) before it is connected to, by a caller that
     * must not be led to private ones. Null: no check. False refuses; if no address was allowed
     * the call ends with -EACCES. Redirects are never followed. */
    bool (*allow_address)(void *arg, const char *address);
};
struct http_reply {
    int status;
    struct strmap headers;          /* names in lower case; in the arena */
};
/* 0 with a status, whatever it is. An error of read() or write() ends the call with it; -EFBIG:
 * the answer is larger than 'into'; negative errno when there was no answer (-ECONNREFUSED,
 * -ETIMEDOUT, -ECANCELED when interrupted ...). */
int http_client_call(struct http_client *c, const struct http_call *call, struct arena *a, struct http_reply *ret);
/* From another thread: the call under way, or if there is none the next one, ends with
 * -ECANCELED. */
void http_client_interrupt(struct http_client *c);

#endif
