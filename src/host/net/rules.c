/*
 * The host's two tables: anti-spoofing in the bridge family, security groups in the inet
 * family. rules.h says how they work together.
 *
 * What a guest may not do whatever its groups say is in the shared chains "guarded*": use
 * another MAC or address, claim one by ARP or neighbour advertisement, answer DHCP, send
 * router advertisements or redirects, speak any protocol but IP and ARP. What it may always
 * do is what it needs to get an address: ask DHCP, solicit routers and neighbours.
 */
#include "host/net/rules.h"

#include <ctype.h>
#include <errno.h>

/* Device names of others come from a configuration: quoted, and only if they can be. */
static bool device_writable(const char *name)
{
    if (str_empty(name) || strlen(name) >= NET_NAME_SIZE)
        return false;
    for (; *name; name++)
        if (!isgraph((unsigned char)*name) || strchr("\"\\*{}", *name))
            return false;
    return true;
}

static void comma(struct buf *out, bool *any)
{
    buf_adds(out, *any ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t");
    *any = true;
}

static void finish(struct buf *out, bool any)
{
    buf_adds(out, any ? "\n\t\t}\n\t}\n" : "\t}\n");
}

static void device_set(struct buf *out, const char *name, const struct strv *devices)
{
    bool any = false;
    buf_printf(out, "\tset %s {\n\t\ttype ifname\n", name);
    for (size_t i = 0; i < devices->n; i++) {
        if (!device_writable(devices->v[i]))
            continue;
        comma(out, &any);
        buf_printf(out, "\"%s\"", devices->v[i]);
    }
    finish(out, any);
}

static bool port_guarded(const struct rules_port *p)
{
    return p->spec->port_security_enabled && device_writable(p->device);
}

void rules_port_addresses(const struct port_spec *p, struct arena *a, port_addresses *ret)
{
    uint8_t mac[ETH_ALEN];
    struct port_address at = { 0 };
    *ret = (port_addresses){ 0 };
    if (!mac_parse(p->mac_address, mac))
        return;
    memcpy(at.mac, mac, ETH_ALEN);
    VEC_FOREACH(f, &p->fixed_ips)
        if (ip_range_parse(f->ip_address, &at.range))
            vec_push(a, ret, at);
    VEC_FOREACH(pair, &p->allowed_address_pairs) {
        if (!ip_range_parse(pair->ip_address, &at.range))
            continue;
        if (str_empty(pair->mac_address))
            memcpy(at.mac, mac, ETH_ALEN);
        else if (!mac_parse(pair->mac_address, at.mac))
            continue;
        vec_push(a, ret, at);
    }
    /* Every MAC may use its own link-local address. */
    size_t n = ret->n;
    struct ip ll = mac_link_local(mac);
    memcpy(at.mac, mac, ETH_ALEN);
    at.range.family = AF_INET6;
    memcpy(at.range.lo, ll.bytes, 16);
    memcpy(at.range.hi, ll.bytes, 16);
    vec_push(a, ret, at);
    for (size_t i = 0; i < n; i++) {
        if (memcmp(ret->v[i].mac, mac, ETH_ALEN) == 0)
            continue;
        memcpy(at.mac, ret->v[i].mac, ETH_ALEN);
        ll = mac_link_local(at.mac);
        memcpy(at.range.lo, ll.bytes, 16);
        memcpy(at.range.hi, ll.bytes, 16);
        vec_push(a, ret, at);
    }
}

static int by_mac(const void *a, const void *b)
{
    const struct port_address *x = a, *y = b;
    int r = memcmp(x->mac, y->mac, ETH_ALEN);
    if (r)
        return r;
    if (x->range.family != y->range.family)
        return x->range.family < y->range.family ? -1 : 1;
    r = memcmp(x->range.lo, y->range.lo, 16);
    return r ? r : memcmp(x->range.hi, y->range.hi, 16);
}

/* What one port contributes to the sets of the bridge table. */
struct guard_sets {
    struct buf macs, addr4, net4, addr6, net6, nd6;
    bool any_mac, any4, any_net4, any6, any_net6, any_nd6;
};

static void guard_address(struct guard_sets *g, uint32_t mark, const char *mac, const struct ip_range *r)
{
    bool single = memcmp(r->lo, r->hi, 16) == 0, v4 = r->family == AF_INET;
    struct buf *out = v4 ? (single ? &g->addr4 : &g->net4) : (single ? &g->addr6 : &g->net6);
    bool *any = v4 ? (single ? &g->any4 : &g->any_net4) : (single ? &g->any6 : &g->any_net6);
    comma(out, any);
    buf_printf(out, "%u . %s . ", mark, mac);
    ip_range_print(out, r);
    if (v4)
        return;
    /* The target of a neighbour advertisement is a number to nft: the same set once more.
     * Ranges can't be written as such numbers; their advertisements pass unchecked. */
    if (single) {
        comma(&g->nd6, &g->any_nd6);
        buf_printf(&g->nd6, "%u . %s . 0x", mark, mac);
        for (int i = 0; i < 16; i++)
            buf_printf(&g->nd6, "%02x", r->lo[i]);
    }
}

static void guard_port(struct guard_sets *g, const struct rules_port *p, struct arena *a)
{
    char text[MAC_TEXT_SIZE];
    uint8_t own[ETH_ALEN];
    port_addresses l;
    if (!mac_parse(p->spec->mac_address, own))
        return;
    rules_port_addresses(p->spec, a, &l);
    if (l.n == 0 || arena_failed(a))
        return;
    qsort(l.v, l.n, sizeof(*l.v), by_mac);
    for (size_t i = 0, end; i < l.n; i = end) {
        ip_ranges ranges = { 0 };
        for (end = i; end < l.n && memcmp(l.v[i].mac, l.v[end].mac, ETH_ALEN) == 0; end++)
            vec_push(a, &ranges, l.v[end].range);
        mac_text(l.v[i].mac, text);
        comma(&g->macs, &g->any_mac);
        buf_printf(&g->macs, "%u . %s", p->mark, text);
        /* Neighbours stay apart here: a joined range would need the slower set. Only what
         * overlaps a prefix must be joined, for nft refuses overlaps. */
        bool prefixes = false;
        for (size_t j = 0; j < ranges.n; j++)
            prefixes |= memcmp(ranges.v[j].lo, ranges.v[j].hi, 16) != 0;
        if (prefixes)
            ip_ranges_merge(&ranges);
        for (size_t j = 0; j < ranges.n; j++)
            if (j == 0 || memcmp(&ranges.v[j], &ranges.v[j - 1], sizeof(ranges.v[j])) != 0)
                guard_address(g, p->mark, text, &ranges.v[j]);
    }
}

static void named_set(struct buf *out, const char *name, const char *type, const struct buf *elements,
                      bool any)
{
    buf_printf(out, "\tset %s {\n\t\t%s\n%s", name, type, buf_text(elements));
    finish(out, any);
}

static void dscp(const struct rules_input *in, struct buf *out, bool rules)
{
    for (int value = 0; value < 64; value++) {
        bool any = false;
        VEC_FOREACH(p, &in->ports) {
            if (str_empty(p->spec->qos_policy_id) || !device_writable(p->device))
                continue;
            VEC_FOREACH(q, &in->spec->qos_policies) {
                if (!str_eq(q->id, p->spec->qos_policy_id) || q->dscp_mark != value)
                    continue;
                if (!rules) {
                    if (!any)
                        buf_printf(out, "\tset dscp%d {\n\t\ttype ifname\n", value);
                    comma(out, &any);
                    buf_printf(out, "\"%s\"", p->device);
                } else if (!any) {
                    any = true;
                    buf_printf(out, "\t\tiifname @dscp%d ip dscp set %d\n", value, value);
                    buf_printf(out, "\t\tiifname @dscp%d ip6 dscp set %d\n", value, value);
                }
            }
        }
        if (any && !rules)
            finish(out, true);
    }
}

static void bridge_table(const struct rules_input *in, struct arena *a, struct buf *out)
{
    struct guard_sets g = {
        .macs = BUF_MAX(64u << 20),
        .addr4 = BUF_MAX(64u << 20),
        .net4 = BUF_MAX(64u << 20),
        .addr6 = BUF_MAX(64u << 20),
        .net6 = BUF_MAX(64u << 20),
        .nd6 = BUF_MAX(64u << 20),
    };
    bool any = false;
    buf_adds(out, "table bridge yunduo {\n");
    device_set(out, "members", &in->members);
    device_set(out, "closed", &in->closed);
    buf_adds(out, "\tmap marks {\n\t\ttype ifname : mark\n");
    VEC_FOREACH(p, &in->ports) {
        if (!port_guarded(p))
            continue;
        comma(out, &any);
        buf_printf(out, "\"%s\" : %u", p->device, p->mark);
        guard_port(&g, p, a);
    }
    finish(out, any);
    named_set(out, "macs", "type mark . ether_addr", &g.macs, g.any_mac);
    named_set(out, "addr4", "type mark . ether_addr . ipv4_addr", &g.addr4, g.any4);
    named_set(out, "addr6", "type mark . ether_addr . ipv6_addr", &g.addr6, g.any6);
    named_set(out, "nd6", "typeof meta mark . ether saddr . @th,64,128", &g.nd6, g.any_nd6);
    if (g.any_net4)
        named_set(out, "net4", "type mark . ether_addr . ipv4_addr\n\t\tflags interval", &g.net4, true);
    if (g.any_net6)
        named_set(out, "net6", "type mark . ether_addr . ipv6_addr\n\t\tflags interval", &g.net6, true);
    dscp(in, out, false);

    buf_adds(out, "\tchain guarded_arp {\n"
                  "\t\tmeta mark . arp saddr ether . arp saddr ip @addr4 accept\n");
    if (g.any_net4)
        buf_adds(out, "\t\tmeta mark . arp saddr ether . arp saddr ip @net4 accept\n");
    buf_adds(out, "\t\tmeta mark . arp saddr ether @macs arp operation request arp saddr ip 0.0.0.0 accept\n"
                  "\t\tdrop\n\t}\n"
                  "\tchain guarded_ip {\n"
                  "\t\tudp sport 67 udp dport 68 drop\n"
                  "\t\tmeta mark . ether saddr . ip saddr @addr4 accept\n");
    if (g.any_net4)
        buf_adds(out, "\t\tmeta mark . ether saddr . ip saddr @net4 accept\n");
    buf_adds(
        out,
        "\t\tip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 meta mark . ether saddr "
        "@macs accept\n"
        "\t\tdrop\n\t}\n"
        "\tchain guarded_ip6 {\n"
        "\t\ticmpv6 type { nd-router-advert, nd-redirect } drop\n"
        "\t\tudp sport 547 udp dport 546 drop\n");
    if (g.any_net6)
        buf_adds(out,
                 "\t\ticmpv6 type nd-neighbor-advert meta mark . ether saddr . ip6 saddr @net6 accept\n");
    buf_adds(out, "\t\ticmpv6 type nd-neighbor-advert meta mark . ether saddr . @th,64,128 != @nd6 drop\n"
                  "\t\tmeta mark . ether saddr . ip6 saddr @addr6 accept\n");
    if (g.any_net6)
        buf_adds(out, "\t\tmeta mark . ether saddr . ip6 saddr @net6 accept\n");
    buf_adds(out,
             "\t\tip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, "
             "mld2-listener-report } meta mark . ether saddr @macs accept\n"
             "\t\tdrop\n\t}\n"
             /* The address sets hold the MAC as well: IP packets need no look at "macs". */
             "\tchain guarded {\n"
             "\t\tether type vmap { ip : goto guarded_ip, ip6 : goto guarded_ip6 }\n"
             "\t\tmeta mark . ether saddr != @macs drop\n"
             "\t\tether type vmap { arp : goto guarded_arp, 0x8035 : accept }\n"
             "\t\tdrop\n\t}\n"
             "\tchain prerouting {\n"
             "\t\ttype filter hook prerouting priority -200; policy accept;\n"
             "\t\tiifname != @members accept\n");
    dscp(in, out, true);
    buf_adds(out, "\t\tmeta mark set 0\n"
                  "\t\tmeta mark set iifname map @marks\n"
                  "\t\tmeta mark != 0 goto guarded\n\t}\n"
                  "\tchain input {\n"
                  "\t\ttype filter hook input priority -200; policy accept;\n"
                  "\t\tiifname @closed drop\n"
                  "\t\tiifname @members meta mark set 0\n\t}\n"
                  "\tchain forward {\n"
                  "\t\ttype filter hook forward priority -200; policy accept;\n"
                  "\t\tiifname != @members accept\n"
                  "\t\tmeta mark set 0\n"
                  "\t\tmeta mark set oifname map @marks\n\t}\n"
                  "}\n");
    struct buf *all[] = { &g.macs, &g.addr4, &g.net4, &g.addr6, &g.net6, &g.nd6 };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (buf_error(all[i]))
            arena_fail(a);
        buf_done(all[i]);
    }
}

static const struct security_group_spec *find_group(const struct net_spec *spec, const char *id)
{
    VEC_FOREACH(g, &spec->security_groups)
        if (str_eq(g->id, id))
            return g;
    return NULL;
}

static bool port_stateless(const struct net_spec *spec, const struct port_spec *p)
{
    for (size_t i = 0; i < p->security_groups.n; i++) {
        const struct security_group_spec *g = find_group(spec, p->security_groups.v[i]);
        if (g && g->stateful)
            return false;
    }
    return p->security_groups.n > 0;
}

/* Ports with the same groups share chains; their name is made from the sorted ids. */
struct combination {
    uint64_t hash;
    struct strv groups;
};

static struct combination combination_of(const struct port_spec *p, struct arena *a)
{
    struct combination c = { .hash = 0xcbf29ce484222325u };
    for (size_t i = 0; i < p->security_groups.n; i++)
        if (!strv_has(&c.groups, p->security_groups.v[i]))
            strv_add(a, &c.groups, p->security_groups.v[i]);
    strv_sort(&c.groups);
    for (size_t i = 0; i < c.groups.n; i++) {
        for (const char *s = c.groups.v[i]; *s; s++)
            c.hash = (c.hash ^ (unsigned char)*s) * 0x100000001b3u;
        c.hash = (c.hash ^ '/') * 0x100000001b3u;
    }
    return c;
}

static int by_hash(const void *a, const void *b)
{
    const struct combination *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static void address_sets(const struct net_spec *spec, struct arena *a, struct buf *out)
{
    VEC_FOREACH(s, &spec->address_sets) {
        ip_ranges all = { 0 };
        for (size_t i = 0; i < s->addresses.n; i++) {
            struct ip_range r;
            if (ip_range_parse(s->addresses.v[i], &r))
                vec_push(a, &all, r);
        }
        ip_ranges_merge(&all);
        for (int family = AF_INET;; family = AF_INET6) {
            bool any = false;
            buf_printf(out, "\tset r%d_", family == AF_INET ? 4 : 6);
            rules_name(out, s->id);
            buf_printf(out, " {\n\t\ttype %s\n\t\tflags interval\n",
                       family == AF_INET ? "ipv4_addr" : "ipv6_addr");
            for (size_t i = 0; i < all.n; i++) {
                if (all.v[i].family != family)
                    continue;
                comma(out, &any);
                ip_range_print(out, &all.v[i]);
            }
            finish(out, any);
            if (family == AF_INET6)
                break;
        }
    }
}

static bool set_known(const struct net_spec *spec, const char *id)
{
    VEC_FOREACH(s, &spec->address_sets)
        if (str_eq(s->id, id))
            return true;
    return false;
}

/* A rule that names a set which was not sent must match nothing, not fail the table. */
static void missing_sets(const struct net_spec *spec, struct arena *a, struct buf *out)
{
    struct strv done = { 0 };
    VEC_FOREACH(g, &spec->security_groups)
        VEC_FOREACH(r, &g->rules)
            if (!str_empty(r->remote_set_id) && !set_known(spec, r->remote_set_id) &&
                !strv_has(&done, r->remote_set_id)) {
                strv_add(a, &done, r->remote_set_id);
                for (int v = 4; v <= 6; v += 2) {
                    buf_printf(out, "\tset r%d_", v);
                    rules_name(out, r->remote_set_id);
                    buf_printf(out, " {\n\t\ttype ipv%d_addr\n\t}\n", v);
                }
            }
}

static void verdict_map(const struct rules_input *in, const char *name, const char *suffix, bool stateless,
                        struct arena *a, struct buf *out)
{
    bool any = false;
    buf_printf(out, "\tmap %s {\n\t\ttype mark : verdict\n", name);
    VEC_FOREACH(p, &in->ports) {
        if (!port_guarded(p) || port_stateless(in->spec, p->spec) != stateless)
            continue;
        comma(out, &any);
        buf_printf(out, "%u : goto s_%016llx_%s", p->mark,
                   (unsigned long long)combination_of(p->spec, a).hash, suffix);
    }
    finish(out, any);
}

static void inet_table(const struct rules_input *in, struct arena *a, struct buf *out)
{
    bool any = false;
    buf_adds(out, "table inet yunduo {\n\tset bridges {\n\t\ttype ifname\n");
    VEC_FOREACH(n, &in->networks) {
        comma(out, &any);
        buf_printf(out, "\"%s\"", n->bridge);
    }
    finish(out, any);
    any = false;
    buf_adds(out, "\tmap zones {\n\t\ttypeof iifname : ct zone\n");
    VEC_FOREACH(n, &in->networks) {
        comma(out, &any);
        buf_printf(out, "\"%s\" : %u", n->bridge, n->zone);
    }
    finish(out, any);
    address_sets(in->spec, a, out);
    missing_sets(in->spec, a, out);
    VEC_FOREACH(g, &in->spec->security_groups)
        rules_group(g, a, out);

    VEC_OF(struct combination) combinations = { 0 };
    VEC_FOREACH(p, &in->ports)
        if (port_guarded(p))
            vec_push(a, &combinations, combination_of(p->spec, a));
    if (combinations.n)
        qsort(combinations.v, combinations.n, sizeof(*combinations.v), by_hash);
    for (size_t i = 0; i < combinations.n; i++) {
        const struct combination *c = &combinations.v[i];
        if (i && combinations.v[i - 1].hash == c->hash)
            continue;
        for (int side = 0; side < 2; side++) {
            const char *suffix = side ? "out" : "in";
            buf_printf(out, "\tchain s_%016llx_%s {\n", (unsigned long long)c->hash, suffix);
            for (size_t j = 0; j < c->groups.n; j++) {
                if (!find_group(in->spec, c->groups.v[j]))
                    continue;
                buf_adds(out, "\t\tjump g_");
                rules_name(out, c->groups.v[j]);
                buf_printf(out, "_%s\n", suffix);
            }
            /* Reached without connection tracking by stateless ports. */
            buf_printf(out, "\t\tjump always_%s\n\t\tdrop\n\t}\n", suffix);
        }
    }
    verdict_map(in, "ports_in", "in", false, a, out);
    verdict_map(in, "ports_out", "out", false, a, out);
    bool stateless = false;
    VEC_FOREACH(p, &in->ports)
        stateless |= port_guarded(p) && port_stateless(in->spec, p->spec);
    if (stateless) {
        verdict_map(in, "stateless_in", "in", true, a, out);
        verdict_map(in, "stateless_out", "out", true, a, out);
    }

    /* Neighbours and DHCP work whatever the groups say; who may send what of it has been
     * checked by the bridge table. */
    buf_adds(
        out,
        "\tchain always_out {\n"
        "\t\tudp sport 68 udp dport 67 accept\n"
        "\t\tudp sport 546 udp dport 547 accept\n"
        "\t\ticmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, nd-router-solicit, "
        "nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept\n\t}\n"
        "\tchain always_in {\n"
        "\t\tudp sport 67 udp dport 68 accept\n"
        "\t\tudp sport 547 udp dport 546 accept\n"
        "\t\ticmpv6 type { mld-listener-query, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } "
        "accept\n\t}\n"
        /* Before defragmentation (-400), so that fragments of two networks never meet. */
        "\tchain zone_in {\n"
        "\t\ttype filter hook prerouting priority -450; policy accept;\n"
        "\t\tct zone set iifname map @zones\n\t}\n"
        "\tchain zone_out {\n"
        "\t\ttype filter hook output priority -450; policy accept;\n"
        "\t\tct zone set oifname map @zones\n\t}\n"
        "\tchain prerouting {\n"
        "\t\ttype filter hook prerouting priority -150; policy accept;\n"
        "\t\tiifname != @bridges accept\n"
        "\t\tmeta mark 0 accept\n");
    if (stateless)
        buf_adds(out, "\t\tmeta mark vmap @stateless_out\n");
    buf_adds(out, "\t\tct state established accept\n"
                  "\t\tjump always_out\n"
                  "\t\tct state vmap { related : accept, invalid : drop }\n"
                  "\t\tmeta mark vmap @ports_out\n"
                  "\t\tdrop\n\t}\n"
                  "\tchain forward {\n"
                  "\t\ttype filter hook forward priority 0; policy accept;\n"
                  "\t\toifname != @bridges accept\n"
                  "\t\tmeta mark 0 accept\n");
    if (stateless)
        buf_adds(out, "\t\tmeta mark vmap @stateless_in\n");
    buf_adds(out, "\t\tct state established accept\n"
                  "\t\tjump always_in\n"
                  "\t\tct state vmap { related : accept, invalid : drop }\n"
                  "\t\tmeta mark vmap @ports_in\n"
                  "\t\tdrop\n\t}\n"
                  "}\n");
}

int rules_render(const struct rules_input *in, struct arena *a, struct buf *out)
{
    if (in->networks.n == 0)
        return 0;
    buf_adds(out, RULES_REMOVE);
    bridge_table(in, a, out);
    inet_table(in, a, out);
    return arena_failed(a) ? -ENOMEM : buf_error(out);
}
