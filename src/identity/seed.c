/*
 * What a new cloud begins with: domain, projects, roles, the administrator, the catalog.
 *
 * Seeding again finds what is there by name and makes what is missing; so an upgrade that brings
 * a service brings its catalog entry too.
 */
#include "identity/internal.h"

#include <errno.h>
#include <string.h>

static int find_named(struct txn *t, const struct kind *k, const char *domain_id, const char *name,
                      void **ret)
{
    struct arena *a = txn_arena(t);
    return txn_find_by_(t, k, "name_key", folded(a, arena_printf(a, "%s/%s", domain_id, name)), ret);
}

static int seed_project(struct txn *t, const char *name, const char **ret_id)
{
    struct project *old;
    int r = find_named(t, &IDENTITY_PROJECT_KIND, DEFAULT_DOMAIN, name, (void **)&old);
    if (r < 0)
        return r;
    struct project p = { .head.id = old ? old->head.id : uuid_hex_new(txn_arena(t)),
                         .name = name,
                         .description = "Made when the cloud was set up",
                         .domain_id = DEFAULT_DOMAIN,
                         .parent_id = DEFAULT_DOMAIN,
                         .enabled = true };
    *ret_id = p.head.id;
    return old ? 0 : txn_put(t, &IDENTITY_PROJECT_KIND, &p);
}

static int seed_role(struct txn *t, const char *name, const char **ret_id)
{
    struct role *old;
    int r = find_named(t, &IDENTITY_ROLE_KIND, "-", name, (void **)&old);
    if (r < 0)
        return r;
    struct role x = { .head.id = old ? old->head.id : uuid_hex_new(txn_arena(t)),
                      .name = name,
                      .options = "{\"immutable\": true}" };
    *ret_id = x.head.id;
    return old ? 0 : txn_put(t, &IDENTITY_ROLE_KIND, &x);
}

static int seed_imply(struct txn *t, const char *prior, const char *implied)
{
    struct implied_role x = { .head.id = PAIR_ID(txn_arena(t), prior, implied),
                              .prior_role_id = prior,
                              .implied_role_id = implied };
    return txn_put(t, &IDENTITY_IMPLIED_ROLE_KIND, &x);
}

static int seed_grant(struct txn *t, const char *user, const char *type, const char *target, const char *role)
{
    struct assignment x = { .head.id = PAIR_ID(txn_arena(t), "user", user, type, target, role, ""),
                            .role_id = role,
                            .actor_type = "user",
                            .actor_id = user,
                            .target_type = type,
                            .target_id = target };
    return txn_put(t, &IDENTITY_ASSIGNMENT_KIND, &x);
}

static int seed_admin(struct identity *id, struct txn *t, const char *hash, const char **ret_id)
{
    struct user *old;
    int r = find_named(t, &IDENTITY_USER_KIND, DEFAULT_DOMAIN, "admin", (void **)&old);
    if (r < 0)
        return r;
    struct user fresh = { .head.id = uuid_hex_new(txn_arena(t)),
                          .name = "admin",
                          .domain_id = DEFAULT_DOMAIN,
                          .enabled = true,
                          .created_at = clock_wall() };
    struct user *u = old ? old : &fresh;
    *ret_id = u->head.id;
    if (hash) {
        password_set(id, txn_arena(t), u, hash, false);
        if (!old)
            u->valid_from = 0;
    }
    return old && !hash ? 0 : txn_put(t, &IDENTITY_USER_KIND, u);
}

/* Endpoints are followed by address: seeding with another public URL moves them. */
static int seed_endpoints(struct txn *t, const char *service_id, const char *region, const char *url)
{
    static const char *const INTERFACES[] = { "public", "internal", "admin" };
    struct results there = { 0 };
    int r = list_where(t, &IDENTITY_ENDPOINT_KIND, "service_id", service_id, &there);
    for (size_t i = 0; i < ARRAY_SIZE(INTERFACES) && r == 0; i++) {
        struct endpoint e = { .head.id = uuid_hex_new(txn_arena(t)),
                              .service_id = service_id,
                              .region_id = region,
                              .interface = INTERFACES[i],
                              .url = url,
                              .enabled = true };
        for (size_t k = 0; k < there.n; k++) {
            const struct endpoint *old = there.v[k];
            if (STREQ(old->interface, e.interface) && str_eq(old->region_id, region))
                e.head.id = old->head.id;
        }
        r = txn_put(t, &IDENTITY_ENDPOINT_KIND, &e);
    }
    return r;
}

static int seed_service(struct txn *t, const struct service *s, const char *region, const char *public_url)
{
    struct arena *a = txn_arena(t);
    struct catalog_service *old;
    int r = txn_find_by(t, &IDENTITY_SERVICE_KIND, "type", s->type, &old);
    if (r < 0)
        return r;
    struct catalog_service x = { .head.id = old ? old->head.id : uuid_hex_new(a),
                                 .name = s->name,
                                 .type = s->type,
                                 .description = "",
                                 .enabled = true };
    if (!old)
        r = txn_put(t, &IDENTITY_SERVICE_KIND, &x);
    if (r == 0)
        r = seed_endpoints(t, x.head.id, region,
                           arena_printf(a, "%s%s%s", public_url, s->prefix, str_or(s->catalog_path, "")));
    return r;
}

static int seed_catalog(struct api *api, struct txn *t, const struct seed_options *o)
{
    const char *region = str_or(o->region, "RegionOne");
    struct region *there;
    int r = txn_get(t, &IDENTITY_REGION_KIND, region, &there);
    if (r == 0 && !there) {
        struct region made = { .head.id = region, .description = "" };
        r = txn_put(t, &IDENTITY_REGION_KIND, &made);
    }
    const struct service *const *all = api_services(api);
    for (size_t i = 0; all[i] && r == 0; i++)
        if (all[i]->type && o->public_url)
            r = seed_service(t, all[i], region, o->public_url);
    return r;
}

int identity_seed(struct api *api, struct txn *t, const void *options)
{
    static const struct seed_options NONE = { 0 };
    const struct seed_options *o = options ? options : &NONE;
    /* The service need not have been started. */
    struct identity only_config = { .config = identity_config(api) }, *id = &only_config;
    const char *admin, *admin_project, *service_project, *hash = NULL;
    struct {
        const char *admin, *manager, *member, *reader, *service;
    } role;
    struct project *domain;
    /* The one closure that hashes: nobody else waits for a cloud that is being made. */
    int r = o->admin_password ? password_hash(id, txn_arena(t), o->admin_password, &hash) : 0;
    if (r == 0)
        r = txn_get(t, &IDENTITY_PROJECT_KIND, DEFAULT_DOMAIN, &domain);
    if (r == 0 && !domain) {
        struct project d = { .head.id = DEFAULT_DOMAIN,
                             .name = "Default",
                             .description = "The default domain",
                             .enabled = true,
                             .is_domain = true };
        r = txn_put(t, &IDENTITY_PROJECT_KIND, &d);
    }
    if (r == 0)
        r = seed_project(t, "admin", &admin_project);
    if (r == 0)
        r = seed_project(t, "service", &service_project);
    if (r == 0)
        r = seed_role(t, "admin", &role.admin);
    if (r == 0)
        r = seed_role(t, "manager", &role.manager);
    if (r == 0)
        r = seed_role(t, "member", &role.member);
    if (r == 0)
        r = seed_role(t, "reader", &role.reader);
    if (r == 0)
        r = seed_role(t, "service", &role.service);
    if (r == 0)
        r = seed_imply(t, role.admin, role.manager);
    if (r == 0)
        r = seed_imply(t, role.manager, role.member);
    if (r == 0)
        r = seed_imply(t, role.member, role.reader);
    if (r == 0)
        r = seed_admin(id, t, hash, &admin);
    if (r == 0)
        r = seed_grant(t, admin, "project", admin_project, role.admin);
    if (r == 0)
        r = seed_grant(t, admin, "system", "system", role.admin);
    if (r == 0)
        r = seed_grant(t, admin, "domain", DEFAULT_DOMAIN, role.admin);
    return r ? r : seed_catalog(api, t, o);
}
