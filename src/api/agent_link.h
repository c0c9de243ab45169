/*
 * The talk with host agents.
 *
 *     GET /agent/v1/desired?host=H&since=R    long poll; {"revision": R, "<section>": {...}, ...}
 *     POST /agent/v1/report?host=H            {"<section>": {...}, ...}
 *
 * Each section belongs to a service. What a host should be is rendered whole whenever something
 * that concerns it has changed; agents compare with what is. An agent that was away, or a lost
 * answer, costs nothing but one more poll. Which hosts a change concerns is told by the kind's
 * host_field; kinds without one concern all hosts.
 *
 * Who may call: over the local socket the host named; over mutual TLS the host whose name the
 * certificate has. An agent sees and reports only what is placed on its own host.
 */
#ifndef YUNDUO_API_AGENT_LINK_H
#define YUNDUO_API_AGENT_LINK_H

#include "api/api.h"

struct agent_section {
    const char *name;                       /* "servers" */
    const struct kind *const *kinds;        /* whose changes matter; ends with null */
    /* Writes the value of the section for one host. */
    int (*desired)(struct api *api, struct txn *t, const char *host, struct json_out *o);
    /* Takes what a host reports under this name (any part of it may be missing). Must not trust:
     * only what is placed on 'host' may be changed by it. */
    int (*observed)(struct api *api, struct arena *a, const char *host, const json_t *value);
};

/* The routes of the talk; wired like a service. */
extern const struct service AGENT_SERVICE;

#endif
