/*
 * The server's end of the talk with agents: see the header.
 *
 * A thread of its own reads the watch and notes, per host, the last revision that concerns it; a
 * parked poll of that host is woken. All of it is memory: after a restart every host counts as
 * changed, so each gets everything once.
 */
#include "api/agent_link.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <uthash.h>

LOG_MODULE("api.agents");

#define POLL_TIMEOUT SECONDS(30)
#define REPORT_LIMIT ((size_t)16 << 20)
#define HOST_NAME_MAX_ 63

struct host {
    char name[HOST_NAME_MAX_ + 1];
    uint64_t changed;               /* revision of the last change that concerns it */
    struct http_parked *parked;
    UT_hash_handle hh;
};

struct link {
    struct api *api;
    pthread_mutex_t lock;
    struct host *hosts;
    uint64_t all_changed;           /* likewise, of changes that concern every host */
    struct watch *watch;
    const struct kind **kinds;
    pthread_t thread;
    _Atomic bool stopping;
};

static struct link *link_of(struct api *api)
{
    return api_state(api, &AGENT_SERVICE);
}

static struct host *find_host(struct link *l, const char *name)
{
    struct host *h;
    HASH_FIND_STR(l->hosts, name, h);
    if (h)
        return h;
    h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    (void)snprintf(h->name, sizeof(h->name), "%s", name);
    HASH_ADD_STR(l->hosts, name, h);
    return h;
}

static void wake_host(struct host *h)
{
    if (h->parked) {
        http_wake(h->parked);
        http_parked_unref(TAKE_PTR(h->parked));
    }
}

static void mark(struct link *l, const char *name, uint64_t revision)
{
    struct host *h;
    if (!*name)
        return;
    HASH_FIND_STR(l->hosts, name, h);
    if (!h)
        return;         /* never polled: it will get everything anyway */
    h->changed = MAX(h->changed, revision);
    wake_host(h);
}

static void mark_all(struct link *l, uint64_t revision)
{
    l->all_changed = MAX(l->all_changed, revision);
    for (struct host *h = l->hosts; h; h = h->hh.next)
        wake_host(h);
}

static void *link_main(void *arg)
{
    struct link *l = arg;
    struct change changes[64];
    while (!l->stopping) {
        size_t n = 0;
        int r = watch_next(l->watch, SECONDS(3600), changes, ARRAY_SIZE(changes), &n);
        pthread_mutex_lock(&l->lock);
        if (r == WATCH_LOST)
            mark_all(l, UINT64_MAX);
        for (size_t i = 0; i < n; i++) {
            if (!changes[i].kind->host_field) {
                mark_all(l, changes[i].revision);
            } else {
                mark(l, changes[i].host, changes[i].revision);
                mark(l, changes[i].host_before, changes[i].revision);
            }
        }
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

/* ---- GET /v1/desired ---- */

static int render_desired(struct call *c)
{
    int r = call_read(c);
    if (r < 0)
        return r;
    json_open_object(&c->out);
    json_put_int(&c->out, "revision", (int64_t)txn_revision(c->txn));
    for (size_t i = 0; api_services(c->api)[i] && r == 0; i++) {
        const struct agent_section *const *sections = api_services(c->api)[i]->sections;
        for (size_t j = 0; sections && sections[j] && r == 0; j++) {
            if (!sections[j]->desired)
                continue;
            json_key(&c->out, sections[j]->name);
            r = sections[j]->desired(c->api, c->txn, c->auth->agent_host, &c->out);
        }
    }
    json_close_object(&c->out);
    if (r == 0)
        r = buf_error(&c->buf);
    if (r == 0 && arena_failed(c->arena))
        r = -ENOMEM;
    txn_done(TAKE_PTR(c->txn));
    return r;
}

static void answer_desired(struct call *c)
{
    int r = render_desired(c);
    c->answered = true;
    if (r < 0) {
        log_error("desired state could not be rendered", KV("host", c->auth->agent_host), KV("error", strerror(-r)));
        http_answer(c->http, 500, NULL, NULL, 0);
        return;
    }
    http_answer_buf(c->http, 200, "application/json", &c->buf);
}

static void poll_woken(struct http_request *rq, void *arg, enum http_wake_reason why)
{
    (void)arg;
    struct call *c = rq->app_data;
    if (why == HTTP_WOKEN) {
        answer_desired(c);
        return;
    }
    /* nothing new: the agent keeps what it has and asks again */
    c->answered = true;
    http_answer(rq, 304, NULL, NULL, 0);
}

static bool name_valid(const char *name)
{
    size_t n = strlen(name);
    return n && n <= HOST_NAME_MAX_ &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n;
}

static int agent_desired(struct call *c)
{
    struct link *l = link_of(c->api);
    int64_t since;
    int r = call_arg_int(c, "since", 0, INT64_MAX, 0, &since);
    if (r)
        return r;
    if (!name_valid(c->auth->agent_host))
        return call_fault(c, 400, "BadRequest", "A host's name is needed.");
    pthread_mutex_lock(&l->lock);
    struct host *h = find_host(l, c->auth->agent_host);
    if (!h) {
        pthread_mutex_unlock(&l->lock);
        return -ENOMEM;
    }
    bool news = since == 0 || h->changed > (uint64_t)since || l->all_changed > (uint64_t)since;
    if (!news) {
        wake_host(h);           /* an older poll of the same host: its agent has gone */
        c->answered = true;
        h->parked = http_park(c->http, POLL_TIMEOUT, poll_woken, NULL);
    }
    pthread_mutex_unlock(&l->lock);
    if (news)
        answer_desired(c);
    return 0;
}

/* ---- POST /v1/report ---- */

static int agent_report(struct call *c)
{
    if (!name_valid(c->auth->agent_host) || !json_is_object(c->body))
        return call_fault(c, 400, "BadRequest", "A host's name and an object are needed.");
    for (size_t i = 0; api_services(c->api)[i]; i++) {
        const struct agent_section *const *sections = api_services(c->api)[i]->sections;
        for (size_t j = 0; sections && sections[j]; j++) {
            const json_t *value = json_object_get(c->body, sections[j]->name);
            if (!value || !sections[j]->observed)
                continue;
            int r = sections[j]->observed(c->api, c->arena, c->auth->agent_host, value);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static const struct route ROUTES[] = {
    { "GET", "/v1/desired", agent_desired, NULL, ROUTE_AGENT | ROUTE_WORKER, .doc = "What a host should be." },
    { "POST", "/v1/report", agent_report, NULL, ROUTE_AGENT, .status = 204, .body_limit = REPORT_LIMIT,
      .doc = "What a host is." },
};

/* ---- life ---- */

static int collect_kinds(struct link *l)
{
    size_t n = 0, cap = 0;
    for (size_t i = 0; api_services(l->api)[i]; i++) {
        const struct agent_section *const *sections = api_services(l->api)[i]->sections;
        for (size_t j = 0; sections && sections[j]; j++)
            for (size_t k = 0; sections[j]->kinds && sections[j]->kinds[k]; k++) {
                if (n + 1 >= cap) {
                    cap = cap ? cap * 2 : 16;
                    const struct kind **grown = realloc(l->kinds, cap * sizeof(*grown));
                    if (!grown)
                        return -ENOMEM;
                    l->kinds = grown;
                }
                l->kinds[n++] = sections[j]->kinds[k];
                l->kinds[n] = NULL;
            }
    }
    return 0;
}

static void link_free(struct link *l)
{
    struct host *h, *next;
    HASH_ITER(hh, l->hosts, h, next) {
        HASH_DEL(l->hosts, h);
        if (h->parked)
            http_parked_unref(h->parked);
        free(h);
    }
    watch_close(l->watch);
    pthread_mutex_destroy(&l->lock);
    free(l->kinds);
    free(l);
}

static int link_start(struct api *api)
{
    struct link *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->api = api;
    pthread_mutex_init(&l->lock, NULL);
    int r = collect_kinds(l);
    static const struct kind *const NONE[] = { NULL };
    if (r == 0)
        r = watch_open(api_store(api), 0, l->kinds ? l->kinds : NONE, NULL, NULL, &l->watch);
    if (r == 0)
        r = -pthread_create(&l->thread, NULL, link_main, l);
    if (r < 0) {
        link_free(l);
        return r;
    }
    (void)pthread_setname_np(l->thread, "agent-link");
    api_set_state(api, &AGENT_SERVICE, l);
    return 0;
}

static void link_stop(struct api *api)
{
    struct link *l = link_of(api);
    if (!l)
        return;
    l->stopping = true;
    watch_interrupt(l->watch);
    (void)pthread_join(l->thread, NULL);
    link_free(l);
    api_set_state(api, &AGENT_SERVICE, NULL);
}

const struct service AGENT_SERVICE = {
    .name = "agent", .prefix = "/agent", .routes = ROUTES, .n_routes = ARRAY_SIZE(ROUTES),
    .start = link_start, .stop = link_stop,
};
