/*
 * The HTTP server, and all that services see of it.
 *
 * An application gives three functions. 'begin' sees the head of a request and decides how it
 * goes on: the body read into memory up to a limit, or streamed to a sink as fast as the sink
 * takes it; the answer made on the event loop's own thread (quick reads) or on a worker (all
 * that writes, hashes or waits). 'handle' runs when the body is complete and gives the answer.
 * 'done' runs once when the answer has left or the client has gone.
 *
 * The requests that make proxies and servers disagree are refused before 'begin' (400): length
 * and chunked together, more than one length, any coding but chunked, not exactly one Host
 * (HTTP/1.1), control characters in the target or a header's value.
 *
 * libmicrohttpd does the parsing and the sockets; nothing of it is seen here.
 */
#ifndef YUNDUO_HTTP_HTTP_H
#define YUNDUO_HTTP_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/vec.h"

struct http_server;
struct http_request;        /* defined below; 'self' is the server's own part */
struct http_connection;

enum http_mode {
    HTTP_INLINE,            /* handle() runs on the event loop: microseconds only */
    HTTP_WORKER,            /* handle() runs on a worker thread and may block */
};

/* Where a streamed body goes. Called on a worker in order, one call at a time. */
struct http_sink {
    /* 0; or negative: the rest of the body is drained or the connection cut, handle() still
     * runs and finds rq->sink_error. */
    int (*write)(struct http_request *rq, const void *data, size_t n);
};

struct http_request {
    const char *method;             /* "GET"; HEAD is seen as HEAD */
    const char *path;               /* decoded, without query; no NUL, no ".." segments left */
    const char *raw_path;           /* as it was sent, without query */
    const char *query;              /* raw, without '?'; null when there is none */
    struct strmap args;             /* decoded query arguments in order; keys may repeat */
    const char *peer;               /* address of the client; "unix" for the local socket */
    bool local;                     /* came over the unix socket */
    bool tls;
    const char *tls_peer_name;      /* common name of a verified client certificate, or null */
    const char *host;               /* of the Host header, for links */
    char id[48];                    /* "req-" and a uuid: the X-Openstack-Request-Id of the answer */
    usec_t begun;                   /* monotonic */
    struct arena *arena;            /* lives as long as the request */

    /* set by begin() */
    enum http_mode mode;
    size_t body_limit;              /* most bytes read into memory; 0: none is expected; beyond: 413 */
    const struct http_sink *sink;   /* stream the body instead */
    int64_t sink_limit;             /* most bytes for the sink, or -1 */

    /* the body when it was read into memory */
    const char *body;               /* NUL-terminated; may hold NULs */
    size_t body_size;
    int64_t content_length;         /* -1: chunked */
    int sink_error;                 /* what the sink failed with; -EPIPE: the client broke off */

    void *app_data;                 /* the application's own */
    struct http_connection *self;
};

struct http_app {
    /* The head is in. 0 to go on; FAULT after answering already (http_answer()); then the body
     * is not read. Runs on the event loop. */
    int (*begin)(struct http_request *rq, void *app);
    /* The body is complete (or its sink failed). Must call exactly one of the http_answer
     * functions, http_park() or http_upgrade(). */
    void (*handle)(struct http_request *rq, void *app);
    /* Once per request for which begin() ran, when the answer has left or was given up. May be null. */
    void (*done)(struct http_request *rq, void *app);
    void *app;
};

struct http_options {
    const char *listen;             /* "127.0.0.1:8700", "[::]:8700"; null: none */
    const char *unix_path;          /* also a unix socket, mode 0660; null: none */
    bool adopt;                     /* serve sockets given to http_server_adopt() instead */
    const char *tls_cert, *tls_key; /* PEM files; null: plain HTTP */
    const char *tls_client_ca;      /* ask for client certificates signed by this CA */
    unsigned threads;               /* event loops; 0: one a core */
    unsigned workers;               /* 0: 32 */
    unsigned connections_max;       /* 0: 8192 */
    usec_t timeout;                 /* idle or too slow a connection; 0: a minute */
    struct http_app app;
};

/* Starts serving. FAULT with a sentence (address in use, bad certificate). */
int http_server_start(const struct http_options *o, struct http_server **ret, struct fault *fault);
/* The port that was bound (for "127.0.0.1:0"). */
unsigned http_server_port(const struct http_server *s);
/* Serves a connected socket that was accepted elsewhere (in another network namespace); the socket
 * is taken over. 'peer' becomes rq->peer: at most 100 characters that say where it came from. */
int http_server_adopt(struct http_server *s, int fd, const char *peer);
/* Accepts nothing new, wakes what is parked (with 'stopping'), finishes what is under way for at
 * most 'grace', then cuts the clients. Handlers that still run are waited for in any case. */
void http_server_stop(struct http_server *s, usec_t grace);

/* A header of the request by its name (without case), or null. */
const char *http_header(const struct http_request *rq, const char *name);
/* Calls fn for each header. */
void http_headers(const struct http_request *rq, void (*fn)(void *arg, const char *name, const char *value),
                  void *arg);
/* The first query argument of that name, or null. */
const char *http_arg(const struct http_request *rq, const char *name);

/* Adds a header to the answer; before answering. A name may come twice. Content-Length,
 * Connection and their like are the server's and ignored. Values with control characters are dropped and logged. */
void http_set_header(struct http_request *rq, const char *name, const char *value);

/* Answers with a body that is copied. 'type' may be null when size is 0. */
void http_answer(struct http_request *rq, int status, const char *type, const void *body, size_t size);
/* Answers with the buffer's text, which is taken over. */
void http_answer_buf(struct http_request *rq, int status, const char *type, struct buf *body);
/* Answers with bytes of an open file, which is taken over; sendfile where possible. */
void http_answer_file(struct http_request *rq, int status, const char *type, int fd, uint64_t offset,
                      uint64_t size);
/* Answers with what 'next' gives, pulled when the last piece has left. 'size': length, or
 * UINT64_MAX for chunked. next: at most 'max' bytes to 'out', 0 at the end, negative cuts the
 * connection. free is called once. */
void http_answer_stream(struct http_request *rq, int status, const char *type, uint64_t size,
                        ssize_t (*next)(void *cookie, uint64_t offset, char *out, size_t max),
                        void (*free_cookie)(void *cookie), void *cookie);

/* Puts the request aside: no thread is held. 'woken' runs on a worker when http_wake() was
 * called or the time is up (or the client has gone, which counts as that), and must answer or,
 * unless the server is stopping, park again. Null: it could not be parked and has its answer;
 * the other two take null. */
struct http_parked;
enum http_wake_reason { HTTP_WOKEN, HTTP_TIMED_OUT, HTTP_STOPPING };
struct http_parked *http_park(struct http_request *rq, usec_t timeout,
                              void (*woken)(struct http_request *rq, void *arg, enum http_wake_reason why),
                              void *arg);
/* Any thread; harmless when it has woken already, and before handle() has returned. Each http_park() result is released once with
 * http_parked_unref(). */
void http_wake(struct http_parked *p);
void http_parked_unref(struct http_parked *p);

/* Switches protocols (WebSocket): answers 101 with the headers set so far, then gives the raw
 * socket to 'run' on a thread of its own; the socket is closed when run returns. 'extra' are
 * bytes that came already. For TLS connections the socket is a pair's end that is plain. The
 * server's stop shuts the socket down and waits for run. run is called exactly once: with fd -1
 * when the client was gone before the switch, so that 'arg' is always given back. */
void http_upgrade(struct http_request *rq, const char *protocol,
                  void (*run)(int fd, const void *extra, size_t extra_size, void *arg), void *arg);

/* ---- text helpers of the protocol ---- */

/* Percent-decodes in place; false on a bad escape or NUL. */
bool url_decode(char *s, bool plus_is_space);
/* Percent-encodes all but unreserved characters and those in 'safe'. */
void url_encode(struct buf *out, const char *s, const char *safe);
/* "bytes=0-99" against a size. 0 and the one range; FAULT: not satisfiable (416); 2: no or
 * ignored range (answer whole). RFC 9110 14. */
int http_range(const char *header, uint64_t size, uint64_t *ret_first, uint64_t *ret_length);
const char *http_reason(int status);

#endif
