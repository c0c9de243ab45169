/* What the files of this folder share; nobody else includes it. */
#ifndef YUNDUO_API_INTERNAL_H
#define YUNDUO_API_INTERNAL_H

#include "api/api.h"
#include "api/policy.h"

struct router;

struct api {
    struct api_options options;
    struct router *router;
    struct policy *policy;
    _Atomic(api_authenticator) authenticate;
    void **states;                  /* by index of the service */
    struct controller **controllers;
    size_t n_controllers, n_services;
};

/* ---- router.c ---- */

struct router_match {
    const struct service *service;
    const struct route *route;      /* null: none */
    struct strmap params;
    bool path_known;                /* another method exists */
    char allow[96];                 /* for 405: the methods that exist */
};
int router_new(const struct service *const *services, struct router **ret, struct fault *fault);
void router_free(struct router *r);
const struct service *router_service(const struct router *r, const char *path);
/* The row for this request; 'minor' picks among rows of several versions. -ENOMEM or 0. */
int router_find(const struct router *r, const struct service *s, const char *method, const char *path, int minor,
                struct arena *a, struct router_match *ret);

/* ---- version.c ---- */

/* Settles c->minor from the headers. 0 or FAULT (400, 406). */
int version_settle(struct call *c);
/* The headers that tell the version in force. */
void version_headers(struct call *c);

/* ---- api.c ---- */

/* Parses and decodes the body as the route says. As a verb. */
int api_read_body(struct call *c);

/* ---- answer.c ---- */

/* Renders c->fault and answers with it. */
void answer_fault(struct call *c);
/* Turns what a verb returned into an answer, unless it has answered already. */
void answer_result(struct call *c, int r);
void cors_headers(struct call *c);
/* Whether this is a preflight request, answered now. */
bool cors_preflight(struct call *c);
void call_end_read(struct call *c);

#endif
