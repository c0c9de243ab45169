/*
 * dnsmasq's files.
 *
 * Every lease is fixed: the hosts file has each port of the network with its addresses, and
 * ranges are static, so dnsmasq keeps no leases of its own and may be restarted or lose its
 * memory at any time. Names are the ports' own; what a client calls itself is ignored.
 *
 * A guest reaches the metadata service through the server's own address by a classless
 * static route, whether its network has a router or not.
 *
 * A port's own options are tied to its MAC in the main file: a tag in the hosts file would do
 * the same, but dnsmasq up to 2.90 dies when it reads such a file again while a client
 * holds a lease from it.
 *
 * Text from tenants (option names and values, host names) is written only if it is a word of
 * the kind expected; anything else is left out.
 */
#include "host/net/dhcp.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>

enum { LEASE_SECONDS = 86400, FILE_MAX = 64 << 20 };

static bool word(const char *s, const char *more, size_t max)
{
    if (str_empty(s) || strlen(s) > max)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr(more, *s))
            return false;
    return true;
}

/* The rest of a line in an options file: printable, no comment that would cut it. */
static bool line_rest(const char *s)
{
    size_t n = s ? strlen(s) : 0;
    if (n == 0 || n > 255)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static bool served4(const struct subnet_spec *s)
{
    return s->ip_version == 4 && s->enable_dhcp && s->dhcp_address;
}

static bool served6(const struct subnet_spec *s)
{
    return s->ip_version == 6 && s->enable_dhcp && s->dhcp_address &&
           (str_eq(s->ipv6_address_mode, "dhcpv6-stateful") ||
            str_eq(s->ipv6_address_mode, "dhcpv6-stateless"));
}

static const struct subnet_spec *subnet(const struct network_spec *n, const char *id)
{
    VEC_FOREACH(s, &n->subnets)
        if (str_eq(s->id, id))
            return s;
    return NULL;
}

static void range(const struct subnet_spec *s, size_t index, struct buf *out)
{
    struct ip ip;
    int prefix;
    char text[IP_TEXT_SIZE];
    if (!ip_parse_prefix(s->cidr, &ip, &prefix))
        return;
    ip = ip_network(&ip, prefix);
    buf_printf(out, "dhcp-range=set:subnet%zu,%s,static,", index, ip_text(&ip, text));
    if (ip.family == AF_INET) {
        struct ip mask = { .family = AF_INET };
        for (int i = 0; i < prefix; i++)
            mask.bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
        buf_printf(out, "%s,%ds\n", ip_text(&mask, text), LEASE_SECONDS);
    } else {
        buf_printf(out, "%d,%ds\n", MAX(prefix, 64), LEASE_SECONDS);
    }
}

static void classless(const struct subnet_spec *s, const char *metadata, struct buf *out)
{
    char text[IP_TEXT_SIZE];
    struct ip ip, via;
    int prefix;
    if (metadata)
        buf_printf(out, ",169.254.169.254/32,%s", metadata);
    VEC_FOREACH(h, &s->host_routes) {
        if (!ip_parse_prefix(h->destination, &ip, &prefix) || !ip_parse(h->nexthop, &via) ||
            ip.family != AF_INET || via.family != AF_INET)
            continue;
        ip = ip_network(&ip, prefix);
        buf_printf(out, ",%s/%d", ip_text(&ip, text), prefix);
        buf_printf(out, ",%s", ip_text(&via, text));
    }
    /* Clients that understand this option ignore the router option. */
    if (ip_parse(s->gateway_ip, &via) && via.family == AF_INET)
        buf_printf(out, ",0.0.0.0/0,%s", ip_text(&via, text));
    buf_addc(out, '\n');
}

static void subnet_options(const struct network_spec *n, const struct subnet_spec *s, size_t index,
                           struct buf *out)
{
    char text[IP_TEXT_SIZE], own[IP_TEXT_SIZE];
    struct ip ip;
    bool v4 = s->ip_version == 4, any = false, none = false;
    if (!ip_parse(s->dhcp_address, &ip))
        return;
    ip_text(&ip, own);
    buf_printf(out, "tag:subnet%zu,%s:dns-server", index, v4 ? "option" : "option6");
    for (size_t i = 0; i < s->dns_nameservers.n; i++) {
        if (!ip_parse(s->dns_nameservers.v[i], &ip) || (ip.family == AF_INET) != v4)
            continue;
        ip_text(&ip, text);
        if (STREQ(text, "0.0.0.0") || STREQ(text, "::")) {
            none = true; /* Neutron's way of saying "no name server" */
            break;
        }
        buf_printf(out, v4 ? ",%s" : ",[%s]", text);
        any = true;
    }
    if (!any && !none)
        buf_printf(out, v4 ? ",%s" : ",[%s]", own);
    buf_addc(out, '\n');
    if (!v4) {
        if (word(n->dns_domain, "-.", 253))
            buf_printf(out, "tag:subnet%zu,option6:domain-search,%s\n", index, n->dns_domain);
        return;
    }
    buf_printf(out, "tag:subnet%zu,option:router", index);
    if (ip_parse(s->gateway_ip, &ip) && ip.family == AF_INET)
        buf_printf(out, ",%s", ip_text(&ip, text));
    buf_addc(out, '\n');
    buf_printf(out, "tag:subnet%zu,option:classless-static-route", index);
    classless(s, own, out);
    buf_printf(out, "tag:subnet%zu,249", index);
    classless(s, own, out);
    if (n->mtu > 0)
        buf_printf(out, "tag:subnet%zu,option:mtu,%d\n", index, (int)n->mtu);
}

/* What the server must know of a port, local or not. */
struct lease {
    const char *id, *mac, *name;
    const struct fixed_ip *ips;
    size_t n_ips;
    const struct dhcp_option *opts;
    size_t n_opts;
};

static void lease(const struct network_spec *n, const struct lease *l, struct buf *conf, struct buf *hosts,
                  struct buf *opts, struct buf *names)
{
    uint8_t mac[ETH_ALEN];
    char text[IP_TEXT_SIZE], hex[MAC_TEXT_SIZE];
    if (!mac_parse(l->mac, mac) || !word(l->id, "-", 64))
        return;
    mac_text(mac, hex);
    bool tagged = false;
    for (size_t i = 0; i < l->n_opts; i++) {
        const struct dhcp_option *o = &l->opts[i];
        bool number = word(o->name, "", 3) && strspn(o->name, "0123456789") == strlen(o->name);
        if (!word(o->name, "-", 64) || !line_rest(o->value))
            continue;
        tagged = true;
        buf_printf(opts, "tag:port-%s,", l->id);
        if (o->ip_version == 6)
            buf_adds(opts, "option6:");
        else if (!number)
            buf_adds(opts, "option:");
        buf_printf(opts, "%s,%s\n", o->name, o->value);
    }
    for (size_t i = 0; i < l->n_ips; i++) {
        const struct subnet_spec *s = subnet(n, l->ips[i].subnet_id);
        struct ip ip;
        char name[80];
        if (!s || !ip_parse(l->ips[i].ip_address, &ip))
            continue;
        ip_text(&ip, text);
        if (word(l->name, "-", 63)) {
            snprintf(name, sizeof(name), "%s", l->name);
        } else {
            snprintf(name, sizeof(name), "host-%s", text);
            for (char *p = name; *p; p++)
                if (*p == '.' || *p == ':')
                    *p = '-';
        }
        if (word(n->dns_domain, "-.", 253))
            buf_printf(names, "%s %s.%.*s %s\n", text, name,
                       (int)(strlen(n->dns_domain) - str_ends(n->dns_domain, ".")), n->dns_domain, name);
        else
            buf_printf(names, "%s %s\n", text, name);
        if (!served4(s) && !(served6(s) && str_eq(s->ipv6_address_mode, "dhcpv6-stateful")))
            continue;
        buf_printf(hosts, "%s,", hex);
        buf_printf(hosts, ip.family == AF_INET ? "%s,%s\n" : "[%s],%s\n", text, name);
    }
    if (tagged)
        buf_printf(conf, "dhcp-mac=set:port-%s,%s\n", l->id, hex);
}

int dhcp_render(const struct net_spec *spec, const struct network_spec *n, const char *dir,
                const struct strv *upstream, struct arena *a, struct dhcp_files *ret)
{
    _cleanup_(buf_done) struct buf conf = BUF_MAX(FILE_MAX);
    _cleanup_(buf_done) struct buf hosts = BUF_MAX(FILE_MAX);
    _cleanup_(buf_done) struct buf opts = BUF_MAX(FILE_MAX);
    _cleanup_(buf_done) struct buf names = BUF_MAX(FILE_MAX);
    buf_printf(&conf,
               "user=nobody\n"
               "group=nogroup\n"
               "bind-interfaces\n"
               "interface=dhcp\n"
               "except-interface=lo\n"
               "no-hosts\n"
               "no-resolv\n"
               "no-ping\n"
               "dhcp-ignore-names\n"
               "dhcp-authoritative\n"
               "leasefile-ro\n"
               "log-facility=/dev/null\n"
               "dhcp-lease-max=16777216\n"
               "pid-file=%s/pid\n"
               "dhcp-hostsfile=%s/hosts\n"
               "dhcp-optsfile=%s/opts\n"
               "addn-hosts=%s/names\n",
               dir, dir, dir, dir);
    if (word(n->dns_domain, "-.", 253)) {
        int length = (int)(strlen(n->dns_domain) - str_ends(n->dns_domain, "."));
        buf_printf(&conf, "domain=%.*s\nlocal=/%.*s/\n", length, n->dns_domain, length, n->dns_domain);
    }
    for (size_t i = 0; i < upstream->n; i++) {
        struct ip ip;
        char text[IP_TEXT_SIZE];
        if (ip_parse(upstream->v[i], &ip))
            buf_printf(&conf, "server=%s\n", ip_text(&ip, text));
    }
    for (size_t i = 0; i < n->subnets.n; i++) {
        const struct subnet_spec *s = &n->subnets.v[i];
        if (!served4(s) && !served6(s))
            continue;
        range(s, i, &conf);
        subnet_options(n, s, i, &opts);
    }
    VEC_FOREACH(p, &spec->ports) {
        const struct lease l = { p->id,          p->mac_address,       p->dns_name,         p->fixed_ips.v,
                                 p->fixed_ips.n, p->extra_dhcp_opts.v, p->extra_dhcp_opts.n };
        if (str_eq(p->network_id, n->id))
            lease(n, &l, &conf, &hosts, &opts, &names);
    }
    VEC_FOREACH(p, &spec->remote_ports) {
        const struct lease l = { p->id,          p->mac_address,       p->dns_name,         p->fixed_ips.v,
                                 p->fixed_ips.n, p->extra_dhcp_opts.v, p->extra_dhcp_opts.n };
        if (str_eq(p->network_id, n->id))
            lease(n, &l, &conf, &hosts, &opts, &names);
    }
    if (buf_error(&conf) || buf_error(&hosts) || buf_error(&opts) || buf_error(&names))
        return -ENOMEM;
    *ret = (struct dhcp_files){ arena_strdup(a, buf_text(&conf)), arena_strdup(a, buf_text(&hosts)),
                                arena_strdup(a, buf_text(&opts)), arena_strdup(a, buf_text(&names)) };
    return arena_failed(a) ? -ENOMEM : 0;
}

int advertise_render(const struct net_spec *spec, const struct router_spec *r,
                     void (*inner)(const char *port_id, char *out), const char *dir, struct arena *a,
                     const char **ret)
{
    _cleanup_(buf_done) struct buf conf = BUF_MAX(1 << 20);
    bool any = false;
    buf_printf(&conf,
               "user=nobody\n"
               "group=nogroup\n"
               "port=0\n"
               "bind-interfaces\n"
               "except-interface=lo\n"
               "no-hosts\n"
               "no-resolv\n"
               "leasefile-ro\n"
               "log-facility=/dev/null\n"
               "enable-ra\n"
               "pid-file=%s/pid\n",
               dir);
    VEC_FOREACH(i, &r->interfaces) {
        char device[NET_NAME_SIZE], text[IP_TEXT_SIZE];
        bool here = false;
        inner(i->port_id, device);
        VEC_FOREACH(n, &spec->networks) {
            if (!str_eq(n->id, i->network_id))
                continue;
            VEC_FOREACH(s, &n->subnets) {
                struct ip ip, at;
                struct ip_range covers;
                int prefix;
                bool leg = false;
                if (s->ip_version != 6 || str_empty(s->ipv6_ra_mode) ||
                    !ip_parse_prefix(s->cidr, &ip, &prefix) || !ip_range_parse(s->cidr, &covers))
                    continue;
                for (size_t c = 0; c < i->cidrs.n; c++) {
                    int length;
                    leg |= ip_parse_prefix(i->cidrs.v[c], &at, &length) && ip_range_has(&covers, &at);
                }
                if (!leg)
                    continue;
                ip = ip_network(&ip, prefix);
                if (!here)
                    buf_printf(&conf, "interface=%s\nra-param=%s,mtu:%d,0\n", device, device,
                               n->mtu > 0 ? (int)n->mtu : 1500);
                here = any = true;
                const char *mode = str_eq(s->ipv6_ra_mode, "slaac")              ? "ra-only"
                                   : str_eq(s->ipv6_ra_mode, "dhcpv6-stateless") ? "ra-stateless"
                                                                                 : "static";
                buf_printf(&conf, "dhcp-range=%s,%s,%d\n", ip_text(&ip, text), mode, MAX(prefix, 64));
                for (size_t d = 0; d < s->dns_nameservers.n; d++)
                    if (ip_parse(s->dns_nameservers.v[d], &at) && at.family == AF_INET6)
                        buf_printf(&conf, "dhcp-option=option6:dns-server,[%s]\n", ip_text(&at, text));
            }
        }
    }
    if (buf_error(&conf))
        return -ENOMEM;
    *ret = any ? arena_strdup(a, buf_text(&conf)) : NULL;
    return any && !*ret ? -ENOMEM : 0;
}
