/*
 * What identity stores: one struct and one kind for each resource.
 *
 * A domain is a project with is_domain set, as in Keystone: names, tags, options, limits and
 * assignments work alike on both. What a client sends that no row names is kept in 'extra'
 * (Keystone's clients rely on it: e-mail addresses, for one) and rendered flat.
 *
 * Assignments, memberships and other pairs have ids computed from what they join (pair_id()), so
 * that "is it there" is one read and adding twice is one object.
 */
#ifndef YUNDUO_IDENTITY_RESOURCES_H
#define YUNDUO_IDENTITY_RESOURCES_H

#include "store/store.h"

struct project {
    struct object head;
    const char *name, *description;
    const char *domain_id; /* of a domain: null */
    const char *parent_id; /* of a domain: null; of a top project: its domain */
    bool enabled, is_domain;
    struct strv tags;
    const char *options, *extra; /* JSON objects, or null */
    usec_t valid_from;           /* tokens issued before are void */
};

struct past_password {
    const char *hash;
    usec_t created_at;
};

struct user {
    struct object head;
    const char *name, *domain_id, *default_project_id;
    bool enabled;
    const char *options, *extra;
    usec_t created_at, last_active_at;
    usec_t valid_from; /* tokens issued before are void */
    /* null hash: no password */
    const char *password_hash;
    usec_t password_created_at, password_expires_at;
    bool password_by_admin;            /* set by somebody else: may have to be changed upon first use */
    VEC_OF(struct past_password) past; /* the newest last, the present one not among them */
    const char *password;              /* of requests only */
};

/* Failed logins stand apart from the user: a guess must not empty the cache of tokens. Id: the user's. */
struct lockout {
    struct object head;
    int64_t failures;
    usec_t last_at;
};

struct user_group {
    struct object head;
    const char *name, *domain_id, *description, *extra;
};

struct membership {
    struct object head;
    const char *user_id, *group_id;
};

struct role {
    struct object head;
    const char *name, *domain_id, *description, *options, *extra;
};

struct implied_role {
    struct object head;
    const char *prior_role_id, *implied_role_id;
};

/* target_type: "project", "domain" or "system" (target_id then "system"). */
struct assignment {
    struct object head;
    const char *role_id;
    const char *actor_type, *actor_id; /* "user" or "group" */
    const char *target_type, *target_id;
    bool inherited;
};

struct region {
    struct object head;
    const char *description, *parent_region_id, *extra;
};

struct catalog_service {
    struct object head;
    const char *name, *type, *description, *extra;
    bool enabled;
};

struct endpoint {
    struct object head;
    const char *service_id, *region_id, *interface, *url, *extra;
    const char *region; /* of requests: an older name of region_id */
    bool enabled;
};

struct endpoint_group {
    struct object head;
    const char *name, *description, *filters; /* JSON object */
};

/* An endpoint, or a group of them, that a project sees in its catalog. */
struct catalog_link {
    struct object head;
    const char *project_id, *endpoint_id, *endpoint_group_id;
};

struct credential {
    struct object head;
    const char *user_id, *project_id, *type, *blob, *extra;
    const char *access_key;             /* of type ec2 */
    const char *trust_id, *app_cred_id; /* what its maker's token was bound to */
};

struct access_rule {
    struct object head;
    const char *user_id, *service, *method, *path;
};

struct role_ref {
    const char *id, *name, *domain_id, *domain_name;
};

struct app_cred {
    struct object head;
    const char *name, *description, *user_id, *project_id, *secret_hash;
    bool unrestricted;
    usec_t expires_at;
    struct strv role_ids, access_rule_ids;
    /* of requests only */
    const char *secret;
    VEC_OF(struct role_ref) roles;
    VEC_OF(struct access_rule) access_rules;
};

struct trust {
    struct object head;
    const char *trustor_user_id, *trustee_user_id, *project_id;
    bool impersonation, allow_redelegation;
    usec_t expires_at, deleted_at;
    int64_t remaining_uses; /* INT_NULL: any number */
    int64_t redelegation_count;
    const char *redelegated_trust_id;
    struct strv role_ids;
    VEC_OF(struct role_ref) roles; /* of requests only */
};

struct registered_limit {
    struct object head;
    const char *service_id, *region_id, *resource_name, *description;
    int64_t default_limit;
};

struct limit {
    struct object head;
    const char *service_id, *region_id, *resource_name, *description, *project_id, *domain_id;
    int64_t resource_limit;
};

struct policy_blob {
    struct object head;
    const char *blob, *type, *extra;
};

/* Which endpoints a policy is for: an endpoint, or a service, or a service in a region. */
struct policy_link {
    struct object head;
    const char *policy_id, *endpoint_id, *service_id, *region_id;
};

struct consumer {
    struct object head;
    const char *description, *secret, *extra;
};

/* Options of a domain that is served by other software; kept, not acted on. Id: the domain's. */
struct domain_config {
    struct object head;
    const char *config; /* JSON object of objects */
};

/* A token that was revoked by itself. Id: its audit id. */
struct revocation {
    struct object head;
    usec_t revoked_at, expires_at;
};

extern const struct kind IDENTITY_PROJECT_KIND, IDENTITY_USER_KIND, IDENTITY_LOCKOUT_KIND,
    IDENTITY_GROUP_KIND, IDENTITY_MEMBERSHIP_KIND, IDENTITY_ROLE_KIND, IDENTITY_IMPLIED_ROLE_KIND,
    IDENTITY_ASSIGNMENT_KIND, IDENTITY_REGION_KIND, IDENTITY_SERVICE_KIND, IDENTITY_ENDPOINT_KIND,
    IDENTITY_ENDPOINT_GROUP_KIND, IDENTITY_CATALOG_LINK_KIND, IDENTITY_CREDENTIAL_KIND,
    IDENTITY_ACCESS_RULE_KIND, IDENTITY_APP_CRED_KIND, IDENTITY_TRUST_KIND, IDENTITY_REGISTERED_LIMIT_KIND,
    IDENTITY_LIMIT_KIND, IDENTITY_POLICY_KIND, IDENTITY_POLICY_LINK_KIND, IDENTITY_CONSUMER_KIND,
    IDENTITY_DOMAIN_CONFIG_KIND, IDENTITY_REVOCATION_KIND;

extern const struct schema PROJECT_SCHEMA, DOMAIN_SCHEMA, USER_SCHEMA, GROUP_SCHEMA, ROLE_SCHEMA,
    REGION_SCHEMA, CATALOG_SERVICE_SCHEMA, ENDPOINT_SCHEMA, ENDPOINT_GROUP_SCHEMA, CREDENTIAL_SCHEMA,
    ACCESS_RULE_SCHEMA, APP_CRED_SCHEMA, TRUST_SCHEMA, REGISTERED_LIMIT_SCHEMA, LIMIT_SCHEMA,
    POLICY_BLOB_SCHEMA, CONSUMER_SCHEMA;

/* All kinds; ends with null. */
extern const struct kind *const IDENTITY_KINDS[];
/* Those that decide what a token is worth and which catalog it shows; ends with null. */
extern const struct kind *const IDENTITY_TOKEN_KINDS[];

/* 32 hex digits from the parts, in order. */
const char *pair_id(struct arena *a, const char *const *parts, size_t n);
#define PAIR_ID(a, ...)                                                                                      \
    pair_id((a), (const char *const[]){ __VA_ARGS__ },                                                       \
            sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))
/* A name in the form in which names are compared: without the case of ASCII letters. */
const char *folded(struct arena *a, const char *name);

#endif
