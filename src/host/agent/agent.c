/*
 * The agent's frame: poll, outbox, parts. See the header.
 */
#include "host/agent/agent.h"
#include "base/counter.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <uthash.h>

LOG_MODULE("agent");
COUNTER(polls, "agent_polls_total", "Answers with a new desired state.");

#define POLL_TIMEOUT SECONDS(45)
#define DESIRED_MAX ((size_t)256 << 20)
#define RETRY_FIRST (50 * USEC_PER_MSEC)
#define RETRY_MAX SECONDS(5)

static const struct agent_part *const PARTS[] = { &PART_NETWORK, &PART_SERVERS, &PART_HOST, &PART_METADATA,
                                                &PART_QUESTIONS, &PART_VOLUMES };

struct letter {
    char *key;                      /* "section" or "section/id" */
    char *section;
    char *text;
    bool item;
    uint64_t number;                /* a newer one in its place has a higher one */
    UT_hash_handle hh;
};

struct agent {
    struct agent_config config;
    struct arena *arena;
    const char *host, *base;
    struct hypervisor *hypervisor;
    struct net_driver *net;
    void *states[ARRAY_SIZE(PARTS)];
    bool started[ARRAY_SIZE(PARTS)];

    pthread_mutex_t lock;           /* desired, letters, clients */
    pthread_cond_t mail;
    struct desired *desired;
    struct letter *letters;
    uint64_t numbers;
    struct http_client *poll_client, *post_client;
    pthread_t poll_thread, post_thread;
    bool threads;
    _Atomic bool stopping;
};

/* ---- what is wanted ---- */

void desired_unref(struct desired *d)
{
    if (!d || atomic_fetch_sub(&d->refs, 1) != 1)
        return;
    json_decref(d->tree);
    arena_free(d->arena);
    free(d);
}

struct desired *agent_desired(struct agent *a)
{
    pthread_mutex_lock(&a->lock);
    struct desired *d = a->desired;
    if (d)
        atomic_fetch_add(&d->refs, 1);
    pthread_mutex_unlock(&a->lock);
    return d;
}

const struct server_spec *desired_server(const struct desired *d, const char *id)
{
    for (size_t i = 0; d && i < d->servers.n; i++)
        if (str_eq(d->servers.v[i].id, id))
            return &d->servers.v[i];
    return NULL;
}

const struct volume_spec *desired_volume(const struct desired *d, const char *id)
{
    for (size_t i = 0; d && id && i < d->volumes.n; i++)
        if (str_eq(d->volumes.v[i].id, id))
            return &d->volumes.v[i];
    return NULL;
}

static int decode(const struct buf *body, struct desired **ret)
{
    struct desired *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->refs = 1;
    d->arena = arena_new(DESIRED_MAX);
    char why[200];
    d->tree = json_parse(buf_text(body), body->len, why, sizeof(why));
    int r = d->arena && json_is_object(d->tree) ? 0 : -EBADMSG;
    if (r == 0)
        d->revision = json_get_int(d->tree, "revision", 0);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(d->tree, "servers"), i, item) {
        struct server_spec *s = r ? NULL : vec_add(d->arena, &d->servers);
        r = s ? schema_decode(&SERVER_SPEC_SCHEMA, item, DECODE_STORED, 0, d->arena, s, NULL, NULL) : -ENOMEM;
    }
    json_array_foreach(json_object_get(d->tree, "volumes"), i, item) {
        struct volume_spec *v = r ? NULL : vec_add(d->arena, &d->volumes);
        r = v ? schema_decode(&VOLUME_SPEC_SCHEMA, item, DECODE_STORED, 0, d->arena, v, NULL, NULL) : -ENOMEM;
    }
    const json_t *net = json_object_get(d->tree, "network");
    if (r == 0 && net)
        r = schema_decode(&NET_SPEC_SCHEMA, net, DECODE_STORED, 0, d->arena, &d->net, NULL, NULL);
    if (r) {
        desired_unref(d);
        return r < 0 ? r : -EBADMSG;
    }
    *ret = d;
    return 0;
}

static void tell_parts(struct agent *a)
{
    for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
        if (!a->started[i]) {
            int r = PARTS[i]->start(a, &a->states[i]);
            if (r < 0) {
                log_error("a part did not start", KV("part", PARTS[i]->name), KV("error", strerror(-r)));
                continue;
            }
            a->started[i] = true;
        }
        if (PARTS[i]->wanted)
            PARTS[i]->wanted(a->states[i]);
    }
}

static void take_desired(struct agent *a, struct desired *d)
{
    pthread_mutex_lock(&a->lock);
    struct desired *old = a->desired;
    a->desired = d;
    pthread_mutex_unlock(&a->lock);
    desired_unref(old);
    counter_inc(&polls);
    tell_parts(a);
}

/* One poll. 0 when the next may follow at once. */
static int poll_once(struct agent *a, int64_t *since)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    _cleanup_(buf_done) struct buf body = BUF_MAX(DESIRED_MAX);
    if (!arena)
        return -ENOMEM;
    struct http_call call = {
        .url = arena_printf(arena, "%s/agent/v1/desired?host=%s&since=%lld", a->base, a->host, (long long)*since),
        .into = &body, .timeout = POLL_TIMEOUT,
    };
    struct http_reply reply = { 0 };
    int r = http_client_call(a->poll_client, &call, arena, &reply);
    if (r < 0 || reply.status == 304)
        return r;
    if (reply.status != 200) {
        log_warning("yund refused the poll", KV("status", reply.status));
        return -EPROTO;
    }
    struct desired *d = NULL;
    r = decode(&body, &d);
    if (r < 0)
        return r;
    *since = d->revision;
    take_desired(a, d);
    return 0;
}

static void pause_between(struct agent *a, usec_t *retry)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    usec_t until = (usec_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + *retry;
    ts = (struct timespec){ until / 1000000, until % 1000000 * 1000 };
    pthread_mutex_lock(&a->lock);
    while (!a->stopping && pthread_cond_timedwait(&a->mail, &a->lock, &ts) == 0)
        ;
    pthread_mutex_unlock(&a->lock);
    *retry = MIN(*retry * 2, RETRY_MAX);
}

static void *poll_main(void *arg)
{
    struct agent *a = arg;
    static struct ratelimit limit = RATELIMIT(1, SECONDS(60));
    usec_t retry = RETRY_FIRST;
    int64_t since = 0;
    while (!a->stopping) {
        int r = poll_once(a, &since);
        if (r >= 0 || a->stopping) {
            retry = RETRY_FIRST;
            continue;
        }
        /* A yund that was away may have another history: ask for everything. */
        since = 0;
        log_warning_limited(&limit, "no answer from yund", KV("error", strerror(-r)));
        pause_between(a, &retry);
    }
    return NULL;
}

/* ---- the outbox ---- */

static void letter_free(struct letter *l)
{
    free(l->key);
    free(l->section);
    free(l->text);
    free(l);
}

static void put_letter(struct agent *a, const char *section, const char *id, const char *text)
{
    struct letter *l = calloc(1, sizeof(*l));
    char *key = NULL;
    if (!l || asprintf(&key, "%s/%s", section, id ? id : "") < 0 || !(l->section = strdup(section)) ||
        !(l->text = strdup(text))) {
        log_error("a report was lost for want of memory", KV("section", section));
        free(key);
        if (l)
            letter_free(l);
        return;
    }
    l->key = key;
    l->item = id != NULL;
    pthread_mutex_lock(&a->lock);
    struct letter *old;
    HASH_FIND_STR(a->letters, key, old);
    if (old) {
        HASH_DEL(a->letters, old);
        letter_free(old);
    }
    l->number = ++a->numbers;
    HASH_ADD_KEYPTR(hh, a->letters, l->key, strlen(l->key), l);
    pthread_cond_broadcast(&a->mail);
    pthread_mutex_unlock(&a->lock);
}

void agent_report_item(struct agent *a, const char *section, const char *id, const char *text)
{
    put_letter(a, section, id, text);
}

void agent_report_whole(struct agent *a, const char *section, const char *text)
{
    put_letter(a, section, NULL, text);
}

/* All letters as one body, grouped by section. Returns the number of the newest. */
static uint64_t write_post(struct agent *a, struct buf *out)
{
    struct json_out o = JSON_OUT(out);
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct strv done = { 0 };
    json_open_object(&o);
    for (struct letter *l = a->letters; l && arena; l = l->hh.next) {
        if (!l->item) {
            json_put_raw(&o, l->section, l->text);
            continue;
        }
        if (strv_has(&done, l->section))
            continue;
        strv_add(arena, &done, l->section);
        json_put_array(&o, l->section);
        for (struct letter *m = l; m; m = m->hh.next)
            if (m->item && STREQ(m->section, l->section))
                json_raw_out(&o, m->text);
        json_close_array(&o);
    }
    json_close_object(&o);
    return a->numbers;
}

static void forget_letters(struct agent *a, uint64_t up_to)
{
    struct letter *l, *next;
    HASH_ITER(hh, a->letters, l, next) {
        if (l->number <= up_to) {
            HASH_DEL(a->letters, l);
            letter_free(l);
        }
    }
}

static int post(struct agent *a, const struct buf *body)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    _cleanup_(buf_done) struct buf answer = BUF_MAX(65536);
    if (!arena)
        return -ENOMEM;
    struct http_call call = {
        .method = "POST", .url = arena_printf(arena, "%s/agent/v1/report?host=%s", a->base, a->host),
        .body = buf_text(body), .body_size = body->len, .into = &answer,
    };
    strmap_set(arena, &call.headers, "Content-Type", "application/json");
    struct http_reply reply = { 0 };
    int r = http_client_call(a->post_client, &call, arena, &reply);
    if (r == 0 && reply.status >= 300) {
        log_error("yund refused a report", KV("status", reply.status), KV("answer", buf_text(&answer)));
        return reply.status < 500 ? 0 : -EPROTO;    /* what it calls bad will not get better */
    }
    return r;
}

static void *post_main(void *arg)
{
    struct agent *a = arg;
    usec_t retry = RETRY_FIRST;
    while (!a->stopping) {
        _cleanup_(buf_done) struct buf body = BUF_MAX(DESIRED_MAX);
        pthread_mutex_lock(&a->lock);
        while (!a->letters && !a->stopping)
            pthread_cond_wait(&a->mail, &a->lock);
        uint64_t newest = write_post(a, &body);
        pthread_mutex_unlock(&a->lock);
        if (a->stopping)
            break;
        int r = buf_error(&body) ? buf_error(&body) : post(a, &body);
        if (r < 0) {
            pause_between(a, &retry);
            continue;
        }
        retry = RETRY_FIRST;
        pthread_mutex_lock(&a->lock);
        forget_letters(a, newest);
        pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

/* ---- for the parts ---- */

const struct agent_config *agent_config(const struct agent *a)
{
    return &a->config;
}

const char *agent_host(const struct agent *a)
{
    return a->host;
}

struct hypervisor *agent_hypervisor(const struct agent *a)
{
    return a->hypervisor;
}

struct net_driver *agent_net(const struct agent *a)
{
    return a->net;
}

bool agent_stopping(const struct agent *a)
{
    return a->stopping;
}

void *agent_part_state(const struct agent *a, const struct agent_part *part)
{
    for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++)
        if (PARTS[i] == part)
            return a->started[i] ? a->states[i] : NULL;
    return NULL;
}

int agent_client(struct agent *a, usec_t timeout, struct http_client **ret, const char **ret_base)
{
    struct http_client_options o = {
        .unix_path = a->config.server_url ? NULL : a->config.server_socket,
        .ca = a->config.tls_ca, .cert = a->config.tls_cert, .key = a->config.tls_key, .timeout = timeout,
    };
    if (ret_base)
        *ret_base = a->base;
    return http_client_new(&o, ret);
}

/* ---- life ---- */

static void on_domain_event(void *cookie, const char *id, enum domain_event event)
{
    (void)event;
    servers_look(cookie, id);
}

static int open_drivers(struct agent *a, struct fault *fault)
{
    const struct agent_config *c = &a->config;
    const struct hypervisor_class *hv = hypervisor_class_find(c->hypervisor);
    const struct net_driver_class *net = net_driver_class_find(c->network);
    if (!hv)
        return fault_set(fault, 0, "agent", "there is no hypervisor driver '%s'", c->hypervisor);
    if (!net)
        return fault_set(fault, 0, "agent", "there is no network driver '%s'", c->network);
    struct hypervisor_config h = {
        .uri = c->hypervisor_uri, .host_name = a->host, .accel = c->accel, .machine = c->machine,
        .cpu_mode = c->cpu_mode, .console_host = c->console_host, .spice = c->spice,
        .memory_reserved_mb = c->memory_reserved_mb, .data_dir = c->state_dir,
        .run_dir = arena_printf(a->arena, "%s/serial", c->state_dir),
        .log_dir = arena_printf(a->arena, "%s/console", c->state_dir),
        .on_event = on_domain_event, .cookie = a, .sim_vcpus = c->sim_vcpus, .sim_memory_mb = c->sim_memory_mb,
        .sim_disk_gb = c->sim_disk_gb, .sim_delay = c->sim_delay_ms * USEC_PER_MSEC,
    };
    int r = hv->open(&h, &a->hypervisor, fault);
    if (r)
        return r;
    r = net->open(&c->net, &a->net);
    return r < 0 ? fault_set(fault, 0, "agent", "the network driver did not open: %s", strerror(-r)) : r;
}

static int make_dirs(const char *path)
{
    char copy[4096];
    if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
        return -ENAMETOOLONG;
    for (char *at = copy + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = 0;
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    return mkdir(copy, 0750) < 0 && errno != EEXIST ? -errno : 0;
}

int agent_new(const struct agent_config *c, struct agent **ret, struct fault *fault)
{
    struct agent *a = calloc(1, sizeof(*a));
    if (!a || !(a->arena = arena_new(0))) {
        free(a);
        return -ENOMEM;
    }
    a->config = *c;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->mail, NULL);
    char name[65] = "";
    (void)gethostname(name, sizeof(name) - 1);
    a->host = arena_strdup(a->arena, c->host ? c->host : name);
    a->base = c->server_url ? c->server_url : "http://localhost";
    int r = make_dirs(c->state_dir);
    if (r < 0)
        r = fault_set(fault, 0, "agent", "%s: %s", c->state_dir, strerror(-r));
    if (r == 0)
        r = open_drivers(a, fault);
    if (r == 0)
        r = agent_client(a, POLL_TIMEOUT, &a->poll_client, NULL);
    if (r == 0)
        r = agent_client(a, SECONDS(30), &a->post_client, NULL);
    if (r) {
        agent_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

static void report_missing(struct agent *a)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct strv missing = { 0 };
    if (!arena || net_probe(a->net, arena, &missing) < 0)
        return;
    VEC_FOREACH(sentence, &missing)
        log_warning("this host lacks something for its networks", KV("what", *sentence));
}

int agent_start(struct agent *a)
{
    report_missing(a);
    int r = -pthread_create(&a->poll_thread, NULL, poll_main, a);
    if (r < 0)
        return r;
    r = -pthread_create(&a->post_thread, NULL, post_main, a);
    if (r < 0) {
        a->stopping = true;
        http_client_interrupt(a->poll_client);
        (void)pthread_join(a->poll_thread, NULL);
        return r;
    }
    (void)pthread_setname_np(a->poll_thread, "poll");
    (void)pthread_setname_np(a->post_thread, "report");
    a->threads = true;
    return 0;
}

void agent_stop(struct agent *a)
{
    if (!a->threads)
        return;
    a->stopping = true;
    http_client_interrupt(a->poll_client);
    http_client_interrupt(a->post_client);
    pthread_mutex_lock(&a->lock);
    pthread_cond_broadcast(&a->mail);
    pthread_mutex_unlock(&a->lock);
    (void)pthread_join(a->poll_thread, NULL);
    for (size_t i = ARRAY_SIZE(PARTS); i-- > 0; )
        if (a->started[i] && PARTS[i]->stop)
            PARTS[i]->stop(TAKE_PTR(a->states[i]));
    (void)pthread_join(a->post_thread, NULL);
    a->threads = false;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    hypervisor_close(a->hypervisor);
    net_driver_close(a->net);
    http_client_free(a->poll_client);
    http_client_free(a->post_client);
    desired_unref(a->desired);
    forget_letters(a, UINT64_MAX);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->mail);
    arena_free(a->arena);
    free(a);
}
