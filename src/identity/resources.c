/*
 * The rows of identity's resources, their keys and indexes.
 *
 * Names are unique within their domain, whatever their case: the key is made of the domain's id
 * and the folded name. Limits of lengths are Keystone's.
 */
#include "identity/resources.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>

#define BOTH (IN_CREATE | IN_UPDATE)

const char *pair_id(struct arena *a, const char *const *parts, size_t n)
{
    _cleanup_(buf_done) struct buf text = BUF_MAX(1 << 16);
    for (size_t i = 0; i < n; i++)
        buf_add(&text, str_or(parts[i], ""), strlen(str_or(parts[i], "")) + 1);
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (buf_error(&text) || EVP_Digest(text.data, text.len, digest, NULL, EVP_sha256(), NULL) != 1) {
        arena_fail(a);
        return "";
    }
    char *id = arena_alloc(a, 33);
    for (size_t i = 0; id && i < 16; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", digest[i]);
    return id ? id : "";
}

static void fold(char *s)
{
    for (; *s; s++)
        *s = (char)tolower((unsigned char)*s);
}

const char *folded(struct arena *a, const char *name)
{
    char *copy = arena_strdup(a, str_or(name, ""));
    if (!copy)
        return "";
    fold(copy);
    return copy;
}

/* "<domain>/<name>", which only one may have. */
static void key_name(struct key_sink *k, const char *domain_id, const char *name)
{
    char text[2048];
    (void)snprintf(text, sizeof(text), "%s/%s", str_or(domain_id, "-"), str_or(name, ""));
    fold(text);
    key_add_unique(k, "name_key", text);
}

static const char *check_tag(const char *s)
{
    return strpbrk(s, "/,") || !*s ? "does not match '^[^,/]*$'" : NULL;
}

static const char *check_url(const char *s)
{
    return strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0 || strncmp(s, "$(", 2) == 0 ||
                   strstr(s, "://")
               ? NULL
               : "does not match '^[a-zA-Z0-9+.-]+:.+'";
}

/* ---- projects and domains ---- */

/* clang-format off */
#define PROJECT_COMMON \
    FIELD_ID(struct project), \
    { "description", FIELD_STRING, offsetof(struct project, description), BOTH | NULLABLE, .otherwise = "" }, \
    { "enabled", FIELD_BOOL, offsetof(struct project, enabled), BOTH | FILTER, .otherwise = "true" }, \
    { "tags", FIELD_STRINGS, offsetof(struct project, tags), BOTH | INDEX, .max = 255, .items_max = 80, \
      .check = check_tag, .doc = "Labels; none twice." }, \
    { "options", FIELD_JSON, offsetof(struct project, options), BOTH | HIDDEN, .doc = "{\"immutable\": bool}" }, \
    { "extra", FIELD_JSON, offsetof(struct project, extra), HIDDEN }, \
    { "valid_from", FIELD_TIME, offsetof(struct project, valid_from), HIDDEN, \
      .doc = "Tokens issued before are void." }, \
    { "name", FIELD_STRING, offsetof(struct project, name), BOTH | REQUIRED | NONEMPTY | FILTER | SORT | INDEX, \
      .min = 1, .max = 64, .doc = "Unique within its domain, whatever the case." }

/* clang-format on */

static const struct field PROJECT_FIELDS[] = {
    PROJECT_COMMON,
    { "domain_id", FIELD_STRING, offsetof(struct project, domain_id),
      BOTH | NULLABLE | FILTER | INDEX | HIDDEN, .max = 64 },
    { "parent_id", FIELD_STRING, offsetof(struct project, parent_id),
      BOTH | NULLABLE | FILTER | INDEX | HIDDEN, .max = 64 },
    { "is_domain", FIELD_BOOL, offsetof(struct project, is_domain), BOTH | FILTER | INDEX | HIDDEN,
      .otherwise = "false" },
};
const struct schema PROJECT_SCHEMA = {
    .name = "project",
    .size = sizeof(struct project),
    .fields = PROJECT_FIELDS,
    .n = ARRAY_SIZE(PROJECT_FIELDS),
    .open = true,
};
/* The same struct as clients of /v3/domains see it. */
static const struct field DOMAIN_FIELDS[] = { PROJECT_COMMON };
const struct schema DOMAIN_SCHEMA = {
    .name = "domain",
    .size = sizeof(struct project),
    .fields = DOMAIN_FIELDS,
    .n = ARRAY_SIZE(DOMAIN_FIELDS),
    .open = true,
};

static void project_keys(const void *object, struct key_sink *k)
{
    const struct project *p = object;
    key_name(k, p->is_domain ? NULL : p->domain_id, p->name);
}
const struct kind IDENTITY_PROJECT_KIND = { .name = "identity.project",
                                            .schema = &PROJECT_SCHEMA,
                                            .keys = project_keys };

/* ---- users and groups ---- */

static const struct field PAST_FIELDS[] = {
    { "hash", FIELD_STRING, offsetof(struct past_password, hash), SECRET },
    { "created_at", FIELD_TIME, offsetof(struct past_password, created_at), 0 },
};
static SCHEMA(PAST_SCHEMA, struct past_password, PAST_FIELDS);

static const struct field USER_FIELDS[] = {
    FIELD_ID(struct user),
    { "name", FIELD_STRING, offsetof(struct user, name), BOTH | REQUIRED | NONEMPTY | FILTER | SORT | INDEX,
      .min = 1, .max = 255, .doc = "Unique within its domain, whatever the case." },
    { "domain_id", FIELD_STRING, offsetof(struct user, domain_id), BOTH | FILTER | INDEX, .max = 64 },
    { "enabled", FIELD_BOOL, offsetof(struct user, enabled), BOTH | FILTER, .otherwise = "true" },
    { "default_project_id", FIELD_STRING, offsetof(struct user, default_project_id),
      BOTH | NULLABLE | FILTER | OMIT_NULL, .max = 64 },
    { "password", FIELD_STRING, offsetof(struct user, password), BOTH | NULLABLE | NOT_STORED | SECRET },
    { "password_expires_at", FIELD_TIME, offsetof(struct user, password_expires_at), FILTER | SORT },
    { "options", FIELD_JSON, offsetof(struct user, options), BOTH | HIDDEN },
    { "extra", FIELD_JSON, offsetof(struct user, extra), HIDDEN },
    { "created_at", FIELD_TIME, offsetof(struct user, created_at), HIDDEN },
    { "last_active_at", FIELD_TIME, offsetof(struct user, last_active_at), HIDDEN },
    { "valid_from", FIELD_TIME, offsetof(struct user, valid_from), HIDDEN },
    { "password_hash", FIELD_STRING, offsetof(struct user, password_hash), SECRET },
    { "password_created_at", FIELD_TIME, offsetof(struct user, password_created_at), HIDDEN },
    { "password_by_admin", FIELD_BOOL, offsetof(struct user, password_by_admin), HIDDEN },
    { "past", FIELD_OBJECTS, offsetof(struct user, past), SECRET, .sub = &PAST_SCHEMA },
};
const struct schema USER_SCHEMA = {
    .name = "user",
    .size = sizeof(struct user),
    .fields = USER_FIELDS,
    .n = ARRAY_SIZE(USER_FIELDS),
    .open = true,
};

static void user_keys(const void *object, struct key_sink *k)
{
    const struct user *u = object;
    key_name(k, u->domain_id, u->name);
}
const struct kind IDENTITY_USER_KIND = { .name = "identity.user", .schema = &USER_SCHEMA, .keys = user_keys };

static const struct field LOCKOUT_FIELDS[] = {
    FIELD_ID(struct lockout),
    { "failures", FIELD_INT, offsetof(struct lockout, failures), 0 },
    { "last_at", FIELD_TIME, offsetof(struct lockout, last_at), 0 },
};
static SCHEMA(LOCKOUT_SCHEMA, struct lockout, LOCKOUT_FIELDS);
const struct kind IDENTITY_LOCKOUT_KIND = { .name = "identity.lockout", .schema = &LOCKOUT_SCHEMA };

static const struct field GROUP_FIELDS[] = {
    FIELD_ID(struct user_group),
    { "name", FIELD_STRING, offsetof(struct user_group, name),
      BOTH | REQUIRED | NONEMPTY | FILTER | SORT | INDEX, .min = 1, .max = 64,
      .doc = "Unique within its domain, whatever the case." },
    { "domain_id", FIELD_STRING, offsetof(struct user_group, domain_id), BOTH | FILTER | INDEX, .max = 64 },
    { "description", FIELD_STRING, offsetof(struct user_group, description), BOTH | NULLABLE,
      .otherwise = "" },
    { "extra", FIELD_JSON, offsetof(struct user_group, extra), HIDDEN },
};
const struct schema GROUP_SCHEMA = {
    .name = "group",
    .size = sizeof(struct user_group),
    .fields = GROUP_FIELDS,
    .n = ARRAY_SIZE(GROUP_FIELDS),
    .open = true,
};
static void group_keys(const void *object, struct key_sink *k)
{
    const struct user_group *g = object;
    key_name(k, g->domain_id, g->name);
}
const struct kind IDENTITY_GROUP_KIND = { .name = "identity.group",
                                          .schema = &GROUP_SCHEMA,
                                          .keys = group_keys };

static const struct field MEMBERSHIP_FIELDS[] = {
    FIELD_ID(struct membership),
    { "user_id", FIELD_STRING, offsetof(struct membership, user_id), FILTER | INDEX },
    { "group_id", FIELD_STRING, offsetof(struct membership, group_id), FILTER | INDEX },
};
static SCHEMA(MEMBERSHIP_SCHEMA, struct membership, MEMBERSHIP_FIELDS);
const struct kind IDENTITY_MEMBERSHIP_KIND = { .name = "identity.membership", .schema = &MEMBERSHIP_SCHEMA };

/* ---- roles ---- */

static const struct field ROLE_FIELDS[] = {
    FIELD_ID(struct role),
    { "name", FIELD_STRING, offsetof(struct role, name), BOTH | REQUIRED | NONEMPTY | FILTER | SORT | INDEX,
      .min = 1, .max = 255, .doc = "Unique within its domain, or among the roles of no domain." },
    { "domain_id", FIELD_STRING, offsetof(struct role, domain_id), IN_CREATE | NULLABLE | FILTER | INDEX,
      .max = 64 },
    { "description", FIELD_STRING, offsetof(struct role, description), BOTH | NULLABLE },
    { "options", FIELD_JSON, offsetof(struct role, options), BOTH | HIDDEN },
    { "extra", FIELD_JSON, offsetof(struct role, extra), HIDDEN },
};
const struct schema ROLE_SCHEMA = {
    .name = "role",
    .size = sizeof(struct role),
    .fields = ROLE_FIELDS,
    .n = ARRAY_SIZE(ROLE_FIELDS),
    .open = true,
};
static void role_keys(const void *object, struct key_sink *k)
{
    const struct role *r = object;
    key_name(k, r->domain_id, r->name);
}
const struct kind IDENTITY_ROLE_KIND = { .name = "identity.role", .schema = &ROLE_SCHEMA, .keys = role_keys };

static const struct field IMPLIED_ROLE_FIELDS[] = {
    FIELD_ID(struct implied_role),
    { "prior_role_id", FIELD_STRING, offsetof(struct implied_role, prior_role_id), FILTER | INDEX },
    { "implied_role_id", FIELD_STRING, offsetof(struct implied_role, implied_role_id), FILTER | INDEX },
};
static SCHEMA(IMPLIED_ROLE_SCHEMA, struct implied_role, IMPLIED_ROLE_FIELDS);
const struct kind IDENTITY_IMPLIED_ROLE_KIND = { .name = "identity.implied_role",
                                                 .schema = &IMPLIED_ROLE_SCHEMA };

static const struct field ASSIGNMENT_FIELDS[] = {
    FIELD_ID(struct assignment),
    { "role_id", FIELD_STRING, offsetof(struct assignment, role_id), FILTER | INDEX },
    { "actor_type", FIELD_STRING, offsetof(struct assignment, actor_type), FILTER },
    { "actor_id", FIELD_STRING, offsetof(struct assignment, actor_id), FILTER | INDEX },
    { "target_type", FIELD_STRING, offsetof(struct assignment, target_type), FILTER },
    { "target_id", FIELD_STRING, offsetof(struct assignment, target_id), FILTER | INDEX },
    { "inherited", FIELD_BOOL, offsetof(struct assignment, inherited), FILTER },
};
static SCHEMA(ASSIGNMENT_SCHEMA, struct assignment, ASSIGNMENT_FIELDS);
const struct kind IDENTITY_ASSIGNMENT_KIND = { .name = "identity.assignment", .schema = &ASSIGNMENT_SCHEMA };

/* ---- catalog ---- */

static const struct field REGION_FIELDS[] = {
    /* The id is the client's own choice; the machinery makes one where it chooses none. */
    { "id", FIELD_STRING, offsetof(struct region, head.id), IN_CREATE | FILTER | SORT, .max = 63 },
    { "description", FIELD_STRING, offsetof(struct region, description), BOTH | NULLABLE, .otherwise = "" },
    { "parent_region_id", FIELD_STRING, offsetof(struct region, parent_region_id),
      BOTH | NULLABLE | FILTER | INDEX },
    { "extra", FIELD_JSON, offsetof(struct region, extra), HIDDEN },
};
const struct schema REGION_SCHEMA = {
    .name = "region",
    .size = sizeof(struct region),
    .fields = REGION_FIELDS,
    .n = ARRAY_SIZE(REGION_FIELDS),
    .open = true,
};
const struct kind IDENTITY_REGION_KIND = { .name = "identity.region", .schema = &REGION_SCHEMA };

static const struct field CATALOG_SERVICE_FIELDS[] = {
    FIELD_ID(struct catalog_service),
    { "name", FIELD_STRING, offsetof(struct catalog_service, name), BOTH | FILTER | OMIT_NULL, .min = 1,
      .max = 255 },
    { "type", FIELD_STRING, offsetof(struct catalog_service, type), BOTH | REQUIRED | FILTER | INDEX,
      .min = 1, .max = 255 },
    { "description", FIELD_STRING, offsetof(struct catalog_service, description),
      BOTH | NULLABLE | OMIT_NULL },
    { "enabled", FIELD_BOOL, offsetof(struct catalog_service, enabled), BOTH, .otherwise = "true" },
    { "extra", FIELD_JSON, offsetof(struct catalog_service, extra), HIDDEN },
};
const struct schema CATALOG_SERVICE_SCHEMA = {
    .name = "service",
    .size = sizeof(struct catalog_service),
    .fields = CATALOG_SERVICE_FIELDS,
    .n = ARRAY_SIZE(CATALOG_SERVICE_FIELDS),
    .open = true,
};
const struct kind IDENTITY_SERVICE_KIND = { .name = "identity.service", .schema = &CATALOG_SERVICE_SCHEMA };

static const char *const INTERFACES[] = { "admin", "internal", "public", NULL };
static const struct field ENDPOINT_FIELDS[] = {
    FIELD_ID(struct endpoint),
    { "service_id", FIELD_STRING, offsetof(struct endpoint, service_id), BOTH | REQUIRED | FILTER | INDEX },
    { "region_id", FIELD_STRING, offsetof(struct endpoint, region_id), BOTH | NULLABLE | FILTER | INDEX },
    { "region", FIELD_STRING, offsetof(struct endpoint, region), BOTH | NULLABLE | NOT_STORED | HIDDEN },
    { "interface", FIELD_STRING, offsetof(struct endpoint, interface), BOTH | REQUIRED | FILTER,
      .values = INTERFACES },
    { "url", FIELD_STRING, offsetof(struct endpoint, url), BOTH | REQUIRED, .max = 225, .check = check_url },
    { "enabled", FIELD_BOOL, offsetof(struct endpoint, enabled), BOTH, .otherwise = "true" },
    { "extra", FIELD_JSON, offsetof(struct endpoint, extra), HIDDEN },
};
const struct schema ENDPOINT_SCHEMA = {
    .name = "endpoint",
    .size = sizeof(struct endpoint),
    .fields = ENDPOINT_FIELDS,
    .n = ARRAY_SIZE(ENDPOINT_FIELDS),
    .open = true,
};
const struct kind IDENTITY_ENDPOINT_KIND = { .name = "identity.endpoint", .schema = &ENDPOINT_SCHEMA };

static const struct field ENDPOINT_GROUP_FIELDS[] = {
    FIELD_ID(struct endpoint_group),
    { "name", FIELD_STRING, offsetof(struct endpoint_group, name), BOTH | REQUIRED | FILTER, .min = 1,
      .max = 255 },
    { "description", FIELD_STRING, offsetof(struct endpoint_group, description), BOTH | NULLABLE },
    { "filters", FIELD_JSON, offsetof(struct endpoint_group, filters), BOTH | REQUIRED },
};
const struct schema ENDPOINT_GROUP_SCHEMA = {
    .name = "endpoint_group",
    .size = sizeof(struct endpoint_group),
    .fields = ENDPOINT_GROUP_FIELDS,
    .n = ARRAY_SIZE(ENDPOINT_GROUP_FIELDS),
    .open = true,
};
const struct kind IDENTITY_ENDPOINT_GROUP_KIND = { .name = "identity.endpoint_group",
                                                   .schema = &ENDPOINT_GROUP_SCHEMA };

static const struct field CATALOG_LINK_FIELDS[] = {
    FIELD_ID(struct catalog_link),
    { "project_id", FIELD_STRING, offsetof(struct catalog_link, project_id), FILTER | INDEX },
    { "endpoint_id", FIELD_STRING, offsetof(struct catalog_link, endpoint_id), FILTER | INDEX },
    { "endpoint_group_id", FIELD_STRING, offsetof(struct catalog_link, endpoint_group_id), FILTER | INDEX },
};
static SCHEMA(CATALOG_LINK_SCHEMA, struct catalog_link, CATALOG_LINK_FIELDS);
const struct kind IDENTITY_CATALOG_LINK_KIND = { .name = "identity.catalog_link",
                                                 .schema = &CATALOG_LINK_SCHEMA };

/* ---- credentials ---- */

static const struct field CREDENTIAL_FIELDS[] = {
    FIELD_ID(struct credential),
    { "user_id", FIELD_STRING, offsetof(struct credential, user_id), BOTH | REQUIRED | FILTER | INDEX },
    { "project_id", FIELD_STRING, offsetof(struct credential, project_id), BOTH | NULLABLE | FILTER | INDEX },
    { "type", FIELD_STRING, offsetof(struct credential, type), BOTH | REQUIRED | FILTER, .min = 1,
      .max = 255 },
    { "blob", FIELD_STRING, offsetof(struct credential, blob), BOTH | REQUIRED | SECRET,
      .doc = "What the type says; rendered to its owner only." },
    { "access_key", FIELD_STRING, offsetof(struct credential, access_key), FILTER | INDEX | HIDDEN },
    { "trust_id", FIELD_STRING, offsetof(struct credential, trust_id), HIDDEN | FILTER | INDEX },
    { "app_cred_id", FIELD_STRING, offsetof(struct credential, app_cred_id), HIDDEN | FILTER | INDEX },
    { "extra", FIELD_JSON, offsetof(struct credential, extra), HIDDEN },
};
const struct schema CREDENTIAL_SCHEMA = {
    .name = "credential",
    .size = sizeof(struct credential),
    .fields = CREDENTIAL_FIELDS,
    .n = ARRAY_SIZE(CREDENTIAL_FIELDS),
    .open = true,
};
const struct kind IDENTITY_CREDENTIAL_KIND = { .name = "identity.credential", .schema = &CREDENTIAL_SCHEMA };

static const char *const METHODS[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", NULL };
static const char *check_rule_path(const char *s)
{
    const char *first = strstr(s, "**"), *second = first ? strstr(first + 2, "**") : NULL;
    if (*s != '/')
        return "does not match '^/.*'";
    /* Each more of them multiplies the work of matching. */
    return second && strstr(second + 2, "**") ? "has more than two '**'" : NULL;
}
static const struct field ACCESS_RULE_FIELDS[] = {
    { "id", FIELD_STRING, offsetof(struct access_rule, head.id), IN_CREATE | FILTER | SORT, .max = 63 },
    { "user_id", FIELD_STRING, offsetof(struct access_rule, user_id), FILTER | INDEX | HIDDEN },
    { "service", FIELD_STRING, offsetof(struct access_rule, service), IN_CREATE | FILTER, .min = 1,
      .max = 64 },
    { "method", FIELD_STRING, offsetof(struct access_rule, method), IN_CREATE | FILTER, .values = METHODS },
    { "path", FIELD_STRING, offsetof(struct access_rule, path), IN_CREATE | FILTER, .min = 1, .max = 128,
      .check = check_rule_path },
};
SCHEMA(ACCESS_RULE_SCHEMA, struct access_rule, ACCESS_RULE_FIELDS);
const struct kind IDENTITY_ACCESS_RULE_KIND = { .name = "identity.access_rule",
                                                .schema = &ACCESS_RULE_SCHEMA };

static const struct field ROLE_REF_FIELDS[] = {
    { "id", FIELD_STRING, offsetof(struct role_ref, id), IN_CREATE, .max = 64 },
    { "name", FIELD_STRING, offsetof(struct role_ref, name), IN_CREATE, .max = 255 },
    { "domain_id", FIELD_STRING, offsetof(struct role_ref, domain_id), IN_CREATE | NULLABLE },
};
static const struct schema ROLE_REF_SCHEMA = {
    .name = "role",
    .size = sizeof(struct role_ref),
    .fields = ROLE_REF_FIELDS,
    .n = ARRAY_SIZE(ROLE_REF_FIELDS),
    .open = true,
};

static const struct field APP_CRED_FIELDS[] = {
    FIELD_ID(struct app_cred),
    { "name", FIELD_STRING, offsetof(struct app_cred, name), IN_CREATE | REQUIRED | NONEMPTY | FILTER,
      .min = 1, .max = 255, .doc = "Unique among its user's." },
    { "description", FIELD_STRING, offsetof(struct app_cred, description), IN_CREATE | NULLABLE },
    { "user_id", FIELD_STRING, offsetof(struct app_cred, user_id), FILTER | INDEX | HIDDEN },
    { "project_id", FIELD_STRING, offsetof(struct app_cred, project_id), FILTER | INDEX },
    { "unrestricted", FIELD_BOOL, offsetof(struct app_cred, unrestricted), IN_CREATE, .otherwise = "false" },
    { "expires_at", FIELD_TIME, offsetof(struct app_cred, expires_at), IN_CREATE | NULLABLE },
    { "secret", FIELD_STRING, offsetof(struct app_cred, secret), IN_CREATE | NULLABLE | NOT_STORED | SECRET },
    { "secret_hash", FIELD_STRING, offsetof(struct app_cred, secret_hash), SECRET },
    { "roles", FIELD_OBJECTS, offsetof(struct app_cred, roles), IN_CREATE | NOT_STORED | HIDDEN,
      .sub = &ROLE_REF_SCHEMA },
    { "role_ids", FIELD_STRINGS, offsetof(struct app_cred, role_ids), HIDDEN | INDEX },
    { "access_rules", FIELD_OBJECTS, offsetof(struct app_cred, access_rules), IN_CREATE | NOT_STORED | HIDDEN,
      .sub = &ACCESS_RULE_SCHEMA },
    { "access_rule_ids", FIELD_STRINGS, offsetof(struct app_cred, access_rule_ids), HIDDEN | INDEX },
};
const struct schema APP_CRED_SCHEMA = {
    .name = "application_credential",
    .size = sizeof(struct app_cred),
    .fields = APP_CRED_FIELDS,
    .n = ARRAY_SIZE(APP_CRED_FIELDS),
    .open = true,
};
static void app_cred_keys(const void *object, struct key_sink *k)
{
    const struct app_cred *c = object;
    char text[512];
    (void)snprintf(text, sizeof(text), "%s/%s", str_or(c->user_id, ""), str_or(c->name, ""));
    key_add_unique(k, "user_name", text);
}
const struct kind IDENTITY_APP_CRED_KIND = { .name = "identity.app_cred",
                                             .schema = &APP_CRED_SCHEMA,
                                             .keys = app_cred_keys };

static const struct field TRUST_FIELDS[] = {
    FIELD_ID(struct trust),
    { "trustor_user_id", FIELD_STRING, offsetof(struct trust, trustor_user_id),
      IN_CREATE | REQUIRED | FILTER | INDEX },
    { "trustee_user_id", FIELD_STRING, offsetof(struct trust, trustee_user_id),
      IN_CREATE | REQUIRED | FILTER | INDEX },
    { "project_id", FIELD_STRING, offsetof(struct trust, project_id), IN_CREATE | NULLABLE | FILTER | INDEX },
    { "impersonation", FIELD_BOOL, offsetof(struct trust, impersonation), IN_CREATE | REQUIRED },
    { "expires_at", FIELD_TIME, offsetof(struct trust, expires_at), IN_CREATE | NULLABLE | HIDDEN },
    { "remaining_uses", FIELD_INT, offsetof(struct trust, remaining_uses), IN_CREATE | NULLABLE, .min = 1,
      .max = INT32_MAX, .otherwise = "null" },
    { "redelegation_count", FIELD_INT, offsetof(struct trust, redelegation_count), IN_CREATE | NULLABLE,
      .min = 0, .max = 1000, .otherwise = "null" },
    { "allow_redelegation", FIELD_BOOL, offsetof(struct trust, allow_redelegation),
      IN_CREATE | HIDDEN | NOT_STORED, .otherwise = "false" },
    { "redelegated_trust_id", FIELD_STRING, offsetof(struct trust, redelegated_trust_id),
      IN_CREATE | NULLABLE | OMIT_NULL | FILTER },
    { "deleted_at", FIELD_TIME, offsetof(struct trust, deleted_at), 0 },
    { "roles", FIELD_OBJECTS, offsetof(struct trust, roles), IN_CREATE | NOT_STORED | HIDDEN,
      .sub = &ROLE_REF_SCHEMA },
    { "role_ids", FIELD_STRINGS, offsetof(struct trust, role_ids), HIDDEN | INDEX },
};
const struct schema TRUST_SCHEMA = {
    .name = "trust",
    .size = sizeof(struct trust),
    .fields = TRUST_FIELDS,
    .n = ARRAY_SIZE(TRUST_FIELDS),
    .open = true,
};
const struct kind IDENTITY_TRUST_KIND = { .name = "identity.trust", .schema = &TRUST_SCHEMA };

/* ---- limits ---- */

static const struct field REGISTERED_LIMIT_FIELDS[] = {
    FIELD_ID(struct registered_limit),
    { "service_id", FIELD_STRING, offsetof(struct registered_limit, service_id),
      BOTH | REQUIRED | FILTER | INDEX, .max = 255 },
    { "region_id", FIELD_STRING, offsetof(struct registered_limit, region_id), BOTH | NULLABLE | FILTER,
      .max = 255 },
    { "resource_name", FIELD_STRING, offsetof(struct registered_limit, resource_name),
      BOTH | REQUIRED | FILTER | INDEX, .min = 1, .max = 255 },
    { "default_limit", FIELD_INT, offsetof(struct registered_limit, default_limit), BOTH | REQUIRED,
      .min = -1, .max = INT32_MAX },
    { "description", FIELD_STRING, offsetof(struct registered_limit, description), BOTH | NULLABLE },
};
SCHEMA(REGISTERED_LIMIT_SCHEMA, struct registered_limit, REGISTERED_LIMIT_FIELDS);
static void registered_limit_keys(const void *object, struct key_sink *k)
{
    const struct registered_limit *l = object;
    char text[1024];
    (void)snprintf(text, sizeof(text), "%s/%s/%s", l->service_id, str_or(l->region_id, ""), l->resource_name);
    key_add_unique(k, "what", text);
}
const struct kind IDENTITY_REGISTERED_LIMIT_KIND = { .name = "identity.registered_limit",
                                                     .schema = &REGISTERED_LIMIT_SCHEMA,
                                                     .keys = registered_limit_keys };

static const struct field LIMIT_FIELDS[] = {
    FIELD_ID(struct limit),
    { "service_id", FIELD_STRING, offsetof(struct limit, service_id), IN_CREATE | REQUIRED | FILTER | INDEX,
      .max = 255 },
    { "region_id", FIELD_STRING, offsetof(struct limit, region_id), IN_CREATE | NULLABLE | FILTER,
      .max = 255 },
    { "resource_name", FIELD_STRING, offsetof(struct limit, resource_name),
      IN_CREATE | REQUIRED | FILTER | INDEX, .min = 1, .max = 255 },
    { "resource_limit", FIELD_INT, offsetof(struct limit, resource_limit), BOTH | REQUIRED, .min = -1,
      .max = INT32_MAX },
    { "project_id", FIELD_STRING, offsetof(struct limit, project_id), IN_CREATE | NULLABLE | FILTER | INDEX },
    { "domain_id", FIELD_STRING, offsetof(struct limit, domain_id), IN_CREATE | NULLABLE | FILTER | INDEX },
    { "description", FIELD_STRING, offsetof(struct limit, description), BOTH | NULLABLE },
};
SCHEMA(LIMIT_SCHEMA, struct limit, LIMIT_FIELDS);
static void limit_keys(const void *object, struct key_sink *k)
{
    const struct limit *l = object;
    char text[1200];
    (void)snprintf(text, sizeof(text), "%s/%s/%s/%s", str_or(l->project_id, str_or(l->domain_id, "")),
                   l->service_id, str_or(l->region_id, ""), l->resource_name);
    key_add_unique(k, "what", text);
}
const struct kind IDENTITY_LIMIT_KIND = { .name = "identity.limit",
                                          .schema = &LIMIT_SCHEMA,
                                          .keys = limit_keys };

/* ---- policies, consumers, domain configuration, revocations ---- */

static const struct field POLICY_BLOB_FIELDS[] = {
    FIELD_ID(struct policy_blob),
    { "blob", FIELD_STRING, offsetof(struct policy_blob, blob), BOTH | REQUIRED },
    { "type", FIELD_STRING, offsetof(struct policy_blob, type), BOTH | REQUIRED | FILTER, .max = 255 },
    { "extra", FIELD_JSON, offsetof(struct policy_blob, extra), HIDDEN },
};
const struct schema POLICY_BLOB_SCHEMA = {
    .name = "policy",
    .size = sizeof(struct policy_blob),
    .fields = POLICY_BLOB_FIELDS,
    .n = ARRAY_SIZE(POLICY_BLOB_FIELDS),
    .open = true,
};
const struct kind IDENTITY_POLICY_KIND = { .name = "identity.policy", .schema = &POLICY_BLOB_SCHEMA };

static const struct field POLICY_LINK_FIELDS[] = {
    FIELD_ID(struct policy_link),
    { "policy_id", FIELD_STRING, offsetof(struct policy_link, policy_id), FILTER | INDEX },
    { "endpoint_id", FIELD_STRING, offsetof(struct policy_link, endpoint_id), FILTER | INDEX },
    { "service_id", FIELD_STRING, offsetof(struct policy_link, service_id), FILTER | INDEX },
    { "region_id", FIELD_STRING, offsetof(struct policy_link, region_id), FILTER },
};
static SCHEMA(POLICY_LINK_SCHEMA, struct policy_link, POLICY_LINK_FIELDS);
const struct kind IDENTITY_POLICY_LINK_KIND = { .name = "identity.policy_link",
                                                .schema = &POLICY_LINK_SCHEMA };

static const struct field CONSUMER_FIELDS[] = {
    FIELD_ID(struct consumer),
    { "description", FIELD_STRING, offsetof(struct consumer, description), BOTH | NULLABLE },
    { "secret", FIELD_STRING, offsetof(struct consumer, secret), SECRET },
    { "extra", FIELD_JSON, offsetof(struct consumer, extra), HIDDEN },
};
const struct schema CONSUMER_SCHEMA = {
    .name = "consumer",
    .size = sizeof(struct consumer),
    .fields = CONSUMER_FIELDS,
    .n = ARRAY_SIZE(CONSUMER_FIELDS),
    .open = true,
};
const struct kind IDENTITY_CONSUMER_KIND = { .name = "identity.consumer", .schema = &CONSUMER_SCHEMA };

static const struct field DOMAIN_CONFIG_FIELDS[] = {
    FIELD_ID(struct domain_config),
    { "config", FIELD_JSON, offsetof(struct domain_config, config), 0 },
};
static SCHEMA(DOMAIN_CONFIG_SCHEMA, struct domain_config, DOMAIN_CONFIG_FIELDS);
const struct kind IDENTITY_DOMAIN_CONFIG_KIND = { .name = "identity.domain_config",
                                                  .schema = &DOMAIN_CONFIG_SCHEMA };

static const struct field REVOCATION_FIELDS[] = {
    FIELD_ID(struct revocation),
    { "revoked_at", FIELD_TIME, offsetof(struct revocation, revoked_at), SORT | FILTER },
    { "expires_at", FIELD_TIME, offsetof(struct revocation, expires_at), FILTER | INDEX },
};
static SCHEMA(REVOCATION_SCHEMA, struct revocation, REVOCATION_FIELDS);
const struct kind IDENTITY_REVOCATION_KIND = { .name = "identity.revocation", .schema = &REVOCATION_SCHEMA };

const struct kind *const IDENTITY_KINDS[] = {
    &IDENTITY_PROJECT_KIND,
    &IDENTITY_USER_KIND,
    &IDENTITY_LOCKOUT_KIND,
    &IDENTITY_GROUP_KIND,
    &IDENTITY_MEMBERSHIP_KIND,
    &IDENTITY_ROLE_KIND,
    &IDENTITY_IMPLIED_ROLE_KIND,
    &IDENTITY_ASSIGNMENT_KIND,
    &IDENTITY_REGION_KIND,
    &IDENTITY_SERVICE_KIND,
    &IDENTITY_ENDPOINT_KIND,
    &IDENTITY_ENDPOINT_GROUP_KIND,
    &IDENTITY_CATALOG_LINK_KIND,
    &IDENTITY_CREDENTIAL_KIND,
    &IDENTITY_ACCESS_RULE_KIND,
    &IDENTITY_APP_CRED_KIND,
    &IDENTITY_TRUST_KIND,
    &IDENTITY_REGISTERED_LIMIT_KIND,
    &IDENTITY_LIMIT_KIND,
    &IDENTITY_POLICY_KIND,
    &IDENTITY_POLICY_LINK_KIND,
    &IDENTITY_CONSUMER_KIND,
    &IDENTITY_DOMAIN_CONFIG_KIND,
    &IDENTITY_REVOCATION_KIND,
    NULL,
};

const struct kind *const IDENTITY_TOKEN_KINDS[] = {
    &IDENTITY_PROJECT_KIND,      &IDENTITY_USER_KIND,
    &IDENTITY_MEMBERSHIP_KIND,   &IDENTITY_ROLE_KIND,
    &IDENTITY_IMPLIED_ROLE_KIND, &IDENTITY_ASSIGNMENT_KIND,
    &IDENTITY_APP_CRED_KIND,     &IDENTITY_TRUST_KIND,
    &IDENTITY_REVOCATION_KIND,   &IDENTITY_ACCESS_RULE_KIND,
    &IDENTITY_REGION_KIND,       &IDENTITY_SERVICE_KIND,
    &IDENTITY_ENDPOINT_KIND,     &IDENTITY_ENDPOINT_GROUP_KIND,
    &IDENTITY_CATALOG_LINK_KIND, NULL,
};
