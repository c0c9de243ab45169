/*
 * Quotas: limits per project, counted from the objects themselves in the same transaction.
 *
 * Limits that nobody set are the defaults of the service's table; an administrator may change a
 * project's or (the class "default") everybody's. -1 is no limit.
 */
#ifndef YUNDUO_API_QUOTA_H
#define YUNDUO_API_QUOTA_H

#include "api/api.h"

struct quota_row {
    const char *name;               /* "instances" */
    int64_t limit;                  /* default */
    /* How many the project uses now. Null: a limit per object, such as metadata_items. */
    int (*used)(struct txn *t, const char *project_id, int64_t *ret);
};
struct quota_table {
    const char *service;            /* "compute" */
    const struct quota_row *rows;
    size_t n;
};

extern const struct kind QUOTA_KIND;        /* "api.quota"; listed once in src/cmd's kinds */

/* The limit in force. */
int quota_limit(struct txn *t, const struct quota_table *q, const char *project_id, const char *name, int64_t *ret);
int quota_used(struct txn *t, const struct quota_table *q, const char *project_id, const char *name, int64_t *ret);
/* 0 when 'more' still fits, else 1, with what is used and the limit told. */
int quota_fits(struct txn *t, const struct quota_table *q, const char *project_id, const char *name, int64_t more,
               int64_t *ret_used, int64_t *ret_limit);
/* Sets a limit of a project, or of the class "default" where project_id is "default". */
int quota_set(struct txn *t, const struct quota_table *q, const char *project_id, const char *name, int64_t limit);
/* Back to the defaults. */
int quota_reset(struct txn *t, const struct quota_table *q, const char *project_id);

#endif
