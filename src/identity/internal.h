/* What the files of this slice share; nobody else includes it. */
#ifndef YUNDUO_IDENTITY_INTERNAL_H
#define YUNDUO_IDENTITY_INTERNAL_H

#include "api/config.h"
#include "api/resource.h"
#include "identity/identity.h"
#include "identity/resources.h"
#include "identity/token_seal.h"

#include <pthread.h>

struct token_cache;
struct verified;
struct snapshot;

struct identity {
    const struct cloud_config *config;
    struct token_keys *keys;
    struct token_cache *cache;     /* of tokens */
    struct token_cache *standings; /* of what users are worth in a scope: see token_issue() */
    struct verified *verified;
    /* Raised by each commit that touches a kind of IDENTITY_TOKEN_KINDS, or of those a snapshot is made of.
     */
    _Atomic uint64_t generation, snapshot_generation;
    struct watch *watch, *snapshot_watch;
    pthread_mutex_t snapshot_lock;
    struct snapshot *snapshot;
};
struct identity *identity_of(struct api *api);
const struct cloud_config *identity_config(struct api *api);
static inline struct identity *call_identity(struct call *c)
{
    return identity_of(c->api);
}
/* How long after its end a token can be validated with allow_expired. */
#define EXPIRED_WINDOW DAYS(2)
extern const struct list_style IDENTITY_LIST_STYLE;
#define DEFAULT_DOMAIN "default"

/* ---- common.c: what most verbs need ---- */

/* "http://host/identity/v3/<format>" in the call's arena. */
const char *v3_url(struct call *c, const char *format, ...) _printf_(2, 3);
/* "links": {"self": ...} */
void put_self(struct call *c, struct json_out *o, const char *collection, const char *id);
/* The members of a JSON object's text, flat. Null: nothing. */
void put_extra(struct json_out *o, const char *extra);
/* The keys of the body that no row of the schema names, laid over what 'old' has. */
int extra_merge(struct call *c, const struct schema *s, const char *old, const char **ret);
/* "options": {...}, and what a request may put there. */
void put_options(struct json_out *o, const char *options);
int options_merge(struct call *c, const char *old, const char **text, const char *const *known);
bool option_true(const char *options, const char *name);
/* FAULT 403 when options.immutable stands and the request doesn't take it away. */
int refuse_immutable(struct call *c, const char *before, const char *after, const char *what, const char *id);
/* FAULT 404 "Could not find project: <id>." */
int not_found(struct call *c, const char *what, const char *id);
int not_found_fault(struct fault *f, const char *what, const char *id);
int forbidden(struct call *c, const char *rule);
/* FAULT 403 for tokens of application credentials that may not make others. */
int refuse_restricted(struct call *c);
int bad_request(struct call *c, const char *format, ...) _printf_(2, 3);
int conflict(struct call *c, const char *format, ...) _printf_(2, 3);
/* The object, or not_found(). */
int need_(struct call *c, const struct kind *k, const char *what, const char *id, void **ret);
#define need(c, kind, what, id, ret)                                                                         \
    need_((c), (kind), (what), (id), (void **)(1 ? (ret) : (__typeof__(ret))NULL))
/* Targets for rules: "target.<what>.id" and so on. Null objects add nothing. */
void target_project(struct call *c, struct strmap *m, const struct project *p);
void target_user(struct call *c, struct strmap *m, const struct user *u);
void target_group(struct call *c, struct strmap *m, const struct user_group *g);
void target_role(struct call *c, struct strmap *m, const struct role *r);
/* Lists that a domain-scoped caller may see of its domain only: checks the rule, adds the condition. */
int scope_domain(struct call *c, struct query *q, const char *rule);
/* The domain that a create without domain_id goes to: the token's, else the default one. */
const char *domain_for_create(struct call *c);
/* Filters "name__contains" and so on. For resource.filter. */
int filter_operators(struct call *c, struct query *q, const char *name, const char *value);
/* Lists that are no plain query: writes the envelope around 'fn' for each object. */
void list_open(struct call *c, const char *many);
void list_close(struct call *c);
/* Deletes all objects of a kind with this value. */
int delete_where(struct txn *t, const struct kind *k, const char *field, const char *value);
int list_where(struct txn *t, const struct kind *k, const char *field, const char *value,
               struct results *ret);

/* ---- password.c ---- */

int verified_new(struct verified **ret);
void verified_free(struct verified *v);
/* Hashes with the configured cost: slow, not inside transactions. */
int password_hash(struct identity *id, struct arena *a, const char *password, const char **ret);
/* Whether it is the password of this hash. Null hash: takes as long and is false. 'whose' keys the
 * memory of what was verified lately. */
int password_check(struct identity *id, const char *whose, const char *hash, const char *password, bool *ret);
/* Whether a new password fits the rules; FAULT 400. */
int password_rules(struct call *c, const char *password);
/* Whether it was used among the last ones; slow. */
int password_used_before(struct identity *id, const struct user *u, const char *password, bool *ret);
/* Puts a new hash in the user: history, expiry, tokens void from now on. */
void password_set(struct identity *id, struct arena *a, struct user *u, const char *hash, bool by_admin);

/* ---- lockout.c ---- */

struct lockout_state {
    bool counts; /* wrong passwords of this user are counted */
    bool failed; /* there were some */
    bool locked;
};
int lockout_read(struct identity *id, struct txn *t, const struct user *u, struct lockout_state *ret);
/* After a wrong password, after a right one; each writes only when there is something to write. */
int lockout_failed(struct call *c, const struct lockout_state *s, const char *user_id);
int lockout_passed(struct call *c, const struct lockout_state *s, const char *user_id);

/* ---- snapshot.c: roles and catalog in memory ---- */

struct role_entry {
    const char *id, *name, *domain_id;
    struct strv implies; /* ids, direct ones */
};
int snapshot_get(struct api *api, struct txn *t, struct snapshot **ret);
void snapshot_unref(struct snapshot *s);
static inline void snapshot_unrefp(struct snapshot **s)
{
    snapshot_unref(*s);
}
const struct role_entry *snapshot_role(const struct snapshot *s, const char *id);
/* Adds what the roles imply, and so on; each id once. */
void snapshot_expand(const struct snapshot *s, struct arena *a, struct strv *role_ids);
/* "catalog": the array. Whether a project's associations narrow it is looked up. */
/* Whether an endpoint meets an endpoint group's filters. */
bool endpoint_fits(const struct endpoint *e, const json_t *filters);
int snapshot_catalog(const struct snapshot *s, struct txn *t, struct arena *a, const char *project_id,
                     const char *user_id, struct json_out *o);

/* ---- effective.c: who has which roles where ---- */

struct ref_list {
    struct role_ref *v;
    size_t n, cap;
};
/* The user's groups. */
int groups_of_user(struct txn *t, struct arena *a, const char *user_id, struct strv *ret_ids);
/* Roles for a token: direct, by group, inherited, implied; without those of a domain's own. */
int effective_roles(struct api *api, struct txn *t, struct arena *a, const char *user_id,
                    enum token_scope scope, const char *target_id, struct ref_list *ret);
/* Projects (or domains) where the user has any role. */
int effective_projects(struct txn *t, struct arena *a, const char *user_id, bool domains,
                       struct results *ret);
/* The project's ancestors, nearest first, its domain last. */
int project_ancestors(struct txn *t, struct arena *a, const struct project *p, struct results *ret);
int project_descendants(struct txn *t, struct arena *a, const char *id, struct results *ret);
bool ref_list_has(const struct ref_list *l, const char *id);

/* ---- token.c: tokens opened and issued ---- */

struct token_info {
    struct auth auth; /* auth.extra points back here */
    struct token_payload payload;
    usec_t password_expires_at;
    usec_t good_until; /* end of the trust or application credential behind it; 0: none */
    bool project_is_domain;
    const char *trustor_id, *trustee_id; /* when payload.trust_id is set */
    bool impersonation;
    const char *app_cred_name; /* when payload.app_cred_id is set */
    bool app_cred_unrestricted;
    VEC_OF(struct access_rule) access_rules;
    bool has_access_rules;
};
static inline struct token_info *auth_info(const struct auth *a)
{
    return a ? a->extra : NULL;
}
/* Finds what the payload names and checks that it is still worth something. 0; FAULT 404, which
 * callers turn into a 401 where it is the caller's own token. Past its end by 'window' it is still good. */
int token_resolve(struct api *api, struct txn *t, struct arena *a, const struct token_payload *p,
                  usec_t window, struct token_info *ret, struct fault *fault);
/* Opens and resolves, by the cache. t may be null: then a read is begun when needed. */
int token_validate(struct api *api, struct txn *t, struct arena *a, const char *token, usec_t window,
                   struct token_info *ret, struct fault *fault);
int identity_authenticate(struct api *api, struct arena *a, const char *token, struct auth *ret,
                          struct fault *fault);
/* {"token": {...}} */
int token_render(struct call *c, struct txn *t, const struct token_info *i, bool catalog, struct json_out *o);
/* Fills audit id and times, seals, resolves. */
int token_issue(struct api *api, struct txn *t, struct arena *a, struct token_payload *p,
                char out[TOKEN_TEXT_MAX], struct token_info *ret, struct fault *fault);
const char *const *token_methods(unsigned methods, const char *out[8]);

int token_cache_new(struct token_cache **ret);
void token_cache_free(struct token_cache *c);
/* Rendered answers to GET /v3/auth/tokens live beside the opened token. */
bool token_cache_find(struct token_cache *c, uint64_t generation, const char *token, struct arena *a,
                      struct token_info *ret);
void token_cache_add(struct token_cache *c, uint64_t generation, const char *token,
                     const struct token_info *i);
bool token_cache_find_answer(struct token_cache *c, uint64_t generation, const char *token, struct buf *out);
void token_cache_add_answer(struct token_cache *c, uint64_t generation, const char *token, const char *text,
                            size_t n);

bool access_rules_permit(const struct auth *auth, const struct service *service, const char *method,
                         const char *path);

/* ---- totp.c ---- */

/* Checks a TOTP passcode against the user's credentials. */
int totp_check(struct txn *t, struct arena *a, const char *user_id, const char *passcode, bool *ret);

/* ---- rules.c ---- */

/* Counted by the compiler, which says when a number here is wrong. */
#define IDENTITY_N_RULES 158
#define IDENTITY_N_ROUTES 208
extern const struct policy_rule IDENTITY_RULES[];
extern const struct route IDENTITY_ROUTES[];

/* ---- verbs, by file, as the route table names them ---- */

#define VERB(name) name(struct call *c)

int VERB(versions_root), VERB(versions_v3);
int VERB(auth_post), VERB(auth_get), VERB(auth_delete), VERB(auth_catalog), VERB(auth_projects),
    VERB(auth_domains), VERB(auth_system), VERB(revoke_events);

int VERB(project_show), VERB(user_projects), VERB(project_tags_list), VERB(project_tags_set),
    VERB(project_tags_clear), VERB(project_tag_get), VERB(project_tag_add), VERB(project_tag_remove);
int VERB(domain_config_put), VERB(domain_config_get), VERB(domain_config_patch), VERB(domain_config_delete),
    VERB(domain_config_default);
extern const struct resource PROJECT_RESOURCE, DOMAIN_RESOURCE;

int VERB(user_show), VERB(user_create), VERB(user_update), VERB(user_password), VERB(group_show),
    VERB(user_groups), VERB(group_users), VERB(member_add), VERB(member_check), VERB(member_remove);
extern const struct resource USER_RESOURCE, GROUP_RESOURCE;

int VERB(implied_list), VERB(implied_get), VERB(implied_put), VERB(implied_delete), VERB(inferences_list),
    VERB(grant_list), VERB(grant_check), VERB(grant_put), VERB(grant_delete), VERB(assignments_list);
extern const struct resource ROLE_RESOURCE;

int VERB(region_put);
int VERB(filter_endpoint_put), VERB(filter_endpoint_check), VERB(filter_endpoint_delete),
    VERB(filter_project_endpoints), VERB(filter_endpoint_projects), VERB(filter_group_put),
    VERB(filter_group_check), VERB(filter_group_delete), VERB(filter_project_groups),
    VERB(filter_group_projects), VERB(filter_group_endpoints);
extern const struct resource REGION_RESOURCE, SERVICE_RESOURCE, ENDPOINT_RESOURCE, ENDPOINT_GROUP_RESOURCE;

int VERB(credential_show), VERB(ec2_create), VERB(ec2_list), VERB(ec2_show), VERB(ec2_delete),
    VERB(ec2_tokens), VERB(s3_tokens);
extern const struct resource CREDENTIAL_RESOURCE;

int VERB(app_cred_list), VERB(app_cred_show), VERB(app_cred_create), VERB(app_cred_delete),
    VERB(access_rule_list), VERB(access_rule_show), VERB(access_rule_delete);

int VERB(trust_list), VERB(trust_show), VERB(trust_create), VERB(trust_delete), VERB(trust_roles),
    VERB(trust_role);

int VERB(registered_limit_create), VERB(limit_create), VERB(limit_model), VERB(limit_show);
extern const struct resource REGISTERED_LIMIT_RESOURCE, LIMIT_RESOURCE;

int VERB(policy_link_put), VERB(policy_link_check), VERB(policy_link_delete), VERB(policy_endpoints),
    VERB(endpoint_policy);
extern const struct resource POLICY_RESOURCE, CONSUMER_RESOURCE;

/* ---- removal of what hangs on something ---- */

int user_purge(struct txn *t, struct arena *a, const char *user_id);
int group_purge(struct txn *t, struct arena *a, const char *group_id);
int project_purge(struct txn *t, struct arena *a, const char *project_id);
int role_purge(struct txn *t, struct arena *a, const char *role_id);

/* ---- seed.c, controller.c ---- */

int identity_seed(struct api *api, struct txn *t, const void *options);
extern const struct controller_class IDENTITY_CONTROLLER;

#endif
