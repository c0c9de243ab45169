/*
 * Subnet pools, which subnets are cut from, and address scopes, inside which addresses don't overlap.
 *
 * What is cut from a pool are the subnets that name it; a free range is the first gap between them
 * that is large enough, found in one pass over the sorted ranges.
 */
#include "network/neutron.h"

#include <errno.h>
#include <stdio.h>

static const char *const SHARED_FLAG[] = { "shared", NULL };

/* ---- address scopes ---- */

static bool scope_visible(struct call *c, const void *object)
{
    return share_visible(c, &ADDRESS_SCOPE_RESOURCE, "address_scope", object);
}

static int scope_scope(struct call *c, struct query *q)
{
    return share_scope(c, q, "address_scope", SHARED_FLAG);
}

static int scope_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    share_render(c, &ADDRESS_SCOPE_RESOURCE, "address_scope", object, o);
    return 0;
}

static int scope_create(struct call *c, void *object)
{
    const struct address_scope *s = object;
    if (s->ip_version == 5)
        return call_fault(c, 400, "HTTPBadRequest",
                          "Invalid input for ip_version. Reason: '5' is not in [4, 6].");
    return share_follow(c, &ADDRESS_SCOPE_RESOURCE, "address_scope", s);
}

static int scope_update(struct call *c, const void *before, void *object)
{
    const struct address_scope *old = before, *s = object;
    if (old->shared && !s->shared)
        return neutron_invalid(
            c,
            "Shared address scope can't be unshared. Cannot update address scope %s: unsharing is "
            "not supported",
            s->head.id);
    return share_follow(c, &ADDRESS_SCOPE_RESOURCE, "address_scope", s);
}

static int scope_remove(struct call *c, void *object)
{
    const char *id = ((struct object *)object)->id;
    struct subnet_pool *pool;
    int r = txn_find_by(c->txn, &SUBNET_POOL_KIND, "address_scope_id", id, &pool);
    if (r < 0)
        return r;
    if (pool)
        return call_fault(c, 409, "AddressScopeInUse",
                          "Unable to complete operation on address scope %s. There are one "
                          "or more subnet pools in use on the address scope",
                          id);
    return share_forget(c, id);
}

const struct resource ADDRESS_SCOPE_RESOURCE = {
    .one = "address_scope",
    .many = "address_scopes",
    .kind = &ADDRESS_SCOPE_KIND,
    .title = "Address scope",
    .not_found = "AddressScopeNotFound",
    .scope = scope_scope,
    .visible = scope_visible,
    .filter = neutron_filter,
    .render = scope_render,
    .create = scope_create,
    .update = scope_update,
    .remove = scope_remove,
};

/* ---- ranges ---- */

struct span {
    ip_number first, last;
};
struct spans {
    struct span *v;
    size_t n, cap;
};

static int by_first(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static struct span span_of(struct cidr c)
{
    return (struct span){ c.first.n, cidr_last(c).n };
}

/* All subnets of a pool as sorted ranges; 'project_id' not null: also how much that project has. */
static int pool_used(struct txn *t, const struct subnet_pool *p, const char *project_id, struct spans *ret,
                     int64_t *ret_units)
{
    struct query q = { .kind = &SUBNET_KIND };
    struct results l = { 0 };
    if (!query_where(&q, txn_arena(t), "subnetpool_id", Q_EQ, p->head.id))
        return -ENOMEM;
    int r = txn_list(t, &q, &l);
    *ret_units = 0;
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct subnet *s = l.v[i];
        struct cidr c;
        if (!cidr_parse(s->cidr, false, &c))
            continue;
        if (!vec_push(txn_arena(t), ret, span_of(c)))
            return -ENOMEM;
        int unit = p->ip_version == 4 ? 32 : 64;
        if (project_id && str_eq(s->std.project_id, project_id) && c.prefix <= unit)
            *ret_units += unit - c.prefix < 62 ? (int64_t)1 << (unit - c.prefix) : INT32_MAX;
    }
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_first);
    return r;
}

/* The first range of this length in the prefix that meets none of the used ones. */
static bool first_gap(struct cidr prefix, int length, const struct spans *used, struct cidr *ret)
{
    ip_number size = (ip_number)1 << (ip_bits(prefix.first.version) - length);
    ip_number at = prefix.first.n, end = cidr_last(prefix).n;
    if (length < prefix.prefix)
        return false;
    VEC_FOREACH (s, used) {
        if (s->last < at)
            continue;
        if (s->first > at + size - 1)
            break;
        ip_number next = s->last + 1;
        if (next == 0 || next > end)
            return false;
        at = (next + size - 1) / size * size;
    }
    if (at < prefix.first.n || at + size - 1 > end || at + size - 1 < at)
        return false;
    *ret = (struct cidr){ { prefix.first.version, at }, length };
    return true;
}

/* ---- cutting ---- */

static int find_pool(struct call *c, struct subnet *s, struct subnet_pool **ret)
{
    struct query q = { .kind = &SUBNET_POOL_KIND };
    *ret = NULL;
    if (s->use_default_subnetpool && !s->subnetpool_id) {
        if (!query_where(&q, c->arena, "is_default", Q_EQ, "true") ||
            !query_where(&q, c->arena, "ip_version", Q_EQ, s->ip_version == 6 ? "6" : "4"))
            return -ENOMEM;
        int r = txn_find(c->txn, &q, ret);
        if (r == 0 && !*ret)
            return neutron_invalid(c, "No default subnetpool found for IPv%lld",
                                   (long long)(s->ip_version ? s->ip_version : 4));
        if (r == 0)
            s->subnetpool_id = (*ret)->head.id;
        return r;
    }
    void *object;
    int r = resource_get(c, &SUBNET_POOL_RESOURCE, s->subnetpool_id, &object);
    if (r == 0)
        *ret = object;
    return r;
}

/* Networks whose subnets come from a pool have all subnets of that family from it. */
static int check_affinity(struct call *c, const struct subnet *s, int version)
{
    struct subnets l = { 0 };
    int r = subnets_of(c->txn, s->network_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (l.v[i]->ip_version == version && !str_eq(l.v[i]->subnetpool_id, s->subnetpool_id))
            return call_fault(c, 400, "NetworkSubnetPoolAffinityError",
                              "Subnets hosted on the same network must be "
                              "allocated from the same subnet pool.");
    return r;
}

int subnet_from_pool(struct call *c, struct subnet *s)
{
    struct subnet_pool *p;
    struct spans used = { 0 };
    struct cidr cut;
    int64_t units;
    if (!s->subnetpool_id && !s->use_default_subnetpool)
        return 0;
    int r = find_pool(c, s, &p);
    if (r == 0)
        r = check_affinity(c, s, (int)p->ip_version);
    if (r == 0)
        r = pool_used(c->txn, p, s->std.project_id, &used, &units);
    if (r)
        return r;
    if (s->ip_version && s->ip_version != p->ip_version)
        return call_fault(c, 400, "BadSubnetRequest",
                          "Bad subnet request: Cannot allocate IPv%lld subnet from IPv%lld "
                          "subnet pool.",
                          (long long)s->ip_version, (long long)p->ip_version);
    s->ip_version = p->ip_version;
    bool found = false;
    int length = s->prefixlen ? (int)s->prefixlen : (int)p->default_prefixlen;
    if (s->cidr) {
        if (!cidr_parse(s->cidr, false, &cut) || cut.first.version != (int)p->ip_version)
            return neutron_invalid(c, "'%s' is not a valid IP subnet", s->cidr);
        length = cut.prefix;
    }
    if (length < p->min_prefixlen)
        return call_fault(c, 400, "MinPrefixSubnetAllocationError",
                          "Unable to allocate subnet with prefix length %d, "
                          "minimum allowed prefix is %lld.",
                          length, (long long)p->min_prefixlen);
    if (length > p->max_prefixlen)
        return call_fault(c, 400, "MaxPrefixSubnetAllocationError",
                          "Unable to allocate subnet with prefix length %d, "
                          "maximum allowed prefix is %lld.",
                          length, (long long)p->max_prefixlen);
    VEC_FOREACH (text, &p->prefixes) {
        struct cidr prefix;
        if (found || !cidr_parse(*text, false, &prefix))
            continue;
        if (!s->cidr) {
            found = first_gap(prefix, length, &used, &cut);
            continue;
        }
        struct span mine = span_of(cut), whole = span_of(prefix);
        found = mine.first >= whole.first && mine.last <= whole.last;
        VEC_FOREACH (u, &used)
            found &= u->last < mine.first || mine.last < u->first;
    }
    if (!found)
        return call_fault(c, s->cidr ? 409 : 503, "SubnetAllocationError", "Failed to allocate subnet: %s.",
                          s->cidr ? "Cannot allocate requested subnet from the available set of prefixes"
                                  : "Insufficient prefix space to allocate subnet size");
    int unit = p->ip_version == 4 ? 32 : 64;
    int64_t more = length <= unit && unit - length < 62 ? (int64_t)1 << (unit - length) : 0;
    if (p->default_quota != INT_NULL && units + more > p->default_quota)
        return call_fault(c, 409, "SubnetPoolQuotaExceeded", "Per-tenant subnet pool prefix quota exceeded.");
    s->cidr = cidr_text(c->arena, cut);
    return s->cidr ? 0 : -ENOMEM;
}

int network_scope_id(struct txn *t, const struct subnets *l, int version, const char **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < l->n; i++) {
        struct subnet_pool *p = NULL;
        if (l->v[i]->ip_version != version || !l->v[i]->subnetpool_id)
            continue;
        int r = txn_get(t, &SUBNET_POOL_KIND, l->v[i]->subnetpool_id, &p);
        if (r < 0)
            return r;
        if (p)
            *ret = p->address_scope_id;
        return 0;
    }
    return 0;
}

/* ---- pools as a resource ---- */

static bool pool_visible(struct call *c, const void *object)
{
    return share_visible(c, &SUBNET_POOL_RESOURCE, "subnetpool", object);
}

static int pool_scope(struct call *c, struct query *q)
{
    return share_scope(c, q, "subnetpool", SHARED_FLAG);
}

static int pool_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    share_render(c, &SUBNET_POOL_RESOURCE, "subnetpool", object, o);
    return 0;
}

/* Prefixes in canonical form, of one family, none inside another. */
static int settle_prefixes(struct call *c, struct subnet_pool *p)
{
    struct strv kept = { 0 };
    if (!p->prefixes.n)
        return call_fault(c, 400, "EmptySubnetPoolPrefixList", "Empty subnet pool prefix list.");
    p->ip_version = 0;
    VEC_FOREACH (text, &p->prefixes) {
        struct cidr c1, c2;
        if (!cidr_parse(*text, false, &c1))
            return neutron_invalid(c, "'%s' is not a valid IP subnet", *text);
        if (p->ip_version && p->ip_version != c1.first.version)
            return call_fault(c, 400, "PrefixVersionMismatch",
                              "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.");
        p->ip_version = c1.first.version;
        bool inside = false;
        VEC_FOREACH (other, &kept)
            inside |= cidr_parse(*other, false, &c2) && cidr_overlap(c1, c2) && c2.prefix <= c1.prefix;
        for (size_t i = kept.n; !inside && i-- > 0;)
            if (cidr_parse(kept.v[i], false, &c2) && cidr_overlap(c1, c2))
                vec_remove(&kept, i);
        if (!inside && !strv_add(c->arena, &kept, cidr_text(c->arena, c1)))
            return -ENOMEM;
    }
    p->prefixes = kept;
    return 0;
}

static int settle_lengths(struct call *c, struct subnet_pool *p)
{
    int64_t bits = ip_bits((int)p->ip_version);
    if (p->min_prefixlen == INT_NULL)
        p->min_prefixlen = p->ip_version == 4 ? 8 : 64;
    if (p->max_prefixlen == INT_NULL)
        p->max_prefixlen = bits;
    if (p->default_prefixlen == INT_NULL)
        p->default_prefixlen = p->min_prefixlen;
    if (p->min_prefixlen > p->max_prefixlen || p->max_prefixlen > bits)
        return call_fault(c, 400, "IllegalSubnetPoolPrefixBounds", "Illegal prefix bounds: %s=%lld, %s=%lld.",
                          "min_prefixlen", (long long)p->min_prefixlen, "max_prefixlen",
                          (long long)p->max_prefixlen);
    if (p->default_prefixlen < p->min_prefixlen || p->default_prefixlen > p->max_prefixlen)
        return call_fault(
            c, 400, "IllegalSubnetPoolPrefixBounds", "Illegal prefix bounds: %s=%lld, %s=%lld.",
            "default_prefixlen", (long long)p->default_prefixlen,
            p->default_prefixlen < p->min_prefixlen ? "min_prefixlen" : "max_prefixlen",
            (long long)(p->default_prefixlen < p->min_prefixlen ? p->min_prefixlen : p->max_prefixlen));
    return 0;
}

/* Prefixes of the pools in one scope don't overlap. */
static int check_scope(struct call *c, const struct subnet_pool *p)
{
    struct query q = { .kind = &SUBNET_POOL_KIND };
    struct results l = { 0 };
    void *object;
    if (!p->address_scope_id)
        return 0;
    int r = resource_get(c, &ADDRESS_SCOPE_RESOURCE, p->address_scope_id, &object);
    if (r)
        return r;
    if (((struct address_scope *)object)->ip_version != p->ip_version)
        return call_fault(c, 400, "IllegalSubnetPoolIpVersionAssociation",
                          "Illegal subnetpool association: subnetpool %s "
                          "cannot associate with address scope %s because subnetpool ip_version is not %lld.",
                          p->head.id, p->address_scope_id,
                          (long long)((struct address_scope *)object)->ip_version);
    if (!query_where(&q, c->arena, "address_scope_id", Q_EQ, p->address_scope_id))
        return -ENOMEM;
    r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct subnet_pool *other = l.v[i];
        if (STREQ(other->head.id, p->head.id))
            continue;
        VEC_FOREACH (x, &p->prefixes)
            VEC_FOREACH (y, &other->prefixes) {
                struct cidr a, b;
                if (cidr_parse(*x, false, &a) && cidr_parse(*y, false, &b) && cidr_overlap(a, b))
                    return call_fault(c, 409, "AddressScopePrefixConflict",
                                      "Failed to associate address scope: "
                                      "subnetpools within an address scope must have unique prefixes.");
            }
    }
    return r;
}

static int check_default(struct call *c, const struct subnet_pool *p)
{
    struct query q = { .kind = &SUBNET_POOL_KIND };
    struct subnet_pool *other;
    if (!p->is_default)
        return 0;
    if (!query_where(&q, c->arena, "is_default", Q_EQ, "true") ||
        !query_where(&q, c->arena, "ip_version", Q_EQ, p->ip_version == 4 ? "4" : "6") ||
        !query_where(&q, c->arena, "id", Q_NE, p->head.id))
        return -ENOMEM;
    int r = txn_find(c->txn, &q, &other);
    if (r == 0 && other)
        return neutron_invalid(
            c, "A default subnetpool for this IP family has already been set. Only one default may "
               "exist per IP family");
    return r;
}

static int pool_create(struct call *c, void *object)
{
    struct subnet_pool *p = object;
    struct fault f;
    int r = neutron_tell(c, quota_take(c->txn, p->std.project_id, "subnetpool", 1, &f), &f);
    if (r == 0)
        r = settle_prefixes(c, p);
    if (r == 0)
        r = settle_lengths(c, p);
    if (r == 0)
        r = check_scope(c, p);
    if (r == 0)
        r = check_default(c, p);
    return r ? r : share_follow(c, &SUBNET_POOL_RESOURCE, "subnetpool", p);
}

static int pool_update(struct call *c, const void *before, void *object)
{
    const struct subnet_pool *old = before;
    struct subnet_pool *p = object;
    int r = settle_prefixes(c, p);
    if (r == 0 && p->ip_version != old->ip_version)
        return call_fault(c, 400, "PrefixVersionMismatch",
                          "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.");
    /* what was given out, or might be, stays: prefixes only grow */
    VEC_FOREACH (was, &old->prefixes) {
        struct cidr a, b;
        bool held = false;
        VEC_FOREACH (is, &p->prefixes)
            held |= cidr_parse(*was, false, &a) && cidr_parse(*is, false, &b) && cidr_overlap(a, b) &&
                    b.prefix <= a.prefix;
        if (r == 0 && !held)
            return call_fault(c, 400, "IllegalSubnetPoolPrefixUpdate",
                              "Illegal update to prefixes: Existing prefixes must "
                              "be a subset of the new prefixes.");
    }
    if (r == 0)
        r = settle_lengths(c, p);
    if (r == 0)
        r = check_scope(c, p);
    return r ? r : check_default(c, p);
}

static int pool_remove(struct call *c, void *object)
{
    const char *id = ((struct object *)object)->id;
    struct subnet *s;
    int r = txn_find_by(c->txn, &SUBNET_KIND, "subnetpool_id", id, &s);
    if (r < 0)
        return r;
    if (s)
        return call_fault(c, 409, "SubnetPoolInUse",
                          "Unable to complete operation on subnet pool. Subnet pool has "
                          "existing allocations.");
    return share_forget(c, id);
}

const struct resource SUBNET_POOL_RESOURCE = {
    .one = "subnetpool",
    .many = "subnetpools",
    .kind = &SUBNET_POOL_KIND,
    .title = "Subnet pool",
    .not_found = "SubnetPoolNotFound",
    .scope = pool_scope,
    .visible = pool_visible,
    .filter = neutron_filter,
    .render = pool_render,
    .create = pool_create,
    .update = pool_update,
    .remove = pool_remove,
};

/* ---- prefixes added and removed ---- */

static int change_prefixes(struct call *c, bool add)
{
    const json_t *wanted = json_get_array(c->body, "prefixes");
    void *object;
    size_t i;
    json_t *each;
    int64_t units;
    struct spans used = { 0 };
    int r = resource_get(c, &SUBNET_POOL_RESOURCE, call_param(c, "id"), &object);
    if (r == 0)
        r = neutron_own(c, &SUBNET_POOL_RESOURCE, object);
    if (r)
        return r;
    struct subnet_pool *p = object;
    if (!wanted || !json_array_size(wanted))
        return call_fault(c, 400, "HTTPBadRequest", "Invalid input for prefixes. Reason: a list is needed.");
    json_array_foreach(wanted, i, each)
    {
        struct cidr prefix;
        const char *text = json_string_value(each);
        if (!text || !cidr_parse(text, false, &prefix))
            return neutron_invalid(c, "'%s' is not a valid IP subnet", text ? text : "");
        text = cidr_text(c->arena, prefix);
        if (add ? !strv_add(c->arena, &p->prefixes, text) : !strv_drop(&p->prefixes, text))
            return add ? -ENOMEM : neutron_invalid(c, "'%s' is not a prefix of the subnet pool", text);
        r = add ? 0 : pool_used(c->txn, p, NULL, &used, &units);
        VEC_FOREACH (u, &used)
            if (r == 0 && u->first >= prefix.first.n && u->last <= cidr_last(prefix).n)
                return call_fault(c, 409, "IllegalSubnetPoolPrefixUpdate",
                                  "Illegal update to prefixes: one or more "
                                  "subnets have an allocation from %s.",
                                  text);
    }
    if (r == 0)
        r = settle_prefixes(c, p);
    if (r == 0)
        r = check_scope(c, p);
    standard_touch(&p->std);
    if (r == 0)
        r = txn_put(c->txn, &SUBNET_POOL_KIND, p);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_strings(&c->out, "prefixes", &p->prefixes);
    json_close_object(&c->out);
    return 0;
}

static int add_prefixes(struct call *c)
{
    return change_prefixes(c, true);
}

static int remove_prefixes(struct call *c)
{
    return change_prefixes(c, false);
}

int subnet_pool_add_prefixes(struct call *c)
{
    return call_write(c, add_prefixes);
}

int subnet_pool_remove_prefixes(struct call *c)
{
    return call_write(c, remove_prefixes);
}
