/* What a project may have of compute, counted from the servers themselves. */
#include "compute/internal.h"

#include <errno.h>

static int servers_of(struct txn *t, const char *project_id, struct query *q)
{
    *q = (struct query){ .kind = &SERVER_KIND };
    return query_where(q, txn_arena(t), "project_id", Q_EQ, project_id) ? 0 : -ENOMEM;
}

static int used_instances(struct txn *t, const char *project_id, int64_t *ret)
{
    struct query q;
    uint64_t n = 0;
    int r = servers_of(t, project_id, &q);
    r = r < 0 ? r : txn_count(t, &q, &n);
    *ret = (int64_t)n;
    return r;
}

static int used_cores(struct txn *t, const char *project_id, int64_t *ret)
{
    struct query q;
    int r = servers_of(t, project_id, &q);
    return r < 0 ? r : txn_sum(t, &q, "flavor_vcpus", ret);
}

static int used_ram(struct txn *t, const char *project_id, int64_t *ret)
{
    struct query q;
    int r = servers_of(t, project_id, &q);
    return r < 0 ? r : txn_sum(t, &q, "flavor_ram", ret);
}

static int used_groups(struct txn *t, const char *project_id, int64_t *ret)
{
    struct query q = { .kind = &SERVER_GROUP_KIND };
    uint64_t n = 0;
    int r = query_where(&q, txn_arena(t), "project_id", Q_EQ, project_id) ? txn_count(t, &q, &n) : -ENOMEM;
    *ret = (int64_t)n;
    return r;
}

static const struct quota_row ROWS[] = {
    { "instances", 10, used_instances },
    { "cores", 20, used_cores },
    { "ram", 50 * 1024, used_ram },
    { "metadata_items", 128, NULL },
    { "key_pairs", 100, NULL },
    { "server_groups", 10, used_groups },
    { "server_group_members", 10, NULL },
    { "injected_files", 5, NULL },
    { "injected_file_content_bytes", 10 * 1024, NULL },
    { "injected_file_path_bytes", 255, NULL },
    /* Counted by the network service; here for clients of old. */
    { "floating_ips", -1, NULL },
    { "fixed_ips", -1, NULL },
    { "security_groups", -1, NULL },
    { "security_group_rules", -1, NULL },
};
const struct quota_table COMPUTE_QUOTAS = { "compute", ROWS, ARRAY_SIZE(ROWS) };
