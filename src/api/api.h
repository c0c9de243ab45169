/*
 * What all services are written in.
 *
 * A service is one 'struct service': its routes, kinds, policy rules, controllers and its part of
 * the talk with host agents. The list of services is wired in src/cmd; nothing else knows all.
 *
 * A route row says everything that can be said before the verb runs: method and path, the policy
 * rule, the microversions it exists in, how the body is wrapped and which schema reads it. The
 * machinery opens the token, settles the microversion, reads the body (400 names the bad key),
 * checks the rule, calls the verb, and renders its reply or fault in the service's own envelope.
 *
 * A verb writes desired state in one transaction and answers; it never talks to a host.
 */
#ifndef YUNDUO_API_API_H
#define YUNDUO_API_API_H

#include "base/error.h"
#include "base/json.h"
#include "http/http.h"
#include "store/store.h"

struct api;
struct call;
struct service;

/* ---- who asks ---- */

struct auth {
    const char *user_id, *user_name, *user_domain_id, *user_domain_name;
    const char *project_id, *project_name, *project_domain_id, *project_domain_name;
    const char *domain_id, *domain_name;    /* domain scope */
    bool system;                            /* system scope */
    struct strv roles;                      /* names, those implied included */
    struct strv role_ids;                   /* in the order of 'roles' */
    bool admin;                             /* has the role "admin" (in whatever scope) */
    const char *token;                      /* as it was sent */
    const char *audit_id;
    usec_t issued_at, expires_at;
    const char *agent_host;                 /* a host agent's call: its host; else null */
    void *extra;                            /* the identity service's own */
    /* Whether this token may make this call at all, whatever its roles; 'path' is below the
     * service's prefix. Null: any. */
    bool (*permits)(const struct auth *a, const struct service *s, const char *method, const char *path);
};

/* Opens what X-Auth-Token holds. 0; FAULT (401, or 404 for the subject); negative. Set by identity. */
typedef int (*api_authenticator)(struct api *api, struct arena *a, const char *token, struct auth *ret,
                                 struct fault *fault);

/* ---- routes ---- */

enum {
    ROUTE_PUBLIC = 1 << 0,          /* no token needed; one that is sent is opened, a bad one ignored */
    ROUTE_AGENT = 1 << 1,           /* host agents only */
    ROUTE_WORKER = 1 << 2,          /* run on a worker although it is a GET */
    ROUTE_INLINE = 1 << 3,          /* run on the event loop although it is no GET */
    ROUTE_BODY_OPTIONAL = 1 << 4,   /* an empty body is not an error: c->in stays zeroed with defaults */
    ROUTE_ANY_BODY = 1 << 5,        /* the body is not JSON: the verb reads c->http->body */
    ROUTE_TAIL = 1 << 6,            /* the last {parameter} takes the rest of the path, slashes too */
    ROUTE_NO_VERSION = 1 << 7,      /* microversion headers are neither checked nor answered */
};

struct route {
    const char *method;             /* "GET" answers HEAD too unless there is a HEAD row */
    const char *path;               /* below the service's prefix: "/v2.0/networks/{id}" */
    int (*verb)(struct call *c);
    const char *rule;               /* policy rule on the caller alone; null: the verb checks (or public) */
    uint32_t flags;
    int status;                     /* of success; 0: 200 */
    int16_t since, until;           /* microversion minors; several rows may share a path */
    const char *wrap;               /* the body is {"network": {...}}; null: the body is the object itself */
    const struct schema *body;      /* what reads it into c->in; null: c->body is the parsed tree or null */
    enum decode_mode mode;          /* DECODE_CREATE or DECODE_UPDATE */
    size_t body_limit;              /* bytes; 0: 1 MiB */
    const struct http_sink *sink;   /* stream the body; runs after 'begin' */
    int (*begin)(struct call *c);   /* for sinks: auth and checks before the first byte; as a verb */
    const struct resource *resource;    /* for the generic verbs of api/resource.h */
    const char *doc;
};

/* ---- a service ---- */

struct policy_rule {
    const char *name;               /* "identity:get_project" */
    const char *check;              /* oslo.policy's language: "role:admin or project_id:%(project_id)s" */
    const char *doc;
};

/* A thread that reacts to changes: see api/controller.h. */
struct controller_class;
/* The service's part of what agents are told and tell: see api/agent_link.h. */
struct agent_section;

struct service {
    const char *name;               /* "network" */
    const char *type;               /* in the catalog: "network", "compute", "volumev3" */
    const char *prefix;             /* "/network" */
    const char *catalog_path;       /* appended to the prefix in the catalog; "%(project_id)s" is replaced */
    const struct route *routes;
    size_t n_routes;
    const struct kind *const *kinds;            /* ends with null */
    const struct policy_rule *rules;
    size_t n_rules;
    const struct controller_class *const *controllers;  /* ends with null; may be null */
    const struct agent_section *const *sections;        /* likewise */

    /* Microversions: "2.1" to "2.93" are major 2, 1 and 93. major 0: the service has none. */
    int version_major, version_min, version_max;
    const char *version_type;       /* in OpenStack-API-Version: "compute" */
    const char *version_header_old; /* "X-OpenStack-Nova-API-Version"; null */
    const char *request_id_header;  /* also tells the request id: "X-Compute-Request-Id"; null */

    enum time_style time_style;
    const struct list_style *list_style;        /* see api/resource.h */

    /* Writes the body of an error. Null: {"error": {"code", "title", "message"}} as Keystone. */
    void (*render_fault)(struct call *c, const struct fault *f, struct json_out *o);
    /* Makes the fault for a body that its schema refused. Null: 400 with the message. */
    int (*decode_fault)(struct call *c, const struct decode_error *e);
    /* Makes the fault for a rule that refused. Null: 403. */
    int (*denied_fault)(struct call *c, const char *rule);

    int (*start)(struct api *api);              /* after the store is open; may be null */
    void (*stop)(struct api *api);
    /* What "yun init" puts in the store for a new cloud; called inside its transaction. May be null. */
    int (*seed)(struct api *api, struct txn *t, const void *seed_options);
};

/* ---- a call under way ---- */

struct call {
    struct api *api;
    const struct service *service;
    const struct route *route;
    struct http_request *http;
    struct arena *arena;
    struct store *store;
    struct auth *auth;              /* null on public routes without a token */
    int minor;                      /* microversion; 0 where the service has none */
    struct strmap params;           /* of the path */

    json_t *body;                   /* parsed; the wrapped value when 'wrap' is set; owned by the machinery */
    void *in;                       /* struct of route->body */
    struct given given;             /* which rows the body gave */

    /* the answer */
    int status;                     /* preset from the route */
    struct buf buf;                 /* text of the answer */
    struct json_out out;            /* writes to buf */
    const char *content_type;       /* preset "application/json" */
    struct fault fault;             /* for FAULT */
    bool answered;                  /* the verb has called http_answer_*() itself */
    void *data;                     /* the verb's own, between begin, sink and verb */
    const char *base_url;           /* what call_base_url() made */
    struct txn *txn;                /* set while in a closure made by call_write() */
};

/* The {parameter} of the path; asserts that the route has it. */
const char *call_param(const struct call *c, const char *name);
/* The first query argument of that name, or null. */
const char *call_arg(const struct call *c, const char *name);
/* 0; FAULT 400 when it is there and no integer in [min, max]. */
int call_arg_int(struct call *c, const char *name, int64_t min, int64_t max, int64_t otherwise, int64_t *ret);
/* "1", "true", "yes" and so on; anything unclear is false. */
bool call_arg_bool(const struct call *c, const char *name, bool otherwise);

/* Refuses: return call_fault(c, 404, "NetworkNotFound", "Network %s could not be found.", id); */
int call_fault(struct call *c, int status, const char *type, const char *format, ...) _printf_(4, 5);

/* fn(call) inside a write transaction, with c->txn set. What fn rendered or faulted in an attempt
 * that is run again is dropped first. As store_write(). */
int call_write(struct call *c, int (*fn)(struct call *c));
/* Opens a read transaction in c->txn; the machinery ends it after the verb. */
int call_read(struct call *c);

/* Policy. 'target' are the attributes of the thing, such as project_id; may be null. */
bool call_allowed(struct call *c, const char *rule, const struct strmap *target);
/* 0, or the service's denied fault. */
int call_require(struct call *c, const char *rule, const struct strmap *target);
/* The most common target: the project that owns it. */
int call_require_project(struct call *c, const char *rule, const char *project_id);
/* An administrator of the whole cloud (role admin in any scope). */
bool call_is_admin(const struct call *c);

/* Calls a route of any service as this caller, within this process: for services that pass on
 * what another one owns. 'path' has the prefix and may have a query; 'body' may be null. Not inside
 * a transaction; routes that stream or answer by themselves can't be called. 0 with the status and
 * the body (the caller's to decref; null when empty), of refusals too: then *ret_message is the
 * sentence. Negative when broken. */
int call_service(struct call *c, const char *method, const char *path, const json_t *body, int *ret_status,
                 json_t **ret_body, const char **ret_message);

/* "http://host:port/network" as the client reached us (X-Forwarded-* are honoured when configured). */
const char *call_base_url(struct call *c);
const char *call_service_url(struct call *c, const char *service_name);
/* Encoding options for replies: time style and microversion of this call. */
struct encode_options call_encoding(const struct call *c);
/* A link next to the present one: the path of the call with some query arguments replaced. */
const char *call_link(struct call *c, const char *argument, const char *value, const char *without);

/* ---- the application ---- */

struct api_options {
    struct store *store;
    const struct service *const *services;      /* ends with null */
    const char *policy_file;        /* overrides; null: none */
    const char *public_url;         /* "https://cloud.example.org"; null: as the client reached us */
    const char *cors_origins;       /* "https://a, https://b"; null: none */
    const char *data_dir;           /* where services keep files (images, keys) */
    const void *config;             /* the daemon's configuration, for services: see cmd/config.h */
    bool agents_by_local_socket;    /* a call over the unix socket is a host agent's */
};

/* 0; FAULT with a sentence for the operator (a policy file's line, two routes alike). */
int api_new(const struct api_options *o, struct api **ret, struct fault *fault);
/* Starts controllers; stops them. */
int api_start(struct api *api);
void api_stop(struct api *api);
void api_free(struct api *api);
struct http_app api_http_app(struct api *api);

struct store *api_store(const struct api *api);
const char *api_data_dir(const struct api *api);
const void *api_config(const struct api *api);
const struct service *api_service(const struct api *api, const char *name);
const struct service *const *api_services(const struct api *api);
void api_set_authenticator(struct api *api, api_authenticator fn);
/* A place for each service's own memory, by service name. */
void api_set_state(struct api *api, const struct service *s, void *state);
void *api_state(const struct api *api, const struct service *s);
/* METHOD PATH RULE lines of all routes, for tools and docs. */
void api_describe_routes(const struct service *const *services, struct buf *out);
void api_describe_rules(const struct service *const *services, struct buf *out);

#endif
