/*
 * Which hosts can take a server. Each filter is a question with yes or no; the scheduler counts
 * the hosts that each one refused, and that count is what an administrator is told.
 */
#include "compute/scheduler.h"

#include <stdio.h>

static bool enabled(const struct sched_request *q, const struct sched_host *h)
{
    (void)q;
    return !h->record->disabled;
}

static bool up(const struct sched_request *q, const struct sched_host *h)
{
    (void)q;
    return h->up && h->record->facts;
}

static bool not_tried(const struct sched_request *q, const struct sched_host *h)
{
    return !q->excluded || !strv_has(q->excluded, h->name);
}

static bool named(const struct sched_request *q, const struct sched_host *h)
{
    return !q->only_host || STREQ(q->only_host, h->name) ||
           (h->record->facts && str_eq(q->only_host, h->record->facts->hostname));
}

static bool volumes(const struct sched_request *q, const struct sched_host *h)
{
    return !q->volume_host || STREQ(q->volume_host, h->name);
}

static bool zone(const struct sched_request *q, const struct sched_host *h)
{
    return !q->zone || str_eq(q->zone, h->zone);
}

static bool cpu(const struct sched_request *q, const struct sched_host *h)
{
    return h->used.vcpus + q->claim.vcpus <= h->capacity.vcpus;
}

static bool ram(const struct sched_request *q, const struct sched_host *h)
{
    return h->used.memory_mb + q->claim.memory_mb <= h->capacity.memory_mb;
}

static bool disk(const struct sched_request *q, const struct sched_host *h)
{
    return h->used.disk_gb + q->claim.disk_gb <= h->capacity.disk_gb;
}

/* "aggregate_instance_extra_specs:ssd": "true" wants it of one of the host's aggregates. */
static bool aggregate_specs(const struct sched_request *q, const struct sched_host *h)
{
    static const char SCOPE[] = "aggregate_instance_extra_specs:";
    VEC_FOREACH(p, &q->flavor->extra_specs) {
        if (!str_starts(p->key, SCOPE))
            continue;
        bool found = false;
        VEC_FOREACH(m, &h->aggregates)
            found = found || str_eq(strmap_get(*m, p->key + strlen(SCOPE)), p->value);
        if (!found)
            return false;
    }
    return true;
}

/* "trait:X": "required" or "forbidden", in the flavor or the image. */
static bool traits_of(const struct strmap *m, const struct strv *have)
{
    VEC_FOREACH(p, m) {
        if (!str_starts(p->key, "trait:"))
            continue;
        bool has = strv_has(have, p->key + strlen("trait:"));
        if ((str_eq(p->value, "required") && !has) || (str_eq(p->value, "forbidden") && has))
            return false;
    }
    return true;
}

static bool traits(const struct sched_request *q, const struct sched_host *h)
{
    const struct strv *have = &h->record->facts->traits;
    return traits_of(&q->flavor->extra_specs, have) && (!q->image || traits_of(&q->image->properties, have));
}

static bool image_properties(const struct sched_request *q, const struct sched_host *h)
{
    if (!q->image)
        return true;
    const struct host_facts *f = h->record->facts;
    const char *arch = strmap_get(&q->image->properties, "hw_architecture");
    if (!arch)
        arch = strmap_get(&q->image->properties, "architecture");
    const char *type = strmap_get(&q->image->properties, "img_hv_type");
    const char *firmware = strmap_get(&q->image->properties, "hw_firmware_type");
    if (arch && !str_eq(arch, f->arch) && !(STREQ(arch, "amd64") && str_eq(f->arch, "x86_64")))
        return false;
    if (type && !(STREQ(type, "kvm") || STREQ(type, "qemu")) && !str_eq(type, f->hypervisor_type))
        return false;
    return !firmware || !STREQ(firmware, "uefi") || f->uefi;
}

static bool same_host(const struct sched_request *q, const struct sched_host *h)
{
    return !q->has_same || strv_has(&q->same_as, h->name);
}

static bool different_host(const struct sched_request *q, const struct sched_host *h)
{
    return !strv_has(&q->different_from, h->name);
}

int64_t group_count(const struct sched_request *q, const char *host)
{
    VEC_FOREACH(g, &q->group_hosts)
        if (STREQ(g->host, host))
            return g->n;
    return 0;
}

static bool affinity(const struct sched_request *q, const struct sched_host *h)
{
    return !str_eq(q->group_policy, "affinity") || q->group_hosts.n == 0 || group_count(q, h->name) > 0;
}

static bool anti_affinity(const struct sched_request *q, const struct sched_host *h)
{
    return !str_eq(q->group_policy, "anti-affinity") || group_count(q, h->name) < MAX(q->group_max, 1);
}

bool group_allows(const struct sched_request *q, const struct sched_host *h)
{
    return affinity(q, h) && anti_affinity(q, h);
}

const struct host_filter HOST_FILTERS[] = {
    { "RequestedHostFilter", named },
    { "ComputeFilter", up },
    { "EnabledFilter", enabled },
    { "VolumeHostFilter", volumes },
    { "RetryFilter", not_tried },
    { "AvailabilityZoneFilter", zone },
    { "CoreFilter", cpu },
    { "RamFilter", ram },
    { "DiskFilter", disk },
    { "AggregateInstanceExtraSpecsFilter", aggregate_specs },
    { "TraitsFilter", traits },
    { "ImagePropertiesFilter", image_properties },
    { "SameHostFilter", same_host },
    { "DifferentHostFilter", different_host },
    { "ServerGroupAffinityFilter", affinity },
    { "ServerGroupAntiAffinityFilter", anti_affinity },
};
const size_t N_HOST_FILTERS = ARRAY_SIZE(HOST_FILTERS);
