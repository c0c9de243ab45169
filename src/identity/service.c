/*
 * Identity as a service: its life, its memory, what others ask of it.
 *
 * Two watches raise two numbers: one for all that decides what a token is worth, one for what the
 * snapshot of roles and catalog is made of. What is kept in memory carries the number it was read
 * under and is stale when the number has moved. The store calls a watch before the writer's
 * caller hears of its commit, so a revoked token never lives longer than the answer to its
 * revocation.
 */
#include "identity/internal.h"

#include "api/controller.h"
#include "base/counter.h"
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

LOG_MODULE("identity");

/* ---- life ---- */

/* Tests may run without a configuration: then all is as its rows say. */
const struct cloud_config *identity_config(struct api *api)
{
    static struct cloud_config defaults;
    static struct arena *arena;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (cloud_config(api))
        return cloud_config(api);
    (void)pthread_mutex_lock(&lock);
    if (!arena && (arena = arena_new(0)))
        (void)schema_defaults(&CLOUD_CONFIG_SCHEMA, arena, &defaults);
    (void)pthread_mutex_unlock(&lock);
    return &defaults;
}

struct identity *identity_of(struct api *api)
{
    struct identity *id = api_state(api, &IDENTITY_SERVICE);
    assert(id);
    return id;
}

static void tokens_changed(void *arg)
{
    struct identity *id = arg;
    atomic_fetch_add(&id->generation, 1);
}

/* In this order: what was read between the two, of an old snapshot, is stale after the second. */
static void snapshot_changed(void *arg)
{
    struct identity *id = arg;
    atomic_fetch_add(&id->snapshot_generation, 1);
    atomic_fetch_add(&id->generation, 1);
}

static void stop(struct api *api)
{
    struct identity *id = api_state(api, &IDENTITY_SERVICE);
    if (!id)
        return;
    api_set_authenticator(api, NULL);
    if (id->watch)
        watch_close(id->watch);
    if (id->snapshot_watch)
        watch_close(id->snapshot_watch);
    token_cache_free(id->cache);
    token_cache_free(id->standings);
    verified_free(id->verified);
    token_keys_close(id->keys);
    snapshot_unref(id->snapshot);
    (void)pthread_mutex_destroy(&id->snapshot_lock);
    api_set_state(api, &IDENTITY_SERVICE, NULL);
    free(id);
}

static int start(struct api *api)
{
    static const struct kind *const SNAPSHOT_KINDS[] = {
        &IDENTITY_ROLE_KIND,     &IDENTITY_IMPLIED_ROLE_KIND, &IDENTITY_SERVICE_KIND,
        &IDENTITY_ENDPOINT_KIND, &IDENTITY_CATALOG_LINK_KIND, NULL,
    };
    struct identity *id = calloc(1, sizeof(*id));
    char keys[4096];
    if (!id)
        return -ENOMEM;
    id->config = identity_config(api);
    (void)pthread_mutex_init(&id->snapshot_lock, NULL);
    api_set_state(api, &IDENTITY_SERVICE, id);
    const char *dir = api_data_dir(api);
    (void)snprintf(keys, sizeof(keys), "%s/keys", str_or(dir, ""));
    int r = token_keys_open(dir ? keys : NULL, &id->keys);
    if (r == 0)
        r = token_cache_new(&id->cache);
    if (r == 0)
        r = token_cache_new(&id->standings);
    if (r == 0)
        r = verified_new(&id->verified);
    if (r == 0)
        r = watch_open(api_store(api), 0, IDENTITY_TOKEN_KINDS, tokens_changed, id, &id->watch);
    if (r == 0)
        r = watch_open(api_store(api), 0, SNAPSHOT_KINDS, snapshot_changed, id, &id->snapshot_watch);
    if (r < 0) {
        log_error("identity can't start", KV("error", strerror(-r)), KV("keys", dir ? keys : "in memory"));
        stop(api);
        return r;
    }
    api_set_authenticator(api, identity_authenticate);
    return 0;
}

/* ---- housekeeping ---- */

COUNTER(forgotten, "identity_revocations_forgotten_total", "Revocations whose tokens have expired.");

static int forget_revocations(struct txn *t, void *arg)
{
    struct query q = { .kind = &IDENTITY_REVOCATION_KIND, .limit = 1000 };
    struct results l = { 0 };
    if (!query_where(&q, txn_arena(t), "expires_at", Q_LT, arg))
        return -ENOMEM;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = txn_delete(t, &IDENTITY_REVOCATION_KIND, ((const struct object *)l.v[i])->id);
    if (r == 0)
        counter_add(&forgotten, (int64_t)l.n);
    return r;
}

static int keep_house(struct api *api, struct arena *a, const struct change *changes, size_t n)
{
    (void)changes;
    struct identity *id = identity_of(api);
    if (n)
        return 0;
    int r = token_keys_rotate_when_old(id->keys, DAYS(id->config->key_rotation_days),
                                       (unsigned)id->config->keys_kept);
    if (r < 0)
        return r;
    /* Expired tokens can be validated for a while: their revocation must stand as long. */
    usec_t before = clock_wall() - EXPIRED_WINDOW;
    const char *text = arena_printf(a, "%lld", (long long)before);
    struct query q = { .kind = &IDENTITY_REVOCATION_KIND, .limit = 1 };
    struct results l = { 0 };
    if (!text || !query_where(&q, a, "expires_at", Q_LT, text))
        return -ENOMEM;
    {
        _cleanup_(txn_donep) struct txn *t = NULL;
        r = store_read(api_store(api), a, &t);
        if (r == 0)
            r = txn_list(t, &q, &l);
    }
    return r < 0 || !l.n ? r : store_write(api_store(api), a, forget_revocations, (void *)(uintptr_t)text);
}

static const struct kind *const NO_KINDS[] = { NULL };
const struct controller_class IDENTITY_CONTROLLER = {
    .name = "identity.house",
    .kinds = NO_KINDS,
    .interval = MINUTES(10),
    .step = keep_house,
};
static const struct controller_class *const CONTROLLERS[] = { &IDENTITY_CONTROLLER, NULL };

/* ---- what others ask ---- */

int identity_project_name(struct txn *t, const char *project_id, const char **ret_name)
{
    struct project *p;
    int r = txn_get(t, &IDENTITY_PROJECT_KIND, project_id, &p);
    *ret_name = r == 0 && p ? p->name : NULL;
    return r;
}

int identity_user_name(struct txn *t, const char *user_id, const char **ret_name)
{
    struct user *u;
    int r = txn_get(t, &IDENTITY_USER_KIND, user_id, &u);
    *ret_name = r == 0 && u ? u->name : NULL;
    return r;
}

int identity_project_enabled(struct txn *t, const char *project_id, bool *ret)
{
    struct project *p, *d;
    *ret = false;
    int r = txn_get(t, &IDENTITY_PROJECT_KIND, project_id, &p);
    if (r < 0 || !p || !p->enabled)
        return r;
    r = txn_get(t, &IDENTITY_PROJECT_KIND, str_or(p->domain_id, p->head.id), &d);
    *ret = r == 0 && d && d->enabled;
    return r;
}

int identity_project_find(struct txn *t, struct arena *a, const char *id_or_name, const char **ret_id)
{
    struct project *p;
    *ret_id = NULL;
    int r = txn_get(t, &IDENTITY_PROJECT_KIND, id_or_name, &p);
    if (r == 0 && !p)
        r = txn_find_by(t, &IDENTITY_PROJECT_KIND, "name_key",
                        folded(a, arena_printf(a, "%s/%s", DEFAULT_DOMAIN, id_or_name)), &p);
    if (r == 0 && p)
        *ret_id = p->head.id;
    return r;
}

int identity_project_tree(struct txn *t, struct arena *a, const char *project_id, struct strv *ret_ids)
{
    struct results below = { 0 };
    int r = project_descendants(t, a, project_id, &below);
    for (size_t i = 0; i < below.n && r == 0; i++)
        if (!strv_add(a, ret_ids, ((const struct object *)below.v[i])->id))
            return -ENOMEM;
    return r;
}

int identity_roles(struct api *api, struct txn *t, struct arena *a, const char *user_id,
                   const char *project_id, struct strv *ret_names)
{
    struct ref_list roles = { 0 };
    int r = effective_roles(api, t, a, user_id, SCOPE_PROJECT, project_id, &roles);
    for (size_t i = 0; i < roles.n && r == 0; i++)
        if (!strv_add(a, ret_names, roles.v[i].name))
            return -ENOMEM;
    return r;
}

int identity_issue(struct api *api, struct txn *t, struct arena *a, const char *user_id,
                   const char *project_id, usec_t lifetime, char *out, struct fault *fault)
{
    struct token_payload p = { .user_id = user_id,
                               .scope = SCOPE_PROJECT,
                               .scope_id = project_id,
                               .methods = METHOD_TOKEN,
                               .expires_at = clock_wall() + lifetime };
    struct token_info *i = ARENA_NEW(a, struct token_info);
    return i ? token_issue(api, t, a, &p, out, i, fault) : -ENOMEM;
}

const struct service IDENTITY_SERVICE = {
    .name = "identity",
    .type = "identity",
    .prefix = "/identity",
    .catalog_path = "/v3",
    .routes = IDENTITY_ROUTES,
    .n_routes = IDENTITY_N_ROUTES,
    .kinds = IDENTITY_KINDS,
    .rules = IDENTITY_RULES,
    .n_rules = IDENTITY_N_RULES,
    .controllers = CONTROLLERS,
    .time_style = TIME_ISO_MICRO,
    .list_style = &IDENTITY_LIST_STYLE,
    .start = start,
    .stop = stop,
    .seed = identity_seed,
};
