/*
 * What a project may keep: image bytes, staged bytes, images, uploads at once.
 *
 * Usage is computed from the image records in the caller's transaction. Limits are, in this
 * order, what was set for the project, what the operator's configuration says, none.
 */
#include "image/internal.h"

#include "base/macro.h"

#include <errno.h>
#include <inttypes.h>

#define MIB ((int64_t)1 << 20)

static int where(struct query *q, struct txn *t, const char *project_id)
{
    *q = (struct query){ .kind = &IMAGE_KIND };
    return query_where(q, txn_arena(t), "owner", Q_EQ, project_id) ? 0 : -ENOMEM;
}

static int bytes_used(struct txn *t, const char *project_id, const char *field, int64_t *ret)
{
    struct query q;
    int r = where(&q, t, project_id);
    if (r == 0 && STREQ(field, "size")) {
        struct condition *w = query_where(&q, txn_arena(t), "status", Q_IN, NULL);
        if (!w)
            return -ENOMEM;
        strv_add(txn_arena(t), &w->list, IMAGE_ACTIVE);
        strv_add(txn_arena(t), &w->list, IMAGE_DEACTIVATED);
    }
    return r ? r : txn_sum(t, &q, field, ret);
}

static int size_used(struct txn *t, const char *project_id, int64_t *ret)
{
    int r = bytes_used(t, project_id, "size", ret);
    *ret = (*ret + MIB - 1) / MIB;
    return r;
}

static int stage_used(struct txn *t, const char *project_id, int64_t *ret)
{
    int r = bytes_used(t, project_id, "staged_size", ret);
    *ret = (*ret + MIB - 1) / MIB;
    return r;
}

static int count_used(struct txn *t, const char *project_id, int64_t *ret)
{
    struct query q;
    uint64_t n = 0;
    int r = where(&q, t, project_id);
    if (r == 0)
        r = txn_count(t, &q, &n);
    *ret = (int64_t)n;
    return r;
}

static int uploading_used(struct txn *t, const char *project_id, int64_t *ret)
{
    struct query q;
    uint64_t n = 0;
    int r = where(&q, t, project_id);
    if (r == 0) {
        struct condition *w = query_where(&q, txn_arena(t), "status", Q_IN, NULL);
        if (!w)
            return -ENOMEM;
        strv_add(txn_arena(t), &w->list, IMAGE_SAVING);
        strv_add(txn_arena(t), &w->list, IMAGE_UPLOADING);
        strv_add(txn_arena(t), &w->list, IMAGE_IMPORTING);
        r = txn_count(t, &q, &n);
    }
    *ret = (int64_t)n;
    return r;
}

static const struct quota_row ROWS[] = {
    { "image_size_total", -1, size_used },
    { "image_stage_total", -1, stage_used },
    { "image_count_total", -1, count_used },
    { "image_count_uploading", -1, uploading_used },
};
const struct quota_table IMAGE_QUOTA = { "image", ROWS, ARRAY_SIZE(ROWS) };

/* The operator's own limits, of all projects; set once at the start. */
static const struct cloud_config *limits;

void image_quota_limits(const struct cloud_config *o)
{
    limits = o;
}

static int64_t mib(int64_t bytes)
{
    return bytes < 0 ? -1 : bytes / MIB;
}

static int limit_of(struct txn *t, const char *project_id, const char *name, int64_t *ret)
{
    int r = quota_limit(t, &IMAGE_QUOTA, project_id, name, ret);
    if (r != 0 || *ret >= 0 || !limits)
        return r;
    *ret = STREQ(name, "image_count_total") ? limits->image_count_max
           : STREQ(name, "image_count_uploading")
               ? limits->image_uploading_max
               : mib(STREQ(name, "image_size_total") ? limits->image_total_max : limits->image_staging_max);
    return 0;
}

int image_quota(struct txn *t, const char *project_id, const char *name, int64_t more, struct fault *f)
{
    int64_t limit, used;
    if (!project_id)
        return 0;
    int r = limit_of(t, project_id, name, &limit);
    if (r != 0 || limit < 0)
        return r;
    r = quota_used(t, &IMAGE_QUOTA, project_id, name, &used);
    if (r != 0 || used + more <= limit)
        return r;
    return fault_set(f, 413, "LimitExceeded",
                     "Project %s is over a limit for [Resource %s is over limit of %" PRId64
                     " due to current usage %" PRId64 " and delta %" PRId64 "]",
                     project_id, name, limit, used, more);
}

int image_quota_left(struct txn *t, const char *project_id, const char *name, int64_t *ret_bytes)
{
    int64_t limit, used = 0;
    *ret_bytes = -1;
    if (!project_id)
        return 0;
    int r = limit_of(t, project_id, name, &limit);
    if (r != 0 || limit < 0)
        return r;
    r = bytes_used(t, project_id, STREQ(name, "image_size_total") ? "size" : "staged_size", &used);
    *ret_bytes = limit > INT64_MAX / MIB ? -1 : MAX(limit * MIB - used, (int64_t)0);
    return r;
}

int info_usage(struct call *c)
{
    int r = call_read(c);
    json_open_object(&c->out);
    json_put_object(&c->out, "usage");
    for (size_t k = 0; r == 0 && k < ARRAY_SIZE(ROWS); k++) {
        int64_t limit = -1, used = 0;
        if (!c->auth->project_id)
            return call_fault(c, 400, "BadRequest", "The token has no project.");
        r = limit_of(c->txn, c->auth->project_id, ROWS[k].name, &limit);
        if (r == 0)
            r = quota_used(c->txn, &IMAGE_QUOTA, c->auth->project_id, ROWS[k].name, &used);
        json_put_object(&c->out, ROWS[k].name);
        json_put_int(&c->out, "usage", used);
        json_put_int(&c->out, "limit", limit);
        json_close_object(&c->out);
    }
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}
