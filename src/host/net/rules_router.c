/*
 * A router's table, in its own namespace: floating IPs and port forwardings on the way in,
 * floating IPs and the gateway's address on the way out.
 *
 * A packet from an internal network to a floating IP of the same router turns around here; it
 * must leave with an outside address as well, or the answer would take the short way and
 * miss the translation. With SNAT on, a tenant's networks can't be reached from outside
 * but through a floating IP or forwarding, whoever sets a route to the gateway.
 */
#include "host/net/rules.h"

#include <errno.h>

static bool parse4(const char *text, struct ip *ret)
{
    return ip_parse(text, ret) && ret->family == AF_INET;
}

/* A pair of a floating IP, both sides read; false for what can't be written. */
static bool floating_pair(const struct floating_ip_spec *f, struct ip *outside, struct ip *inside)
{
    return parse4(f->floating_address, outside) && parse4(f->fixed_address, inside);
}

static bool gateway_address(const struct router_spec *r, struct ip *ret)
{
    if (!r->gateway)
        return false;
    for (size_t i = 0; i < r->gateway->cidrs.n; i++) {
        int prefix;
        if (ip_parse_prefix(r->gateway->cidrs.v[i], ret, &prefix) && ret->family == AF_INET)
            return true;
    }
    return false;
}

static void internal_ranges(const struct router_spec *r, struct arena *a, ip_ranges *ret)
{
    VEC_FOREACH(i, &r->interfaces)
        for (size_t c = 0; c < i->cidrs.n; c++) {
            struct ip_range range;
            if (ip_range_parse(i->cidrs.v[c], &range) && range.family == AF_INET)
                vec_push(a, ret, range);
        }
    VEC_FOREACH(route, &r->routes) {
        struct ip_range range;
        struct ip nexthop;
        if (!ip_range_parse(route->destination, &range) || !parse4(route->nexthop, &nexthop))
            continue;
        /* A route through an internal network leads to internal addresses. */
        if (ip_ranges_have(ret, &nexthop) && range.family == AF_INET)
            vec_push(a, ret, range);
    }
    ip_ranges_merge(ret);
}

static const char *forwarding_protocol(const struct port_forwarding_spec *f)
{
    return str_eq(f->protocol, "tcp") ? "tcp" : str_eq(f->protocol, "udp") ? "udp" : NULL;
}

static int64_t forwarding_last(const struct port_forwarding_spec *f)
{
    return f->external_port_last > f->external_port ? f->external_port_last : f->external_port;
}

static bool forwarding_valid(const struct port_forwarding_spec *f)
{
    int64_t n = forwarding_last(f) - f->external_port;
    return forwarding_protocol(f) && f->external_port > 0 && f->external_port + n <= 65535 &&
           f->internal_port > 0 && f->internal_port + n <= 65535;
}

static void forwarding(const struct port_forwarding_spec *f, struct buf *out)
{
    struct ip outside, inside;
    char text[IP_TEXT_SIZE];
    const char *protocol = forwarding_protocol(f);
    if (!forwarding_valid(f) || !parse4(f->external_address, &outside) ||
        !parse4(f->internal_address, &inside))
        return;
    int first = (int)f->external_port, last = (int)forwarding_last(f), to = (int)f->internal_port;
    buf_printf(out, "\t\tip daddr %s %s dport %d", ip_text(&outside, text), protocol, first);
    if (last != first)
        buf_printf(out, "-%d", last);
    buf_printf(out, " dnat ip to %s", ip_text(&inside, text));
    if (last == first) {
        buf_printf(out, ":%d", to);
    } else if (first != to) {
        buf_printf(out, ":%s dport map { ", protocol);
        for (int i = 0; i <= last - first; i++)
            buf_printf(out, "%s%d : %d", i ? ", " : "", first + i, to + i);
        buf_adds(out, " }");
    }
    buf_addc(out, '\n');
}

static void pair_map(const struct router_spec *r, bool in, struct buf *out)
{
    bool any = false;
    buf_printf(out, "\tmap %s {\n\t\ttype ipv4_addr : ipv4_addr\n", in ? "floating_in" : "floating_out");
    VEC_FOREACH(f, &r->floating_ips) {
        struct ip outside, inside;
        char from[IP_TEXT_SIZE], to[IP_TEXT_SIZE];
        if (!floating_pair(f, &outside, &inside))
            continue;
        buf_adds(out, any ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t");
        any = true;
        buf_printf(out, "%s : %s", ip_text(in ? &outside : &inside, from),
                   ip_text(in ? &inside : &outside, to));
    }
    buf_adds(out, any ? "\n\t\t}\n\t}\n" : "\t}\n");
}

/* Limits of floating IPs are policed: what is over is dropped. The burst is a tenth of a
 * second. */
static void limits(const struct router_spec *r, bool in, struct buf *out)
{
    VEC_FOREACH(f, &r->floating_ips) {
        struct ip outside;
        char text[IP_TEXT_SIZE];
        int64_t kbps = in ? f->ingress_kbps : f->egress_kbps;
        if (kbps <= 0 || kbps > INT32_MAX || !parse4(f->floating_address, &outside))
            continue;
        long long bytes = kbps * 125;
        buf_printf(out, "\t\tip %s %s limit rate over %lld bytes/second burst %lld bytes drop\n",
                   in ? "daddr" : "saddr", ip_text(&outside, text), bytes, MAX(bytes / 10, 20000LL));
    }
}

int rules_router(const struct router_spec *r, const struct router_devices *dev, struct arena *a,
                 struct buf *out)
{
    struct ip address;
    char text[IP_TEXT_SIZE];
    ip_ranges internal = { 0 };
    const char *gw = dev->gateway;
    internal_ranges(r, a, &internal);

    buf_adds(out, "add table inet yunduo\ndelete table inet yunduo\ntable inet yunduo {\n");
    pair_map(r, true, out);
    pair_map(r, false, out);
    buf_adds(out, "\tset internal {\n\t\ttype ipv4_addr\n\t\tflags interval\n");
    for (size_t i = 0; i < internal.n; i++) {
        buf_adds(out, i ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t");
        ip_range_print(out, &internal.v[i]);
    }
    buf_adds(out, internal.n ? "\n\t\t}\n\t}\n" : "\t}\n");

    buf_adds(out, "\tchain limit_in {\n\t\ttype filter hook prerouting priority -300; policy accept;\n");
    limits(r, true, out);
    buf_adds(out,
             "\t}\n\tchain limit_out {\n\t\ttype filter hook postrouting priority 150; policy accept;\n");
    limits(r, false, out);
    buf_adds(out, "\t}\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -100; policy accept;\n");
    VEC_FOREACH(f, &r->port_forwardings)
        forwarding(f, out);
    buf_adds(out, "\t\tdnat ip to ip daddr map @floating_in\n\t}\n"
                  "\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n"
                  "\t\tct state invalid drop\n");
    if (gw && r->gateway->enable_snat)
        buf_printf(out,
                   "\t\tct status dnat accept\n"
                   "\t\tiifname \"%s\" ct state new meta nfproto ipv4 drop\n",
                   gw);
    buf_adds(out, "\t}\n\tchain postrouting {\n\t\ttype nat hook postrouting priority 100; policy accept;\n");
    if (gw) {
        bool have = gateway_address(r, &address);
        buf_printf(out, "\t\toifname \"%s\" snat ip to ip saddr map @floating_out\n", gw);
        buf_printf(
            out,
            "\t\toifname != \"%s\" ct status dnat ip saddr @internal snat ip to ip saddr map @floating_out\n",
            gw);
        if (have)
            buf_printf(out, "\t\toifname != \"%s\" ct status dnat ip saddr @internal snat ip to %s\n", gw,
                       ip_text(&address, text));
        if (have && r->gateway->enable_snat)
            buf_printf(out, "\t\toifname \"%s\" ip saddr @internal snat ip to %s\n", gw,
                       ip_text(&address, text));
    }
    buf_adds(out, "\t}\n}\n");
    return arena_failed(a) ? -ENOMEM : buf_error(out);
}

static bool connected(const struct router_spec *r, const struct ip *ip)
{
    VEC_FOREACH(i, &r->interfaces)
        for (size_t c = 0; c < i->cidrs.n; c++) {
            struct ip_range range;
            if (ip_range_parse(i->cidrs.v[c], &range) && ip_range_has(&range, ip))
                return true;
        }
    return false;
}

/* As the set "internal" of the table. */
static bool internal_has(const struct router_spec *r, const struct ip *ip)
{
    if (connected(r, ip))
        return true;
    VEC_FOREACH(route, &r->routes) {
        struct ip_range range;
        struct ip nexthop;
        if (ip_range_parse(route->destination, &range) && ip_range_has(&range, ip)
            && parse4(route->nexthop, &nexthop) && connected(r, &nexthop))
            return true;
    }
    return false;
}

/* An address of the router's own, that is no floating one: what goes there stays here. */
static bool local_has(const struct router_spec *r, const struct ip *ip)
{
    static const struct ip METADATA = { AF_INET, { 169, 254, 169, 254 } };
    struct ip own;
    int prefix;
    for (size_t i = 0; r->gateway && i < r->gateway->cidrs.n; i++)
        if (ip_parse_prefix(r->gateway->cidrs.v[i], &own, &prefix) && ip_equal(&own, ip))
            return true;
    return ip_equal(ip, &METADATA);
}

bool flow_translated(const struct router_spec *r, const struct flow *f)
{
    if (f->family != AF_INET)
        return true;
    struct ip dst = f->dst, src = f->src, outside, inside, gateway;
    int dport = f->dport;
    bool forwarded = false;
    VEC_FOREACH(p, &r->port_forwardings) {
        if (f->icmp || !forwarding_valid(p) || !parse4(p->external_address, &outside) ||
            !parse4(p->internal_address, &inside) || !ip_equal(&outside, &f->dst) ||
            f->protocol != (str_eq(p->protocol, "tcp") ? 6 : 17) || f->dport < p->external_port ||
            f->dport > forwarding_last(p))
            continue;
        dst = inside;
        dport = (int)(p->internal_port + f->dport - p->external_port);
        forwarded = true;
        break;
    }
    bool has_floating = false;
    VEC_FOREACH(p, &r->floating_ips) {
        if (!floating_pair(p, &outside, &inside))
            continue;
        if (!forwarded && ip_equal(&outside, &f->dst)) {
            dst = inside;
            forwarded = true;
        }
        if (ip_equal(&inside, &f->src)) {
            src = outside;
            has_floating = true;
        }
    }
    if (!ip_equal(&dst, &f->reply_src) || (!f->icmp && f->reply_sport != dport))
        return false;
    bool snat = !ip_equal(&f->src, &f->reply_dst);
    bool have = gateway_address(r, &gateway);
    bool leaves = r->gateway && internal_has(r, &f->src)
                  && (forwarded || (!internal_has(r, &dst) && !local_has(r, &dst)));
    if (!leaves)
        return !snat;
    if (has_floating)
        return ip_equal(&f->reply_dst, &src);
    if (have && (r->gateway->enable_snat || forwarded))
        return ip_equal(&f->reply_dst, &gateway);
    return !snat;
}
