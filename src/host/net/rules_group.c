/*
 * A security group as chains.
 *
 * Rules are folded before they are written. First all prefixes of rules with the same
 * protocol and ports become one list of ranges; then all port ranges of rules with the same
 * protocol and remote side become one set. Thousand single-port rules are one nft rule with
 * a set of thousand elements.
 */
#include "host/net/rules.h"

#include <ctype.h>

enum remote_kind { REMOTE_ANY, REMOTE_RANGES, REMOTE_SET };

/* One rule, read. */
struct item {
    int protocol; /* -1: any */
    int lo, hi;   /* ports; ICMP type and code; -1: any */
    enum remote_kind kind;
    const char *set;       /* REMOTE_SET */
    struct ip_range range; /* REMOTE_RANGES, before folding */
    const char *remote;    /* how nft writes it, after folding; "" for any */
};
typedef VEC_OF(struct item) items;

void rules_name(struct buf *out, const char *id)
{
    bool plain = id && *id;
    for (const char *p = id; plain && *p; p++)
        plain = isalnum((unsigned char)*p) || *p == '-';
    if (plain && strlen(id) <= 64) {
        buf_adds(out, id);
        return;
    }
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *p = id; p && *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    buf_printf(out, "x%016llx", (unsigned long long)hash);
}

static bool has_ports(int protocol)
{
    return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;
}

static bool is_icmp(int protocol)
{
    return protocol == 1 || protocol == 58;
}

static int64_t in_range(int64_t n, int64_t max)
{
    return n >= 0 && n <= max ? n : -1;
}

/* False: the rule says nothing that could be enforced, so it allows nothing. */
static bool item_read(const struct security_rule_spec *r, int family, struct item *ret)
{
    struct item it = { .protocol = -1, .lo = -1, .hi = -1 };
    if (r->protocol != INT_NULL) {
        it.protocol = (int)in_range(r->protocol, 255);
        if (it.protocol < 0)
            return false;
        if (family == AF_INET6 && it.protocol == 1)
            it.protocol = 58;
    }
    if (is_icmp(it.protocol)) {
        it.lo = (int)in_range(r->port_range_min, 255);
        it.hi = it.lo < 0 ? -1 : (int)in_range(r->port_range_max, 255);
    } else if (has_ports(it.protocol)) {
        it.lo = (int)in_range(r->port_range_min, 65535);
        it.hi = (int)in_range(r->port_range_max, 65535);
        if (it.lo < 0)
            it.lo = it.hi;
        if (it.hi < 0)
            it.hi = it.lo;
        if (it.lo > it.hi)
            return false;
    }
    if (!str_empty(r->remote_set_id)) {
        it.kind = REMOTE_SET;
        it.set = r->remote_set_id;
    } else if (!str_empty(r->remote_ip_prefix)) {
        it.kind = REMOTE_RANGES;
        if (!ip_range_parse(r->remote_ip_prefix, &it.range) || it.range.family != family)
            return false;
        static const uint8_t zero[16],
            ones[16] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
        if (!memcmp(it.range.lo, zero, ip_size(family)) && !memcmp(it.range.hi, ones, ip_size(family)))
            it.kind = REMOTE_ANY;
    }
    *ret = it;
    return true;
}

static int by_match(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->protocol != y->protocol)
        return x->protocol < y->protocol ? -1 : 1;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    if (x->hi != y->hi)
        return x->hi < y->hi ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->kind == REMOTE_SET ? strcmp(x->set, y->set) : 0;
}

static int by_remote(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->protocol != y->protocol)
        return x->protocol < y->protocol ? -1 : 1;
    int r = strcmp(x->remote, y->remote);
    if (r)
        return r;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->hi < y->hi ? -1 : x->hi > y->hi;
}

static bool same_match(const struct item *x, const struct item *y)
{
    return x->protocol == y->protocol && x->lo == y->lo && x->hi == y->hi;
}

static const char *ranges_text(ip_ranges *l, struct arena *a)
{
    _cleanup_(buf_done) struct buf text = BUF_MAX(16u << 20);
    ip_ranges_merge(l);
    if (l->n > 1)
        buf_adds(&text, "{ ");
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            buf_adds(&text, ", ");
        ip_range_print(&text, &l->v[i]);
    }
    if (l->n > 1)
        buf_adds(&text, " }");
    if (buf_error(&text))
        arena_fail(a);
    return arena_strdup(a, buf_text(&text));
}

/* Folds the remote sides of rules that are otherwise the same. 'in' is sorted by_match. */
static void fold_remotes(const items *in, int family, struct arena *a, items *out)
{
    for (size_t i = 0, end; i < in->n; i = end) {
        struct item merged = in->v[i];
        ip_ranges ranges = { 0 };
        for (end = i; end < in->n && same_match(&in->v[i], &in->v[end]); end++)
            if (in->v[end].kind == REMOTE_RANGES)
                vec_push(a, &ranges, in->v[end].range);
        if (in->v[i].kind == REMOTE_ANY) { /* sorted first; nothing is wider */
            merged.remote = "";
            vec_push(a, out, merged);
            continue;
        }
        if (ranges.n) {
            merged.kind = REMOTE_RANGES;
            merged.remote = ranges_text(&ranges, a);
            vec_push(a, out, merged);
        }
        for (size_t j = i; j < end; j++) {
            if (in->v[j].kind != REMOTE_SET || (j > i && by_match(&in->v[j - 1], &in->v[j]) == 0))
                continue;
            _cleanup_(buf_done) struct buf name = BUF_MAX(256);
            buf_printf(&name, "@r%d_", family == AF_INET ? 4 : 6);
            rules_name(&name, in->v[j].set);
            merged = in->v[j];
            merged.remote = arena_strdup(a, buf_text(&name));
            vec_push(a, out, merged);
        }
    }
}

static void write_ports(const items *l, size_t from, size_t to, struct buf *out)
{
    bool many = false;
    _cleanup_(buf_done) struct buf text = BUF_MAX(4u << 20);
    for (size_t i = from; i < to;) {
        int lo = l->v[i].lo, hi = l->v[i].hi;
        for (i++; i < to && l->v[i].lo <= hi + 1; i++)
            hi = MAX(hi, l->v[i].hi);
        if (text.len) {
            buf_adds(&text, ", ");
            many = true;
        }
        buf_printf(&text, lo == hi ? "%d" : "%d-%d", lo, hi);
    }
    buf_printf(out, many ? "th dport { %s } " : "th dport %s ", buf_text(&text));
}

static void write_direction(const struct security_group_spec *g, const char *direction, int family,
                            struct arena *a, struct buf *out)
{
    items read = { 0 }, folded = { 0 };
    VEC_FOREACH(r, &g->rules) {
        struct item it;
        if (str_eq(r->direction, direction) && str_eq(r->ethertype, family == AF_INET ? "IPv4" : "IPv6") &&
            item_read(r, family, &it))
            vec_push(a, &read, it);
    }
    if (read.n == 0)
        return;
    qsort(read.v, read.n, sizeof(*read.v), by_match);
    fold_remotes(&read, family, a, &folded);
    if (arena_failed(a) || folded.n == 0)
        return;
    qsort(folded.v, folded.n, sizeof(*folded.v), by_remote);

    const char *side = STREQ(direction, "ingress") ? "saddr" : "daddr";
    for (size_t i = 0, end; i < folded.n; i = end) {
        const struct item *it = &folded.v[i];
        end = i + 1;
        buf_adds(out, "\t\t");
        if (*it->remote)
            buf_printf(out, "%s %s %s ", family == AF_INET ? "ip" : "ip6", side, it->remote);
        else
            buf_printf(out, "meta nfproto %s ", family == AF_INET ? "ipv4" : "ipv6");
        if (it->protocol >= 0)
            buf_printf(out, "meta l4proto %d ", it->protocol);
        if (has_ports(it->protocol) && it->lo >= 0) {
            while (end < folded.n && folded.v[end].protocol == it->protocol &&
                   STREQ(folded.v[end].remote, it->remote))
                end++;
            write_ports(&folded, i, end, out);
        } else if (is_icmp(it->protocol) && it->lo >= 0) {
            const char *name = it->protocol == 1 ? "icmp" : "icmpv6";
            buf_printf(out, "%s type %d ", name, it->lo);
            if (it->hi >= 0)
                buf_printf(out, "%s code %d ", name, it->hi);
        } else if (has_ports(it->protocol)) {
            /* Any port: narrower rules with the same remote side add nothing. */
            while (end < folded.n && folded.v[end].protocol == it->protocol &&
                   STREQ(folded.v[end].remote, it->remote))
                end++;
        }
        buf_adds(out, "accept\n");
    }
}

void rules_group(const struct security_group_spec *g, struct arena *a, struct buf *out)
{
    static const char *const DIRECTIONS[][2] = { { "ingress", "in" }, { "egress", "out" } };
    for (size_t i = 0; i < ARRAY_SIZE(DIRECTIONS); i++) {
        buf_adds(out, "\tchain g_");
        rules_name(out, g->id);
        buf_printf(out, "_%s {\n", DIRECTIONS[i][1]);
        write_direction(g, DIRECTIONS[i][0], AF_INET, a, out);
        write_direction(g, DIRECTIONS[i][0], AF_INET6, a, out);
        buf_adds(out, "\t}\n");
    }
}
