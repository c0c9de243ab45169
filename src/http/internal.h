/*
 * The HTTP server's own parts, shared by its files only.
 *
 * One struct http_connection is one request: it is taken from the server's list of spare ones
 * when the request line is in and goes back when the answer has left. Each has one owner at a
 * time: the event loop's thread, or, while libmicrohttpd has the connection suspended, the
 * worker that runs its job. Whoever gives it away (http_submit(), MHD_resume_connection(),
 * http_park_arm()) must not touch it afterwards.
 */
#ifndef YUNDUO_HTTP_INTERNAL_H
#define YUNDUO_HTTP_INTERNAL_H

#include "base/counter.h"
#include "http/http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

enum http_step {
    STEP_HEAD,          /* the access handler has not been called yet */
    STEP_BODY,          /* the body is read into memory or for a sink */
    STEP_DRAIN,         /* answered early; the rest of a small body is read and dropped */
    STEP_WAIT,          /* suspended: a worker has it, or it is parked */
    STEP_SENT,          /* the answer is with libmicrohttpd */
};

/* What a worker is asked to run; embedded, so that submitting can't fail. */
struct http_job {
    struct http_job *next;
    void (*run)(struct http_job *job);
};

/* What the client is expected to do; see sweep.c. */
enum http_phase {
    PHASE_HEAD,         /* to send a request, or to be idle */
    PHASE_BODY,         /* to send a body */
    PHASE_OURS,         /* to wait, or to read: libmicrohttpd looks after that */
};

/* The peer of a connection, across its requests. */
struct http_peer {
    struct http_peer *next, **at;   /* in the server's list */
    int fd;
    _Atomic enum http_phase phase;
    _Atomic int64_t since;          /* the phase's begin, real monotonic time */
    _Atomic uint64_t bytes;         /* of a body, since then */
    uint64_t swept;                 /* what 'bytes' was at the last sweep */
    char address[112];
    bool local, tls, tls_checked;
    char tls_name[256];
};

struct http_upgraded;
struct http_push;
struct http_pull;

struct http_connection {
    struct http_request rq;
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct http_peer *peer;
    struct http_connection *next;   /* in the list of spare ones */
    enum http_step step;
    bool began;                     /* begin() ran, so done() is due */
    bool close;                     /* the connection ends with this answer */
    bool lost;                      /* the client is gone; libmicrohttpd has forgotten the request */
    bool told_to_stop;              /* was woken for the server's stop: must not park again */
    char *target;                   /* request target as it was sent */
    struct strmap fields;           /* the request's headers; strings are libmicrohttpd's or the arena's */
    struct buf body;
    uint64_t body_seen;             /* bytes of the body so far */
    struct http_job job;

    /* the answer */
    struct strmap headers;
    struct MHD_Response *response;
    int status;
    uint64_t answer_size;           /* UINT64_MAX: not known before */
    uint64_t streamed;              /* then: bytes so far */
    struct http_pull *pull;
    struct http_upgraded *upgrade;
    struct http_push *push;
    struct http_parked *parked;
};

struct http_listener {
    bool adopts;                    /* no socket of its own: http_server_adopt() */
    struct MHD_Daemon *daemon;
    bool local, tls;
    struct http_server *server;
};

struct http_server {
    struct http_app app;
    unsigned workers_max;
    unsigned port;
    char *unix_path;
    char *tls_cert, *tls_key, *tls_ca;      /* texts */
    struct http_listener listeners[2];
    _Atomic bool stopping;                  /* finish what is under way */
    _Atomic bool cutting;                   /* give up what is under way */
    _Atomic int active;                     /* requests under way */
    _Atomic int suspended;                  /* of them with a worker or parked */

    pthread_mutex_t spare_lock;
    struct http_connection *spare;
    unsigned n_spare;

    pthread_mutex_t lock;                   /* jobs, workers */
    pthread_cond_t work;
    struct http_job *jobs_head, **jobs_tail;
    unsigned n_workers, n_idle;
    bool waking;                            /* a worker is on its way */
    pthread_t *workers;
    bool ending;

    pthread_cond_t park_changed;            /* of park.c's lock, as the next four */
    struct http_parked *parked;
    pthread_t timer;
    bool timer_runs, timer_ends;

    usec_t timeout;
    pthread_mutex_t peers_lock;
    struct http_peer *peers;
    _Atomic int n_peers;

    pthread_mutex_t idle_lock;              /* for http_server_stop() to wait on */
    pthread_cond_t idle;
    struct http_upgraded *upgraded;
};

/* ---- server.c ---- */
/* A request of this server went or was resumed: lets http_server_stop() look again. */
void http_note_progress(struct http_server *s);
struct http_connection *http_connection_take(struct http_server *s);
void http_connection_give(struct http_connection *c);

/* ---- request.c ---- */
/* The request is over: log line, done(), back to the spare ones. */
void http_finish(struct http_connection *c);
/* Runs handle() on a worker and settles. */
void http_handle(struct http_connection *c);
void *http_on_target(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *data, size_t *size, void **ctx);
void http_on_completed(void *cls, struct MHD_Connection *mhd, void **ctx, enum MHD_RequestTerminationCode why);
/* On the loop's thread: takes the connection out of the loop. False: the server is giving up. */
bool http_suspend(struct http_connection *c);
/* From a worker that owns it: back to the loop. */
void http_resume(struct http_connection *c);
/* After the application had the request: goes on with the answer, or parks it. On a worker. */
void http_settle(struct http_connection *c);

/* ---- head.c ---- */
/* Checks and fills in the request's head. 0, or FAULT with the status and sentence to refuse it with. */
int http_head_parse(struct http_connection *c, const char *method, const char *version, struct fault *fault);

/* ---- answer.c ---- */
/* An error that the server makes itself: {"error": {"code", "title", "message"}}. */
void http_answer_error(struct http_request *rq, int status, const char *message);
void http_pull_free(struct http_pull *pull);
/* 101 with "response", which is of the upgrade kind. */
void http_answer_upgrade(struct http_request *rq, const char *protocol, struct MHD_Response *response);

/* ---- sink.c ---- */
int http_push_new(struct http_connection *c);
/* Takes what it can of 'n' bytes; the rest comes again when the worker has caught up (the
 * connection is suspended then). Returns how many were taken; negative: the server gives up. */
ssize_t http_push_data(struct http_connection *c, const char *data, size_t n);
/* The body is complete: what is left is written, then handle() runs. 'c' is given away unless
 * this returns false: the server gives up. */
bool http_push_end(struct http_connection *c);
/* The client is gone in the middle: handle() runs with -EPIPE, then the request ends. 'c' is given away. */
void http_push_lost(struct http_connection *c);
void http_push_free(struct http_push *push);

/* ---- worker.c ---- */
void http_submit(struct http_server *s, struct http_job *job);
int http_workers_start(struct http_server *s);
void http_workers_end(struct http_server *s);
/* A thread with our stack size and SIGPIPE blocked. 0 or negative errno. */
int http_thread(pthread_t *ret, void *(*run)(void *arg), void *arg);

/* ---- park.c ---- */
/* The request is suspended: from here on the parked one may wake. 'c' is given away. */
void http_park_arm(struct http_connection *c);
/* It was parked but never armed: forget it. */
void http_park_drop(struct http_connection *c);
void http_park_stop(struct http_server *s);
void http_park_end(struct http_server *s);

/* Something for the timer's thread to look at: starts it, or wakes it. */
int http_timer_poke(struct http_server *s);

/* ---- sweep.c ---- */
void http_peer_add(struct http_server *s, struct http_peer *peer);
void http_peer_remove(struct http_server *s, struct http_peer *peer);
/* The client's turn to do something else. */
void http_peer_phase(struct http_peer *peer, enum http_phase phase);
/* Cuts who is too slow. Once a second while there are connections. */
void http_sweep(struct http_server *s);
/* Whether the client has closed its end. */
bool http_peer_gone(const struct http_peer *peer);

/* ---- upgrade.c ---- */
void http_upgrade_give_up(struct http_upgraded *u);
/* Breaks the sockets of what still runs; the threads end then. */
void http_upgraded_cut(struct http_server *s);

#endif
