/*
 * Upgrades: a connection that leaves HTTP gets a thread of its own with the bare socket.
 *
 * run() is called exactly once for each http_upgrade(), with fd -1 when the client was gone
 * before it came to that: its argument is always given back.
 */
#include "base/log.h"
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

LOG_MODULE("http.upgrade");
GAUGE(upgraded_count, "http_upgraded_connections", "Connections that speak another protocol now.");

struct http_upgraded {
    struct http_server *server;
    struct http_upgraded *next, **at;       /* in the server's list while it runs */
    struct MHD_UpgradeResponseHandle *handle;
    struct http_connection *c;              /* until the switch */
    int fd;
    void (*run)(int fd, const void *extra, size_t extra_size, void *arg);
    void *arg;
    char *extra;
    size_t extra_size;
};

void http_upgrade_give_up(struct http_upgraded *u)
{
    u->run(-1, NULL, 0, u->arg);
    free(u->extra);
    free(u);
}

static void *upgraded_main(void *arg)
{
    struct http_upgraded *u = arg;
    struct http_server *s = u->server;
    counter_add(&upgraded_count, 1);
    u->run(u->fd, u->extra, u->extra_size, u->arg);
    counter_add(&upgraded_count, -1);
    pthread_mutex_lock(&s->idle_lock);
    u->fd = -1;                     /* http_upgraded_cut() must not take its successor for it */
    pthread_mutex_unlock(&s->idle_lock);
    /* Without the lock, which is taken below libmicrohttpd's own elsewhere. */
    (void)MHD_upgrade_action(u->handle, MHD_UPGRADE_ACTION_CLOSE);
    pthread_mutex_lock(&s->idle_lock);
    *u->at = u->next;
    if (u->next)
        u->next->at = u->at;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->idle_lock);
    free(u->extra);
    free(u);
    return NULL;
}

static void switched(void *cls, struct MHD_Connection *mhd, void *ctx, const char *extra, size_t extra_size,
                     MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    (void)mhd;
    (void)ctx;
    struct http_upgraded *u = cls;
    struct http_server *s = u->server;
    if (u->c)
        u->c->upgrade = NULL;
    u->c = NULL;
    u->handle = handle;
    u->fd = fd;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    bool lost = false;
    if (extra_size) {
        u->extra = malloc(extra_size);
        lost = !u->extra;
        if (u->extra)
            memcpy(u->extra, extra, extra_size);
        u->extra_size = extra_size;
    }
    pthread_mutex_lock(&s->idle_lock);
    pthread_t thread;
    lost = lost || s->cutting;
    if (!lost) {
        u->next = s->upgraded;
        u->at = &s->upgraded;
        if (u->next)
            u->next->at = &u->next;
        s->upgraded = u;
        if (http_thread(&thread, upgraded_main, u) == 0) {
            (void)pthread_detach(thread);
        } else {
            lost = true;
            *u->at = u->next;
            if (u->next)
                u->next->at = u->at;
        }
    }
    pthread_mutex_unlock(&s->idle_lock);
    if (lost) {
        log_error("no thread for an upgraded connection");
        (void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
        http_upgrade_give_up(u);
    }
}

void http_upgrade(struct http_request *rq, const char *protocol,
                  void (*run)(int fd, const void *extra, size_t extra_size, void *arg), void *arg)
{
    struct http_connection *c = rq->self;
    struct http_upgraded *u = c->response || c->lost ? NULL : calloc(1, sizeof(*u));
    if (!u) {
        run(-1, NULL, 0, arg);
        if (!c->response)
            http_answer_error(rq, 500, "The server is out of memory.");
        return;
    }
    *u = (struct http_upgraded){ .server = c->server, .c = c, .fd = -1, .run = run, .arg = arg };
    c->upgrade = u;
    http_answer_upgrade(rq, protocol, MHD_create_response_for_upgrade(switched, u));
}

void http_upgraded_cut(struct http_server *s)
{
    pthread_mutex_lock(&s->idle_lock);
    for (struct http_upgraded *u = s->upgraded; u; u = u->next)
        if (u->fd >= 0)
            (void)shutdown(u->fd, SHUT_RDWR);
    while (s->upgraded)
        (void)pthread_cond_wait(&s->idle, &s->idle_lock);
    pthread_mutex_unlock(&s->idle_lock);
}
