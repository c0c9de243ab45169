/*
 * Actions: what is posted to /servers/{id}/action.
 *
 * An action is a row: its name, who may, in which states, how its arguments are read, and a
 * function that writes the order into the server. All of it happens in one transaction.
 */
#ifndef YUNDUO_COMPUTE_ACTIONS_H
#define YUNDUO_COMPUTE_ACTIONS_H

#include "compute/internal.h"

enum {
    ACT_LOCKED_TOO = 1 << 0,    /* works on a locked server */
    ACT_BUSY_TOO = 1 << 1,      /* works while a task is under way */
    ACT_OBJECT = 1 << 2,        /* the arguments must be an object */
    ACT_NULL = 1 << 3,          /* or null only */
    ACT_READS = 1 << 4,         /* writes nothing, is not recorded */
    ACT_GONE_TOO = 1 << 5,      /* works while the server is being deleted */
};

/* What c->data points to, when something is left to do once the transaction is over. */
struct action_after {
    const char *location;       /* header, or null */
    int (*finish)(struct call *c, struct action_after *after);      /* or null */
};

struct server_action {
    const char *name;           /* key of the body */
    int since, until;
    int status;                 /* 0: 202 */
    const char *rule;
    unsigned vm;                /* states it works in, of VMS(); 0: any */
    unsigned flags;
    const char *record;         /* name in the list of actions; null: not recorded */
    const char *verb;           /* in "Cannot 'stop' instance"; null: 'record' */
    const struct schema *in;    /* null: arguments are not looked at */
    /* 'in' is zeroed with defaults when the arguments were null. The server is written by the
     * caller afterwards unless it is gone (*gone). */
    int (*fn)(struct call *c, struct server *s, const void *in, const struct given *given, bool *gone);
};

enum {
    IN_ACTIVE = 1 << 0, IN_PAUSED = 1 << 1, IN_SUSPENDED = 1 << 2, IN_STOPPED = 1 << 3, IN_RESCUED = 1 << 4,
    IN_RESIZED = 1 << 5, IN_SOFT_DELETED = 1 << 6, IN_ERROR = 1 << 7, IN_SHELVED = 1 << 8, IN_OFFLOADED = 1 << 9,
};

/* The families of actions. */
extern const struct server_action POWER_ACTIONS[], BUILD_ACTIONS[], RESIZE_ACTIONS[], SNAPSHOT_ACTIONS[],
    ADMIN_ACTIONS[], NETWORK_ACTIONS[], CONSOLE_ACTIONS[], CONSOLE_URL_ACTIONS[];

/* 409 in Nova's words. */
int action_wrong_state(struct call *c, const struct server *s, const char *verb, const char *what,
                       const char *state);
/* Checks the state of the server: 0 or 409. */
int action_state(struct call *c, const struct server *s, unsigned vm, unsigned flags, const char *verb);

#endif
