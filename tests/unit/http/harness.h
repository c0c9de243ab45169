/*
 * For the tests of the HTTP server: a server on a free port whose application is told by the
 * path what to do, and a client that is a bare socket, so that a test says every byte.
 */
#ifndef YUNDUO_TESTS_HTTP_HARNESS_H
#define YUNDUO_TESTS_HTTP_HARNESS_H

#include "base/buf.h"
#include "base/counter.h"
#include "base/log.h"
#include "http/http.h"

#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* What the application has seen; under 'lock'. */
struct harness {
    struct http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned begun, handled, done;
    uint64_t sunk;                  /* bytes that the sink took */
    uint64_t sunk_sum;              /* of their values */
    int sink_error;                 /* that handle() found */
    unsigned streams_freed;
    bool gate_open;                 /* "/gate" waits for it on its worker */
    struct http_parked *parked;     /* of "/park" */
    unsigned upgrades_ended;
    char dir[32];
    char unix_path[64];
};

/* Options may be null: TCP and unix socket, one loop thread, four workers. */
void harness_start(struct harness *h, const struct http_options *o);
void harness_stop(struct harness *h, usec_t grace);
/* Waits (bounded) until *counter is at least n. */
void harness_wait(struct harness *h, const unsigned *counter, unsigned n);
void harness_open_gate(struct harness *h);

int harness_connect(const struct harness *h);
int harness_connect_unix(const struct harness *h);
void send_text(int fd, const char *text);
/* Reads one answer: head, and body by length or chunks (joined); for HEAD no body. */
struct answer {
    int status;
    char head[4096];
    char *body;
    size_t body_size;
    bool keeps;                     /* no "Connection: close" */
};
/* False: the connection ended before a whole answer was there. */
bool read_answer(int fd, bool head_only, struct answer *ret);
void answer_done(struct answer *a);
/* The value of a header of the answer in 'out', or "". */
const char *answer_header(const struct answer *a, const char *name, char *out, size_t size);
/* The peer has closed: read gives nothing more. */
bool at_end(int fd);
/* One request on a connection of its own; the status, 0 if there was no answer. */
int one_shot(const struct harness *h, const char *request, struct answer *ret);

#endif
