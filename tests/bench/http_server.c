/*
 * A tiny server to measure the HTTP floor with: http-bench-server PORT [WORKERS].
 *
 *   /inline/N   N bytes from the event loop's thread
 *   /worker/N   N bytes from a worker
 *   /sink       counts a body
 *   /stream     a gibibyte, pulled
 */
#include "base/log.h"
#include "http/http.h"

#include <signal.h>

static char page[1 << 20];

static int sink_write(struct http_request *rq, const void *data, size_t n)
{
    (void)rq;
    (void)data;
    (void)n;
    return 0;
}
static const struct http_sink SINK = { sink_write };

static int begin(struct http_request *rq, void *app)
{
    (void)app;
    rq->mode = str_starts(rq->path, "/inline") ? HTTP_INLINE : HTTP_WORKER;
    rq->body_limit = 1 << 20;
    if (STREQ(rq->path, "/sink"))
        rq->sink = &SINK;
    return 0;
}

static ssize_t next(void *cookie, uint64_t offset, char *out, size_t max)
{
    (void)cookie;
    (void)offset;
    memset(out, 'x', max);
    return (ssize_t)max;
}

static void handle(struct http_request *rq, void *app)
{
    (void)app;
    if (STREQ(rq->path, "/stream")) {
        http_answer_stream(rq, 200, "application/octet-stream", 1 << 30, next, NULL, NULL);
        return;
    }
    const char *number = strrchr(rq->path, '/');
    size_t n = number ? strtoul(number + 1, NULL, 10) : 0;
    http_answer(rq, 200, "application/json", page, MIN(n, sizeof(page)));
}

int main(int argc, char **argv)
{
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    if (getenv("LOG_LEVELS") && log_set_levels(getenv("LOG_LEVELS")) < 0)
        return 2;
    char listen[64];
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%s", argc > 1 ? argv[1] : "0");
    memset(page, 'y', sizeof(page));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    struct http_options o = { .listen = listen, .app = { begin, handle, NULL, NULL },
                              .threads = getenv("THREADS") ? (unsigned)atoi(getenv("THREADS")) : 0,
                              .workers = argc > 2 ? (unsigned)atoi(argv[2]) : 0 };
    struct http_server *s = NULL;
    struct fault fault = { 0 };
    if (http_server_start(&o, &s, &fault) != 0) {
        fprintf(stderr, "%s\n", fault.message);
        return 1;
    }
    printf("%u\n", http_server_port(s));
    fflush(stdout);
    int got;
    (void)sigwait(&set, &got);
    http_server_stop(s, SECONDS(5));
    return 0;
}
