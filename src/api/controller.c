/* Controllers: a thread and a watch each. See the header. */
#include "api/controller.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

LOG_MODULE("api.controller");

#define INTERVAL_DEFAULT SECONDS(30)
#define RETRY_FIRST (100 * USEC_PER_MSEC)
#define CHANGES_MAX 256

struct controller {
    struct api *api;
    const struct controller_class *class;
    struct watch *watch;
    pthread_t thread;
    _Atomic bool stopping, kicked;
};

static int run_step(struct controller *c, const struct change *changes, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)256 << 20);
    if (!a)
        return -ENOMEM;
    int r = c->class->step(c->api, a, changes, n);
    if (r < 0)
        log_error("controller step failed", KV("controller", c->class->name), KV("error", strerror(-r)));
    return r;
}

static void *controller_main(void *arg)
{
    struct controller *c = arg;
    usec_t interval = c->class->interval ? c->class->interval : INTERVAL_DEFAULT;
    usec_t next_full = clock_mono(), retry = RETRY_FIRST;
    _cleanup_(freep) struct change *changes = calloc(CHANGES_MAX, sizeof(*changes));
    while (changes && !c->stopping) {
        usec_t now = clock_mono();
        int r;
        if (c->kicked || now >= next_full) {
            c->kicked = false;
            r = run_step(c, NULL, 0);
            next_full = clock_mono() + (r < 0 ? retry : interval);
        } else {
            size_t n = 0;
            r = watch_next(c->watch, next_full - now, changes, CHANGES_MAX, &n);
            if (r == WATCH_LOST) {
                next_full = clock_mono();
                continue;
            }
            if (r == 0 && n && !c->stopping)
                r = run_step(c, changes, n);
            if (r < 0)
                next_full = MIN(next_full, clock_mono() + retry);
        }
        retry = r < 0 ? MIN(retry * 2, interval) : RETRY_FIRST;
    }
    return NULL;
}

int controller_start(struct api *api, const struct controller_class *k, struct controller **ret)
{
    struct controller *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->api = api;
    c->class = k;
    int r = watch_open(api_store(api), 0, k->kinds, NULL, NULL, &c->watch);
    if (r < 0) {
        free(c);
        return r;
    }
    r = -pthread_create(&c->thread, NULL, controller_main, c);
    if (r < 0) {
        watch_close(c->watch);
        free(c);
        return r;
    }
    char name[16];
    const char *dot = strrchr(k->name, '.');
    (void)snprintf(name, sizeof(name), "%.15s", dot ? dot + 1 : k->name);
    (void)pthread_setname_np(c->thread, name);
    *ret = c;
    return 0;
}

void controller_stop(struct controller *c)
{
    if (!c)
        return;
    c->stopping = true;
    watch_interrupt(c->watch);
    (void)pthread_join(c->thread, NULL);
    watch_close(c->watch);
    free(c);
}

void controller_kick(struct controller *c)
{
    c->kicked = true;
    watch_interrupt(c->watch);
}
